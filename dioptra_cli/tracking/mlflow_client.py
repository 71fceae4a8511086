"""Records runs through MLflow's own client, in this process.

Importing MLflow costs most of a second, so it happens only when a run is certain: see `mlflow_import`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from dioptra_cli.errors import Problem, TrackingError, printable
from dioptra_cli.parameters.secrets import without_credentials
from dioptra_cli.tracking import mlflow_import, uris
from dioptra_cli.tracking.database import is_passing
from dioptra_cli.tracking.protocol import (
    LONGEST_PARAMETER,
    LONGEST_TAG,
    PARAMETERS_PER_BATCH,
    PARENT_TAG,
    RecordedRun,
    RunRequest,
    RunStatus,
    StartedRun,
    deleted_experiment,
    deleted_run,
    not_found,
)
from dioptra_cli.tracking.reading import (
    CREDENTIALS_HINT,
    NEWEST_FIRST,
    PAGE,
    PASSING_ERRORS,
    arriving,
    copy_local,
    fetch_local,
    inside,
    is_on_this_machine,
    newest,
    paged,
    tag_filter,
)

_Answer = TypeVar("_Answer")
_DEFAULT_EXPERIMENT = "0"
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_LONGEST_REASON = 300
_DRIVER = re.compile(r"^\(\w+\.\w+\) ")
"""What SQLAlchemy puts before the message of a database: `(sqlite3.OperationalError) `."""
_CAUSE = re.compile(r"""Caused by \w+\(["'](?:<.*?>: |HTTPS?Connection(?:Pool)?\(.*?\): )?(.*?)["']\)""")
"""What is left when MLflow, requests and urllib3 have each packed the reason into a text of their own."""
_PASSING_NAME = re.compile(r"Connect|Timeout|TimedOut|Unavailable|Throttl|SlowDown|RetryError")


class MlflowTracker:
    """A tracker on any store or server that MLflow knows.

    Args:
        uri: The tracking URI; None for MLflow's own default.
        directory: Absolute; what a relative URI belongs to.
        cache_directory: Where dioptra keeps its lock files, and what it has found out about this
            machine; needed for a database.
        on_new_store: Called with the file of a new database before it is made, which takes seconds.
        reading: Whether nothing will be recorded: a database that can only be read will do.
        timeout: Seconds that a server may take to be connected, and a database to be free.

    Raises:
        TrackingError: Nothing listens at the URI, or the store cannot be opened.
    """

    def __init__(
        self,
        uri: str | None,
        *,
        directory: str,
        cache_directory: str | None,
        on_new_store: Callable[[str], None] | None = None,
        reading: bool = False,
        timeout: float = 10.0,
    ) -> None:
        if uri is not None and uris.is_server(uri):
            # It needs http.client, which a store on this machine does not.
            from dioptra_cli.tracking.transport import require_listener

            require_listener(uri, timeout)
        began = time.monotonic()
        self._uri = uris.resolved(uri, directory)
        self._timeout = timeout
        self._artifact_uris: dict[str, str] = {}
        file = uris.sqlite_file(self._uri)
        # What is no absolute path is in memory, or a URI of sqlite's own.
        self._database = file if file is not None and os.path.isabs(file) else None
        try:
            self._mlflow = mlflow_import.finish(sql=file is not None, cache_directory=cache_directory)
        except Exception as error:  # a package that it needs may be broken in any way
            reason = f"{type(error).__name__}: {_one_line(error)}"
            raise TrackingError(
                Problem(
                    "no-mlflow",
                    f"MLflow cannot be imported: {reason}",
                    hint=f"look at what this says: {shlex.quote(sys.executable)} -c 'import mlflow'",
                )
            ) from error
        with mlflow_import.without_collector():
            self._mlflow.set_tracking_uri(self._uri)
            # What it has to say, an error says as well.
            logging.getLogger("alembic").setLevel(logging.CRITICAL)
            with self._explained():
                if self._database is None or cache_directory is None:
                    self._client = self._mlflow.MlflowClient(self._uri)
                else:
                    # On a busy machine the import takes most of the time; the database has to get some.
                    left = max(timeout - (time.monotonic() - began), timeout / 2)
                    locks = os.path.join(cache_directory, "locks")
                    self._open(self._database, locks, on_new_store, reading, left)

    def _open(
        self,
        file: str,
        locks: str,
        on_new_store: Callable[[str], None] | None,
        reading: bool,
        timeout: float,
    ) -> None:
        from dioptra_cli.tracking import database

        with database.opening(file, locks):
            database.require_database(file, reading=reading, timeout=timeout)
            migrations = os.path.join(
                os.path.dirname(str(self._mlflow.__file__)), "store", "db_migrations", "versions"
            )
            database.require_schema(file, self._uri, migrations, self._mlflow.__version__)
            if on_new_store is not None and not os.path.exists(file):
                on_new_store(file)
            self._client = self._mlflow.MlflowClient(self._uri)
            self._client.search_experiments(max_results=1)  # creates the tables of a new database

    @classmethod
    def on_server(cls, uri: str, timeout: float = 10.0) -> MlflowTracker:
        """Return a tracker on the server at an http(s) URI, which nothing of this machine matters to."""
        return cls(uri, directory=os.sep, cache_directory=None, timeout=timeout)

    @property
    def uri(self) -> str:
        """The tracking URI, absolute."""
        return self._uri

    def start(self, request: RunRequest) -> StartedRun:
        """Create or take up a run. See `Tracker.start`."""
        with self._writing():
            tags = {name: value[:LONGEST_TAG] for name, value in request.tags.items()}
            if request.parent_run_id is not None:
                parent = request.parent_run_id
                tags[PARENT_TAG] = self._repeated(lambda: self._existing(parent)).info.run_id
            if request.run_id is not None:
                run_id = request.run_id
                run = self._repeated(lambda: self._existing(run_id))
                self.set_tags(request.run_id, tags)  # first of all the token, by which it is found again
                self._client.update_run(request.run_id, status="RUNNING", name=request.run_name)
            else:
                run = self._create(request, tags)
        info = run.info
        self._artifact_uris[info.run_id] = info.artifact_uri
        return StartedRun(
            info.run_id, info.experiment_id, request.run_name or info.run_name or "", info.artifact_uri
        )

    def close(self, run_id: str, status: RunStatus, ended: int) -> None:
        """Set the final status. See `Tracker.close`."""
        with self._writing():
            self._client.set_terminated(run_id, status.value, ended)

    def logged_parameters(self, run_id: str) -> Mapping[str, str]:
        """Return what was logged. See `Tracker.logged_parameters`."""
        with self._reading():
            return dict(self._client.get_run(run_id).data.params)

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Add parameters; one longer than MLflow allows is cut. See `Tracker.log_parameters`."""
        self.log(run_id, parameters, {})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; one longer than MLflow allows is cut. See `Tracker.set_tags`."""
        self.log(run_id, {}, tags)

    def log(self, run_id: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add parameters and set tags; see `Tracker.log`."""
        from mlflow.entities import Param, RunTag

        params = [Param(name, value[:LONGEST_PARAMETER]) for name, value in parameters.items()]
        pairs = [RunTag(name, value[:LONGEST_TAG]) for name, value in tags.items()]
        with self._writing():
            for start in range(0, max(len(params), len(pairs)), PARAMETERS_PER_BATCH):
                batch = slice(start, start + PARAMETERS_PER_BATCH)
                self._client.log_batch(run_id, params=params[batch], tags=pairs[batch])

    def log_artifacts(self, run_id: str, directory: str) -> None:
        """Copy files into the run. See `Tracker.log_artifacts`."""
        artifact_uri = self._artifact_uris.get(run_id) or self.run(run_id).artifact_uri
        if is_on_this_machine(artifact_uri):
            copy_local(directory, artifact_uri)
            return
        with self._writing():
            self._client.log_artifacts(run_id, directory)

    def run(self, run_id: str) -> RecordedRun:
        """Return a run. See `Tracker.run`."""
        with self._reading():
            return _recorded(self._existing(run_id))

    def find(self, tags: Mapping[str, str], *, limit: int) -> list[RecordedRun]:
        """Return the newest runs with these tags. See `Tracker.find`."""

        def experiments(token: str | None) -> tuple[list[str], str | None]:
            page = self._client.search_experiments(max_results=PAGE, page_token=token)
            return [str(each.experiment_id) for each in page], page.token

        def runs(token: str | None) -> tuple[list[RecordedRun], str | None]:
            page = self._client.search_runs(
                active,
                tag_filter(tags),
                max_results=min(limit, PAGE),
                order_by=[NEWEST_FIRST],
                page_token=token,
            )
            return [_recorded(run) for run in page], page.token

        with self._reading():
            active = [each for page in paged(experiments) for each in page]
            return newest(paged(runs), tags, limit) if active else []

    def fetch(self, run_id: str, path: str, directory: str) -> str | None:
        """Copy one artifact into a directory. See `Tracker.fetch`."""
        if not inside(path):
            return None
        with self._reading():
            artifact_uri = self._existing(run_id).info.artifact_uri
            if is_on_this_machine(artifact_uri):
                return fetch_local(artifact_uri, path, directory)
            folder, _, name = path.rpartition("/")
            listed = self._client.list_artifacts(run_id, folder or None)
            if not any(each.path.rpartition("/")[2] == name and not each.is_dir for each in listed):
                return None
            with arriving(path, directory) as aside:
                # MLflow may make the directories that the path names.
                os.replace(self._client.download_artifacts(run_id, path, os.path.dirname(aside)), aside)
            return os.path.join(directory, name)

    def _create(self, request: RunRequest, tags: Mapping[str, str]) -> Any:
        def create(experiment: str) -> Any:
            return self._client.create_run(experiment, tags=tags, run_name=request.run_name)

        if request.experiment_name is None and self._database is not None:
            with contextlib.suppress(_mlflow_exception()):  # what is wrong with the experiment is told below
                return create(request.experiment_id or _DEFAULT_EXPERIMENT)
        return create(self._repeated(lambda: self._experiment(request)))

    def _experiment(self, request: RunRequest) -> str:
        if request.experiment_name is not None:
            experiment = self._client.get_experiment_by_name(request.experiment_name)
            if experiment is None:
                try:
                    return str(self._client.create_experiment(request.experiment_name))
                except _mlflow_exception():
                    experiment = self._client.get_experiment_by_name(request.experiment_name)
                    if experiment is None:  # else another process was faster
                        raise
        else:
            wanted = request.experiment_id or _DEFAULT_EXPERIMENT
            try:
                experiment = self._client.get_experiment(wanted)
            except _mlflow_exception() as error:
                if error.error_code != _MISSING:
                    raise
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
            if error.error_code != _MISSING:
                raise
            raise not_found("run", run_id, self._uri) from error
        if run.info.lifecycle_stage != "active":
            raise deleted_run(run_id)
        return run

    def _repeated(self, action: Callable[[], _Answer]) -> _Answer:
        """Do what changes nothing when it is done twice until it succeeds, or the time is over."""
        deadline, delay = time.monotonic() + self._timeout, 0.25
        while True:
            began = time.monotonic()
            try:
                with self._explained():
                    return action()
            except TrackingError as error:
                # The next attempt may take as long. For a database of this machine, its own library has waited.
                next_end = 2 * time.monotonic() - began + delay
                if not error.retryable or self._database or next_end >= deadline:
                    raise
            time.sleep(delay)
            delay *= 2

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return self._using(reading=False)

    def _reading(self) -> contextlib.AbstractContextManager[None]:
        return self._using(reading=True)

    @contextlib.contextmanager
    def _using(self, *, reading: bool) -> Iterator[None]:
        """Look whether a sqlite database is free before MLflow does, which takes 20 s; and `_explained`."""
        with self._explained():
            if self._database is not None:
                from dioptra_cli.tracking import database

                database.require_free(self._database, self._timeout, reading=reading)
            yield

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what MLflow and the libraries below it raise into a `TrackingError` of one line."""
        try:
            yield
        except TrackingError:
            raise
        except Exception as error:
            raise TrackingError(
                Problem(
                    "tracking-failed",
                    f"tracking at {without_credentials(self._uri)} failed: {_one_line(error)}",
                    hint=CREDENTIALS_HINT if _status(error) in (401, 403) else None,
                ),
                retryable=_may_pass(error),
            ) from error


def _recorded(run: Any) -> RecordedRun:
    info, data = run.info, run.data
    return RecordedRun(
        run_id=info.run_id,
        run_name=info.run_name or "",
        experiment_id=str(info.experiment_id),
        status=info.status,
        started=info.start_time or None,
        ended=info.end_time or None,
        artifact_uri=info.artifact_uri or "",
        parameters=dict(data.params),
        metrics=dict(data.metrics),
        tags=dict(data.tags),
    )


def _mlflow_exception() -> Any:
    from mlflow.exceptions import MlflowException

    return MlflowException


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = str(error).strip().splitlines()
    if not text:
        return type(error).__name__
    cause = _CAUSE.search(text[0])
    return printable(cause[1] if cause else _DRIVER.sub("", text[0]))[:_LONGEST_REASON]


def _status(error: Exception) -> int | None:
    """Return the HTTP status with which a server answered, if it did."""
    from mlflow.exceptions import RestException

    if not isinstance(error, RestException):
        return None
    status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]
    return status


def _may_pass(error: BaseException) -> bool:
    """Return whether the same call may succeed later, by the error and all that led to it.

    The libraries below MLflow, which are those of every object store, have no class for it in common, but names.
    """
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in PASSING_ERRORS:
            return True
        kind = type(cause)
        if _PASSING_NAME.search(kind.__name__):
            return True
        if kind.__module__.startswith("sqlite3"):
            return is_passing(str(cause))
        # That of a driver for a database server; SQLAlchemy's own has the driver's as its cause.
        if kind.__name__ == "OperationalError" and not kind.__module__.startswith("sqlalchemy"):
            return True
        status = _status(cause) if isinstance(cause, Exception) else None
        if status is not None and (status == 429 or (status >= 500 and status != 501)):
            return True
    return False
