"""`dioptra server` with MLflow's own server, which takes seconds to start: each test does much with one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.execution import local_server

LOCAL_CLIENT = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
made = client.get_experiment(client.create_experiment("local"))
run = client.create_run(made.experiment_id)
client.log_text(run.info.run_id, "what the run says", "said/it.txt")
print(json.dumps([made.experiment_id, made.artifact_location, run.info.run_id]))
"""


PROJECT = """\
entry_points:
  main:
    parameters: {a: float}
    command: echo "$MLFLOW_TRACKING_URI"
"""
PROC = os.path.isdir("/proc/self")
IMPORTED = re.compile(r"\| +mlflow\.")


@pytest.fixture(autouse=True)
def _all_stopped() -> Iterator[None]:
    yield
    for server in local_server.running():
        local_server.stop(server, force=True)


def call(url: str, body: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


def listening(port: int) -> set[str]:
    """The addresses that somebody listens on at a port, as the kernel writes them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, _, number = line.split()[1].partition(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                found.add(address)
    return found


def marked() -> list[str]:
    """The command lines of what runs for a server that this test has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environ = (place / "environ").read_bytes()
            if b"DIOPTRA_SERVER=" in environ and os.fsencode(os.environ["XDG_STATE_HOME"]) in environ:
                found.append((place / "cmdline").read_text())
    return found


def is_mlflow(pid: str) -> bool:
    """Whether a process is one of MLflow's own of a server that this test has started."""
    with contextlib.suppress(OSError):
        place = Path("/proc") / pid
        environ, command = (place / "environ").read_bytes(), (place / "cmdline").read_text()
        is_ours = b"DIOPTRA_SERVER=" in environ and os.fsencode(os.environ["XDG_STATE_HOME"]) in environ
        return is_ours and ("mlflow\0server" in command or "uvicorn" in command) and "daemon" not in command
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_from_its_start_to_its_end(dioptra: Any, store: Any, tmp_path: Path) -> None:
    here = tmp_path / "a place"
    here.mkdir()
    for_others = {"MLFLOW_HOST": "0.0.0.0", "MLFLOW_GUNICORN_OPTS": "-w 9", "UVICORN_HOST": "0.0.0.0"}
    for_others["MLFLOW_SERVER_ALLOWED_HOSTS"] = "*"
    started = dioptra("server", "start", cwd=here, env=for_others)
    assert started.code == 0, started.err
    url = started.out.strip()
    assert "ends by itself after 1 h without use" in started.err
    again = dioptra("server", "start", cwd=here, env={"MLFLOW_TRACKING_URI": f"sqlite:///{here}/mlflow.db"})
    assert (again.code, again.out.strip()) == (0, url)
    assert "is running already" in again.err

    status = dioptra("server", "status", "--json", cwd=here)
    (server,) = status.json
    assert status.code == 0
    assert (server["url"], server["store"], server["here"]) == (url, str(here / "mlflow.db"), True)
    assert (server["directory"], server["users"]) == (str(here), [])
    assert 3000 < server["ends_in"] <= 3600
    elsewhere = dioptra("server", "status")
    assert elsewhere.code == 1
    assert url in elsewhere.out
    assert "no server is running for the store here" in elsewhere.err

    assert b"MLflow" in call(url)
    if os.path.exists("/proc/net/tcp"):
        assert listening(server["port"]) == {"0100007F"}
    for headers in ({"Host": "example.org"}, {"Origin": "http://example.org"}):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            call(f"{url}/api/2.0/mlflow/experiments/create", {"name": "evil"}, headers)

    # What is made through the server is as if there were none, and the server shows what was made without it.
    told = subprocess.check_output([sys.executable, "-c", LOCAL_CLIENT], cwd=here, text=True)
    identity, location, run_id = json.loads(told.splitlines()[-1])
    made = json.loads(call(f"{url}/api/2.0/mlflow/experiments/create", {"name": "remote"}))["experiment_id"]
    answer = json.loads(call(f"{url}/api/2.0/mlflow/experiments/get?experiment_id={made}"))
    assert answer["experiment"]["artifact_location"] == f"{location.removesuffix(identity)}{made}"
    assert call(f"{url}/get-artifact?path=said/it.txt&run_uuid={run_id}") == b"what the run says"

    # Runs here use it: without MLflow in the process, and as if there were none for their script.
    (here / "MLproject").write_text(PROJECT)
    imports = {"PYTHONPROFILEIMPORTTIME": "1"}
    ran = dioptra("run", ".", "-P", "a=1", "--experiment-name", "new", cwd=here, env=imports)
    assert (ran.code, ran.out) == (0, f"sqlite:///{here}/mlflow.db\n"), ran.err
    assert not IMPORTED.search(ran.err)
    listed = dioptra("runs", "--json", cwd=here, env=imports)
    assert [run["status"] for run in listed.json] == ["FINISHED"]
    assert not IMPORTED.search(listed.err)
    # From elsewhere, new experiments would get the wrong place for their artifacts.
    other = dioptra(
        "run", str(here), "-P", "a=1", "--tracking-uri", f"sqlite:///{here}/mlflow.db", env=imports
    )
    assert IMPORTED.search(other.err)
    through, direct = type(store)(here / "mlflow.db").runs[-2:]
    assert (through.parameters, through.status) == (direct.parameters, direct.status)
    assert set(through.tags) == set(direct.tags)
    assert through.artifacts.parent.parent.parent == here / "mlruns"
    assert through.artifact("logs/stdout.log") == direct.artifact("logs/stdout.log")

    found = local_server.find(str(here / "mlflow.db"))
    assert found is not None
    assert found.users() == []
    # One that takes connections and does not answer is done without.
    hung = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_mlflow(pid)] if PROC else []
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    ran = dioptra("run", ".", "-P", "a=1", cwd=here, env=imports)
    for pid in hung:
        os.kill(pid, signal.SIGCONT)
    assert ran.code == 0, ran.err
    assert bool(IMPORTED.search(ran.err)) == PROC
    with local_server.use(found):
        assert "1 run uses it" in dioptra("server", "status", cwd=here).out
        assert dioptra("server", "status", "--json", cwd=here).json[0]["users"] == [os.getpid()]
        refused = dioptra("server", "stop", cwd=here)
        assert refused.code == 125
        assert f"a run uses the server at {url}" in refused.err
    assert dioptra("server", "stop").err == "dioptra: no server is running for the store here\n"
    stopped = dioptra("server", "stop", cwd=here)
    assert (stopped.code, stopped.out) == (0, "")
    assert f"the server at {url} for {here}/mlflow.db has ended" in stopped.err
    assert os.listdir(os.path.dirname(found.place)) == []
    if os.path.isdir("/proc/self"):
        wait_for(lambda: marked() == [])
    assert dioptra("server", "stop", "--all", cwd=here).err == "dioptra: no server is running\n"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    starting = subprocess.Popen(
        [sys.executable, "-m", "dioptra_cli", "server", "start"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    with starting:
        wait_for(lambda: any("mlflow\0server" in each for each in marked() if "daemon" not in each))
        starting.send_signal(signal.SIGINT)
        _, err = starting.communicate(timeout=60)
    assert starting.returncode == 130, err
    assert err.endswith("dioptra: interrupted\n")
    wait_for(lambda: marked() == [])
    assert os.listdir(tmp_path / ".state" / "dioptra" / "servers") == []


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://127.0.0.1:1", "is a server already"),
        ("file:./mlruns", "keeps its runs in files"),
        ("sqlite:///:memory:", "is no sqlite file"),
        ("postgresql://u:secret@host/db", "is no sqlite file"),
    ],
)
def test_a_store_that_needs_none(dioptra: Any, uri: str, said: str) -> None:
    for asked in (
        dioptra("server", "start", "--tracking-uri", uri),
        dioptra("server", "start", env={"MLFLOW_TRACKING_URI": uri}),
    ):
        assert asked.code == 2
        assert said in asked.err
        assert "secret" not in asked.err
    assert dioptra("server", "status", "--tracking-uri", uri).code == 1


def test_a_store_of_another_mlflow_is_refused_as_by_a_run(dioptra: Any, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("create table alembic_version (version_num text)")
        database.execute("insert into alembic_version values ('from the future')")
        database.execute("create table experiments (experiment_id integer)")
        database.execute("insert into experiments values (0)")
        database.commit()
    asked = dioptra("server", "start")
    assert asked.code == 125
    assert "was written by a newer MLflow" in asked.err
    assert "Traceback" not in asked.err
    assert local_server.running() == []
