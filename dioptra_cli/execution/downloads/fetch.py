"""Downloads of several URIs side by side, all or nothing.

Says which protocol reads which scheme, and owns the threads. It never touches the network itself.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from dioptra_cli.errors import DioptraError, DownloadError, Problem
from dioptra_cli.execution.downloads.cache import Cache, Held
from dioptra_cli.execution.downloads.job import (
    Cancellation,
    Cancelled,
    Failure,
    Fetcher,
    Job,
    NoProgress,
    Progress,
    Settings,
    disk_full,
    shown,
)
from dioptra_cli.parameters.uris import (
    ARTIFACT_SCHEMES,
    FILESYSTEM_SCHEMES,
    OBJECT_SCHEMES,
    WEB_SCHEMES,
    scheme_of,
)

_MOST_AT_ONCE = 8
_BETWEEN_LOOKS = 0.2
"""Seconds after which a wait returns to Python, which raises what a signal asks for: a signal that comes just before
a wait does not end it. `Thread.join` is no choice; before Python 3.13 it does not survive an interrupt."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Downloads:
    """Local copies. They stay until `close`, though another process may fetch newer ones meanwhile.

    Attributes:
        paths: The absolute local path of each URI. It ends in the object's own name.
    """

    paths: Mapping[str, str]
    _held: list[Held] = field(default_factory=list, repr=False)

    def close(self) -> None:
        """Say that the copies are no longer used."""
        while self._held:
            self._held.pop().release()

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fetch_all(
    uris: Iterable[str], *, cache_dir: str, settings: Settings, progress: Progress | None = None
) -> Downloads:
    """Have a whole, current local copy of every URI.

    A copy in the cache is used again if the server says that it is still the current version:

    | source                     | version                                                             |
    |----------------------------|---------------------------------------------------------------------|
    | object                     | its ETag, or its size and time                                      |
    | prefix                     | those of all objects below it                                       |
    | http, https                | ETag, or Last-Modified and Content-Length; fetched again without    |
    | ftp, sftp, hdfs            | size and time; fetched again where the server does not tell times   |
    | `models:/`                 | that of its files; those of a finished model never change           |
    | `runs:/`                   | that of its files; those that a tracking server hands out have none |
    | `dbfs:/` and the like      | none: fetched again each time                                       |

    Artifacts that lie on this machine are used where they lie.

    Args:
        uris: What to download; each is downloaded once.
        cache_dir: Where copies are kept.
        settings: How to download.
        progress: What shows how far it is.

    Raises:
        DownloadError: With a problem for every URI that failed. Copying stops at the first failure, and
            leaves nothing behind. The servers of the others are still asked, so that all that is missing is
            told at once.
    """
    batch = _Batch(uris, Cache(cache_dir), settings, progress or NoProgress())
    try:
        batch.start()
        batch.wait()
    except BaseException:
        batch.interrupt()
        raise
    return batch.result()


class _Batch:
    """The state that the threads of one `fetch_all` share."""

    def __init__(self, uris: Iterable[str], cache: Cache, settings: Settings, progress: Progress) -> None:
        self._uris = tuple(dict.fromkeys(uris))
        self._queue = deque(self._uris)
        self._cache = cache
        self._settings = settings
        self._progress = progress
        self._asking = Cancellation()
        self._copying = Cancellation()
        self._paths: dict[str, str] = {}
        self._held: list[Held] = []
        self._unfinished: set[str] = set()
        self._problems: dict[str, Problem] = {}
        self._defects: list[BaseException] = []
        self._running = 0
        self._changed = threading.Condition()

    def start(self) -> None:
        """Start the threads."""
        self._cache.remove_abandoned()
        for _ in range(min(len(self._uris), _MOST_AT_ONCE)):
            with self._changed:
                self._running += 1
            # A daemon: one that waits for a name server cannot be woken, and must not keep the process.
            threading.Thread(target=self._work, name="download", daemon=True).start()

    def wait(self) -> None:
        """Wait until the threads have ended. After a failure the others may ask their servers for a while."""
        while not (self._ended(_BETWEEN_LOOKS) or self._copying.cancelled):
            pass
        if not self._ended(self._settings.grace):
            self._asking.cancel()
        while not self._ended(_BETWEEN_LOOKS):
            pass

    def _ended(self, seconds: float) -> bool:
        """Wait for so long at most; return whether the threads have ended."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)

    def _work(self) -> None:
        """Download one URI after the other. Runs in each thread."""
        while True:
            try:
                uri = self._queue.popleft()
            except IndexError:
                break
            self._fetch(uri)
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _fetch(self, uri: str) -> None:
        """Download one URI, or note why not. Raises nothing."""
        try:
            self._paths[uri] = self._local(uri)
            return
        except Cancelled:
            return
        except Failure as failure:
            self._problems[uri] = failure.problem(uri)
        except OSError as error:
            self._problems[uri] = _of_the_disk(error).problem(uri)
        except BaseException as error:  # a defect of ours belongs to the thread that waits
            self._defects.append(error)
        self._copying.cancel()

    def interrupt(self) -> None:
        """Have the threads stop, and leave nothing behind, also of one that does not come to its end in time."""
        self._queue.clear()
        self._asking.cancel()
        self._copying.cancel()
        self._ended(self._settings.grace)
        for directory in tuple(self._unfinished):
            shutil.rmtree(directory, ignore_errors=True)
        Downloads({}, self._held).close()

    def result(self) -> Downloads:
        """Return the copies, or raise what went wrong."""
        if not self._problems and not self._defects:
            return Downloads({uri: self._paths[uri] for uri in self._uris}, self._held)
        Downloads({}, self._held).close()
        if self._defects:
            raise self._defects[0]
        raise DownloadError(self._problems[uri] for uri in self._uris if uri in self._problems)

    def _local(self, uri: str) -> str:
        """Return where the copy of `uri` lies, downloaded if need be."""
        location, fixed = self._located(uri)
        if location != uri and os.path.isabs(location):
            if not os.path.exists(location):
                raise Failure("remote-not-found", f"there is nothing at {location}, where it leads")
            return location
        try:
            return self._copy(location, _fetcher(location, fixed))
        except Failure as failure:
            if location != uri:
                failure.reason = f"it leads to {shown(location)}: {failure.reason}"
            raise

    def _located(self, uri: str) -> tuple[str, bool]:
        """Return where `uri` leads, and whether what lies there never changes."""
        store = self._settings.artifacts
        if store is None or scheme_of(uri) not in ARTIFACT_SCHEMES:
            return uri, False
        try:
            return store.locate(uri)
        except DioptraError as error:
            raise Failure.of(error) from error

    def _copy(self, uri: str, fetch: Fetcher) -> str:
        """Return the path of a current copy in the cache, and hold it."""
        entry = self._cache.entry(uri)
        with entry.locked(self._waiting(uri)):
            self._unfinished.add(entry.incomplete)
            try:
                known = entry.current()
                fetched = fetch(
                    Job(
                        uri,
                        entry.incomplete,
                        known,
                        self._settings,
                        self._progress,
                        self._asking,
                        self._copying,
                    )
                )
                if fetched is not None:
                    self._copying.check()
                    path = entry.add(fetched)
                elif known is not None:
                    path = known.path
                self._held.append(entry.hold(path))
            finally:
                self._unfinished.discard(entry.incomplete)
        return path

    @contextmanager
    def _waiting(self, uri: str) -> Iterator[Callable[[float], None]]:
        """Show that another process is at it; yields what sleeps."""
        task = self._progress.add(f"{shown(uri)}: another process is downloading it", None)
        try:
            yield self._copying.wait
        finally:
            self._progress.finish(task)


def _fetcher(uri: str, fixed: bool) -> Fetcher:
    """Return what reads the scheme of `uri`. Each is imported when it is needed: most runs need none."""
    scheme = scheme_of(uri)
    if scheme in WEB_SCHEMES:
        from dioptra_cli.execution.downloads import web

        return web.fetch
    if scheme in OBJECT_SCHEMES:
        from dioptra_cli.execution.downloads import objects

        return objects.fetch
    if scheme in FILESYSTEM_SCHEMES:
        from dioptra_cli.execution.downloads import filesystems

        return filesystems.fetch
    if scheme in ARTIFACT_SCHEMES:
        from dioptra_cli.execution.downloads import artifacts

        return functools.partial(artifacts.fetch, fixed=fixed)
    raise Failure("unknown-scheme", f"the scheme '{scheme}' is not known" if scheme else "it is no URI")


def _of_the_disk(error: OSError) -> Failure:
    where, reason = error.filename or "the download directory", error.strerror or str(error)
    if error.errno in _NO_ROOM:
        return disk_full(f"{where}: {reason}")
    return Failure(
        "cache-unusable", f"cannot write to {where}: {reason}", "choose another directory with --storage-dir"
    )
