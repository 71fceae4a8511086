"""Where things stand in a YAML file: lines, columns, and offsets inside scalars.

Pure functions over the source text and the marks that PyYAML leaves on nodes. Knows nothing of MLproject files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from dioptra_cli.errors import Location

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}
_BLANK_ESCAPES = frozenset("tn \tNLPr")


class Source:
    """The text of a file, with the places of its nodes.

    Args:
        path: The file's name as messages show it.
        text: Its text, with lines that end in a line feed alone.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._starts: list[int] | None = None
        # By the identity of a node, which is kept with it so that no other node can get it.
        self._solid: dict[int, tuple[Any, list[int]]] = {}

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
        if self._starts is None:
            self._starts = [0, *accumulate(len(line) + 1 for line in self.text.split("\n"))]
        line = bisect_right(self._starts, index)
        return Location(self.path, line, index - self._starts[line - 1] + 1)

    def in_scalar(self, node: Any, offset: int) -> Location:
        """Return the place of the character at `offset` in the value of the scalar `node`.

        YAML folds, strips and re-indents, but it keeps every character that is not blank, in order. So the n-th
        such character of the value is the n-th of the source, whatever the style.
        """
        solid = self._solid.get(id(node))
        if solid is None:
            solid = self._solid[id(node)] = (node, list(self._solid_characters(node)))
        wanted = len("".join(node.value[:offset].split()))
        places = solid[1] or [node.start_mark.index]
        return self.at_index(places[min(wanted, len(places) - 1)])

    def raw(self, node: Any) -> str:
        """Return the source text of the scalar `node`, without surrounding blanks."""
        return self.text[node.start_mark.index : node.end_mark.index].strip()

    def _solid_characters(self, node: Any) -> Iterator[int]:
        """Yield the index in the source of each character of the scalar that is not blank."""
        start, end, text = node.start_mark.index, node.end_mark.index, self.text
        if node.style in ("|", ">"):
            start = text.find("\n", start) + 1  # what precedes it is the block's header
        elif node.style in ("'", '"'):
            start, end = start + 1, end - 1
        index = start
        while index < end:
            char, length, blank = text[index], 1, text[index].isspace()
            if node.style == "'" and char == "'":
                length = 2
            elif node.style == '"' and char == "\\":
                escape = text[index + 1]
                length = _ESCAPE_LENGTHS.get(escape, 2)
                blank = escape in _BLANK_ESCAPES
            if not blank:
                yield index
            index += length
