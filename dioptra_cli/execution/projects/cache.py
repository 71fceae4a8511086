"""Where fetched projects lie: who may write, what is whole. Fetches nothing.

    CACHE/git/digits-0f3a…/repository, …/trees/COMMIT     a clone, and its commits unpacked
    CACHE/archives/digits.zip-52b1…                       an archive unpacked, by the hash of its content
    CACHE/.incomplete/0f3a…                               what is under way
    CACHE/.locks/0f3a…                                    held by whom it belongs to

All is made below `.incomplete` and renamed when whole. The kernel releases the lock of a process that dies; what it
leaves below `.incomplete` is removed by the next that comes along.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dioptra_cli.errors import Problem, ProjectError
from dioptra_cli.execution.process import undisturbed

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_HINT = 60  # characters of a name that a directory is named after
_BETWEEN_LOOKS = 0.05  # seconds, while another process holds the lock
_SILENCE = 2.0  # seconds of waiting that one thinks nothing of
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Place:
    """The place of one repository or archive; nothing is created yet.

    Args:
        cache: The directory of all fetched projects.
        kind: The directory in it, such as `git`.
        name: What a person knows it by.
        identity: What tells it from all others.

    Attributes:
        directory: Where it lies when it is whole.
    """

    def __init__(self, cache: str, kind: str, name: str, identity: str) -> None:
        key = hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]
        readable = _ODD.sub("_", name).lstrip(".")[-_LONGEST_HINT:]
        self.directory = os.path.join(cache, kind, f"{readable}-{key}")
        self._locks, self._incomplete = os.path.join(cache, ".locks"), os.path.join(cache, ".incomplete")
        self._key = key

    @contextmanager
    def locked(self, note: Callable[[str], None], doing: str) -> Iterator[str]:
        """Hold the lock of this place for a block; yields an empty directory, which is removed at the end.

        Args:
            note: Called where another process holds the lock for long.
            doing: What that does meanwhile: "fetching https://host/x".

        Raises:
            ProjectError: The file system has no locks.
        """
        aside = os.path.join(self._incomplete, self._key)
        lock = self._open_lock(self._key)
        try:
            silent_until = time.monotonic() + _SILENCE
            while not _acquired(lock):
                if time.monotonic() >= silent_until:
                    silent_until = math.inf
                    note(f"waiting for another dioptra, which is {doing}")
                time.sleep(_BETWEEN_LOOKS)  # a signal ends this, as it may not end a wait for the lock itself
            self._remove_abandoned()
            os.makedirs(aside)
            try:
                yield aside
            finally:
                with undisturbed():
                    remove(aside)
        finally:
            os.close(lock)

    def _remove_abandoned(self) -> None:
        """Remove what processes left that are gone."""
        os.makedirs(self._incomplete, exist_ok=True)
        for key in os.listdir(self._incomplete):
            lock = None if key == self._key else self._open_lock(key)
            try:
                if lock is None or _acquired(lock):
                    remove(os.path.join(self._incomplete, key))
            finally:
                if lock is not None:
                    os.close(lock)

    def _open_lock(self, key: str) -> int:
        os.makedirs(self._locks, exist_ok=True)
        return os.open(os.path.join(self._locks, key), os.O_RDWR | os.O_CREAT, 0o666)


def settle(made: str, place: str) -> None:
    """Put what is whole into its place."""
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.rename(made, place)


def remove(directory: str) -> None:
    """Remove a directory with all that is in it."""
    shutil.rmtree(directory, ignore_errors=True)


def _acquired(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise ProjectError(
            Problem(
                "no-file-locks",
                "the file system of the cache has no locks",
                hint="choose another directory with --storage-dir",
            )
        ) from error
    return True
