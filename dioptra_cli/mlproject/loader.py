"""Finds and loads MLproject files, and files of parameter values.

What a file says is read by `dioptra_cli.mlproject.reader`.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import Any

import yaml

from dioptra_cli.errors import Level, Location, Problem, ProjectError, UsageError
from dioptra_cli.mlproject.document import DocumentReader, Rejected, kind_of
from dioptra_cli.mlproject.environment_reader import default_environment
from dioptra_cli.mlproject.model import Loaded, Project
from dioptra_cli.mlproject.reader import ProjectReader

FILE_NAME = "MLproject"


def find_file(directory: str) -> str | None:
    """Return the name of the MLproject file in `directory`: any letter case, as MLflow finds it.

    Where several differ by case only, the exact `MLproject` wins, then the first in alphabetical order (MLflow
    takes the first in directory order, which changes from machine to machine).
    """
    found = sorted(name for name in os.listdir(directory) if name.lower() == FILE_NAME.lower())
    return FILE_NAME if FILE_NAME in found else (found[0] if found else None)


def project_directory(target: str) -> str:
    """Return the absolute project directory of `target`, a directory or an MLproject file.

    Raises:
        UsageError: There is no such file or directory, or it is a script.
    """
    if os.path.isdir(target):
        return os.path.abspath(target)
    if os.path.isfile(target):
        if target.endswith((".py", ".sh")):
            raise UsageError(_is_a_script(target))
        return os.path.dirname(os.path.abspath(target))
    hint = None
    if "://" in target or target.startswith("git@"):
        hint = "clone or download it, and give the directory"
    message = f"there is no project directory or file '{target}'"
    if os.path.lexists(target):
        message = f"'{target}' is neither a directory nor a file that can be read"
    raise UsageError(Problem("no-such-project", message, hint=hint))


def load(target: str, data: bytes | None = None) -> Loaded:
    """Read the project at `target`, a directory or an MLproject file.

    A directory without an MLproject file is a project with no entry points, as in MLflow: its `.py` and `.sh`
    files can still be run.

    Args:
        target: The directory or the file.
        data: The content of the file `target`, where it is not to be read: the file need not exist then.

    Raises:
        UsageError: There is no such file or directory.
    """
    if data is not None:
        directory, path = os.path.dirname(os.path.abspath(target)), target
        return ProjectReader(path, directory, data).read()
    is_directory = os.path.isdir(target)
    directory = os.path.abspath(target) if is_directory else project_directory(target)
    if not is_directory:
        path = target
    else:
        try:
            name = find_file(directory)
        except OSError as error:
            problem = f"cannot look into the directory '{target}': {error.strerror}"
            raise UsageError(Problem("unreadable-file", problem)) from error
        if name is None:
            return _without_file(target, directory)
        path = os.path.normpath(os.path.join(target, name))
    return ProjectReader(path, directory).read()


def require(target: str) -> tuple[Project, tuple[Problem, ...]]:
    """Read the project at `target` in order to run it.

    Returns:
        The project, and the problems that stand in the way of none or only of some entry points.

    Raises:
        ProjectError: The file cannot be read, or MLflow would reject it.
        UsageError: There is no such file or directory.
    """
    loaded = load(target)
    if loaded.project is None:
        raise ProjectError(problem for problem in loaded.problems if problem.level is Level.ERROR)
    return loaded.project, loaded.problems


def load_values(path: str) -> tuple[dict[str, tuple[str, Location]], tuple[Problem, ...]]:
    """Read a file of parameter values, YAML or JSON: one mapping of names to single values.

    Numbers and booleans are taken as they are written, so that `0.10` stays `0.10`; a null gives no value.

    Returns:
        The text of each value and its place, and what is wrong with the file.
    """
    reader = DocumentReader(path)
    values: dict[str, tuple[str, Location]] = {}
    with contextlib.suppress(Rejected):
        root = reader.root()
        if root is not None:
            values = _single_values(reader, root)
    # A repeated key is an error here, as a repeated -P is.
    problems = (replace(p, level=Level.ERROR) if p.name == "duplicate-key" else p for p in reader.problems)
    return values, tuple(p for p in problems if p.level is Level.ERROR)


def _without_file(target: str, directory: str) -> Loaded:
    project = Project(directory, None, os.path.basename(directory), {}, default_environment(directory))
    near = [name for name in sorted(os.listdir(directory)) if name.lower().startswith("mlproject")]
    hint = (
        f"'{near[0]}' is not read: rename it to {FILE_NAME}" if near else f"it needs a file named {FILE_NAME}"
    )
    problem = Problem("no-mlproject-file", f"there is no {FILE_NAME} file in '{target}'", hint=hint)
    return Loaded(project, (problem,))


def _is_a_script(target: str) -> Problem:
    """Return the problem of a script in place of a project: it is an entry point of the one that it lies in."""
    project = directory = os.path.dirname(os.path.abspath(target))
    with contextlib.suppress(OSError):  # a directory above that cannot be read
        while find_file(project) is None and project != os.path.dirname(project):
            project = os.path.dirname(project)
        if find_file(project) is None:
            project = directory
    import shlex  # hardly ever needed

    shown = os.path.relpath(project)
    words = [os.path.join(".", shown) if shown.startswith("-") else shown, "-e"]
    words.append(os.path.relpath(os.path.abspath(target), project))
    return Problem(
        "not-a-project",
        f"'{target}' is a script, and no {FILE_NAME} file",
        hint=f"to run it: dioptra run {shlex.join(words)}",
    )


def _single_values(reader: DocumentReader, root: Any) -> dict[str, tuple[str, Location]]:
    if not isinstance(root, yaml.MappingNode):
        reader.reject(
            "not-a-mapping",
            f"a file of parameters must be a mapping, not {kind_of(root)}",
            reader.source.at(root),
            "write 'name: value'",
        )
    values = {}
    for name, (_, node) in reader.names(root).items():
        location = reader.source.at(node)
        if not isinstance(node, yaml.ScalarNode):
            reader.note(
                "wrong-structure",
                f"the value of '{name}' must be a single value, not {kind_of(node)}",
                location,
                "write it in quotes, as one text",
            )
        elif reader.value(node) is not None:
            values[name] = (node.value, location)
    return values
