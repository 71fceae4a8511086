"""Entry points that are added to a file: nothing else in it changes, and what is added means what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra_cli.mlproject import loader
from dioptra_cli.scaffold import declare, edit

SPACED = """\
# About this file
name: Sample   # trailing

entry_points:

  # the first
  train:
    parameters: {epochs: {type: float, default: 030}}
    command: >
      python train.py
      --epochs {epochs}

  infer:  # the second
    command: |
      python infer.py

# what follows is not an entry point
python_env: env.yaml
"""
TIGHT = "entry_points:\n    a:\n        command: x\n    b: {command: y}"


def load(tmp_path: Path, text: str, newline: str = "\n", start: str = "") -> Any:
    (tmp_path / "env.yaml").touch()
    (tmp_path / "MLproject").write_bytes((start + text).replace("\n", newline).encode())
    return loader.require(str(tmp_path))[0]


def new(*parameters: declare.Declaration, name: str = "new") -> Any:
    return declare.entry_point(name, parameters, "src/new.py")


@pytest.mark.parametrize(("newline", "start"), [("\n", ""), ("\r\n", ""), ("\n", "\ufeff")])
@pytest.mark.parametrize("text", [SPACED, TIGHT], ids=["spaced", "tight"])
def test_everything_else_stays(tmp_path: Path, text: str, newline: str, start: str) -> None:
    project = load(tmp_path, text, newline, start)
    added = new(declare.Declaration("epochs", "float", "3"), declare.Declaration("data", "path"))
    edited = edit.added(project, added)
    assert edited is not None
    assert edited.count(newline) == edited.count("\n")
    old, lines = (start + text).split("\n"), edited.split(newline)
    assert [line for line in old if line not in lines] == []
    assert lines[0] == old[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MLproject", "env.yaml"]
    (tmp_path / "MLproject").write_bytes(edited.encode())
    entry = loader.require(str(tmp_path))[0].entry_points["new"]
    assert entry.command == "python src/new.py --epochs {epochs} --data {data}\n"
    assert [(p.name, p.type, p.default) for p in entry.parameters.values()] == [
        ("epochs", "float", "3"),
        ("data", "path", None),
    ]


def test_the_layout_of_the_file_is_followed(tmp_path: Path) -> None:
    assert edit.added(load(tmp_path, TIGHT), new(declare.Declaration("a"))) == (
        TIGHT + "\n    new:\n        parameters:\n            a: string\n"
        "        command: >\n            python src/new.py\n            --a {a}\n"
    )
    spaced = edit.added(load(tmp_path, SPACED), new())
    assert spaced is not None
    assert "      python infer.py\n\n  new:\n    command: python src/new.py\n\n# what follows" in spaced


@pytest.mark.parametrize(
    "text",
    [
        "entry_points: {a: {command: x}}\n",
        "entry_points: {\n  a: {command: x},\n  b: {command: y}}\n",
        "entry_points:\n  a: {command: x}\n  b:\n    command: |+\n      y\n\n\n",
        "entry_points:\n  ? a\n  : command: x\n",
        "entry_points:\n  a: &a {command: x}\n  b: *a\nname: &n x\nother: {<<: *a}\n",
        'entry_points:\n  a: {command: "x\n     y"}\n',
        "name: x\n",
        "entry_points:\n  a: {command: x}\r  b: {command: y}\n",
        "{entry_points: {a: {command: x}}}\n",
    ],
)
def test_a_file_is_edited_so_that_it_means_the_same_or_not_at_all(tmp_path: Path, text: str) -> None:
    project = load(tmp_path, text)
    edited = edit.added(project, new())
    if edited is not None:
        (tmp_path / "MLproject").write_text(edited)
        after = loader.require(str(tmp_path))[0].entry_points
        assert [(e.name, e.command) for e in after.values()] == [
            *((e.name, e.command) for e in project.entry_points.values()),
            ("new", "python src/new.py"),
        ]


@pytest.mark.parametrize(
    "text", ["entry_points: {a: {command: x}}\n", "name: x\n", SPACED.replace("\n", "\r", 1)]
)
def test_in_doubt_nothing_is_edited(tmp_path: Path, text: str) -> None:
    assert edit.added(load(tmp_path, text), new()) is None


YAML_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)


@given(
    name=YAML_TEXT.filter(str.strip),
    parameters=st.lists(
        st.tuples(
            st.from_regex(r"[\w :/-]{1,8}", fullmatch=True).filter(lambda t: ":" not in t),
            st.sampled_from(["string", "float", "path", "uri", "int", "bool"]),
            st.none()
            | YAML_TEXT
            | st.sampled_from(["1", "-1", "0.10", "1e3", "yes", "", "007", "1_0", "12:30"]),
        ),
        max_size=3,
        unique_by=lambda pair: pair[0],
    ),
)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_what_was_asked_for(
    tmp_path_factory: pytest.TempPathFactory, name: str, parameters: list[tuple[str, str, str | None]]
) -> None:
    directory = tmp_path_factory.mktemp("project")
    project = load(directory, SPACED)
    asked = new(*(declare.Declaration(*one) for one in parameters), name=name)
    if name in project.entry_points:
        return
    edited = edit.added(project, asked)
    assert edited is not None  # the loader has read the same from it
