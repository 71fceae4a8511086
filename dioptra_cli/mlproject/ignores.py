"""Comments that silence checks: `# dioptra: ignore[DIO309]` on a line, `# dioptra: ignore-file[DIO302]` anywhere.

A comment stands for the line that it is on, and where it is alone on it for the next line. A value that begins on
such a line is covered as a whole: `command: >  # dioptra: ignore[DIO432]` covers the lines of the command. What
MLflow refuses cannot be ignored: such a file does not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dioptra_cli.errors import Problem
from dioptra_cli.mlproject import catalogue
from dioptra_cli.mlproject.positions import Source

_COMMENT = r"(?mi)(?:^|(?<=[ \t]))#[ \t]*dioptra:[ \t]*(?P<call>.*)"
_CALL = r"(?i)(?P<scope>ignore(?:-file)?)\[(?P<checks>[^\]]*)\]"


class Ignores(NamedTuple):
    """What the comments of a file silence.

    Attributes:
        everywhere: The names of the checks that are silenced in the whole file.
        lines: The names by line, from 1.
        problems: What is wrong with the comments themselves.
    """

    everywhere: frozenset[str]
    lines: Mapping[int, frozenset[str]]
    problems: tuple[Problem, ...] = ()

    def apply(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Yield the problems that no comment silences."""
        if self is NOTHING:
            return iter(problems)
        return (problem for problem in problems if not self._cover(problem))

    def _cover(self, problem: Problem) -> bool:
        line = problem.location.line if problem.location else None
        return problem.name in self.everywhere or (
            line is not None and problem.name in self.lines.get(line, ())
        )


NOTHING = Ignores(frozenset(), {})


def find(source: Source, root: Any) -> Ignores:
    """Return what the comments of a file say.

    Args:
        source: The text of the file.
        root: The root node of its document, None where it is empty.
    """
    if "dioptra" not in source.text.lower():
        return NOTHING
    comments = list(re.finditer(_COMMENT, source.text))
    if not comments:
        return NOTHING
    spans = list(_scalars(root, source.text))
    everywhere: set[str] = set()
    lines: dict[int, set[str]] = {}
    problems: list[Problem] = []
    for comment in comments:
        if any(start <= comment.start() < end for start, end, _, _ in spans):
            continue  # not a comment: part of a text
        names, complaints = _names(comment, source)
        problems += complaints
        if comment["call"].lower().startswith("ignore-file"):
            everywhere |= names
            continue
        line = source.at_index(comment.start()).line or 1
        covered = {line}
        if not source.text[source.text.rfind("\n", 0, comment.start()) + 1 : comment.start()].strip():
            covered.add(_next_line(source.text, line))
        for _, _, first, last in spans:
            if first in covered:
                covered.update(range(first, last + 1))
        for number in covered:
            lines.setdefault(number, set()).update(names)
    return Ignores(
        frozenset(everywhere),
        {number: frozenset(names) for number, names in lines.items()},
        tuple(problems),
    )


def _names(comment: re.Match[str], source: Source) -> tuple[set[str], list[Problem]]:
    """Return the names of the checks that a comment is about, and what is wrong with it."""

    def complaint(message: str, hint: str | None, offset: int) -> Problem:
        location = source.at_index(comment.start("call") + offset)
        return Problem("unknown-check", message, location, catalogue.level_of("unknown-check"), hint)

    call = re.match(_CALL, comment["call"])
    if call is None:
        written = comment["call"].strip()
        return set(), [
            complaint(
                f"the comment '{written}' is not understood",
                "write '# dioptra: ignore[DIO309]', with the codes of the checks in brackets",
                0,
            )
        ]
    names: set[str] = set()
    problems = []
    for match in re.finditer(r"[^\s,]+", call["checks"]):
        meant = catalogue.matching(match[0])
        names |= meant
        if not meant:
            problems.append(
                complaint(
                    f"there is no check '{match[0]}'",
                    catalogue.hint_for(match[0]),
                    call.start("checks") + match.start(),
                )
            )
    if not names and not problems:
        problems.append(complaint("the comment names no check", "write its code in the brackets", 0))
    return names, problems


def _scalars(root: Any, text: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield where each scalar's text begins and ends (indices), and its first and last line (from 1)."""
    stack, visited = [root], set()
    while stack:
        node = stack.pop()
        if node is None or id(node) in visited:
            continue
        visited.add(id(node))
        if not isinstance(node.value, str):
            for child in node.value:
                stack.extend(child if isinstance(child, tuple) else (child,))
            continue
        start, end = node.start_mark, node.end_mark
        text_start = start.index
        if node.style in ("|", ">"):  # a comment may follow the sign
            text_start = text.find("\n", start.index)
        yield text_start, end.index, start.line + 1, max(start.line + 1, end.line + (end.column > 0))


def _next_line(text: str, line: int) -> int:
    """Return the number of the next line behind `line` that is neither blank nor a comment."""
    for number, content in enumerate(text.split("\n")[line:], line + 1):
        if content.strip() and not content.lstrip().startswith("#"):
            return number
    return line
