"""`dioptra runs`: which runs it finds, and how they are shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from dioptra_cli.cli import output, recorded
from dioptra_cli.cli.run_table import Shown, table
from dioptra_cli.errors import TrackingError, UsageError
from dioptra_cli.execution import directories
from dioptra_cli.execution.spool import Ending, Spool
from dioptra_cli.tracking import rest
from dioptra_cli.tracking.protocol import RecordedRun, RunRequest, RunStatus, StartedRun, Tracker

MLPROJECT = "entry_points: {train: {command: 'true'}}"


def kept(run: StartedRun, project: str, tracking_uri: str) -> Spool:
    """Do what dioptra does when it has started a run."""
    spool = Spool.create(
        directories.runs(),
        project=project,
        entry_point="train",
        tracking_uri=tracking_uri,
        parameters={"late": "1"},
        has_secrets=False,
    )
    spool.note(run=run)
    return spool


def recorder(tracker: Tracker, url: str) -> Callable[..., StartedRun]:
    """Return a function that records a run of a project, as dioptra and as MLflow do."""

    def record(
        status: str, *, metrics: dict[str, float] | None = None, name: str | None = None, **tags: str
    ) -> StartedRun:
        named = {"mlflow.source.type": "PROJECT", "mlflow.project.entryPoint": "train"}
        named |= {tag.replace("__", "."): value for tag, value in tags.items()}
        run = tracker.start(RunRequest(run_name=name, tags=named))
        body = {
            "run_id": run.run_id,
            "metrics": [
                {"key": key, "value": value, "timestamp": 1, "step": 0}
                for key, value in (metrics or {}).items()
            ],
        }
        request = urllib.request.Request(
            f"{url}/api/2.0/mlflow/runs/log-batch",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=30).close()
        if status != "RUNNING":
            parameters = json.loads(named.get("dioptra.parameters", "{}"))
            tracker.log_parameters(run.run_id, {**parameters, "logged": "0.5"})
            tracker.close(run.run_id, RunStatus(status), int(time.time() * 1000) + 65_000)
        return run

    return record


def test_the_runs_of_a_project(
    mlflow_server: Any, dioptra: Any, project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    directory = str(project(MLPROJECT))
    other = str(project(MLPROJECT, "other"))
    with mlflow_server() as url:
        tracker = rest.RestTracker(url, {})
        record = recorder(tracker, url)
        by_mlflow = record("FINISHED", mlflow__source__name=directory)
        in_git = record("KILLED", mlflow__source__name=f"file://{tmp_path}#project")
        of_url = record("FINISHED", dioptra__project="https://host/digits.git")
        of_other = record("FINISHED", dioptra__project=other, mlflow__source__name=other)
        tracker.close(tracker.start(RunRequest(run_name="by hand")).run_id, RunStatus.FINISHED, 1)
        failed = record(
            "FAILED",
            metrics={"system/cpu": 2.0, "loss": 0.125},
            name="nightly",
            dioptra__project=directory,
            mlflow__source__name=directory,
            dioptra__parameters='{"zeta": "a b", "password": "s3cret", "alpha": "1"}',
            dioptra__exit_code="3",
            dioptra__end="failed with exit code 3",
            dioptra__seconds="65.0",
        )
        attack = record(
            "FINISHED", dioptra__project=directory, mlflow__project__entryPoint="attack", dioptra__version="1"
        )
        killed = record("RUNNING", dioptra__project=directory)
        abandoned = record("RUNNING", dioptra__project=directory)
        undelivered = record("RUNNING", dioptra__project=directory)
        running = record(
            "RUNNING", dioptra__project=directory, dioptra__parameters='{"x": "1", "api_token": "t0ps3cret"}'
        )
        kept(killed, directory, url).close(keep=True)
        kept(abandoned, directory, "http://another.name").close(keep=True)
        spool = kept(undelivered, directory, url)
        spool.note(ending=Ending(RunStatus.FAILED, 1_700_000_000_000, {"dioptra.exit_code": "9"}))
        spool.note(failed=("artifacts",))
        spool.close(keep=True)
        live = kept(running, directory, url)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)

        def ids(*arguments: str) -> list[str]:
            called = dioptra("runs", *arguments, "--ids")
            assert called.code == 0, called.err
            return list(called.out.split())

        mine = [
            run.run_id for run in (running, undelivered, abandoned, killed, attack, failed, in_git, by_mlflow)
        ]
        assert ids(directory) == mine
        assert ids(f"{directory}/MLproject", "-n", "2") == mine[:2]
        assert ids("project", "-e", "attack") == [attack.run_id]
        assert ids("project", "--status", "failed") == [undelivered.run_id, failed.run_id]
        assert ids("https://ada:s3cret@host/digits.git") == [of_url.run_id]
        assert ids("--all", "-n", "9") == [*mine[:6], of_other.run_id, of_url.run_id, in_git.run_id]

        by_id = {run["run_id"]: run for run in dioptra("runs", directory, "--json").json}
        assert [*by_id] == mine
        assert by_id[failed.run_id] | {"tags": None, "started": None, "ended": None} == {
            "run_id": failed.run_id,
            "run_name": "nightly",
            "status": "FAILED",
            "exit_code": 3,
            "end": "failed with exit code 3",
            "abandoned": False,
            "delivered": True,
            "project": directory,
            "entry_point": "train",
            "parameters": {"zeta": "a b", "password": "***", "alpha": "1", "logged": "0.5"},
            "metrics": {"loss": 0.125, "system/cpu": 2.0},
            "started": None,
            "ended": None,
            "seconds": 65.0,
            "experiment_id": "0",
            "artifact_uri": failed.artifact_uri,
            "tags": None,
        }
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", by_id[failed.run_id]["ended"])
        assert by_id[running.run_id]["ended"] is None
        assert by_id[running.run_id]["parameters"] == {"x": "1", "api_token": "***"}
        states = {
            name: (run["status"], run["exit_code"], run["abandoned"], run["delivered"])
            for name, run in by_id.items()
        }
        assert states[running.run_id] == ("RUNNING", None, False, True)
        assert states[killed.run_id] == ("KILLED", None, False, True)  # closed by the first look at the store
        assert states[abandoned.run_id] == ("RUNNING", None, True, False)
        assert states[undelivered.run_id] == ("FAILED", 9, False, False)
        assert by_id[undelivered.run_id]["parameters"] == {"late": "1"}

        called = dioptra("runs", directory)
        header, *lines = called.out.splitlines()
        assert header.split() == [
            "ID",
            "STATUS",
            "NAME",
            "ENTRY",
            "STARTED",
            "DURATION",
            "PARAMETERS",
            "METRICS",
        ]
        (line,) = (line for line in lines if line.startswith(failed.run_id))
        assert "  FAILED 3 " in line
        assert "zeta='a b' password=*** alpha=1 logged=0.5  loss=0.125 system/cpu=2" in line
        assert "2 earlier runs are not in the tracking store as a whole; 'dioptra sync'" in called.err

        called = dioptra("runs", other, "-e", "nothing", "--json")
        assert (called.code, called.json) == (0, [])
        assert f"there are no runs of {other} with the entry point 'nothing' at {url}" in called.err
        assert "--all shows every project" in called.err

        shown = on_terminal(["runs", directory, "-e", "train"], width=80, cwd=tmp_path)
        assert max(output.width_of(line) for line in shown if not line.startswith("dioptra:")) <= 80
        assert any(line.startswith(f"{failed.run_id[:8]}  FAILED 3 ") for line in shown)
        assert "the newest" not in "\n".join(shown)
        shown = on_terminal(["runs", directory, "-e", "train", "-n", "2"], width=80, cwd=tmp_path)
        assert shown[-1] == "dioptra: the newest 2; -n for more"

        asked: list[str] = []
        reader = rest.RestTracker(url, {})
        answer = reader._http.json

        def heard(method: str, path: str, *arguments: Any, **more: Any) -> Any:
            asked.append(path.removeprefix("api/2.0/mlflow/"))
            return answer(method, path, *arguments, **more)

        monkeypatch.setattr(reader._http, "json", heard)
        names = recorded.names_of(directory)
        assert names == recorded.Names((directory,), (directory, f"file://{tmp_path}#project"))
        found = recorded.find_project_runs(reader, names, limit=9, tags={})
        assert [run.run_id for run in found] == mine
        assert asked == ["experiments/search", *["runs/search"] * 3]
        in_a_new_one = reader.start(RunRequest(experiment_name="new", tags={"dioptra.token": "t1"}))
        assert [run.run_id for run in reader.find({"dioptra.token": "t1"}, limit=1)] == [in_a_new_one.run_id]
        reader.close(in_a_new_one.run_id, RunStatus.FINISHED, 1)
        reader._http.disconnect()

        assert recorded.find_run(tracker, failed.run_id[:10]).run_id == failed.run_id
        assert recorded.find_run(tracker, "nightly").run_id == failed.run_id
        assert recorded.find_run(tracker, failed.run_id).metrics["loss"] == 0.125
        with pytest.raises(TrackingError, match=r"there is no run 'nightl' at http.*'dioptra runs --all'"):
            recorded.find_run(tracker, "nightl")
        again = record("FINISHED", name="nightly")
        with pytest.raises(UsageError, match="may be one of several runs") as caught:
            recorded.find_run(tracker, "nightly")
        assert all(run.run_id in str(caught.value) for run in (failed, again))
        live.close(keep=False)

        (tmp_path / "logs" / "logs").mkdir(parents=True)
        (tmp_path / "logs" / "logs" / "stderr.log").write_bytes(b"\xff\x00torn")
        tracker.log_artifacts(failed.run_id, str(tmp_path / "logs"))
        called = dioptra("logs", failed.run_id[:8])
        assert (called.code, called.out, os.fsencode(called.err)) == (0, "", b"\xff\x00torn")
        called = dioptra("logs", of_other.run_id, "--stdout")
        assert (called.code, called.out) == (1, "")
        assert f"run {of_other.run_id} has no stdout log: dioptra has not run it" in called.err
        called = dioptra("logs", attack.run_id)
        assert "it was run with --no-capture" in called.err
        (tmp_path / "MLproject").write_text("entry_points: {main: {command: 'true'}}")
        called = dioptra("logs")
        assert called.code == 1
        assert f"there are no runs of {tmp_path}" in called.err
        tracker._http.disconnect()


def on_terminal(arguments: list[str], *, width: int, cwd: Path) -> list[str]:
    """Call dioptra on a terminal; return the lines of its standard output, without colours."""
    reader, terminal = os.openpty()
    with open(reader, "rb", buffering=0) as stream:
        done = subprocess.run(
            [sys.executable, "-m", "dioptra_cli", *arguments],
            cwd=cwd,
            env={**os.environ, "COLUMNS": str(width), "TERM": "xterm-256color"},
            stdout=terminal,
            stderr=terminal,
            check=True,
            timeout=60,
        )
        assert done.returncode == 0
        os.close(terminal)
        said = b""
        try:
            while piece := stream.read(65536):
                said += piece
        except OSError:  # nobody has the terminal any more
            pass
    return click.unstyle(said.decode()).splitlines()


def test_looking_makes_no_store(dioptra: Any, project: Any, tmp_path: Path) -> None:
    project(MLPROJECT)
    for arguments in (["runs", "project"], ["runs", "project", "--json"], ["logs", "abcd"]):
        called = dioptra(*arguments, "--tracking-uri", "sqlite:///none.db")
        assert f"there is no store {tmp_path}/none.db" in called.err
        assert called.code == (2 if arguments[0] == "logs" else 0)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["project", "--all"], "PROJECT 'project' and --all exclude each other"),
        (["--ids", "--json"], "--ids and --json exclude each other"),
        (["nowhere"], "there is no project directory or file 'nowhere'"),
        (["--status", "DONE"], "'DONE' is not one of"),
    ],
)
def test_calls_that_are_wrong(dioptra: Any, project: Any, arguments: list[str], message: str) -> None:
    project(MLPROJECT)
    called = dioptra("runs", *arguments)
    assert called.code == 2
    assert message in called.err


NOW = 1_800_000_000.0


def a_run(number: int, status: str = "FINISHED", minutes: float = 3, **more: Any) -> RecordedRun:
    started = int((NOW - minutes * 60 - 5) * 1000)
    tags = {recorded.ENTRY_POINT: "train", "dioptra.project": "/data/projects/digits", **more.pop("tags", {})}
    values: dict[str, Any] = {"run_name": f"merry-ant-{number}", "ended": started + 12_300, **more}
    return RecordedRun(
        run_id=f"{number:08d}{'0' * 24}",
        experiment_id="0",
        status=status,
        started=started,
        artifact_uri="file:///artifacts",
        tags=tags,
        **values,
    )


MANY = {"epochs": "30", "optimizer": "adam", "data": "/data/" + "x" * 60, "rate": "0.01"}
RUNS = [
    Shown(a_run(1, parameters=MANY, metrics={"loss": 0.1234567, "system/cpu": 1.0, "accuracy": 1e9})),
    Shown(
        a_run(
            2, "KILLED", 90, parameters={**MANY, "rate": "0.1"}, tags={"dioptra.end": "interrupted by SIGINT"}
        )
    ),
    Shown(a_run(3, "FAILED", 3000, tags={"dioptra.end": "ended by SIGSEGV", "dioptra.exit_code": "139"})),
    Shown(a_run(4, "KILLED", tags={"dioptra.end": "timed out"}), is_delivered=False),
    Shown(a_run(5, "RUNNING", 100_000, ended=None), is_abandoned=True, is_delivered=False),
    Shown(a_run(6, parameters={"a\nb": "\x1b[2Jc", "日本語": "日本語" * 10})),
]


@pytest.mark.parametrize("with_project", [False, True])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_table_is_as_wide_as_the_terminal(width: int, with_project: bool) -> None:
    lines = [click.unstyle(line) for line in table(RUNS, width, now=NOW, with_project=with_project)]
    assert max(map(output.width_of, lines)) <= width
    text = "\n".join(lines)
    for said in ("00000001", "FINISHED", "KILLED SIGINT", "FAILED SIGSEGV", "KILLED timed out not delivered"):
        assert said in text
    assert "RUNNING abandoned" in text
    for said in ("3 min ago", "1 h ago", "2 d ago", "12.3 s"):
        assert said in text
    assert "\x1b" not in text
    assert ("digits" in text) is with_project
    # What the runs differ in comes first; where there is more, it is said how much.
    assert re.search(r"rate=0\.01( epochs=30)?.*( \+\d|…)", text)


def test_parameters_that_have_no_room_stand_below() -> None:
    narrow = [click.unstyle(line) for line in table(RUNS[:4], 80, now=NOW, with_project=True)]
    header, first, below, *_ = narrow
    assert header.split() == ["ID", "STATUS", "ENTRY", "STARTED", "DURATION"]
    assert first.startswith("00000001")
    assert re.match(r" {10}/data/projects/digits · rate=0\.01 .* · accuracy=1e\+09", below)


def of_numbers(parameters: dict[str, str], **metrics: float) -> Shown:
    return Shown(a_run(1, parameters=parameters, metrics=metrics))


@pytest.mark.parametrize("width", range(40, 140))
def test_numbers_are_whole_or_left_out(width: int) -> None:
    rate = "0.1234567890123456789012345"
    shown = [of_numbers({"rate": rate, "text": "words" * 9}, big=370_412_345_678.0, loss=-1.234e-7)]
    lines = [click.unstyle(line) for line in table(shown, width, now=NOW, with_project=False)]
    assert max(map(output.width_of, lines[1:])) <= max(width, len(lines[0]))
    values = re.findall(r"=(\S+)", "\n".join(lines))
    assert {value for value in values if not value.startswith("w")} <= {rate, "3.704e+11", "-1.234e-07"}


def test_what_a_column_leaves_free_is_its_neighbours() -> None:
    both = [of_numbers({"a": "x" * 20, "b": "y" * 20}, **{"m" * 12: 1.0, "n" * 12: 2.0, "o" * 12: 3.0})]
    # Of its half, the second metric would need a bit more: what is left is enough for the second parameter.
    rows = [click.unstyle(table(both, width, now=NOW, with_project=False)[1]) for width in range(80, 160)]
    assert any(row.endswith(f"a={'x' * 20} b={'y' * 20}  {'m' * 12}=1 +2") for row in rows)


def test_a_table_in_a_pipe_is_whole() -> None:
    header, *lines = [click.unstyle(line) for line in table(RUNS, None, now=NOW, with_project=True)]
    assert len(lines) == len(RUNS)
    assert lines[0].startswith("00000001" + "0" * 24)
    assert MANY["data"] in lines[0]
    assert lines[0].endswith("accuracy=1e+09 loss=0.1235 system/cpu=1")
    assert re.search(r"  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  ", lines[0])
    assert "a\\nb=\\x1b[2Jc" in lines[5]
    assert header.split()[-3:] == ["PROJECT", "PARAMETERS", "METRICS"]


def test_names_that_people_gave_are_shown_and_empty_columns_are_not() -> None:
    (header, line) = table([Shown(a_run(1, run_name="nightly"))], 80, now=NOW, with_project=False)
    assert click.unstyle(header).split() == ["ID", "STATUS", "NAME", "ENTRY", "STARTED", "DURATION"]
    assert " nightly " in click.unstyle(line)


@pytest.mark.parametrize("text", ["soon", "nan", "inf", ""])
def test_a_duration_that_is_none(text: str) -> None:
    assert recorded.seconds_of(a_run(1, tags={"dioptra.seconds": text}), NOW) == pytest.approx(12.3)


def test_ids_are_as_short_as_they_can_be() -> None:
    assert recorded.short_ids(["a" * 32, "b" * 32]) == {"a" * 32: "a" * 8, "b" * 32: "b" * 8}
    near = ["a" * 32, "a" * 9 + "b" * 23]
    assert list(recorded.short_ids(near).values()) == ["a" * 10, "a" * 9 + "b"]
    assert recorded.short_ids(["x"]) == {"x": "x"}
