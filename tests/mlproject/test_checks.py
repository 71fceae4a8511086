"""What is wrong with commands, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from dioptra_cli.errors import Problem
from dioptra_cli.mlproject import checks, loader
from dioptra_cli.mlproject.template import parse_template


def check(directory: Path, command: str, parameters: str = "{}") -> list[Problem]:
    """Check an entry point; the command starts at line 4, column 14 of the file."""
    text = f"entry_points:\n  main:\n    parameters: {parameters}\n    command: {command}\n"
    (directory / "MLproject").write_text(text)
    project = loader.load(str(directory)).project
    assert project is not None
    return checks.check_entry_point(project.entry_points["main"])


@pytest.mark.parametrize(
    ("command", "code", "place", "hint"),
    [
        ("'echo {y}'", "undeclared-placeholder", (4, 20), None),
        ("'echo {ecochs}'", "undeclared-placeholder", (4, 20), "'epochs'"),
        ("'echo ${HOME} {epochs}'", "undeclared-placeholder", (4, 21), "${{HOME}}"),
        ("\"awk '{print $1}' {epochs}\"", "undeclared-placeholder", (4, 20), "double them"),
        ("'echo {epochs.real}'", "placeholder-attribute", (4, 20), "{epochs}"),
        ("'echo {epochs[0]}'", "placeholder-index", (4, 20), "{epochs}"),
        ("'echo {epochs!r}'", "placeholder-conversion", (4, 20), "{epochs}"),
        ("'echo {epochs:.3f}'", "placeholder-format-spec", (4, 20), "{epochs}"),
        ("'echo {} {epochs}'", "empty-placeholder", (4, 20), None),
        ("'echo } {epochs}'", "unbalanced-brace", (4, 20), "}}"),
        ("'echo {epochs'", "unbalanced-brace", (4, 20), "{{"),
        ("'echo ${epochs}'", None, (4, 21), "$"),
        ("'cat <<{epochs}'", None, (4, 21), None),
        ("'true'", "unused-parameter", (3, 18), None),
        ("''", "empty-command", (4, 14), None),
        ("'echo {epochs} \\'", "trailing-backslash", (4, 29), "no next line"),
        ("'echo \\ --x {epochs}'", "escaped-blank", (4, 20), "joined"),
        (">\n      python x.py\n        --epochs {epochs}\n", "option-on-its-own-line", (6, 9), "indent"),
        ("|\n      python x.py\n      --epochs {epochs}\n", "option-on-its-own-line", (6, 7), "\\"),
    ],
)
def test_defects_are_found_at_their_place(
    tmp_path: Path, command: str, code: str | None, place: tuple[int, int], hint: str | None
) -> None:
    found = [p for p in check(tmp_path, command, "{epochs: float}") if code is None or p.name == code]
    assert len(found) == 1, [str(p) for p in found]
    location = found[0].location
    assert location is not None
    assert (location.line, location.column) == place
    assert found[0].entry_point == "main"
    if hint is not None:
        assert hint in (found[0].hint or ""), found[0].hint


@pytest.mark.parametrize(
    "command",
    [
        "'echo {epochs} ${{HOME}} {{}}'",
        ">\n      python x.py\n      --epochs {epochs}\n",
        "|\n      python x.py \\\n        --epochs {epochs}\n",
        "|\n      cat <<EOF\n      --epochs {epochs}\n      EOF\n",
        "|\n      a {epochs} |\n      b && \\\n      c\n",
        '\'$(echo {epochs}) "$(cat "{epochs}")" `echo {epochs}`\'',
        "'A={epochs} B=\"x{epochs}y\" cmd'",
    ],
)
def test_good_commands_have_no_problems(tmp_path: Path, command: str) -> None:
    assert check(tmp_path, command, "{epochs: float}") == []


def test_a_placeholder_at_fault_still_counts_as_a_use(tmp_path: Path) -> None:
    codes = [p.name for p in check(tmp_path, "'echo {epochs:.3f}'", "{epochs: float}")]
    assert codes == ["placeholder-format-spec"]


def test_a_template_is_split_as_str_format_splits_it() -> None:
    text = "a{{b}}{x}c{y}{{{x}}}"
    template = parse_template(text)
    assert [p.name for p in template.placeholders] == ["x", "y", "x"]
    assert template.text.replace("\0", "V") == text.format(x="V", y="V")
