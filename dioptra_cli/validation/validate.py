"""Everything that is wrong with one MLproject file, and which files a command line means.

Reads files, runs none of what they say, and changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from dioptra_cli.errors import Level, Problem, UsageError, in_file_order, printable
from dioptra_cli.mlproject import catalogue, checks, loader
from dioptra_cli.mlproject.model import EntryPoint, Loaded, Project
from dioptra_cli.mlproject.shell import read_command
from dioptra_cli.mlproject.usage import script_calls
from dioptra_cli.parameters.resolve import check_declarations
from dioptra_cli.validation import programs, script_checks

STANDARD_INPUT = "-"


class Selection(NamedTuple):
    """Which checks count.

    Attributes:
        names: The names of the checks that are reported.
    """

    names: frozenset[str]

    def keeps(self, problem: Problem) -> bool:
        """Return whether a problem is to be reported."""
        return problem.name in self.names


EVERY_CHECK = Selection(frozenset(catalogue.BY_NAME))


def choose(select: Iterable[str], ignore: Iterable[str]) -> Selection:
    """Return the checks that `--select` and `--ignore` leave.

    Args:
        select: Codes, beginnings of codes or names; all checks where there are none.
        ignore: The same, of checks to leave out; wins over `select`.

    Raises:
        UsageError: Some mean no check.
    """
    chosen = {option: list(texts) for option, texts in (("--select", select), ("--ignore", ignore))}
    wrong = [
        Problem(
            "no-such-check",
            f"{option}: there is no check '{text}'",
            hint=catalogue.hint_for(text),
        )
        for option, texts in chosen.items()
        for text in texts
        if not catalogue.matching(text)
    ]
    if wrong:
        raise UsageError(wrong)
    selected, ignored = (frozenset[str]().union(*map(catalogue.matching, texts)) for texts in chosen.values())
    return Selection((selected or EVERY_CHECK.names) - ignored)


class Checked(NamedTuple):
    """What was found in one file.

    Attributes:
        path: The file, as messages show it.
        problems: What is wrong with it, in the order of its lines.
        text: The text of the file; empty where it could not be read.
        readable: Whether its YAML could be read, so that all of it was looked at.
    """

    path: str
    problems: tuple[Problem, ...]
    text: str = ""
    readable: bool = False


class Checker(NamedTuple):
    """Checks files, one after the other.

    Attributes:
        selection: Which checks count. What makes MLflow refuse a file is reported in any case: it cannot run.
    """

    selection: Selection = EVERY_CHECK

    def check(self, target: str, data: bytes | None = None) -> Checked:
        """Return everything that is wrong with a file or a project directory.

        Args:
            target: The file or directory.
            data: The content of the file, where it is not to be read.
        """
        try:
            loaded = loader.load(target, data)
        except UsageError as error:
            return Checked(target, error.problems)
        # What an alias repeats is told once.
        told = {(p.name, p.location, p.fix): p for p in reversed(loaded.problems)}.values()
        found = [p for p in told if self.selection.keeps(p) or _stops(p, loaded)]
        project = loaded.partial
        if project is not None:
            more = project.ignores.apply(_beyond_structure(project))
            found.extend(filter(self.selection.keeps, more))
        path = project.file if project is not None and project.file else target
        shown = tuple(in_file_order(map(_shown, found)))
        return Checked(path, shown, loaded.source, project is not None)


def _shown(problem: Problem) -> Problem:
    """Return a problem on one line: what a file holds must not move the cursor of a terminal."""
    message, hint = printable(problem.message), problem.hint and printable(problem.hint)
    return (
        problem
        if (message, hint) == (problem.message, problem.hint)
        else replace(problem, message=message, hint=hint)
    )


def check_calls(
    project: Project, entry_point: EntryPoint, cache: script_checks.Cache | None = None
) -> Iterator[Problem]:
    """Yield what is wrong between an entry point's command and the programs and scripts that it calls.

    Args:
        project: The project; its files are looked at as they are.
        entry_point: One of its entry points.
        cache: What is already known of scripts.
    """
    if entry_point.command is not None:
        _, reading = read_command(entry_point.command)
        calls = script_calls(reading)
        yield from programs.check_programs(project, entry_point, reading, calls)
        cache = {} if cache is None else cache
        for call in calls:
            yield from script_checks.check_script(project, entry_point, call, cache)


def _beyond_structure(project: Project) -> Iterator[Problem]:
    """Yield what is wrong with the commands and the parameters."""
    cache: script_checks.Cache = {}
    for entry_point in project.entry_points.values():
        found = checks.check_entry_point(entry_point, project.source)
        calls = list(dict.fromkeys(check_calls(project, entry_point, cache)))  # two calls may share a slip
        if any(problem.name == "shell-syntax" for problem in calls):  # which says more
            found = [problem for problem in found if problem.name != "unclear-shell-syntax"]
        yield from found
        yield from calls
    yield from check_declarations(project)


def find_targets(arguments: Iterable[str]) -> Iterator[str]:
    """Yield the files and projects that the arguments of a call mean, as they are found.

    A directory with an MLproject file is that project; any other directory stands for all MLproject files below it
    (also those named `*.MLproject`), hidden directories aside. What does not exist comes back as it is.
    """
    for argument in arguments:
        if not os.path.isdir(argument) or _own_file(argument):
            yield argument
            continue
        found = False
        for path in _below(argument):
            found = True
            yield path
        if not found:
            yield argument


def _own_file(directory: str) -> bool:
    try:
        return loader.find_file(directory) is not None
    except OSError:
        return True  # let reading say what is wrong


def _below(directory: str) -> Iterator[str]:
    """Yield the MLproject files below a directory, in order."""
    suffix = f".{loader.FILE_NAME}".lower()
    closed: list[OSError] = []
    for current, directories, files in os.walk(directory, onerror=closed.append):
        directories[:] = sorted(
            name
            for name in directories
            if not name.startswith(".") and not os.path.exists(os.path.join(current, name, "pyvenv.cfg"))
        )
        try:
            own = loader.find_file(current)
        except OSError:
            own = None
        for name in sorted(files):
            if name == own or name.lower().endswith(suffix):
                path = os.path.normpath(os.path.join(current, name))
                if os.path.exists(path):  # a link may lead nowhere
                    yield path
    for error in closed:
        yield error.filename  # reading says what is wrong with it


def _stops(problem: Problem, loaded: Loaded) -> bool:
    """Return whether a problem is, or may be, what MLflow refuses the file for."""
    return loaded.project is None and problem.level is Level.ERROR
