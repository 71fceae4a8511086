"""What the commands that look at recorded runs share: the store, the runs of a project, and which run is meant.

Reads stores and what is kept on this machine; changes neither.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dioptra_cli.cli import output
from dioptra_cli.errors import Problem, TrackingError, UsageError
from dioptra_cli.tracking.protocol import RecordedRun, Tracker

if TYPE_CHECKING:
    from dioptra_cli.execution.spool import Entry

ENTRY_POINT = "mlflow.project.entryPoint"
PROJECT_RUNS = {"mlflow.source.type": "PROJECT"}
"""A tag that every run of a project has, whether dioptra or MLflow has recorded it."""
END, EXIT_CODE, SECONDS, HOST = "dioptra.end", "dioptra.exit_code", "dioptra.seconds", "dioptra.host"
RECENT = 1000
"""So many of the newest runs are looked through for what a store cannot be asked for."""

_PROJECT, _SOURCE, _NAME = "dioptra.project", "mlflow.source.name", "mlflow.runName"
_SHORTEST = 4
"""Characters of an id that are enough to ask for a run; `SHOWN` are shown of it at least."""
_SHOWN = 8
_WHOLE_ID = re.compile(r"[0-9a-f]{32}")
_BEGINNING = re.compile(rf"[0-9a-f]{{{_SHORTEST},31}}")
_MOST_CANDIDATES = 10
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class NoStoreError(UsageError):
    """The store that was asked for does not exist: nothing has been recorded there."""


def open_store(tracking_uri: str | None, timeout: float, *, reading: bool = False) -> Tracker:
    """Return a tracker on the store that the options name, else the environment, else MLflow.

    Args:
        tracking_uri: From the option.
        timeout: Seconds.
        reading: Whether nothing has to be recorded: a database that can only be read will do.

    Raises:
        NoStoreError: It is a database that does not exist; looking does not make one.
        TrackingError: It cannot be reached or read.
    """
    from dioptra_cli.execution import environment
    from dioptra_cli.tracking import uris

    environment.prepare_this_process(timeout)
    base, caller = environment.snapshot(), os.getcwd()
    uri = tracking_uri or base.get(environment.TRACKING_URI)
    uri = uris.resolved(uri, caller)
    file = uris.sqlite_file(uri)
    if file is not None and os.path.isabs(file) and not os.path.exists(file):
        raise NoStoreError(
            Problem(
                "no-store",
                f"there is no store {file}: nothing has been recorded there",
                hint="go to where you call 'dioptra run', or name a store with --tracking-uri or MLFLOW_TRACKING_URI",
            )
        )
    return connect(uri, timeout, reading=reading)


def connect(
    uri: str | None,
    timeout: float,
    *,
    on_new_store: Callable[[str], None] | None = None,
    quiet: bool = False,
    reading: bool = False,
) -> Tracker:
    """Return a tracker, and say so where its server makes us wait.

    Args:
        uri: The tracking URI; None for MLflow's own default.
        timeout: Seconds.
        on_new_store: See `stores.connect`.
        quiet: Whether to say nothing.
        reading: See `stores.connect`.

    Raises:
        TrackingError: It cannot be reached or opened.
    """
    from dioptra_cli import stores

    with output.waiting_for(uri, timeout, quiet=quiet):
        return stores.connect(uri, timeout, on_new_store=on_new_store, reading=reading)


def store_of(entry: Entry, given: str | None, timeout: float) -> Tracker:
    """Return a tracker on the store of a run that is kept on this machine.

    Args:
        entry: The run; what is kept of it has no credentials.
        given: The URI from the option, else from the environment: if it is that of the store, it has them.
        timeout: Seconds.

    Raises:
        NoStoreError: The store was a database, which is not there any more.
        TrackingError: It needs credentials, or cannot be reached or read.
    """
    from dioptra_cli.execution import environment
    from dioptra_cli.parameters.secrets import MASK, without_credentials

    uri = entry.journal.tracking_uri
    given = given or environment.snapshot().get(environment.TRACKING_URI)
    if given and without_credentials(given) == uri:
        uri = given
    if MASK in uri:
        raise TrackingError(
            Problem(
                "no-credentials",
                f"the store {uri} needs credentials, which are not kept",
                hint="give its whole URI with --tracking-uri or MLFLOW_TRACKING_URI",
            )
        )
    try:
        return open_store(uri, timeout)
    except NoStoreError as error:
        raise NoStoreError(
            Problem(
                "no-store",
                f"the store {uri} is not there any more",
                hint="put it back, or give up what is kept of the run with 'dioptra sync --forget'",
            )
        ) from error


class Names(NamedTuple):
    """What runs of one project may have been recorded under.

    Attributes:
        projects: What names it to dioptra, what it is called in messages first.
        sources: What MLflow calls the source of its runs.
    """

    projects: tuple[str, ...]
    sources: tuple[str, ...]


def names_of(target: str) -> Names:
    """Return the names of a project.

    Args:
        target: As `run` takes it: a directory, an MLproject file, a git URL or an archive.

    Raises:
        UsageError: There is no such project.
    """
    from dioptra_cli.execution.projects import addresses
    from dioptra_cli.execution.source import git, source_name
    from dioptra_cli.mlproject import loader

    if addresses.is_elsewhere(target):
        name = addresses.parse(target).name
        return Names((name,), _distinct(name, target))
    inside = addresses.local_subdirectory(target)
    directory = loader.project_directory(target if inside is None else os.path.join(*inside))
    projects = _distinct(directory, os.path.realpath(directory))
    root = git(directory, "rev-parse", "--show-toplevel")
    return Names(projects, _distinct(*projects, source_name(directory, root)))


def _distinct(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def is_project_here() -> bool:
    """Return whether the current directory is a project."""
    from dioptra_cli.mlproject import loader

    return loader.find_file(".") is not None


def find_project_runs(
    tracker: Tracker, names: Names, *, limit: int, tags: Mapping[str, str]
) -> list[RecordedRun]:
    """Return the newest runs of a project, the newest first.

    Args:
        tracker: The store.
        names: From `names_of`.
        limit: How many at most.
        tags: What they have to have beside.
    """
    found: dict[str, RecordedRun] = {}
    asked = [(_PROJECT, name) for name in names.projects] + [(_SOURCE, name) for name in names.sources]
    for tag, name in asked:
        found.update((run.run_id, run) for run in tracker.find({**tags, tag: name}, limit=limit))
    return sorted(found.values(), key=lambda run: -(run.started or 0))[:limit]


def find_run(tracker: Tracker, text: str) -> RecordedRun:
    """Return the run that a user means by `text`: its id, the beginning of it, or its name.

    Raises:
        UsageError: Several runs are meant.
        TrackingError: There is no such run, or the store cannot tell.
    """
    from dioptra_cli.parameters.secrets import without_credentials

    if _WHOLE_ID.fullmatch(text):
        return tracker.run(text)
    candidates = tracker.find({_NAME: text}, limit=_MOST_CANDIDATES + 1)
    if _BEGINNING.fullmatch(text):
        recent = tracker.find(PROJECT_RUNS, limit=RECENT)
        candidates += [run for run in recent if run.run_id.startswith(text)]
    run = only(text, candidates)
    if run is None:
        raise TrackingError(
            Problem(
                "no-such-run",
                f"there is no run '{text}' at {without_credentials(tracker.uri)}",
                hint=f"give the first {_SHORTEST} characters of its id or more, or its name: "
                "'dioptra runs --all' lists them",
            )
        )
    return run


def find_kept(entries: Iterable[Entry], text: str) -> Entry | None:
    """Return the run that a user means by `text` among those that are kept on this machine.

    Raises:
        UsageError: Several are meant.
    """
    by_id = {entry.journal.run.run_id: entry for entry in entries if entry.journal.run is not None}
    begins = bool(_BEGINNING.fullmatch(text))
    candidates = [
        run
        for run in map(from_journal, by_id.values())
        if text in (run.run_id, run.run_name) or (begins and run.run_id.startswith(text))
    ]
    run = only(text, candidates)
    return None if run is None else by_id[run.run_id]


def only(text: str, candidates: Sequence[RecordedRun]) -> RecordedRun | None:
    """Return the one candidate, None if there is none.

    Raises:
        UsageError: There are several.
    """
    found = {run.run_id: run for run in candidates}
    if len(found) <= 1:
        return next(iter(found.values()), None)
    now = time.time()
    listed = [
        f"  {run.run_id}  {run.status}  {run.tags.get(ENTRY_POINT, '')}  {ago(run.started, now)}  {run.run_name}"
        for run in list(found.values())[:_MOST_CANDIDATES]
    ]
    if len(found) > _MOST_CANDIDATES:
        listed.append("  …")
    raise UsageError(
        Problem(
            "ambiguous-run",
            "\n".join((f"'{text}' may be one of several runs:", *listed)),
            hint="give more of the id",
        )
    )


def kept_entries() -> list[Entry]:
    """Return the runs that are kept on this machine, the newest first: they run, or a store lacks some of them."""
    from dioptra_cli.execution import directories, spool

    return spool.entries(directories.all_runs())


def as_ended(run: RecordedRun, entry: Entry) -> RecordedRun:
    """Return a run with the end that its store has not heard of, if it has ended."""
    ending = entry.journal.ending
    if ending is None:
        return run
    return run._replace(
        status=ending.status.value,
        ended=ending.ended,
        parameters={**entry.journal.parameters, **run.parameters},
        tags={**run.tags, **ending.tags},
    )


def from_journal(entry: Entry) -> RecordedRun:
    """Return what this machine knows of a run that has begun: enough to tell it from others, and how it ended."""
    journal = entry.journal
    run = journal.run
    assert run is not None  # those without are no candidates
    tags = {ENTRY_POINT: journal.entry_point, _PROJECT: journal.project}
    recorded = RecordedRun(
        run.run_id,
        run.run_name,
        run.experiment_id,
        "RUNNING",
        journal.started,
        None,
        run.artifact_uri,
        tags=tags,
    )
    return as_ended(recorded, entry)


def project_of(run: RecordedRun) -> str:
    """Return what a run is a run of; nothing where it does not say."""
    return run.tags.get(_PROJECT) or run.tags.get(_SOURCE, "")


def seconds_of(run: RecordedRun, now: float) -> float | None:
    """Return how long a run took, or has taken until `now`, in seconds since 1970; None where nobody knows."""
    with contextlib.suppress(KeyError, ValueError):  # anybody may edit a tag
        seconds = float(run.tags[SECONDS])
        if math.isfinite(seconds):
            return seconds
    if run.started is None or (run.ended is None and run.status != "RUNNING"):
        return None
    ended = now if run.ended is None else run.ended / 1000
    return max(ended - run.started / 1000, 0.0)


def short_ids(run_ids: Iterable[str]) -> dict[str, str]:
    """Return the beginning of each id that is enough to tell it from the others, all of one length."""
    ids = dict.fromkeys(run_ids)
    longest = max(map(len, ids), default=0)
    length = next((n for n in range(_SHOWN, longest) if len({i[:n] for i in ids}) == len(ids)), longest)
    return {run_id: run_id[:length] for run_id in ids}


def ago(milliseconds: int | None, now: float) -> str:
    """Return how long ago a moment was, such as `3 min ago`; its date where that was more than a week ago.

    Args:
        milliseconds: The moment, since 1970.
        now: In seconds since 1970.
    """
    if milliseconds is None:
        return ""
    seconds = int(now - milliseconds / 1000)
    if seconds >= 7 * _DAY:
        return time.strftime("%Y-%m-%d", time.localtime(milliseconds / 1000))
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"
