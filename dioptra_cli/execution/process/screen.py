"""A few lines below the output of a child, on the terminal that both streams go to.

The cursor stays where the next output goes, and all that is drawn or erased lies in the lines below it. So output
passes unchanged, what the user types is not touched, and a window that changes its size leaves nothing behind:
whatever becomes of the lines, they are below the cursor, and erased from there.
"""

from __future__ import annotations

import os
import re
import select
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dioptra_cli.execution.process.child import Footer

INTERVAL = 0.125
"""Seconds between two looks at what is to be shown."""

_LEAST_PAUSE = 0.01  # seconds between two drawings, so that a child that writes much is not slowed down
_MOVING = 2.0
"""Seconds without a sequence that moves the cursor until we trust that the child has left the screen to itself."""

_LEAST_ROWS, _LEAST_COLUMNS = 9, 30
_MOST_LINES = 12
_MOST_BYTES = select.PIPE_BUF  # what a terminal that is ready takes at once
_LONGEST_SEQUENCE = 4096

_ERASE = b"\x1b7\x1b[0m\x1b[J\x1b8"

_SEQUENCE = re.compile(
    rb"\x1b(?:"
    rb"\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"  # CSI
    rb"|(?P<string>[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\))"  # a title, a link, and the like
    rb"|(?P<charset>[()*+\-./][ -/]*[0-~])"
    rb"|(?P<other>[ -/]*[0-OQ-WYZ\\`-~])"
    rb")"
)
_LASTING = {  # what hides us until it is taken back: an alternate screen, a hidden cursor
    b"?1049": True,
    b"?1047": True,
    b"?47": True,
    b"?25": False,
}


class _Nothing:
    """A footer that never has anything to show."""

    def lines(self, _width: int, _height: int) -> list[bytes]:
        """Return nothing."""
        return []


class Screen:
    """The terminal that all output goes to: what is written to it passes through `make_way` and `passed`."""

    def __init__(self, fd: int, footer: Footer) -> None:
        self._fd = fd
        self._footer = footer
        self._is_shown = False
        self._lines: list[bytes] = []
        self._drawn: list[bytes] = []
        self._size = (0, 0)
        self._due = time.monotonic() + INTERVAL
        self._next_look = 0.0
        self._last_drawing = 0.0
        self._at_line_start = True
        self._sequence = b""  # one that has begun and not ended
        self._modes: set[bytes] = set()
        self._moved = -_MOVING
        self._is_gone = False

    @property
    def due(self) -> float:
        """When to call `refresh`."""
        return self._due

    def make_way(self) -> None:
        """Erase the lines, before anything else is written. They come back with the next `refresh`."""
        if self._is_shown and self._is_ready():
            self._is_shown = False
            self._drawn = []
            self._write(_ERASE)
            self._due = max(time.monotonic(), self._last_drawing + _LEAST_PAUSE)

    def resize(self) -> None:
        """Hear that the window has changed its size."""
        self.make_way()
        self._next_look = 0.0

    def passed(self, data: bytes) -> None:
        """Hear what was written, to know where the cursor is."""
        if b"\x1b" in data or self._sequence:
            data = self._follow(self._sequence + data)
        if data:
            self._at_line_start = data.endswith(b"\n")

    def refresh(self) -> None:
        """Show what there is to be shown now, where nothing is in the way."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + INTERVAL
        if not self._may_draw(now):
            self.make_way()
            return
        size = self._room()
        if now >= self._next_look or size != self._size:
            self._next_look, self._size = now + INTERVAL * 0.9, size
            self._lines = self._ask(*size)
            while sum(map(len, self._lines)) + 32 * len(self._lines) > _MOST_BYTES:
                self._lines.pop()
        if not self._lines:
            self.make_way()
        elif self._lines != self._drawn and self._is_ready():
            self._draw(now)

    def _ask(self, width: int, height: int) -> list[bytes]:
        if height <= 0:
            return []
        try:
            return list(self._footer.lines(width, height)[:height])
        except Exception:  # what is wrong with a decoration must not end the child
            self._footer = _Nothing()
            return []

    def _draw(self, now: float) -> None:
        count = len(self._lines)
        # Down to make room, which scrolls at the bottom of the screen, and back up: the column stays.
        frame = [b"\x1bD" * count, b"\x1b[%dA\x1b7\x1b[0m" % count]
        frame.extend(b"\x1b[B\r" + line + b"\x1b[0m\x1b[K" for line in self._lines)
        frame.append(b"\x1b[J\x1b8")
        self._write(b"".join(frame))
        self._is_shown, self._drawn, self._last_drawing = True, self._lines, now

    def _follow(self, data: bytes) -> bytes:
        """Take note of the escape sequences in `data`, and return it without them."""
        kept, end = [], 0
        for found in _SEQUENCE.finditer(data):
            kept.append(data[end : found.start()])
            end = found.end()
            self._heed(found)
        rest = data[end:]
        begun = rest.find(b"\x1b")
        self._sequence = b""
        if begun >= 0:
            if len(rest) - begun < _LONGEST_SEQUENCE:
                self._sequence = rest[begun:]
            else:
                self._moved = time.monotonic()
            rest = rest[:begun]
        return b"".join([*kept, rest])

    def _heed(self, found: re.Match[bytes]) -> None:
        final, parameters = found["final"], found["parameters"]
        if final in (b"m", b"K") or found["string"] or found["charset"]:
            return
        if final in (b"h", b"l") and parameters in _LASTING:
            hides = _LASTING[parameters] is (final == b"h")
            (self._modes.add if hides else self._modes.discard)(parameters)
        self._moved = time.monotonic()

    def _may_draw(self, now: float) -> bool:
        """Whether the cursor is at the start of a line, and the terminal in a state in which lines are lines."""
        if self._is_gone or not self._at_line_start or self._sequence or self._modes:
            return False
        if now - self._moved < _MOVING:
            return False
        try:
            if os.tcgetpgrp(self._fd) not in (os.getpgrp(), 0):
                return False  # we run in the background
        except OSError:
            pass  # not our controlling terminal: nobody else has it
        try:
            modes = termios.tcgetattr(self._fd)
        except termios.error:
            return False
        return bool(
            modes[3] & termios.ICANON and modes[1] & termios.OPOST
        )  # else a program reads single keys

    def _room(self) -> tuple[int, int]:
        """Return how wide and how many the lines may be."""
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            return 0, 0
        if rows < _LEAST_ROWS or columns < _LEAST_COLUMNS:
            return 0, 0
        return columns - 1, min(_MOST_LINES, rows // 3)

    def _is_ready(self) -> bool:
        """Whether the terminal takes something: it does not after Ctrl-S, and we must not wait for it."""
        return bool(select.select([], [self._fd], [], 0)[1])

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._fd, data)
        except OSError:
            self._is_gone = True


def is_one_terminal(first: int, second: int) -> bool:
    """Whether two descriptors are the same terminal."""
    if not (os.isatty(first) and os.isatty(second)):
        return False
    one, other = os.fstat(first), os.fstat(second)
    return (one.st_dev, one.st_rdev) == (other.st_dev, other.st_rdev)
