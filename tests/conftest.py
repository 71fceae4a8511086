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
from collections.abc import Callable, Iterator
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
    """Keep the machine's settings out of every test, and its cache directory out of the machine."""
    for name in list(os.environ):
        if name.startswith(_LEAKING):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
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


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real Prefect server with an empty store; the URL of its API."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    url = f"http://127.0.0.1:{port}/api"
    env = {name: value for name, value in os.environ.items() if not name.startswith(_LEAKING)}
    env |= {"PREFECT_HOME": str(home), "PREFECT_API_URL": url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(argv, env=env, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 180
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (home / "server.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.3)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
