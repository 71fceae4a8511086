"""The command line as its user sees it: help, errors, formats, completion."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

DEFECTIVE = """\
entry_points:
  train:
    paramters: {epochs: float}
    command: python train.py {epochs}
"""

GOOD = """\
name: Good
entry_points:
  train:
    description: Train it
    parameters:
      epochs: {type: float, default: 30, description: Passes over the data}
      optimizer: {type: string, default: adam, choices: [adam, sgd]}
      data: path
      日本: {type: string, default: ""}
    command: python train.py {epochs} {optimizer} {data} {日本}
  infer:
    command: python infer.py
"""


@pytest.mark.parametrize(
    "command", [[], ["run"], ["validate"], ["list-entry-points"], ["exec"], ["schema"], ["completion"]]
)
def test_help_fits_a_narrow_terminal(dioptra: Any, command: list[str]) -> None:
    called = dioptra(*command, "--help", env={"COLUMNS": "80"})
    assert called.code == 0
    assert called.out.startswith("Usage: dioptra")
    assert max(len(line) for line in called.out.splitlines()) <= 80


def test_version(dioptra: Any) -> None:
    from dioptra_cli import __version__

    assert dioptra("--version").out == f"dioptra {__version__}\n"


def test_an_unknown_command_is_a_usage_error_with_a_near_miss(dioptra: Any) -> None:
    called = dioptra("validat")
    assert called.code == 2
    assert "did you mean 'validate'?" in called.err


def test_list_entry_points(dioptra: Any, project: Any) -> None:
    directory = str(project(GOOD))
    called = dioptra("list-entry-points", directory)
    assert called.code == 0
    assert called.out.splitlines() == [
        "train  Train it",
        "  PARAMETER  TYPE    DEFAULT     DESCRIPTION",
        "  epochs     float   30          Passes over the data",
        "  optimizer  string  adam        one of adam, sgd",
        "  data       path    (required)",
        "  日本       string  ''",
        "",
        "infer",
        "  no parameters",
    ]
    listed = dioptra("list-entry-points", directory, "--json").json
    assert listed["project"] == "Good"
    assert [e["name"] for e in listed["entry_points"]] == ["train", "infer"]
    assert listed["entry_points"][0]["parameters"][2] == {
        "name": "data",
        "type": "path",
        "required": True,
        "default": None,
        "description": None,
        "choices": None,
    }
    shown = dioptra("run", directory, "-e", "train", "--help-entry-point")
    assert shown.out == dioptra("list-entry-points", directory, "-e", "train").out
    called = dioptra("list-entry-points", directory, "-e", "trian")
    assert (called.code, "did you mean 'train'?" in called.err) == (2, True)


def test_a_table_fits_the_terminal(dioptra: Any, project: Any) -> None:
    long = "word " * 40
    text = f"entry_points: {{main: {{parameters: {{a: {{description: '{long}'}}}}, command: 'x {{a}}'}}}}"
    called = dioptra("list-entry-points", str(project(text)), env={"COLUMNS": "60"})
    assert max(len(line) for line in called.out.splitlines()) <= 60
    assert called.out.count("word") == 40
    project(text.replace("main: {", f"main: {{description: '{long}', "))
    called = dioptra("list-entry-points", "project", env={"COLUMNS": "60"})
    assert max(len(line) for line in called.out.splitlines()) <= 60
    assert called.out.startswith("main\n  word word")
    assert called.out.count("word") == 80


def test_a_table_without_room_for_its_columns_is_stacked(dioptra: Any, project: Any) -> None:
    command = " ".join(f"{{{name}}}" for name in ("epochs", "optimizer", "data", "日本"))
    project(GOOD.replace("python train.py {epochs} {optimizer} {data} {日本}", f"echo {command}"))
    called = dioptra("list-entry-points", "project", env={"COLUMNS": "40"})
    assert called.out.splitlines()[:11] == [
        "train  Train it",
        "  PARAMETER",
        "    TYPE  DEFAULT  DESCRIPTION",
        "  epochs",
        "    float  30  Passes over the data",
        "  optimizer",
        "    string  adam  one of adam, sgd",
        "  data",
        "    path  (required)",
        "  日本",
        "    string  ''",
    ]
    data = "-P", "data=project"
    called = dioptra("run", "project", "-e", "train", *data, "--dry-run", env={"COLUMNS": "40"})
    lines = called.out.splitlines()
    assert lines[1:5] == ["  PARAMETER", "    TYPE  FROM  VALUE", "  epochs", "    float  default  30"]
    assert max(map(len, lines[: lines.index("command")][1:])) <= 40


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("dioptra ", 1, "run"),
        ("dioptra run . -e tr", 4, "train"),
        ("dioptra run . -e train -P ep", 6, "epochs="),
        ("dioptra run . -e train -P optimizer=s", 6, "optimizer=sgd"),
        ("dioptra list-entry-points . -e i", 4, "infer"),
    ],
)
def test_completion(dioptra: Any, project: Any, words: str, position: int, expected: str) -> None:
    environ = {
        "_DIOPTRA_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(position),
    }
    called = dioptra(cwd=project(GOOD), env=environ)
    assert expected in [line.split(",", 1)[1] for line in called.out.splitlines()]


def test_completion_of_a_broken_project_is_silent(dioptra: Any, project: Any) -> None:
    environ = {"_DIOPTRA_COMPLETE": "bash_complete", "COMP_WORDS": "dioptra run . -e ", "COMP_CWORD": "4"}
    called = dioptra(cwd=project("{"), env=environ)
    assert (called.out.strip(), called.err) == ("", "")


def test_a_closed_pipe_is_no_error_to_speak_of(dioptra: Any, project: Any, tmp_path: Path) -> None:
    import subprocess
    import sys

    many = "".join(f"  e{i}: {{command: x}}\n" for i in range(5000))
    directory = project(f"entry_points:\n{many}")
    command = f"{sys.executable} -m dioptra_cli list-entry-points {directory} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, env=os.environ)
    assert done.stdout == b"e0\n"
    assert done.stderr == b""


def test_no_colours_where_there_is_no_terminal_and_none_when_asked(dioptra: Any, project: Any) -> None:
    directory = str(project(DEFECTIVE))
    assert "\x1b" not in dioptra("validate", directory).out
    assert "\x1b[" in dioptra("validate", directory, env={"FORCE_COLOR": "1"}).out
    assert "\x1b" not in dioptra("validate", directory, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out


def test_json_outputs_are_valid_for_odd_names(dioptra: Any, project: Any) -> None:
    directory = project(json.dumps({"entry_points": {'a "b"\n': {"command": "x"}}}))
    listed = dioptra("list-entry-points", str(directory), "--json").json
    assert listed["entry_points"][0]["name"] == 'a "b"\n'
