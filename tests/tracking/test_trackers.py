"""Both trackers against real stores: what one writes the other reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.errors import TrackingError
from dioptra_cli.tracking import open_tracker, rest, uris
from dioptra_cli.tracking.mlflow_client import MlflowTracker
from dioptra_cli.tracking.protocol import RunRequest, RunStatus, Tracker

# MLflow uses a part of SQLAlchemy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def record_a_run(tracker: Tracker, directory: Path, experiment: str) -> str:
    """Do everything that a tracker can; return the run's id."""
    run = tracker.start(
        RunRequest(experiment_name=experiment, run_name="näme", tags={"team": "red", "long": "x" * 9000})
    )
    tracker.log_parameters(run.run_id, {f"p{i}": str(i) for i in range(120)} | {"empty": "", "text": "é\n'"})
    tracker.log_parameters(run.run_id, {"long": "y" * 7000})
    tracker.set_tags(run.run_id, {"late": "1"})
    files = directory / "files"
    (files / "logs").mkdir(parents=True, exist_ok=True)
    (files / "logs" / "out put.log").write_text("héllo\n")
    (files / "empty").touch()
    tracker.log_artifacts(run.run_id, str(files))
    tracker.close(run.run_id, RunStatus.KILLED)
    again = tracker.start(RunRequest(run_id=run.run_id, tags={"again": "yes"}))
    assert again.run_id == run.run_id
    tracker.close(run.run_id, RunStatus.FAILED)
    child = tracker.start(RunRequest(experiment_id=run.experiment_id, parent_run_id=run.run_id))
    assert child.experiment_id == run.experiment_id
    tracker.close(child.run_id, RunStatus.FINISHED)
    assert tracker.logged_parameters(run.run_id)["text"] == "é\n'"
    return run.run_id


def refusals(tracker: Tracker) -> list[str]:
    requests = [
        RunRequest(experiment_id="99"),
        RunRequest(run_id="0" * 32),
        RunRequest(parent_run_id="0" * 32),
    ]
    said = []
    for request in requests:
        with pytest.raises(TrackingError) as caught:
            tracker.start(request)
        said.append(str(caught.value))
    return said


def look(client: Any, run_id: str, directory: Path) -> dict[str, Any]:
    """Read a run back with MLflow's own client."""
    run = client.get_run(run_id)
    child = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")[0]
    log = client.download_artifacts(run_id, "logs/out put.log", str(directory))
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "ended": run.info.end_time >= run.info.start_time,
        "params": run.data.params,
        "tags": {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.user")},
        "log": Path(log).read_text(),
        "artifacts": sorted(f.path for f in client.list_artifacts(run_id)),
        "child": child.info.status,
    }


def test_rest_and_mlflow_record_the_same(tmp_path: Path, mlflow_server: Any) -> None:
    from mlflow import MlflowClient

    with mlflow_server() as url:
        fast = open_tracker(url, environ={}, directory=str(tmp_path), lock_directory=str(tmp_path))
        assert isinstance(fast, rest.RestTracker)
        careful = MlflowTracker.on_server(url)
        client = MlflowClient(url)
        seen = [
            look(client, record_a_run(tracker, tmp_path, experiment), tmp_path)
            for tracker, experiment in ((fast, "fa st"), (careful, "careful"))
        ]
        assert seen[0] == seen[1]
        assert seen[0]["status"] == "FAILED"
        assert len(seen[0]["params"]) == 123
        assert len(seen[0]["tags"]["long"]) == 8000
        assert refusals(fast) == refusals(careful)
        experiment = client.get_experiment_by_name("fa st")
        assert experiment is not None
        client.delete_experiment(experiment.experiment_id)
        for tracker in (fast, careful):
            with pytest.raises(TrackingError, match=r"'fa st' .* is deleted"):
                tracker.start(RunRequest(experiment_name="fa st"))
    with pytest.raises(TrackingError, match="Connection refused"):
        fast.close("0" * 32, RunStatus.FINISHED)


def test_a_sqlite_store(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    announced: list[str] = []

    def opened() -> Tracker:
        return open_tracker(
            "sqlite:///new.db",
            environ={},
            directory=str(tmp_path),
            lock_directory=str(tmp_path / "locks"),
            on_new_store=announced.append,
        )

    tracker = opened()
    assert tracker.uri == opened().uri == f"sqlite:///{tmp_path}/new.db"
    assert announced == [f"{tmp_path}/new.db"]  # the first time only
    tracker.start(RunRequest())  # the default experiment
    client = MlflowClient(tracker.uri)
    client.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))
    seen = look(client, record_a_run(tracker, tmp_path, "e"), tmp_path)
    assert (seen["status"], seen["child"], len(seen["params"])) == ("FAILED", "FINISHED", 123)
    assert "there is no run" in refusals(tracker)[1]


def test_a_database_that_cannot_be_opened_is_told_before_mlflow_tries(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"cannot write the store /proc/new\.db: ") as caught:
        open_tracker("sqlite:////proc/new.db", environ={}, directory="/", lock_directory=str(tmp_path))
    assert "--tracking-uri" in (caught.value.problems[0].hint or "")
    (tmp_path / "directory").mkdir()
    for reading, what in ((False, "write"), (True, "read")):
        with pytest.raises(TrackingError, match=f"cannot {what} the store .*: Is a directory"):
            uris.require_database(str(tmp_path / "directory"), reading=reading)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write what nobody may")
def test_a_database_that_can_only_be_read_will_do_for_reading(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    file.touch(0o444)
    uris.require_database(str(file), reading=True)
    with pytest.raises(TrackingError, match="Permission denied"):
        uris.require_database(str(file))


def test_looking_at_a_database_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "target.db")
    (tmp_path / "old.db").write_bytes(b"old")
    for name in ("new.db", "link.db", "old.db", "missing/new.db"):
        uris.require_database(str(tmp_path / name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.db", "old.db"]
    assert (tmp_path / "old.db").read_bytes() == b"old"


def test_processes_that_open_one_new_store_at_once_all_succeed(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text("entry_points: {main: {command: 'true'}}")
    argv = [sys.executable, "-m", "dioptra_cli", "run", ".", "--quiet"]
    runs = [subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE) for _ in range(3)]
    ends = [(run.communicate()[1], run.returncode) for run in runs]
    assert ends == [(b"", 0)] * 3


class Server(BaseHTTPRequestHandler):
    """Answers as the test says, and remembers what it was asked."""

    answers: list[tuple[int, bytes]]
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    asked: list[tuple[str, str | None]] = []
    handler = type("Handler", (Server,), {"answers": list(answers), "asked": asked})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


RUN = json.dumps({"run": {"info": {"run_id": "r"}, "data": {"params": [{"key": "a"}]}}}).encode()


@pytest.mark.parametrize(
    ("user", "environ", "header"),
    [
        ("", {}, None),
        ("ada:s3cret@", {}, "Basic YWRhOnMzY3JldA=="),
        (
            "",
            {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"},
            "Basic YWRhOnMzY3JldA==",
        ),
        ("", {"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
    ],
)
def test_credentials_are_sent(user: str, environ: dict[str, str], header: str | None) -> None:
    with answering((200, RUN)) as (place, asked):
        tracker = rest.RestTracker(f"http://{user}{place}/prefix/", environ)
        assert tracker.logged_parameters("r") == {"a": ""}
        assert asked == [("/prefix/api/2.0/mlflow/runs/get?run_id=r", header)]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>", "does not answer as an MLflow server"),
        (404, b"Not Found", "HTTP 404: Not Found"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "boom\\nmore"}', "HTTP 500: boom"),
        (401, b"", "HTTP 401"),
    ],
)
def test_what_a_server_says_is_passed_on_in_one_line(status: int, body: bytes, message: str) -> None:
    with answering((status, body)) as (place, _):
        tracker = rest.RestTracker(f"http://ada:s3cret@{place}", {})
        with pytest.raises(TrackingError) as caught:
            tracker.logged_parameters("r")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "environ", "expected"),
    [
        ("http://h", {}, True),
        ("https://h", {"MLFLOW_TRACKING_TOKEN": "t", "MLFLOW_TRACKING_URI": "http://h"}, True),
        ("sqlite:///x", {}, False),
        ("databricks", {}, False),
        ("http://h", {"MLFLOW_TRACKING_AUTH": "kerberos"}, False),
        ("https://h", {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/c"}, False),
        ("https://h", {"REQUESTS_CA_BUNDLE": "/c"}, False),
        ("http://h", {"REQUESTS_CA_BUNDLE": "/c"}, True),
        ("http://h", {"MLFLOW_WORKSPACE": "w"}, False),
    ],
)
def test_what_rest_does_not_speak_is_left_to_mlflow(
    uri: str, environ: dict[str, str], expected: bool
) -> None:
    assert rest.speaks(uri, environ) is expected


def test_a_proxy_a_credentials_file_and_a_plugin_are_left_to_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("http_proxy", "http://127.0.0.1:1")
        patch.setenv("no_proxy", "")
        assert not rest.speaks("http://h", {})
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        assert rest.speaks("http://h", {})
        (tmp_path / ".mlflow").mkdir()
        (tmp_path / ".mlflow" / "credentials").touch()
        assert not rest.speaks("http://h", {})
    plugin = tmp_path / "p-1.dist-info"
    plugin.mkdir()
    (plugin / "entry_points.txt").write_text("[mlflow.request_header_provider]\nx=y\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not rest.speaks("http://h", {})


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow.db", "sqlite:////base/mlflow.db"),
        ("sqlite:////abs/m.db", "sqlite:////abs/m.db"),
        ("sqlite:///a/b.db?timeout=5", "sqlite:////base/a/b.db?timeout=5"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("./mlruns", "file:///base/mlruns"),
        ("ml runs", "file:///base/ml%20runs"),
        ("file:./mlruns", "file:///base/mlruns"),
        ("file:///abs/x", "file:///abs/x"),
        ("/abs/x", "file:///abs/x"),
        ("http://h:5000", "http://h:5000"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("databricks", "databricks"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_tracking_uris_are_made_absolute(uri: str, expected: str) -> None:
    assert uris.absolute(uri, "/base") == expected
