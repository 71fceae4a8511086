"""A look into a run store without importing MLflow, and runs of `dioptra run` on it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest


@dataclass(frozen=True)
class Recorded:
    """One run as the store has it."""

    run_id: str
    name: str
    status: str
    experiment: str
    ended: bool
    parameters: dict[str, str]
    tags: dict[str, str]
    artifacts: Path

    def artifact(self, name: str) -> str:
        return (self.artifacts / name).read_text()


@dataclass(frozen=True)
class Store:
    """The sqlite store that MLflow makes by default in the caller's directory."""

    path: Path

    @property
    def runs(self) -> list[Recorded]:
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(self.path)) as database:
            database.row_factory = sqlite3.Row
            rows = database.execute(
                "select r.*, e.name as experiment from runs r join experiments e using (experiment_id) "
                "order by r.start_time"
            ).fetchall()
            return [
                Recorded(
                    row["run_uuid"],
                    row["name"],
                    row["status"],
                    row["experiment"],
                    row["end_time"] is not None,
                    self._pairs(database, "params", row["run_uuid"]),
                    self._pairs(database, "tags", row["run_uuid"]),
                    Path(unquote(urlsplit(row["artifact_uri"]).path)),
                )
                for row in rows
            ]

    @property
    def only(self) -> Recorded:
        (run,) = self.runs
        return run

    @staticmethod
    def _pairs(database: sqlite3.Connection, table: str, run: str) -> dict[str, str]:
        rows = database.execute(f"select key, value from {table} where run_uuid = ?", (run,))
        return {row["key"]: row["value"] for row in rows}


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an empty store: MLflow needs seconds to create one, so it is made once a session and copied."""
    directory = tmp_path_factory.mktemp("store")
    code = "import mlflow; mlflow.MlflowClient('sqlite:///mlflow.db').search_experiments()"
    environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([sys.executable, "-c", code], cwd=directory, env=environ, check=True, capture_output=True)
    return (directory / "mlflow.db").read_bytes()


@pytest.fixture
def store(tmp_path: Path, _empty_store: bytes) -> Store:
    """Return an empty store in the caller's directory."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(_empty_store)
    # The default experiment would keep its artifacts where the template store was made.
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update experiments set artifact_location = ?", (f"file://{tmp_path}/mlruns/0",))
    return Store(path)


@dataclass
class Running:
    """A `dioptra run` that is under way."""

    process: subprocess.Popen[bytes]

    def wait_for(self, marker: Path) -> None:
        deadline = time.monotonic() + 60
        while not marker.exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def end(self) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=90)
        return self.process.returncode, (out + err).decode()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Running]:
    """Start the real command line without waiting for it."""

    def begin(*arguments: str, **environ: str) -> Running:
        return Running(
            subprocess.Popen(
                [sys.executable, "-m", "dioptra_cli", *arguments],
                cwd=tmp_path,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        )

    return begin
