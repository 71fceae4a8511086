"""Runs that their store does not have whole: what the next command does about them, and how it is told."""

from __future__ import annotations

from dioptra_cli.cli import output
from dioptra_cli.errors import DioptraError, TrackingError
from dioptra_cli.execution import directories, spool
from dioptra_cli.execution.delivery import Became, Failure, Report, deliver_kept
from dioptra_cli.parameters.secrets import without_credentials
from dioptra_cli.tracking.protocol import Tracker


def settle(tracker: Tracker, *, quiet: bool = False) -> None:
    """Close the runs in this store whose dioptra was killed, and say how many others wait for `dioptra sync`.

    Whatever goes wrong is said, and stops nothing.
    """
    places = directories.all_runs()
    spool.tidy(places)
    waiting = 0
    is_away = False
    for entry in spool.entries(places):
        if entry.is_running:
            continue
        # One that noted failures has been tried: its store may be asked for much, or fail again.
        is_ours = entry.journal.tracking_uri == without_credentials(tracker.uri)
        if is_away or entry.journal.failed or not is_ours:
            waiting += entry.journal.run is not None
            continue
        try:
            report = deliver_kept(entry, tracker, 0.0)
        except TrackingError as error:
            report = Report(entry, Became.FAILED, all_missing(entry, error))
        if report.became in (Became.CLOSED, Became.DELIVERED) and not quiet:
            output.note(told(report))
        elif report.became is Became.FAILED:
            output.warning(told(report))
            waiting += 1
            is_away = True
    if waiting and not quiet:
        count = "1 earlier run is" if waiting == 1 else f"{waiting} earlier runs are"
        output.note(f"{count} not in the tracking store as a whole; 'dioptra sync' delivers what is kept")


def named(entry: spool.Entry) -> str:
    """Return what a run is called in messages."""
    journal = entry.journal
    identity = journal.token if journal.run is None else journal.run.run_id
    return f"run {identity} ({journal.entry_point} of {journal.project})"


def all_missing(entry: spool.Entry, error: DioptraError) -> tuple[Failure, ...]:
    """Return what is missing of a run whose store could not even be opened."""
    what = ", ".join(entry.journal.failed) or "the end of the run"
    return (Failure(what, error),)


def told(report: Report) -> str:
    """Return in words what became of a run that was kept."""
    name = named(report.entry)
    if report.became is Became.CLOSED:
        why = "its dioptra was killed" if report.entry.journal.run else "it was never started"
        return f"{name}: {why}; closed as KILLED"
    if report.became is Became.DELIVERED:
        status = report.entry.journal.ending.status.value if report.entry.journal.ending else ""
        return f"{name}: delivered, {status}"
    if report.became is Became.FORGOTTEN:
        return f"{name}: the store never made it; there is nothing to deliver"
    if report.became is Became.UNCERTAIN:
        return f"{name}: the store has not made it so far; ask again in ten minutes"
    if report.became is Became.BUSY:
        if report.entry.is_elsewhere:
            return f"{name}: it was started on {report.entry.journal.host}, and may be running there"
        return f"{name}: still running, or being delivered by another process"
    missing = ", ".join(failure.what for failure in report.failures)
    reason = next((str(failure.error) for failure in report.failures if failure.error is not None), "")
    return f"{name}: not delivered: {missing}{f': {reason}' if reason else ''}"
