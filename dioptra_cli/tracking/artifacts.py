"""Finds what runs and models hold, and downloads it where only MLflow can.

Follows URIs to their end, so that files on this machine and in object stores need not go through MLflow. Imports
MLflow when the first URI is asked for.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from dioptra_cli.errors import DioptraError, DownloadError, Problem
from dioptra_cli.parameters.uris import WEB_SCHEMES, local_path, scheme_of
from dioptra_cli.tracking.mlflow_client import MlflowTracker

_MISSING = "RESOURCE_DOES_NOT_EXIST"
_HEADING = re.compile(r"The following failures occurred|#####")


class MlflowArtifacts:
    """The artifacts of one tracking store or server. May be used by several threads.

    Args:
        tracking_uri: None for MLflow's own default.
        directory: Absolute; what a relative URI belongs to.
        cache_directory: Where dioptra keeps its lock files, and what it has found out about this machine.
        timeout: Seconds to wait for the store or the server.
    """

    def __init__(
        self, tracking_uri: str | None, *, directory: str, cache_directory: str, timeout: float = 10.0
    ) -> None:
        self._tracking_uri = tracking_uri
        self._directory = directory
        self._cache_directory = cache_directory
        self._timeout = timeout
        self._lock = threading.Lock()
        self._opened: Any = None

    def locate(self, uri: str) -> tuple[str, bool]:
        """Follow a `runs:/` or `models:/` URI to where its files lie.

        Returns:
            An absolute path, or the URI of an object store, or `uri` itself where MLflow has to fetch it; and
            whether what lies there never changes. That holds for the files of a finished model, though an alias
            or a stage may lead to another one tomorrow.

        Raises:
            DownloadError: There is no such run or model.
            TrackingError: The store cannot be opened.
        """
        with _explained():
            scheme = scheme_of(uri)
            if scheme not in ("runs", "models") or self._is_databricks():
                return uri, False
            location, fixed = self._locate_in_run(uri) if scheme == "runs" else self._locate_model(uri)
        # A server that gives artifacts out over plain HTTP lists them for MLflow alone.
        return (uri, False) if scheme_of(location) in WEB_SCHEMES else (location, fixed)

    def download(self, uri: str, directory: str) -> str:
        """Copy an artifact, or a tree of them, into the empty `directory`; return its path, or `directory`.

        Raises:
            DownloadError: MLflow could not do it.
            TrackingError: The store cannot be opened.
        """
        with _explained():
            client = self._client()
            from mlflow.artifacts import download_artifacts

            return str(download_artifacts(uri, dst_path=directory, tracking_uri=client.tracking_uri))

    def _locate_in_run(self, uri: str) -> tuple[str, bool]:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

        client, runs = self._client(), cast(Any, RunsArtifactRepository)
        run_id, path = runs.parse_runs_uri(uri)
        info = client.get_run(run_id).info
        name, _, below = (path or "").partition("/")
        model = self._logged_model(info, name) if name else None
        if model is None:
            return self._below(info.artifact_uri, path), False
        with suppress(Exception):  # what cannot be listed is taken to hold nothing of that name
            repository = get_artifact_repository(info.artifact_uri, tracking_uri=client.tracking_uri)
            if repository.list_artifacts(name):
                return uri, False  # the run's own artifacts have that name, too: MLflow puts them together
        return self._below(model.artifact_location, below), model.status == "READY"

    def _locate_model(self, uri: str) -> tuple[str, bool]:
        from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

        client, models = self._client(), cast(Any, ModelsArtifactRepository)
        base, below = models.split_models_uri(uri)
        name = base.partition(":")[2].lstrip("/")
        if "/" not in name and "@" not in name:
            model = client.get_logged_model(name)
            return self._below(model.artifact_location, below), model.status == "READY"
        location = models.get_underlying_uri(base)
        if scheme_of(location) in ("runs", "models"):
            return self.locate(f"{location.rstrip('/')}/{below}" if below else location)
        return self._below(location, below), True

    def _logged_model(self, run: Any, name: str) -> Any:
        """Return the model that a run logged under `name`, if it did. Its files are not among the run's."""
        client, token = self._client(), None
        with suppress(Exception):  # older servers know no logged models
            while True:
                page = client.search_logged_models(
                    [run.experiment_id], filter_string=f"name = '{name}'", page_token=token
                )
                for model in page:
                    if model.source_run_id == run.run_id:
                        return model
                token = page.token
                if not token:
                    break
        return None

    def _below(self, root: str, path: str | None) -> str:
        """Return what lies below the root of an artifact store: a path, if it is on this machine."""
        if path and ".." in path.split("/"):
            raise ValueError(f"'{path}' leads out of the artifacts")
        if scheme_of(root) in (None, "file"):
            return os.path.normpath(os.path.join(self._directory, local_path(root), path or ""))
        return f"{root.rstrip('/')}/{path}" if path else root

    def _is_databricks(self) -> bool:
        """Return whether only MLflow has the credentials for what the store leads to."""
        uris = (self._client().tracking_uri, _mlflow().get_registry_uri())
        return any(uri.startswith(("databricks", "uc:")) for uri in uris)

    def _client(self) -> Any:
        with self._lock:  # two threads that open a new database at once would fail
            if self._opened is None:
                uri = MlflowTracker(
                    self._tracking_uri,
                    directory=self._directory,
                    cache_directory=self._cache_directory,
                    reading=True,
                    timeout=self._timeout,
                ).uri
                self._opened = _mlflow().MlflowClient(uri)
            return self._opened


def _mlflow() -> Any:
    import mlflow

    return mlflow


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what MLflow and the libraries below it raise into a `DownloadError` of one line: the cause alone."""
    try:
        yield
    except DioptraError:
        raise
    except Exception as error:
        text = str(error)
        code = "remote-failed"
        if getattr(error, "error_code", None) == _MISSING or _MISSING in text:
            code = "remote-not-found"
        # Of several failed files MLflow gives a list, under headings.
        lines = (line for line in text.splitlines() if line.strip() and not _HEADING.match(line))
        reason = next(lines, type(error).__name__).partition(". Response text:")[0]
        hint = f"pip install {error.name}" if isinstance(error, ImportError) and error.name else None
        raise DownloadError(Problem(code, reason, hint=hint)) from error
