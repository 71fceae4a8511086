"""Reads the YAML of an MLproject file into the model, and notes what is wrong with its structure.

A file that MLflow's own loader refuses is refused here, and one that it accepts is read to the same names, types,
defaults and commands (`mlflow.projects._project_spec` in MLflow 3). Reading goes on behind a problem, so that one
look shows them all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Mapping
from typing import Any

import yaml

from dioptra_cli.errors import Edit, Location
from dioptra_cli.mlproject import ignores, keys
from dioptra_cli.mlproject.document import NULL, Entries, Rejected, is_empty, is_mapping, kind_of
from dioptra_cli.mlproject.environment_reader import ENVIRONMENTS, EnvironmentReader
from dioptra_cli.mlproject.mappings import MappingReader
from dioptra_cli.mlproject.model import (
    EXTRA_TYPES,
    STANDARD_TYPES,
    EntryPoint,
    Loaded,
    Parameter,
    Project,
)
from dioptra_cli.mlproject.parameter_reader import ParameterReader

PROJECT_KEYS = ("name", "entry_points", *ENVIRONMENTS, "databricks_spark_job", "description")
ENTRY_POINT_KEYS = ("parameters", "command", "description")
_ENTRY_POINT_KEYS = frozenset(ENTRY_POINT_KEYS)

_LARGEST_FILE = 4_000_000
"""Bytes of an MLproject file: real ones have thousands."""
_TYPES = (*STANDARD_TYPES, *EXTRA_TYPES)


class ProjectReader(MappingReader):
    """Reads an MLproject file.

    Args:
        path: The file, as messages show it.
        directory: The absolute directory of the project.
        data: The content of the file, where it is not to be read from it.
    """

    def __init__(self, path: str, directory: str, data: bytes | None = None) -> None:
        super().__init__(path, data)
        self.directory = directory

    def content(self) -> bytes:
        """Return the content of the file, which must be a file: reading a pipe or a device may never end."""
        with open(self.source.path, "rb", buffering=0, opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                self.reject("unreadable-file", "it is no regular file", Location(self.source.path))
            content = file.read(min(status.st_size, _LARGEST_FILE) + 1)
        if len(content) > _LARGEST_FILE:
            self.reject(
                "unreadable-file",
                f"the file is larger than {_LARGEST_FILE // 1_000_000} MB",
                Location(self.source.path),
                "an MLproject file holds names and commands; data belongs elsewhere",
            )
        return content

    def read(self) -> Loaded:
        """Return what the file says, and all that is wrong with it."""
        project, comments = None, ignores.NOTHING
        with contextlib.suppress(Rejected):
            root = self.root()
            comments = ignores.find(self.source, root)
            self.problems.extend(comments.problems)
            try:
                project = self._project(root, comments)
            except yaml.YAMLError as error:  # a tag that fits neither its value nor its place
                self.reject_yaml(error)
            except RecursionError:
                self.reject_nesting()
        found = tuple(self.problems if self.refused else comments.apply(self.problems))
        return Loaded(None if self.refused else project, found, self.source.text, partial=project)

    def _project(self, root: Any, comments: ignores.Ignores) -> Project:
        path = self.source.path
        if root is None or is_empty(root):
            self.reject(
                "empty-file",
                "the file is empty",
                Location(path, 1, 1),
                "it needs 'entry_points:' with a name and a command for each",
            )
        if not is_mapping(root):
            self.reject(
                "not-a-mapping",
                f"an MLproject file must be a mapping, not {kind_of(root)}",
                self.source.at(root),
                "write 'name: …' and 'entry_points: …'",
            )
        if "\xa0" in self.source.text:
            self._note_hard_spaces()
        top = self.mapping(root)
        self._project_keys(top)
        # Kept nowhere: a cycle of references would wait for the collector, with all nodes of the file.
        environments, parameters = EnvironmentReader(self, self.directory), ParameterReader(self)
        environment = environments.read(top)
        entry_points = self._entry_points(top, parameters) if "entry_points" in top else {}
        parameters.finish()
        if "databricks_spark_job" in top:
            environments.check_databricks(top, entry_points)
        elif not (
            entry_points
            or self.refused
            or _misspelled(top, PROJECT_KEYS, "entry_points")
            or any(name not in PROJECT_KEYS and _is_entry_point(value) for name, (_, value) in top.items())
        ):
            self.note(
                "no-entry-points",
                "the file declares no entry points",
                self.source.at_mark(root.start_mark),
                "add 'entry_points:' with a name and a command for each",
            )
        self.description(top)
        if "name" in top and not isinstance(top["name"][1], yaml.ScalarNode):
            key, node = top["name"]
            self.note(
                "description-not-text",
                f"the project's name must be text, not {kind_of(node)}",
                self.source.at(key),
                "write it in quotes",
            )
        title = self.text_of(top["name"][1]) if "name" in top else None
        return Project(
            self.directory,
            path,
            title or os.path.basename(self.directory),
            entry_points,
            environment,
            self.source.text,
            comments,
        )

    def _note_hard_spaces(self) -> None:
        """Note lines that are indented with non-breaking spaces, as text from web pages is."""
        lines = [
            (number, match)
            for number, line in enumerate(self.source.text.split("\n"), 1)
            if (match := re.match(r" *(\xa0[ \xa0]*)", line))
        ]
        if lines:
            number, match = lines[0]
            self.note(
                "non-breaking-space",
                "the line is indented with non-breaking spaces, which YAML takes for text",
                Location(self.source.path, number, match.start(1) + 1, match.end(1) + 1),
                "write plain spaces" + (f"; also on {len(lines) - 1} more lines" if len(lines) > 1 else ""),
                fix=tuple(
                    Edit(number, found.start(1) + 1, len(found[1]), " " * len(found[1]))
                    for number, found in lines
                ),
            )

    def _project_keys(self, top: Entries) -> None:
        """Note unknown keys, but for entry points that stand beside an empty 'entry_points': that is one slip."""
        emptied = "entry_points" in top and not isinstance(top["entry_points"][1], yaml.MappingNode)
        self.unknown_keys(
            {
                name: pair
                for name, pair in top.items()
                # A mapping that others refer to, and what begins like this, holds pieces for other places.
                if not (id(pair[1]) in self.shared or name.startswith(("x-", "_", ".")))
                and not (emptied and _is_entry_point(pair[1]))
            },
            PROJECT_KEYS,
            "the project",
            _in_project,
        )

    def _entry_points(self, top: Entries, reader: ParameterReader) -> dict[str, EntryPoint]:
        key, node = top["entry_points"]
        if not is_mapping(node):
            hint = "add the name and the command of one: 'main: {command: …}'"
            if isinstance(node, yaml.SequenceNode):
                hint = "write each as a key of its own, without '- ': 'main: {command: …}'"
            elif beside := [name for name, (_, value) in top.items() if _is_entry_point(value)]:
                hint = f"indent '{beside[0]}' below it"
            self.refuse(
                "entry-points-not-a-mapping",
                f"'entry_points' must be a mapping, not {kind_of(node)}",
                self.source.at(key),
                hint,
            )
            return {}
        declared = self.names(node)
        misplaced = "command" in declared and isinstance(declared["command"][1], yaml.ScalarNode)
        entry_points = {}
        above = ""
        for name, (name_key, value) in declared.items():
            if misplaced and name in ENTRY_POINT_KEYS:
                if name == "command":
                    self._misplaced_command(name_key, above)
                continue
            if name == "parameters" and above and is_mapping(value) and "command" not in self.mapping(value):
                entry_points[name] = self._misplaced_parameters(name_key, above)
                continue
            above = name
            if misplaced and value.tag == NULL:
                continue  # the same slip
            self.entry_point = name
            entry_point = self._entry_point(name, name_key, value, reader)
            if entry_point is not None:
                entry_points[name] = entry_point
        self.entry_point = None
        return entry_points

    def _misplaced_command(self, key: Any, above: str) -> None:
        """Refuse a command where the name of an entry point belongs; `above` is the name before it, if any."""
        self.refuse(
            "misplaced-command",
            f"'command' stands beside '{above}', not below it"
            if above
            else "'command' stands directly under 'entry_points', where the name of an entry point belongs",
            self.source.at(key),
            f"indent it deeper than '{above}'"
            if above
            else "write 'main:' above it, and indent 'command' and 'parameters' below that",
        )

    def _misplaced_parameters(self, key: Any, above: str) -> EntryPoint:
        """Note parameters beside the entry point that they belong to; return the one that MLflow sees in them."""
        location = self.source.at(key)
        self.note(
            "misplaced-command",
            f"'parameters' stands beside '{above}', not below it",
            location,
            f"indent it deeper than '{above}'",
        )
        return EntryPoint("parameters", {}, None, location, lambda _: location)

    def _entry_point(self, name: str, key: Any, node: Any, reader: ParameterReader) -> EntryPoint | None:
        location = self.source.at(key)
        if not is_mapping(node):
            text = node.value if isinstance(node, yaml.ScalarNode) else ""
            glued = re.match(r"command(:|[ \t]+)(?=\S)", text)
            hint = f"write '{name}: {{command: …}}'"
            if glued:
                hint = f"write 'command: {text[glued.end() :]}'"
            elif isinstance(node, yaml.SequenceNode):
                hint = "write 'command' and 'parameters' as keys, without '- '"
            self.refuse(
                "entry-point-not-a-mapping",
                f"the entry point '{name}' must be a mapping, not {kind_of(node)}",
                self.source.at(node) if glued else location,
                hint,
                fix=self.replacement(node, glued[0], "command: ") if glued else (),
            )
            return None
        entries = self.mapping(node)
        misspelled = None
        if not entries.keys() <= _ENTRY_POINT_KEYS:
            misspelled = self._unknown_in_entry_point(name, entries)
        parameters: dict[str, Parameter] | None = {}
        if "parameters" in entries:
            parameters = reader.read(name, entries)
        command_node = self._command(name, key, entries, misspelled, parameters)
        if parameters is None:  # what the command needs of them cannot be told
            parameters, command_node = {}, None
        source = self.source
        return EntryPoint(
            name,
            parameters,
            None if command_node is None else command_node.value,
            location,
            lambda offset: location if command_node is None else source.in_scalar(command_node, offset),
            self.description(entries),
            "" if command_node is None else command_node.style or "",
        )

    def _unknown_in_entry_point(self, name: str, entries: Entries) -> str | None:
        """Note the keys that do not belong in an entry point; return the one that was to be `command`, if any."""
        nested = self._nested(name, entries)
        known = {k: v for k, v in entries.items() if k not in nested}
        misspelled = _misspelled(known, ENTRY_POINT_KEYS, "command")
        emptied = "parameters" in entries and not is_mapping(entries["parameters"][1])
        self.unknown_keys(
            {k: v for k, v in known.items() if k != misspelled and not (emptied and _is_parameter(v[1]))},
            ENTRY_POINT_KEYS,
            f"the entry point '{name}'",
            _in_entry_point,
        )
        return misspelled

    def _nested(self, name: str, entries: Entries) -> list[str]:
        """Note what looks like an entry point, but is indented below another one; return the names."""
        found = []
        for inner, (key, node) in entries.items():
            if inner not in ENTRY_POINT_KEYS and _is_entry_point(node):
                found.append(inner)
                self.note(
                    "nested-entry-point",
                    f"'{inner}' stands inside of '{name}', and so is no entry point",
                    self.source.at(key),
                    f"indent it like '{name}'",
                )
        return found

    def _command(
        self,
        name: str,
        key: Any,
        entries: Entries,
        misspelled: str | None,
        parameters: Mapping[str, Parameter] | None,
    ) -> Any:
        """Return the node of the command, None where there is none that could run."""
        if "command" not in entries:
            message = f"the entry point '{name}' has no command"
            if misspelled is not None:  # or another word for it
                wrong, value = entries[misspelled]
                meant = keys.meaning(misspelled, ENTRY_POINT_KEYS, entries, empty=not value.value)
                self.note(
                    "missing-command",
                    f"{message}, but a key '{misspelled}'",
                    self.source.at(wrong),
                    meant.hint,
                    fix=self.replacement(wrong, meant.replaced, meant.by) if meant.replaced else (),
                )
            elif parameters and "command" in parameters:
                self.note(
                    "misplaced-command",
                    f"'command' is indented like a parameter, so {message}",
                    parameters["command"].location,
                    "indent it like 'parameters'",
                )
            else:
                nested = any(_is_entry_point(value) for _, value in entries.values())
                self.note(
                    "missing-command", message, self.source.at(key), None if nested else "add 'command: …'"
                )
            return None
        node = entries["command"][1]
        if isinstance(node, yaml.ScalarNode) and isinstance(self.value(node), str):
            return node
        kind = kind_of(node)
        hint = "write it in quotes, or as a block after 'command: >'"
        if isinstance(node, yaml.SequenceNode):
            hint = "write one text; several commands are lines after 'command: |', or joined by '&&'"
        elif kind == "empty":
            hint = "write the command behind it, or remove the entry point"
        self.note(
            "command-not-text",
            f"the command of '{name}' must be text, not {kind}",
            self.source.at(node),
            hint,
        )
        return None


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _is_entry_point(node: Any) -> bool:
    """Return whether a node looks like the description of an entry point."""
    return is_mapping(node) and bool(
        {"command", "parameters"} & {key.value for key, _ in node.value if isinstance(key.value, str)}
    )


def _is_parameter(node: Any) -> bool:
    """Return whether a node looks like the declaration of a parameter."""
    if isinstance(node, yaml.ScalarNode):
        return node.value in _TYPES
    return is_mapping(node) and bool(
        {"type", "default"} & {key.value for key, _ in node.value if isinstance(key.value, str)}
    )


def _misspelled(entries: Entries, known: tuple[str, ...], meant: str) -> str | None:
    """Return the key of `entries` that is a misspelling of `meant`, which is missing."""
    if meant in entries:
        return None
    for name, (_, value) in entries.items():
        if name not in known:
            read = keys.meaning(name, known, entries, empty=not value.value)
            if read.key == meant:
                return name
    return None


def _in_project(name: str, key: Any, value: Any) -> str | None:
    """Return a hint for an unknown key of the project."""
    del key
    if name in ENTRY_POINT_KEYS:
        return "it belongs to an entry point: indent it below the entry point's name"
    return "if it is an entry point, indent it below 'entry_points'" if _is_entry_point(value) else None


def _in_entry_point(name: str, key: Any, value: Any) -> str | None:
    """Return a hint for an unknown key of an entry point."""
    del key
    if name in ENVIRONMENTS:
        return "it belongs to the project: write it beside 'entry_points'"
    is_type = isinstance(value.value, str) and value.value in _TYPES
    return "if it is a parameter, indent it below 'parameters'" if is_type else None
