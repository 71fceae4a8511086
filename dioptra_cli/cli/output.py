"""What dioptra says, in one voice: problems, notes, small tables. Plain where there is no terminal.

Commands return data; this module words it. It does not import rich, which `validate` cannot afford.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

import click

from dioptra_cli.errors import Level, Location, Problem, printable
from dioptra_cli.execution import environment

if TYPE_CHECKING:
    from dioptra_cli.parameters.secrets import Masker


_masker: Masker | None = None

_LONGEST_LINE = 500
"""Characters of a source line that are shown where there is no terminal."""

# What files hold may move the cursor, change the title or turn the text around: colours are all that we use.
_UNSAFE = re.compile(
    "\x1b(?!\\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_NARROWEST = 20
"""Cells that a column of wrapped text should have: below that, words break and lines are many."""

LEVEL_COLORS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: "cyan"}


def colored(stream: TextIO) -> bool:
    """Return whether to use colours on `stream`: on a terminal, unless the environment says otherwise."""
    wanted = environment.colors_wanted()
    return stream.isatty() if wanted is None else wanted


def hide(masker: Masker) -> None:
    """Print no secret from now on; each call replaces the last."""
    global _masker  # noqa: PLW0603 - whatever is said in this process goes through here, and it has one set of secrets
    _masker = masker


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line, on standard error unless told otherwise; styles are dropped where they do not belong.

    Where standard error is gone, with its terminal or its reader, nobody hears it: that must not end a run.
    """
    to = stream or sys.stderr
    if "://" in text:  # what libraries say may quote one
        from dioptra_cli.parameters.secrets import without_credentials

        text = without_credentials(text)
    if _masker is not None:
        text = _masker(text)
    try:
        click.echo(_UNSAFE.sub(_escape, text), file=to, color=colored(to))
    except OSError:
        if to is not sys.stderr:
            raise


def _escape(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


def note(text: str) -> None:
    """Say something about what dioptra does itself."""
    say(f"{click.style('dioptra:', fg='cyan', bold=True)} {text}")


def warning(text: str) -> None:
    """Say what went wrong without ending the run."""
    say(f"{click.style('dioptra: warning:', fg='yellow', bold=True)} {text}")


@contextlib.contextmanager
def waiting_for(uri: str | None, seconds: float, *, quiet: bool = False) -> Iterator[None]:
    """Say that we wait for a tracking server, where the block takes longer than one would think nothing of.

    Args:
        uri: The tracking URI. Stores on this machine do not make us wait.
        seconds: How long at most.
        quiet: Whether to say nothing.
    """
    from dioptra_cli.tracking.uris import is_server

    if quiet or uri is None or not is_server(uri):
        yield
        return
    from dioptra_cli.execution.waiting import told_if_slow
    from dioptra_cli.parameters.secrets import without_credentials

    said = f"waiting for the tracking server {without_credentials(uri)}, up to {seconds:g} s"
    with told_if_slow(lambda: note(said)):
        yield


def problems(found: Iterable[Problem], stream: TextIO) -> None:
    """Print problems as `place: level: message`, each with its hint below."""
    for problem in found:
        level = click.style(f"{problem.level.value}:", fg=LEVEL_COLORS[problem.level], bold=True)
        where = f"{printable(str(problem.location))}: " if problem.location else ""
        # What files hold must not move the cursor; dioptra's own messages may have lines.
        message = "\n".join(map(printable, problem.message.split("\n")))
        say(f"{where}{level} {message}", stream)
        if problem.hint:
            say(f"  {click.style('hint:', bold=True)} {printable(problem.hint)}", stream)


def diagnostics(found: Iterable[Problem], text: str, stream: TextIO) -> Iterator[str]:
    """Yield the lines that show the problems of one file on `stream`.

    Each is `file:line:column: level code message`, followed by the line of `text` with carets, and the hint.
    """
    from dioptra_cli.mlproject import catalogue

    lines = text.split("\n")
    styled = click.style if colored(stream) else _unstyled
    room = max(terminal_width() - 8, _NARROWEST) if stream.isatty() else _LONGEST_LINE
    for problem in found:
        location, color = problem.location, LEVEL_COLORS[problem.level]
        place = f"{styled(printable(str(location)), bold=True)}: " if location else ""
        level = styled(problem.level.value, fg=color, bold=True)
        yield f"{place}{level} {catalogue.code_of(problem.name)} {problem.message}"
        if location is not None and location.line is not None and location.line <= len(lines):
            line, indent, marks = _source_line(lines[location.line - 1], location, room)
            yield f"{location.line:5} | {line}"
            yield f"      | {indent}{styled(marks, fg=color, bold=True)}"
        if problem.hint:
            yield f"      = {problem.hint}"


def _unstyled(text: str, **_: object) -> str:
    return text


def _source_line(line: str, location: Location, room: int) -> tuple[str, str, str]:
    """Return a line, cut to `room` cells around the place that matters, and what stands below: blanks and carets."""
    start = (location.column or 1) - 1
    end = min(max((location.end or 0) - 1, start + 1), max(len(line), start + 1))
    shown = line
    if not line.isprintable():
        shown = "".join(
            char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in line
        )
    if len(shown) > room or width_of(shown) > room:
        first = max(0, min(start - room // 3, len(shown) - room + 1))
        left, shown = first > 0, shown[first : first + room - 2]
        shown = ("\N{HORIZONTAL ELLIPSIS}" if left else "") + shown + "\N{HORIZONTAL ELLIPSIS}"
        start, end = start - first + left, min(end - first + left, len(shown))
    before = " " * start
    if not (shown.isascii() and shown.isprintable()):
        before = "".join("\t" if char == "\t" else " " * width_of(char) for char in shown[:start])
    marks = "^" * max(width_of(shown[start:end]), 1)
    return shown, before, marks


def terminal_width() -> int:
    """Return the width of the terminal in cells; 80 where there is none."""
    # As `shutil.get_terminal_size` finds it, whose module takes some milliseconds with its archive formats.
    columns = environment.columns()
    if columns is None:
        with contextlib.suppress(AttributeError, ValueError, OSError):
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
    return columns or 80


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """Lay out rows in columns, the last one wrapped to `width` (in terminal cells).

    Where the others leave it no room, the cells of each row stand below the first one instead.

    Returns:
        The lines, the header first.
    """
    whole = [list(headers), *map(list, rows)]
    last = len(headers) - 1
    *sizes, longest = (max(map(width_of, column)) for column in zip(*whole, strict=True))
    indent = sum(sizes) + 2 * last
    room = width - indent
    if room < min(longest, _NARROWEST):
        return [line for position, row in enumerate(whole) for line in _stacked(row, width, position == 0)]
    lines = []
    for position, row in enumerate(whole):
        cells = [text + " " * (size - width_of(text)) for text, size in zip(row, sizes, strict=False)]
        last_cell = wrapped(row[last], room)
        first = "  ".join([*cells, last_cell[0]]).rstrip()
        lines.append(click.style(first, bold=True) if position == 0 else first)
        lines.extend(" " * indent + more for more in last_cell[1:])
    return lines


def _stacked(row: Sequence[str], width: int, is_header: bool) -> list[str]:
    first, *others = row
    below = wrapped("  ".join(filter(None, others)), width - 2)
    return [click.style(first, bold=True) if is_header else first, *(f"  {line}" for line in below if line)]


def wrapped(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` cells, or of a few where that is less; at least one line."""
    width = max(width, _NARROWEST)
    if len(text) <= width and text.isascii() and text.isprintable() and not text.endswith(" "):
        return [text]
    import textwrap

    # It counts characters: a wide one is stretched to as many as it takes cells.
    padded = text if text.isascii() else "".join(char + "\0" * (_cells(char) - 1) for char in text)
    return [line.replace("\0", "") for line in textwrap.wrap(padded, width)] or [""]


def width_of(text: str) -> int:
    """Return how many cells of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def shortened(text: str, width: int, more: str = "…") -> str:
    """Return the beginning of `text` that takes at most `width` cells, ending in `more` if it is not all of it."""
    if width_of(text) <= width:
        return text
    kept, room = "", width - width_of(more)
    for char in text:
        room -= _cells(char)
        if room < 0:
            break
        kept += char
    return kept.rstrip() + more if width >= width_of(more) else ""


def _cells(char: str) -> int:
    import unicodedata

    return 0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
