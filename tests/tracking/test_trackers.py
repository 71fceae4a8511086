"""Both trackers against real stores: what one writes the other reads."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
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

ENDED = 1_900_000_000_123
"""In milliseconds: when a run is said to have ended."""


ODD = {
    "empty": "",
    "text": "é\n'",
    "quotes": "'\"`\\",
    "blanks": "  x\t ",
    "json": '{"a": [1, null]}',
    "nan": "NaN",
    "a/b c.d-e": "🙂",
}


def record_a_run(tracker: Tracker, directory: Path, experiment: str) -> str:
    """Do everything that a tracker can; return the run's id."""
    run = tracker.start(
        RunRequest(experiment_name=experiment, run_name="näme", tags={"team": "red", "long": "x" * 9000})
    )
    tracker.log_parameters(run.run_id, {f"p{i}": str(i) for i in range(250)} | ODD)
    tracker.log_parameters(run.run_id, {"long": "y" * 7000, "as long as may be": "é" * 6000})
    tracker.set_tags(run.run_id, {f"t{i}": str(i) for i in range(120)} | ODD)
    files = directory / "files"
    (files / "logs" / "in").mkdir(parents=True, exist_ok=True)
    (files / "logs" / "in" / "out put.log").write_text("héllo\n")
    (files / "é &;=~+.bin").write_bytes(bytes(range(256)) * 1000)
    (files / "empty").touch()
    tracker.log_artifacts(run.run_id, str(files))
    (files / "empty").write_text("not any more")
    tracker.log_artifacts(run.run_id, str(files))
    tracker.close(run.run_id, RunStatus.KILLED, ENDED)
    again = tracker.start(RunRequest(run_id=run.run_id, tags={"again": "yes"}))
    assert again.run_id == run.run_id
    tracker.close(run.run_id, RunStatus.FAILED, ENDED)
    child = tracker.start(RunRequest(experiment_id=run.experiment_id, parent_run_id=run.run_id))
    assert child.experiment_id == run.experiment_id
    tracker.close(child.run_id, RunStatus.FINISHED, ENDED)
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


AWKWARD = [
    "",
    "plain",
    "it's",
    'say "x"',
    "both ' and \"",
    "back\\slash",
    "end\\",
    "`t`",
    "100%",
    "a_b",
    "; --x /* y */",
    "a AND b",
    "tab\t",
    "é\n'",
    "[x]",
]


def what_is_read(tracker: Tracker, client: Any, directory: Path) -> Any:
    """Read all that a tracker can, of runs that it makes; return what must be the same for every tracker."""
    name = "dioptra.project: a/b-c é"
    place = {"place": directory.name}
    runs = [
        tracker.start(RunRequest(experiment_name=f"e{i % 3}", tags={name: value, **place})).run_id
        for i, value in enumerate(AWKWARD)
    ]
    for value, run_id in zip(AWKWARD, runs, strict=True):
        assert [run.run_id for run in tracker.find({name: value, **place}, limit=9)] == [run_id]
    for tags in ({"no such": "tag"}, {"odd`name": "x"}, {name: "plainly"}, {name: "a%b"}, {name: "a.b"}):
        assert tracker.find({**tags, **place}, limit=9) == []
    assert [run.run_id for run in tracker.find(place, limit=4)] == runs[:-5:-1]
    gone, last = runs[-2:]
    client.delete_run(gone)
    assert gone not in [run.run_id for run in tracker.find(place, limit=99)]
    said = []
    for run_id in (gone, "0" * 32):
        with pytest.raises(TrackingError) as caught:
            tracker.run(run_id)
        assert not caught.value.retryable
        said.append(str(caught.value).replace(gone, "gone"))

    assert tracker.run(last).ended is None
    for metric, number in {"nan": float("nan"), "inf": float("inf"), "zero": 0.0, "big": 1e300}.items():
        client.log_metric(last, metric, number)
    tracker.log_parameters(last, {"empty": "", "text": "é\n'"})
    tracker.close(last, RunStatus.KILLED, ENDED)
    run = tracker.run(last)
    found = tracker.find({name: AWKWARD[-1], **place}, limit=1)[0]
    assert repr(run) == repr(found)  # NaN is not equal to itself
    assert run.artifact_uri
    assert run.started is not None
    assert run.started < ENDED

    # A tracker that did not start the run itself, for artifacts that lie deep.
    files = directory / "files" / "in" / "side"
    files.mkdir(parents=True)
    (files / "o ut.log").write_bytes(b"x" * 200_000)
    tracker.log_artifacts(last, str(directory / "files"))
    there = directory / "there"
    assert tracker.fetch(last, "in/side/o ut.log", str(there)) == str(there / "o ut.log")
    assert (there / "o ut.log").read_bytes() == b"x" * 200_000
    for path in ("none", "in", "in/none", "none/none", "../meta", "in/side"):
        assert tracker.fetch(last, path, str(there)) is None
    assert os.listdir(there) == ["o ut.log"]
    with pytest.raises(TrackingError, match=r"cannot copy the artifact 'in/side/o ut\.log' to /proc/x"):
        tracker.fetch(last, "in/side/o ut.log", "/proc/x")
    return said, run.status, run.ended, run.parameters, {k: repr(v) for k, v in run.metrics.items()}


def all_artifacts(client: Any, run_id: str, directory: Path) -> dict[str, bytes]:
    """Read what a run has for artifacts back with MLflow's own client."""
    found, folders = {}, [""]
    while folders:
        for each in client.list_artifacts(run_id, folders.pop() or None):
            if each.is_dir:
                folders.append(each.path)
            else:
                found[each.path] = Path(client.download_artifacts(run_id, each.path, directory)).read_bytes()
    return found


def look(client: Any, run_id: str, directory: Path) -> dict[str, Any]:
    """Read everything that a store has of a run with MLflow's own client, with names for what is never the same."""
    run = client.get_run(run_id)
    experiment = client.get_experiment(run.info.experiment_id)
    assert run.info.artifact_uri == f"{experiment.artifact_location}/{run_id}/artifacts"
    assert 0 < run.info.start_time <= run.info.end_time
    (directory / run_id).mkdir(parents=True)
    return {
        "info": {
            **dict(run.info),
            **dict.fromkeys(("run_id", "run_uuid", "experiment_id", "artifact_uri"), "its own"),
            "start_time": type(run.info.start_time),
        },
        "params": run.data.params,
        "metrics": run.data.metrics,
        "tags": run.data.tags,
        "inputs": run.inputs.to_dictionary(),
        "outputs": None if run.outputs is None else run.outputs.to_dictionary(),
        "artifacts": all_artifacts(client, run_id, directory / run_id),
        "experiment": {
            **dict(experiment),
            **dict.fromkeys(("experiment_id", "name", "artifact_location"), "its own"),
            **dict.fromkeys(("creation_time", "last_update_time"), "a moment"),
        },
    }


def look_at_both(client: Any, run_id: str, directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a run and its child."""
    info = client.get_run(run_id).info
    child = client.search_runs([info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")[0]
    of_child = look(client, child.info.run_id, directory)
    # A name is made up where none is given.
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d+", of_child["info"]["run_name"])
    assert of_child["tags"] == {
        "mlflow.parentRunId": run_id,
        "mlflow.runName": of_child["info"].pop("run_name"),
    }
    return look(client, run_id, directory), {**of_child, "tags": ...}


PROJECT = """\
name: project
entry_points:
  main:
    parameters:
      text: string
      empty: {type: string, default: ""}
      number: {type: float, default: 0.5}
      odd-name.x: {type: string, default: a b}
      long: {type: string, default: LONG}
    command: "true"
"""
PROJECT_VALUES = ("-P", "text=é 'quoted' \"twice\"", "-P", "number=nan")
ADDED = re.compile(
    # What a later look at the run shows, or does again.
    r"dioptra\.(project|version|host|command|parameters|end|exit_code|seconds|cpu_seconds|working_tree)"
    # By which a run is found that was made, though the answer was lost.
    r"|dioptra\.token"
    # Whether the commit says all of what was run: what `mlflow.start_run` sets, and `mlflow run` does not.
    r"|mlflow\.source\.git\.dirty"
)
"""Tags of `dioptra run` that `mlflow run` does not set, and why. There is none the other way round."""
FILES = {
    *("MLproject", "parameters.json", "provenance.json", "requirements.txt"),  # what was run, and in what
    *("logs/stdout.log", "logs/stderr.log"),  # what it said
}
"""Artifacts of `dioptra run` that `mlflow run` does not make, and why."""


def run_as_a_project(argv: Sequence[str], url: str, project: Path, client: Any) -> str:
    """Run the project with one of the two programs; return the run's id."""
    command = [sys.executable, "-m", *argv, str(project), *PROJECT_VALUES, "--experiment-name", argv[0]]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        env={**environ, "MLFLOW_TRACKING_URI": url},
        timeout=120,
    )
    (run,) = client.search_runs([client.get_experiment_by_name(argv[0]).experiment_id])
    return str(run.info.run_id)


def same_as_mlflow_run(url: str, directory: Path, client: Any) -> None:
    """Run a project with both programs, and compare what the server has then."""
    project = directory / "project"
    project.mkdir(parents=True)
    (project / "MLproject").write_text(PROJECT.replace("LONG", "é" * 5998))
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=b"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *arguments], check=True)
    ours, theirs = (
        look(client, run_as_a_project(argv, url, project, client), directory)
        for argv in (["dioptra_cli", "run"], ["mlflow", "run", "--env-manager", "local"])
    )
    for seen in (ours, theirs):
        assert seen["info"]["run_name"] == seen["tags"].pop("mlflow.runName")
        assert type(seen["info"].pop("end_time")) is int
        del seen["info"]["run_name"]
    assert (set(ours.pop("artifacts")) - FILES, theirs.pop("artifacts")) == (set(), {})
    more = {name for name in ours["tags"] if name not in theirs["tags"]}
    assert {name for name in more if not ADDED.fullmatch(name)} == set()
    for name in more:
        del ours["tags"][name]
    # MLflow records what it puts into the command, quoted for the shell; dioptra, the value.
    theirs["params"] = {name: "".join(shlex.split(value)) for name, value in theirs["params"].items()}
    assert ours == theirs


def test_rest_and_mlflow_record_the_same(
    tmp_path: Path, mlflow_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    with mlflow_server() as url:
        fast = open_tracker(url, environ={}, directory=str(tmp_path), cache_directory=str(tmp_path))
        assert isinstance(fast, rest.RestTracker)
        careful = MlflowTracker.on_server(url)
        monkeypatch.chdir(tmp_path)  # artifacts of a store without a server lie below
        local = MlflowTracker("sqlite:///local.db", directory=str(tmp_path), cache_directory=str(tmp_path))
        client = MlflowClient(url)
        seen = [
            look_at_both(reader, record_a_run(tracker, tmp_path, name), tmp_path)
            for tracker, name, reader in (
                (fast, "fa st", client),
                (careful, "careful", client),
                (local, "local", MlflowClient(local.uri)),
            )
        ]
        assert seen[0] == seen[1] == seen[2]
        run, child = seen[0]
        assert (run["info"]["status"], run["info"]["end_time"]) == ("FAILED", ENDED)
        assert child["info"]["status"] == "FINISHED"
        assert len(run["params"]) == 250 + len(ODD) + 2
        assert {name: run["params"][name] for name in ODD} == ODD
        assert len(run["params"]["long"]) == 6000
        assert {name: run["tags"][name] for name in ODD} == ODD
        assert len(run["tags"]["long"]) == 8000
        assert len(run["artifacts"]) == 3
        assert run["artifacts"]["empty"] == b"not any more"
        same_as_mlflow_run(url, tmp_path / "as project", client)
        assert refusals(fast) == refusals(careful)
        assert what_is_read(fast, client, tmp_path / "fast") == what_is_read(
            careful, client, tmp_path / "careful"
        )
        experiment = client.get_experiment_by_name("fa st")
        assert experiment is not None
        client.delete_experiment(experiment.experiment_id)
        for tracker in (fast, careful):
            with pytest.raises(TrackingError, match=r"'fa st' .* is deleted"):
                tracker.start(RunRequest(experiment_name="fa st"))


def test_a_sqlite_store(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    announced: list[str] = []

    def opened() -> Tracker:
        return open_tracker(
            "sqlite:///new.db",
            environ={},
            directory=str(tmp_path),
            cache_directory=str(tmp_path / "locks"),
            on_new_store=announced.append,
        )

    tracker = opened()
    assert tracker.uri == opened().uri == f"sqlite:///{tmp_path}/new.db"
    assert announced == [f"{tmp_path}/new.db"]  # the first time only
    tracker.start(RunRequest())  # the default experiment
    client = MlflowClient(tracker.uri)
    client.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))
    run, child = look_at_both(client, record_a_run(tracker, tmp_path, "e"), tmp_path)
    assert (run["info"]["status"], child["info"]["status"]) == ("FAILED", "FINISHED")
    assert len(os.listdir(tmp_path / "artifacts")) == 1  # the child has none
    assert "there is no run" in refusals(tracker)[1]
    said, *read = what_is_read(tracker, client, tmp_path / "read")
    assert said[0] == "the run 'gone' is deleted"
    assert read[:3] == ["KILLED", ENDED, {"empty": "", "text": "é\n'"}]


OPEN_AND_START = """
import sys
from dioptra_cli.execution.environment import prepare_this_process
from dioptra_cli.tracking import open_tracker
from dioptra_cli.tracking.protocol import RunRequest, RunStatus
prepare_this_process()
tracker = open_tracker("sqlite:///new.db", environ={}, directory=sys.argv[1], cache_directory=sys.argv[1] + "/locks")
print("open", flush=True)
sys.stdin.readline()
run = tracker.start(RunRequest(experiment_name="the same"))
tracker.log_parameters(run.run_id, {"a": "1"})
tracker.close(run.run_id, RunStatus.FINISHED, 1)
print(run.experiment_id)
"""


def test_processes_that_make_one_store_and_one_experiment_at_once_all_succeed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", OPEN_AND_START, str(tmp_path)]
    pipes: Any = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    runs: list[Any] = [subprocess.Popen(argv, **pipes) for _ in range(5)]
    for run in runs:
        assert run.stdout.readline() == "open\n"
    for run in runs:  # now all at once
        run.stdin.write("go\n")
        run.stdin.flush()
    ends = [(*run.communicate(timeout=120), run.returncode) for run in runs]
    assert ends == [("1\n", "", 0)] * 5


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
    ("uri", "environ", "expected"),
    [
        ("http://h", {}, True),
        ("https://h", {"MLFLOW_TRACKING_TOKEN": "t", "MLFLOW_TRACKING_URI": "http://h"}, True),
        ("sqlite:///x", {}, False),
        ("databricks", {}, False),
        ("http://h", {"MLFLOW_TRACKING_AUTH": "kerberos"}, False),
        ("http://h", {"MLFLOW_TRACKING_AWS_SIGV4": "true"}, False),
        ("http://h", {"MLFLOW_TRACKING_AWS_SIGV4": "false", "MLFLOW_TRACKING_USERNAME": "ada"}, True),
        ("https://h", {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/c", "REQUESTS_CA_BUNDLE": "/c"}, True),
        ("https://h", {"MLFLOW_TRACKING_OF_TOMORROW": "1"}, False),
        ("http://h", {"MLFLOW_WORKSPACE": "w"}, False),
    ],
)
def test_what_rest_does_not_speak_is_left_to_mlflow(
    uri: str, environ: dict[str, str], expected: bool
) -> None:
    assert rest.speaks(uri, environ) is expected


def test_a_proxy_and_a_plugin_are_left_to_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "ALL_PROXY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "http://127.0.0.1:1")
            patch.setenv("no_proxy", "")
            assert not rest.speaks("http://h", os.environ)
            patch.setenv("no_proxy", "h")
            assert rest.speaks("http://h", os.environ)
    assert rest.speaks("http://h", os.environ)
    plugin = tmp_path / "p-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Name: p\nVersion: 1\n")
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
