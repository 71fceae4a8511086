"""A run store for the task plugins that log to MLflow, and an active run in it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mlflow import ActiveRun


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of a run store with an experiment, made once as that takes MLflow seconds."""
    from mlflow import MlflowClient

    directory = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{directory / 'runs.db'}"
    MlflowClient(uri).create_experiment("builtins", artifact_location=str(directory / "artifacts"))
    return uri


@pytest.fixture
def active_run(mlflow_uri: str) -> Iterator[ActiveRun]:
    """Return a new run of the experiment "builtins", which is the active one."""
    import mlflow

    mlflow.set_tracking_uri(mlflow_uri)
    mlflow.set_experiment("builtins")
    with mlflow.start_run() as run:
        yield run
    mlflow.set_tracking_uri("")


@pytest.fixture
def logged(active_run: ActiveRun) -> Any:
    """Return a function that reads what the active run has by now: `params`, `metrics` and `artifacts`."""
    import mlflow

    def read() -> Any:
        run_id = active_run.info.run_id
        data = mlflow.get_run(run_id).data
        artifacts = [file.path for file in mlflow.MlflowClient().list_artifacts(run_id)]
        return SimpleNamespace(params=data.params, metrics=data.metrics, artifacts=artifacts)

    return read
