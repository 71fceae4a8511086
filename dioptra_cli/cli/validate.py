"""`dioptra validate`: every problem of MLproject files, each with its place."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import click

from dioptra_cli import __version__
from dioptra_cli.cli import completion, output
from dioptra_cli.errors import ExitCode, Level, Problem, UsageError
from dioptra_cli.mlproject import checks, loader
from dioptra_cli.parameters.resolve import check_declarations

_SARIF_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "note"}
_GITHUB_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


@click.command(name="validate")
@click.argument("targets", metavar="[FILE or PROJECT]...", nargs=-1, shell_complete=completion.projects)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="How to print the problems.",
)
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
def command(targets: tuple[str, ...], style: str, strict: bool) -> int:
    """Check MLproject files: structure, types, defaults, placeholders, quoting.

    Each argument is an MLproject file or a project directory; the current directory by default.
    Exits with 0 if nothing is wrong, with 1 if there are errors.
    """
    found: list[Problem] = []
    sources: dict[str, str] = {}
    for target in targets or (".",):
        problems, text = _validate(target)
        found.extend(problems)
        sources.update({p.location.path: text for p in problems if p.location})
    levels = Counter(problem.level for problem in found)
    if style == "text":
        output.diagnostics(found, sources, sys.stdout)
        _summary(levels, len(targets) or 1)
    elif style == "json":
        click.echo(json.dumps([_as_json(problem) for problem in found], indent=2, ensure_ascii=False))
    elif style == "sarif":
        click.echo(json.dumps(_as_sarif(found), indent=2, ensure_ascii=False))
    else:
        for problem in found:
            click.echo(_as_github(problem))
    failed = levels[Level.ERROR] or (strict and levels[Level.WARNING])
    return ExitCode.INVALID if failed else ExitCode.OK


def _validate(target: str) -> tuple[list[Problem], str]:
    """Return everything that is wrong with one target, in the order of its lines, and the text of its file."""
    try:
        loaded = loader.load(target)
    except UsageError as error:
        return list(error.problems), ""
    found = list(loaded.problems)
    if loaded.project is not None:
        for entry_point in loaded.project.entry_points.values():
            found.extend(checks.check_entry_point(entry_point))
        found.extend(check_declarations(loaded.project))
    found.sort(key=lambda p: (p.location.line or 0, p.location.column or 0) if p.location else (0, 0))
    return found, loaded.source


def _summary(levels: Counter[Level], files: int) -> None:
    counts = [
        f"{levels[level]} {level.value}{'' if levels[level] == 1 else 's'}"
        for level in Level
        if levels[level]
    ]
    where = "1 project" if files == 1 else f"{files} projects"
    style = "red" if levels[Level.ERROR] else "yellow" if levels[Level.WARNING] else "green"
    output.say(click.style(f"{', '.join(counts) or 'no problems'} in {where}", fg=style))


def _as_json(problem: Problem) -> dict[str, Any]:
    location = problem.location
    return {
        "file": location.path if location else None,
        "line": location.line if location else None,
        "column": location.column if location else None,
        "level": problem.level.value,
        "code": problem.name,
        "message": problem.message,
        "hint": problem.hint,
        "entry_point": problem.entry_point,
    }


def _as_sarif(found: list[Problem]) -> dict[str, Any]:
    """Return the problems as SARIF 2.1.0, which code hosts show beside the lines."""
    results = []
    for problem in found:
        result: dict[str, Any] = {
            "ruleId": problem.name,
            "level": _SARIF_LEVELS[problem.level],
            "message": {"text": problem.message + (f" ({problem.hint})" if problem.hint else "")},
        }
        location = problem.location
        if location is not None:
            place: dict[str, Any] = {"artifactLocation": {"uri": location.path.replace("\\", "/")}}
            if location.line is not None:
                place["region"] = {"startLine": location.line, "startColumn": location.column or 1}
            result["locations"] = [{"physicalLocation": place}]
        results.append(result)
    rules = [{"id": code} for code in sorted({problem.name for problem in found})]
    driver = {"name": "dioptra", "version": __version__, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _as_github(problem: Problem) -> str:
    """Return the problem as a workflow command, which GitHub shows beside the line."""
    properties = [f"title={_escaped(problem.name)}"]
    if problem.location is not None:
        properties.insert(0, f"file={_escaped(problem.location.path)}")
        if problem.location.line is not None:
            properties.insert(1, f"line={problem.location.line},col={problem.location.column or 1}")
    text = problem.message + (f" ({problem.hint})" if problem.hint else "")
    message = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{_GITHUB_LEVELS[problem.level]} {','.join(properties)}::{message}"


def _escaped(text: str) -> str:
    escapes = {"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"}
    return "".join(escapes.get(char, char) for char in text)
