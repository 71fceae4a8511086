"""Objects and prefixes of a real S3 server on this machine, and of servers that misbehave."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dioptra_cli.errors import DownloadError, Problem
from dioptra_cli.execution.downloads import NoProgress

if TYPE_CHECKING:
    from tests.execution.downloads.conftest import Bucket, Exchange, Fetch, WebServer

ODD_NAMES = [
    "a b.csv",
    "a%20b.csv",
    "a%2Fb.csv",
    "100%.csv",
    "a+b.csv",
    "a#b.csv",
    "a?b=c.csv",
    "größe.csv",
    "日本.csv",
    "it's.csv",
    'say "x".csv',
    "$(touch x).csv",
    "a;b.csv",
    "-rf.csv",
    "~.csv",
    "[a].csv",
    "a*b.csv",
    "x:y.csv",
    ".hidden",
    "back\\slash.csv",
]


@pytest.fixture
def bucket(bucket: Bucket, fetch: Fetch) -> Bucket:
    """Return an empty bucket that `fetch` has the credentials for."""
    fetch.use(**bucket.environ)
    return bucket


@pytest.fixture
def fake(web: WebServer, fetch: Fetch) -> WebServer:
    """Return a server whose answers a test defines, which `fetch` takes for S3."""
    fetch.use(MLFLOW_S3_ENDPOINT_URL=web.url, AWS_ACCESS_KEY_ID="me", AWS_SECRET_ACCESS_KEY="secret")
    return web


def problem_of(fetch: Fetch, uri: str) -> Problem:
    """Return the one problem of a download that must fail, and leave nothing behind."""
    before = fetch.files()
    with pytest.raises(DownloadError) as raised:
        fetch(uri)
    assert fetch.files() == before
    (problem,) = raised.value.problems
    return problem


def tree(root: Path) -> dict[str, bytes | None]:
    """Return the files below `root` with their content, and empty directories with None."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


def test_object_becomes_a_file_of_its_name(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("deep/train.csv", b"a,b\n1,2\n")
    uri = bucket.uri("deep/train.csv")
    path = fetch(uri)[uri]
    assert path.is_absolute()
    assert path.name == "train.csv"
    assert path.read_bytes() == b"a,b\n1,2\n"


def test_unchanged_object_is_not_sent_again(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("train.csv", b"one")
    uri = bucket.uri("train.csv")
    first = fetch(uri)
    bucket.forget()
    assert fetch(uri) == first
    assert bucket.requests == [("GET", f"/{bucket.name}/train.csv", 304)]


def test_changed_object_is_fetched_again_and_the_old_copy_goes(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("train.csv", b"one")
    uri = bucket.uri("train.csv")
    with fetch.open(uri) as first:
        old = first.paths[uri]
    bucket.put("train.csv", b"two")
    path = fetch(uri)[uri]
    assert path.read_bytes() == b"two"
    assert fetch.files() == [str(path.relative_to(fetch.cache))]
    assert str(path) != old


@pytest.mark.parametrize("slash", ["", "/"])
def test_prefix_becomes_a_directory_of_its_name(bucket: Bucket, fetch: Fetch, slash: str) -> None:
    for key in (
        "in/data/a.csv",
        "in/data/deep/b.csv",
        "in/data/deep/er/c.csv",
        "in/data2/no.csv",
        "in/no.csv",
    ):
        bucket.put(key, key.encode())
    uri = bucket.uri(f"in/data{slash}")
    path = fetch(uri)[uri]
    assert path.name == "data"
    assert tree(path) == {
        "a.csv": b"in/data/a.csv",
        "deep/b.csv": b"in/data/deep/b.csv",
        "deep/er/c.csv": b"in/data/deep/er/c.csv",
    }


@pytest.mark.parametrize("slash", ["", "/"])
def test_whole_bucket(bucket: Bucket, fetch: Fetch, slash: str) -> None:
    bucket.put("a.csv", b"1")
    bucket.put("data/b.csv", b"2")
    uri = f"s3://{bucket.name}{slash}"
    path = fetch(uri)[uri]
    assert path.name == bucket.name
    assert tree(path) == {"a.csv": b"1", "data/b.csv": b"2"}


def test_unchanged_prefix_is_listed_only(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("data/a.csv", b"1")
    bucket.put("data/b.csv", b"2")
    uri = bucket.uri("data/")
    first = fetch(uri)
    bucket.forget()
    assert fetch(uri) == first
    assert bucket.bodies() == []
    assert len(bucket.requests) == 1


def test_changed_prefix_fetches_what_changed(bucket: Bucket, fetch: Fetch) -> None:
    for name in ("same", "changes", "goes"):
        bucket.put(f"data/{name}", b"1")
    uri = bucket.uri("data")
    fetch.open(uri).close()
    bucket.put("data/changes", b"2")
    bucket.put("data/comes", b"3")
    bucket.delete("data/goes")
    bucket.forget()
    assert tree(fetch(uri)[uri]) == {"same": b"1", "changes": b"2", "comes": b"3"}
    assert sorted(bucket.bodies()) == ["data/changes", "data/comes"]


def test_object_wins_over_the_prefix_of_its_name_and_a_slash_means_the_prefix(
    bucket: Bucket, fetch: Fetch
) -> None:
    bucket.put("data", b"object")
    bucket.put("data/a.csv", b"member")
    paths = fetch(bucket.uri("data"), bucket.uri("data/"))
    assert paths[bucket.uri("data")].read_bytes() == b"object"
    assert tree(paths[bucket.uri("data/")]) == {"a.csv": b"member"}


def test_object_that_became_a_prefix(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("data", b"object")
    uri = bucket.uri("data")
    fetch.open(uri).close()
    bucket.delete("data")
    bucket.put("data/a.csv", b"member")
    assert tree(fetch(uri)[uri]) == {"a.csv": b"member"}


def test_empty_objects_that_mark_directories(bucket: Bucket, fetch: Fetch) -> None:
    for marker in ("data/", "data/empty/", "data/full/", "data/full/deep/"):
        bucket.put(marker, b"")
    bucket.put("data/full/a.csv", b"1")
    bucket.put("data/zero.csv", b"")
    uri = bucket.uri("data")
    path = fetch(uri)[uri]
    assert tree(path) == {"empty": None, "full/deep": None, "full/a.csv": b"1", "zero.csv": b""}
    bucket.forget()
    assert fetch(uri)[uri] == path
    assert bucket.bodies() == []


def test_prefix_that_holds_only_its_own_marker_is_an_empty_directory(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("data/", b"")
    uri = bucket.uri("data/")
    assert tree(fetch(uri)[uri]) == {}
    assert fetch(uri)[uri].is_dir()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_taken_as_they_are(bucket: Bucket, fetch: Fetch, name: str) -> None:
    bucket.put(f"in/{name}", b"alone")
    bucket.put(f"data/{name}/{name}", b"member")
    paths = fetch(bucket.uri(f"in/{name}"), bucket.uri("data"))
    assert paths[bucket.uri(f"in/{name}")].name == name
    assert paths[bucket.uri(f"in/{name}")].read_bytes() == b"alone"
    assert tree(paths[bucket.uri("data")]) == {f"{name}/{name}": b"member"}


def test_name_too_long_for_a_file_keeps_its_extension(bucket: Bucket, fetch: Fetch) -> None:
    uris = [bucket.uri("é" * 200 + end) for end in ("1.csv", "2.csv")]
    for uri in uris:
        bucket.put(uri.rpartition("/")[2], uri[-5:].encode())
    paths = fetch(*uris)
    assert [path.suffix for path in paths.values()] == [".csv", ".csv"]
    assert [path.read_bytes() for path in paths.values()] == [b"1.csv", b"2.csv"]


@pytest.mark.parametrize("key", ["data/../../escape.csv", "data/./x.csv", "data//x.csv"])
def test_prefix_with_keys_that_are_no_paths_is_refused(bucket: Bucket, fetch: Fetch, key: str) -> None:
    bucket.put("data/a.csv", b"1")
    bucket.put(key, b"2")
    problem = problem_of(fetch, bucket.uri("data"))
    assert problem.name == "unsafe-name"
    assert not list(fetch.cache.parent.rglob("escape.csv"))


def test_object_that_is_also_a_directory_is_refused(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("data/a", b"file")
    bucket.put("data/a/b", b"below it")
    problem = problem_of(fetch, bucket.uri("data"))
    assert problem.name == "key-collision"
    assert "'a'" in problem.message


def test_nothing_of_that_name(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("data/a.csv", b"1")
    problem = problem_of(fetch, bucket.uri("dat"))
    assert problem.name == "remote-not-found"
    assert bucket.uri("dat") in problem.message


def test_wildcards_get_a_hint(bucket: Bucket, fetch: Fetch) -> None:
    bucket.put("data/a.csv", b"1")
    assert "wildcards" in (problem_of(fetch, bucket.uri("data/*.csv")).hint or "")


@pytest.mark.parametrize("key", ["train.csv", "data/", ""])
def test_bucket_that_does_not_exist(bucket: Bucket, fetch: Fetch, key: str) -> None:
    problem = problem_of(fetch, f"s3://no-such-bucket-here/{key}")
    assert problem.name == "remote-not-found"
    assert "bucket 'no-such-bucket-here' does not exist" in problem.message


def test_uri_without_a_bucket(fetch: Fetch) -> None:
    assert problem_of(fetch, "s3:///train.csv").name == "bad-uri"


def test_connection_refused(fetch: Fetch, web: WebServer) -> None:
    web.close()
    fetch.use(AWS_ENDPOINT_URL=web.url, AWS_ACCESS_KEY_ID="me", AWS_SECRET_ACCESS_KEY="secret")
    problem = problem_of(fetch, "s3://bucket/train.csv")
    assert problem.name == "remote-unreachable"
    assert "connection refused" in problem.message


def denied(exchange: Exchange) -> None:
    exchange.whole(b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>", 403)


def test_access_denied(fake: WebServer, fetch: Fetch) -> None:
    fake.replies["/bucket/train.csv"] = denied
    problem = problem_of(fetch, "s3://bucket/train.csv")
    assert problem.name == "remote-access-denied"
    assert "access denied (403 Forbidden AccessDenied)" in problem.message


def test_server_that_recovers_is_asked_again(fake: WebServer, fetch: Fetch) -> None:
    def reply(exchange: Exchange) -> None:
        exchange.whole(b"data", 503 if exchange.count == 0 else 200, Last_Modified=NEW_YEAR)

    fake.replies["/bucket/train.csv"] = reply
    assert fetch("s3://bucket/train.csv")["s3://bucket/train.csv"].read_bytes() == b"data"


def test_server_that_does_not_recover(fake: WebServer, fetch: Fetch) -> None:
    fake.replies["/bucket/train.csv"] = lambda exchange: exchange.whole(b"", 503)
    problem = problem_of(fetch, "s3://bucket/train.csv")
    assert problem.name == "remote-failed"
    assert "503" in problem.message
    assert len(fake.requests) == fetch.settings.attempts


NEW_YEAR = "Wed, 01 Jan 2025 00:00:00 GMT"


def test_object_without_etag_has_its_time_and_size_for_a_version(fake: WebServer, fetch: Fetch) -> None:
    modified = [NEW_YEAR]
    fake.replies["/bucket/a"] = lambda exchange: exchange.whole(b"data", Last_Modified=modified[0])
    uri = "s3://bucket/a"
    first = fetch(uri)
    assert fetch(uri) == first
    modified[0] = "Thu, 02 Jan 2025 00:00:00 GMT"
    assert fetch(uri) != first


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_body_that_breaks_off_leaves_nothing(fake: WebServer, fetch: Fetch, size: int) -> None:
    def reply(exchange: Exchange) -> None:
        if exchange.count == 0:  # what follows asks for the rest, and gets no answer
            exchange.head(200, Content_Length=str(size), ETag='"1"', Last_Modified=NEW_YEAR)
            exchange.body(b"x" * (size // 2))
        exchange.hang_up()

    fake.replies["/bucket/train.csv"] = reply
    problem = problem_of(fetch, "s3://bucket/train.csv")
    assert problem.name == "download-broken-off"


LARGE = b"".join(number.to_bytes(4, "big") for number in range(6_000_000))


def slow_first_connection(exchange: Exchange, goes_on: threading.Event) -> range | None:
    """Answer who wants all of `LARGE`, with a stop near the start; return the range that another one wants."""
    wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", exchange.request.headers.get("range", ""))
    if wanted:
        return range(int(wanted[1]), int(wanted[2]) + 1)
    exchange.head(200, Content_Length=str(len(LARGE)), ETag='"1"', Last_Modified=NEW_YEAR)
    exchange.body(LARGE[:1_000_000])
    goes_on.wait(20)
    with suppress(OSError):  # the client has gone: it has all that it needs
        exchange.body(LARGE[1_000_000:])
    return None


def send_part(exchange: Exchange, part: range, etag: str = '"1"', content: bytes = LARGE) -> None:
    exchange.whole(
        content[part.start : part.stop],
        206,
        Content_Range=f"bytes {part.start}-{part.stop - 1}/{len(LARGE)}",
        ETag=etag,
        Last_Modified=NEW_YEAR,
    )


def test_object_that_takes_long_comes_over_several_connections(fake: WebServer, fetch: Fetch) -> None:
    parts: list[range] = []
    enough = threading.Event()

    def reply(exchange: Exchange) -> None:
        if part := slow_first_connection(exchange, enough):
            send_part(exchange, part)
            parts.append(part)
            if sum(map(len, parts)) > len(LARGE) / 2:
                enough.set()

    class Counted(NoProgress):
        size = 0

        def advance(self, task: int, size: int) -> None:
            del task
            self.size += size

    fake.replies["/bucket/large"] = reply
    progress, uri = Counted(), "s3://bucket/large"
    assert fetch(uri, progress=progress)[uri].read_bytes() == LARGE
    assert enough.is_set()
    assert len({part.start for part in parts}) == len(parts) > 2
    assert progress.size == len(LARGE)


@pytest.mark.parametrize("answer", ["changed", "denied", "all of it", "cut off"])
def test_object_comes_over_one_connection_if_the_others_get_something_else(
    fake: WebServer, fetch: Fetch, answer: str
) -> None:
    asked = threading.Event()

    def reply(exchange: Exchange) -> None:
        part = slow_first_connection(exchange, asked)
        if part is None:
            return
        asked.set()
        with suppress(OSError):  # the client reads no further than it has to
            get_something_else(exchange, part)

    def get_something_else(exchange: Exchange, part: range) -> None:
        if answer == "changed":
            send_part(exchange, part, etag='"2"', content=b"x" * len(LARGE))
        elif answer == "denied":
            denied(exchange)
        elif answer == "all of it":
            exchange.whole(LARGE, ETag='"1"', Last_Modified=NEW_YEAR)
        else:
            exchange.head(
                206,
                Content_Length=str(len(part)),
                Content_Range=f"bytes {part.start}-{part.stop - 1}/{len(LARGE)}",
                ETag='"1"',
                Last_Modified=NEW_YEAR,
            )
            exchange.body(b"x" * 1000)
            exchange.hang_up()

    fake.replies["/bucket/large"] = reply
    uri = "s3://bucket/large"
    assert fetch(uri)[uri].read_bytes() == LARGE
    assert asked.is_set()


def test_bucket_in_another_region_is_found(fake: WebServer, fetch: Fetch) -> None:
    def reply(exchange: Exchange) -> None:
        if "/eu-west-3/s3/" in exchange.request.headers["authorization"]:
            exchange.whole(b"data", Last_Modified=NEW_YEAR)
        else:
            exchange.whole(b"<Error><Code>PermanentRedirect</Code></Error>", 301)

    fake.replies["/bucket/train.csv"] = reply
    fake.replies["/bucket"] = lambda exchange: exchange.whole(b"", 301, x_amz_bucket_region="eu-west-3")
    uri = "s3://bucket/train.csv"
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_bucket_in_a_region_that_nobody_tells(fake: WebServer, fetch: Fetch) -> None:
    fake.replies["/bucket/train.csv"] = lambda exchange: exchange.whole(b"", 301)
    problem = problem_of(fetch, "s3://bucket/train.csv")
    assert problem.name == "wrong-region"
    assert "AWS_REGION" in (problem.hint or "")


def listing(*keys: str, after: str = "") -> bytes:
    """Return an answer that lists objects of four bytes, with the token that the next page is asked for with."""
    members = "".join(
        f"<Contents><Key>{key}</Key><Size>4</Size><ETag>&quot;1&quot;</ETag>"
        "<LastModified>2025-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{after}</NextContinuationToken>" if after else ""
    truncated = "true" if after else "false"
    return (
        f"<ListBucketResult><Name>bucket</Name><IsTruncated>{truncated}</IsTruncated>{more}{members}"
        "</ListBucketResult>"
    ).encode()


def test_prefix_that_is_listed_in_pages(fake: WebServer, fetch: Fetch) -> None:
    def reply(exchange: Exchange) -> None:
        if "continuation-token=there" in exchange.request.path:
            exchange.whole(listing("data/b"))
        else:
            exchange.whole(listing("data/a", after="there"))

    fake.replies["/bucket"] = reply
    for name in ("a", "b"):
        fake.replies[f"/bucket/data/{name}"] = lambda exchange: exchange.whole(
            b"data", ETag='"1"', Last_Modified=NEW_YEAR
        )
    uri = "s3://bucket/data/"
    assert tree(fetch(uri)[uri]) == {"a": b"data", "b": b"data"}


def test_failed_member_stops_the_others(fake: WebServer, fetch: Fetch) -> None:
    fake.replies["/bucket"] = lambda exchange: exchange.whole(listing("data/0", "data/1", "data/2"))
    waiting = threading.Barrier(3)

    def wait(exchange: Exchange) -> None:
        waiting.wait()
        fake.released.wait()

    def fail(exchange: Exchange) -> None:
        waiting.wait()
        denied(exchange)

    fake.replies.update({"/bucket/data/0": wait, "/bucket/data/1": fail, "/bucket/data/2": wait})
    assert problem_of(fetch, "s3://bucket/data/").name == "remote-access-denied"
