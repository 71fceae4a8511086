"""Downloads from object stores: one object, or everything below a prefix.

`scheme://bucket/key` is the object of that key if there is one, otherwise the prefix `key/`; with a slash at its
end it is the prefix. An object is one GET, which the store answers with "not modified" if the cache has it. A
prefix is listed, and only the members that changed are fetched.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import obstore
from obstore.exceptions import BaseError, InvalidPathError, NotModifiedError

from dioptra_cli.execution.downloads.cache import file_name
from dioptra_cli.execution.downloads.job import Cancellation, Cancelled, Failure, Fetched, Job, place
from dioptra_cli.execution.downloads.stores import Opened, open_store, region_of

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta

T = TypeVar("T")

_CHUNK = 2 * 1024 * 1024
_CHUNK_OF_MANY = 256 * 1024  # for connections of which there are many at once
_AT_ONCE = 32
_ALONE = 0.1  # seconds that an object comes over one connection alone
_FAST = 200_000_000  # bytes per second of that one, above which others would not help
_HELPERS = 9  # connections that join in otherwise
_PART = 4 * 1024 * 1024  # bytes that one of them fetches at a time
_LONGEST_FAREWELL = 2.0  # seconds; some milliseconds are usual
_STATUS = re.compile(r"status code: (\d{3}[^:<\n]*)")
_ERROR_CODE = re.compile(r"<Code>(.*?)</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_CAUSES = (
    (("dns error",), ("remote-unreachable", "the host is not known")),
    (
        ("ConnectionRefused",),
        ("remote-unreachable", "connection refused", "is the server running there?"),
    ),
    (
        ("InvalidCertificate",),
        (
            "remote-unreachable",
            "its certificate is not trusted",
            "name a file of trusted certificates in AWS_CA_BUNDLE",
        ),
    ),
    (("TimedOut", "kind: Timeout"), ("remote-unreachable", "the server does not answer")),
    (
        ("body error", "IncompleteMessage", "ConnectionReset"),
        ("download-broken-off", "the connection broke off"),
    ),
)
_OTHER_REGION = ("redirect without LOCATION", "AuthorizationHeaderMalformed", "PermanentRedirect")


@dataclass(frozen=True)
class _Tree:
    """What lies below a prefix, by relative path."""

    directories: frozenset[str]
    files: Mapping[str, ObjectMeta]

    @property
    def versions(self) -> dict[str, str]:
        """The version of each file."""
        return {name: _version(meta) for name, meta in self.files.items()}


@dataclass
class _Gap:
    """The bytes of an object that have not come and that only the first connection will bring."""

    start: int
    end: int


def fetch(job: Job) -> Fetched | None:
    """Download an object or a prefix, unless the cache has its current version. See `Fetcher`."""
    opened = open_store(job.uri, job.settings)
    try:
        with closing(_Download(job, opened)) as download:
            return download.run()
    except Failure as failure:
        region = region_of(opened, job.settings) if failure.code == "wrong-region" else None
        if region is None:
            raise
    with closing(_Download(job, open_store(job.uri, job.settings, region))) as download:
        return download.run()


class _Download:
    """One job at one store. obstore's threads do the work; this thread runs the event loop that they report to."""

    def __init__(self, job: Job, opened: Opened) -> None:
        self._job = job
        self._opened = opened
        self._loop = asyncio.new_event_loop()
        self._unanswered: WeakSet[Any] = WeakSet()

    def run(self) -> Fetched | None:
        """Download what is not known."""
        found = self._until_done(self._job.asking, self._look)
        if found is None:
            return None
        name = file_name(self._opened.key.rstrip("/").rpartition("/")[2] or self._opened.bucket)
        if isinstance(found, _Tree):
            return self._until_done(self._job.copying, lambda: self._copy_tree(found, name))
        return self._until_done(self._job.copying, lambda: self._copy_object(found, name))

    def close(self) -> None:
        """Wait until obstore's threads have done with Python, and end.

        One that still tells of a cancelled request while the interpreter shuts down brings the process down.
        They drop the future when they have told, which shows after the next call of obstore.
        """
        deadline = time.monotonic() + _LONGEST_FAREWELL
        while self._unanswered and time.monotonic() < deadline:
            obstore.parse_scheme("s3://bucket")
            time.sleep(0.001)
        self._loop.close()

    def _until_done(self, stop: Cancellation, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine to its end, or until it is told to stop. Explains what the store says."""
        stop.check()
        task = self._loop.create_task(start())
        try:
            with stop.waking(lambda: self._cancel(task)):
                return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            raise Cancelled from None
        except (BaseError, FileNotFoundError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the local disk; those of the store have no number
            raise _explained(error, self._opened) from error
        finally:
            task.cancel()
            self._loop.run_until_complete(asyncio.gather(task, return_exceptions=True))

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        self._loop.call_soon_threadsafe(task.cancel)

    def _asked(self, request: Any) -> Any:
        """Remember what obstore was asked for until obstore forgets it. Nobody else may keep it."""
        self._unanswered.add(request)
        return request

    async def _look(self) -> GetResult | _Tree | None:
        """Ask for the object, then for the prefix; return None if the cache has it."""
        store, key, job = self._opened.store, self._opened.key, self._job
        if key and not key.endswith("/"):
            known = job.known.version if job.known else None
            condition: Any = {"if_none_match": known} if known and _is_etag(known) else None
            try:
                result: GetResult = await self._asked(obstore.get_async(store, key, options=condition))
            except NotModifiedError:
                return None
            except FileNotFoundError:
                pass
            else:
                return None if job.is_known(_version(result.meta)) else result
        prefix = key.rstrip("/")
        found = await self._asked(obstore.list(store, prefix or None).collect_async())
        if not found:
            hint = "wildcards are not expanded: name the prefix" if "*" in key else None
            raise Failure("remote-not-found", "there is no object of that name, and nothing below it", hint)
        tree = _lay_out(prefix, found)
        return None if job.is_known(_digest(tree.versions)) else tree

    async def _copy_object(self, result: GetResult, name: str) -> Fetched:
        path, meta = os.path.join(self._job.directory, name), result.meta
        with self._job.transfer(name, meta["size"]) as count:
            if meta["size"] > 2 * _PART and _identifies(meta["e_tag"]):
                await self._save_with_help(result, meta, path, count)
            else:
                await self._save(result, meta["size"], path, count)
        return Fetched(name, _version(meta))

    async def _copy_tree(self, tree: _Tree, name: str) -> Fetched:
        root = os.path.join(self._job.directory, name)
        os.mkdir(root)
        for directory in sorted(tree.directories):
            os.mkdir(place(root, directory))
        versions = tree.versions
        changed = {
            file: meta for file, meta in tree.files.items() if not self._link(root, file, versions[file])
        }
        remaining = iter(changed.items())

        async def copy_some(count: Callable[[int], None]) -> None:
            for relative, meta in remaining:
                path = place(root, relative)
                try:
                    result = await self._asked(obstore.get_async(self._opened.store, meta["path"]))
                except FileNotFoundError:
                    if meta["size"] > 0:
                        raise Failure(
                            "remote-changed", f"'{relative}' vanished meanwhile", "try again"
                        ) from None
                    os.mkdir(path)  # the empty object `relative/`
                else:
                    now = result.meta  # made anew each time that it is asked for
                    versions[relative] = _version(now)
                    await self._save(result, now["size"], path, count)

        with self._job.transfer(name, sum(meta["size"] for meta in changed.values())) as count:
            tasks = [asyncio.ensure_future(copy_some(count)) for _ in range(min(_AT_ONCE, len(changed)))]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return Fetched(name, _digest(versions), versions)

    def _link(self, root: str, name: str, version: str) -> bool:
        """Take an unchanged member from the copy that the cache has; return whether that could be done."""
        known = self._job.known
        if known is None or known.members.get(name) != version:
            return False
        try:
            os.link(os.path.join(known.path, name), place(root, name))
        except OSError:  # a file system without links
            return False
        return True

    async def _save(self, result: GetResult, size: int, path: str, count: Callable[[int], None]) -> None:
        """Write an object: a small one in one piece, for there may be thousands, a larger one in chunks."""
        done = 0
        with open(path, "wb") as file:
            if size <= _CHUNK_OF_MANY:
                whole = await self._asked(result.bytes_async())
                file.write(whole)
                done = len(whole)
                count(done)
            else:
                async with aclosing(self._chunks(result, _CHUNK_OF_MANY)) as chunks:
                    async for chunk in chunks:
                        file.write(chunk)
                        done += len(chunk)
                        count(len(chunk))
        if done < size:
            raise _broken_off(done, size)

    async def _save_with_help(
        self, result: GetResult, meta: ObjectMeta, path: str, count: Callable[[int], None]
    ) -> None:
        """Write a large object, over several connections if it takes its time: stores slow down a single one.

        The first connection goes from the front to the end, the others fetch parts from the end towards it. If
        anything is wrong with a part, the first goes on alone.
        """
        size = meta["size"]
        gap = _Gap(0, size)
        with open(path, "wb") as file:
            helped = asyncio.ensure_future(self._help(meta, gap, file, count))
            try:
                async with aclosing(self._chunks(result, _CHUNK)) as chunks:
                    async for chunk in chunks:
                        file.seek(gap.start)
                        file.write(chunk)
                        count(max(min(len(chunk), gap.end - gap.start), 0))
                        gap.start += len(chunk)
                        if gap.end < size and gap.start >= gap.end and await helped:
                            return
            finally:
                helped.cancel()
                await asyncio.gather(helped, return_exceptions=True)
        if gap.start < size:
            raise _broken_off(gap.start, size)

    async def _help(self, meta: ObjectMeta, gap: _Gap, file: IO[bytes], count: Callable[[int], None]) -> bool:
        """Fetch parts of an object until the gap is closed; return whether all that were begun are there."""

        async def fetch_some() -> None:
            while gap.end - gap.start > 2 * _PART:
                gap.end -= _PART
                start, end = gap.end, gap.end + _PART
                part = await self._asked(
                    obstore.get_async(self._opened.store, meta["path"], options={"range": (start, end)})
                )
                if part.meta["e_tag"] != meta["e_tag"]:
                    raise Failure("remote-changed", "it changed meanwhile")
                async with aclosing(self._chunks(part, _CHUNK_OF_MANY)) as chunks:
                    async for chunk in chunks:
                        file.seek(start)
                        file.write(chunk)
                        start += len(chunk)
                        count(len(chunk))
                if start != end:
                    raise _broken_off(start, end)

        await asyncio.sleep(_ALONE)
        if gap.start > _FAST * _ALONE:
            return False
        tasks = [asyncio.ensure_future(fetch_some()) for _ in range(_HELPERS)]
        try:
            await asyncio.gather(*tasks)
        except (BaseError, OSError, ValueError, Failure):
            return False
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return True

    async def _chunks(self, result: GetResult, least: int) -> AsyncGenerator[bytes, None]:
        """Yield an object in chunks of `least` bytes or more; the next one comes while the caller has one."""
        stream = result.stream(min_chunk_size=least)
        coming = self._asked(stream.__anext__())
        try:
            while True:
                try:
                    chunk = await coming
                except StopAsyncIteration:
                    return
                coming = self._asked(stream.__anext__())
                yield chunk
        finally:
            coming.cancel()
            del coming  # else the traceback would keep it


def _lay_out(prefix: str, found: Iterable[ObjectMeta]) -> _Tree:
    """Return the tree that a listing makes.

    Raises:
        Failure: An object has others below it, as no file can.
    """
    files = {meta["path"][len(prefix) :].lstrip("/"): meta for meta in found}
    files.pop("", None)  # the empty object `prefix/`, by which some tools mark a directory
    directories = {name[: slash.start()] for name in files for slash in re.finditer("/", name)}
    for name in directories & files.keys():
        if files.pop(name)["size"] > 0:
            raise Failure(
                "key-collision",
                f"it holds an object '{name}' and others below '{name}/': no file can be both",
            )
    return _Tree(frozenset(directories), files)


def _broken_off(done: int, size: int) -> Failure:
    return Failure("download-broken-off", f"the connection broke off after {done} of {size} bytes")


def _identifies(etag: str | None) -> bool:
    """Return whether bytes under the same ETag are the same."""
    return bool(etag) and not str(etag).startswith("W/")


def _is_etag(version: str) -> bool:
    return version.endswith('"')


def _version(meta: ObjectMeta) -> str:
    etag = meta["e_tag"]
    if not etag:
        return f"{meta['last_modified'].isoformat()}, {meta['size']} bytes"
    return etag if _is_etag(etag) else f'"{etag}"'  # Azure's listings leave the quotes out


def _digest(versions: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(versions.items())).encode()).hexdigest()


def _explained(error: Exception, opened: Opened) -> Failure:
    """Return the failure for what obstore says; it tells causes in the text alone."""
    text = str(error)
    said = " ".join(match[1].strip() for match in (_STATUS.search(text), _ERROR_CODE.search(text)) if match)
    if any(sign in text for sign in _NO_BUCKET):
        return Failure("remote-not-found", f"the bucket '{opened.bucket}' does not exist")
    if any(sign in text for sign in _OTHER_REGION):
        return Failure("wrong-region", f"the bucket '{opened.bucket}' is in another region", "set AWS_REGION")
    if said.startswith(("401", "403")):
        return Failure("remote-access-denied", f"access denied ({said})", opened.hint)
    if said:
        return Failure("remote-failed", f"the server answers {said}")
    if isinstance(error, (InvalidPathError, ValueError)):
        reason = text.partition("\n")[0]
        return Failure("unsafe-name", f"a key cannot be a path: {reason}")
    for signs, failure in _CAUSES:
        if any(sign in text for sign in signs):
            return Failure(*failure)
    return Failure("remote-failed", text.partition("\n")[0].rpartition(" - ")[2])
