"""What every test gets: an environment of its own, and ways to write projects and to call dioptra."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
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
