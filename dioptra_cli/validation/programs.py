"""What the machine says about a command: whether its scripts exist, and whether bash can read it.

Looks at the project's directory and starts `bash -n`, which runs nothing, where the pure reader of the shell's syntax
was not sure. It changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from dioptra_cli.errors import Problem, did_you_mean
from dioptra_cli.mlproject.catalogue import level_of
from dioptra_cli.mlproject.model import EntryPoint, Project
from dioptra_cli.mlproject.shell import ShellReading, Word, read_command
from dioptra_cli.mlproject.template import Fault, Template, Unfilled, unfilled
from dioptra_cli.mlproject.usage import ScriptCall

_MOST_ENTRIES = 2000
_SKIPPED_DIRECTORIES = frozenset(("__pycache__", "mlruns", "node_modules", "site-packages", "venv", "env"))
# Commands that make no files that a later one could run. `source` may set variables, `mkdir` makes no scripts.
_MAKES_NOTHING = re.compile(
    r":|\.|\[\[?|true|test|echo|printf|export|set|unset|cd|pushd|popd|source|pip3?|conda|mkdir|ls|pwd|date|sleep"
    r"|ulimit|which|type|nvidia-smi|hostname|whoami"
)
# Patterns that few commands need are compiled by their first use.
_WRITES = r"(?<![0-9&])>[>|]?[ \t]*[^\s>&(]"
_ALTERNATIVE = r"[^;\n]*\|\|"
_COMPLAINT = r"(?m)^bash: (?:-c: )?line (\d+): (.*)$"
_UNEXPECTED = r"syntax error near unexpected token [`'](.*)'"
_UNCLOSED = r"unexpected EOF while looking for matching [`'](.*)'"
_OPEN_END = r"(&&|\|\|?)\s*\Z"
_CLOSING = {"if": "fi", "case": "esac", "do": "done", "{": "}"}
_KEYWORD = r"(?m)(?:^|(?<=[\s;(&|]))(if|case|do|fi|esac|done|[{}])(?=[\s;)&|]|$)"
_ANY_MACHINE = "a path below the project's directory would do on any machine"
_UNCLEAR = "the shell's syntax cannot be followed here: "


def check_programs(
    project: Project, entry_point: EntryPoint, reading: ShellReading, calls: tuple[ScriptCall, ...]
) -> Iterator[Problem]:
    """Yield what is wrong with the programs that an entry point's command calls.

    Where it yields `shell-syntax`, the problem `unclear-shell-syntax` of the same command says nothing more.

    Args:
        project: The project.
        entry_point: The entry point.
        reading: How bash reads its command.
        calls: The scripts that it calls.
    """
    if entry_point.command is None:
        return
    if reading.unclear or reading.doubtful:
        yield from _syntax(entry_point, entry_point.command, reading)
    if reading.commands:
        yield from _missing_scripts(project, entry_point, entry_point.command, reading, calls)


# Scripts


class _Finding(NamedTuple):
    """What is wrong with a script, and what to do."""

    message: str
    hint: str | None


def _missing_scripts(
    project: Project,
    entry_point: EntryPoint,
    command: str,
    reading: ShellReading,
    calls: tuple[ScriptCall, ...],
) -> Iterator[Problem]:
    """Yield what cannot be run since it is not there, or not as the command says."""
    absent = _absent_directory(project, command, reading, calls) if "cd " in command else None
    end = absent.start if absent else len(command)  # behind which nothing is certain
    seen: set[tuple[str | None, str]] = set()
    for call in calls:
        key = call.directory, call.script.text
        if key in seen or call.script.start > end:
            continue
        finding = _unrunnable(project, command, call)
        if finding is None:
            continue
        if _may_have_been_made(command, reading, call, calls):
            break
        seen.add(key)
        yield _at(entry_point, call.script, finding)
    if absent:
        yield _at(entry_point, absent, _no_directory(project, absent.text))


def _at(entry_point: EntryPoint, word: Word, finding: _Finding) -> Problem:
    """Return the problem of a word of the command."""
    location = entry_point.locate(word.start)
    written, column = (entry_point.command or "")[word.start : word.end], location.column
    if column is None or " " in written:
        pass  # it may go on in the next line
    elif not entry_point.style.strip("|>"):
        location = location._replace(end=column + len(written))
    else:  # YAML's escapes may stand in it, even the end of a line
        last = entry_point.locate(word.end - 1)
        if last.column is not None and last.line == location.line:
            location = location._replace(end=max(last.column, column) + 1)
    return Problem(
        "missing-script",
        finding.message,
        location,
        level_of("missing-script"),
        finding.hint,
        entry_point.name,
    )


def _absent_directory(
    project: Project, source: str, reading: ShellReading, calls: tuple[ScriptCall, ...]
) -> Word | None:
    """Return the word of a `cd` that names no directory, unless something before may have made it."""
    for command, following in pairwise(reading.commands):
        words, _, directory = command
        if words[0].text == "cd" and directory is not None and following.directory is not None:
            path = os.path.join(project.directory, directory, words[1].text)
            if not os.path.exists(path):
                if re.compile(_ALTERNATIVE).match(source, words[1].end):
                    return None  # which is there for this case
                return None if os.path.isabs(words[1].text) and _in_image(project) else words[1]
        script = any(words[0].start <= call.script.start < words[-1].end for call in calls)
        if script or words[0].text == "mkdir" or not _MAKES_NOTHING.fullmatch(words[0].text):
            return None
    return None


def _in_image(project: Project) -> bool:
    """Return whether commands run in a container, of whose files nothing is known."""
    return project.environment is not None and project.environment.kind == "docker_env"


def _no_directory(project: Project, directory: str) -> _Finding:
    message = f"the directory '{directory}' does not exist"
    if os.path.isabs(directory):
        return _Finding(f"{message} on this machine", _ANY_MACHINE)
    known = {os.path.dirname(path) for paths in _files(project.directory).by_name.values() for path in paths}
    return _Finding(
        message, did_you_mean(directory, known - {""}) or "'cd' starts at the project's directory"
    )


def _unrunnable(project: Project, command: str, call: ScriptCall) -> _Finding | None:
    """Return why a call cannot run its script, if that is sure."""
    path = call.script.text
    if call.directory is None or "\\" in command[call.script.start : call.script.end]:
        return None  # of backslashes another check speaks
    if call.module:
        return _missing_module(project, call.directory, path)
    full = os.path.join(project.directory, call.directory, path)
    if not os.path.exists(full):
        if os.path.isabs(os.path.join(call.directory, path)) and _in_image(project):
            return None  # it may be a file of the image
        message = f"the script '{path}' does not exist"
        near = _near_scripts(project.directory, path, call.directory)
        if not os.path.isabs(path):
            return _Finding(message, near or f"a script's path starts at {_beginning(call)}")
        return _Finding(f"{message} on this machine", near or _ANY_MACHINE)
    if call.language == "python" and not path.endswith(".py") and os.path.isdir(full):
        if os.path.exists(os.path.join(full, "__main__.py")):
            return None
        scripts = _files(project.directory).by_directory.get(
            (_below(os.path.join(call.directory, path)), ".py"), []
        )
        one = f"did you mean '{os.path.join(path, scripts[0])}'?" if len(scripts) == 1 else None
        return _Finding(f"the directory '{path}' has no '__main__.py' to run", one or "name a script in it")
    if call.direct and not os.path.isabs(path) and os.path.isfile(full) and not os.access(full, os.X_OK):
        program = {"python": "python", "bash": "bash"}.get(call.language, "Rscript")
        return _Finding(f"the script '{path}' is not executable", f"write '{program} {path}'")
    return None


def _beginning(call: ScriptCall) -> str:
    start = _below(call.directory or "")
    return f"the directory '{start}'" if start else "the project's directory"


def _missing_module(project: Project, start: str, name: str) -> _Finding | None:
    """Return why `python -m` finds no module, if it is sure to be looked for in the project."""
    directory = os.path.join(project.directory, start)
    path = re.sub(r"\.py\Z", "", name).replace(".", "/")
    if "/" in name or name.endswith(".py"):
        file = os.path.join(directory, f"{path}.py")
        module = path.lstrip("./").replace("/", ".")
        return (
            _Finding(f"'{name}' is not the name of a module", f"write '{module}'")
            if os.path.isfile(file)
            else None
        )
    package, _, last = path.rpartition("/")
    found = os.path.join(directory, path)
    if not package or not last.isidentifier() or not os.path.isdir(os.path.join(directory, package)):
        return None
    if os.path.isdir(found):
        if os.path.exists(os.path.join(found, "__init__.py")) and not _beside(found, ("__main__",)):
            return _Finding(f"the package '{name}' has no '__main__.py' to run", "name a module in it")
        return None
    if _beside(os.path.join(directory, package), (last,)):
        return None
    beside = _files(project.directory).by_directory.get((_below(os.path.join(start, package)), ".py"), [])
    near = did_you_mean(last, [os.path.splitext(file)[0] for file in beside])
    if near:
        near = re.sub("'(.*?)'", lambda match: f"'{name[: -len(last)]}{match[1]}'", near)
    is_package = os.path.exists(os.path.join(directory, package.split("/")[0], "__init__.py"))
    # A directory without `__init__.py` gives way to an installed package of its name.
    if not near and not is_package:
        return None
    return _Finding(f"the module '{name}' does not exist", near or f"there is no '{last}.py' in '{package}'")


def _beside(directory: str, names: tuple[str, ...]) -> bool:
    """Return whether a directory holds a file with one of `names` and any extension."""
    try:
        return any(file.split(".")[0] in names for file in os.listdir(directory))
    except OSError:
        return True


def _may_have_been_made(
    command: str, reading: ShellReading, call: ScriptCall, calls: tuple[ScriptCall, ...]
) -> bool:
    """Return whether something that runs before a call may have made its script; other scripts rarely do."""
    start, path = call.script.start, call.script.text
    if path in command[:start] and re.search(rf"(?<![\w./-]){re.escape(path)}(?![\w./-])", command[:start]):
        return True  # looked for, as by `test -f`, or named for another program to write
    if ">" in command and re.compile(_WRITES).search(command, 0, start):
        return True
    scripts = [other.script.start for other in calls if not other.module or other.script.text == "pip"]
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


def _near_scripts(directory: str, path: str, start: str) -> str | None:
    """Return a hint that names files like a missing one: of its name elsewhere, or beside where it should be.

    Args:
        directory: The project's.
        path: The missing file, from `start` on.
        start: The directory in which it was looked for, from the project's on.
    """
    files = _files(directory)
    extension = os.path.splitext(path)[1]
    if extension and extension not in files.extensions:
        return None
    path = os.path.normpath(path)
    parent, name = os.path.split(path)
    found = files.by_name.get(name)
    if found:
        near = [f"'{os.path.relpath(file, start or '.')}'" for file in sorted(found, key=len)[:3]]
        return f"did you mean {' or '.join(near)}?"
    beside = files.by_directory.get((_below(os.path.join(start, parent)), os.path.splitext(name)[1]), [])
    hint = did_you_mean(name, beside) if beside else None
    return re.sub("'(.*?)'", lambda match: f"'{os.path.join(parent, match[1])}'", hint) if hint else None


def _below(directory: str) -> str:
    """Return a directory as `_Files` holds it."""
    path = os.path.normpath(directory)
    return "" if path == "." else path


class _Files(NamedTuple):
    """The files of a project.

    Attributes:
        by_name: Their paths from the project's directory on, by their base names.
        by_directory: Their base names by directory and extension.
        extensions: All extensions that there are.
    """

    by_name: dict[str, list[str]]
    by_directory: dict[tuple[str, str], list[str]]
    extensions: set[str]


@lru_cache(maxsize=1)
def _files(directory: str) -> _Files:
    """Return the files of a project, without hidden and installed ones; not too many."""
    found = _Files({}, {}, set())
    passed, waiting = 0, [""]
    while waiting and passed <= _MOST_ENTRIES:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(directory, below)) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError:
            continue
        if below and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue  # a virtual environment, whose scripts are not the project's
        passed += len(entries)
        inner = []
        for entry in entries:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                if not name.startswith(".") and name not in _SKIPPED_DIRECTORIES:
                    inner.append(os.path.join(below, name))
                continue
            extension = os.path.splitext(name)[1]
            found.extensions.add(extension)
            found.by_name.setdefault(name, []).append(os.path.join(below, name))
            found.by_directory.setdefault((below, extension), []).append(name)
        waiting += reversed(inner)
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
    held = _held(entry_point, template, reading.unclear) if reading.unclear else None
    if held is not None:
        offset, hint = held.start, f"write {{{held.name}}}"
        message = f"the command holds '{held.text}', not the placeholder '{{{held.name}}}'"
    elif match := re.fullmatch(_UNEXPECTED, said):
        offset = _token_offset(template, text, line, match[1])
        token = "the end of the line" if match[1] == "newline" else f"'{match[1]}'"
        message = f"the shell did not expect {token} here"
    elif reading.unclear is not None and reading.unclear.message.startswith(_UNCLEAR):
        offset, hint = reading.unclear.offset, reading.unclear.hint
        message = f"the shell cannot read this: {reading.unclear.message.removeprefix(_UNCLEAR)}"
    elif match := re.fullmatch(_UNCLOSED, said):
        message = f"the command ends before its '{match[1]}'"
    elif match := re.search(_OPEN_END, text):
        offset, message = template.offset(match.start(1)), f"nothing follows '{match[1]}'"
    elif "unexpected end of file" in said and (opening := _opening(text)):
        offset = template.offset(opening.start(1))
        message = f"this '{opening[1]}' lacks its '{_CLOSING[opening[1]]}'"
    else:
        message = f"the shell cannot read this: {said.removeprefix('syntax error: ')}"
    yield Problem(
        "shell-syntax",
        message,
        entry_point.locate(offset),
        level_of("shell-syntax"),
        hint,
        entry_point.name,
    )


def _held(entry_point: EntryPoint, template: Template, unclear: Fault) -> Unfilled | None:
    """Return what was meant as a placeholder, where the shell finds no syntax of its own: `%(x)s` or `<x>`."""
    used = {placeholder.name for placeholder in template.placeholders}
    for form in unfilled(template.source):
        if form.breaks(unclear) and form.name in entry_point.parameters and form.name not in used:
            return form
    return None


def _ask_bash(text: str) -> tuple[int, str] | None:
    """Return the line (from 1) and the words of bash's first complaint; None where it has none, or is not there."""
    from dioptra_cli.execution.process.commands import capture  # not needed for most commands

    captured = capture(["bash", "-n", "-c", "--", text], env={"LC_ALL": "C"})
    if captured is None or captured.returncode == 0:
        return None
    if captured.returncode < 0:  # it ran out of memory for its own calls
        return 1, "it is nested too deeply"
    match = re.search(_COMPLAINT, captured.stderr.decode(errors="replace"))
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
    for match in re.finditer(_KEYWORD, text):
        if match[1] in _CLOSING:
            opened.append(match)
        elif opened:
            opened.pop()
    return opened[-1] if opened else None
