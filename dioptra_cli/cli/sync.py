"""`dioptra sync`: brings to their stores what is kept of runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import click

from dioptra_cli.cli import kept_runs, output, recorded
from dioptra_cli.cli.options import tracking_timeout_option, tracking_uri_option
from dioptra_cli.errors import DioptraError, ExitCode, Problem, UsageError
from dioptra_cli.execution import directories, environment, spool
from dioptra_cli.execution.delivery import Became, Report, deliver_kept
from dioptra_cli.execution.process import interruptible
from dioptra_cli.parameters.secrets import Masker
from dioptra_cli.tracking.protocol import Tracker


@click.command(name="sync")
@click.argument("run_ids", metavar="[RUN_ID]...", nargs=-1)
@tracking_uri_option
@tracking_timeout_option
@click.option("--dry-run", is_flag=True, help="Show what is kept, and deliver nothing.")
@click.option("--forget", is_flag=True, help="Remove what is kept of the runs that are named, undelivered.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array on standard output.")
def command(
    run_ids: tuple[str, ...],
    tracking_uri: str | None,
    tracking_timeout: float,
    dry_run: bool,
    forget: bool,
    as_json: bool,
) -> int:
    """Deliver what is kept of runs to their tracking stores.

    A run is kept while its store is away, and when dioptra itself is killed in the middle of it. Without RUN_ID (an
    id, its first characters, or a name), all of them are delivered. It can be done again at any time: what is there
    already is not doubled. The exit code is 125 if something could not be delivered.
    """
    base = environment.snapshot()
    output.hide(Masker(base, {environment.TRACKING_URI: tracking_uri or ""}))
    if forget and not run_ids:
        raise UsageError(
            Problem("no-run", "--forget needs the ids of the runs whose files are to be removed")
        )
    if forget and dry_run:
        raise UsageError(Problem("exclusive-options", "--forget and --dry-run exclude each other"))
    with interruptible():
        chosen = _chosen(run_ids)
        if dry_run:
            reports = [Report(entry, Became.BUSY if entry.is_running else Became.KEPT) for entry in chosen]
            lines = [_kept(report) for report in reports]
        elif forget:
            reports = [_forgotten(entry) for entry in chosen]
            lines = [_removed(report) for report in reports]
        else:
            reports = list(_delivered(chosen, tracking_uri, tracking_timeout, are_named=bool(run_ids)))
            lines = [kept_runs.told(report) for report in reports]
    if as_json:
        click.echo(json.dumps(list(map(_as_json, reports)), indent=2, ensure_ascii=False))
    else:
        for line in lines or ["nothing is kept: every run is in its tracking store"]:
            output.note(line)
    # A run that is still running needs nothing, unless it was asked for by name.
    undone = {Became.FAILED, Became.BUSY} if run_ids else {Became.FAILED}
    failed = not dry_run and any(report.became in undone for report in reports)
    return ExitCode.FAILED if failed else ExitCode.OK


def _chosen(run_ids: Sequence[str]) -> list[spool.Entry]:
    """Return the runs that are kept, or those of them that are named, the oldest first.

    Raises:
        UsageError: There is nothing kept of a run that is named, or several may be meant.
    """
    spool.tidy(directories.all_runs())
    kept = list(reversed(recorded.kept_entries()))
    if not run_ids:
        return kept
    chosen, problems = [], []
    for text in run_ids:
        found = next((entry for entry in kept if entry.journal.token == text), None)
        found = found or recorded.find_kept(kept, text)
        if found is None:
            problems.append(
                Problem("no-run", f"nothing is kept of a run '{text}'", hint="see 'dioptra sync --dry-run'")
            )
        else:
            chosen.append(found)
    if problems:
        raise UsageError(problems)
    return chosen


def _delivered(
    chosen: Iterable[spool.Entry], given: str | None, timeout: float, *, are_named: bool
) -> Iterable[Report]:
    """Deliver each run to its store.

    Args:
        chosen: The runs.
        given: The store for which the user has credentials; None for that of the environment.
        timeout: Seconds to wait for each store.
        are_named: Whether the user asks for just these, also where they were started on another machine.
    """
    environment.prepare_this_process(timeout)
    trackers: dict[str, Tracker | DioptraError] = {}
    for entry in chosen:
        if entry.is_held if are_named else entry.is_running:
            yield Report(entry, Became.BUSY)
            continue
        uri = entry.journal.tracking_uri
        if uri not in trackers:
            try:
                trackers[uri] = recorded.store_of(entry, given, timeout)
            except DioptraError as error:
                trackers[uri] = error
        tracker = trackers[uri]
        try:
            if isinstance(tracker, DioptraError):
                raise tracker
            report = deliver_kept(entry, tracker, timeout)
        except DioptraError as error:
            report = Report(entry, Became.FAILED, kept_runs.all_missing(entry, error))
        yield report


def _forgotten(entry: spool.Entry) -> Report:
    with entry.claimed() as mine:
        if mine is None:
            return Report(entry, Became.BUSY)
        mine.remove()
        return Report(entry, Became.FORGOTTEN)


def _removed(report: Report) -> str:
    if report.became is Became.BUSY:
        return kept_runs.told(report)
    return f"{kept_runs.named(report.entry)}: what was kept of it is removed"


def _kept(report: Report) -> str:
    journal = report.entry.journal
    if report.became is Became.BUSY:
        state = "running"
    elif journal.ending is None:
        state = "its dioptra was killed"
    else:
        missing = f"; not delivered: {', '.join(journal.failed)}" if journal.failed else ""
        state = f"{journal.ending.tags.get('dioptra.end', 'ended')}{missing}"
    return (
        f"{kept_runs.named(report.entry)}: {state}; for {journal.tracking_uri}; in {report.entry.directory}"
    )


def _as_json(report: Report) -> dict[str, object]:
    journal = report.entry.journal
    ending = journal.ending
    return {
        "run_id": None if journal.run is None else journal.run.run_id,
        "token": journal.token,
        "project": journal.project,
        "entry_point": journal.entry_point,
        "tracking_uri": journal.tracking_uri,
        "status": None if ending is None else ending.status.value,
        "became": report.became.value,
        "missing": [failure.what for failure in report.failures] or list(journal.failed),
        "errors": [str(failure.error) for failure in report.failures if failure.error is not None],
        "directory": report.entry.directory,
    }
