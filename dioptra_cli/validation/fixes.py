"""Mends what has exactly one meaning, and leaves every other character of a file as it is.

Pure: it works on the content of a file. Each repair is checked by reading the result: one that does not remove its
problem, or that makes an error of its own, is not made.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dioptra_cli.errors import Edit, Level, Problem, printable
from dioptra_cli.mlproject.catalogue import CHECKS
from dioptra_cli.validation.validate import Checked

_ROUNDS = 20
"""A repair may bring further slips to light, above all one that makes a file readable; this many times."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True)
class Repaired:
    """A file after the repairs.

    Attributes:
        original: Its content before them.
        content: Its content.
        fixed: The problems that are gone.
        left: What is still wrong with it.
    """

    original: bytes
    content: bytes
    fixed: tuple[Problem, ...]
    left: Checked


def repair(content: bytes, check: Callable[[bytes], Checked]) -> Repaired:
    """Mend what can be mended.

    Args:
        content: The content of a file.
        check: Returns what is wrong with a content.
    """
    fixed: list[Problem] = []
    before = check(content)
    unmended = Repaired(content, content, (), before)
    hopeless: set[tuple[str, str]] = set()
    for _ in range(_ROUNDS):
        open_ones = [p for p in before.problems if p.fix and (p.name, p.message) not in hopeless]
        chosen = _compatible(open_ones)
        if not chosen:
            break
        for attempt in (chosen, *([p] for p in chosen if len(chosen) > 1)):
            mended = apply(content, [edit for problem in attempt for edit in problem.fix])
            after = check(mended)
            if _is_better(before, after, attempt):
                content, before = mended, after
                fixed += attempt
                break
        else:
            hopeless.update((p.name, p.message) for p in chosen)
    # Whether repairs of broken YAML were right shows only once the file can be read.
    return Repaired(unmended.original, content, tuple(fixed), before) if before.readable else unmended


def apply(content: bytes, edits: Iterable[Edit]) -> bytes:
    """Return `content`, which is UTF-8, with `edits` made. Line ends and a byte order mark stay as they are."""
    text = content.decode("utf-8")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text[len(mark) :]
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
    for edit in sorted(edits, key=lambda e: (e.line, e.column), reverse=True):
        start = starts[edit.line - 1] + edit.column - 1
        text = text[:start] + edit.text + text[start + edit.length :]
    return (mark + text).encode("utf-8")


def difference(path: str, before: bytes, after: bytes) -> str:
    """Return a unified diff of two contents of a file."""
    import difflib  # only where a difference is shown

    old, new = (_LINE.findall(content.decode("utf-8-sig")) for content in (before, after))
    below = os.path.relpath(path)
    shown = printable(path.lstrip("/") if below.startswith("..") else below)
    lines = difflib.unified_diff(old, new, f"a/{shown}", f"b/{shown}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _compatible(problems: Sequence[Problem]) -> list[Problem]:
    """Return those problems whose edits do not touch each other, the first ones first."""
    chosen = []
    taken: list[Edit] = []
    for problem in problems:
        if not any(_overlap(edit, other) for edit in problem.fix for other in taken):
            chosen.append(problem)
            taken.extend(problem.fix)
    return chosen


def _overlap(one: Edit, other: Edit) -> bool:
    return (
        one.line == other.line
        and one.column <= other.column + other.length
        and other.column <= one.column + one.length
    )


def _is_better(before: Checked, after: Checked, attempt: Sequence[Problem]) -> bool:
    """Return whether a repair did what it promised: its problems are gone, and no error has come instead."""
    if not before.readable:  # what else is wrong could not be seen before
        return not {(p.name, p.message) for p in attempt} & {(p.name, p.message) for p in after.problems}
    old, new = (Counter(p.name for p in checked.problems) for checked in (before, after))
    promised = Counter(p.name for p in attempt)
    if not after.readable or any(new[name] > old[name] - count for name, count in promised.items()):
        return False
    # What a repair uncovers in commands and values was wrong before; a broken structure is the repair's own doing.
    return not any(new[check.name] > old[check.name] for check in _STRUCTURE)


_STRUCTURE = [
    check
    for check in CHECKS
    if check.code.startswith(("DIO1", "DIO2"))
    and (check.level is Level.ERROR or check.name == "duplicate-key")
]
