"""What is kept of each run until its tracking store has all of it: one directory a run.

| in the directory | is |
|---|---|
| `run.json` | the journal: which run, in which store, how it ended, what the store does not have yet |
| `lock` | held by the dioptra that executes the run for as long as it lives, and by one that delivers it |
| `artifacts/` | what goes to the run's artifacts, its logs first of all |
| `flow-events/` | what flows have reported |

So a run whose dioptra was killed, or whose store was away, can be finished by another dioptra. Talks to no store.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dioptra_cli.errors import DioptraError, Problem
from dioptra_cli.tracking.protocol import RunStatus, StartedRun

_JOURNAL = "run.json"
_LOCK = "lock"
_PREFIX = "run-"
_ATTEMPTS, _BETWEEN_ATTEMPTS = 3, 0.05
"""To get a lock: who only asks whether a run is running holds it for a moment, too."""
_BEING_MADE = 60.0
"""Seconds in which a directory without a journal may be that of a run that is just being started."""


@dataclass(frozen=True)
class Ending:
    """What a store is to have of the end of a run.

    Attributes:
        status: The final status.
        ended: When, in milliseconds since 1970.
        tags: The tags of the end.
    """

    status: RunStatus
    ended: int
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Journal:
    """What is known of a run. Holds no secrets.

    Attributes:
        token: The name of the directory, and a tag of the run.
        project: What the run is a run of: a directory or a URL.
        entry_point: Its name.
        tracking_uri: Absolute, without credentials.
        host: The machine that executes it.
        started: When, in milliseconds since 1970.
        parameters: Those that the run should have, unless its script logged them itself.
        has_secrets: Whether something was given to the command that must not be seen.
        run: The run, as soon as there is one; the URI of its artifacts is without credentials.
        ending: How it ended, as soon as it has.
        failed: What the store did not take at the end, in words.
    """

    token: str
    project: str
    entry_point: str
    tracking_uri: str
    host: str
    started: int
    parameters: Mapping[str, str]
    has_secrets: bool
    run: StartedRun | None = None
    ending: Ending | None = None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """The directory of one run, and its journal as it was read."""

    directory: str
    journal: Journal

    @property
    def artifacts(self) -> str:
        """Where the run's artifacts are collected."""
        return os.path.join(self.directory, "artifacts")

    @property
    def flow_events(self) -> str:
        """Where flows report."""
        return os.path.join(self.directory, "flow-events")

    @property
    def is_running(self) -> bool:
        """Whether the dioptra that executes the run, or delivers it, is alive."""
        return self.is_elsewhere or self.is_held

    @property
    def is_held(self) -> bool:
        """Whether a process of this machine executes or delivers the run."""
        return _is_locked(self.directory)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it was started on another machine, of which locks may tell nothing, and has not ended."""
        return self.journal.ending is None and self.journal.host != os.uname().nodename

    @contextlib.contextmanager
    def claimed(self) -> Iterator[Entry | None]:
        """Keep other processes from the run for the block.

        Yields:
            The run as it is now; None where it is running, being delivered, or gone.
        """
        lock = self._lock()
        try:
            yield None if lock is None else read(self.directory)
        finally:
            if lock is not None:
                os.close(lock)

    def _lock(self) -> int | None:
        """Return a descriptor that holds the lock, or None if another process has it, or the run is gone."""
        try:
            lock = os.open(os.path.join(self.directory, _LOCK), os.O_RDONLY)
        except OSError:
            return None
        for _ in range(_ATTEMPTS):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except OSError:
                time.sleep(_BETWEEN_ATTEMPTS)
        os.close(lock)
        return None

    def remove(self) -> None:
        """Remove the directory: the store has everything, or there is nothing to keep."""
        # The journal goes first: without it, what is left of a directory is no run.
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.directory, _JOURNAL))
        shutil.rmtree(self.directory, ignore_errors=True)


class Spool:
    """The directory of the run that this process executes.

    Attributes:
        entry: The directory and its journal.
    """

    def __init__(self, entry: Entry, lock: int) -> None:
        self.entry = entry
        self._lock = lock

    @classmethod
    def create(
        cls,
        place: str,
        *,
        project: str,
        entry_point: str,
        tracking_uri: str,
        parameters: Mapping[str, str],
        has_secrets: bool,
    ) -> Spool:
        """Make the directory of a new run below `place`. For the arguments see `Journal`.

        Raises:
            DioptraError: It cannot be written.
        """
        directory = None
        try:
            directory = tempfile.mkdtemp(prefix=_PREFIX, dir=place)
            lock = os.open(os.path.join(directory, _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            journal = Journal(
                token=os.path.basename(directory),
                project=project,
                entry_point=entry_point,
                tracking_uri=tracking_uri,
                host=os.uname().nodename,
                started=_now(),
                parameters=parameters,
                has_secrets=has_secrets,
            )
            spool = cls(Entry(directory, journal), lock)
            os.mkdir(spool.entry.artifacts)
            os.mkdir(spool.entry.flow_events)
            write(spool.entry)
        except OSError as error:
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)
            raise unwritable(place, error) from error
        return spool

    def note(self, **changes: Any) -> None:
        """Write down changes of the journal. What cannot be written is known nevertheless.

        Raises:
            OSError: It cannot be written.
        """
        self.entry = changed(self.entry, **changes)
        write(self.entry)

    def close(self, *, keep: bool) -> None:
        """Let go of the directory, or remove it."""
        if not keep:
            self.entry.remove()
        os.close(self._lock)


def entries(places: Iterable[str]) -> list[Entry]:
    """Return the runs below some directories, the newest first: those that run, and those not delivered whole."""
    found = map(read, _directories(places))
    return sorted(filter(None, found), key=lambda entry: -entry.journal.started)


def tidy(places: Iterable[str]) -> None:
    """Remove what a dioptra left behind that was killed while it made the directory of a run, or removed it."""
    for directory in _directories(places):
        with contextlib.suppress(OSError):
            is_whole = os.path.exists(os.path.join(directory, _JOURNAL))
            is_new = time.time() - os.stat(directory).st_mtime < _BEING_MADE
            if not (is_whole or is_new or _is_locked(directory)):
                shutil.rmtree(directory, ignore_errors=True)


def _directories(places: Iterable[str]) -> Iterator[str]:
    for place in places:
        with contextlib.suppress(OSError):
            yield from (os.path.join(place, name) for name in os.listdir(place) if name.startswith(_PREFIX))


def read(directory: str) -> Entry | None:
    """Return the run in a directory; None where there is none, or not yet, or not any more."""
    try:
        with open(os.path.join(directory, _JOURNAL), encoding="utf-8") as file:
            content = json.load(file)
        run, ending = content.pop("run"), content.pop("ending")
        if ending is not None:
            ending = Ending(**{**ending, "status": RunStatus(ending["status"])})
        journal = Journal(
            **{**content, "failed": tuple(content["failed"])},
            run=None if run is None else StartedRun(**run),
            ending=ending,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return Entry(directory, journal)


def _is_locked(directory: str) -> bool:
    try:
        with open(os.path.join(directory, _LOCK), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # held, or nobody can tell
        return True
    return False


def unwritable(place: str, error: OSError) -> DioptraError:
    """Return the error for runs that cannot be kept below `place`."""
    return DioptraError(
        Problem(
            "no-state-directory",
            f"the files of the run cannot be written to {place}: {error.strerror or error}",
            hint="make room there, or name another place with the variable XDG_STATE_HOME",
        )
    )


def changed(entry: Entry, **changes: Any) -> Entry:
    """Return a run with another journal. Nothing is written."""
    return replace(entry, journal=replace(entry.journal, **changes))


def write(entry: Entry) -> None:
    """Write the journal, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    path = os.path.join(entry.directory, _JOURNAL)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(asdict(entry.journal), file, indent=2, ensure_ascii=True)
        file.write("\n")
    os.replace(f"{path}.new", path)


def _now() -> int:
    return int(time.time() * 1000)
