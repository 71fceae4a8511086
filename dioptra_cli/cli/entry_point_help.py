"""The help of one entry point, as the `--help` of a program of its own: usage, options, command, an example.

Words what the model holds; the table of all entry points is `list_entry_points`' business.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence

import click

from dioptra_cli.cli import output
from dioptra_cli.errors import Level, Problem
from dioptra_cli.mlproject.model import EXTRA_TYPES, STANDARD_TYPES, EntryPoint, Parameter, Project
from dioptra_cli.mlproject.template import all_faults, parse_template
from dioptra_cli.parameters.secrets import shown
from dioptra_cli.parameters.types import Mismatch, coerce

_WIDEST = 100
"""Cells of the longest line: text that runs on over a wide terminal is hard to read."""

_WIDEST_OPTION = 34
"""Cells that the column of options may take; a longer one has its description below it."""

_MOST_IN_USAGE = 4
"""Required parameters that the usage line names; more of them only repeat the list below it."""

_NARROW = 60
"""Cells of a terminal that has no room for two columns."""

_PLACEHOLDERS = {"path": ".", "uri": "URI", "bool": "true", "boolean": "true"}
"""What the example gives for a type: accepted when it is pasted (a path has to exist), and plainly to be replaced."""

_NUMBERS = ("float", "int", "integer", "number", "double")


def run_call(project: str, entry_point: str, *, version: str | None = None) -> list[str]:
    """Return the words of a `dioptra run` of the entry point, with PROJECT as the user gave it."""
    directory = os.path.join(".", project) if project.startswith("-") else project
    chosen = [] if version is None else ["--version", version]
    return ["dioptra", "run", directory, *chosen, "-e", entry_point]


def show(project: Project, entry_point: EntryPoint, found: Iterable[Problem], call: Sequence[str]) -> None:
    """Print the help of an entry point on standard output, and on standard error what is wrong with it.

    Args:
        project: Where it is declared.
        entry_point: The entry point.
        found: The problems that reading the project gave.
        call: The words that run it without parameters.
    """
    _show_problems(project, entry_point, found)
    width = min(output.terminal_width(), _WIDEST)
    sections = [_usage(entry_point, call, width), _description(entry_point, width)]
    sections.extend(_parameters(entry_point, project.directory, width))
    sections.append(_command(entry_point, width))
    sections.append(_environment(project, width))
    sections.append(_example(entry_point, project.directory, call, width))
    for position, lines in enumerate(filter(None, sections)):
        if position:
            output.say("", sys.stdout)
        for line in lines:
            output.say(line, sys.stdout)


def _show_problems(project: Project, entry_point: EntryPoint, found: Iterable[Problem]) -> None:
    """Print the errors that stand in the way of this entry point, and where to read of its warnings.

    Of the command it looks at the placeholders only: how bash reads it is `validate`'s to say, in its own time.
    """
    concerned = [p for p in found if p.entry_point in (None, entry_point.name)]
    template = parse_template(entry_point.command or "")
    concerned.extend(
        Problem(fault.name, fault.message, entry_point.locate(fault.offset), Level.ERROR, fault.hint)
        for fault in all_faults(template, entry_point.parameters)
    )
    output.problems((p for p in concerned if p.level is Level.ERROR), sys.stderr)
    if project.file is not None and any(p.level is Level.WARNING for p in concerned):
        output.note(f"there are warnings: see dioptra validate {shlex.quote(project.file)}")


def _usage(entry_point: EntryPoint, call: Sequence[str], width: int) -> list[str]:
    required = [p for p in entry_point.parameters.values() if p.required]
    words = _pairs(map(shlex.quote, call), width)
    if len(required) <= _MOST_IN_USAGE:
        words.extend(map(_option, required))
    else:
        words.append("-P NAME=VALUE...")
    if len(required) < len(entry_point.parameters) and len(required) <= _MOST_IN_USAGE:
        words.append("[-P NAME=VALUE]...")
    title = "Usage: "
    lines = _filled(words, width - len(title))
    return [_heading(title) + lines[0], *(" " * len(title) + line for line in lines[1:])]


def _description(entry_point: EntryPoint, width: int) -> list[str]:
    if not entry_point.description:
        return []
    return [f"  {line}" for line in output.wrapped(entry_point.description, width - 2)]


def _parameters(entry_point: EntryPoint, directory: str, width: int) -> list[list[str]]:
    """Return the sections of the required and of the other parameters, each in the order of the file."""
    parameters = entry_point.parameters.values()
    if not parameters:
        return [["  This entry point has no parameters."]]
    widths = [size for p in parameters if (size := output.width_of(_option(p))) <= _WIDEST_OPTION]
    column = 0 if width < _NARROW else max(widths, default=_WIDEST_OPTION) + 4
    sections = []
    for title, chosen in (
        ("Required parameters:", [p for p in parameters if p.required]),
        ("Parameters:", [p for p in parameters if not p.required]),
    ):
        if chosen:
            rows = (line for p in chosen for line in _row(p, _about(p, directory), column, width))
            sections.append([_heading(title), *rows])
    return sections


def _row(parameter: Parameter, about: str, column: int, width: int) -> list[str]:
    """Return the lines of one parameter: its option, and what it is from `column` on, or below where that is 0."""
    option = _option(parameter)
    name, equals, kind = option.rpartition("=")
    styled = f"  {click.style(name, fg='cyan')}{equals}{kind}"
    indent = column or 6
    lines = [text.replace("\xa0", " ") for text in output.wrapped(about, width - indent)] if about else []
    gap = column - 2 - output.width_of(option)
    if lines and gap >= 2:
        return [styled + " " * gap + lines[0], *(" " * indent + line for line in lines[1:])]
    return [styled, *(" " * indent + line for line in lines)]


def _option(parameter: Parameter) -> str:
    """Return the parameter as an option of `run`; a type that the format lacks is taken as text, and shown so."""
    known = parameter.type in STANDARD_TYPES or parameter.type in EXTRA_TYPES
    kind = (parameter.type if known else "string").upper()
    pair = f"{parameter.name}={kind}"
    return f"-P {shlex.quote(pair)}"


def _about(parameter: Parameter, directory: str) -> str:
    """Return what a parameter is, with no-break spaces where a line should not end."""
    parts = [parameter.description] if parameter.description else []
    if parameter.choices:
        parts.append(f"[one of: {', '.join(map(_shown, parameter.choices))}]")
    if parameter.default is not None:
        refused = _refusal(parameter, parameter.default, directory)
        default = _shown(shown(parameter.name, parameter.default))
        parts.append(f"[default:\xa0{default}{f', which {refused}' if refused else ''}]")
    return " ".join(parts)


def _refusal(parameter: Parameter, text: str, directory: str) -> str | None:
    """Return why `run` would refuse a value, in words that follow it; relative paths belong to `directory`."""
    if parameter.choices and text not in parameter.choices:
        return "is none of them"
    try:
        coerce(parameter.type, text, directory)
    except Mismatch as mismatch:
        return mismatch.reason
    return None


def _shown(value: str) -> str:
    """Return a value as it is written, in quotes where it could not be seen otherwise."""
    return value if value and value == value.strip() and value.isprintable() else repr(value)


def _command(entry_point: EntryPoint, width: int) -> list[str]:
    lines = ["(none)"] if entry_point.command is None else _shell_lines(entry_point.command, width - 2)
    return [_heading("Command:"), *(f"  {line}".rstrip() for line in lines)]


def _environment(project: Project, width: int) -> list[str]:
    if project.environment is None:
        return []
    text = f"{project.environment.kind} {_shown(project.environment.reference)}"
    text += " (the command runs in the current environment instead)"
    return [_heading("Environment:"), *(f"  {line}" for line in output.wrapped(text, width - 2))]


def _example(entry_point: EntryPoint, directory: str, call: Sequence[str], width: int) -> list[str]:
    """Return a call that works when it is pasted: with all that needs a value, or else one that can be changed."""
    values: dict[str, str] = {}
    for parameter in entry_point.parameters.values():
        if parameter.default is None or _refusal(parameter, parameter.default, directory):
            values[parameter.name] = _placeholder(parameter)
    if not values:
        values = {
            p.name: p.default
            for p in entry_point.parameters.values()
            if p.default and (p.choices or p.type == "string") and shown(p.name, p.default) == p.default
        }
        values = dict([*values.items()][:1])
    pairs = [f"-P {shlex.quote(f'{name}={value}')}" for name, value in values.items()]
    lines = _filled([*_pairs(map(shlex.quote, call), width - 4), *pairs], width - 4, " \\")
    return [_heading("Example:"), f"  {lines[0]}", *(f"    {line}" for line in lines[1:])]


def _placeholder(parameter: Parameter) -> str:
    if parameter.choices:
        return next((c for c in parameter.choices if not _refusal(parameter, c, "")), parameter.choices[0])
    return "1" if parameter.type in _NUMBERS else _PLACEHOLDERS.get(parameter.type, "TEXT")


def _heading(text: str) -> str:
    return click.style(text, bold=True)


_WORD = re.compile(r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s\\'"])+""")
"""A word of the shell, with its quotes."""


def _shell_lines(command: str, width: int) -> list[str]:
    r"""Return a command in lines that bash reads as the same command: broken before a word, behind a `\`.

    Nothing is broken from a line on that is more than words: a quote that runs on, a comment, a here-document.
    """
    lines: list[str] = []
    breakable = "<<" not in command
    for line in command.strip("\n").rstrip().split("\n"):
        words = _WORD.findall(line)
        breakable = (
            breakable and not _WORD.sub("", line).strip() and not any(w.startswith("#") for w in words)
        )
        if breakable and output.width_of(line) > width:
            indent = line[: len(line) - len(line.lstrip())]
            room = width - len(indent) - 2
            first, *more = _filled(_pairs(words, room), room, " \\")
            lines.extend([indent + first, *(f"{indent}  {part}" for part in more)])
        else:
            lines.append(line)
    return lines


def _pairs(words: Iterable[str], width: int) -> list[str]:
    """Join each option with its value, so that no line ends between them unless it would be too long."""
    pairs: list[str] = []
    for word in words:
        is_value = pairs and not word.startswith("-") and re.fullmatch(r"-\S+", pairs[-1])
        if is_value and output.width_of(f"{pairs[-1]} {word}") <= width - 2:
            pairs[-1] += f" {word}"
        else:
            pairs.append(word)
    return pairs


def _filled(words: Sequence[str], width: int, end: str = "") -> list[str]:
    """Lay out words in lines of at most `width` cells, where they fit; all lines but the last end in `end`."""
    room = width - len(end)
    lines = [words[0]]
    for word in words[1:]:
        if output.width_of(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [*(line + end for line in lines[:-1]), lines[-1]]
