"""`dioptra logs`: of runs that are recorded, and of runs that go on."""

from __future__ import annotations

import io
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.cli import logs, recorded
from dioptra_cli.errors import TrackingError
from dioptra_cli.execution import directories
from dioptra_cli.execution.spool import Ending, Spool
from dioptra_cli.tracking.protocol import RunStatus, StartedRun
from dioptra_cli.tracking.rest import RestTracker

OUT = b"one\n\xff\xfe\x00 \x1b[31mtwo\x1b[0m\r\nthree, torn"
ERR = b"warning\n"

SEED = """
import sys
from mlflow import MlflowClient

client = MlflowClient("sqlite:///mlflow.db")


def record(status, **tags):
    named = {"mlflow.source.type": "PROJECT", "mlflow.project.entryPoint": "main"}
    named |= {name.replace("__", "."): value for name, value in tags.items()}
    run_id = client.create_run("0", tags=named).info.run_id
    if status != "RUNNING":
        client.set_terminated(run_id, status)
    print(run_id)
    return run_id


whole = record("FINISHED", dioptra__project=sys.argv[1], dioptra__end="finished", dioptra__seconds="61.0")
client.log_artifact(whole, "stdout.log", "logs")
client.log_artifact(whole, "stderr.log", "logs")
record("RUNNING", dioptra__version="1", dioptra__host="elsewhere")
"""


@pytest.fixture(scope="module")
def recorded_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with runs; the directory it lies in, where `project` is their project, and their ids."""
    directory = tmp_path_factory.mktemp("store")
    (directory / "project").mkdir()
    (directory / "project" / "MLproject").write_text("entry_points: {main: {command: 'true'}}")
    (directory / "stdout.log").write_bytes(OUT)
    (directory / "stderr.log").write_bytes(ERR)
    done = subprocess.run(
        [sys.executable, "-c", SEED, str(directory / "project")],
        cwd=directory,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    return directory, done.stdout.split()


def test_the_logs_of_recorded_runs(
    recorded_runs: Any, dioptra: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory, (whole, elsewhere) = recorded_runs
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{directory}/mlflow.db")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    called = dioptra("logs", "-f", cwd=directory / "project")
    name = re.search(rf"dioptra: run {whole} \(([\w-]+)\) of main, FINISHED\n", called.err)
    assert name, called.err
    assert (called.code, os.fsencode(called.out), os.fsencode(called.err)) == (0, OUT, name[0].encode() + ERR)
    assert os.fsencode(dioptra("logs", name[1], "--stdout").out) == OUT
    called = dioptra("logs")  # no project here: the newest run of all
    assert f"run {elsewhere} has no" in called.err
    called = dioptra("logs", whole[:9], "--stdout", "--tail", "2")
    assert (called.code, os.fsencode(called.out), called.err) == (0, OUT.partition(b"\n")[2], "")
    called = dioptra("logs", elsewhere)
    assert (called.code, called.out) == (1, "")
    assert (
        "no stdout or stderr log: it is still running, and its logs come to the store when it" in called.err
    )
    assert "on the machine where it runs, elsewhere" in called.err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("dioptra-logs")] == []


Live = Callable[..., "LiveRun"]


class LiveRun:
    """A run that goes on, as far as other processes see: this one holds its lock."""

    def __init__(self, number: int, project: Path, name: str, tracking_uri: str, run_id: str | None) -> None:
        self.run_id = run_id or f"{number:04x}" * 8
        self.number = number
        self.started = StartedRun(self.run_id, "0", name, "file:///nowhere")
        self.spool = Spool.create(
            directories.runs(),
            project=str(project),
            entry_point="main",
            tracking_uri=tracking_uri,
            parameters={},
            has_secrets=False,
        )
        self.logs = Path(self.spool.entry.artifacts, "logs")

    @property
    def said(self) -> bytes:
        """What says that these are its logs, while it runs."""
        return f"dioptra: run {self.run_id} ({self.started.run_name}) of main, RUNNING\n".encode()

    def begin(self) -> None:
        # Two that begin in the same millisecond have no order.
        self.spool.note(run=self.started, started=self.spool.entry.journal.started + self.number % 256)

    def write(self, out: bytes, err: bytes = b"") -> None:
        self.logs.mkdir(exist_ok=True)
        for name, data in (("stdout", out), ("stderr", err)):
            with (self.logs / f"{name}.log").open("ab") as file:
                file.write(data)

    def end(self, *, keep: bool = True, code: int = 3, seconds: str = "1.5") -> None:
        tags = {
            "dioptra.end": f"failed with exit code {code}",
            "dioptra.exit_code": str(code),
            "dioptra.seconds": seconds,
        }
        self.spool.note(ending=Ending(RunStatus.FAILED, int(time.time() * 1000), tags))
        self.spool.close(keep=keep)


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """Start runs of the project in `tmp_path`, in a store that does not exist: nothing needs it."""
    started: list[LiveRun] = []

    def begin(
        name: str = "night",
        tracking_uri: str = "sqlite:////none/mlflow.db",
        run_id: str | None = None,
        *,
        has_begun: bool = True,
    ) -> LiveRun:
        run = LiveRun(0xAB00 + len(started), tmp_path, name, tracking_uri, run_id)
        if has_begun:
            run.begin()
        started.append(run)
        return run

    return begin


def test_what_a_run_has_written_so_far(live: Live, dioptra: Any, tmp_path: Path) -> None:
    run, other = live(), live("day")
    called = dioptra("logs", run.run_id)
    assert called.code == 1
    assert "it has only begun, or runs with --no-capture" in called.err
    run.write(OUT, ERR)
    other.write(b"other\n")
    for text in (run.run_id, run.run_id[:4], "night"):
        called = dioptra("logs", text)
        assert (called.code, os.fsencode(called.out), os.fsencode(called.err)) == (0, OUT, ERR)
    assert dioptra("logs").out == "other\n"  # the newest of those that run
    assert dioptra("logs", "night", "--stderr").out == ""
    assert os.fsencode(dioptra("logs", "night", "--stdout", "--stderr", "-n1").out) == b"three, torn"
    twin = live("day")
    called = dioptra("logs", "day")
    assert called.code == 2
    assert f"'day' may be one of several runs:\n  {twin.run_id}  RUNNING  main  " in called.err
    for each in (run, other, twin):
        each.end(keep=False)


class Following:
    """A `dioptra logs -f` that is under way."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dioptra_cli", "logs", "-f", *arguments],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.stdout = self.process.stdout

    def expect(self, text: bytes) -> None:
        """Wait until exactly this has been printed."""
        said = b""
        while len(said) < len(text):
            ready, _, _ = select.select([self.stdout], [], [], 60)
            piece = os.read(self.stdout.fileno(), len(text) - len(said)) if ready else b""
            assert piece, said
            said += piece
        assert said == text

    def end(self) -> tuple[int, bytes, bytes]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., Following]]:
    begun: list[Following] = []

    def begin(*arguments: str) -> Following:
        begun.append(Following(tmp_path, *arguments))
        return begun[-1]

    yield begin
    for following in begun:
        following.process.kill()
        following.process.communicate()


def test_following_a_run_to_its_end(live: Live, follow: Any) -> None:
    run = live()
    following = follow()  # before there is a log
    run.write(b"one\n", b"e1\n")
    following.expect(b"one\n")
    run.write(b"tw")
    following.expect(b"tw")
    run.write(b"o\n", b"e2")
    run.end()
    end = f"dioptra: failed with exit code 3 after 1.5 s · run {run.run_id} FAILED\n"
    assert following.end() == (0, b"o\n", run.said + b"e1\ne2" + end.encode())


def test_a_run_that_is_starting_is_waited_for(live: Live, follow: Any, tmp_path: Path) -> None:
    run = live(has_begun=False)
    following = follow()
    waiting = f"dioptra: waiting for main of {tmp_path}, which is starting\n".encode()
    assert following.process.stderr.readline() == waiting
    run.begin()
    run.write(b"one\n")
    following.expect(b"one\n")
    run.end(keep=False)
    assert following.end()[1] == b""


@pytest.mark.parametrize("is_named", [False, True])
def test_a_run_that_begins_while_the_store_is_opened(
    is_named: bool, live: Live, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run = live(has_begun=False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracker = RestTracker(f"http://127.0.0.1:{silent.getsockname()[1]}", {}, timeout=1.0)

        def opened(*_: Any, **__: Any) -> RestTracker:
            run.begin()
            run.write(OUT, ERR)
            return tracker  # it answers nothing, and need not be asked

        monkeypatch.setattr(recorded, "open_store", opened)
        try:
            code = logs._Logs(["stdout", "stderr"], None, False, None, 1.0).show(
                "night" if is_named else None
            )
        finally:
            tracker._http.disconnect()
    assert (code, *capfdbinary.readouterr()) == (0, OUT, (b"" if is_named else run.said) + ERR)
    run.end(keep=False)


def test_following_from_the_last_lines_on(live: Live, follow: Any) -> None:
    run = live()
    run.write(b"one\ntwo\nthree\n")
    following = follow("-n", "1", "--stdout")
    following.expect(b"three\n")
    run.write(b"four\n", b"unseen")
    run.spool.close(keep=True)  # as the kernel does when dioptra is killed
    code, out, err = following.end()
    assert (code, out) == (0, b"four\n")
    assert b"dioptra: warning: the dioptra of run" in err
    assert b"'dioptra sync' closes the run" in err


def test_a_duration_that_somebody_has_edited_is_no_duration(
    live: Live, capsys: pytest.CaptureFixture[str]
) -> None:
    run = live()
    run.end(seconds="soon")
    logs._Logs([], None, True, None, 1.0)._say_end(run.spool.entry)
    said = capsys.readouterr().err
    assert re.search(rf"failed with exit code 3 after .* · run {run.run_id} FAILED\n", said)


def test_stores_of_kept_runs_that_cannot_be_opened(live: Live, tmp_path: Path) -> None:
    removed = live(tracking_uri=f"sqlite:///{tmp_path}/removed.db")
    with pytest.raises(recorded.NoStoreError, match=r"removed\.db is not there any more"):
        recorded.store_of(removed.spool.entry, None, 5.0)
    assert not (tmp_path / "removed.db").exists()
    secret = live(tracking_uri="http://***@127.0.0.1:9")
    for given in (None, "http://ada:pw@127.0.0.2:9"):
        with pytest.raises(TrackingError, match="needs credentials, which are not kept"):
            recorded.store_of(secret.spool.entry, given, 1.0)
    with pytest.raises(TrackingError, match="cannot reach"):
        recorded.store_of(secret.spool.entry, "http://ada:pw@127.0.0.1:9", 0.5)


def test_a_run_that_is_delivered_while_it_is_followed(live: Live, follow: Any, recorded_runs: Any) -> None:
    directory, (whole, _) = recorded_runs
    run = live(tracking_uri=f"sqlite:///{directory}/mlflow.db", run_id=whole)
    run.write(b"one\n")
    (run.logs / "stderr.log").unlink()  # it comes, is delivered and removed between two looks
    following = follow(whole[:8])
    following.expect(b"one\n")
    run.end(keep=False)
    end = f"dioptra: finished after 1 min 1 s · run {whole} FINISHED\n"
    assert following.end() == (0, b"", ERR + end.encode())


def test_ctrl_c_ends_it_quietly(live: Live, follow: Any) -> None:
    run = live()
    run.write(b"one\n")
    following = follow()
    following.expect(b"one\n")
    following.process.send_signal(signal.SIGINT)
    assert following.end() == (130, b"", run.said)
    run.end(keep=False)


def test_a_reader_that_leaves_ends_it_quietly(live: Live, follow: Any) -> None:
    run = live()
    run.write(b"one\n")
    following = follow()
    following.expect(b"one\n")
    following.stdout.close()  # and the run writes no more, so that no write could fail
    assert following.process.wait(timeout=60) == 141
    assert following.process.stderr.read() == run.said
    run.end(keep=False)


def test_a_run_that_is_kept_is_printed_once(live: Live, dioptra: Any) -> None:
    run = live()
    run.write(OUT, ERR)
    run.end()
    called = dioptra("logs", "-f", run.run_id)
    assert (called.code, os.fsencode(called.out), os.fsencode(called.err)) == (0, OUT, ERR)
    listed = json.loads(dioptra("sync", "--dry-run", "--json").out)
    assert [entry["run_id"] for entry in listed] == [run.run_id]


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\nbb", "a\nbb\n", "\n\n\nccc\n\n", "a\nb\nc\nd\ne"])
def test_the_last_lines(text: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_CHUNK", chunk)
    for count in range(6):
        log = io.BytesIO(text.encode())
        logs._seek_lines(log, count)
        lines = text.splitlines(keepends=True)
        assert log.read().decode() == "".join(lines[len(lines) - min(count, len(lines)) :])
