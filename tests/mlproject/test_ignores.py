"""Comments that silence checks: where they hold, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.validation.validate import Checker

TEMPLATE = """\
entry_points:
  main:{main}
    parameters:
{above}      lr: {{type: float, default:0.1}}{lr}
    command: >{command}
      echo {{lr}}
        --verbose
"""


def names(text: str) -> list[str]:
    return [problem.name for problem in Checker().check("MLproject", text.encode()).problems]


def text(*, main: str = "", above: str = "", lr: str = "", command: str = "") -> str:
    return TEMPLATE.format(main=main, above=above, lr=lr, command=command)


BOTH = ["lost-default", "option-on-its-own-line"]


@pytest.mark.parametrize(
    ("source", "left"),
    [
        (text(), BOTH),
        (text(lr="  # dioptra: ignore[DIO304]"), BOTH[1:]),
        (text(lr="  # dioptra: ignore[lost-default]"), BOTH[1:]),
        (text(lr="  #dioptra:ignore[DIO999x, DIO304] as it is meant"), ["unknown-check", *BOTH[1:]]),
        (text(lr="  # dioptra: ignore[DIO432]"), BOTH),
        (text(above="      # dioptra: ignore[DIO304]\n"), BOTH[1:]),
        (text(above="      # dioptra: ignore[DIO304]\n\n      # why\n"), BOTH[1:]),
        (text(command="  # dioptra: ignore[DIO432]"), BOTH[:1]),
        (text(main="  # dioptra: ignore[DIO304,DIO432]"), BOTH),
        (text(main="  # dioptra: ignore-file[DIO3]"), BOTH[1:]),
        (text(main="  # dioptra: ignore-file[DIO304, DIO432]"), []),
        (text(main="  # dioptra: ignore"), ["unknown-check", *BOTH]),
        (text(main="  # dioptra: ignore[]"), ["unknown-check", *BOTH]),
    ],
)
def test_a_comment_silences_its_line_and_the_value_that_begins_there(source: str, left: list[str]) -> None:
    assert names(source) == left


def test_the_text_of_a_command_is_no_comment() -> None:
    source = "entry_points:\n  main:\n    command: |\n      # dioptra: ignore-file[DIO401]\n      echo {x}\n"
    assert names(source) == ["undeclared-placeholder"]
    assert names("name: 'x # dioptra: ignore[DIO209]'\n") == ["no-entry-points"]


def test_a_run_is_as_silent(tmp_path: Path, dioptra: Any) -> None:
    lines = [
        "entry_points:",
        "  main:",
        "    typo: 1{}",
        "    parameters: {{a: string}}{}",
        "    command: echo {{b}}{}",
    ]

    def dry_run(*comments: str) -> str:
        text = "\n".join(lines).format(*(f"  # dioptra: ignore[{comment}]" for comment in comments))
        (tmp_path / "MLproject").write_text(text.replace("{b}", "hi") if comments[2] == "DIO1" else text)
        error: str = dioptra("run", ".", "--dry-run", "-P", "a=1").err
        return error

    assert "typo" in dry_run("DIO1", "DIO1", "DIO1")
    assert "does not use the parameter 'a'" in dry_run("DIO1", "DIO1", "DIO1")
    assert dry_run("DIO210", "DIO309", "DIO1") == ""
    assert "no parameter is named 'b'" in dry_run("DIO210", "DIO309", "DIO401")
