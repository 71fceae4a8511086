"""What every way of downloading shares: the job, its settings, its progress, its end.

Knows no protocol and touches no network.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from dioptra_cli.errors import DioptraError, Problem
from dioptra_cli.parameters.secrets import without_credentials
from dioptra_cli.parameters.uris import WEB_SCHEMES, scheme_of

T = TypeVar("T")


class Progress(Protocol):
    """Shows how far downloads are. Called from several threads at once."""

    def add(self, name: str, total: int | None) -> int:
        """Begin a download of `total` bytes (None if unknown); return its id."""

    def advance(self, task: int, size: int) -> None:
        """Count `size` more bytes."""

    def finish(self, task: int) -> None:
        """End a download, whole or not."""


class NoProgress:
    """Shows nothing."""

    def add(self, name: str, total: int | None) -> int:
        """Begin a download."""
        del name, total
        return 0

    def advance(self, task: int, size: int) -> None:
        """Count bytes."""

    def finish(self, task: int) -> None:
        """End a download."""


class ArtifactStore(Protocol):
    """What runs and models are read with. Both methods raise a `DioptraError` that names the cause alone."""

    def locate(self, uri: str) -> tuple[str, bool]:
        """Follow a `runs:/` or `models:/` URI to where its files lie.

        Returns:
            An absolute path on this machine, the URI of an object store, or `uri` itself; and whether what lies
            there never changes.
        """

    def download(self, uri: str, directory: str) -> str:
        """Copy a file or a tree into the empty `directory`; return its path, which may be `directory`."""


@dataclass(frozen=True)
class Settings:
    """How to download.

    Attributes:
        environ: Where credentials, endpoints and proxies are read from.
        artifacts: What reads `runs:/`, `models:/` and the like; None if nothing does.
        attempts: How often a request is made before a passing fault counts as final.
        backoff: Seconds to the second attempt; doubled for each further one.
        silence: Seconds without a byte after which a server counts as gone.
        grace: Seconds that downloads have to come to their end after an interrupt, or the failure of another.
    """

    environ: Mapping[str, str]
    artifacts: ArtifactStore | None = None
    attempts: int = 4
    backoff: float = 0.25
    silence: float = 60.0
    grace: float = 5.0


class Failure(Exception):
    """One URI could not be downloaded.

    Attributes:
        code: The code of the problem.
        reason: The cause in plain words, to follow "cannot download URI: ".
        hint: What to do, if that can be said.
        passing: Whether another attempt may succeed.
        pause: Seconds that the server asks to wait before it.
    """

    def __init__(
        self, code: str, reason: str, hint: str | None = None, *, passing: bool = False, pause: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.hint = hint
        self.passing = passing
        self.pause = pause

    @classmethod
    def of(cls, error: DioptraError) -> Failure:
        """Return the failure that an artifact store tells of."""
        problem = error.problems[0]
        return cls(problem.name, problem.message, problem.hint)

    def problem(self, uri: str) -> Problem:
        """Return the problem that the user is told of."""
        return Problem(self.code, f"cannot download {shown(uri)}: {self.reason}", hint=self.hint)


class Cancelled(Exception):
    """The download was told to stop."""


class Cancellation:
    """Tells threads to stop, once, and wakes those that wait for a server."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._wakers: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Stop everything that runs under this cancellation, now and later."""
        with self._lock:
            self._event.set()
            for wake in self._wakers:
                wake()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` after `cancel`."""
        if self.cancelled:
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep; raise `Cancelled` at once after `cancel`."""
        if self._event.wait(seconds):
            raise Cancelled

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have `cancel` call `wake` while the block runs. Whatever the block raises for it is `Cancelled`."""
        with self._lock:
            self.check()
            self._wakers.append(wake)
        try:
            yield
        except Exception:
            self.check()
            raise
        finally:
            with self._lock:
                self._wakers.remove(wake)


@dataclass(frozen=True)
class Known:
    """What the cache already has of a URI.

    Attributes:
        path: The whole file or directory.
        version: Its version at the server.
        members: For a directory, the versions of single files by relative path.
    """

    path: str
    version: str | None
    members: Mapping[str, str]


@dataclass(frozen=True)
class Fetched:
    """What a download has put into its directory.

    Attributes:
        name: The one entry of the directory: the file or the directory that was asked for.
        version: What the server calls this state of it; None if it has no name for it.
        members: For a directory, the versions of single files by relative path, where the server says them.
    """

    name: str
    version: str | None
    members: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One URI to download.

    Attributes:
        uri: What to download.
        directory: An empty directory to put it in; it is removed if the job fails.
        known: What the cache has of it.
        asking: Cancelled when the user interrupts: nothing goes on.
        copying: Cancelled as soon as another download fails, too: no more bytes are copied. Servers are
            still asked for a while, so that everything that is missing is reported at once.
    """

    uri: str
    directory: str
    known: Known | None
    settings: Settings
    progress: Progress
    asking: Cancellation
    copying: Cancellation

    def is_known(self, version: str | None) -> bool:
        """Return whether the cache has this version."""
        return version is not None and self.known is not None and self.known.version == version

    @contextmanager
    def transfer(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show the copying of `total` bytes; yields what counts them.

        Raises:
            Failure: There is not enough room for them.
            Cancelled: The download was told to stop; raised by what counts, too.
        """
        free = shutil.disk_usage(self.directory).free
        if total is not None and total > free:
            raise disk_full(f"it has {_readable(total)}, and {_readable(free)} are free for {self.directory}")
        task = self.progress.add(name, total)

        def count(size: int) -> None:
            self.copying.check()
            self.progress.advance(task, size)

        try:
            self.copying.check()
            yield count
        finally:
            self.progress.finish(task)

    def retried(self, attempt: Callable[[], T]) -> T:
        """Return what `attempt` returns; make it again after a passing failure, up to the last one's."""
        for count in range(1, self.settings.attempts):
            try:
                return attempt()
            except Failure as failure:
                if not failure.passing:
                    raise
                self.asking.wait(max(failure.pause, self.settings.backoff * 2 ** (count - 1)))
        return attempt()


Fetcher = Callable[[Job], "Fetched | None"]
"""Puts what a job asks for into its directory; returns None, having copied nothing, if it `is_known`.

Raises `Failure` or `Cancelled`. An `OSError` that it lets through is one of the disk.
"""


def shown(uri: str) -> str:
    """Return `uri` as messages name it: without credentials, and of a web address without the query."""
    uri = without_credentials(uri, mask="")
    if scheme_of(uri) in WEB_SCHEMES and "?" in uri:
        uri = uri.partition("?")[0] + "?…"
    return uri


def disk_full(reason: str) -> Failure:
    """Return the failure for a lack of room."""
    return Failure(
        "disk-full", f"no room for it: {reason}", "make room, or choose another disk with --storage-dir"
    )


def place(directory: str, relative: str) -> str:
    """Return the path of `relative`, as a server names it with slashes, below `directory`.

    Raises:
        Failure: It would lie elsewhere, or cannot be a path.
    """
    segments = relative.split("/")
    if "\0" in relative or any(segment in ("", ".", "..") for segment in segments):
        raise Failure("unsafe-name", f"it holds {relative!r}, which cannot be a path below a directory")
    return os.path.join(directory, *segments)


def _readable(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
