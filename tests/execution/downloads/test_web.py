"""Downloads over HTTP, from servers that behave and from those that do not."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dioptra_cli.errors import DownloadError, Problem

if TYPE_CHECKING:
    from tests.execution.downloads.conftest import Certificates, Exchange, Fetch, WebServer

MONDAY = "Mon, 06 Jan 2025 00:00:00 GMT"
TUESDAY = "Tue, 07 Jan 2025 00:00:00 GMT"


def problem_of(fetch: Fetch, uri: str) -> Problem:
    """Return the one problem of a download that must fail, and leave nothing behind."""
    before = fetch.files()
    with pytest.raises(DownloadError) as raised:
        fetch(uri)
    assert fetch.files() == before
    (problem,) = raised.value.problems
    return problem


def tagged(content: Callable[[], bytes]) -> Callable[[Exchange], None]:
    """Return a reply that knows the ETag of its content, and what "not modified" means."""

    def reply(exchange: Exchange) -> None:
        etag = f'"{hashlib.md5(content()).hexdigest()}"'
        if exchange.request.headers.get("If-None-Match") == etag:
            exchange.whole(b"", 304, ETag=etag)
        else:
            exchange.whole(content(), ETag=etag)

    return reply


def test_file_of_the_name_in_the_uri(web: WebServer, fetch: Fetch) -> None:
    web.replies["/data/train.csv"] = lambda exchange: exchange.whole(b"a,b")
    uri = f"{web.url}/data/train.csv?download=1#part"
    path = fetch(uri)[uri]
    assert path.is_absolute()
    assert path.name == "train.csv"
    assert path.read_bytes() == b"a,b"


def test_unchanged_etag_sends_no_body_again(web: WebServer, fetch: Fetch) -> None:
    web.replies["/a"] = tagged(lambda: b"data")
    uri = f"{web.url}/a"
    assert fetch(uri) == fetch(uri)
    assert [request.body for request in web.requests] == [4, 0]


def test_changed_etag_is_fetched_again(web: WebServer, fetch: Fetch) -> None:
    content = [b"one"]
    web.replies["/a"] = tagged(lambda: content[0])
    uri = f"{web.url}/a"
    fetch.open(uri).close()
    content[0] = b"two"
    path = fetch(uri)[uri]
    assert path.read_bytes() == b"two"
    assert fetch.files() == [str(path.relative_to(fetch.cache))]


@pytest.mark.parametrize("etag", ['"same"', 'W/"same"', "same"])
def test_server_that_heeds_no_condition_is_believed_when_it_names_the_same_etag(
    web: WebServer, fetch: Fetch, etag: str
) -> None:
    web.replies["/a"] = lambda exchange: exchange.whole(b"data", ETag=etag)
    uri = f"{web.url}/a"
    assert fetch(uri) == fetch(uri)


def test_time_and_size_are_the_version_where_there_is_no_etag(web: WebServer, fetch: Fetch) -> None:
    content, time = [b"one"], [MONDAY]
    web.replies["/a"] = lambda exchange: exchange.whole(content[0], Last_Modified=time[0])
    uri = f"{web.url}/a"
    first = fetch(uri)
    assert fetch(uri) == first
    assert [request.method for request in web.requests] == ["GET", "HEAD"]
    time[0] = TUESDAY
    second = fetch(uri)
    assert second != first
    content[0] = b"three"
    assert fetch(uri)[uri].read_bytes() == b"three"


def test_older_time_is_a_change_too(web: WebServer, fetch: Fetch) -> None:
    time, content = [TUESDAY], [b"new"]
    web.replies["/a"] = lambda exchange: exchange.whole(content[0], Last_Modified=time[0])
    uri = f"{web.url}/a"
    fetch.open(uri).close()
    time[0], content[0] = MONDAY, b"old"
    assert fetch(uri)[uri].read_bytes() == b"old"


def test_server_that_refuses_head_is_asked_again(web: WebServer, fetch: Fetch) -> None:
    def reply(exchange: Exchange) -> None:
        if exchange.request.method == "HEAD":
            exchange.whole(b"", 405)
        else:
            exchange.whole(b"data", Last_Modified=MONDAY)

    web.replies["/a"] = reply
    uri = f"{web.url}/a"
    assert fetch(uri) == fetch(uri)


def test_unknown_version_is_fetched_each_time(web: WebServer, fetch: Fetch) -> None:
    contents = [b"one", b"two"]
    web.replies["/a"] = lambda exchange: exchange.whole(contents[exchange.count])
    uri = f"{web.url}/a"
    fetch.open(uri).close()
    path = fetch(uri)[uri]
    assert path.read_bytes() == b"two"
    assert fetch.files() == [str(path.relative_to(fetch.cache))]


def test_chunked_body(web: WebServer, fetch: Fetch) -> None:
    def reply(exchange: Exchange) -> None:
        exchange.head(200, Transfer_Encoding="chunked")
        for piece in (b"x" * 100_000, b"y"):
            exchange.body(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.body(b"0\r\n\r\n")

    web.replies["/a"] = reply
    uri = f"{web.url}/a"
    assert fetch(uri)[uri].read_bytes() == b"x" * 100_000 + b"y"


def test_body_that_ends_with_the_connection(web: WebServer, fetch: Fetch) -> None:
    def reply(exchange: Exchange) -> None:
        exchange.head(200, Connection="close")
        exchange.body(b"data")
        exchange.hang_up()

    web.replies["/a"] = reply
    uri = f"{web.url}/a"
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_empty_file(web: WebServer, fetch: Fetch) -> None:
    web.replies["/empty.txt"] = lambda exchange: exchange.whole(b"", ETag='"0"')
    uri = f"{web.url}/empty.txt"
    assert fetch(uri)[uri].read_bytes() == b""


def cut(exchange: Exchange) -> None:
    exchange.head(200, Content_Length="1000")
    exchange.body(b"x" * 500)
    exchange.hang_up()


def cut_chunk(exchange: Exchange) -> None:
    exchange.head(200, Transfer_Encoding="chunked")
    exchange.body(b"400\r\n" + b"x" * 500)
    exchange.hang_up()


def cut_between_chunks(exchange: Exchange) -> None:
    exchange.head(200, Transfer_Encoding="chunked")
    exchange.body(b"1f4\r\n" + b"x" * 500 + b"\r\n")
    exchange.hang_up()


def no_answer(exchange: Exchange) -> None:
    exchange.hang_up()


@pytest.mark.parametrize("reply", [cut, cut_chunk, cut_between_chunks, no_answer])
def test_connection_that_breaks_off_leaves_nothing(
    web: WebServer, fetch: Fetch, reply: Callable[[Exchange], None]
) -> None:
    web.replies["/a"] = reply
    problem = problem_of(fetch, f"{web.url}/a")
    assert "broke off" in problem.message
    assert len(web.requests) == fetch.settings.attempts


@pytest.mark.parametrize("reply", [cut, cut_chunk, cut_between_chunks, no_answer])
def test_connection_that_broke_off_is_tried_again(
    web: WebServer, fetch: Fetch, reply: Callable[[Exchange], None]
) -> None:
    web.replies["/a"] = lambda exchange: exchange.whole(b"data") if exchange.count else reply(exchange)
    uri = f"{web.url}/a"
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_broken_update_keeps_the_copy_that_was_whole(web: WebServer, fetch: Fetch) -> None:
    web.replies["/a"] = tagged(lambda: b"data")
    uri = f"{web.url}/a"
    path = fetch(uri)[uri]
    web.replies["/a"] = cut
    problem_of(fetch, uri)
    assert path.read_bytes() == b"data"


@pytest.mark.parametrize(
    ("status", "code", "requests"),
    [
        (404, "remote-not-found", 1),
        (410, "remote-not-found", 1),
        (401, "remote-access-denied", 1),
        (403, "remote-access-denied", 1),
        (400, "remote-failed", 1),
        (500, "remote-failed", 3),
        (503, "remote-failed", 3),
    ],
)
def test_errors_of_the_server(web: WebServer, fetch: Fetch, status: int, code: str, requests: int) -> None:
    web.replies["/a"] = lambda exchange: exchange.whole(b"sorry", status)
    problem = problem_of(fetch, f"{web.url}/a")
    assert problem.name == code
    assert f"{status}" in problem.message
    assert len(web.requests) == requests


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(web: WebServer, fetch: Fetch, status: int) -> None:
    def reply(exchange: Exchange) -> None:
        if exchange.count < 2:
            exchange.whole(b"sorry", status, Retry_After="0")
        else:
            exchange.whole(b"data")

    web.replies["/a"] = reply
    uri = f"{web.url}/a"
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_connection_refused(web: WebServer, fetch: Fetch) -> None:
    web.close()
    problem = problem_of(fetch, f"{web.url}/a")
    assert problem.name == "remote-unreachable"
    assert "connection refused" in problem.message


@pytest.mark.parametrize("uri", ["http://localhost:port/a", "http://[::1/a", "http:///a"])
def test_uris_that_are_none(fetch: Fetch, uri: str) -> None:
    assert uri in problem_of(fetch, uri).message


def test_silent_server_counts_as_gone(web: WebServer, fetch: Fetch) -> None:
    def stall(exchange: Exchange) -> None:
        exchange.head(200, Content_Length="1000")
        exchange.body(b"x")
        web.released.wait()

    web.replies["/a"] = stall
    fetch.configure(silence=0.2, attempts=1)
    assert "broke off after 1 of 1000" in problem_of(fetch, f"{web.url}/a").message


def test_redirect_keeps_the_name_that_was_asked_for(web: WebServer, fetch: Fetch) -> None:
    web.replies["/latest/train.csv"] = lambda exchange: exchange.whole(b"", 302, Location="/store/0815")
    web.replies["/store/0815"] = tagged(lambda: b"data")
    uri = f"{web.url}/latest/train.csv"
    path = fetch(uri)[uri]
    assert path.name == "train.csv"
    assert path.read_bytes() == b"data"
    assert fetch(uri)[uri] == path
    assert [request.body for request in web.asked("/store/0815")] == [4, 0]


def test_endless_redirect(web: WebServer, fetch: Fetch) -> None:
    web.replies["/a"] = lambda exchange: exchange.whole(b"", 302, Location="/a")
    assert problem_of(fetch, f"{web.url}/a").name == "remote-failed"


def test_credentials_in_the_uri(web: WebServer, fetch: Fetch) -> None:
    web.replies["/a"] = lambda exchange: exchange.whole(
        b"data", 200 if "Authorization" in exchange.request.headers else 401
    )
    uri = f"http://me:s%20ecret@127.0.0.1:{web.port}/a"
    fetch(uri)
    sent = web.requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"me:s ecret"
    assert web.requests[0].headers["Host"] == f"127.0.0.1:{web.port}"


def test_credentials_stay_with_their_server(web: WebServer, fetch: Fetch) -> None:
    web.replies["/here"] = lambda exchange: exchange.whole(b"", 302, Location="/there")
    web.replies["/there"] = lambda exchange: exchange.whole(
        b"", 302, Location=f"http://localhost:{web.port}/elsewhere"
    )
    web.replies["/elsewhere"] = lambda exchange: exchange.whole(b"data")
    fetch(f"http://me:secret@127.0.0.1:{web.port}/here")
    assert ["Authorization" in request.headers for request in web.requests] == [True, True, False]


def test_credentials_are_told_to_nobody(web: WebServer, fetch: Fetch) -> None:
    web.replies["/a"] = tagged(lambda: b"data")
    fetch(f"http://me:hunter2@127.0.0.1:{web.port}/a?token=hunter2")
    written = [path.read_text() for path in fetch.cache.rglob("*") if path.is_file()]
    assert "hunter2" not in "".join([*written, *map(str, fetch.cache.rglob("*"))])
    message = str(problem_of(fetch, f"http://me:hunter2@127.0.0.1:{web.port}/b?token=hunter2"))
    assert "hunter2" not in message
    assert "/b" in message


def test_another_password_means_the_same_file(web: WebServer, fetch: Fetch) -> None:
    web.replies["/a"] = tagged(lambda: b"data")
    paths = [
        fetch(uri)[uri] for uri in (f"http://me:{word}@127.0.0.1:{web.port}/a" for word in ("old", "new"))
    ]
    assert paths[0] == paths[1]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="train data.csv"', "train data.csv"),
        ("attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.csv", "größe.csv"),
        ('attachment; filename="../../../escape.csv"', "escape.csv"),
        ('attachment; filename="C:\\\\dir\\\\a.csv"', "a.csv"),
        ('attachment; filename=".."', "download"),
        ("inline", "get"),
    ],
)
def test_name_that_the_server_gives(web: WebServer, fetch: Fetch, disposition: str, name: str) -> None:
    web.replies["/get"] = lambda exchange: exchange.whole(b"data", Content_Disposition=disposition)
    uri = f"{web.url}/get?id=3"
    path = fetch(uri)[uri]
    assert path.name == name
    assert fetch.cache in path.parents
    assert path.read_bytes() == b"data"


@pytest.mark.parametrize(
    ("path", "asked", "name"),
    [
        ("/a b.csv", "/a%20b.csv", "a b.csv"),
        ("/a%20b.csv", "/a%20b.csv", "a b.csv"),
        ("/größe.csv", "/gr%C3%B6%C3%9Fe.csv", "größe.csv"),
        ("/a%2Fb.csv", "/a%2Fb.csv", "a_b.csv"),
        ("/%2e%2e", "/%2e%2e", "download"),
        ("/dir/", "/dir/", "dir"),
        ("/", "/", "download"),
        ("", "/", "download"),
    ],
)
def test_odd_paths(web: WebServer, fetch: Fetch, path: str, asked: str, name: str) -> None:
    web.replies[asked] = lambda exchange: exchange.whole(b"data")
    uri = web.url + path
    assert fetch(uri)[uri].name == name


def test_queries_tell_files_apart(web: WebServer, fetch: Fetch) -> None:
    web.replies["/get"] = lambda exchange: exchange.whole(exchange.request.path.encode(), ETag='"1"')
    paths = fetch(f"{web.url}/get?id=1", f"{web.url}/get?id=2")
    assert [path.read_bytes() for path in paths.values()] == [b"/get?id=1", b"/get?id=2"]


def test_proxy_of_the_environment(web: WebServer, fetch: Fetch) -> None:
    web.replies["http://data.example/a"] = lambda exchange: exchange.whole(b"through the proxy")
    fetch.use(http_proxy=web.url)
    uri = "http://data.example/a"
    assert fetch(uri)[uri].read_bytes() == b"through the proxy"


@pytest.mark.parametrize("exempt", ["127.0.0.1", "localhost,127.0.0.1", "*"])
def test_no_proxy(web: WebServer, fetch: Fetch, exempt: str) -> None:
    web.replies["/a"] = lambda exchange: exchange.whole(b"direct")
    fetch.use(HTTP_PROXY="http://127.0.0.1:1", NO_PROXY=exempt)
    uri = f"{web.url}/a"
    assert fetch(uri)[uri].read_bytes() == b"direct"


def test_certificate_that_is_not_trusted(tls: WebServer, fetch: Fetch) -> None:
    problem = problem_of(fetch, f"{tls.url}/a")
    assert "certificate is not trusted" in problem.message
    assert "SSL_CERT_FILE" in (problem.hint or "")
    assert tls.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificate_that_the_environment_trusts(
    tls: WebServer, fetch: Fetch, certificates: Certificates, variable: str
) -> None:
    tls.replies["/a"] = lambda exchange: exchange.whole(b"data")
    fetch.use(**{variable: certificates.authority})
    uri = f"{tls.url}/a"
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_file_of_certificates_that_does_not_exist(tls: WebServer, fetch: Fetch) -> None:
    fetch.use(SSL_CERT_FILE="/nowhere")
    assert "file of trusted certificates does not exist" in problem_of(fetch, f"{tls.url}/a").message
