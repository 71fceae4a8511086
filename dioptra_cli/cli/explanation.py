"""`dioptra validate --explain`: what a check finds, why, and examples; or the list of all checks."""

from __future__ import annotations

import sys

import click

from dioptra_cli.cli import output
from dioptra_cli.errors import Problem, UsageError
from dioptra_cli.mlproject import catalogue
from dioptra_cli.mlproject.catalogue import Check


def show(selector: str) -> None:
    """Print the explanation of a check, or a line for each where `selector` means several.

    Raises:
        UsageError: It means none.
    """
    names = catalogue.matching("DIO" if selector == "all" else selector)
    chosen = [check for check in catalogue.CHECKS if check.name in names]
    if not chosen:
        raise UsageError(
            Problem(
                "no-such-check",
                f"there is no check '{selector}'",
                hint=catalogue.hint_for(selector),
            )
        )
    if len(chosen) == 1:
        _explain(chosen[0])
    else:
        rows = [(check.code, check.level.value, check.name, check.summary) for check in chosen]
        headers = ("CODE", "LEVEL", "NAME", "FINDS")
        for line in output.table(headers, rows, output.terminal_width()):
            output.say(line, sys.stdout)


def _explain(check: Check) -> None:
    from dioptra_cli.validation.explanations import explanations

    explanation = explanations()[check.name]
    level = click.style(check.level.value, fg=output.LEVEL_COLORS[check.level], bold=True)
    lines = [f"{click.style(check.code, bold=True)} {check.name} ({level}): {check.summary}", ""]
    width = min(output.terminal_width(), 100)
    for paragraph in explanation.why.strip().split("\n\n"):
        lines += [*output.wrapped(" ".join(paragraph.split()), width), ""]
    for title, text in (("Instead of", explanation.bad), ("write", explanation.good)):
        lines += [
            click.style(f"{title}:", bold=True),
            *(f"    {line}" for line in text.rstrip().split("\n")),
            "",
        ]
    for name, text in explanation.files.items():
        if text.strip():
            lines += [click.style(f"with {name}:", bold=True)]
            lines += [*(f"    {line}" for line in text.rstrip().split("\n")), ""]
    for line in lines[:-1]:
        output.say(line, sys.stdout)
