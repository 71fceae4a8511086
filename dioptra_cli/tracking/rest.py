"""Records runs through the documented REST API of a tracking server, without importing MLflow.

Importing MLflow takes longer than everything else in a short run. What this client does not speak (see `speaks`) is
left to MLflow's own.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

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

_SECONDS = 30.0
_DEFAULT_EXPERIMENT = "0"
_UNDERSTOOD = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_HEADER_PLUGINS = "mlflow.request_header_provider"


def speaks(uri: str, environ: Mapping[str, str]) -> bool:
    """Return whether this client can talk to the server at `uri` as MLflow's own would.

    Not with certificates, request signing, workspaces or other settings of `MLFLOW_TRACKING_*`, a file of
    credentials, a proxy, or plugins that add headers.
    """
    if not uri.startswith(("http://", "https://")):
        return False
    if environ.get("MLFLOW_WORKSPACE"):
        return False
    if uri.startswith("https://") and any(environ.get(name) for name in _CERTIFICATES):
        return False
    if any(n.startswith("MLFLOW_TRACKING_") and n not in _UNDERSTOOD and environ[n] for n in environ):
        return False
    if os.path.exists(os.path.expanduser("~/.mlflow/credentials")):
        return False
    parts = urlsplit(uri)
    if getproxies().get(parts.scheme) and not proxy_bypass(parts.hostname or ""):
        return False
    return not _has_header_plugins()


class RestTracker:
    """A tracker on an MLflow tracking server.

    Args:
        uri: The http(s) URI of the server.
        environ: Where credentials are read from.

    Raises:
        TrackingError: Nothing listens there.
    """

    def __init__(self, uri: str, environ: Mapping[str, str]) -> None:
        uris.require_server(uri)
        self._uri = uri
        self._parts = urlsplit(uri)
        self._authorization = _authorization(self._parts.username, self._parts.password, environ)
        self._connection: http.client.HTTPConnection | None = None
        self._artifact_uris: dict[str, str] = {}

    @property
    def uri(self) -> str:
        """The tracking URI."""
        return self._uri

    def start(self, request: RunRequest) -> StartedRun:
        """Create or take up a run. See `Tracker.start`."""
        tags = {name: value[:LONGEST_TAG] for name, value in request.tags.items()}
        if request.parent_run_id is not None:
            tags[PARENT_TAG] = self._existing(request.parent_run_id)["run_id"]
        if request.run_id is not None:
            info = self._existing(request.run_id)
            named = {} if request.run_name is None else {"run_name": request.run_name}
            self._post("runs/update", {"run_id": request.run_id, "status": "RUNNING", **named})
            self.set_tags(request.run_id, tags)
        else:
            body = {
                "experiment_id": self._experiment(request),
                "user_id": tags.get("mlflow.user", "unknown"),
                "start_time": _now(),
                "tags": [{"key": name, "value": value} for name, value in tags.items()],
            }
            if request.run_name is not None:
                body["run_name"] = request.run_name
            info = self._post("runs/create", body)["run"]["info"]
        self._artifact_uris[info["run_id"]] = info["artifact_uri"]
        name = request.run_name or info.get("run_name", "")
        return StartedRun(info["run_id"], info["experiment_id"], name, info["artifact_uri"])

    def close(self, run_id: str, status: RunStatus) -> None:
        """Set the final status. See `Tracker.close`."""
        self._post("runs/update", {"run_id": run_id, "status": status.value, "end_time": _now()})

    def logged_parameters(self, run_id: str) -> Mapping[str, str]:
        """Return what was logged. See `Tracker.logged_parameters`."""
        data = self._get("runs/get", {"run_id": run_id})["run"].get("data", {})
        return {param["key"]: param.get("value", "") for param in data.get("params", ())}

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Add parameters; one longer than MLflow allows is cut. See `Tracker.log_parameters`."""
        params = [{"key": name, "value": value[:LONGEST_PARAMETER]} for name, value in parameters.items()]
        for start in range(0, len(params), PARAMETERS_PER_BATCH):
            batch = params[start : start + PARAMETERS_PER_BATCH]
            self._post("runs/log-batch", {"run_id": run_id, "params": batch})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; one longer than MLflow allows is cut. See `Tracker.set_tags`."""
        pairs = [{"key": name, "value": value[:LONGEST_TAG]} for name, value in tags.items()]
        for start in range(0, len(pairs), PARAMETERS_PER_BATCH):
            batch = pairs[start : start + PARAMETERS_PER_BATCH]
            self._post("runs/log-batch", {"run_id": run_id, "tags": batch})

    def log_artifacts(self, run_id: str, directory: str) -> None:
        """Copy files into the run: through the server where it proxies artifacts, else with MLflow.

        See `Tracker.log_artifacts`.
        """
        place = urlsplit(self._artifact_uris[run_id])
        if place.scheme != "mlflow-artifacts" or place.netloc:
            from dioptra_cli.tracking.mlflow_client import MlflowTracker

            MlflowTracker.on_server(self._uri).log_artifacts(run_id, directory)
            return
        for folder, _, names in os.walk(directory):
            for name in sorted(names):
                path = os.path.join(folder, name)
                inside = os.path.relpath(path, directory)
                target = quote(f"{place.path.strip('/')}/{inside}")
                with open(path, "rb") as file:
                    self._call("PUT", f"mlflow-artifacts/artifacts/{target}", file, os.path.getsize(path))

    def _experiment(self, request: RunRequest) -> str:
        name = request.experiment_name
        if name is None:
            wanted = request.experiment_id or _DEFAULT_EXPERIMENT
            try:
                found = self._get("experiments/get", {"experiment_id": wanted})
            except _Missing:
                raise not_found("experiment", wanted, self._uri) from None
        else:
            try:
                found = self._get("experiments/get-by-name", {"experiment_name": name})
            except _Missing:
                return str(self._post("experiments/create", {"name": name})["experiment_id"])
        experiment = found["experiment"]
        if experiment.get("lifecycle_stage", "active") != "active":
            raise deleted_experiment(experiment["name"], experiment["experiment_id"])
        return str(experiment["experiment_id"])

    def _existing(self, run_id: str) -> Any:
        try:
            info = self._get("runs/get", {"run_id": run_id})["run"]["info"]
        except _Missing:
            raise not_found("run", run_id, self._uri) from None
        if info.get("lifecycle_stage", "active") != "active":
            raise deleted_run(run_id)
        return info

    def _get(self, endpoint: str, query: Mapping[str, str]) -> Any:
        return self._call("GET", f"mlflow/{endpoint}?{urlencode(query)}")

    def _post(self, endpoint: str, body: Mapping[str, Any]) -> Any:
        data = json.dumps(body).encode()
        return self._call("POST", f"mlflow/{endpoint}", data, len(data))

    def _call(self, method: str, path: str, body: Any = None, size: int = 0) -> Any:
        """Make one request. A connection that the server has closed meanwhile is opened again."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = (
                "application/json" if isinstance(body, bytes) else "application/octet-stream"
            )
            headers["Content-Length"] = str(size)
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        url = f"{self._parts.path.rstrip('/')}/api/2.0/{path}"
        try:
            reused = self._connection is not None
            try:
                status, text = self._exchange(method, url, body, headers)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not reused:
                    raise
                if hasattr(body, "seek"):
                    body.seek(0)
                status, text = self._exchange(method, url, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise self._failed(reason) from error
        return self._answer(status, text)

    def _exchange(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            secure = self._parts.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(self._parts.hostname or "", self._parts.port, timeout=_SECONDS)
        try:
            self._connection.request(method, url, body, dict(headers))
            response = self._connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answer(self, status: int, text: bytes) -> Any:
        if status == 200:
            try:
                return json.loads(text or b"{}")
            except ValueError:
                raise self._failed("it does not answer as an MLflow server does") from None
        try:
            error = json.loads(text)
            code, message = error["error_code"], str(error.get("message", "")).strip()
        except (ValueError, KeyError, TypeError):
            code, message = "", text.decode("utf-8", "replace").strip()
        if code == "RESOURCE_DOES_NOT_EXIST":
            raise _Missing(Problem("tracking-failed", message))
        lines = message.splitlines()
        raise self._failed(f"HTTP {status}" + (f": {lines[0]}" if lines else ""))

    def _failed(self, reason: str) -> TrackingError:
        return TrackingError(
            Problem("tracking-failed", f"tracking at {uris.shown(self._uri)} failed: {reason}")
        )


class _Missing(TrackingError):
    """The server knows no such thing."""


def _authorization(user: str | None, password: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the header for the credentials, those of the URI first, as MLflow chooses them."""
    user = user or environ.get("MLFLOW_TRACKING_USERNAME")
    password = password or environ.get("MLFLOW_TRACKING_PASSWORD")
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    if user and password:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Bearer {token}" if token else None


def _has_header_plugins() -> bool:
    """Return whether an installed distribution adds headers to MLflow's requests.

    Reads the files that declare plugins; `importlib.metadata` would cost more than all requests of a run.
    """
    return any(_HEADER_PLUGINS in text for text in _entry_points())


def _entry_points() -> Iterator[str]:
    for directory in sys.path:
        for path in glob.iglob(os.path.join(glob.escape(directory), "*-info", "entry_points.txt")):
            with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
                yield file.read()


def _now() -> int:
    """Return the time in milliseconds, as MLflow counts it."""
    return int(time.time() * 1000)
