"""Artifacts of runs and models, from a real store and a real server of MLflow."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dioptra_cli.errors import DownloadError, Problem, TrackingError
from dioptra_cli.tracking.artifacts import MlflowArtifacts

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tests.execution.downloads.conftest import Bucket, Fetch

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and what it imports warn of each other


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a tracking store: `mlflow.db`, and files below `artifacts`."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def artifacts(store: Path) -> MlflowArtifacts:
    """Return what reads the artifacts of the store."""
    return MlflowArtifacts("sqlite:///mlflow.db", directory=str(store), cache_directory=str(store / "locks"))


@pytest.fixture(scope="module")
def client(store: Path, artifacts: MlflowArtifacts) -> MlflowClient:
    """Return MLflow's own client of the store."""
    from mlflow import MlflowClient

    with pytest.raises(DownloadError):  # creates the tables
        artifacts.locate("runs:/none/a")
    return MlflowClient(f"sqlite:///{store}/mlflow.db", f"sqlite:///{store}/mlflow.db")


@pytest.fixture(scope="module")
def experiment(client: MlflowClient, store: Path) -> str:
    """Return an experiment whose artifacts are on this machine, below a path that has to be escaped in URIs."""
    return str(client.create_experiment("local", (store / "the artifacts").as_uri()))


@pytest.fixture
def fetch(fetch: Fetch, artifacts: MlflowArtifacts) -> Fetch:
    """Return what downloads, and can read artifacts."""
    fetch.configure(artifacts=artifacts)
    return fetch


def problem_of(fetch: Fetch, uri: str) -> Problem:
    """Return the one problem of a download that must fail, and leave nothing behind."""
    with pytest.raises(DownloadError) as raised:
        fetch(uri)
    assert fetch.files() == []
    (problem,) = raised.value.problems
    return problem


def log(client: MlflowClient, run_id: str, tmp_path: Path, **files: str) -> None:
    """Log text files, named `name__ext`, below `data` of a run."""
    for name, content in files.items():
        file = tmp_path / name.replace("__", ".")
        file.write_text(content)
        client.log_artifact(run_id, str(file), "data")


def model_files(location: str, **files: str) -> Path:
    """Write the files of a model where MLflow says that they belong."""
    directory = Path(location.removeprefix("file://").replace("%20", " "))
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(content)
    return directory


def test_artifacts_on_this_machine_are_used_where_they_lie(
    client: MlflowClient, experiment: str, fetch: Fetch, tmp_path: Path, store: Path
) -> None:
    run_id = client.create_run(experiment).info.run_id
    log(client, run_id, tmp_path, a__csv="1", b__csv="2")
    uris = [f"runs:/{run_id}/data/a.csv", f"runs:/{run_id}/data", f"runs:/{run_id}"]
    file, directory, root = fetch(*uris).values()
    assert file == store / "the artifacts" / run_id / "artifacts" / "data" / "a.csv"
    assert file.read_text() == "1"
    assert sorted(os.listdir(directory)) == ["a.csv", "b.csv"]
    assert os.listdir(root) == ["data"]
    assert fetch.files() == []


def test_artifacts_in_an_object_store_are_fetched_from_there(
    client: MlflowClient, fetch: Fetch, bucket: Bucket
) -> None:
    fetch.configure(environ=bucket.environ)
    experiment = client.create_experiment(bucket.name, bucket.uri("mlflow"))
    run_id = client.create_run(experiment).info.run_id
    bucket.put(f"mlflow/{run_id}/artifacts/data/a.csv", b"1")
    uri = f"runs:/{run_id}/data/a.csv"
    path = fetch(uri)[uri]
    assert (path.name, path.read_text()) == ("a.csv", "1")
    bucket.forget()
    assert fetch(uri)[uri] == path
    assert bucket.bodies() == []
    problem = problem_of_missing(fetch, f"runs:/{run_id}/data/b.csv")
    assert f"it leads to s3://{bucket.name}/mlflow/{run_id}/artifacts/data/b.csv" in problem.message


def problem_of_missing(fetch: Fetch, uri: str) -> Problem:
    """Return the problem of something that is not there."""
    with pytest.raises(DownloadError) as raised:
        fetch(uri)
    (problem,) = raised.value.problems
    # Servers of older MLflow versions answer 500 for what is not there.
    assert problem.name in ("remote-not-found", "remote-failed"), problem
    return problem


@pytest.mark.parametrize("path", ["missing.csv", "data/missing.csv"])
def test_artifact_that_does_not_exist(client: MlflowClient, experiment: str, fetch: Fetch, path: str) -> None:
    run_id = client.create_run(experiment).info.run_id
    assert problem_of(fetch, f"runs:/{run_id}/{path}").name == "remote-not-found"


@pytest.mark.parametrize("uri", ["runs:/no-such-run/a", "models:/no-such-model/1", "models:/m-nowhere"])
def test_run_or_model_that_does_not_exist(client: MlflowClient, fetch: Fetch, uri: str) -> None:
    problem = problem_of(fetch, uri)
    assert problem.name == "remote-not-found"
    assert uri in problem.message


@pytest.mark.parametrize("uri", ["runs:/", "models:/", "models:/a/b/c/../../d"])
def test_malformed_uris(client: MlflowClient, fetch: Fetch, uri: str) -> None:
    assert uri in problem_of(fetch, uri).message


def test_path_that_leads_out_of_the_artifacts(client: MlflowClient, experiment: str, fetch: Fetch) -> None:
    run_id = client.create_run(experiment).info.run_id
    assert "leads out" in problem_of(fetch, f"runs:/{run_id}/../../../../etc/passwd").message


def test_alias_leads_to_the_version_that_it_names_now(
    client: MlflowClient, store: Path, fetch: Fetch
) -> None:
    client.create_registered_model("digits")
    for version in ("1", "2"):
        source = model_files(str(store / f"model-{version}"), MLmodel=version)
        client.create_model_version("digits", source.as_uri())
    for version in ("1", "2"):
        client.set_registered_model_alias("digits", "best", version)
        for uri in (f"models:/digits/{version}", "models:/digits@best"):
            assert (fetch(uri)[uri] / "MLmodel").read_text() == version
    assert (fetch("models:/digits/latest")["models:/digits/latest"] / "MLmodel").read_text() == "2"
    assert fetch("models:/digits/1/MLmodel")["models:/digits/1/MLmodel"].read_text() == "1"


def test_model_that_a_run_logged_by_name(
    client: MlflowClient, experiment: str, fetch: Fetch, tmp_path: Path
) -> None:
    run_id = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, name="net", source_run_id=run_id)
    model_files(model.artifact_location, MLmodel="net")
    uris = [f"runs:/{run_id}/net", f"runs:/{run_id}/net/MLmodel", f"models:/{model.model_id}"]
    by_run, file, by_id = fetch(*uris).values()
    assert by_run == by_id == file.parent
    assert file.read_text() == "net"


def test_model_and_artifacts_of_one_name_are_put_together(
    client: MlflowClient, experiment: str, fetch: Fetch, tmp_path: Path
) -> None:
    run_id = client.create_run(experiment).info.run_id
    log(client, run_id, tmp_path, a__csv="1")
    model = client.create_logged_model(experiment, name="data", source_run_id=run_id)
    model_files(model.artifact_location, weights="net")
    uri = f"runs:/{run_id}/data"
    assert sorted(os.listdir(fetch(uri)[uri])) == ["a.csv", "weights"]


def test_tracking_server_that_is_not_there(fetch: Fetch, tmp_path: Path) -> None:
    unreachable = MlflowArtifacts(
        "http://127.0.0.1:1", directory=str(tmp_path), cache_directory=str(tmp_path / "locks"), timeout=0.5
    )
    with pytest.raises(TrackingError):
        unreachable.locate("runs:/1/a")
    fetch.configure(artifacts=unreachable)
    assert problem_of(fetch, "runs:/1/a").name == "tracking-unreachable"


def test_no_artifact_store(fetch: Fetch) -> None:
    fetch.configure(artifacts=None)
    assert problem_of(fetch, "runs:/1/a").name == "no-artifact-store"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Return the URI of a tracking server that hands out artifacts itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ),
        *("--backend-store-uri", f"sqlite:///{tmp_path}/server.db"),
        *("--artifacts-destination", str(tmp_path / "destination")),
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_artifacts_that_a_server_hands_out(server: str, fetch: Fetch, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client: Any = MlflowClient(server, server)
    fetch.configure(
        artifacts=MlflowArtifacts(server, directory=str(tmp_path), cache_directory=str(tmp_path / "locks"))
    )
    run = client.create_run(client.create_experiment("served"))
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    log(client, run.info.run_id, tmp_path, a__csv="1", b__csv="2")

    uris = [
        f"runs:/{run.info.run_id}/data/a.csv",
        f"{run.info.artifact_uri}/data",
        f"runs:/{run.info.run_id}",
    ]
    file, directory, root = fetch(*uris).values()
    assert (file.name, file.read_text()) == ("a.csv", "1")
    assert (directory.name, sorted(os.listdir(directory))) == ("data", ["a.csv", "b.csv"])
    assert (root / "data" / "b.csv").read_text() == "2"

    # A run can change what it holds, and the server has no versions: it is fetched each time.
    log(client, run.info.run_id, tmp_path, a__csv="3")
    assert fetch(uris[0])[uris[0]].read_text() == "3"
    problem_of_missing(fetch, f"runs:/{run.info.run_id}/data/none.csv")

    # The files of a finished model never change.
    model = client.create_logged_model(run.info.experiment_id, name="net", source_run_id=run.info.run_id)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "MLmodel").write_text("net")
    client.log_model_artifacts(model.model_id, str(tmp_path / "net"))
    by_id, by_run = f"models:/{model.model_id}", f"runs:/{run.info.run_id}/net"
    pending = fetch(by_id)[by_id]
    assert fetch(by_id)[by_id] != pending
    client.finalize_logged_model(model.model_id, "READY")
    ready = fetch(by_id)[by_id]
    assert (ready / "MLmodel").read_text() == "net"
    assert fetch(by_id, by_run) == {by_id: ready, by_run: ready}
