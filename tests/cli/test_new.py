"""`dioptra new`: where it writes, what it says, and what it refuses."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

PROJECT = """\
name: Sample
entry_points:
  # the first
  train:
    description: Train it
    parameters:
      data_dir: path
      epochs: {type: float, default: 30}
    command: python src/train.py --data-dir {data_dir} --epochs {epochs}
  other:
    command: ./run.sh
  broken:
    parameters: {n: {type: float, default: many}}
    command: python broken.py {n}
"""


def everything(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))


@pytest.mark.parametrize("command", [[], ["project"], ["entry-point"]])
def test_help_fits_a_narrow_terminal(dioptra: Any, command: list[str]) -> None:
    called = dioptra("new", *command, "--help", env={"COLUMNS": "80"})
    assert called.code == 0
    assert max(len(line) for line in called.out.splitlines()) <= 80


def test_the_script_goes_where_the_command_looks_for_it(dioptra: Any, project: Any, tmp_path: Path) -> None:
    directory = project(PROJECT)
    called = dioptra("new", "entry-point", "train", "project")
    assert (called.code, called.out) == (0, "")
    assert called.err.splitlines() == [
        "dioptra: wrote project/src/train.py",
        "dioptra: to run it: dioptra run project -e train -P data_dir=…",
    ]
    assert everything(directory) == ["MLproject", "src", "src/train.py"]
    ast.parse((directory / "src/train.py").read_text())
    again = dioptra("new", "entry-point", "train", cwd=directory)
    assert again.code == 2
    assert "src/train.py' is there already" in again.err
    assert "hint: --force overwrites it" in again.err
    (directory / "src/train.py").write_text("old")
    assert dioptra("new", "entry-point", "train", "--force", cwd=directory).code == 0
    assert (directory / "src/train.py").read_text() != "old"


def test_standard_output_and_a_file_of_ones_own(dioptra: Any, project: Any, tmp_path: Path) -> None:
    directory = project(PROJECT)
    called = dioptra("new", "entry-point", "train", "project", "-o", "-")
    assert (called.code, called.err) == (0, "")
    assert "def train(" in called.out
    assert everything(directory) == ["MLproject"]
    called = dioptra("new", "entry-point", "train", "project", "--output", "a/b.py")
    assert (tmp_path / "a/b.py").read_text() == dioptra(
        "new", "entry-point", "train", "project", "-o", "-"
    ).out
    assert f"the command of 'train' does not run it: write 'python {tmp_path}/a/b.py …' there" in called.err
    called = dioptra("new", "entry-point", "other", "project")
    assert called.code == 0
    assert "the command of 'other' does not run it: write 'python src/other.py …' there" in called.err


def test_an_unknown_entry_point(dioptra: Any, project: Any) -> None:
    directory = project(PROJECT)
    called = dioptra("new", "entry-point", "trian", cwd=directory)
    assert called.code == 2
    assert "'Sample' has no entry point 'trian'" in called.err
    assert "did you mean 'train'?; -P name:type=default declares a new one" in called.err
    assert everything(directory) == ["MLproject"]


def test_an_entry_point_that_could_not_run_is_explained(dioptra: Any, project: Any) -> None:
    directory = project(PROJECT)
    called = dioptra("new", "entry-point", "broken", cwd=directory)
    assert called.code == 125
    assert (
        "MLproject:13:44: error: default of parameter 'n' (type float): 'many' is not a float" in called.err
    )
    assert everything(directory) == ["MLproject"]


def test_options_without_a_parameter_are_named(dioptra: Any, project: Any) -> None:
    directory = project("entry_points: {main: {command: python main.py --fast --mode slow}}")
    called = dioptra("new", "entry-point", "main", cwd=directory)
    assert "the command of 'main' passes --fast, --mode too" in called.err


def test_a_new_entry_point_is_declared(dioptra: Any, project: Any) -> None:
    directory = project(PROJECT)
    arguments = ["-P", "run_id", "-P", "eps:float=0.3", "-P", "data-dir:uri=", "-P", "class=a:b=c"]
    called = dioptra("new", "entry-point", "fgm-attack v2", *arguments, cwd=directory)
    assert called.code == 0
    assert called.err.splitlines() == [
        "dioptra: wrote src/fgm_attack_v2.py, and declared 'fgm-attack v2' in MLproject",
        "dioptra: to run it: dioptra run . -e 'fgm-attack v2' -P run_id=…",
    ]
    text = (directory / "MLproject").read_text()
    assert text.startswith(PROJECT)
    assert (
        text.removeprefix(PROJECT)
        == (
            '  "fgm-attack v2":\n'
            "    parameters:\n"
            "      run_id: string\n"
            "      eps: {type: float, default: 0.3}\n"
            '      data-dir: {type: uri, default: ""}\n'
            '      "class=a": {type: b, default: "c"}\n'
            "    command: >\n"
        )
        or '      class: {type: string, default: "a:b=c"}\n' in text
    )
    script = (directory / "src/fgm_attack_v2.py").read_text()
    assert (
        "def fgm_attack_v2(\n    run_id: str,\n    eps: float,\n    data_dir: str,\n    class_: str,\n"
        in script
    )
    again = dioptra("new", "entry-point", "train", "-P", "x", cwd=directory)
    assert again.code == 2
    assert "declares the entry point 'train' already" in again.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-P", "eps:flaot=1"], "there is no type 'flaot'"),
        (["-P", "eps:float=abc"], "default of parameter 'eps' (type float): 'abc' is not a float"),
        (["-P", "=1"], "-P '=1' is not of the form NAME[:TYPE][=DEFAULT]"),
        (["-P", "a:=1"], "-P 'a:=1' is not of the form"),
        (["-P", "a", "-P", "a:float"], "-P gives 'a' twice"),
        (["-P", "a.b"], "asks for an attribute"),
        (["-P", "a{"], "cannot be recorded"),
    ],
)
def test_a_wrong_declaration_changes_nothing(
    dioptra: Any, project: Any, arguments: list[str], message: str
) -> None:
    directory = project(PROJECT)
    called = dioptra("new", "entry-point", "new", *arguments, cwd=directory)
    assert called.code == 2
    assert message in called.err
    assert "Traceback" not in called.err
    assert everything(directory) == ["MLproject"]
    assert (directory / "MLproject").read_text() == PROJECT


def test_a_file_that_cannot_be_edited_safely_is_left_alone(dioptra: Any, project: Any) -> None:
    text = "entry_points: {a: {command: x}}\n"
    directory = project(text)
    called = dioptra("new", "entry-point", "b", "-P", "n:float=1", cwd=directory)
    assert called.code == 0
    assert "MLproject is not of a form that can be edited safely; add to it by hand:" in called.err
    assert called.out == (
        "  b:\n    parameters:\n      n: {type: float, default: 1}\n"
        "    command: >\n      python src/b.py\n      --n {n}\n"
    )
    assert (directory / "MLproject").read_text() == text
    assert everything(directory) == ["MLproject", "src", "src/b.py"]


def test_a_script_that_is_there_keeps_the_file_as_it_is(dioptra: Any, project: Any) -> None:
    directory = project(PROJECT)
    (directory / "src").mkdir()
    (directory / "src/new.py").write_text("old")
    assert dioptra("new", "entry-point", "new", "-P", "a", cwd=directory).code == 2
    assert (directory / "MLproject").read_text() == PROJECT
    assert (directory / "src/new.py").read_text() == "old"


def test_no_project(dioptra: Any, tmp_path: Path) -> None:
    called = dioptra("new", "entry-point", "train")
    assert called.code == 125
    assert "'dioptra new project DIRECTORY' writes one" in called.err
    assert dioptra("new", "entry-point", "train", "nowhere").code == 2


def test_a_project_goes_into_a_new_or_empty_directory(dioptra: Any, tmp_path: Path) -> None:
    called = dioptra("new", "project", "deep/my project", "--name", 'The "best"')
    assert called.code == 0
    assert called.err.splitlines()[-1] == "dioptra: to run it: dioptra run 'deep/my project' -e train"
    directory = tmp_path / "deep/my project"
    files = [path for path in everything(directory) if (directory / path).is_file()]
    assert files == [
        ".gitignore",
        "MLproject",
        "README.md",
        "src/infer.py",
        "src/train.py",
        "task-plugins/dioptra_custom/the_best/lines.py",
    ]
    assert dioptra("list-entry-points", str(directory), "--json").json["project"] == 'The "best"'
    refused = dioptra("new", "project", "deep/my project")
    assert refused.code == 2
    assert "is not empty: it holds .gitignore, MLproject, README.md, src, task-plugins" in refused.err
    called = dioptra("new", "project", "--", "-da sh")
    assert called.err.splitlines()[-1] == "dioptra: to run it: dioptra run './-da sh' -e train"
    called = dioptra("new", "entry-point", "-P", "a", "--", "more", "-da sh")
    assert called.err.splitlines()[-1] == "dioptra: to run it: dioptra run './-da sh' -e more -P a=…"
    (tmp_path / "empty/.git").mkdir(parents=True)
    assert dioptra("new", "project", ".", cwd=tmp_path / "empty").code == 0
    (tmp_path / "file").touch()
    refused = dioptra("new", "project", "file")
    assert (refused.code, "'file' cannot be used" in refused.err) == (2, True)


@pytest.mark.parametrize("name", ["日本", "class", "numpy", "a\nb", "it's {x}", "  x ", "42", "-"])
def test_a_project_of_any_name_is_valid(dioptra: Any, tmp_path: Path, name: str) -> None:
    assert dioptra("new", "project", "project", "--name", name).code == 0
    called = dioptra("validate", "--strict", "project")
    assert (called.code, called.err) == (
        0,
        "1 note in 1 project\n",
    )  # numbers that the script takes as integers
    assert dioptra("list-entry-points", "project", "--json").json["project"] == name
    for path in (tmp_path / "project").rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


def test_completion_of_entry_points(dioptra: Any, project: Any) -> None:
    environ = {
        "_DIOPTRA_COMPLETE": "bash_complete",
        "COMP_WORDS": "dioptra new entry-point tr",
        "COMP_CWORD": "3",
    }
    assert "plain,train" in dioptra(cwd=project(PROJECT), env=environ).out
