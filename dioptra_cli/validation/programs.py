"""What the machine says about a command: whether its scripts exist, and whether bash can read it.

Looks at the project's directory and starts `bash -n`, which runs nothing, where the pure reader of the shell's syntax
was not sure. It changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from dioptra_cli.errors import Problem, did_you_mean
from dioptra_cli.mlproject.catalogue import level_of
from dioptra_cli.mlproject.model import EntryPoint, Project
from dioptra_cli.mlproject.shell import ShellReading, read_command
from dioptra_cli.mlproject.template import Template
from dioptra_cli.mlproject.usage import ScriptCall, script_calls

_MOST_ENTRIES = 2000
_SKIPPED_DIRECTORIES = frozenset(("__pycache__", "mlruns", "node_modules", "site-packages", "venv", "env"))
# Commands that make no files that a later one could run. `source` may set variables, `mkdir` makes no scripts.
_MAKES_NOTHING = re.compile(
    r":|\.|\[\[?|true|test|echo|printf|export|set|unset|cd|pushd|popd|source|pip3?|conda|mkdir|ls|pwd|date|sleep"
    r"|ulimit|which|type|nvidia-smi|hostname|whoami"
)
_WRITES = re.compile(r"(?<![0-9&])>[>|]?[ \t]*[^\s>&(]")
_COMPLAINT = re.compile(r"^bash: (?:-c: )?line (\d+): (.*)$", re.MULTILINE)
_UNEXPECTED = re.compile(r"syntax error near unexpected token [`'](.*)'")
_UNCLOSED = re.compile(r"unexpected EOF while looking for matching [`'](.*)'")
_OPEN_END = re.compile(r"(&&|\|\|?)\s*\Z")
_CLOSING = {"if": "fi", "case": "esac", "do": "done", "{": "}"}
_KEYWORD = re.compile(r"(?:^|(?<=[\s;(&|]))(if|case|do|fi|esac|done|[{}])(?=[\s;)&|]|$)", re.MULTILINE)
_UNCLEAR = "the shell's syntax cannot be followed here: "


def check_programs(project: Project, entry_point: EntryPoint, reading: ShellReading) -> Iterator[Problem]:
    """Yield what is wrong with the programs that an entry point's command calls.

    Where it yields `shell-syntax`, the problem `unclear-shell-syntax` of the same command says nothing more.

    Args:
        project: The project.
        entry_point: The entry point.
        reading: How bash reads its command.
    """
    if entry_point.command is None:
        return
    found: list[Problem] = []
    if reading.unclear or reading.doubtful:
        found.extend(_syntax(entry_point, entry_point.command, reading))
    if reading.commands:
        found.extend(_missing_scripts(project, entry_point, entry_point.command, reading))
    for problem in found:
        yield replace(problem, entry_point=entry_point.name)


# Scripts


def _missing_scripts(
    project: Project, entry_point: EntryPoint, command: str, reading: ShellReading
) -> Iterator[Problem]:
    calls = script_calls(reading)
    seen: set[str] = set()
    for call in calls:
        path = call.script.text
        if path in seen or not _is_missing(project, command, call):
            continue
        if _may_have_been_made(command, reading, call, calls):
            return
        seen.add(path)
        location = entry_point.locate(call.script.start)
        last = entry_point.locate(call.script.end - 1)
        if last.column is not None and last.line == location.line and last.path == location.path:
            location = location._replace(end=max(last.column, location.column or 1) + 1)
        yield Problem(
            "missing-script",
            f"the script '{path}' does not exist",
            location,
            level_of("missing-script"),
            _near_scripts(project.directory, path) or "a script's path starts at the project's directory",
        )


def _is_missing(project: Project, command: str, call: ScriptCall) -> bool:
    """Return whether a call is sure to run a file that does not exist."""
    path = call.script.text
    if call.module or not call.certain or "\\" in command[call.script.start : call.script.end]:
        return False  # of backslashes another check speaks
    if os.path.isabs(path) and project.environment is not None and project.environment.kind == "docker_env":
        return False  # it may be a file of the image
    return not os.path.exists(os.path.join(project.directory, path))


def _may_have_been_made(
    command: str, reading: ShellReading, call: ScriptCall, calls: tuple[ScriptCall, ...]
) -> bool:
    """Return whether something that runs before a call may have made its script; other scripts rarely do."""
    start = call.script.start
    if ">" in command and _WRITES.search(command, 0, start):
        return True
    scripts = [other.script.start for other in calls]
    for other in reading.commands:
        first, last = other.words[0], other.words[-1]
        if first.start <= start < last.end:
            continue
        if first.start > start:
            break
        runs_script = any(first.start <= script < last.end for script in scripts)
        if not runs_script and not _MAKES_NOTHING.fullmatch(first.text):
            return True
    return False


def _near_scripts(directory: str, path: str) -> str | None:
    """Return a hint that names files like the missing one: of its name elsewhere, or beside where it should be."""
    if os.path.isabs(path):
        return None
    files = _files(directory)
    path = os.path.normpath(path)
    parent, name = os.path.split(path)
    elsewhere = files.by_name.get(name)
    if elsewhere:
        near = [f"'{file}'" for file in sorted(elsewhere, key=len)[:3]]
        return f"did you mean {' or '.join(near)}?"
    beside = files.by_directory.get((parent, os.path.splitext(name)[1]), [])
    hint = did_you_mean(name, beside) if beside else None
    return re.sub("'(.*?)'", lambda match: f"'{os.path.join(parent, match[1])}'", hint) if hint else None


class _Files(NamedTuple):
    """The files of a project.

    Attributes:
        by_name: Their paths from the project's directory on, by their base names.
        by_directory: Their base names by directory and extension.
    """

    by_name: dict[str, list[str]]
    by_directory: dict[tuple[str, str], list[str]]


@lru_cache(maxsize=1)
def _files(directory: str) -> _Files:
    """Return the files of a project, without hidden and installed ones; not too many."""
    found = _Files({}, {})
    passed = 0
    for root, directories, names in os.walk(directory):
        directories[:] = sorted(
            name
            for name in directories
            if not name.startswith(".")
            and name not in _SKIPPED_DIRECTORIES
            and not os.path.exists(os.path.join(root, name, "pyvenv.cfg"))
        )
        passed += len(names) + len(directories)
        if passed > _MOST_ENTRIES:
            break
        below = os.path.relpath(root, directory)
        below = "" if below == "." else below
        for name in names:
            found.by_name.setdefault(name, []).append(os.path.join(below, name))
            found.by_directory.setdefault((below, os.path.splitext(name)[1]), []).append(name)
    return found


# Syntax


def _syntax(entry_point: EntryPoint, command: str, reading: ShellReading) -> Iterator[Problem]:
    """Ask bash whether it can read a command, and report its complaint in plain words."""
    template, _ = read_command(command)
    text = template.text.replace("\0", "x")
    complaint = _ask_bash(text)
    if complaint is None:
        return
    line, said = complaint
    hint = None
    offset = template.offset(_line_start(text, line))
    if match := _UNEXPECTED.fullmatch(said):
        offset = _token_offset(template, text, line, match[1])
        token = "the end of the line" if match[1] == "newline" else f"'{match[1]}'"
        message = f"the shell did not expect {token} here"
    elif reading.unclear is not None and reading.unclear.message.startswith(_UNCLEAR):
        offset, hint = reading.unclear.offset, reading.unclear.hint
        message = f"the shell cannot read this: {reading.unclear.message.removeprefix(_UNCLEAR)}"
    elif match := _UNCLOSED.fullmatch(said):
        message = f"the command ends before its '{match[1]}'"
    elif match := _OPEN_END.search(text):
        offset, message = template.offset(match.start(1)), f"nothing follows '{match[1]}'"
    elif "unexpected end of file" in said and (opening := _opening(text)):
        offset = template.offset(opening.start(1))
        message = f"this '{opening[1]}' lacks its '{_CLOSING[opening[1]]}'"
    else:
        message = f"the shell cannot read this: {said.removeprefix('syntax error: ')}"
    yield Problem("shell-syntax", message, entry_point.locate(offset), level_of("shell-syntax"), hint)


def _ask_bash(text: str) -> tuple[int, str] | None:
    """Return the line (from 1) and the words of bash's first complaint; None where it has none, or is not there."""
    from dioptra_cli.execution.process.commands import capture  # not needed for most commands

    captured = capture(["bash", "-n", "-c", "--", text], env={"LC_ALL": "C"})
    if captured is None or captured.returncode <= 0:
        return None
    match = _COMPLAINT.search(captured.stderr.decode(errors="replace"))
    return (int(match[1]), match[2]) if match else None


def _line_start(text: str, line: int) -> int:
    """Return where a line (from 1) of a text begins; beyond its end, where its last line does."""
    start = 0
    for _ in range(line - 1):
        end = text.find("\n", start)
        if end < 0 or not text[end:].strip():
            break
        start = end + 1
    return start


def _token_offset(template: Template, text: str, line: int, token: str) -> int:
    """Return where in the source the token stands that bash did not expect in a line."""
    start = _line_start(text, line)
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    if token == "newline":
        return template.offset(max(start, len(text[:end].rstrip()) - 1))
    at = text.rfind(token, start, end)
    return template.offset(at if at >= 0 else start)


def _opening(text: str) -> re.Match[str] | None:
    """Return the last word that opens what is not closed, as far as words tell."""
    opened: list[re.Match[str]] = []
    for match in _KEYWORD.finditer(text):
        if match[1] in _CLOSING:
            opened.append(match)
        elif opened:
            opened.pop()
    return opened[-1] if opened else None
