"""Several downloads at once, in one process and in several: all or nothing, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dioptra_cli.errors import DownloadError

if TYPE_CHECKING:
    from tests.execution.downloads.conftest import Bucket, Exchange, Fetch, WebServer

DRIVER = str(Path(__file__).with_name("download_driver.py"))
BIG = 50_000_000
NO_LIMIT = 0
NEW_YEAR = "Wed, 01 Jan 2025 00:00:00 GMT"


def data(exchange: Exchange) -> None:
    exchange.whole(b"data", ETag='"1"')


class RecordedProgress:
    """Remembers what was shown."""

    def __init__(self) -> None:
        self.added: list[tuple[str, int | None]] = []
        self.sizes: dict[int, int] = {}
        self.finished: list[int] = []
        self._lock = threading.Lock()

    def add(self, name: str, total: int | None) -> int:
        with self._lock:
            self.added.append((name, total))
            self.sizes[len(self.added)] = 0
            return len(self.added)

    def advance(self, task: int, size: int) -> None:
        with self._lock:
            self.sizes[task] += size

    def finish(self, task: int) -> None:
        self.finished.append(task)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(fetch: Fetch) -> Iterator[Start]:
    """Start a process that downloads into the cache of `fetch`."""
    started: list[subprocess.Popen[str]] = []

    def begin(*uris: str, limit: int = NO_LIMIT, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, DRIVER, str(fetch.cache), str(limit), *uris],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def answer_of(process: subprocess.Popen[str]) -> Any:
    """Return what a process has to say, and let it end."""
    out, _ = process.communicate(timeout=60)
    return json.loads(out)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_nothing_to_download(fetch: Fetch) -> None:
    assert fetch() == {}
    assert not fetch.cache.exists()


def test_downloads_go_side_by_side(web: WebServer, fetch: Fetch) -> None:
    together = threading.Barrier(4)

    def reply(exchange: Exchange) -> None:
        together.wait(20)  # breaks unless all four are under way at once
        data(exchange)

    uris = [f"{web.url}/{number}" for number in range(4)]
    web.replies.update({f"/{number}": reply for number in range(4)})
    assert list(fetch(*uris)) == uris


def test_more_downloads_than_go_at_once(web: WebServer, fetch: Fetch) -> None:
    uris = [f"{web.url}/{number}" for number in range(30)]
    web.replies.update({f"/{number}": data for number in range(30)})
    assert [path.name for path in fetch(*uris).values()] == [str(number) for number in range(30)]


def test_same_uri_is_fetched_once(web: WebServer, fetch: Fetch) -> None:
    web.replies["/a"] = data
    uri = f"{web.url}/a"
    assert list(fetch(uri, uri, uri)) == [uri]
    assert len(web.requests) == 1


def test_all_failures_are_told_at_once(web: WebServer, fetch: Fetch, bucket: Bucket) -> None:
    fetch.use(**bucket.environ)
    web.replies["/denied"] = lambda exchange: exchange.whole(b"", 403)
    web.replies["/good"] = data
    uris = [
        f"{web.url}/missing",
        f"{web.url}/denied",
        bucket.uri("missing"),
        "foo://bar/baz",
        f"{web.url}/good",
    ]
    with pytest.raises(DownloadError) as raised:
        fetch(*uris)
    problems = raised.value.problems
    assert [problem.name for problem in problems] == [
        "remote-not-found",
        "remote-access-denied",
        "remote-not-found",
        "unknown-scheme",
    ]
    assert all(uri in problem.message for uri, problem in zip(uris, problems, strict=False))


def test_failure_stops_what_is_being_copied_and_leaves_nothing(
    web: WebServer, fetch: Fetch, bucket: Bucket
) -> None:
    copying = threading.Event()

    def stall(exchange: Exchange) -> None:
        exchange.head(200, Content_Length="1000", ETag='"1"', Last_Modified=NEW_YEAR)
        exchange.body(b"x" * 500)
        copying.set()
        web.released.wait()

    def fail(exchange: Exchange) -> None:
        copying.wait()
        time.sleep(0.1)  # until the other is reading the body
        exchange.whole(b"", 404)

    web.replies.update({"/stalls": stall, "/bucket/stalls": stall, "/fails": fail})
    fetch.use(MLFLOW_S3_ENDPOINT_URL=web.url, AWS_ACCESS_KEY_ID="me", AWS_SECRET_ACCESS_KEY="secret")
    with pytest.raises(DownloadError) as raised:
        fetch(f"{web.url}/stalls", "s3://bucket/stalls", f"{web.url}/fails")
    assert [problem.name for problem in raised.value.problems] == ["remote-not-found"]
    assert fetch.files() == []


@pytest.mark.parametrize("path", ["/waits", "/bucket/waits"])
def test_failure_does_not_wait_long_for_servers_that_do_not_answer(
    web: WebServer, fetch: Fetch, path: str
) -> None:
    asked = threading.Event()

    def wait(exchange: Exchange) -> None:
        asked.set()
        web.released.wait()
        exchange.hang_up()

    def fail(exchange: Exchange) -> None:
        asked.wait()
        exchange.whole(b"", 404)

    web.replies.update({path: wait, "/fails": fail})
    fetch.use(MLFLOW_S3_ENDPOINT_URL=web.url, AWS_ACCESS_KEY_ID="me", AWS_SECRET_ACCESS_KEY="secret")
    fetch.configure(grace=0.1, silence=20)  # and then it would be a second failure
    with pytest.raises(DownloadError) as raised:
        fetch("s3://bucket/waits" if "bucket" in path else web.url + path, f"{web.url}/fails")
    assert [problem.name for problem in raised.value.problems] == ["remote-not-found"]
    assert fetch.files() == []


def test_path_of_a_local_file_is_no_download(fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match="cannot download /etc/hosts"):
        fetch("/etc/hosts")


def test_progress(web: WebServer, fetch: Fetch, bucket: Bucket) -> None:
    fetch.use(**bucket.environ)
    for name in ("a", "b"):
        bucket.put(f"data/{name}", b"x" * 1000)
    web.replies["/big"] = lambda exchange: exchange.whole(b"x" * 3_000_000, ETag='"1"')
    progress = RecordedProgress()
    uris = [bucket.uri("data"), f"{web.url}/big"]
    fetch(*uris, progress=progress)
    assert sorted(progress.added) == [("big", 3_000_000), ("data", 2000)]
    assert sorted(progress.sizes.values()) == [2000, 3_000_000]
    assert sorted(progress.finished) == [1, 2]
    fetch(*uris, progress=progress)
    assert len(progress.added) == 2


def test_object_that_cannot_fit_is_not_even_begun(web: WebServer, fetch: Fetch) -> None:
    def reply(exchange: Exchange) -> None:
        exchange.head(200, Content_Length=str(10**18))
        exchange.hang_up()

    web.replies["/huge"] = reply
    with pytest.raises(DownloadError, match=r"no room for it: it has 1000000\.0 TB") as raised:
        fetch(f"{web.url}/huge")
    assert raised.value.problems[0].name == "disk-full"
    assert fetch.files() == []


@pytest.mark.parametrize("source", ["web", "object", "prefix"])
def test_disk_that_fills_up(web: WebServer, fetch: Fetch, bucket: Bucket, start: Start, source: str) -> None:
    # The limit of a file's size stands in for that of the disk: the kernel refuses the write in the same way.
    body = b"x" * 3_000_000
    web.replies["/big"] = lambda exchange: exchange.whole(body)
    bucket.put("data/big", body)
    uri = {"web": f"{web.url}/big", "object": bucket.uri("data/big"), "prefix": bucket.uri("data")}[source]
    assert answer_of(start(uri, limit=1_000_000, **bucket.environ)) == ["disk-full"]
    assert fetch.files() == []


def test_cache_directory_that_is_a_file(web: WebServer, fetch: Fetch) -> None:
    web.replies["/a"] = data
    fetch.cache.write_text("in the way")
    with pytest.raises(DownloadError) as raised:
        fetch(f"{web.url}/a")
    (problem,) = raised.value.problems
    assert problem.name == "cache-unusable"
    assert str(fetch.cache) in problem.message
    assert "--storage-dir" in (problem.hint or "")


@pytest.mark.parametrize("source", ["web", "object"])
def test_interrupt_ends_at_once_and_leaves_nothing(
    web: WebServer, fetch: Fetch, start: Start, source: str
) -> None:
    copying = threading.Event()

    def stall(exchange: Exchange) -> None:
        exchange.head(200, Content_Length=str(BIG), ETag='"1"', Last_Modified=NEW_YEAR)
        exchange.body(b"x" * (BIG // 2))
        copying.set()
        web.released.wait()

    web.replies.update({"/big": stall, "/bucket/big": stall})
    process = start(
        f"{web.url}/big" if source == "web" else "s3://bucket/big",
        AWS_ENDPOINT_URL=web.url,
        AWS_ACCESS_KEY_ID="me",
        AWS_SECRET_ACCESS_KEY="secret",
    )
    until(copying.is_set)
    assert fetch.files() != []
    process.send_signal(signal.SIGINT)
    assert answer_of(process) == "interrupted"
    assert process.returncode == 0
    assert fetch.files() == []


@pytest.mark.parametrize("path", ["/bucket/waits", "/waits"])
def test_interrupt_while_the_server_has_not_answered(
    web: WebServer, fetch: Fetch, start: Start, path: str
) -> None:
    def wait(exchange: Exchange) -> None:
        web.released.wait()
        exchange.hang_up()

    web.replies[path] = wait
    process = start(
        "s3://bucket/waits" if "bucket" in path else web.url + path,
        AWS_ENDPOINT_URL=web.url,
        AWS_ACCESS_KEY_ID="me",
        AWS_SECRET_ACCESS_KEY="secret",
    )
    until(lambda: web.asked(path))
    process.send_signal(signal.SIGINT)
    assert answer_of(process) == "interrupted"
    assert fetch.files() == []


def test_what_a_killed_process_leaves_is_removed_by_the_next(
    web: WebServer, fetch: Fetch, start: Start
) -> None:
    copying = threading.Event()

    def stall(exchange: Exchange) -> None:
        exchange.head(200, Content_Length=str(BIG))
        exchange.body(b"x" * (BIG // 2))
        copying.set()
        web.released.wait()

    web.replies["/big"] = stall
    web.replies["/other"] = data
    process = start(f"{web.url}/big")
    until(copying.is_set)
    process.kill()
    process.wait()
    assert fetch.files() != []
    path = fetch(f"{web.url}/other")[f"{web.url}/other"]
    assert fetch.files() == [str(path.relative_to(fetch.cache))]


def test_two_processes_fetch_one_uri_once(web: WebServer, fetch: Fetch, start: Start) -> None:
    waited_for = threading.Event()

    def reply(exchange: Exchange) -> None:
        if exchange.request.headers.get("If-None-Match") == '"1"':
            exchange.whole(b"", 304)
            return
        exchange.head(200, Content_Length=str(BIG), ETag='"1"')
        exchange.body(b"x" * (BIG // 2))
        waited_for.wait()
        exchange.body(b"x" * (BIG // 2))

    web.replies["/big"] = reply
    uri = f"{web.url}/big"
    process = start(uri)
    until(lambda: web.requests)

    class Waiting(RecordedProgress):
        def add(self, name: str, total: int | None) -> int:
            waited_for.set()  # lets the server send the rest to the other process
            return super().add(name, total)

    progress = Waiting()
    path = fetch(uri, progress=progress)[uri]
    assert [str(path)] == answer_of(process)
    assert path.read_bytes() == b"x" * BIG
    assert [request.body for request in web.requests] == [BIG, 0]
    assert progress.added == [(f"{uri}: another process is downloading it", None)]
    assert progress.finished == [1]
    assert fetch.files() == [str(path.relative_to(fetch.cache))]


def test_old_copy_stays_while_another_process_uses_it(web: WebServer, fetch: Fetch, start: Start) -> None:
    content = ["old"]
    web.replies["/a"] = lambda exchange: exchange.whole(content[0].encode(), ETag=f'"{content[0]}"')
    process = start(f"{web.url}/a")
    assert process.stdout is not None
    (old,) = (Path(path) for path in json.loads(process.stdout.readline()))
    content[0] = "new"
    new = fetch(f"{web.url}/a")[f"{web.url}/a"]
    assert (old.read_text(), new.read_text()) == ("old", "new")
    process.communicate()  # it was the last that used the old one
    assert fetch.files() == [str(new.relative_to(fetch.cache))]


def test_defect_of_ours_reaches_the_caller(fetch: Fetch) -> None:
    class Broken:
        def locate(self, uri: str) -> tuple[str, bool]:
            raise ZeroDivisionError(uri)

        def download(self, uri: str, directory: str) -> str:
            raise NotImplementedError

    fetch.configure(artifacts=Broken())
    with pytest.raises(ZeroDivisionError):
        fetch("runs:/1/a")


PEAK = """
import re, sys
from dioptra_cli.execution.downloads import Settings, fetch_all
from dioptra_cli.execution.environment import snapshot

def peak():
    with open("/proc/self/status") as status:  # unlike ru_maxrss without what the parent had
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) * 1024

cache, small, large = sys.argv[1:]
settings = Settings(snapshot())
fetch_all([small], cache_dir=cache, settings=settings).close()
before = peak()
fetch_all([large], cache_dir=cache, settings=settings).close()
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of one program")
@pytest.mark.parametrize("source", ["web", "object", "prefix"])
def test_memory_does_not_grow_with_the_object(web: WebServer, fetch: Fetch, source: str) -> None:
    """The large one has 16 times the size of the small one, and 5 times what may be added."""
    size = {"small": 10_000_000, "large": 160_000_000}
    piece = b"x" * 1_000_000

    def reply(exchange: Exchange) -> None:
        name = "small" if "small" in exchange.request.path else "large"
        exchange.head(200, Content_Length=str(size[name]), ETag='"1"', Last_Modified=NEW_YEAR)
        for _ in range(size[name] // len(piece)):
            exchange.body(piece)

    def listing(exchange: Exchange) -> None:
        name = "small" if "small" in exchange.request.path else "large"
        exchange.whole(
            f"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated><Contents><Key>{name}/a</Key>"
            f"<Size>{size[name]}</Size><ETag>&quot;1&quot;</ETag><LastModified>2025-01-01T00:00:00.000Z"
            "</LastModified></Contents></ListBucketResult>".encode()
        )

    web.replies.update({"/small": reply, "/large": reply, "/bucket": listing})
    web.replies.update({f"/bucket/{name}": reply for name in ("small", "large", "small/a", "large/a")})
    start = {"web": f"{web.url}/", "object": "s3://bucket/", "prefix": "s3://bucket/"}[source]
    end = "/" if source == "prefix" else ""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(fetch.cache), f"{start}small{end}", f"{start}large{end}"],
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": web.url,
            "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": "me",
        },
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    assert int(done.stdout) < 32_000_000
