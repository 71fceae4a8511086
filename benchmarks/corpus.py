"""How dioptra reads real MLproject files, against MLflow's own loader: `python benchmarks/corpus.py DIRECTORY`.

Every file named `MLproject` (in any letter case) or `*.MLproject` below the directory is read by both: who accepts
it, its names, types and defaults, and the command of each entry point. Prints a line for each disagreement and a
summary, and exits with 1 where one is not among the documented ones (docs/mlflow.md) or something crashed.

With `--oracle FILE`, MLflow's readings come from JSON lines, one for each MLproject file, and mlflow is not
imported. Both tools get the same values for required parameters. Commands are the same if their text is, or if they
have the same words as `shlex` splits them (operators and line breaks being words too), since a value may be quoted
in more than one way. No command is run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dioptra_cli.errors import DioptraError, Level
from dioptra_cli.execution.command import RefusedValuesError, render_command
from dioptra_cli.execution.plan import make_plan
from dioptra_cli.mlproject import catalogue, loader
from dioptra_cli.mlproject import model as ours
from dioptra_cli.mlproject.selection import Selected
from dioptra_cli.mlproject.shell import Context, read_shell
from dioptra_cli.mlproject.template import parse_template
from dioptra_cli.parameters.resolve import Given, Origin
from dioptra_cli.validation.validate import Checker

PROJECT = "/__PROJ__"
"""Stands for the project's directory in what an oracle recorded."""

ENVIRONMENT_FILES = ("conda_env", "python_env")


class Parameter(NamedTuple):
    """A parameter as a tool reads it, all as text; `default` is None where a value is required."""

    name: str
    type: str
    default: str | None


class EntryPoint(NamedTuple):
    """An entry point as MLflow reads it.

    Attributes:
        parameters: Its parameters in order.
        given: The values that required parameters got.
        command: The command with all values in their places; None where MLflow makes none.
        error: Why it makes none.
    """

    parameters: tuple[Parameter, ...]
    given: Mapping[str, str]
    command: str | None
    error: str | None


class Reading(NamedTuple):
    """A file as MLflow reads it.

    Attributes:
        error: Why it refuses the file; None where it accepts it.
        name: The project's name.
        environment: The kind and the file or the image of the environment.
        entry_points: The entry points by name.
    """

    error: str | None
    name: str | None
    environment: tuple[str, str] | None
    entry_points: Mapping[str, EntryPoint]


class Difference(NamedTuple):
    """Something that the two read differently.

    Attributes:
        name: The name of the documented difference; None where it is none.
        what: What it is, in words.
    """

    name: str | None
    what: str


DOCUMENTED = {
    "checked-values": ("wrong-type", "wrong-default", "not-a-choice", "default-not-a-choice"),
    "plain-placeholders": (
        "placeholder-attribute",
        "placeholder-index",
        "placeholder-conversion",
        "placeholder-format-spec",
        "shell-variable-in-braces",
    ),
    "quoting-in-place": (
        *(check.name for check in catalogue.CHECKS if "DIO411" <= check.code <= "DIO423"),
        "unquotable-value",
    ),
    "paths-and-uris": (),
    "names-as-text": (),
    "numbers-as-names": (),
    "no-nul": ("nul-character",),
    "bounded-values": ("value-too-large",),
}
"""The documented differences (the headings of docs/mlflow.md), each with the problems that dioptra reports for it."""

_BY_PROBLEM = {problem: name for name, problems in DOCUMENTED.items() for problem in problems}


def make_project(directory: str, content: bytes) -> None:
    """Write an MLproject file, and an empty file for each environment that it names."""
    (Path(directory) / loader.FILE_NAME).write_bytes(content)
    try:
        document = yaml.safe_load(content.decode("utf-8-sig"))
    except Exception:
        return  # both tools have to say why
    for kind in ENVIRONMENT_FILES:
        reference = document.get(kind) if isinstance(document, dict) else None
        if isinstance(reference, str) and reference:
            path = Path(os.path.normpath(Path(directory) / reference))
            if path.is_relative_to(directory):
                with contextlib.suppress(OSError, ValueError):  # a name that no file can have
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch()


def read_with_mlflow(directory: str) -> Reading:
    """Return what MLflow, imported into this process, makes of a project."""
    from mlflow.projects import _project_spec  # takes seconds; needless with an oracle

    try:
        project = _project_spec.load_project(directory)  # type: ignore[no-untyped-call]  # it has no annotations
    except Exception as error:
        return Reading(f"{type(error).__name__}: {error}", None, None, {})
    entry_points = {}
    for name, entry_point in project._entry_points.items():
        parameters = entry_point.parameters.values()
        given = {str(p.name): _some_value(p.type, directory) for p in parameters if p.default is None}
        read = tuple(
            Parameter(str(p.name), "" if p.type is None else str(p.type), _text(p.default))
            for p in parameters
        )
        command = error_text = None
        try:
            command = entry_point.compute_command(given, storage_dir=None)
        except Exception as error:
            error_text = f"{type(error).__name__}: {error}"
        entry_points[str(name)] = EntryPoint(read, given, command, error_text)
    environment = None
    if project.docker_env:
        environment = ("docker_env", str(project.docker_env["image"]))
    elif project.env_config_path:
        environment = (project.env_type, os.path.relpath(project.env_config_path, directory))
    return Reading(None, _text(project.name), environment, entry_points)


def recorded_reading(row: Mapping[str, Any], directory: str) -> Reading:
    """Return what an oracle says of a file, for a project in `directory`."""
    if not row["accepted"]:
        return Reading(json.dumps(row["error"]), None, None, {})

    def here(text: str) -> str:
        return text.replace(PROJECT, directory)

    entry_points = {}
    for name, entry in row["entry_points"].items():
        entry_points[name] = EntryPoint(
            tuple(
                Parameter(p["name"], "" if p["type"] is None else str(p["type"]), _text(p["default"]))
                for p in entry["parameters"]
            ),
            {parameter: here(str(value)) for parameter, value in entry["given"].items()},
            None if entry["rendered"] is None else here(entry["rendered"]),
            json.dumps(entry["error"]),
        )
    environment = next(
        (
            (kind, value["image"] if kind == "docker_env" else os.path.normpath(value))
            for kind, value in (row["env_ref"] or {}).items()
        ),
        None,
    )
    return Reading(None, row["name"], environment, entry_points)


def compare(directory: str, theirs: Reading) -> Iterator[Difference]:
    """Yield what dioptra reads differently from MLflow in a project.

    Raises:
        Exception: dioptra crashed, which it never should.
    """
    loaded = loader.load(directory)
    errors = [p for p in loaded.problems if p.level is Level.ERROR]
    project = loaded.project
    if project is None:
        if theirs.error is None:
            yield _refusal("the file", [p.name for p in errors], "; ".join(map(str, errors)))
        return
    if theirs.error is not None:
        yield Difference(None, f"accepted here, but MLflow refuses the file: {theirs.error}")
        return
    bounded = "bounded-values" if any(p.name == "value-too-large" for p in loaded.problems) else None
    if theirs.name and theirs.name != project.name:
        yield Difference(bounded, f"the name is {project.name!r}, for MLflow {theirs.name!r}")
    environment = project.environment
    found = environment and (environment.kind, environment.reference)
    if found and found[0] in ENVIRONMENT_FILES:
        found = (found[0], os.path.normpath(found[1]))
    if theirs.environment and found != theirs.environment:
        yield Difference(None, f"the environment is {found}, for MLflow {theirs.environment}")
    if list(project.entry_points) != list(theirs.entry_points):
        yield Difference(
            None, f"entry points are {list(project.entry_points)}, for MLflow {list(theirs.entry_points)}"
        )
        return
    for name, entry_point in project.entry_points.items():
        for difference in _compare_entry_point(
            loaded, project, entry_point, theirs.entry_points[name], bounded
        ):
            yield difference._replace(what=f"entry point '{name}': {difference.what}")


def _compare_entry_point(
    loaded: ours.Loaded,
    project: ours.Project,
    entry_point: ours.EntryPoint,
    theirs: EntryPoint,
    bounded: str | None,
) -> Iterator[Difference]:
    found = tuple(Parameter(p.name, p.type, p.default) for p in entry_point.parameters.values())
    rewritten = any(
        p.name == "key-is-not-text" and p.entry_point in (None, entry_point.name) for p in loaded.problems
    )
    names_as_text = "names-as-text" if rewritten else None
    if found != theirs.parameters:
        yield Difference(bounded or names_as_text, f"parameters are {found}, for MLflow {theirs.parameters}")
        return
    given = {name: Given(value, Origin.COMMAND_LINE) for name, value in theirs.given.items()}
    command = None
    try:
        plan = make_plan(
            project,
            Selected(entry_point),
            given,
            caller_directory=project.directory,
            found=loaded.problems,
        )
        command = plan.command
    except DioptraError as error:
        if theirs.command is None:
            return
        stopping = [p for p in error.problems if p.level is Level.ERROR]
        yield _refusal("the command", [p.name for p in stopping], "; ".join(map(str, stopping)))
    if theirs.command is None:
        assert command is not None
        documented = names_as_text
        if any(p.name.isdecimal() for p in found):
            documented = "numbers-as-names"
        elif any(p.type == "uri" for p in found):
            documented = "paths-and-uris"
        yield Difference(
            documented,
            f"the command is {command!r}, and MLflow makes none: {theirs.error}",
        )
        return
    # The same values as MLflow's, not checked and not looked up: the template and the quoting alone.
    values = {p.name: theirs.given.get(p.name, p.default or "") for p in found}
    absolute = {
        p.name: os.path.abspath(os.path.join(project.directory, values[p.name]))
        if p.type == "path"
        else values[p.name]
        for p in found
    }
    template = entry_point.command or ""
    unchecked = _rendered(template, values)
    if unchecked is None:
        return
    if not any(
        same_words(c, theirs.command) for c in (unchecked, _rendered(template, absolute)) if c is not None
    ):
        yield Difference(
            "quoting-in-place" if _stands_in_quotes(template, values) else None,
            f"the command is {unchecked!r}, for MLflow {theirs.command!r}",
        )
    if command is not None and command != unchecked and not same_words(command, theirs.command):
        yield Difference(
            "paths-and-uris" if any(p.type in ("path", "uri") for p in found) else None,
            f"the command becomes {command!r}, for MLflow {theirs.command!r}",
        )


def _refusal(what: str, problems: list[str], text: str) -> Difference:
    """Return the difference that dioptra refuses what MLflow takes: documented if every reason is."""
    names = {_BY_PROBLEM.get(problem) for problem in problems}
    documented = None if None in names or not names else sorted(filter(None, names))[0]
    return Difference(documented, f"{what} is refused here: {text}")


def _rendered(command: str, values: Mapping[str, str]) -> str | None:
    template = parse_template(command)
    if template.faults:
        return None
    try:
        return render_command(template, values)
    except (RefusedValuesError, KeyError):
        return None


def _stands_in_quotes(command: str, values: Mapping[str, str]) -> bool:
    """Return whether a value that needs quotes stands where the shell reads quotes of its own, or in backticks."""
    return any(
        shlex.quote(values[slot.placeholder.name]) != values[slot.placeholder.name]
        for slot in read_shell(parse_template(command)).slots
        if slot.context is not Context.BARE or slot.backticks
    )


def same_words(one: str, other: str) -> bool:
    """Return whether two commands are the same to a shell, as far as `shlex` can tell."""
    return one == other or _words(one) == _words(other)


def _words(command: str) -> list[str]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # an unbalanced quote
        return [command]


def _some_value(type_name: object, directory: str) -> str:
    values = {"path": directory, "uri": f"file://{directory}", "bool": "true", "boolean": "true"}
    numbers = ("float", "double", "number", "int", "integer")
    return "1" if type_name in numbers else values.get(str(type_name), "two 'words'")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def find_files(directory: str) -> Iterator[Path]:
    """Yield the MLproject files below a directory, in order."""
    for path in sorted(Path(directory).rglob("*")):
        name = path.name.lower()
        if path.is_file() and (name == "mlproject" or name.endswith(".mlproject")):
            yield path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", help="where MLproject files are")
    parser.add_argument("--oracle", metavar="FILE", help="MLflow's readings, as JSON lines")
    options = parser.parse_args()
    rows = {}
    if options.oracle:
        rows = {row["file"]: row for row in map(json.loads, Path(options.oracle).read_text().splitlines())}
    files, crashes = 0, 0
    disagreements: Counter[str | None] = Counter()
    problems: Counter[str] = Counter()
    for path in find_files(options.directory):
        shown = path.relative_to(options.directory).as_posix()
        row = rows.get(shown) or rows.get(path.name)
        if options.oracle and row is None:
            print(f"{shown}: not in the oracle")
            continue
        files += 1
        with tempfile.TemporaryDirectory() as temporary:
            directory = os.path.realpath(temporary)
            make_project(directory, path.read_bytes())
            theirs = recorded_reading(row, directory) if row else read_with_mlflow(directory)
            try:
                problems.update(p.name for p in Checker().check(directory).problems)
                for name, what in compare(directory, theirs):
                    disagreements[name] += 1
                    print(f"{shown}: [{name or 'UNDOCUMENTED'}] {what.replace(directory, PROJECT)}")
            except Exception:
                crashes += 1
                print(f"{shown}: CRASH\n{traceback.format_exc()}")
    undocumented = disagreements.pop(None, 0)
    print(f"\n{files} files, {crashes} crashes, {undocumented} undocumented disagreements")
    for name, count in disagreements.most_common():
        print(f"{count:6} {name}")
    print("\nproblems by check")
    for check in catalogue.CHECKS:
        if problems[check.name]:
            print(f"{problems[check.name]:6} {check.code} {check.name}")
    return 1 if undocumented or crashes else 0


if __name__ == "__main__":
    sys.exit(main())
