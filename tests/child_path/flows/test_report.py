"""What a flow tells the process that started it, and how it ends its own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dioptra.flows import log
from dioptra.flows.graph import Flow, Parameter, task

CHILD_PATH = Path(__file__).parents[3] / "dioptra_cli" / "child_path"


@task
def double(x: int) -> int:
    return 2 * x


@task
def fail(x: int) -> None:
    raise ValueError(f"no {x}")


def events_of(directory: Path) -> list[dict[str, Any]]:
    (file,) = directory.iterdir()
    assert file.suffix == ".jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_events_of_a_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIOPTRA_FLOW_EVENTS", str(tmp_path))
    with Flow("My Flow") as flow:
        doubled = double(Parameter("p"))
        failed = fail([doubled, 1])
        double(3, upstream_tasks=[failed])
    flow.run(p=1)
    first, *events, last = events_of(tmp_path)
    assert (first["event"], first["name"], first["engine"], first["workers"]) == (
        "flow",
        "My Flow",
        "dioptra",
        1,
    )
    tasks = [(task["slug"], task["kind"], task["upstream"]) for task in first["tasks"]]
    assert tasks == [
        ("p", "parameter", []),
        ("double-1", "task", [{"id": 0, "key": "x"}]),
        ("List-1", "structure", [{"id": 1, "key": "arg_1"}]),
        ("fail-1", "task", [{"id": 2, "key": "x"}]),
        ("double-2", "task", [{"id": 3, "key": None}]),
    ]
    assert [(event["id"], event["state"]) for event in events] == [
        (0, "Success"),
        (1, "Running"),
        (1, "Success"),
        (2, "Success"),
        (3, "Running"),
        (3, "Failed"),
        (4, "TriggerFailed"),
    ]
    errors = {event["id"]: event["error"] for event in events if "error" in event}
    assert errors == {3: "ValueError: no [2, 1]"}
    assert (last["event"], last["state"], last["message"]) == (
        "end",
        "Failed",
        "Some reference tasks failed.",
    )
    assert all(event["seconds"] >= 0 for event in [*events, last] if event["state"] != "Running")


def test_a_mapped_task_that_failed_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @task
    def invert(x: int) -> float:
        return 1 / x

    monkeypatch.setenv("DIOPTRA_FLOW_EVENTS", str(tmp_path))
    with Flow("f") as flow:
        inverted = invert.map([1, 0, 2, 0])
        invert.map(inverted)
        invert.map([1])
    flow.run()
    ended = [
        event for event in events_of(tmp_path) if event["event"] == "task" and event["state"] != "Running"
    ]
    told = [
        (event["state"], event["message"], event.get("error")) for event in ended if event["id"] in (1, 2, 4)
    ]
    trigger = 'Trigger was "all_successful" but some of the upstream tasks failed.'
    assert told == [
        ("Failed", "2 of 4 failed", "invert[1]: ZeroDivisionError: division by zero"),
        ("TriggerFailed", "2 of 4 failed", f"invert[1]: {trigger}"),
        ("Mapped", "Ready to proceed with mapping.", None),
    ]


def test_reporting_changes_nothing_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    def raising() -> None:
        raise Silent

    with Flow("f") as flow:
        double(2)
        mute = task(raising)()
    for directory in (str(tmp_path / "none"), str(tmp_path)):
        monkeypatch.setenv("DIOPTRA_FLOW_EVENTS", directory)
        state = flow.run()
        assert state.is_failed()
        assert type(state.result[mute].result) is Silent


SCRIPT = """
import os, sys
from dioptra.flows.graph import Flow, task

@task
def fail(): raise ValueError("the reason")

with Flow("Doomed") as flow:
    fail()
state = flow.run()
{end}
"""

FORK = """
child = os.fork()
if child:
    code = os.WEXITSTATUS(os.waitpid(child, 0)[1])
    sys.exit(code + 10 * state.is_failed())
"""  # a fork inherits the failure, and did not cause it


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        ("", 1, True),
        ("sys.exit(0)", 1, True),
        ("print(state)", 1, True),
        ("state.is_failed()", 0, False),
        ("sys.exit(3 if state.is_failed() else 0)", 3, False),
        ("if not state.is_successful(): print(state.message)", 0, False),
        (FORK, 10, False),
    ],
)
def test_a_failed_flow_that_nobody_looked_at_fails_the_process(end: str, code: int, told: bool) -> None:
    env = {**os.environ, "PYTHONPATH": str(CHILD_PATH)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(end=end)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    if told:
        assert "ValueError: the reason" in done.stderr
        assert "flow 'Doomed' failed, and the script did not ask for its state" in done.stderr
    else:
        assert "did not ask" not in done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_flow_that_fails_in_another_process_fails_that_one(method: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        SCRIPT.format(end="").replace("state = flow.run()", "")
        + "def work(): flow.run()\n"
        + "if __name__ == '__main__':\n"
        + "    import multiprocessing\n"
        + f"    process = multiprocessing.get_context('{method}').Process(target=work)\n"
        + "    process.start(); process.join(); sys.exit(process.exitcode + 10)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(CHILD_PATH)}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 11, done.stderr
    assert done.stderr.count("flow 'Doomed' failed, and the script did not ask for its state") == 1


def test_nobody_reads_any_more(tmp_path: Path) -> None:
    script = "from dioptra.flows.graph import Flow, task\nwith Flow('f') as flow:\n"
    script += "    for _ in range(3000): task(lambda: 1, name='p')()\nflow.run()\n"
    env = {**os.environ, "PYTHONPATH": str(CHILD_PATH)}
    (tmp_path / "main.py").write_text(script)
    command = f"{sys.executable} main.py | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("Beginning Flow run for 'f'\n")
    assert done.stderr.count("BrokenPipeError: [Errno 32] Broken pipe") <= 2
    assert "Logging error" not in done.stderr


def test_the_loggers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    logger = log.get_logger()
    assert logger is logging.getLogger("prefect")
    assert log.get_logger("TaskRunner") is logging.getLogger("prefect.TaskRunner")
    monkeypatch.setattr(logger, "propagate", False)
    assert log.get_logger().propagate  # whoever clears its handlers relies on the root logger's


@pytest.mark.parametrize(
    ("level", "expected"), [(None, "INFO"), ("DEBUG", "DEBUG"), ("warning", "WARNING"), ("loud", "INFO")]
)
def test_the_level_of_the_job(level: str | None, expected: str) -> None:
    code = (
        "import logging; from dioptra.flows import log; print(logging.getLevelName(log.get_logger().level))"
    )
    env = {**os.environ, "PYTHONPATH": str(CHILD_PATH), **({"DIOPTRA_JOB_LOG_LEVEL": level} if level else {})}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
