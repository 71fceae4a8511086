"""A tracking server that is away, slow or broken: what becomes of a run, with servers that fail as told."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.errors import TrackingError
from dioptra_cli.tracking import open_tracker
from dioptra_cli.tracking.mlflow_client import MlflowTracker
from dioptra_cli.tracking.protocol import RunRequest, RunStatus
from dioptra_cli.tracking.rest import RestTracker

HANG = 20.0
"""Seconds that no call here takes, unless its time-out does not work."""


@dataclass(frozen=True)
class Says:
    """A whole answer."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None

    def __call__(self, handler: Any) -> None:
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(self.announced or len(self.body)))
        handler.end_headers()
        handler.wfile.write(self.body)
        if self.announced:
            handler.close_connection = True


def silence(handler: Any) -> None:
    """Say nothing until the other side hangs up."""
    with contextlib.suppress(OSError):
        handler.connection.recv(1)
    handler.close_connection = True


def drip(handler: Any) -> None:
    """Give a good answer, byte by byte: always something, and never all of it."""
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            handler.wfile.write(b" ")
            time.sleep(0.1)
    handler.close_connection = True


def reset(handler: Any) -> None:
    """Break the connection off."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())
    handler.close_connection = True


def hang_up(handler: Any) -> None:
    """End the connection in good order, without a word."""
    handler.close_connection = True


def forward(handler: Any, *, answer: bool = True) -> None:
    """Ask the real server, and pass on what it says, or not."""
    behind = http.client.HTTPConnection(handler.behind)
    behind.request(handler.command, handler.path, handler.content, {"Content-Type": "application/json"})
    said = behind.getresponse()
    body = said.read()
    behind.close()
    (Says(said.status, body) if answer else reset)(handler)


def lose(handler: Any) -> None:
    """Let the real server do it, and lose the answer."""
    forward(handler, answer=False)


Step = Callable[[Any], None]


class Handler(BaseHTTPRequestHandler):
    """Does what the test says for a request, the last of it again and again."""

    protocol_version = "HTTP/1.1"
    steps: list[Step]
    asked: list[str]
    behind: str

    def answer(self) -> None:
        self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(f"{self.command} {self.path.partition('?')[0].removeprefix('/api/2.0/')}")
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        step(self)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Quiet(ThreadingHTTPServer):
    """Does not print what becomes of a connection that breaks off."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(*steps: Step, behind: str = "") -> Iterator[tuple[str, list[str]]]:
    """Run a server that does one thing after the other; its URI, and what it is asked."""
    asked: list[str] = []
    place = behind.removeprefix("http://")
    handler = type("Scripted", (Handler,), {"steps": list(steps), "asked": asked, "behind": place})
    server = Quiet(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def failure(
    uri: str, timeout: float = 1.0, environ: Mapping[str, str] | None = None, **request: Any
) -> TrackingError:
    """Try to start a run; return what is said."""
    began = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        RestTracker(uri, environ or {}, timeout).start(RunRequest(**request))
    assert time.monotonic() - began < HANG
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (silence, "it did not answer within 1 s"),
        (drip, "it did not answer within 1 s"),
        (reset, "Connection reset by peer"),
        (hang_up, "it closed the connection without an answer"),
        (
            Says(500, b'{"error_code": "INTERNAL_ERROR", "message": "bo\\u001bom\\nmore"}'),
            r"HTTP 500: bo\x1bom",
        ),
        (Says(502, b"<html><head><title>502 Bad Gateway</title></head>"), "HTTP 502: Bad Gateway"),
        (Says(503, b""), "HTTP 503"),
        (Says(504, b"\xff"), "HTTP 504"),
        (Says(429, b"slow down"), "HTTP 429: slow down"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(getattr(value, "status", "")) or "text",
)
def test_a_server_that_fails_is_asked_until_the_time_is_over(step: Step, message: str) -> None:
    with serving(step) as (uri, asked):
        error = failure(uri, run_id="r")
    assert message in str(error)
    assert error.retryable
    assert set(asked) == {"GET mlflow/runs/get"}
    assert (len(asked) > 1) is (step not in (silence, drip))


def test_a_server_that_asks_for_more_time_than_there_is_is_left_alone() -> None:
    with serving(Says(429, b"", {"Retry-After": "3600"})) as (uri, asked):
        error = failure(uri, 60.0)
    assert "it asks to be left alone for 3600 s" in str(error)
    assert len(asked) == 1


@pytest.mark.parametrize("moment", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_server_that_may_be_asked_at_once_is_not_besieged(moment: str) -> None:
    with serving(Says(429, b"", {"Retry-After": moment})) as (uri, asked):
        error = failure(uri)
    assert "HTTP 429" in str(error)
    assert 2 <= len(asked) <= 8


def test_of_several_failures_the_one_is_told_that_the_server_names() -> None:
    with serving(Says(503, b"too many users"), silence) as (uri, _):
        error = failure(uri, run_id="r")
    assert "HTTP 503: too many users" in str(error)


def test_a_run_to_be_continued_is_marked_before_it_is_touched() -> None:
    known = b'{"run": {"info": {"run_id": "r", "experiment_id": "0", "artifact_uri": "/a"}}}'
    with serving(Says(200, known), Says(503, b"")) as (uri, asked):
        failure(uri, run_id="r", tags={"dioptra.token": "t"})
    assert set(asked[1:]) == {"POST mlflow/runs/log-batch"}


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (Says(400, b'{"error_code": "BAD", "message": "no"}'), "HTTP 400: no", None),
        (Says(401, b""), "HTTP 401", "set MLFLOW_TRACKING_USERNAME and"),
        (Says(403, b""), "HTTP 403", "set MLFLOW_TRACKING_USERNAME and"),
        (Says(404, b"<p>Not here"), "HTTP 404", None),
        (Says(501, b""), "HTTP 501", None),
        (Says(308, b"", {"Location": "https://a:b@h/x/api/2.0/y"}), "HTTP 308", "it is at https://***@h/x"),
        (Says(200, b"<html>"), "does not answer as an MLflow server", None),
        (Says(200, b"[1]"), "does not answer as an MLflow server", None),
        (Says(200, b"{}"), "answer has no 'run'", "the URI is the one"),
    ],
    ids=lambda value: str(getattr(value, "status", "")) or "text",
)
def test_a_server_that_says_no_is_asked_once(answer: Says, message: str, hint: str | None) -> None:
    with serving(answer) as (uri, asked):
        error = failure(uri.replace("//", "//ada:s3cret@"), HANG)
    assert message in str(error)
    assert "s3cret" not in str(error)
    assert not error.retryable
    assert len(asked) == 1
    assert (error.problems[0].hint or "").startswith(hint or "")


def test_nobody_is_there(free_port: int) -> None:
    error = failure(f"http://127.0.0.1:{free_port}", 0.5)
    assert "cannot reach the tracking server" in str(error)
    assert "Connection refused" in str(error)
    assert "--tracking-timeout" in (error.problems[0].hint or "")
    assert error.retryable
    assert failure("http://no-such-host.invalid", 0.5).retryable
    with serving(hang_up) as (uri, _):
        tracker = RestTracker(uri, {}, 0.5)
    with pytest.raises(TrackingError, match="Connection refused") as caught:
        tracker.close("r", RunStatus.FINISHED, 0)
    assert caught.value.retryable


@pytest.mark.parametrize("uri", ["http://[::1", "http://127.0.0.1:99999", "http://h:x", "http://"])
def test_a_malformed_uri(uri: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingError) as caught:
        open_tracker(uri, environ={}, directory="/", cache_directory=str(tmp_path), timeout=HANG)
    assert not caught.value.retryable
    assert uri in str(caught.value)


def test_a_host_that_drops_packets() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):  # the queue is full then, and the kernel does not answer any more
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        error = failure(f"http://127.0.0.1:{server.getsockname()[1]}", 0.5)
    assert "no answer" in str(error)
    assert error.retryable


def test_a_plain_server_behind_https() -> None:
    with serving(Says(200)) as (uri, asked):
        error = failure(uri.replace("http:", "https:"), HANG)
    assert not error.retryable
    assert asked == []


def test_a_run_gets_through_and_is_created_once(
    mlflow_server: Callable[[], AbstractContextManager[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # as `prepare_this_process` does
    with mlflow_server() as real:
        honest = RestTracker(real, {})
        busy, gone = Says(503), Says(429, headers={"Retry-After": "0"})

        # Whatever else is lost may be asked again.
        script: list[Step] = [busy, reset, forward, gone, hang_up, lose, busy, forward]
        with serving(*script, forward, behind=real) as (uri, asked):
            run = RestTracker(uri, {}, HANG).start(
                RunRequest(experiment_name="e", tags={"dioptra.token": "a'\"`\\1"})
            )
            assert asked[:3] == ["GET mlflow/experiments/get-by-name"] * 3
            assert "POST mlflow/experiments/create" in asked
        assert [each.run_id for each in honest.find({"dioptra.token": "a'\"`\\1"}, limit=9)] == [run.run_id]

        # The answer that says what run there is now is lost.
        with serving(lose, busy, forward, behind=real) as (uri, asked):
            request = RunRequest(tags={"dioptra.token": "2"})
            run = RestTracker(uri, {}, HANG).start(request)
            assert asked.count("POST mlflow/runs/create") == 1
        assert [each.run_id for each in honest.find({"dioptra.token": "2"}, limit=9)] == [run.run_id]

        # It was not created, and whether it was is looked up before it is asked for again.
        with serving(busy, forward, behind=real) as (uri, asked):
            run = RestTracker(uri, {}, HANG).start(RunRequest(tags={"dioptra.token": "3"}))
            assert asked[:3] == [f"POST mlflow/runs/{call}" for call in ("create", "search", "create")]
        assert [each.run_id for each in honest.find({"dioptra.token": "3"}, limit=9)] == [run.run_id]

        # Without a token nobody can tell.
        with serving(lose, forward, behind=real) as (uri, asked):
            assert failure(uri, HANG, tags={"x": "4"}).retryable
        assert len(honest.find({"x": "4"}, limit=9)) == 1

        # What is done at the end may be done twice; MLflow's own client is no worse.
        with serving(lose, forward, behind=real) as (uri, asked):
            RestTracker(uri, {}, HANG).close(run.run_id, RunStatus.KILLED, 1_900_000_000_123)
        assert honest.run(run.run_id).status == "KILLED"
        with serving(busy, forward, behind=real) as (uri, asked):
            careful = MlflowTracker.on_server(uri, HANG)
            assert careful.start(RunRequest(tags={"x": "5"})).experiment_id == "0"
        with serving(busy) as (uri, asked), pytest.raises(TrackingError) as caught:
            MlflowTracker.on_server(uri, 0.5).close(run.run_id, RunStatus.FAILED, 0)
        assert caught.value.retryable
        assert "\n" not in str(caught.value)


FILES = json.dumps({"files": [{"path": "a b.log"}, {"path": "d", "is_dir": True}]}).encode()
RUN = json.dumps(
    {"run": {"info": {"run_id": "r", "experiment_id": "0", "artifact_uri": "mlflow-artifacts:/0/r"}}}
).encode()


def test_an_artifact_arrives_whole_or_not_at_all(
    tmp_path: Path, small_files: Callable[[int | None], AbstractContextManager[None]]
) -> None:
    text = b"0123456789" * 20_000
    there = tmp_path / "there"
    torn = Says(200, text[:100_000], announced=len(text))
    with serving(Says(200, RUN), Says(200, FILES), torn, Says(503), Says(200, text)) as (uri, asked):
        fetched = RestTracker(uri, {}, HANG).fetch("r", "logs/a b.log", str(there))
        assert fetched == str(there / "a b.log")
        assert (there / "a b.log").read_bytes() == text
        assert asked.count("GET mlflow-artifacts/artifacts/0/r/logs/a%20b.log") == 3
    for path in ("logs/none", "logs/d", "../a b.log", "/a b.log", ""):
        with serving(Says(200, RUN), Says(200, FILES)) as (uri, asked):
            assert RestTracker(uri, {}, HANG).fetch("r", path, str(there)) is None
    for last, directory in ((torn, "torn"), (Says(200, text), "full"), (Says(200, text), "there/a b.log/x")):
        with serving(Says(200, RUN), Says(200, FILES), last) as (uri, asked):
            tracker = RestTracker(uri, {}, 1.0)
            with pytest.raises(TrackingError), small_files(50_000 if directory == "full" else None):
                tracker.fetch("r", "a b.log", str(tmp_path / directory))
    assert sorted(p.name for p in tmp_path.rglob("*") if ".cache" not in p.parts and p.is_file()) == [
        "a b.log"
    ]
    assert not list(tmp_path.rglob(".arriving*"))


def test_an_artifact_that_cannot_be_read_is_no_fault_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "dangling").symlink_to("nowhere")
    with serving(Says(200, RUN), Says(200)) as (uri, _), pytest.raises(TrackingError) as caught:
        RestTracker(uri, {}, HANG).log_artifacts("r", str(tmp_path / "d"))
    assert "dangling: No such file" in str(caught.value)
    assert not caught.value.retryable


def test_a_large_upload_that_is_turned_down_at_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "large").write_bytes(b"x" * 30_000_000)

    class Impatient(Handler):
        def answer(self) -> None:
            if self.command == "PUT":
                Says(413, b"too large")(self)
                self.close_connection = True
            else:
                Says(200, RUN)(self)

        do_GET = do_PUT = answer  # noqa: N815

    server = Quiet(("127.0.0.1", 0), Impatient)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        with pytest.raises(TrackingError) as caught:
            RestTracker(f"http://127.0.0.1:{server.server_port}", {}, 1.0).log_artifacts(
                "r", str(tmp_path / "d")
            )
    finally:
        server.shutdown()
        server.server_close()
    # Where the connection breaks before the answer is read, there is none.
    assert "413" in str(caught.value) or caught.value.retryable


@pytest.mark.parametrize(("retries", "times"), [("0", 1), ("2", 3)])
def test_a_server_is_asked_again_so_often(retries: str, times: int) -> None:
    with serving(Says(503)) as (uri, asked):
        error = failure(uri, HANG, {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": retries}, run_id="r")
    assert error.retryable
    assert len(asked) == times
    # A connection that was closed while nothing was asked is none of them.
    with serving(Says(200, RUN), hang_up, Says(503), Says(200, RUN)) as (uri, asked):
        tracker = RestTracker(uri, {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}, HANG)
        assert tracker.logged_parameters("r") == tracker.logged_parameters("r") == {}
        assert len(asked) == 4


def test_artifacts_of_this_machine_need_neither_the_server_nor_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("text")
    monkeypatch.setitem(sys.modules, "mlflow", None)  # it cannot be imported
    place = (tmp_path / "there").as_uri().encode()
    with serving(Says(200, RUN.replace(b"mlflow-artifacts:/0/r", place))) as (uri, asked):
        RestTracker(uri, {}, HANG).log_artifacts("r", str(tmp_path / "d"))
        assert asked == ["GET mlflow/runs/get"]
    assert (tmp_path / "there" / "f").read_text() == "text"
