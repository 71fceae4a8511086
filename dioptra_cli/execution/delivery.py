"""Brings the end of a run to its store: at the end of the run itself, or later, from what was kept of it.

Every step can be done twice with the same result, so that what broke off half-way is simply done again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

from dioptra_cli.errors import DioptraError, TrackingError
from dioptra_cli.execution.records import TOKEN_TAG, flow_tags, read_flows, write_flows
from dioptra_cli.execution.spool import Ending, Entry, changed, write
from dioptra_cli.parameters.secrets import Masker
from dioptra_cli.tracking.protocol import RecordedRun, RunStatus, StartedRun, Tracker

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 5.0
_LATEST_CREATION = 600.0
"""Seconds after which a store makes no run any more that was asked for."""


class Failure(NamedTuple):
    """One thing that a store did not take.

    Attributes:
        what: In words, such as `artifacts`.
        error: Why; None where it was not tried, or not to the end.
    """

    what: str
    error: DioptraError | None


def deliver(
    entry: Entry, run: StartedRun, ending: Ending, tracker: Tracker, patience: float
) -> list[Failure]:
    """Record the end of a run: its status first, then its parameters, tags and artifacts.

    Args:
        entry: What is kept of the run.
        run: The run.
        ending: How it ended.
        tracker: Its store.
        patience: Seconds to repeat a step that fails at once in a way that may pass. What takes its time to fail has
            tried already.

    Returns:
        What the store did not take. Where it stays away, the rest is not tried.
    """
    wanted = entry.journal.parameters
    is_all_told = False

    def parameters() -> None:
        nonlocal is_all_told
        try:
            tracker.log(run.run_id, wanted, ending.tags)
            is_all_told = True
            return
        except TrackingError as error:
            if error.retryable:
                raise
        # As a rule, the script has logged one of them with another value, such as `5.0` for `5`, which stays.
        there = tracker.logged_parameters(run.run_id)
        missing = {name: value for name, value in wanted.items() if name not in there}
        if missing:
            tracker.log_parameters(run.run_id, missing)

    def tags() -> None:
        if not is_all_told:
            tracker.set_tags(run.run_id, ending.tags)

    steps: Iterable[tuple[str, Callable[[], object]]] = (
        (f"status {ending.status.value}", lambda: tracker.close(run.run_id, ending.status, ending.ended)),
        ("parameters", parameters),
        ("tags", tags),
        ("artifacts", lambda: tracker.log_artifacts(run.run_id, entry.artifacts)),
    )
    failures: list[Failure] = []
    is_over = False
    for what, action in steps:
        if is_over:
            failures.append(Failure(what, None))
            continue
        error = _attempt(action, patience)
        if error is not None:
            failures.append(Failure(what, error))
            is_over = error.retryable
    return failures


def _attempt(action: Callable[[], object], patience: float) -> TrackingError | None:
    """Do something, and again while it fails in a way that may pass. Returns the last failure."""
    deadline, delay = time.monotonic() + patience, _FIRST_DELAY
    while True:
        try:
            action()
            return None
        except TrackingError as error:
            if not error.retryable or time.monotonic() + delay > deadline:
                return error
        time.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)


class Became(str, Enum):
    """What became of a run that was kept."""

    DELIVERED = "delivered"
    CLOSED = "closed"
    FORGOTTEN = "forgotten"
    UNCERTAIN = "uncertain"
    FAILED = "failed"
    BUSY = "busy"
    KEPT = "kept"


class Report(NamedTuple):
    """What became of one run that was kept.

    Attributes:
        entry: The run.
        became: `delivered`: the store has all of it. `closed`: likewise; its dioptra was killed, and the run too.
            `forgotten`: there was no run to deliver. `uncertain`: there is none so far, but the store may still be
            making it. `failed`: some is still missing. `busy`: another process has it.
            `kept`: nothing was tried.
        failures: What is still missing.
    """

    entry: Entry
    became: Became
    failures: tuple[Failure, ...] = ()


def deliver_kept(entry: Entry, tracker: Tracker, patience: float) -> Report:
    """Bring what was kept of a run to its store, and remove it when the store has all.

    A run whose dioptra was killed before it could write down an ending is closed as `KILLED`.

    Raises:
        TrackingError: It cannot be told whether the store has the run.
    """
    with entry.claimed() as claimed:
        if claimed is None:
            return Report(entry, Became.BUSY)
        journal, became = claimed.journal, Became.DELIVERED
        run, ending = journal.run, journal.ending
        if run is None:
            found = _find(journal.token, tracker)
            if found is None and time.time() - journal.started / 1000 < _LATEST_CREATION:
                return Report(claimed, Became.UNCERTAIN)
            if found is None or found.status != "RUNNING":  # one to be continued, that has not been touched
                claimed.remove()
                return Report(claimed, Became.FORGOTTEN)
            run = StartedRun(found.run_id, found.experiment_id, found.run_name, found.artifact_uri)
            ended = max(journal.started, found.started or 0)
            ending = Ending(RunStatus.KILLED, ended, {"dioptra.end": "was never started"})
            became = Became.CLOSED
        elif ending is None:
            ending, became = _ending_of_killed(claimed), Became.CLOSED
        known = changed(claimed, run=run, ending=ending)
        with contextlib.suppress(OSError):  # the next attempt must not find out something else
            write(known)
        failures = tuple(deliver(known, run, ending, tracker, patience))
        if failures:
            known = changed(known, failed=tuple(failure.what for failure in failures))
            with contextlib.suppress(OSError):
                write(known)
            return Report(known, Became.FAILED, failures)
        known.remove()
        # As it was found: of one that had no run, it is said otherwise than of one that was killed.
        return Report(changed(claimed, ending=ending), became)


def _find(token: str, tracker: Tracker) -> RecordedRun | None:
    """Return the run that a dioptra asked for, which was killed or gave up before it heard of it."""
    return next(iter(tracker.find({TOKEN_TAG: token}, limit=1)), None)


def _ending_of_killed(entry: Entry) -> Ending:
    """Return the end of a run whose dioptra was killed, as far as its traces tell; write what its flows reported.

    Where the run had secrets, its flows are left out: nobody knows any more what must not be seen of them.
    """
    last = entry.journal.started / 1000
    for directory, _, names in os.walk(entry.directory):
        for name in names:
            with contextlib.suppress(OSError):
                last = max(last, os.stat(os.path.join(directory, name)).st_mtime)
    tags = {
        "dioptra.end": "dioptra was killed",
        "dioptra.seconds": f"{last - entry.journal.started / 1000:.3f}",
    }
    if not entry.journal.has_secrets:
        flows = read_flows(entry.flow_events)
        with contextlib.suppress(OSError):
            write_flows(entry.artifacts, flows, Masker())
            tags |= flow_tags(flows, Masker())
    return Ending(RunStatus.KILLED, int(last * 1000), tags)
