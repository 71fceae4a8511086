"""Where things stand in a YAML file: lines, columns, and offsets inside scalars.

Pure functions over the source text and the marks that PyYAML leaves on nodes. Knows nothing of MLproject files.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from dioptra_cli.errors import Location

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}
_RUN = re.compile(r"\S+")
_BLANK_ESCAPES = frozenset("tn \tNLPr")


class _Runs:
    """The runs of characters that are not blank in a text, looked for as far as they are asked for.

    Args:
        spans: Where each begins and ends.
    """

    def __init__(self, spans: Iterator[tuple[int, int]]) -> None:
        self._spans = spans
        self._starts: list[int] = []
        self._ends: list[int] = []  # counted without blanks

    def _find_next(self) -> bool:
        """Find one more run; return whether there is one."""
        for start, end in self._spans:
            self._starts.append(start)
            self._ends.append((self._ends[-1] if self._ends else 0) + end - start)
            return True
        return False

    def count_before(self, index: int) -> int:
        """Return how many characters that are not blank stand before `index`."""
        while not (self._starts and self._starts[-1] > index) and self._find_next():
            pass
        run = bisect_right(self._starts, index) - 1
        if run < 0:
            return 0
        before = self._ends[run - 1] if run else 0
        return min(before + index - self._starts[run], self._ends[run])

    def place_of(self, number: int) -> int | None:
        """Return the index of the character that `number` others come before, at most of the last one.

        None where all are blank.
        """
        while not (self._ends and self._ends[-1] > number) and self._find_next():
            pass
        if not self._ends:
            return None
        number = min(number, self._ends[-1] - 1)
        run = bisect_right(self._ends, number)
        return self._starts[run] + number - (self._ends[run - 1] if run else 0)


class Source:
    """The text of a file, with the places of its nodes.

    Args:
        path: The file's name as messages show it.
        text: Its text, with lines that end in a line feed alone.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        # By the identity of a node, which is kept with them so that no other node can get it.
        self._runs: dict[int, tuple[Any, _Runs, _Runs]] = {}

    def at_mark(self, mark: Any) -> Location:
        """Return the place of a PyYAML mark."""
        return Location(self.path, mark.line + 1, mark.column + 1)

    def at(self, node: Any) -> Location:
        """Return the place of a node, with its end where it stands on one line."""
        start, end = node.start_mark, node.end_mark
        line, column, behind = start.line, start.column, end.column
        same_line = line == end.line and column < behind
        return Location(self.path, line + 1, column + 1, behind + 1 if same_line else None)

    def at_index(self, index: int) -> Location:
        """Return the place of the character at `index` (from 0)."""
        start = self.text.rfind("\n", 0, index) + 1
        return Location(self.path, self.text.count("\n", 0, index) + 1, index - start + 1)

    def in_scalar(self, node: Any, offset: int) -> Location:
        """Return the place of the character at `offset` in the value of the scalar `node`.

        YAML folds, strips and re-indents, but it keeps every character that is not blank, in order. So the n-th
        such character of the value is the n-th of the source, whatever the style.
        """
        begin, end, escape = self._content(node)
        part = node.value[: offset + 1]
        first = _RUN.search(self.text, begin, end)
        if (
            first is not None
            and self.text.startswith(part, first.start())
            and not part[-1:].isspace()
            and not (escape and escape in part)
        ):
            return self.at_index(first.start() + len(part) - 1)  # so far it is read as it is written
        known = self._runs.get(id(node))
        if known is None:
            known = self._runs[id(node)] = (
                node,
                _Runs(match.span() for match in _RUN.finditer(node.value)),
                _Runs(self._solid_spans(node)),
            )
        _, in_value, in_source = known
        place = in_source.place_of(in_value.count_before(offset))
        return self.at_index(node.start_mark.index if place is None else place)

    def raw(self, node: Any) -> str:
        """Return the source text of the scalar `node`, without surrounding blanks."""
        return self.text[node.start_mark.index : node.end_mark.index].strip()

    def _content(self, node: Any) -> tuple[int, int, str | None]:
        """Return where the text of the scalar `node` begins and ends in the source, and what escapes begin with."""
        start, end = node.start_mark.index, node.end_mark.index
        if node.style in ("|", ">"):
            return self.text.find("\n", start) + 1, end, None  # what precedes it is the block's header
        if node.style in ("'", '"'):
            return start + 1, end - 1, "'" if node.style == "'" else "\\"
        return start, end, None

    def _solid_spans(self, node: Any) -> Iterator[tuple[int, int]]:
        """Yield where each run of characters that are not blank begins and ends in the source.

        A character that the source escapes counts as one: its span is of length one.
        """
        start, end, escape = self._content(node)
        text = self.text
        if escape is None or text.find(escape, start, end) < 0:
            yield from (match.span() for match in _RUN.finditer(text, start, end))
            return
        index = start
        while index < end:
            char, length, blank = text[index], 1, text[index].isspace()
            if node.style == "'" and char == "'":
                length = 2
            elif node.style == '"' and char == "\\":
                letter = text[index + 1]
                length = _ESCAPE_LENGTHS.get(letter, 2)
                blank = letter in _BLANK_ESCAPES
            if not blank:
                yield index, index + 1
            index += length
