"""Records runs through MLflow's own client, in this process.

Importing MLflow costs over a second, so it happens inside functions only, when a run is certain.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dioptra_cli.errors import Problem, TrackingError
from dioptra_cli.tracking import uris
from dioptra_cli.tracking.protocol import (
    LONGEST_PARAMETER,
    LONGEST_TAG,
    PARAMETERS_PER_BATCH,
    PARENT_TAG,
    RunRequest,
    RunStatus,
    StartedRun,
    deleted_experiment,
    deleted_run,
    not_found,
)

_DEFAULT_EXPERIMENT = "0"


class MlflowTracker:
    """A tracker on any store or server that MLflow knows.

    Args:
        uri: The tracking URI; None for MLflow's own default.
        directory: Absolute; what a relative URI belongs to.
        lock_directory: Where processes that open the same new database wait for each other.
        on_new_store: Called with the file of a new database before it is made, which takes seconds.
        reading: Whether nothing will be recorded: a database that can only be read will do.

    Raises:
        TrackingError: Nothing listens at the URI, or the store cannot be opened.
    """

    def __init__(
        self,
        uri: str | None,
        *,
        directory: str,
        lock_directory: str,
        on_new_store: Callable[[str], None] | None = None,
        reading: bool = False,
    ) -> None:
        if uri is not None:
            uris.require_server(uri)
        with _without_collector():
            import mlflow

            self._uri = uris.absolute(uri or mlflow.get_tracking_uri(), directory)
            mlflow.set_tracking_uri(self._uri)
            logging.getLogger("alembic").setLevel(logging.WARNING)  # older versions of MLflow let it talk
            database = uris.sqlite_file(self._uri)
            with self._explained(), _only_one_opens(database, lock_directory):
                # What is no absolute path is in memory, or a URI of sqlite's own.
                if database is not None and os.path.isabs(database):
                    uris.require_database(database, reading=reading)
                    if on_new_store is not None and not os.path.exists(database):
                        on_new_store(database)
                self._client = mlflow.MlflowClient(self._uri)
                if database is not None:
                    self._client.search_experiments(max_results=1)  # creates the tables of a new database

    @classmethod
    def on_server(cls, uri: str) -> MlflowTracker:
        """Return a tracker on the server at an http(s) URI, which nothing of this machine matters to."""
        return cls(uri, directory=os.sep, lock_directory=os.sep)

    @property
    def uri(self) -> str:
        """The tracking URI, absolute."""
        return self._uri

    def start(self, request: RunRequest) -> StartedRun:
        """Create or take up a run. See `Tracker.start`."""
        with self._explained():
            tags = {name: value[:LONGEST_TAG] for name, value in request.tags.items()}
            if request.parent_run_id is not None:
                tags[PARENT_TAG] = self._existing(request.parent_run_id).info.run_id
            if request.run_id is not None:
                run = self._existing(request.run_id)
                self._client.update_run(request.run_id, status="RUNNING", name=request.run_name)
                self.set_tags(request.run_id, tags)
            else:
                experiment = self._experiment(request)
                run = self._client.create_run(experiment, tags=tags, run_name=request.run_name)
        info = run.info
        return StartedRun(
            info.run_id, info.experiment_id, request.run_name or info.run_name or "", info.artifact_uri
        )

    def close(self, run_id: str, status: RunStatus) -> None:
        """Set the final status. See `Tracker.close`."""
        with self._explained():
            self._client.set_terminated(run_id, status.value)

    def logged_parameters(self, run_id: str) -> Mapping[str, str]:
        """Return what was logged. See `Tracker.logged_parameters`."""
        with self._explained():
            return dict(self._client.get_run(run_id).data.params)

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Add parameters; one longer than MLflow allows is cut. See `Tracker.log_parameters`."""
        from mlflow.entities import Param

        params = [Param(name, value[:LONGEST_PARAMETER]) for name, value in parameters.items()]
        with self._explained():
            for start in range(0, len(params), PARAMETERS_PER_BATCH):
                self._client.log_batch(run_id, params=params[start : start + PARAMETERS_PER_BATCH])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; one longer than MLflow allows is cut. See `Tracker.set_tags`."""
        with self._explained():
            for name, value in tags.items():
                self._client.set_tag(run_id, name, value[:LONGEST_TAG])

    def log_artifacts(self, run_id: str, directory: str) -> None:
        """Copy files into the run. See `Tracker.log_artifacts`."""
        with self._explained():
            self._client.log_artifacts(run_id, directory)

    def _experiment(self, request: RunRequest) -> str:
        if request.experiment_name is not None:
            experiment = self._client.get_experiment_by_name(request.experiment_name)
            if experiment is None:
                return str(self._client.create_experiment(request.experiment_name))
        else:
            wanted = request.experiment_id or _DEFAULT_EXPERIMENT
            try:
                experiment = self._client.get_experiment(wanted)
            except _mlflow_exception() as error:
                raise not_found("experiment", wanted, self._uri) from error
            if experiment is None:
                raise not_found("experiment", wanted, self._uri)
        if experiment.lifecycle_stage != "active":
            raise deleted_experiment(experiment.name, experiment.experiment_id)
        return str(experiment.experiment_id)

    def _existing(self, run_id: str) -> Any:
        try:
            run = self._client.get_run(run_id)
        except _mlflow_exception() as error:
            if "not found" not in str(error).lower():
                raise
            raise not_found("run", run_id, self._uri) from error
        if run.info.lifecycle_stage != "active":
            raise deleted_run(run_id)
        return run

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what MLflow and the libraries below it raise into a `TrackingError` of one line."""
        try:
            yield
        except TrackingError:
            raise
        except Exception as error:
            raise TrackingError(
                Problem("tracking-failed", f"tracking at {uris.shown(self._uri)} failed: {_one_line(error)}")
            ) from error


def default_uri(directory: str) -> str:
    """Return the tracking URI that MLflow takes when nothing names one, made absolute."""
    with _without_collector():
        import mlflow
    return uris.absolute(mlflow.get_tracking_uri(), directory)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the garbage collector from walking MLflow's 150 000 objects again and again while they are made.

    Frozen objects are not looked at later either.
    """
    import gc

    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _mlflow_exception() -> type[Exception]:
    from mlflow.exceptions import MlflowException

    return MlflowException


def _one_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


@contextlib.contextmanager
def _only_one_opens(database: str | None, lock_directory: str) -> Iterator[None]:
    """Let one process at a time open a sqlite database: two that create its tables at once crash each other."""
    if database is None:
        yield
        return
    import fcntl

    os.makedirs(lock_directory, exist_ok=True)
    name = hashlib.sha256(os.path.realpath(database).encode()).hexdigest()[:32]
    with open(os.path.join(lock_directory, f"{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
