"""The error tree, the exit codes, and `Problem`: one thing that is wrong, where, and what to do.

Nothing here prints, exits or imports another part of dioptra. Domain code collects problems and raises one
`DioptraError`; the command line (`dioptra_cli.cli`) is the only place that turns it into text and an exit code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

_MOST_COMPARED = 200


class ExitCode(IntEnum):
    """The exit codes of `dioptra`; a child that ran passes on its own instead."""

    OK = 0
    INVALID = 1
    USAGE = 2
    TIMEOUT = 124
    FAILED = 125
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127
    SIGNAL_BASE = 128


class Level(str, Enum):
    """How bad a problem is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Location(NamedTuple):
    """A place in a file.

    Attributes:
        path: The file, as messages show it.
        line: From 1; None means the file as a whole.
        column: In characters, from 1.
        end: The column behind its last character, where it is known to end on the same line.
    """

    path: str
    line: int | None = None
    column: int | None = None
    end: int | None = None

    def __str__(self) -> str:
        parts = [self.path, *(str(part) for part in (self.line, self.column) if part is not None)]
        return ":".join(parts)


class Edit(NamedTuple):
    """One change within one line of a file: `length` characters from `line` and `column` on become `text`."""

    line: int
    column: int
    length: int
    text: str


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        name: A stable name in kebab-case, such as `unknown-key`. For what `validate` finds, the name of a check.
        message: What was wrong, with the offending value.
        location: Where, when it stands in a file.
        level: Error, warning or note.
        hint: What to do, such as "did you mean 'default'?".
        entry_point: The entry point it belongs to; None when it concerns the whole file or no file at all.
        fix: The changes that mend it, where there is exactly one meaning; empty where a person has to decide.
    """

    name: str
    message: str
    location: Location | None = None
    level: Level = Level.ERROR
    hint: str | None = None
    entry_point: str | None = None
    fix: tuple[Edit, ...] = ()

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.message}{hint}"


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems by line and column; those without a place first."""

    def place(problem: Problem) -> tuple[int, int]:
        location = problem.location
        return (location.line or 0, location.column or 0) if location else (0, 0)

    return sorted(problems, key=place)


class DioptraError(Exception):
    """A failure that dioptra explains to its user. Carries every problem found, never just the first.

    Attributes:
        problems: What is wrong, at least one.
        exit_code: What the process returns.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(DioptraError):
    """The call itself is wrong: an unknown entry point, a malformed option."""

    exit_code = ExitCode.USAGE


class ParameterError(UsageError):
    """One or more parameter values cannot be used."""


class ProjectError(DioptraError):
    """The project cannot be read, or its MLproject file is not valid."""


class DownloadError(DioptraError):
    """A remote path could not be fetched. Nothing of it is left behind."""


class TrackingError(DioptraError):
    """The tracking store or server could not do its part.

    Attributes:
        retryable: Whether the same call may succeed later: nobody answered, or the store was busy.
    """

    def __init__(self, problems: Problem | Iterable[Problem], *, retryable: bool = False) -> None:
        super().__init__(problems)
        self.retryable = retryable


class LaunchError(DioptraError):
    """The child process could not be started."""


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the near misses of `name` among `known`, or None if nothing is near.

    Among very many names none is looked for, which would take seconds.
    """
    import difflib  # not needed where nothing is wrong

    candidates = {candidate.lower(): candidate for candidate in known}
    if len(candidates) > _MOST_COMPARED:
        return None
    near = difflib.get_close_matches(name.lower(), candidates, n=3, cutoff=0.6)
    if not near:
        return None
    names = [f"'{candidates[match]}'" for match in near]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f"did you mean {listed}?"


def printable(text: str) -> str:
    """Return `text` with escapes in place of what cannot be printed: line breaks, control characters."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
