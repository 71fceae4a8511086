from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dioptra_cli.errors import DioptraError
from dioptra_cli.execution import directories, local_server
from dioptra_cli.execution.local_server import Server, ServerBusy, ServerGone

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc")

# Answers and logs as a server of MLflow does; says what it is asked for behind `/say?`.
STAND_IN = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/say?"):
            print(self.path[5:] * 1000, flush=True)
        body = VERSION.encode() if self.path == "/version" else b"OK"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

VERSION = sys.argv[2]
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"a store")
    return file


Start = Callable[..., Server]


@pytest.fixture
def start(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a stand-in for MLflow's server; all are ended when the test is over."""
    monkeypatch.setattr(directories, "_PLACES_INSTEAD", ())
    version = local_server.installed_mlflow()
    assert version is not None

    def call(
        *code: str,
        mlflow_version: str = version,
        idle_timeout: float = 0,
        timeout: float = 60,
        port: int | None = None,
    ) -> Server:
        def command(port: int) -> list[str]:
            return [sys.executable, "-c", *(code or (STAND_IN,)), str(port), mlflow_version]

        return local_server.start(
            str(store),
            str(tmp_path),
            command,
            dict(os.environ),
            port=port,
            idle_timeout=idle_timeout,
            timeout=timeout,
        )[0]

    yield call
    for server in local_server.running():
        local_server.stop(server, force=True)


def ask(server: Server, path: str = "/") -> bytes:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=10) as answer:
        return bytes(answer.read())


def answers(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((local_server.HOST, server.port)) == 0


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_over(server: Server) -> bool:
    return not answers(server) and not local_server.running()


def kept() -> list[str]:
    return [name for place in directories.all_servers() for name in os.listdir(place)]


def keeper_of(server: Server) -> int:
    """The process that ends the server if its minder is killed."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == server.pid and Path(f"/proc/{name}/cmdline").read_bytes().startswith(
                b"/bin/sh"
            ):
                return int(name)
    raise AssertionError


def test_a_server_is_found_until_it_is_stopped(start: Start, store: Path, tmp_path: Path) -> None:
    assert local_server.find(str(store)) is None
    assert local_server.running() == []
    server = start()
    assert ask(server) == b"OK"
    assert (server.store, server.directory) == (str(store), str(tmp_path))
    assert os.stat(server.place).st_mode & 0o077 == 0
    (tmp_path / "link").symlink_to(store)
    assert local_server.find(str(store)) == server == local_server.find(str(tmp_path / "link"))
    assert local_server.running() == [server]
    assert start() == server  # it runs already
    local_server.stop(server)
    assert is_over(server)
    assert local_server.find(str(store)) is None
    assert kept() == []
    local_server.stop(server)  # nobody minds
    again = start()
    local_server.stop(server)  # it is not this one that is meant
    assert local_server.running() == [again]


def test_two_starts_at_once_give_one_server(start: Start) -> None:
    with ThreadPoolExecutor(4) as pool:
        servers = list(pool.map(lambda _: start(), range(4)))
    assert len(set(servers)) == 1
    assert local_server.running() == servers[:1]


def test_a_server_ends_when_nobody_uses_it_any_more(start: Start, store: Path) -> None:
    server = start(idle_timeout=1.5)
    with local_server.use(server), local_server.use(server):
        assert server.users() == [os.getpid()] * 2
        time.sleep(2)
        assert local_server.find(str(store)) == server
    until = time.monotonic() + 2
    while time.monotonic() < until:
        ask(server, "/a/page")
        time.sleep(0.05)
    assert local_server.find(str(store)) == server
    assert server.last_used() > server.started
    with contextlib.suppress(OSError):  # who asks only whether it lives does not use it
        for _ in range(1200):
            ask(server, "/health")
            time.sleep(0.05)
        pytest.fail("it has not ended")
    wait_for(lambda: is_over(server), "its end")
    with pytest.raises(ServerGone), local_server.use(server):
        pytest.fail("it has ended")
    wait_for(lambda: kept() == [], "its files removed")


def test_a_server_in_use_is_stopped_only_by_force(start: Start, store: Path) -> None:
    server = start()
    with local_server.use(server):
        with pytest.raises(
            ServerBusy, match=rf"a run uses the server at {server.url} \(process {os.getpid()}\)"
        ):
            local_server.stop(server)
        assert local_server.find(str(store)) == server
        local_server.stop(server, force=True)
    assert is_over(server)


def test_a_run_that_was_killed_uses_nothing(start: Start, tmp_path: Path) -> None:
    server = start()
    code = (
        "import sys, time\nfrom dioptra_cli.execution import local_server\n"
        "with local_server.use(local_server.find(sys.argv[1])):\n print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, server.store], stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        user.stdout.readline()
        assert server.users() == [user.pid]
        user.kill()
        user.wait()
    assert server.users() == []
    local_server.stop(server)


def test_one_that_is_to_end_is_not_used(start: Start) -> None:
    server = start()
    assert local_server.withdraw(server.place) == []
    with pytest.raises(ServerGone), local_server.use(server):
        pytest.fail("it is to end")
    wait_for(lambda: is_over(server), "its end")


@pytest.mark.parametrize("replaced", [False, True])
def test_a_server_ends_with_its_store(start: Start, store: Path, tmp_path: Path, replaced: bool) -> None:
    server = start()
    if replaced:
        (tmp_path / "another").write_bytes(b"another store")
        (tmp_path / "another").rename(store)
    else:
        store.rename(tmp_path / "moved")
        assert local_server.find(str(tmp_path / "moved")) is None
    assert local_server.find(str(store)) is None
    wait_for(lambda: is_over(server) and kept() == [], "its end")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_with_the_process_that_minds_it(
    start: Start, store: Path, signum: signal.Signals
) -> None:
    server = start()
    os.kill(server.pid, signum)
    wait_for(lambda: not answers(server), "its end")
    wait_for(lambda: local_server.find(str(store)) is None, "nothing to find")
    again = start()
    assert again.mark != server.mark
    assert ask(again) == b"OK"


@needs_proc
def test_what_is_left_when_everything_that_minds_it_was_killed_is_ended(start: Start, store: Path) -> None:
    server = start()
    os.kill(keeper_of(server), signal.SIGKILL)
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: local_server.find(str(store)) is None, "nothing to find")
    assert answers(server)
    assert kept() != []
    assert local_server.running() == []
    wait_for(lambda: not answers(server), "its end")
    assert kept() == []


@pytest.mark.parametrize("text", ["", "1 2\n", "x\n{}", '1 3.0\n{"url": 1}', "\0"])
def test_a_record_that_says_nothing_is_removed(store: Path, start: Start, text: str) -> None:
    server = start()
    local_server.stop(server)
    Path(server.place).mkdir()
    Path(server.place, "record").write_text(text)
    assert local_server.find(str(store)) is None
    assert local_server.running() == []
    assert kept() == []


def test_a_server_that_ends_by_itself_leaves_its_log(start: Start, store: Path) -> None:
    server = start(STAND_IN.replace('b"OK"', 'os._exit(3) if self.path == "/fail" else b"OK"'))
    with pytest.raises(OSError, match=r"."):
        ask(server, "/fail")
    wait_for(lambda: not answers(server) and local_server.find(str(store)) is None, "its end")
    wait_for(lambda: "ended with exit code 3" in Path(server.log).read_text(), "its log")
    again = start()
    assert again.place == server.place
    assert "exit code 3" not in Path(server.log).read_text()


def test_a_server_of_another_mlflow_is_replaced_unless_it_is_used(start: Start, store: Path) -> None:
    older = start(mlflow_version="1.0.0")
    assert older.mlflow_version == "1.0.0"
    assert local_server.find(str(store)) is None
    assert local_server.running_over(str(store)) == older
    with local_server.use(older), pytest.raises(ServerBusy, match="a run uses"):
        start()
    server = start()
    assert local_server.find(str(store)) == server
    assert not answers(older) or older.port == server.port


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('one'); print('two'); exit(7)", r"the server has ended with exit code 7\n  .*one\n  two"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9"),
        ("import time; print('wait'); time.sleep(60)", "did not answer within 1.5 s"),
        (STAND_IN.replace("send_response(200)", "send_response(500)"), "does not tell its version"),
    ],
    ids=["fails", "killed", "silent", "other"],
)
def test_a_server_that_does_not_come_up(start: Start, store: Path, code: str, said: str) -> None:
    with pytest.raises(DioptraError, match=rf"(?s){said}") as error:
        start(code, timeout=1.5 if "wait" in code else 60)
    (problem,) = error.value.problems
    assert problem.hint is not None
    log = Path(problem.hint.removeprefix("its log is "))
    assert problem.message.splitlines()[0] in log.read_text()
    assert local_server.running() == []
    start()


def test_a_port_that_is_taken(start: Start) -> None:
    with socket.socket() as other:
        other.bind((local_server.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(DioptraError, match=f"port {port} of 127.0.0.1 cannot be listened on"):
            start(port=port)
    assert start(port=port).port == port


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_nothing_runs_when_the_start_is_broken_off(
    store: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    silent = (
        "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'w'), flush=True); time.sleep(60)"
    )
    marker = tmp_path / "pid"
    code = (
        "import os, sys\nfrom dioptra_cli.execution import local_server\n"
        f"local_server.start({str(store)!r}, '/', lambda port: {[sys.executable, '-c', silent, str(marker)]!r}, "
        "dict(os.environ))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as starter:
        wait_for(lambda: marker.exists() and marker.read_text().endswith("\n"), "the server")
        starter.send_signal(signum)
        starter.wait(60)

    def is_gone() -> bool:
        try:
            os.kill(int(marker.read_text()), 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{marker.read_text().strip()}/stat")  # there may be nobody to wait for it
        with contextlib.suppress(OSError):
            return stat.read_text().rpartition(")")[2].split()[0] == "Z"
        return False

    if signum == signal.SIGINT:  # whoever waits for the start to end waits for that
        assert is_gone()
        assert kept() == []
    wait_for(is_gone, "its end")
    wait_for(lambda: kept() == [], "its files removed")


def test_the_log_does_not_grow_for_ever(start: Start) -> None:
    server = start()
    for _ in range(40):
        ask(server, "/say?" + "x" * 60)
    log = Path(server.log)
    older = Path(f"{server.log}.1")
    wait_for(older.exists, "another log")
    assert log.stat().st_size < 1_500_000 > older.stat().st_size
    assert "GET /say" not in older.read_text() + log.read_text()


def test_the_files_of_others_are_not_read(start: Start, store: Path, tmp_path: Path) -> None:
    server = start()
    servers = os.path.dirname(server.place)
    os.chmod(servers, 0o777)
    assert local_server.find(str(store)) is None
    os.chmod(servers, 0o700)
    assert local_server.find(str(store)) == server


def test_the_servers_of_another_machine_are_left_alone(
    start: Start, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(local_server, "_machine", lambda: "@elsewhere-1")
        assert local_server.find(str(store)) is None
        assert local_server.running() == []
    assert local_server.running() == [server]


def test_settings_for_other_servers_do_not_reach_this_one() -> None:
    kept = {"PATH": "/bin", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_S3_ENDPOINT_URL": "http://s3"}
    kept["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"] = "3"
    dropped = ["_MLFLOW_SERVER_FILE_STORE", "UVICORN_HOST", "UVICORN_UDS", "WEB_CONCURRENCY"]
    names = "HOST PORT WORKERS SERVER_ALLOWED_HOSTS SERVER_CORS_ALLOWED_ORIGINS SERVER_DISABLE_SECURITY_MIDDLEWARE \
        GUNICORN_OPTS UVICORN_OPTS BACKEND_STORE_URI SERVE_ARTIFACTS STATIC_PREFIX TRACKING_URI RUN_ID WORKSPACE"
    dropped += [f"MLFLOW_{name}" for name in names.split()]
    made = local_server.server_environment({**kept, **dict.fromkeys(dropped, "1")})
    assert made == {**kept, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def test_looking_for_a_server_imports_next_to_nothing(store: Path, start: Start) -> None:
    heavy = {"subprocess", "json", "socket", "asyncio", "http", "urllib", "shutil", "mlflow"}
    code = (
        "import sys; from dioptra_cli.execution import directories; directories.all_servers()\n"
        "before = set(sys.modules); from dioptra_cli.execution import local_server\n"
        f"assert local_server.find({str(store)!r}) is None\nprint(*({heavy!r} & (set(sys.modules) - before)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "\n"


def test_what_mlflow_is_installed_is_told_without_importing_it() -> None:
    from importlib.metadata import version

    assert local_server.installed_mlflow() == version("mlflow")
