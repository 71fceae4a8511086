"""What `dioptra validate` does: check each file, mend it if asked, report."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from dioptra_cli.cli import output, reports
from dioptra_cli.errors import ExitCode, Level, Problem, UsageError
from dioptra_cli.mlproject import loader
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
    checker = Checker(choose(select, ignore))
    inputs = _inputs(targets, stdin_filename)
    if diff:
        return _show_differences(checker, inputs)
    totals = _Totals()
    files = _mended(checker, inputs, totals) if fix else _checked(checker, list(inputs))
    for piece in reports.FORMS[form](totals.count(files)):
        click.echo(piece, nl=False, color=output.colored(sys.stdout))
    if fix:
        output.note(f"mended {_amount(totals.fixed, 'problem')} in {_amount(totals.mended, 'file')}")
    if form == "text":
        output.say(reports.summary(totals.levels, totals.files, totals.fixable))
    if totals.misused:
        return ExitCode.USAGE
    failed = totals.levels[Level.ERROR] or (strict and totals.levels[Level.WARNING])
    return ExitCode.INVALID if failed else ExitCode.OK


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

    def count(self, files: Iterable[Checked]) -> Iterator[Checked]:
        """Pass the files on, and count what is wrong with them."""
        for checked in files:
            self.files += 1
            for problem in checked.problems:
                self.levels[problem.level] += 1
                self.fixable += bool(problem.fix)
                self.misused = self.misused or problem.name in _USAGE
            yield checked


def _inputs(targets: Sequence[str], stdin_filename: str | None) -> Iterator[tuple[str, bytes | None]]:
    """Yield each file or project, with its content where that comes from standard input."""
    for target in find_targets(targets):
        if target == STANDARD_INPUT:
            yield stdin_filename or loader.FILE_NAME, sys.stdin.buffer.read()
        else:
            yield target, None


def _checked(checker: Checker, inputs: Sequence[tuple[str, bytes | None]]) -> Iterator[Checked]:
    """Check the files; many of them on all processors."""
    if len(inputs) < _MANY:
        return (checker.check(path, data) for path, data in inputs)
    from dioptra_cli.execution.process.parallel import ordered_map

    return ordered_map(lambda item: checker.check(*item), inputs)


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
            output.say("\n".join(output.diagnostics(repaired.left.problems, repaired.left.text, sys.stderr)))
            yield dataclasses.replace(repaired.left, problems=())
            continue
        if repaired.fixed:
            _write(_file_of(path), repaired.content)
        yield repaired.left


def _show_differences(checker: Checker, inputs: Iterable[tuple[str, bytes | None]]) -> int:
    """Print what mending would change; fail if it would."""
    from dioptra_cli.validation import fixes

    fixed = files = 0
    for path, data in inputs:
        repaired = _repair(checker, path, data)
        if repaired is not None and repaired.fixed:
            fixed += len(repaired.fixed)
            files += 1
            file = _file_of(path)
            before = data if data is not None else _content(file) or b""
            click.echo(fixes.difference(file, before, repaired.content), nl=False)
    output.note(f"--fix would mend {_amount(fixed, 'problem')} in {_amount(files, 'file')}")
    return ExitCode.INVALID if fixed else ExitCode.OK


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
        name = loader.find_file(target)
        return os.path.normpath(os.path.join(target, name)) if name else target
    return target


def _content(file: str) -> bytes | None:
    """Return the content of a file that can be mended; None where there is none, or it is no text."""
    try:
        with open(file, "rb") as stream:
            content = stream.read()
        content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return content


def _write(file: str, content: bytes) -> None:
    from dioptra_cli.scaffold import files

    files.write({file: content.decode("utf-8")}, overwrite=(file,))
