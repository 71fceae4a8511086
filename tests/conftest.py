"""What every test gets: an environment of its own, and ways to write projects and to call dioptra."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

_LEAKING = (
    "MLFLOW_",
    "DIOPTRA_",
    "AI_",
    "AWS_",
    "PREFECT_",
    "NO_COLOR",
    "FORCE_COLOR",
    "VIRTUAL_ENV",
    "CONDA_",
)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's settings out of every test, and what tests leave behind out of the machine."""
    for name in list(os.environ):
        if name.startswith(_LEAKING):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / ".prefect"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


@dataclass(frozen=True)
class Called:
    """What a call of dioptra gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON on standard output."""
        return json.loads(self.out)


Dioptra = Callable[..., Called]


@pytest.fixture
def dioptra(tmp_path: Path) -> Dioptra:
    """Call the real command line in a process of its own; the caller's directory is `tmp_path`."""

    def call(
        *arguments: str, cwd: Path = tmp_path, env: dict[str, str] | None = None, stdin: str = ""
    ) -> Called:
        done = subprocess.run(
            [sys.executable, "-m", "dioptra_cli", *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin.encode(),
            capture_output=True,
            check=False,
            timeout=120,
        )
        return Called(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))

    return call


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Write a project into a directory below `tmp_path`: an MLproject file, and other files by name."""

    def write(text: str, name: str = "project", **files: str) -> Path:
        directory = tmp_path / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "MLproject").write_text(text)
        for file, content in files.items():
            (directory / file.replace("__", ".")).write_text(content)
        return directory

    return write


@pytest.fixture
def plugins(tmp_path: Path) -> Callable[..., Path]:
    """Write modules by dotted name into a plugin directory below `tmp_path`."""

    def write(directory: str = "plugins", **modules: str) -> Path:
        root = tmp_path / directory
        for name, text in modules.items():
            file = root.joinpath(*name.split("__")).with_suffix(".py")
            if file.stem == "init":
                file = file.with_name("__init__.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        return root

    return write


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _serving(
    argv: Sequence[str], port: int, health: str, directory: Path, env: Mapping[str, str]
) -> Iterator[str]:
    """Run a real server on a port of loopback for a block, from when it is healthy; its address.

    `health` is the path that it answers when it is.
    """
    address = f"http://127.0.0.1:{port}"
    log = directory / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            argv, cwd=directory, env=env, stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + 180
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}{health}", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        # Workers share the listening socket: until the last of them is gone, it may still take a connection.
        while _listens(port):
            time.sleep(0.05)


@pytest.fixture
def free_port() -> int:
    """A port of loopback on which nothing listens."""
    return _free_port()


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Callable[..., AbstractContextManager[str]]:
    """Run a real tracking server for a block, with a store in `tmp_path`; again with the same port, if given."""

    def run(port: int | None = None) -> AbstractContextManager[str]:
        port = port or _free_port()
        argv = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        argv += ["--backend-store-uri", "sqlite:///server.db"]
        return _serving(argv, port, "/health", tmp_path, os.environ)

    return run


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real Prefect server with an empty store; the URL of its API."""
    home = tmp_path_factory.mktemp("prefect")
    port = _free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith(_LEAKING)}
    env |= {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with _serving(argv, port, "/api/health", home, env) as address:
        yield f"{address}/api"
