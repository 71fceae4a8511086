"""The hook for pre-commit, and the settings that the page on editors shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "editors.md").read_text()
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
SHOWN = [
    hook
    for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for repository in yaml.safe_load(text).get("repos", [])
    for hook in repository["hooks"]
]


def test_the_page_shows_the_hook() -> None:
    assert [hook["id"] for hook in SHOWN] == [HOOK["id"]] * 2
    assert {key: SHOWN[1][key] for key in ("name", "entry", "files")} == {
        key: HOOK[key] for key in ("name", "entry", "files")
    }


@pytest.mark.parametrize("file", ["MLproject", "mlproject", "examples/train/MLProject"])
def test_the_hook_looks_at(file: str) -> None:
    assert re.search(HOOK["files"], file)


@pytest.mark.parametrize("file", ["MLproject.md", "notMLproject", "MLproject/train.py", "conda.yaml"])
def test_the_hook_passes_over(file: str) -> None:
    assert not re.search(HOOK["files"], file)


def test_the_hook_finds_and_mends(dioptra: Any, project: Any) -> None:
    program, *words = shlex.split(HOOK["entry"])
    assert program == "dioptra"
    good = project("entry_points: {main: {command: echo}}\n", "good")
    bad = project("entry_points: {main: {comand: echo}}\n", "bad")
    files = [str(directory / "MLproject") for directory in (good, bad)]
    assert dioptra(*words, *files).code == 1
    assert set(re.findall(r"args: \[(--\w+)\]", PAGE)) == {"--strict", "--fix"}
    assert dioptra(*words, "--strict", *files).code == 1
    assert dioptra(*words, "--fix", *files).code == 0
    assert dioptra(*words, "--strict", *files).code == 0


def test_the_settings_name_the_file_that_the_command_writes() -> None:
    (text,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    ((schema, pattern),) = json.loads(text)["yaml.schemas"].items()
    assert f"dioptra schema > {schema.removeprefix('./')}\n" in PAGE
    assert pattern in json.loads(text)["files.associations"]
    assert f"# yaml-language-server: $schema={schema.removeprefix('./')}\n" in PAGE


@pytest.mark.parametrize("form", ["json", "github", "sarif"])
def test_the_calls_of_the_page_work(dioptra: Any, project: Any, form: str) -> None:
    directory = project("entry_points: {main: {command: echo}}\n", "below/project")
    assert f"dioptra validate --format {form}" in PAGE
    assert dioptra("validate", "--format", form, cwd=directory.parent).code == 0


def test_an_editor_can_send_its_text(dioptra: Any) -> None:
    call = re.search(r"`(dioptra validate .* FILE -)`", PAGE)
    assert call
    called = dioptra(*call[1].split()[1:], stdin="entry_points: {main: {comand: echo}}\n")
    assert {problem["file"] for problem in called.json} == {"FILE"}
