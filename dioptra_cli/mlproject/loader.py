"""Reads an MLproject file into the model, with the place of everything and every problem on the way.

A file that MLflow's own loader rejects is an error here, and one that it accepts is read to the same names, types,
defaults and commands (`mlflow.projects._project_spec` in MLflow 3).
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from dioptra_cli.errors import Level, Location, Problem, ProjectError, UsageError, did_you_mean
from dioptra_cli.mlproject.document import DocumentReader, Entries, Rejected, kind_of
from dioptra_cli.mlproject.model import (
    EXTRA_TYPES,
    STANDARD_TYPES,
    EntryPoint,
    Environment,
    Loaded,
    Parameter,
    Project,
)

FILE_NAME = "MLproject"

_ENVIRONMENTS = ("docker_env", "conda_env", "python_env")
_PROJECT_KEYS = ("name", "entry_points", *_ENVIRONMENTS, "databricks_spark_job", "description")
_ENTRY_POINT_KEYS = ("parameters", "command", "description")
_PARAMETER_KEYS = ("type", "default", "description", "choices")
_DEFAULT_ENVIRONMENT_FILES = (("python_env", "python_env.yaml"), ("conda_env", "conda.yaml"))


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
        hint = "remote projects cannot be run directly: clone or download it, and give the directory"
    raise UsageError(
        Problem("no-such-project", f"there is no project directory or file '{target}'", hint=hint)
    )


def load(target: str) -> Loaded:
    """Read the project at `target`, a directory or an MLproject file.

    A directory without an MLproject file is a project with no entry points, as in MLflow: its `.py` and `.sh`
    files can still be run.

    Returns:
        The project, None if it could not be read, and every problem noticed.

    Raises:
        UsageError: There is no such file or directory.
    """
    directory = project_directory(target)
    if os.path.isfile(target):
        path = target
    else:
        name = find_file(directory)
        if name is None:
            return _without_file(target, directory)
        path = os.path.normpath(os.path.join(target, name))
    return _ProjectReader(path, directory).read()


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
    project = Project(directory, None, os.path.basename(directory), {}, _default_environment(directory))
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
    shown = os.path.relpath(project)
    words = [os.path.join(".", shown) if shown.startswith("-") else shown, "-e"]
    words.append(os.path.relpath(os.path.abspath(target), project))
    return Problem(
        "not-a-project",
        f"'{target}' is a script, and no {FILE_NAME} file",
        hint=f"to run it: dioptra run {shlex.join(words)}",
    )


def _default_environment(directory: str) -> Environment | None:
    for kind, name in _DEFAULT_ENVIRONMENT_FILES:
        if os.path.exists(os.path.join(directory, name)):
            return Environment(kind, name)
    return None


def _single_values(reader: DocumentReader, root: Any) -> dict[str, tuple[str, Location]]:
    values = {}
    for name, (_, node) in reader.require_mapping(root, "a file of parameters", "'name: value'").items():
        location = reader.source.at_mark(node.start_mark)
        if not isinstance(node, yaml.ScalarNode):
            reader.note(
                "wrong-structure",
                f"the value of '{name}' must be a single value, not {kind_of(node)}",
                location,
                hint="write it in quotes, as one text",
            )
        elif reader.value(node) is not None:
            values[name] = (node.value, location)
    return values


class _ProjectReader(DocumentReader):
    """Reads an MLproject file."""

    def __init__(self, path: str, directory: str) -> None:
        super().__init__(path)
        self.directory = directory

    def read(self) -> Loaded:
        """Return the project, None if the file is rejected."""
        project = None
        with contextlib.suppress(Rejected):
            root = self.root()
            try:
                project = self._project(root)
            except yaml.YAMLError as error:  # a tag that fits neither its value nor its place
                self.reject_yaml(error)
        return Loaded(project, tuple(self.problems), self.source.text)

    def _project(self, root: Any) -> Project:
        path = self.source.path
        if root is None:
            self.reject("empty-file", "the file is empty", Location(path, 1, 1), "it needs 'entry_points:'")
        top = self.require_mapping(root, "an MLproject file", "'name: …' and 'entry_points: …'")
        self.unknown_keys(top, _PROJECT_KEYS, "the project")
        environment = self._environment(top)
        entry_points = {}
        if "entry_points" in top:
            declared = self.require_mapping(
                top["entry_points"][1],
                "'entry_points'",
                "a name and a command for each: 'main: {command: …}'",
            )
            for name, (key, node) in declared.items():
                self.entry_point = name
                entry_points[name] = self._entry_point(name, key, node)
            self.entry_point = None
        if "databricks_spark_job" in top:
            self._databricks(top, entry_points)
        elif not entry_points:
            self.note(
                "no-entry-points",
                "the file declares no entry points",
                self.source.at_mark(root.start_mark),
                level=Level.WARNING,
            )
        title = self.text_of(top["name"][1]) if "name" in top else None
        return Project(
            self.directory,
            path,
            title or os.path.basename(self.directory),
            entry_points,
            environment,
            self.source.text,
        )

    def _entry_point(self, name: str, key: Any, node: Any) -> EntryPoint:
        location = self.source.at_mark(key.start_mark)
        entries = self.require_mapping(node, f"the entry point '{name}'", f"'{name}: {{command: …}}'")
        self.unknown_keys(entries, _ENTRY_POINT_KEYS, f"the entry point '{name}'")
        parameters = {}
        if "parameters" in entries:
            declared = self.require_mapping(
                entries["parameters"][1],
                f"'parameters' of '{name}'",
                "a name and a type for each, or leave 'parameters' out",
            )
            for parameter, (parameter_key, value) in declared.items():
                parameters[parameter] = self._parameter(parameter, parameter_key, value)
        command_node = entries["command"][1] if "command" in entries else None
        description = self._description(entries)
        source = self.source
        if command_node is None:
            near = did_you_mean("command", [k for k in entries if k not in _ENTRY_POINT_KEYS])
            self.note(
                "missing-command",
                f"the entry point '{name}' has no command",
                location,
                hint=None if near else "add 'command: …'",
            )
        elif not (isinstance(command_node, yaml.ScalarNode) and isinstance(self.value(command_node), str)):
            self.note(
                "wrong-structure",
                f"the command of '{name}' must be text, not {kind_of(command_node)}",
                source.at_mark(command_node.start_mark),
                hint="write it in quotes, or as a block after 'command: >'",
            )
            command_node = None
        return EntryPoint(
            name,
            parameters,
            None if command_node is None else command_node.value,
            location,
            lambda offset: location if command_node is None else source.in_scalar(command_node, offset),
            description,
        )

    def _parameter(self, name: str, key: Any, node: Any) -> Parameter:
        location = self.source.at_mark(key.start_mark)
        what = f"the parameter '{name}'"
        if isinstance(node, yaml.ScalarNode) and isinstance(self.value(node), str):
            declared = node.value
            self._check_type(declared, node)
            return Parameter(name, declared, None, location)
        if not isinstance(node, yaml.MappingNode):
            hint = "a type: 'string', 'float', 'path' or 'uri', or '{type: …, default: …}'"
            self.reject(
                "wrong-structure",
                f"{what} must be a type or a mapping, not {kind_of(node)}",
                location,
                f"write {hint}",
            )
        entries = self.mapping(node)
        self.unknown_keys(entries, _PARAMETER_KEYS, what)
        declared = "string"
        if "type" in entries:
            type_node = entries["type"][1]
            declared = self.text_of(type_node) or ""
            self._check_type(declared, type_node)
        default, default_location = None, None
        if "default" in entries:
            default_node = entries["default"][1]
            default = self.text_of(default_node)
            default_location = self.source.at_mark(default_node.start_mark)
            self._check_default(name, declared, default, default_node)
        return Parameter(
            name,
            declared,
            default,
            location,
            default_location,
            self._description(entries),
            self._choices(name, entries),
        )

    def _check_type(self, declared: str, node: Any) -> None:
        location = self.source.at_mark(node.start_mark)
        if declared in EXTRA_TYPES:
            self.note(
                "non-portable-type",
                f"the type '{declared}' is not one of the four of the format; other tools take it as text",
                location,
                level=Level.NOTE,
                hint="portable types are string, float, path and uri",
            )
        elif declared not in STANDARD_TYPES:
            near = did_you_mean(declared, (*STANDARD_TYPES, *EXTRA_TYPES))
            self.note(
                "unknown-type",
                f"unknown type '{declared}'; it is taken as string",
                location,
                level=Level.WARNING,
                hint=near or "the types are string, float, path and uri",
            )

    def _check_default(self, name: str, declared: str, default: str | None, node: Any) -> None:
        """Warn where YAML turns what was written into something else, such as `yes` into `True`."""
        if not isinstance(node, yaml.ScalarNode) or node.style or default is None:
            return
        written = self.source.raw(node)
        if declared in ("bool", "boolean") and written.lower() == default.lower():
            return
        if written != default and not written.startswith(("&", "*", "!")):
            self.note(
                "yaml-changes-value",
                f"YAML reads the default {written} of '{name}' as '{default}'",
                self.source.at_mark(node.start_mark),
                level=Level.WARNING,
                hint=f"write '{written}' in quotes to keep it, or {default} to say what is meant",
            )

    def _description(self, entries: Entries) -> str | None:
        if "description" not in entries:
            return None
        text = self.text_of(entries["description"][1])
        return " ".join(text.split()) if text else None

    def _choices(self, name: str, entries: Entries) -> tuple[str, ...]:
        if "choices" not in entries:
            return ()
        node = entries["choices"][1]
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.note(
                "wrong-structure",
                f"'choices' of '{name}' must be a list of values, not {kind_of(node)}",
                self.source.at_mark(node.start_mark),
                hint="write choices: [one, two]",
            )
            return ()
        return tuple(self.text_of(item) or "" for item in node.value)

    def _environment(self, top: Entries) -> Environment | None:
        present = [kind for kind in _ENVIRONMENTS if kind in top]
        if len(present) > 1:
            self.reject(
                "several-environments",
                f"only one environment is allowed, not {' and '.join(present)}",
                self.source.at_mark(top[present[1]][0].start_mark),
            )
        if not present or not self.value(top[present[0]][1]):
            return _default_environment(self.directory)
        kind, node = present[0], top[present[0]][1]
        if kind == "docker_env":
            return Environment(kind, self._docker_image(node))
        reference = self.value(node)
        location = self.source.at_mark(node.start_mark)
        if not isinstance(reference, str):
            self.reject("wrong-structure", f"'{kind}' must name a file, not {kind_of(node)}", location)
        if not os.path.exists(os.path.join(self.directory, reference)):
            self.reject("no-environment-file", f"the {kind} file '{reference}' does not exist", location)
        return Environment(kind, reference)

    def _docker_image(self, node: Any) -> str:
        """Return the image of a `docker_env`. Rejects what MLflow's loader rejects."""
        entries = self.require_mapping(node, "'docker_env'", "'docker_env: {image: …}'")
        image = self.value(entries["image"][1]) if "image" in entries else None
        if not image:
            self.reject(
                "no-docker-image", "'docker_env' names no image", self.source.at_mark(node.start_mark)
            )
        for key, kinds, expected in (
            ("volumes", (str,), "a list of texts, such as ['/host:/container']"),
            ("environment", (str, list), "a list of names and [name, value] pairs"),
        ):
            listed = self.value(entries[key][1]) if key in entries else None
            if listed and not (isinstance(listed, list) and all(isinstance(i, kinds) for i in listed)):
                self.reject(
                    "wrong-structure",
                    f"'{key}' of 'docker_env' must be {expected}",
                    self.source.at_mark(entries[key][1].start_mark),
                )
        return str(image)

    def _databricks(self, top: Entries, entry_points: Mapping[str, EntryPoint]) -> None:
        """Reject what MLflow's loader rejects in a `databricks_spark_job`, and warn: it needs Databricks."""
        key, node = top["databricks_spark_job"]
        job = self.value(node)
        location = self.source.at_mark(key.start_mark)
        if job is None:
            return
        if not isinstance(job, dict):
            self.reject(
                "wrong-structure", f"'databricks_spark_job' must be a mapping, not {kind_of(node)}", location
            )
        if (job.get("python_file") is None) == (not entry_points):
            self.reject(
                "wrong-structure",
                "a 'databricks_spark_job' needs either its 'python_file' or 'entry_points', and not both",
                location,
            )
        if any(p.type == "path" for entry in entry_points.values() for p in entry.parameters.values()):
            self.reject(
                "wrong-structure", "a 'databricks_spark_job' allows no parameters of type path", location
            )
        for kind in _ENVIRONMENTS:
            if kind in top:
                self.reject("wrong-structure", f"a 'databricks_spark_job' allows no '{kind}'", location)
        self.note(
            "needs-databricks",
            "a 'databricks_spark_job' runs on Databricks only; here its commands run on this machine",
            location,
            level=Level.WARNING,
        )
