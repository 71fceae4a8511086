"""`dioptra sync`: brings to their stores what is kept of runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

import click

from dioptra_cli.cli import kept_runs, output
from dioptra_cli.cli.options import tracking_timeout_option, tracking_uri_option
from dioptra_cli.errors import ExitCode, Problem, TrackingError, UsageError
from dioptra_cli.execution import directories, environment, spool
from dioptra_cli.execution.delivery import Became, Report, deliver_kept
from dioptra_cli.execution.process import interruptible
from dioptra_cli.parameters.secrets import MASK, Masker, without_credentials
from dioptra_cli.tracking import open_tracker
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

    A run is kept while its store is away, and when dioptra itself is killed in the middle of it. Without RUN_ID, all
    of them are delivered. It can be done again at any time: what is there already is not doubled. The exit code is
    125 if something could not be delivered.
    """
    base = environment.snapshot()
    output.hide(Masker(base, {environment.TRACKING_URI: tracking_uri or ""}))
    chosen = _chosen(run_ids)
    if forget and not run_ids:
        raise UsageError(
            Problem("no-run", "--forget needs the ids of the runs whose files are to be removed")
        )
    with interruptible():
        if dry_run:
            reports = [Report(entry, Became.BUSY if entry.is_running else Became.FAILED) for entry in chosen]
            lines = [_kept(report) for report in reports]
        elif forget:
            reports = [_forgotten(entry) for entry in chosen]
            lines = [_removed(report) for report in reports]
        else:
            given = tracking_uri or base.get(environment.TRACKING_URI)
            reports = list(_delivered(chosen, given, tracking_timeout))
            lines = [kept_runs.told(report) for report in reports]
    if as_json:
        click.echo(json.dumps(list(map(_as_json, reports)), indent=2, ensure_ascii=False))
    else:
        for line in lines or ["nothing is kept: every run is in its tracking store"]:
            output.note(line)
    failed = not dry_run and any(report.became is Became.FAILED for report in reports)
    return ExitCode.FAILED if failed else ExitCode.OK


def _chosen(run_ids: Iterable[str]) -> list[spool.Entry]:
    """Return the runs that are kept, or those of them that are named, the oldest first.

    Raises:
        UsageError: There is nothing kept of a run that is named.
    """
    place = directories.runs()
    spool.tidy(place)
    kept = list(reversed(spool.entries(place)))
    if not run_ids:
        return kept
    chosen, problems = [], []
    for text in run_ids:
        found = [entry for entry in kept if text in _identities(entry)]
        chosen += found
        if not found:
            problems.append(
                Problem("no-run", f"nothing is kept of a run '{text}'", hint="see 'dioptra sync --dry-run'")
            )
    if problems:
        raise UsageError(problems)
    return chosen


def _identities(entry: spool.Entry) -> tuple[str, ...]:
    run = entry.journal.run
    return (entry.journal.token,) if run is None else (entry.journal.token, run.run_id)


def _delivered(chosen: Iterable[spool.Entry], given: str | None, timeout: float) -> Iterable[Report]:
    """Deliver each run to its store; `given` is the store for which the user has credentials."""
    base, caller = environment.snapshot(), os.getcwd()
    environment.prepare_this_process(timeout)
    trackers: dict[str, Tracker | TrackingError] = {}
    for entry in chosen:
        if entry.is_running:
            yield Report(entry, Became.BUSY)
            continue
        uri = entry.journal.tracking_uri
        if given is not None and without_credentials(given) == uri:
            uri = given
        if uri not in trackers:
            try:
                if MASK in uri:
                    raise TrackingError(_no_credentials(uri))
                with output.waiting_for(uri, timeout):
                    trackers[uri] = open_tracker(
                        uri,
                        environ=base,
                        directory=caller,
                        lock_directory=directories.locks(),
                        timeout=timeout,
                    )
            except TrackingError as error:
                trackers[uri] = error
        tracker = trackers[uri]
        try:
            if isinstance(tracker, TrackingError):
                raise tracker
            report = deliver_kept(entry, tracker, timeout)
        except TrackingError as error:
            report = Report(entry, Became.FAILED, kept_runs.everything(entry, error))
        yield report


def _no_credentials(uri: str) -> Problem:
    return Problem(
        "no-credentials",
        f"the store {uri} needs credentials, which are not kept",
        hint="give its whole URI with --tracking-uri or MLFLOW_TRACKING_URI",
    )


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
