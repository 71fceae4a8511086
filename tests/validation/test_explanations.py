"""Every check is explained, by examples that do what they say, and the page of all checks says the same."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from types import ModuleType

import pytest

from dioptra_cli.mlproject.catalogue import BY_NAME, CHECKS, GROUPS, code_of, level_of
from dioptra_cli.validation.explanations import explanations
from dioptra_cli.validation.fixes import repair
from dioptra_cli.validation.validate import Checked, Checker

ROOT = Path(__file__).resolve().parents[2]
EXPLANATIONS = explanations()
IN_FILES = [name for name in BY_NAME if name in EXPLANATIONS and EXPLANATIONS[name].language == "yaml"]
IN_CALLS = [name for name in BY_NAME if name in EXPLANATIONS and EXPLANATIONS[name].language == "console"]

# A good file may leave the line of the problem as it is, and change others: the line of the problem.
ELSEWHERE = {
    "empty-file": 1,
    "entry-points-not-a-mapping": 1,
    "parameters-not-a-mapping": 3,
    "missing-command": 2,
    "no-entry-points": 1,
    "docker-without-image": 1,
    "docker-settings": 3,
    "unused-parameter": 5,
}
# What else is wrong with a bad example, where it cannot be wrong alone.
FOLLOWS = {
    "unknown-check": {"unused-parameter"},  # that the comment was to silence
    "non-breaking-space": {"entry-point-not-a-mapping", "unknown-key"},  # what YAML makes of it
}


def write(directory: Path, text: str, others: Mapping[str, str]) -> Path:
    for name, content in {"MLproject": text, **others}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return directory / "MLproject"


def changed_lines(bad: str, good: str) -> set[int]:
    """Return the lines of `bad` that `good` has not, from 1."""
    matcher = SequenceMatcher(None, bad.splitlines(), good.splitlines(), autojunk=False)
    return {
        line
        for tag, start, end, _, _ in matcher.get_opcodes()
        if tag != "equal"
        for line in range(start + 1, end + 1)
    }


@pytest.mark.parametrize("name", BY_NAME)
def test_every_check_is_explained(name: str) -> None:
    explanation = EXPLANATIONS[name]
    assert explanation.why.strip()
    assert explanation.bad.strip() != explanation.good.strip()
    assert explanation.bad.endswith("\n")
    assert explanation.good.endswith("\n")


def test_nothing_else_is_explained() -> None:
    assert set(EXPLANATIONS) <= set(BY_NAME)


def test_codes_and_names_are_in_order() -> None:
    codes = [check.code for check in CHECKS]
    assert codes == sorted(set(codes))
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert re.fullmatch(r"DIO\d{3}", check.code)
        assert check.code[:4] in GROUPS
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", check.name)
    assert {code[:4] for code in codes} == set(GROUPS)


@pytest.mark.parametrize("name", IN_FILES)
def test_the_bad_example_has_the_problem_where_the_good_one_differs(name: str, tmp_path: Path) -> None:
    explanation = EXPLANATIONS[name]
    file = write(tmp_path, explanation.bad, explanation.files)
    problems = Checker().check(str(file)).problems
    assert {p.name for p in problems} == {name} | FOLLOWS.get(name, set())
    assert all(p.level is level_of(p.name) for p in problems)
    changed = {ELSEWHERE[name]} if name in ELSEWHERE else changed_lines(explanation.bad, explanation.good)
    for problem in problems:
        if problem.name == name:
            assert problem.location is not None
            assert problem.location.line in changed, problem


@pytest.mark.parametrize("name", IN_FILES)
def test_the_good_example_has_no_problem(name: str, tmp_path: Path) -> None:
    explanation = EXPLANATIONS[name]
    file = write(tmp_path, explanation.good, explanation.files)
    assert Checker().check(str(file)).problems == ()


@pytest.mark.parametrize("name", IN_FILES)
def test_what_can_be_mended_is_mended_to_a_good_file(name: str, tmp_path: Path) -> None:
    explanation = EXPLANATIONS[name]
    file = write(tmp_path, explanation.bad, explanation.files)

    def check(content: bytes) -> Checked:
        return Checker().check(str(file), content)

    if any(problem.fix for problem in check(file.read_bytes()).problems):
        assert repair(file.read_bytes(), check).left.problems == ()


@pytest.mark.parametrize("name", IN_CALLS)
def test_the_calls_of_an_example_do_what_they_say(name: str, tmp_path: Path) -> None:
    write(tmp_path / "digits", "entry_points:\n  main:\n    command: python train.py\n", {"train.py": ""})
    programs = tmp_path / "bin"
    programs.mkdir()
    for program, call in (("python", ""), ("dioptra", " -m dioptra_cli")):
        (programs / program).write_text(f'#!/bin/sh\nexec "{sys.executable}"{call} "$@"\n')
        (programs / program).chmod(0o755)
    environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def run(example: str) -> subprocess.CompletedProcess[str]:
        assert all(line.startswith("$ ") for line in example.splitlines())
        script = re.sub(r"^\$ ", "", example, flags=re.MULTILINE)
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )

    bad = run(EXPLANATIONS[name].bad)
    assert bad.returncode in (1, 2)
    assert f" {code_of(name)} " in bad.stdout, bad.stdout + bad.stderr
    good = run(EXPLANATIONS[name].good)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "DIO" not in good.stdout


@pytest.fixture
def make_checks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_checks", ROOT / "docs" / "make_checks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_all_checks_is_up_to_date(make_checks: ModuleType) -> None:
    page = (ROOT / "docs" / "checks.md").read_text()
    assert page == make_checks.render(), "renew it: python docs/make_checks.py"


def test_the_links_of_the_page_lead_to_its_headings() -> None:
    page = (ROOT / "docs" / "checks.md").read_text()
    headings = {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)", page, re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert len(links) >= len(CHECKS)
    assert set(links) <= headings
