"""Where things stand in a YAML file: lines, columns, and offsets inside scalars.

Pure functions over the source text and the marks that PyYAML leaves on nodes. Knows nothing of MLproject files.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from dioptra_cli.errors import Location

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}
_RUN = re.compile(r"\S+")
_BLANK_ESCAPES = frozenset("tn \tNLPr")


class _Runs:
    """The runs of characters that are not blank in a text.

    Args:
        spans: Where each begins and ends.
    """

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        listed = list(spans)
        self.starts = [start for start, _ in listed]
        self.ends = list(accumulate([end - start for start, end in listed]))  # counted without blanks

    def count_before(self, index: int) -> int:
        """Return how many characters that are not blank stand before `index`."""
        run = bisect_right(self.starts, index) - 1
        if run < 0:
            return 0
        before = self.ends[run - 1] if run else 0
        return min(before + index - self.starts[run], self.ends[run])

    def place_of(self, number: int) -> int:
        """Return the index of the character that `number` others come before, at most of the last one."""
        number = min(number, self.ends[-1] - 1)
        run = bisect_right(self.ends, number)
        return self.starts[run] + number - (self.ends[run - 1] if run else 0)


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
        same_line = start.line == end.line and start.column < end.column
        return Location(self.path, start.line + 1, start.column + 1, end.column + 1 if same_line else None)

    def at_index(self, index: int) -> Location:
        """Return the place of the character at `index` (from 0)."""
        start = self.text.rfind("\n", 0, index) + 1
        return Location(self.path, self.text.count("\n", 0, index) + 1, index - start + 1)

    def in_scalar(self, node: Any, offset: int) -> Location:
        """Return the place of the character at `offset` in the value of the scalar `node`.

        YAML folds, strips and re-indents, but it keeps every character that is not blank, in order. So the n-th
        such character of the value is the n-th of the source, whatever the style.
        """
        known = self._runs.get(id(node))
        if known is None:
            known = self._runs[id(node)] = (
                node,
                _Runs(match.span() for match in _RUN.finditer(node.value)),
                _Runs(self._solid_spans(node)),
            )
        _, in_value, in_source = known
        if not in_source.starts:
            return self.at_index(node.start_mark.index)
        return self.at_index(in_source.place_of(in_value.count_before(offset)))

    def raw(self, node: Any) -> str:
        """Return the source text of the scalar `node`, without surrounding blanks."""
        return self.text[node.start_mark.index : node.end_mark.index].strip()

    def _solid_spans(self, node: Any) -> Iterator[tuple[int, int]]:
        """Yield where each run of characters that are not blank begins and ends in the source.

        A character that the source escapes counts as one: its span is of length one.
        """
        start, end, text = node.start_mark.index, node.end_mark.index, self.text
        if node.style in ("|", ">"):
            start = text.find("\n", start) + 1  # what precedes it is the block's header
        elif node.style in ("'", '"'):
            start, end = start + 1, end - 1
        escape = {"'": "'", '"': "\\"}.get(node.style)
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
