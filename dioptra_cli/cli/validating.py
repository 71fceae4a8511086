"""What `dioptra validate` does: check each file, mend it if asked, report."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from dioptra_cli.cli import output, reports
from dioptra_cli.cli.projects import located
from dioptra_cli.errors import DioptraError, ExitCode, Level, Problem, UsageError
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.document import Rejected
from dioptra_cli.mlproject.reader import ProjectReader
from dioptra_cli.validation.validate import STANDARD_INPUT, Checked, Checker, choose, find_targets

if TYPE_CHECKING:
    from dioptra_cli.validation.fixes import Repaired

_USAGE = ("no-such-project", "not-a-project")
"""Problems of the call rather than of a file."""
_MANY = 100
"""Files that are worth more than one process: fewer are checked sooner than it starts."""


def validate(
    targets: Sequence[str],
    *,
    form: str,
    strict: bool,
    select: Sequence[str],
    ignore: Sequence[str],
    fix: bool,
    diff: bool,
    stdin_filename: str | None,
) -> int:
    """Validate the targets; the parameters are the options of the command. Return the exit code.

    Raises:
        UsageError: The options make no sense.
    """
    if stdin_filename is not None and STANDARD_INPUT not in targets:
        raise UsageError(
            Problem("exclusive-options", f"--stdin-filename {stdin_filename} needs the argument '-'")
        )
    if fix and form != "text" and STANDARD_INPUT in targets:
        raise UsageError(
            Problem(
                "exclusive-options",
                f"--fix writes the text of '-' to standard output, which --format {form} would take",
                hint="leave --format out, or give the file",
            )
        )
    checker = Checker(choose(select, ignore))
    inputs = _inputs([_on_this_machine(target, fix) for target in targets], stdin_filename)
    totals = _Totals()
    if diff:
        return _show_differences(checker, inputs, totals)
    shape = reports.FORMS[form]
    files: Iterable[_Printed]
    if fix:
        files = (_printed(left, shape) for left in _mended(checker, inputs, totals))
    else:
        files = _checked(checker, list(inputs), shape)
    is_colored = output.colored(sys.stdout)
    for piece in shape.assembled(totals.count(files)):
        click.echo(piece, nl=False, color=is_colored)
    if fix:
        output.note(f"mended {_amount(totals.fixed, 'problem')} in {_amount(totals.mended, 'file')}")
    if form == "text":
        output.say(reports.summary(totals.levels, totals.files, totals.fixable))
    return totals.exit_code(strict)


class _Printed(NamedTuple):
    """What one file comes to: little enough to be sent from the process that has checked it.

    Attributes:
        text: Its problems as they are printed.
        levels: How many problems there are of each level, in the order of `Level`.
        fixable: How many problems could be mended.
        misused: Whether the argument is no file or project at all.
    """

    text: str
    levels: tuple[int, ...]
    fixable: int
    misused: bool


def _printed(checked: Checked, form: reports.Form | None = None) -> _Printed:
    """Print what was found in a file, in no form where it is printed elsewhere."""
    problems = checked.problems
    levels = [problem.level for problem in problems]
    return _Printed(
        form.piece(checked) if form else "",
        tuple(map(levels.count, Level)),
        sum(bool(problem.fix) for problem in problems),
        any(problem.name in _USAGE for problem in problems),
    )


class _Totals:
    """What all files come to.

    Attributes:
        levels: How many problems there are of each level.
        files: How many files were looked at.
        fixable: How many problems could be mended.
        fixed: How many have been.
        mended: In how many files.
        misused: Whether an argument is no file or project at all.
    """

    def __init__(self) -> None:
        self.levels: Counter[Level] = Counter()
        self.files = self.fixable = self.fixed = self.mended = 0
        self.misused = False

    def count(self, files: Iterable[_Printed]) -> Iterator[str]:
        """Yield what is printed for the files, and count what is wrong with them."""
        for printed in files:
            self.add(printed)
            yield printed.text

    def add(self, printed: _Printed) -> None:
        """Count what is wrong with a file."""
        self.files += 1
        self.levels.update(dict(zip(Level, printed.levels, strict=True)))
        self.fixable += printed.fixable
        self.misused = self.misused or printed.misused

    def exit_code(self, strict: bool) -> int:
        """Return what the process returns for all files."""
        if self.misused:
            return ExitCode.USAGE
        failed = self.levels[Level.ERROR] or (strict and self.levels[Level.WARNING])
        return ExitCode.INVALID if failed else ExitCode.OK


def _on_this_machine(target: str, fix: bool) -> str:
    """Return where a target lies; one from elsewhere is fetched."""
    found = located(target)
    if found.is_fetched and fix:
        raise UsageError(
            Problem(
                "exclusive-options",
                f"--fix cannot mend {found.name}, only a copy of it",
                hint="see what it would change with --diff",
            )
        )
    return found.directory


def _inputs(targets: Sequence[str], stdin_filename: str | None) -> Iterator[tuple[str, bytes | None]]:
    """Yield each file or project once, with its content where that comes from standard input."""
    seen: set[object] = set()  # None for standard input
    for target in find_targets(targets):
        if target == STANDARD_INPUT:
            if None not in seen:
                yield stdin_filename or loader.FILE_NAME, sys.stdin.buffer.read()
            seen.add(None)
            continue
        identity = _identity(_file_of(target))
        if identity not in seen:
            seen.add(identity)
            yield target, None


def _identity(file: str) -> object:
    """Return what all names of a file have in common, links to it included; hard links are files of their own."""
    try:
        status = os.stat(file)
    except OSError:
        return os.path.realpath(file)
    # The real path takes ten times as long.
    return (status.st_dev, status.st_ino) if status.st_nlink == 1 else os.path.realpath(file)


def _checked(
    checker: Checker, inputs: Sequence[tuple[str, bytes | None]], form: reports.Form
) -> Iterator[_Printed]:
    """Check the files and print what is found; many of them on all processors."""
    if len(inputs) < _MANY:
        return (_printed(checker.check(path, data), form) for path, data in inputs)
    from dioptra_cli.execution.parallel import ordered_map

    return ordered_map(lambda item: _printed(checker.check(*item), form), inputs)


def _mended(
    checker: Checker, inputs: Iterable[tuple[str, bytes | None]], totals: _Totals
) -> Iterator[Checked]:
    """Mend the files; yield what is left. The text of standard input goes to standard output, mended."""
    for path, data in inputs:
        repaired = _repair(checker, path, data)
        if repaired is None:
            yield checker.check(path, data)
            continue
        totals.fixed += len(repaired.fixed)
        totals.mended += bool(repaired.fixed)
        if data is not None:
            sys.stdout.flush()
            sys.stdout.buffer.write(repaired.content)
            sys.stdout.buffer.flush()
            _say_problems(repaired.left)
            totals.add(_printed(repaired.left))
            continue
        try:
            if repaired.fixed:
                _write(_file_of(path), repaired.content)
            yield repaired.left
        except DioptraError as error:
            totals.fixed -= len(repaired.fixed)
            totals.mended -= 1
            before = checker.check(path)
            yield before._replace(problems=(*error.problems, *before.problems))


def _say_problems(checked: Checked) -> None:
    """Show the problems of a file on standard error."""
    for line in output.diagnostics(checked.problems, checked.text, sys.stderr):
        output.say(line)


def _show_differences(checker: Checker, inputs: Iterable[tuple[str, bytes | None]], totals: _Totals) -> int:
    """Print what mending would change; fail if it would, or if a file cannot be read."""
    from dioptra_cli.validation import fixes

    for path, data in inputs:
        repaired = _repair(checker, path, data)
        if repaired is None:
            unreadable = checker.check(path, data)
            totals.add(_printed(unreadable))
            _say_problems(unreadable)
        elif repaired.fixed:
            totals.fixed += len(repaired.fixed)
            totals.mended += 1
            click.echo(fixes.difference(_file_of(path), repaired.original, repaired.content), nl=False)
    output.note(f"--fix would mend {_amount(totals.fixed, 'problem')} in {_amount(totals.mended, 'file')}")
    return totals.exit_code(strict=False) or (ExitCode.INVALID if totals.fixed else ExitCode.OK)


def _repair(checker: Checker, path: str, data: bytes | None) -> Repaired | None:
    """Return a file after the repairs; None where there is no text to mend."""
    from dioptra_cli.validation import fixes

    file = _file_of(path)
    content = data if data is not None else _content(file)
    if content is None:
        return None
    return fixes.repair(content, lambda new: checker.check(file, new))


def _amount(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _file_of(target: str) -> str:
    """Return the MLproject file that a target means."""
    if os.path.isdir(target):
        try:
            name = loader.find_file(target)
        except OSError:
            name = None
        return os.path.normpath(os.path.join(target, name)) if name else target
    return target


def _content(file: str) -> bytes | None:
    """Return the content of a file that can be mended; None where there is none, or it is no text."""
    try:
        content = ProjectReader(file, "").content()
        content.decode("utf-8")
    except (OSError, UnicodeDecodeError, Rejected):
        return None
    return content


def _write(file: str, content: bytes) -> None:
    from dioptra_cli.execution.process import undisturbed
    from dioptra_cli.scaffold import files

    with undisturbed():
        files.write({file: content.decode("utf-8")}, overwrite=(file,))
