"""One tracking store for all tests of the sample projects, and the way to run their entry points in it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECORDS = (
    *("MLproject", "parameters.json", "git.diff", "logs/stdout.log", "logs/stderr.log"),
    *("provenance.json", "requirements.txt"),
    *("flow.json", "flow.svg"),
)
PROJECTS = Path(__file__).parents[2] / "sample_projects"


@dataclass(frozen=True)
class Outcome:
    """What came of one entry point."""

    run_id: str
    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Lab:
    """A tracking store in `folder` that all test processes share."""

    folder: Path
    experiment_id: str
    client: MlflowClient

    def run(
        self, project: str, entry_point: str, *, options: Sequence[str] = (), **parameters: object
    ) -> Outcome:
        """Run an entry point with `dioptra run`; its output is read from the logs among its artifacts."""
        given = [word for name, value in parameters.items() for word in ("-P", f"{name}={value}")]
        process = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "dioptra_cli",
                    "run",
                    str(PROJECTS / project),
                    "-e",
                    entry_point,
                    *given,
                    *options,
                ),
                *(
                    "--tracking-uri",
                    self.client.tracking_uri,
                    "--experiment-id",
                    self.experiment_id,
                    "--json",
                ),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # the tests run side by side already
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.stdout, process.stderr
        record = json.loads(process.stdout)
        logs = self.all_artifacts(record["run_id"])
        return Outcome(
            record["run_id"],
            process.returncode,
            logs["logs/stdout.log"].read_text(),
            logs["logs/stderr.log"].read_text(),
        )

    def metrics(self, run_id: str) -> dict[str, float]:
        """Return the last value of each metric of a run."""
        metrics: dict[str, float] = self.client.get_run(run_id).data.metrics
        return metrics

    def params(self, run_id: str) -> dict[str, str]:
        """Return the logged parameters of a run."""
        params: dict[str, str] = self.client.get_run(run_id).data.params
        return params

    def artifacts(self, run_id: str) -> dict[str, Path]:
        """Return the files that the script of a run logged, by their artifact path."""
        return {n: p for n, p in self.all_artifacts(run_id).items() if n not in RECORDS}

    def all_artifacts(self, run_id: str) -> dict[str, Path]:
        """Return the files of a run, with those that dioptra adds."""
        root = self.folder / "artifacts" / run_id / "artifacts"
        return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Lab:
    from mlflow import MlflowClient  # costs seconds, which only these tests should pay

    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "lab"
    folder.mkdir(exist_ok=True)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    artifacts = str(folder / "artifacts")

    def create_experiment() -> str:
        return MlflowClient(uri).create_experiment("samples", artifact_location=artifacts)

    # The first client of an empty store creates its tables, which no two may do at once.
    experiment_id = once(folder / "experiment", create_experiment)
    return Lab(folder, experiment_id, MlflowClient(uri))


@pytest.fixture(scope="session")
def trained(lab: Lab) -> str:
    """Return the id of a run of `digits`' train with small images."""

    def train() -> str:
        outcome = lab.run("digits", "train", image_size="8,8,1", hidden_sizes="64", epochs=10)
        assert outcome.exit_code == 0, outcome.stderr
        return outcome.run_id

    return once(lab.folder / "trained", train)


def once(path: Path, make: Callable[[], str]) -> str:
    """Return the text of `path`; the first of all test processes makes it while the others wait."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_text(make())
        return path.read_text()
