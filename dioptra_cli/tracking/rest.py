"""Records runs through the documented REST API of a tracking server, without importing MLflow.

Importing MLflow takes longer than everything else in a short run. What this client does not speak (see `speaks`) is
left to MLflow's own.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from dioptra_cli.distributions import plugins_of_mlflow
from dioptra_cli.tracking import access
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
    NEWEST_FIRST,
    PAGE,
    arriving,
    copy_local,
    fetch_local,
    file_error,
    inside,
    is_on_this_machine,
    newest,
    paged,
    tag_filter,
)
from dioptra_cli.tracking.transport import Refused, Transport, uses_proxy
from dioptra_cli.tracking.uris import is_server

if TYPE_CHECKING:
    from dioptra_cli.tracking.mlflow_client import MlflowTracker

_API = "api/2.0/mlflow"
_ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
_DEFAULT_EXPERIMENT = "0"
_TOKEN_TAG = "dioptra.token"
"""The tag whose value no other run has."""
_MISSING, _EXISTS = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
_NOT_THERE = (_MISSING, "INVALID_PARAMETER_VALUE", "INVALID_STATE")
"""How stores refuse a run in an experiment that is missing or deleted."""
_UNDERSTOOD = (
    "MLFLOW_TRACKING_URI",
    access.USERNAME,
    access.PASSWORD,
    access.TOKEN,
    access.INSECURE_TLS,
    access.SERVER_CERT_PATH,
    access.CLIENT_CERT_PATH,
)
_SIGNED = "MLFLOW_TRACKING_AWS_SIGV4"
_HEADER_PLUGINS = "mlflow.request_header_provider"


def speaks(uri: str, environ: Mapping[str, str], cache_directory: str | None = None) -> bool:
    """Return whether this client can talk to the server at `uri` as MLflow's own would.

    Not with request signing, other ways to log in, workspaces or other settings of `MLFLOW_TRACKING_*`, a proxy, or
    plugins that add headers. See `distributions` for the cache.
    """
    if not is_server(uri):
        return False
    if environ.get("MLFLOW_WORKSPACE"):
        return False
    if environ.get(_SIGNED, "").lower() not in ("", "0", "false"):
        return False
    known = (*_UNDERSTOOD, _SIGNED)
    if any(n.startswith("MLFLOW_TRACKING_") and n not in known and environ[n] for n in environ):
        return False
    if _may_use_proxy(environ) and uses_proxy(uri):
        return False
    return _HEADER_PLUGINS not in plugins_of_mlflow(cache_directory)


class RestTracker:
    """A tracker on an MLflow tracking server.

    Args:
        uri: The http(s) URI of the server.
        environ: Where credentials and certificates are named, and how often a request is repeated at most:
            `access.read`.
        timeout: Seconds until the server has to be connected and a run started; then, for each answer with all
            its repetitions.
        store: The URI of the store itself, where the server is only a quicker way to it: what others get.

    Raises:
        TrackingError: Nothing listened there, so long, or it is not the server it should be.
    """

    def __init__(
        self, uri: str, environ: Mapping[str, str], timeout: float = 10.0, *, store: str | None = None
    ) -> None:
        began = time.monotonic()
        self._url = uri
        self._uri = store or uri
        self._timeout = timeout
        self._http = Transport(uri, access.read(uri, environ), timeout)
        self._http.connect()
        self._left = timeout - (time.monotonic() - began)
        self._artifact_uris: dict[str, str] = {}
        self._experiments: list[str] = []

    def require_answer(self, seconds: float) -> None:
        """Look whether the server answers at all, and not only takes connections.

        Raises:
            TrackingError: It did not, so long.
        """
        with self._http.within(seconds):
            self._http.download("health", io.BytesIO())

    @property
    def uri(self) -> str:
        """The tracking URI."""
        return self._uri

    def start(self, request: RunRequest) -> StartedRun:
        """Create or take up a run. See `Tracker.start`."""
        self._experiments = []  # it may make one
        with self._http.within(self._left):
            self._left = self._timeout
            tags = {name: value[:LONGEST_TAG] for name, value in request.tags.items()}
            if request.parent_run_id is not None:
                tags[PARENT_TAG] = self._existing(request.parent_run_id)["info"]["run_id"]
            if request.run_id is not None:
                info = self._existing(request.run_id)["info"]
                named = {} if request.run_name is None else {"run_name": request.run_name}
                self.set_tags(request.run_id, tags)  # first of all the token, by which it is found again
                self._post("runs/update", {"run_id": request.run_id, "status": "RUNNING", **named})
            else:
                info = self._create(request, tags)
        self._artifact_uris[info["run_id"]] = info["artifact_uri"]
        name = request.run_name or info.get("run_name", "")
        return StartedRun(info["run_id"], info["experiment_id"], name, info["artifact_uri"])

    def close(self, run_id: str, status: RunStatus, ended: int) -> None:
        """Set the final status. See `Tracker.close`."""
        self._post("runs/update", {"run_id": run_id, "status": status.value, "end_time": ended})

    def logged_parameters(self, run_id: str) -> Mapping[str, str]:
        """Return what was logged. See `Tracker.logged_parameters`."""
        data = self._get("runs/get", {"run_id": run_id})["run"].get("data", {})
        return {param["key"]: param.get("value", "") for param in data.get("params", ())}

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Add parameters; one longer than MLflow allows is cut. See `Tracker.log_parameters`."""
        self.log(run_id, parameters, {})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; one longer than MLflow allows is cut. See `Tracker.set_tags`."""
        self.log(run_id, {}, tags)

    def log(self, run_id: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add parameters and set tags; see `Tracker.log`."""
        params = [{"key": name, "value": value[:LONGEST_PARAMETER]} for name, value in parameters.items()]
        pairs = [{"key": name, "value": value[:LONGEST_TAG]} for name, value in tags.items()]
        for start in range(0, max(len(params), len(pairs)), PARAMETERS_PER_BATCH):
            batch = slice(start, start + PARAMETERS_PER_BATCH)
            self._post("runs/log-batch", {"run_id": run_id, "params": params[batch], "tags": pairs[batch]})

    def log_artifacts(self, run_id: str, directory: str) -> None:
        """Copy files into the run: through the server where it proxies artifacts, or on this machine.

        See `Tracker.log_artifacts`. What lies elsewhere is MLflow's.
        """
        artifact_uri = self._artifact_uri(run_id)
        place = self._proxied(artifact_uri)
        if place is None:
            if is_on_this_machine(artifact_uri):
                copy_local(directory, artifact_uri)
            else:
                self._careful().log_artifacts(run_id, directory)
            return
        for folder, _, names in os.walk(directory):
            for name in sorted(names):
                path = os.path.join(folder, name)
                target = quote(f"{place}/{os.path.relpath(path, directory)}")
                try:
                    with open(path, "rb") as file:
                        size = os.fstat(file.fileno()).st_size
                        self._http.upload(f"{_ARTIFACTS}/{target}", file, size)
                except OSError as error:
                    raise file_error(f"cannot read {path}", error) from error

    def run(self, run_id: str) -> RecordedRun:
        """Return a run. See `Tracker.run`."""
        found = _recorded(self._existing(run_id))
        self._artifact_uris[run_id] = found.artifact_uri
        return found

    def find(self, tags: Mapping[str, str], *, limit: int) -> list[RecordedRun]:
        """Return the newest runs with these tags. See `Tracker.find`."""
        # What one command asks in a row is asked of the same experiments. Whether a run was made has to be certain.
        if not self._experiments or _TOKEN_TAG in tags:
            self._experiments = self._active_experiments()
        return self._search(tags, self._experiments, limit)

    def _active_experiments(self) -> list[str]:
        def page(token: str | None) -> tuple[list[str], str | None]:
            answer = self._post(
                "experiments/search", _page({"max_results": PAGE, "view_type": "ACTIVE_ONLY"}, token)
            )
            found = [str(each["experiment_id"]) for each in answer.get("experiments", ())]
            return found, answer.get("next_page_token")

        return [each for found in paged(page) for each in found]

    def fetch(self, run_id: str, path: str, directory: str) -> str | None:
        """Copy one artifact into a directory. See `Tracker.fetch`."""
        if not inside(path):
            return None
        artifact_uri = self._artifact_uri(run_id)
        place = self._proxied(artifact_uri)
        if place is None:
            if is_on_this_machine(artifact_uri):
                return fetch_local(artifact_uri, path, directory)
            return self._careful().fetch(run_id, path, directory)
        folder, _, name = path.rpartition("/")
        # Where the server keeps artifacts in an object store, it knows no better than to fail on a missing one.
        query = urlencode({"path": f"{place}/{folder}".rstrip("/")})
        listed = self._http.json("GET", f"{_ARTIFACTS}?{query}").get("files", ())
        if not any(each["path"].rpartition("/")[2] == name and not each.get("is_dir") for each in listed):
            return None
        with arriving(path, directory) as aside, open(aside, "wb") as file:
            self._http.download(f"{_ARTIFACTS}/{quote(f'{place}/{path}')}", file)
        return os.path.join(directory, name)

    def _create(self, request: RunRequest, tags: Mapping[str, str]) -> Any:
        experiment, token = self._experiment(request), tags.get(_TOKEN_TAG)
        body = {
            "experiment_id": experiment,
            "user_id": tags.get("mlflow.user", "unknown"),
            "start_time": int(time.time() * 1000),
            "tags": [{"key": name, "value": value} for name, value in tags.items()],
        }
        if request.run_name is not None:
            body["run_name"] = request.run_name

        def was_done() -> Any:
            """Look for the run by its own tag: an earlier attempt may have created it and lost the answer."""
            if token is None:
                raise self._http.failed(
                    "it is not known whether it has created the run, so that it is not asked again",
                    retryable=True,
                )
            for found in self._search({_TOKEN_TAG: token}, [experiment], 1):
                return {"run": self._existing(found.run_id)}
            return None

        try:
            return self._post("runs/create", body, was_done=was_done)["run"]["info"]
        except Refused as error:
            if error.code in _NOT_THERE:
                self._require_experiment(experiment)  # says what is wrong with it, if something is
            raise

    def _experiment(self, request: RunRequest) -> str:
        """Return the id of the experiment; whether one that is asked for by its id is there, the store says."""
        name = request.experiment_name
        if name is None:
            return request.experiment_id or _DEFAULT_EXPERIMENT
        try:
            found = self._experiment_of_name(name)
            if found is None:
                return str(self._post("experiments/create", {"name": name})["experiment_id"])
        except Refused as error:
            if error.code != _EXISTS:
                raise
            found = self._experiment_of_name(name)  # another process was faster
            if found is None:
                raise
        _require_active(found["experiment"])
        return str(found["experiment"]["experiment_id"])

    def _require_experiment(self, identity: str) -> None:
        try:
            found = self._get("experiments/get", {"experiment_id": identity})
        except Refused as error:
            if error.code != _MISSING:
                raise
            raise not_found("experiment", identity, self._uri) from None
        _require_active(found["experiment"])

    def _experiment_of_name(self, name: str) -> Any:
        try:
            return self._get("experiments/get-by-name", {"experiment_name": name})
        except Refused as error:
            if error.code != _MISSING:
                raise
            return None

    def _existing(self, run_id: str) -> Any:
        try:
            run = self._get("runs/get", {"run_id": run_id})["run"]
        except Refused as error:
            if error.code != _MISSING:
                raise
            raise not_found("run", run_id, self._uri) from None
        if run["info"].get("lifecycle_stage", "active") != "active":
            raise deleted_run(run_id)
        return run

    def _search(self, tags: Mapping[str, str], experiments: Sequence[str], limit: int) -> list[RecordedRun]:
        def runs(token: str | None) -> tuple[list[RecordedRun], str | None]:
            body = {
                "experiment_ids": experiments,
                "filter": tag_filter(tags),
                "run_view_type": "ACTIVE_ONLY",
                "order_by": [NEWEST_FIRST],
                "max_results": min(limit, PAGE),
            }
            answer = self._post("runs/search", _page(body, token))
            return [_recorded(run) for run in answer.get("runs", ())], answer.get("next_page_token")

        return newest(paged(runs), tags, limit) if experiments else []

    def _artifact_uri(self, run_id: str) -> str:
        if run_id not in self._artifact_uris:
            self.run(run_id)
        return self._artifact_uris[run_id]

    def _proxied(self, artifact_uri: str) -> str | None:
        """Return the path of artifacts below what the server hands out itself; None where it does not."""
        place = urlsplit(artifact_uri)
        if place.scheme != "mlflow-artifacts" or place.netloc:
            return None
        return place.path.strip("/")

    def _careful(self) -> MlflowTracker:
        from dioptra_cli.tracking.mlflow_client import MlflowTracker

        return MlflowTracker.on_server(self._url, self._timeout)

    def _get(self, endpoint: str, query: Mapping[str, str]) -> Any:
        return self._http.json("GET", f"{_API}/{endpoint}?{urlencode(query)}")

    def _post(
        self, endpoint: str, body: Mapping[str, Any], *, was_done: Callable[[], Any] | None = None
    ) -> Any:
        return self._http.json("POST", f"{_API}/{endpoint}", body, was_done=was_done)


def _page(body: Mapping[str, Any], token: str | None) -> Mapping[str, Any]:
    return body if token is None else {**body, "page_token": token}


def _require_active(experiment: Mapping[str, Any]) -> None:
    if experiment.get("lifecycle_stage", "active") != "active":
        raise deleted_experiment(experiment["name"], experiment["experiment_id"])


def _recorded(run: Mapping[str, Any]) -> RecordedRun:
    """Return a run as the API writes it, where what is empty or zero may be left out."""
    info, data = run["info"], run.get("data", {})

    def moment(name: str) -> int | None:
        return int(info[name]) if info.get(name) else None

    return RecordedRun(
        run_id=info["run_id"],
        run_name=info.get("run_name", ""),
        experiment_id=str(info["experiment_id"]),
        status=info.get("status", "RUNNING"),
        started=moment("start_time"),
        ended=moment("end_time"),
        artifact_uri=info.get("artifact_uri", ""),
        parameters={each["key"]: each.get("value", "") for each in data.get("params", ())},
        # `NaN` and `Infinity` are no JSON, and come as text.
        metrics={each["key"]: float(each.get("value", 0.0)) for each in data.get("metrics", ())},
        tags={each["key"]: each.get("value", "") for each in data.get("tags", ())},
    )


def _may_use_proxy(environ: Mapping[str, str]) -> bool:
    """Return whether a proxy may be set: elsewhere than on Linux and its like, the system has settings of its own."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(environ[name] for name in environ if name.lower().endswith("_proxy"))
