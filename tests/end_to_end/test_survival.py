"""Runs that go wrong in every way that is not their own fault: killed, cut off from their store, full of secrets."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WAIT = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in sys.argv else signal.SIG_DFL)
print("begun", flush=True)
open("pid", "w").write(str(os.getpid())); os.rename("pid", "ready")
while not os.path.exists("go"):
    time.sleep(0.02)
"""


def state() -> Path:
    return Path(os.environ["XDG_STATE_HOME"]) / "dioptra" / "runs"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_dioptra_leaves_no_process_and_the_next_one_closes_its_run(
    dioptra: Any, project: Any, store: Any, start: Callable[..., Any]
) -> None:
    directory = project(
        "entry_points: {main: {command: 'python wait.py; echo after > after'}, quick: {command: 'true'}}",
        wait__py=WAIT,
    )
    running = start("run", str(directory), "-P", "lost=1")
    running.wait_for(directory / "ready")
    running.process.kill()
    running.end()
    wait_until(lambda: not is_running(int((directory / "ready").read_text())))
    assert not (directory / "after").exists()
    run = store.only
    assert run.status == "RUNNING"

    called = dioptra("run", str(directory), "-e", "quick")
    assert called.code == 0
    assert f"run {run.run_id} (main of {directory}): its dioptra was killed; closed as KILLED" in called.err
    killed = store.runs[0]
    assert (killed.run_id, killed.status, killed.ended) == (run.run_id, "KILLED", True)
    assert killed.parameters == {"lost": "1"}
    assert killed.tags["dioptra.end"] == "dioptra was killed"
    assert killed.artifact("logs/stdout.log") == "begun\n"
    assert json.loads(killed.artifact("parameters.json"))["entry_point"] == "main"
    assert not list(state().iterdir())


def test_a_run_that_is_still_running_is_let_alone(
    dioptra: Any, project: Any, store: Any, start: Callable[..., Any]
) -> None:
    directory = project(
        "entry_points: {main: {command: python wait.py}, quick: {command: 'true'}}", wait__py=WAIT
    )
    running = start("run", str(directory))
    running.wait_for(directory / "ready")
    called = dioptra("run", str(directory), "-e", "quick")
    assert "killed" not in called.err
    synced = dioptra("sync")
    assert (synced.code, "still running" in synced.err) == (0, True)
    refused = dioptra("sync", "--forget", store.runs[0].run_id)
    assert "still running" in refused.err
    (directory / "go").touch()
    code, said = running.end()
    assert code == 0, said
    assert [run.status for run in store.runs] == ["FINISHED", "FINISHED"]


def test_a_store_that_breaks_during_the_run_does_not_change_the_childs_result(
    dioptra: Any, project: Any, store: Any
) -> None:
    path = shlex.quote(str(store.path))
    command = f"echo precious; mv {path} {path}.away; mkdir {path}; exit 7"
    directory = project(
        "entry_points:\n  main:\n    parameters: {alpha: string}\n"
        f"    command: {json.dumps('true {alpha}; ' + command)}\n"
        "  quick: {command: 'true'}\n"
    )
    called = dioptra("run", str(directory), "-e", "main", "-P", "alpha=1", "--tracking-timeout", "0.2")
    assert called.code == 7
    assert "not recorded: status FAILED, parameters, tags: " in called.err
    assert "'dioptra sync' delivers it" in called.err

    kept = dioptra("sync", "--dry-run", "--json").json
    assert [(run["status"], run["became"], run["project"]) for run in kept] == [
        ("FAILED", "kept", str(directory))
    ]
    assert (Path(kept[0]["directory"]) / "artifacts/logs/stdout.log").read_text() == "precious\n"
    failed = dioptra("sync")
    assert (failed.code, "not delivered" in failed.err) == (125, True)

    store.path.rmdir()
    Path(f"{store.path}.away").rename(store.path)
    assert (
        "1 earlier run is not in the tracking store as a whole"
        in dioptra("run", str(directory), "-e", "quick").err
    )
    done = dioptra("sync")
    assert (done.code, ": delivered, FAILED" in done.err) == (0, True), done.err
    run = store.runs[0]
    assert (run.status, run.ended, run.parameters) == ("FAILED", True, {"alpha": "1"})
    assert run.tags["dioptra.exit_code"] == "7"
    assert run.artifact("logs/stdout.log") == "precious\n"
    again = dioptra("sync")
    assert (again.code, "nothing is kept" in again.err) == (0, True)


def test_what_is_kept_can_be_given_up(dioptra: Any, project: Any, store: Any) -> None:
    path = shlex.quote(str(store.path))
    directory = project(f"entry_points: {{main: {{command: 'rm {path}; mkdir {path}'}}}}")
    dioptra("run", str(directory), "--tracking-timeout", "0.2")
    (kept,) = dioptra("sync", "--dry-run", "--json").json
    unknown = dioptra("sync", "--forget", "nope")
    assert (unknown.code, "'nope'" in unknown.err) == (2, True)
    assert dioptra("sync", "--forget").code == 2
    assert dioptra("sync", "--forget", kept["run_id"]).code == 0
    assert not list(state().iterdir())


SECRET = 'hunter2 "quoted"'
TELLS = """\
import os, sys
print("given", sys.argv[1], "and", os.environ["API_TOKEN"], "for", sys.argv[2])
print(os.environ["VAULT_SECRET"], file=sys.stderr)
assert sys.argv[3] == "short-default"
"""


def test_secrets_reach_the_command_and_nothing_else(
    dioptra: Any, project: Any, store: Any, tmp_path: Path
) -> None:
    directory = project(
        "entry_points:\n"
        "  main:\n"
        "    parameters:\n"
        "      db_password: string\n"
        "      url: uri\n"
        "      my_token: {default: short-default}\n"
        "    command: python tells.py {db_password} {url} {my_token}\n"
        "  other:\n"
        "    parameters: {admin_password: {default: other-default}}\n"
        "    command: 'echo {admin_password}'\n",
        tells__py=TELLS,
    )
    url = "postgres://ada:swordfish@db.test/x"
    given = ("-P", f"db_password={SECRET}", "-P", f"url={url}", "--env", "API_TOKEN=tok-4711-x")
    environ = {"VAULT_SECRET": "from-the-vault", "PWD": str(tmp_path)}
    dry = dioptra("run", str(directory), *given, "--dry-run", env=environ)
    as_json = dioptra("run", str(directory), *given, "--dry-run", "--json", env=environ)
    called = dioptra("run", str(directory), *given, "--verbose", env=environ)
    assert called.code == 0, called.err
    # The command's own output is its own affair; what is kept of it is not.
    assert called.out == f"given {SECRET} and tok-4711-x for {url}\n"
    said_by_dioptra = [line for line in called.err.splitlines() if line != "from-the-vault"]
    secrets = ["hunter2", "swordfish", "tok-4711-x", "from-the-vault", "short-default", "other-default"]
    listed = [
        dioptra("list-entry-points", str(directory)),
        dioptra("list-entry-points", str(directory), "--json"),
        dioptra("run", str(directory), "-e", "other", "--help-entry-point"),
        dioptra("run", str(directory), "-P", f"db_password={SECRET}", "-P", f"db_password={SECRET}!"),
        dioptra("run", str(directory), "-P", f"db_password:{SECRET}"),
        dioptra("runs", "--tracking-uri", "postgress://ada:swordfish@h/x"),
    ]
    outputs = [text for each in (dry, as_json, *listed) for text in (each.out, each.err)]
    seen = "\n".join([*outputs, *said_by_dioptra])
    assert [secret for secret in secrets if secret in seen] == []

    run = store.only
    assert run.parameters == {"db_password": "***", "url": "postgres://***@db.test/x", "my_token": "***"}
    assert run.artifact("logs/stdout.log") == "given *** and *** for postgres://***@db.test/x\n".replace(
        "***@", "ada:***@"
    )
    assert run.artifact("logs/stderr.log") == "***\n"
    own = {directory / "MLproject", directory / "tells.py"}
    stored = [path for path in tmp_path.rglob("*") if path.is_file() and path not in own]
    assert any(path.name == "provenance.json" for path in stored)
    found = [(s, path) for path in stored for s in secrets if s.encode() in path.read_bytes()]
    assert found == []


def test_a_refused_call_does_not_quote_a_secret(dioptra: Any, project: Any) -> None:
    directory = project("entry_points: {main: {parameters: {api_key: float}, command: 'echo {api_key}'}}")
    called = dioptra("run", str(directory), "-P", "api_key=sesame-open")
    assert called.code == 2
    assert "api_key" in called.err
    assert "sesame" not in called.err


def test_the_evidence_of_a_run(dioptra: Any, project: Any, store: Any) -> None:
    directory = project(
        "entry_points: {main: {command: 'python burn.py'}}",
        burn__py="data = bytearray(60_000_000)\nwhile __import__('time').process_time() < 0.3: pass\n",
    )
    called = dioptra("run", str(directory), "--env", "MODE=fast", "--timeout", "60")
    assert called.code == 0
    run = store.only
    told = json.loads(run.artifact("provenance.json"))
    assert told["project"] == run.tags["dioptra.project"] == str(directory)
    assert told["command"] == run.tags["dioptra.command"] == "python burn.py"
    assert told["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert told["options"]["env"] == {"MODE": "fast"}
    assert told["options"]["timeout"] == 60
    assert told["environment"]["MODE"] == "fast"
    assert told["environment"]["MLFLOW_RUN_ID"] == run.run_id
    assert told["exit_code"] == 0
    assert told["started"] < told["ended"]
    assert 0.3 <= told["cpu_seconds"] == pytest.approx(float(run.tags["dioptra.cpu_seconds"]), abs=0.001)
    assert 60_000_000 < told["peak_memory_bytes"] == int(run.tags["dioptra.peak_memory"])
    packages = run.artifact("requirements.txt").splitlines()
    assert any(line.lower().startswith("mlflow==") for line in packages)
    assert [line.partition("==")[0].lower() for line in packages] == sorted(
        line.partition("==")[0].lower() for line in packages
    )


def test_capture_and_provenance_can_be_switched_off(dioptra: Any, project: Any, store: Any) -> None:
    directory = project("entry_points: {main: {command: 'echo out; echo err >&2'}}")
    called = dioptra("run", str(directory), "--no-capture", "--no-provenance")
    assert (called.code, called.out) == (0, "out\n")
    assert "err\n" in called.err
    run = store.only
    assert [path.name for path in run.artifacts.rglob("*") if path.is_file()] == ["parameters.json"]
    assert not {"mlflow.source.git.commit", "dioptra.working_tree"} & set(run.tags)
    assert run.status == "FINISHED"


def test_many_runs_at_once_on_a_store_that_is_not_there_yet(
    project: Any, start: Callable[..., Any], tmp_path: Path, store: Any
) -> None:
    store.path.unlink()
    directory = project("entry_points: {main: {command: 'true'}}")
    running = [start("run", str(directory), "--experiment-name", "together") for _ in range(8)]
    ended = [one.end() for one in running]
    assert [code for code, _ in ended] == [0] * 8, ended
    assert "locked" not in "".join(said for _, said in ended)
    assert [(run.status, run.experiment) for run in store.runs] == [("FINISHED", "together")] * 8
    assert not list(state().iterdir())


def test_a_server_that_stops_and_comes_back(
    dioptra: Any, project: Any, start: Callable[..., Any], mlflow_server: Any, free_port: int
) -> None:
    directory = project("entry_points: {main: {command: 'python wait.py; exit 3'}}", wait__py=WAIT)
    with mlflow_server(free_port) as address:
        running = start("run", str(directory), "--tracking-timeout", "8", MLFLOW_TRACKING_URI=address)
        running.wait_for(directory / "ready")
    (directory / "go").touch()
    code, said = running.end()
    assert code == 3, said
    assert "'dioptra sync' delivers it" in said
    environ = {"MLFLOW_TRACKING_URI": address}
    away = dioptra("sync", "--tracking-timeout", "1", env=environ)
    assert (away.code, "cannot reach the tracking server" in away.err) == (125, True)
    refused = dioptra("run", str(directory), "--tracking-timeout", "1", env=environ)
    assert (refused.code, "cannot reach the tracking server" in refused.err) == (125, True)
    with mlflow_server(free_port):
        done = dioptra("sync", env=environ)
        assert (done.code, ": delivered, FAILED" in done.err) == (0, True)
        (run,) = dioptra("runs", str(directory), "--json", env=environ).json
        assert (run["status"], run["exit_code"]) == ("FAILED", 3)
        assert dioptra("logs", run["run_id"], env=environ).out == "begun\n"


def test_ctrl_c_while_a_silent_server_is_waited_for(project: Any, start: Callable[..., Any]) -> None:
    directory = project("entry_points: {main: {command: touch ran}}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        running = start("run", str(directory), "--tracking-uri", address, "--tracking-timeout", "60")
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1) == b"P"  # it asks for a run, and will never hear
            running.signal(signal.SIGINT)
            code, said = running.end()
    assert code == 130, said
    assert not (directory / "ran").exists()


def test_ctrl_c_while_an_earlier_run_is_closed_ends_the_new_one(
    dioptra: Any, project: Any, store: Any, start: Callable[..., Any]
) -> None:
    directory = project(
        "entry_points: {main: {command: python wait.py}, quick: {command: touch ran}}", wait__py=WAIT
    )
    running = start("run", str(directory), "-e", "main")
    running.wait_for(directory / "ready")
    running.process.kill()
    running.end()
    with sqlite3.connect(store.path, isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        running = start("run", str(directory), "-e", "quick", "--tracking-timeout", "60")
        wait_until(lambda: any((state() / name).stat().st_atime for name in os.listdir(state())))
        assert running.process.stderr is not None
        time.sleep(6)  # past the imports, in the waiting for the database
        running.signal(signal.SIGINT)
        code, said = running.end()
        writer.execute("ROLLBACK")
    assert code == 130, said
    assert not (directory / "ran").exists()
    assert dioptra("sync").code == 0
    assert [run.status for run in store.runs] == ["KILLED"]
