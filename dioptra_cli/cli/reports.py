"""How `validate` prints what it finds: text, JSON, SARIF, or GitHub's workflow commands.

Each form prints one file at a time, in whichever process has checked it; `assembled` puts the pieces together as they
come, so that any number of files takes no more memory than one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import click

from dioptra_cli import __version__
from dioptra_cli.cli import output
from dioptra_cli.errors import Level, Problem
from dioptra_cli.mlproject import catalogue
from dioptra_cli.validation.validate import Checked

_GITHUB_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


class Form(NamedTuple):
    """A way to print problems.

    Attributes:
        piece: Prints those of one file; empty where there are none.
        separator: What stands between two pieces.
        frame: Returns what stands before and behind all pieces.
    """

    piece: Callable[[Checked], str]
    separator: str = ""
    frame: Callable[[], tuple[str, str]] = lambda: ("", "")

    def assembled(self, pieces: Iterable[str]) -> Iterator[str]:
        """Yield the whole output, piece by piece."""
        before, behind = self.frame()
        yield before
        separator = ""
        for piece in pieces:
            if piece:
                yield separator + piece
                separator = self.separator
        yield f"\n{behind}" if separator else behind


def _text(checked: Checked) -> str:
    """`file:line:column: level code message`, with the line of the file and a caret."""
    lines = output.diagnostics(checked.problems, checked.text, sys.stdout)
    return "".join([f"{line}\n" for line in lines])


def _json(checked: Checked) -> str:
    """One object for each problem."""
    return _items(map(_json_of, checked.problems))


def _sarif(checked: Checked) -> str:
    """Results of SARIF 2.1.0, which code hosts show beside the lines."""
    return _items(map(_sarif_of, checked.problems))


def _sarif_frame() -> tuple[str, str]:
    """Return what stands around the results."""
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
    return f"{before}[", f"]{after}\n"


def _github(checked: Checked) -> str:
    """Workflow commands, which GitHub shows beside the lines."""
    return "".join([f"{_github_of(problem)}\n" for problem in checked.problems])


FORMS: Mapping[str, Form] = {
    "text": Form(_text),
    "json": Form(_json, ",", lambda: ("[", "]\n")),
    "sarif": Form(_sarif, ",", _sarif_frame),
    "github": Form(_github),
}
"""The forms by the names that `--format` has for them."""


def _items(items: Iterable[dict[str, Any]]) -> str:
    """Return the items of a JSON array, a line for each."""
    import json  # text needs none of it

    return ",".join([f"\n{json.dumps(item, ensure_ascii=False)}" for item in items])


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
