"""What is wrong with an entry point's command: placeholders, quoting that cannot be safe, YAML's traps.

Pure: works on the model alone, and says nothing of values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from dioptra_cli.errors import Level, Problem, did_you_mean
from dioptra_cli.mlproject.model import EntryPoint
from dioptra_cli.mlproject.shell import read_shell
from dioptra_cli.mlproject.template import Template, parse_template, undeclared_placeholders

_ESCAPED_BLANK = re.compile(r"(?<!\\)\\(?=[ \t]+\S)")
_OPTION_LINE = re.compile(r"\n[ \t]*(?=-{1,2}[A-Za-z{])")
_OPEN_END = re.compile(r"(\\|[|&(;]|<<.*|\b(do|then|else))[ \t]*$")


def check_entry_point(entry_point: EntryPoint) -> list[Problem]:
    """Return everything that is wrong with the command of an entry point and its use of the parameters."""
    if entry_point.command is None:
        return []
    template = parse_template(entry_point.command)
    found = [
        Problem(fault.name, fault.message, entry_point.locate(fault.offset), hint=fault.hint)
        for fault in (*template.faults, *undeclared_placeholders(template, entry_point.parameters))
    ]
    if not found:  # the shell reads a faulty template wrongly
        found += [
            Problem(fault.name, fault.message, entry_point.locate(fault.offset), hint=fault.hint)
            for fault in read_shell(template).faults
        ]
    found += _unused(entry_point, template)
    found += _traps(entry_point, entry_point.command)
    return [replace(problem, entry_point=entry_point.name) for problem in found]


def _unused(entry_point: EntryPoint, template: Template) -> Iterator[Problem]:
    used = {placeholder.name for placeholder in template.placeholders}
    undeclared = used - set(entry_point.parameters)
    for parameter in entry_point.parameters.values():
        if parameter.name not in used and not any(
            f"{{{parameter.name}" in fault.message for fault in template.faults
        ):
            yield Problem(
                "unused-parameter",
                f"the command does not use the parameter '{parameter.name}'",
                parameter.location,
                Level.WARNING,
                did_you_mean(parameter.name, undeclared),
            )


def _traps(entry_point: EntryPoint, command: str) -> Iterator[Problem]:
    """Yield what YAML's folding makes of a command, but its author cannot have meant."""

    def trap(code: str, message: str, offset: int, hint: str) -> Problem:
        return Problem(code, message, entry_point.locate(offset), Level.WARNING, hint)

    if not command.strip():
        yield trap("empty-command", f"the command of '{entry_point.name}' is empty", 0, "it does nothing")
        return
    for match in _ESCAPED_BLANK.finditer(command):
        yield trap(
            "escaped-blank",
            "this '\\' makes the blank behind it part of an argument",
            match.start(),
            "YAML has joined the lines already: remove the '\\', or write the command after '|'",
        )
    if command.rstrip().endswith("\\") and not command.rstrip().endswith("\\\\"):
        yield trap(
            "trailing-backslash",
            "the command ends in '\\'",
            len(command.rstrip()) - 1,
            "remove it: there is no next line to join",
        )
    if "<<" in command:
        return  # lines of a heredoc may start with anything
    for match in _OPTION_LINE.finditer(command):
        line = command[: match.start()].rpartition("\n")[2]
        if line.strip() and not _OPEN_END.search(line):
            yield trap(
                "option-on-its-own-line",
                "this line runs as a command of its own",
                match.end(),
                "end the line before it with '\\', or indent both alike after '>'",
            )
