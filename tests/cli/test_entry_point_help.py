"""The help of one entry point: what it shows, at every width, and that what it shows can be pasted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = """\
name: Digits
docker_env: {image: digits}
entry_points:
  train:
    description: Train a small network
    parameters:
      data: {type: path, description: Folder of images}
      epochs: {type: float, default: 30, description: Passes over the images}
      note: {default: "", description: Goes into the run}
      optimizer: {default: adam, choices: [adam, sgd]}
      seed: {type: flaot, default: 0.10}
    command: >
      python train.py --data-dir {data} --epochs {epochs} --note {note} --optimizer {optimizer}
      --random-seed {seed}
  infer:
    command: python infer.py
"""

HELP = """\
Usage: dioptra run project -e train -P data=PATH [-P NAME=VALUE]...

  Train a small network

Required parameters:
  -P data=PATH         Folder of images

Parameters:
  -P epochs=FLOAT      Passes over the images [default: 30]
  -P note=STRING       Goes into the run [default: '']
  -P optimizer=STRING  [one of: adam, sgd] [default: adam]
  -P seed=STRING       [default: 0.1]

Command:
  python train.py --data-dir {data} --epochs {epochs} --note {note} \\
    --optimizer {optimizer} --random-seed {seed}

Environment:
  docker_env digits (the command runs in the current environment instead)

Example:
  dioptra run project -e train -P data=.
"""

NARROW = """\
Usage: dioptra run project -e train
       -P data=PATH [-P NAME=VALUE]...

  Train a small network

Required parameters:
  -P data=PATH
      Folder of images

Parameters:
  -P epochs=FLOAT
      Passes over the images
      [default: 30]
  -P note=STRING
      Goes into the run [default: '']
  -P optimizer=STRING
      [one of: adam, sgd]
      [default: adam]
  -P seed=STRING
      [default: 0.1]

Command:
  python train.py --data-dir {data} \\
    --epochs {epochs} --note {note} \\
    --optimizer {optimizer} \\
    --random-seed {seed}

Environment:
  docker_env digits (the command runs in
  the current environment instead)

Example:
  dioptra run project -e train \\
    -P data=.
"""

Show = Callable[..., str]


@pytest.fixture
def show(dioptra: Any, tmp_path: Path) -> Show:
    """The help of an entry point, on standard output."""

    def call(name: str, columns: int = 80, directory: str = "project") -> str:
        called = dioptra(
            "list-entry-points", directory, "-e", name, env={"COLUMNS": str(columns)}, cwd=tmp_path
        )
        assert called.code == 0, called.err
        return str(called.out)

    return call


def section(text: str, title: str) -> str:
    """Return one section, without the indentation."""
    _, _, rest = text.partition(f"{title}:\n")
    return "\n".join(line[2:] for line in rest.partition("\n\n")[0].split("\n"))


@pytest.mark.parametrize(("columns", "expected"), [(80, HELP), (40, NARROW)])
def test_help_of_an_entry_point(show: Show, project: Any, columns: int, expected: str) -> None:
    project(PROJECT)
    assert show("train", columns) == expected


def test_run_shows_the_same(dioptra: Any, project: Any, show: Show) -> None:
    project(PROJECT)
    called = dioptra("run", "project", "-e", "train", "--help-entry-point", env={"COLUMNS": "80"})
    assert (called.code, called.out) == (0, HELP)
    assert called.err == "dioptra: there are warnings: see dioptra validate project/MLproject\n"
    assert "This entry point has no parameters." in show("infer")
    called = dioptra("run", "project", "-e", "trian", "--help-entry-point")
    assert (called.code, called.out, "did you mean 'train'?" in called.err) == (2, "", True)


def test_the_help_of_a_script_and_of_a_version(dioptra: Any, project: Any) -> None:
    directory = project("name: x", **{"check__py": "pass"})
    called = dioptra("run", "project", "-e", "check.py", "--help-entry-point")
    assert "Usage: dioptra run project -e check.py\n" in called.out
    assert called.out.endswith("Example:\n  dioptra run project -e check.py\n")
    project(PROJECT)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], cwd=directory, check=True)
    project("entry_points: {other: {command: echo}}")
    called = dioptra("run", "project", "-v", "HEAD", "-e", "train", "--help-entry-point")
    assert called.out.startswith("Usage: dioptra run project --version HEAD -e train -P data=PATH")


def test_many_required_parameters_do_not_fill_the_usage(show: Show, project: Any) -> None:
    parameters = {f"parameter_{n}": {"type": "float", "description": "word " * 30} for n in range(30)}
    command = " ".join(f"--{name} {{{name}}}" for name in parameters)
    project(json.dumps({"entry_points": {"main": {"parameters": parameters, "command": f"train {command}"}}}))
    for columns in (40, 80, 140):
        text = show("main", columns)
        assert text.startswith("Usage: dioptra run project -e main")
        assert text.split("\n\n")[0].split()[-2:] == ["-P", "NAME=VALUE..."]
        assert max(map(len, text.splitlines())) <= min(columns, 100)
        assert text.count("word") == 30 * 30
        assert text.count("=1") == 30


HOSTILE = {
    "number": {"type": "float"},
    "count": "int",
    "flag": "bool",
    "folder": "path",
    "address": "uri",
    "text": "string",
    "odd name's": "string",
    "choice": {"type": "float", "choices": ["0.5", "1"]},
    "quoted": {"choices": ["it's $(id)", "b"]},
    "gone": {"type": "path", "default": "/no/such/folder"},
    "wrong": {"type": "float", "default": "many"},
    "unlisted": {"choices": ["a", "b"], "default": "c"},
}


def test_the_example_works_when_it_is_pasted(show: Show, dioptra: Any, project: Any, tmp_path: Path) -> None:
    used = " ".join(f"{{{name}}}" for name in HOSTILE)
    entry_point = {"parameters": HOSTILE, "command": f"echo {used}"}
    plain = {"parameters": {"a": {"default": "x y"}}, "command": "echo {a}"}
    text = json.dumps({"entry_points": {'it\'s $(id) "odd"': entry_point, "plain": plain}})
    project(text, name="-my 'project'")
    (tmp_path / "dioptra").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m dioptra_cli "$@" --dry-run --json\n'
    )
    (tmp_path / "dioptra").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    for name, given in (('it\'s $(id) "odd"', list(HOSTILE)), ("plain", ["a"])):
        called = dioptra("list-entry-points", "-e", name, "--", "-my 'project'", env={"COLUMNS": "40"})
        done = subprocess.run(
            ["bash", "-c", section(called.out, "Example")],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        plan = json.loads(done.stdout)
        assert plan["entry_point"] == name
        assert [p["name"] for p in plan["parameters"] if p["source"] != "default"] == given
    assert "[default: /no/such/folder, which does not exist]" in show(
        'it\'s $(id) "odd"', directory="./-my 'project'"
    )


@pytest.mark.parametrize(
    "command",
    [
        "printf '[%s]\\n' --alpha 'one  two' --beta \"three  four\" five\\ six  seven --gamma $(echo a b c) end",
        "printf '[%s]\\n' aaaaaaaaaaaaaa 'a long text that\n   runs on in the next line and there on'",
        "printf '[%s]\\n' aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa # and a comment that is very long",
        "cat <<EOF\nsome text that is much longer than a line of the terminal can be\nEOF",
        "printf '[%s]\\n' \\\n    --alpha aaaaaaaaaaaaaaaaaaaaaaaaa \\\n    --beta bbbbbbbbbbbbbbbbbbb",
        "printf '[%s]\\n' a\n  printf '[%s]\\n' bbbbbbbbbbbbbbbbbbbbb ccccccccccccccccccccccccc dddddddddddd",
    ],
    ids=["words", "a quote over lines", "comment", "here-document", "continued", "two commands"],
)
def test_the_command_is_the_same_to_bash(show: Show, project: Any, command: str) -> None:
    project(json.dumps({"entry_points": {"main": {"command": command}}}))
    shown = section(show("main", 40), "Command")
    outputs = [
        subprocess.run(["bash", "-c", text], capture_output=True, check=True) for text in (command, shown)
    ]
    assert outputs[0].stdout
    assert outputs[1].stdout == outputs[0].stdout


def test_what_is_wrong_is_said_and_the_help_is_shown(dioptra: Any, project: Any) -> None:
    broken = PROJECT.replace("{data}", "{dta}").replace("python infer.py", "python {x")
    project(broken)
    called = dioptra("list-entry-points", "project", "-e", "train")
    assert (called.code, "Usage: dioptra run project -e train" in called.out) == (0, True)
    assert "project/MLproject:13:34: error: no parameter is named 'dta'" in called.err
    assert "{x" not in called.err
    project("entry_points: {main: {parameters: {a: path}}, other: {command: 'echo {'}}")
    called = dioptra("run", "project", "--help-entry-point")
    assert section(called.out, "Command") == "(none)"
    assert called.err.splitlines()[0].endswith("error: the entry point 'main' has no command")
    assert "'{'" not in called.err


def test_colours_only_where_they_belong(dioptra: Any, project: Any) -> None:
    project(PROJECT)
    arguments = ("list-entry-points", "project", "-e", "train")
    assert "\x1b[1mUsage: " in dioptra(*arguments, env={"FORCE_COLOR": "1"}).out
    assert "\x1b" not in dioptra(*arguments, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out


def test_json_is_for_programs(dioptra: Any, project: Any) -> None:
    project(PROJECT)
    listed = dioptra("list-entry-points", "project", "-e", "train", "--json").json
    assert [entry_point["name"] for entry_point in listed["entry_points"]] == ["train"]


def test_help_imports_nothing_heavy(project: Any, tmp_path: Path) -> None:
    project(PROJECT)
    code = """if True:
        import sys
        from dioptra_cli.cli.boundary import run_command_line
        assert run_command_line(sys.argv[1:]) == 0
        heavy = {"mlflow", "rich", "structlog", "urllib", "subprocess", "socket"}
        sys.exit(" ".join(heavy & {name.split(".")[0] for name in sys.modules}) or None)
    """
    arguments = [sys.executable, "-c", code, "run", "project", "-e", "infer", "--help-entry-point"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
