"""Flows under `dioptra run`: the record, the picture, and the list of tasks on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

MLPROJECT = "entry_points: {main: {parameters: {mode: string}, command: 'python flows.py {mode}'}}"

FLOWS = """\
import os, sys, time
from dioptra.flows.graph import Flow, Parameter, task

mode = sys.argv[1]

@task
def load(data_dir):
    return [data_dir]

@task
def train(images, seed):
    if mode == "fail":
        raise ValueError("no images\\nat all")
    if mode == "kill":
        os.kill(os.getpid(), 9)
    if mode == "wait":
        print("training")
        print("seen? ", end="")
        while not os.path.exists("go"):
            time.sleep(0.01)
        print("yes")
        while not os.path.exists("on"):
            time.sleep(0.01)
    return len(images)

@task
def log_metrics(metrics):
    pass

with Flow("Image Resizer") as flow:
    data_dir, seed = Parameter("data_dir"), Parameter("seed")
    log_metrics(dict(count=train([load(data_dir)], seed + 1)))
for _ in range(3 if mode == "three" else 1):
    state = flow.run(data_dir="here", seed=1)
sys.exit(state.is_failed() * 4)
"""


@pytest.fixture
def flows(project: Callable[..., Path]) -> Path:
    return project(MLPROJECT, flows__py=FLOWS)


def test_a_flow_leaves_a_record_and_a_picture(dioptra: Any, flows: Path, store: Any) -> None:
    called = dioptra("run", str(flows), "-P", "mode=good", "--json")
    assert called.code == 0, called.err
    run = store.only
    record = json.loads(run.artifact("flow.json"))
    assert (record["name"], record["state"], record["engine"]) == ("Image Resizer", "Success", "dioptra")
    tasks = {task["slug"]: task for task in record["tasks"] if task["kind"] == "task"}
    assert {slug: (task["state"], task["attempts"]) for slug, task in tasks.items()} == {
        "load-1": ("Success", 1),
        "train-1": ("Success", 1),
        "log_metrics-1": ("Success", 1),
    }
    assert {"task": "Add-1", "key": "seed"} in tasks["train-1"]["upstream"]
    picture = ElementTree.fromstring(run.artifact("flow.svg"))
    assert {"load", "train", "log_metrics"} <= {element.text for element in picture.iter()}
    assert sorted(path.name for path in run.artifacts.iterdir()) == [
        "MLproject",
        "flow.json",
        "flow.svg",
        "logs",
        "parameters.json",
        "provenance.json",
        "requirements.txt",
    ]
    assert run.tags["dioptra.flow"] == "Image Resizer: Success, 3 tasks"
    assert called.json["flows"] == [
        {"name": "Image Resizer", "state": "Success", "tasks": 3, "seconds": record["seconds"]}
    ]
    assert "✓ Image Resizer: Success, 3 tasks in" in called.err
    assert "\x1b" not in called.err


def test_a_failed_task_is_named_at_the_end(dioptra: Any, flows: Path, store: Any) -> None:
    called = dioptra("run", str(flows), "-P", "mode=fail")
    assert called.code == 4
    assert "✗ Image Resizer: Failed, 1 of 3 tasks succeeded" in called.err
    assert "✗ train: ValueError: no images at all\n" in called.err
    states = {task["name"]: task["state"] for task in json.loads(store.only.artifact("flow.json"))["tasks"]}
    assert (states["load"], states["train"], states["log_metrics"]) == ("Success", "Failed", "TriggerFailed")
    assert store.only.tags["dioptra.flow"] == "Image Resizer: Failed, 1 of 3 tasks succeeded"


def test_what_a_killed_process_was_at_is_interrupted(dioptra: Any, flows: Path, store: Any) -> None:
    called = dioptra("run", str(flows), "-P", "mode=kill")
    assert called.code == 137
    record = json.loads(store.only.artifact("flow.json"))
    states = {task["name"]: task["state"] for task in record["tasks"]}
    assert record["state"] == "Interrupted"
    assert (states["load"], states["train"], states["log_metrics"]) == ("Success", "Interrupted", "Pending")


def test_several_flows_and_a_quiet_run(dioptra: Any, flows: Path, store: Any) -> None:
    called = dioptra("run", str(flows), "-P", "mode=three", "--quiet")
    assert (called.code, called.err) == (0, "")
    names = {path.name for path in store.only.artifacts.iterdir()}
    assert names >= {"flow.json", "flow.svg", "flow-2.json", "flow-2.svg", "flow-3.json", "flow-3.svg"}
    assert store.only.tags["dioptra.flow"].count("Image Resizer: Success") == 3


def test_a_run_without_flows_has_none(dioptra: Any, project: Any, store: Any) -> None:
    directory = project("entry_points: {main: {command: 'ls -A $DIOPTRA_FLOW_EVENTS'}}")
    called = dioptra("run", str(directory), "--json")
    assert (called.code, called.json["flows"]) == (0, [])
    names = {path.name for path in store.only.artifacts.iterdir()}
    assert names == {"MLproject", "logs", "parameters.json", "provenance.json", "requirements.txt"}
    assert "dioptra.flow" not in store.only.tags


@pytest.mark.parametrize(
    ("damage", "warning"),
    [
        ("rm -r $DIOPTRA_FLOW_EVENTS", False),
        ("python flows.py good && mkdir $DIOPTRA_FLOW_EVENTS/../artifacts/flow.svg", True),
    ],
)
def test_a_record_that_cannot_be_kept_changes_nothing_else(
    dioptra: Any, project: Any, store: Any, damage: str, warning: bool
) -> None:
    directory = project(f"entry_points:\n  main:\n    command: {json.dumps(damage)}\n", flows__py=FLOWS)
    called = dioptra("run", str(directory))
    assert called.code == 0, called.err
    assert store.only.status == "FINISHED"
    assert ("the record of the flows is incomplete" in called.err) is warning
    assert "Traceback" not in called.err


FRAME = re.compile(rb"(?:\x1bD)+\x1b\[(\d+)A\x1b7\x1b\[0m(.*?)\x1b\[J\x1b8", re.DOTALL)
ERASED = b"\x1b7\x1b[0m\x1b[J\x1b8"


class OnTerminal:
    """A `dioptra run` on a terminal."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self.ours, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
        self.shown = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dioptra_cli", "run", *arguments],
            cwd=directory,
            env={**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environ},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def read(self) -> bool:
        """Take in what is there; return False at the end."""
        if not select.select([self.ours], [], [], 0.05)[0]:
            return True
        try:
            piece = os.read(self.ours, 65536)
        except OSError:  # how Linux tells that the other side is closed
            return False
        self.shown += piece
        return piece != b""

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self.read(), self.shown

    def end(self) -> int:
        deadline = time.monotonic() + 60
        while self.read():
            assert time.monotonic() < deadline, self.shown
        return self.process.wait(timeout=60)


@pytest.fixture
def on_terminal(tmp_path: Path) -> Iterator[Callable[..., OnTerminal]]:
    started: list[OnTerminal] = []

    def start(*arguments: str, **environ: str) -> OnTerminal:
        started.append(OnTerminal(tmp_path, *arguments, **environ))
        return started[-1]

    yield start
    for terminal in started:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.ours)


def test_a_terminal_shows_the_tasks_below_the_output(on_terminal: Any, flows: Path, store: Any) -> None:
    terminal = on_terminal(str(flows), "-P", "mode=wait", NO_COLOR="1")
    terminal.wait_for(b"seen? ")
    before = len(terminal.shown)
    for _ in range(10):
        terminal.read()
    assert not FRAME.search(terminal.shown[before:])  # the cursor stands behind a question
    (flows / "go").touch()
    terminal.wait_for("● train".encode())
    (flows / "on").touch()
    assert terminal.end() == 0
    frames = list(FRAME.finditer(terminal.shown))
    for frame in frames:
        lines = frame[2].split(b"\x1b[B\r")[1:]
        assert len(lines) == int(frame[1]) == 4
    text = frames[-1][2].decode()
    assert "Image Resizer  " in text
    assert "/3 tasks · " in text
    assert all(name in text for name in ("load", "train", "log_metrics"))
    rest = FRAME.sub(b"", terminal.shown).replace(ERASED, b"")
    assert b"\x1b" not in rest
    assert b"training\r\nseen? yes\r\n" in rest  # untouched
    assert terminal.shown.rfind(ERASED) > frames[-1].start()
    assert "✓ Image Resizer: Success, 3 tasks in".encode() in rest
    assert store.only.artifact("logs/stdout.log").count("\x1b") == 0


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [(["--json"], {}), ([], {"TERM": "dumb"})],
    ids=["json", "dumb"],
)
def test_where_no_list_is_wanted_there_is_none(
    on_terminal: Any, flows: Path, store: Any, arguments: list[str], environ: dict[str, str]
) -> None:
    (flows / "on").touch()
    terminal = on_terminal(str(flows), "-P", "mode=wait", *arguments, **{"NO_COLOR": "1", **environ})
    terminal.wait_for(b"seen? ")
    (flows / "go").touch()
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.shown
