"""The store of downloads on disk: who may write, what is whole, what is current, what may go.

    CACHE/s3/bucket/train.csv-0f3a…/20250131T104512.481516234/train.csv   one copy
    CACHE/s3/bucket/train.csv-0f3a…/20250131T104512.481516234.json        its manifest
    CACHE/.incomplete/0f3a…/files/                                        a download under way
    CACHE/.incomplete/0f3a….lock                                          held by whom it belongs to

A copy is written below `.incomplete` and renamed when whole; its manifest follows, and only with it the copy
counts. The manifest has its version, and the size and time of its files.

Whoever looks at the copies of a URI, or adds one, holds the lock of the URI. So processes that want the same one
wait for each other, and then share it. The kernel releases the lock of a process that dies; what that leaves
below `.incomplete` is removed by the next that comes along.

Whoever uses a copy holds a shared lock on its manifest. Superseded copies are removed when nobody does: by the
download that supersedes them, or by the last that used them. A copy whose files were changed, as by a script
that writes into its input, is not used again.

Fetches nothing.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from dioptra_cli.execution.downloads.job import Failure, Fetched, Known, shown
from dioptra_cli.parameters.uris import scheme_of

_INCOMPLETE = ".incomplete"
_MANIFEST = ".json"
_LOCK = ".lock"
_LONGEST_NAME = 255  # bytes, on every usual file system
_LONGEST_HINT = 60  # characters of a URI that a directory is named after
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_PASSWORD = re.compile(r"(?<=://)([^/?#:@]*):[^/?#]*@")
_BETWEEN_LOOKS = 0.1  # seconds, while another process holds a lock


@dataclass(frozen=True)
class Held:
    """A copy that stays where it is until it is released."""

    path: str
    _entry: Entry
    _lock: int

    def release(self) -> None:
        """Say that the copy is no longer used, and remove it if it was superseded meanwhile."""
        os.close(self._lock)
        self._entry.tidy()


class Cache:
    """All downloads below one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = os.path.abspath(directory)
        self._incomplete = os.path.join(self._directory, _INCOMPLETE)

    def entry(self, uri: str) -> Entry:
        """Return the place of one URI; nothing is created yet."""
        # The password is no part of what a URI names, and must not reach the disk even as a hash.
        key = hashlib.sha256(os.fsencode(_PASSWORD.sub(r"\1@", uri))).hexdigest()[:16]
        return Entry(uri, os.path.join(self._directory, *_readable_place(uri, key)), self._incomplete, key)

    def remove_abandoned(self) -> None:
        """Remove the incomplete downloads of processes that are gone."""
        with suppress(OSError, Failure), os.scandir(self._incomplete) as found:
            for lock_file in [item.path for item in found if item.name.endswith(_LOCK)]:
                lock = _acquire(lock_file)
                if lock is not None:
                    shutil.rmtree(lock_file.removesuffix(_LOCK), ignore_errors=True)
                    _release(lock, lock_file)


class Entry:
    """The copies of one URI. All but `locked` need the lock, or take it."""

    def __init__(self, uri: str, directory: str, incomplete: str, key: str) -> None:
        self._uri = uri
        self._directory = directory
        self._lock = os.path.join(incomplete, key + _LOCK)
        self._aside = os.path.join(incomplete, key)
        self.incomplete = os.path.join(self._aside, "files")

    @contextmanager
    def locked(self, waiting: AbstractContextManager[Callable[[float], None]]) -> Iterator[None]:
        """Hold the lock of this URI for a block; `self.incomplete` is an empty directory in it.

        Args:
            waiting: Entered if another holds it. Gives what sleeps for so many seconds, and may raise.
        """
        os.makedirs(os.path.dirname(self._lock), exist_ok=True)
        lock = _acquire(self._lock)
        if lock is None:
            with waiting as wait:
                while (lock := _acquire(self._lock)) is None:
                    wait(_BETWEEN_LOOKS)
        try:
            shutil.rmtree(self._aside, ignore_errors=True)
            os.makedirs(self.incomplete)
            yield
        finally:
            shutil.rmtree(self._aside, ignore_errors=True)
            _release(lock, self._lock)

    def current(self) -> Known | None:
        """Return the newest copy whose files are as they were downloaded."""
        for copy in sorted(self._copies(), reverse=True):
            manifest = _read(copy + _MANIFEST)
            if manifest is None:
                continue
            path = os.path.join(copy, manifest["name"])
            if _snapshot(path) == manifest["files"]:
                return Known(path, manifest["version"], manifest["members"])
        return None

    def add(self, fetched: Fetched) -> str:
        """Make what lies in `self.incomplete` a copy; return its path."""
        whole = os.path.join(self.incomplete, fetched.name)
        manifest = {
            "uri": shown(self._uri),
            "name": fetched.name,
            "version": fetched.version,
            "members": dict(fetched.members),
            "files": _snapshot(whole),
        }
        aside = os.path.join(self._aside, "manifest")
        with open(aside, "w", encoding="utf-8") as file:
            file.write(json.dumps(manifest))  # in one piece, which is several times as fast as `dump`
        seconds, rest = divmod(time.time_ns(), 1_000_000_000)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
        copy = os.path.join(self._directory, f"{stamp}.{rest:09d}")
        os.makedirs(copy)
        path = os.path.join(copy, fetched.name)
        os.rename(whole, path)
        os.rename(aside, copy + _MANIFEST)
        return path

    def hold(self, path: str) -> Held:
        """Keep a copy for as long as it is used, and remove the others."""
        lock = os.open(os.path.dirname(path) + _MANIFEST, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            self._remove_unused(keep=os.path.dirname(path))
        except BaseException:
            os.close(lock)
            raise
        return Held(path, self, lock)

    def tidy(self) -> None:
        """Remove superseded copies, unless another holds the lock: then that one will."""
        with suppress(OSError):
            if len(self._copies()) > 1 and (lock := _acquire(self._lock)) is not None:
                try:
                    self._remove_unused(keep=max(self._copies()))
                finally:
                    _release(lock, self._lock)

    def _copies(self) -> set[str]:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return set()
        return {os.path.join(self._directory, name.removesuffix(_MANIFEST)) for name in names}

    def _remove_unused(self, keep: str) -> None:
        for copy in self._copies() - {keep}:
            with suppress(FileNotFoundError):  # without a manifest it never counted, and nobody can use it
                manifest = os.open(copy + _MANIFEST, os.O_RDWR)
                try:
                    fcntl.flock(manifest, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(copy + _MANIFEST)
                except BlockingIOError:
                    continue
                finally:
                    os.close(manifest)
            shutil.rmtree(copy, ignore_errors=True)


def file_name(name: str) -> str:
    """Return `name`, or what comes near to it if no file can be called so. The extension stays."""
    name = name.replace("/", "_").replace("\0", "_")
    if name in ("", ".", ".."):
        return "download"
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    stem, extension = os.path.splitext(name)
    ending = "-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8] + extension[-20:]
    room = _LONGEST_NAME - len(os.fsencode(ending))
    return os.fsencode(stem)[:room].decode("utf-8", "ignore") + ending


def _readable_place(uri: str, key: str) -> list[str]:
    """Return the directories that a person finds a URI under: scheme, host or bucket, name and key."""
    scheme = scheme_of(uri) or "other"
    rest = shown(uri)[len(scheme) + 1 :].partition("?")[0].strip("/")
    host, _, below = rest.partition("/")
    name = below.rpartition("/")[2]
    place = [_plain(scheme), _plain(host), f"{_plain(name)}-{key}" if name else key]
    return [part for part in place if part]


def _plain(text: str) -> str:
    return _ODD.sub("_", text).lstrip(".")[:_LONGEST_HINT]


def _read(manifest: str) -> Mapping[str, Any] | None:
    try:
        with open(manifest, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return found if {"name", "version", "members", "files"} <= found.keys() else None


def _snapshot(path: str) -> dict[str, list[int]] | None:
    """Return size and time of every file below `path`, or of `path` itself under an empty name.

    What Python compiles beside the modules that it imports is not looked at: a plugin directory is used in place.
    """
    found: dict[str, list[int]] = {}
    pending = [(path, "")]
    while pending:
        directory, below = pending.pop()
        try:
            with os.scandir(directory) as items:
                for item in items:
                    name = below + item.name
                    if item.is_dir(follow_symlinks=False):
                        if item.name == "__pycache__":
                            continue
                        pending.append((item.path, name + "/"))
                        continue
                    status = item.stat(follow_symlinks=False)
                    found[name] = [status.st_size, status.st_mtime_ns]
        except NotADirectoryError:
            status = os.stat(directory)
            found[below] = [status.st_size, status.st_mtime_ns]
        except FileNotFoundError:
            return None
    return found


def _acquire(path: str) -> int | None:
    """Lock the file `path`; return what holds it, None if another does.

    Raises:
        Failure: The file system has no locks.
    """
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one before may have removed the file between our opening and locking it.
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(lock)
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise Failure(
                    "no-file-locks",
                    f"the file system of {os.path.dirname(path)} has no locks",
                    "choose a directory on another one with --storage-dir",
                ) from error
            raise
        os.close(lock)


def _release(lock: int, path: str) -> None:
    with suppress(FileNotFoundError):  # somebody emptied the cache meanwhile
        os.unlink(path)
    os.close(lock)
