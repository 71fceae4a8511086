"""How `validate` prints what it finds: text, JSON, SARIF, or GitHub's workflow commands.

Each form prints a file's problems as soon as they are known and keeps none of them, so that any number of files takes
no more memory than one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import click

from dioptra_cli import __version__
from dioptra_cli.cli import output
from dioptra_cli.errors import Level, Problem
from dioptra_cli.mlproject import catalogue
from dioptra_cli.validation.validate import Checked

_GITHUB_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def text(files: Iterable[Checked]) -> Iterator[str]:
    """`file:line:column: level code message`, with the line of the file and a caret."""
    for checked in files:
        yield "".join(f"{line}\n" for line in output.diagnostics(checked.problems, checked.text, sys.stdout))


def as_json(files: Iterable[Checked]) -> Iterator[str]:
    """An array with one object for each problem."""
    return _array("[", (_json_of(problem) for checked in files for problem in checked.problems), "]")


def sarif(files: Iterable[Checked]) -> Iterator[str]:
    """SARIF 2.1.0, which code hosts show beside the lines."""
    import json

    rules = [
        {
            "id": check.code,
            "name": check.name,
            "shortDescription": {"text": check.summary},
            "defaultConfiguration": {"level": check.level.value},
        }
        for check in catalogue.CHECKS
    ]
    driver = {"name": "dioptra", "version": __version__, "rules": rules}
    frame = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": []}],
    }
    before, _, after = json.dumps(frame).rpartition("[]")
    results = (_sarif_of(problem) for checked in files for problem in checked.problems)
    return _array(f"{before}[", results, f"]{after}")


def github(files: Iterable[Checked]) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines."""
    for checked in files:
        yield "".join(f"{_github_of(problem)}\n" for problem in checked.problems)


Form = Callable[[Iterable[Checked]], Iterator[str]]

FORMS: Mapping[str, Form] = {"text": text, "json": as_json, "sarif": sarif, "github": github}
"""The forms by the names that `--format` has for them. Each yields its output in pieces, as files come in."""


def _array(beginning: str, items: Iterable[dict[str, Any]], end: str) -> Iterator[str]:
    """Yield a JSON array, item by item."""
    import json  # text needs none of it

    separator = ""
    yield beginning
    for item in items:
        yield f"{separator}\n{json.dumps(item, ensure_ascii=False)}"
        separator = ","
    yield f"\n{end}\n" if separator else f"{end}\n"


def summary(levels: Counter[Level], files: int, fixable: int) -> str:
    """Return the line that closes the output."""
    counts = [
        f"{levels[level]} {level.value}{'' if levels[level] == 1 else 's'}"
        for level in Level
        if levels[level]
    ]
    where = "1 project" if files == 1 else f"{files} projects"
    style = "red" if levels[Level.ERROR] else "yellow" if levels[Level.WARNING] else "green"
    hint = f"; --fix mends {fixable} of them" if fixable else ""
    return click.style(f"{', '.join(counts) or 'no problems'} in {where}{hint}", fg=style)


def _json_of(problem: Problem) -> dict[str, Any]:
    location = problem.location
    return {
        "file": location.path if location else None,
        "line": location.line if location else None,
        "column": location.column if location else None,
        "end_column": location.end if location else None,
        "level": problem.level.value,
        "code": catalogue.code_of(problem.name),
        "name": problem.name,
        "message": problem.message,
        "hint": problem.hint,
        "entry_point": problem.entry_point,
        "fixable": bool(problem.fix),
    }


def _sarif_of(problem: Problem) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": catalogue.code_of(problem.name),
        "level": problem.level.value,
        "message": {"text": _sentence(problem)},
    }
    location = problem.location
    if location is not None:
        place: dict[str, Any] = {"artifactLocation": {"uri": _uri_of(location.path)}}
        if location.line is not None:
            region = {"startLine": location.line, "startColumn": location.column or 1}
            if location.end is not None:
                region["endColumn"] = location.end
            place["region"] = region
        result["locations"] = [{"physicalLocation": place}]
    return result


def _uri_of(path: str) -> str:
    """Return a path as the reference that SARIF wants: relative ones stay relative."""
    safe = "/-_.~:@!$&'()*+,;="
    return "".join(
        char
        if char.isascii() and (char.isalnum() or char in safe)
        else "".join(f"%{b:02X}" for b in char.encode("utf-8", "surrogateescape"))
        for char in path
    )


def _github_of(problem: Problem) -> str:
    properties = [f"title={_escaped(f'{catalogue.code_of(problem.name)} {problem.name}')}"]
    location = problem.location
    if location is not None:
        place = [f"file={_escaped(location.path)}"]
        if location.line is not None:
            place.append(f"line={location.line},col={location.column or 1}")
            if location.end is not None:
                place.append(f"endColumn={location.end}")
        properties = place + properties
    message = _sentence(problem).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{_GITHUB_LEVELS[problem.level]} {','.join(properties)}::{message}"


def _sentence(problem: Problem) -> str:
    return problem.message + (f" ({problem.hint})" if problem.hint else "")


def _escaped(text: str) -> str:
    escapes = {"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"}
    return "".join(escapes.get(char, char) for char in text)
