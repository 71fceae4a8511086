"""Reads the YAML of an MLproject file into the model, and notes what is wrong with its structure.

A file that MLflow's own loader refuses is refused here, and one that it accepts is read to the same names, types,
defaults and commands (`mlflow.projects._project_spec` in MLflow 3). Reading goes on behind a problem, so that one
look shows them all.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from dioptra_cli.errors import Edit, Location, did_you_mean
from dioptra_cli.mlproject import ignores, keys
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

ENVIRONMENTS = ("docker_env", "conda_env", "python_env")
PROJECT_KEYS = ("name", "entry_points", *ENVIRONMENTS, "databricks_spark_job", "description")
ENTRY_POINT_KEYS = ("parameters", "command", "description")
DOCKER_KEYS = ("image", "volumes", "environment")
PARAMETER_KEYS = ("type", "default", "description", "choices")

_TYPES = (*STANDARD_TYPES, *EXTRA_TYPES)
_NUMBER_TYPES = ("float", "double", "number", "int", "integer")
_TYPE_SYNONYMS = {
    "file": "path",
    "filepath": "path",
    "dir": "path",
    "directory": "path",
    "folder": "path",
    "url": "uri",
    "text": "string",
    "char": "string",
    "list": "string",
    "dict": "string",
    "long": "int",
    "decimal": "float",
}
_MOST_COMPARED = 100
"""Names that a misspelled one is compared with: a hint is not worth more time."""
_USUAL_FILES = {"python_env": "python_env.yaml", "conda_env": "conda.yaml"}
"""The environment files that MLflow takes even where no key names them, in the order in which it looks."""


def default_environment(directory: str) -> Environment | None:
    """Return the environment that a project asks for by the mere presence of a file, as MLflow sees it."""
    for kind, name in _USUAL_FILES.items():
        if os.path.exists(os.path.join(directory, name)):
            return Environment(kind, name)
    return None


class ProjectReader(DocumentReader):
    """Reads an MLproject file.

    Args:
        path: The file, as messages show it.
        directory: The absolute directory of the project.
        data: The content of the file, where it is not to be read from it.
    """

    def __init__(self, path: str, directory: str, data: bytes | None = None) -> None:
        super().__init__(path, data)
        self.directory = directory
        self._non_portable: list[tuple[str, Location]] = []
        self._rewritten: list[tuple[str, str, Location]] = []

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
        if root is None:
            self.reject(
                "empty-file",
                "the file is empty",
                Location(path, 1, 1),
                "it needs 'entry_points:' with a name and a command for each",
            )
        if not isinstance(root, yaml.MappingNode):
            self.reject(
                "not-a-mapping",
                f"an MLproject file must be a mapping, not {kind_of(root)}",
                self.source.at(root),
                "write 'name: …' and 'entry_points: …'",
            )
        top = self.mapping(root)
        self._project_keys(top)
        environment = self._environment(top)
        entry_points = self._entry_points(top) if "entry_points" in top else {}
        self._note_non_portable()
        self._note_rewritten()
        if "databricks_spark_job" in top:
            self._databricks(top, entry_points)
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
        self._description(top)
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

    def _project_keys(self, top: Entries) -> None:
        """Note unknown keys, but for entry points that stand beside an empty 'entry_points': that is one slip."""
        emptied = "entry_points" in top and not isinstance(top["entry_points"][1], yaml.MappingNode)
        self._unknown_keys(
            {name: pair for name, pair in top.items() if not (emptied and _is_entry_point(pair[1]))},
            PROJECT_KEYS,
            "the project",
        )

    def _entry_points(self, top: Entries) -> dict[str, EntryPoint]:
        key, node = top["entry_points"]
        if not isinstance(node, yaml.MappingNode):
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
            above = name
            if misplaced and value.tag == "tag:yaml.org,2002:null":
                continue  # the same slip
            self.entry_point = name
            entry_point = self._entry_point(name, name_key, value)
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

    def _entry_point(self, name: str, key: Any, node: Any) -> EntryPoint | None:
        location = self.source.at(key)
        if not isinstance(node, yaml.MappingNode):
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
                fix=self._replacement(node, glued[0], "command: ") if glued else (),
            )
            return None
        entries = self.mapping(node)
        nested = self._nested(name, entries)
        known = {k: v for k, v in entries.items() if k not in nested}
        misspelled = _misspelled(known, ENTRY_POINT_KEYS, "command")
        self._unknown_keys(
            {k: v for k, v in known.items() if k != misspelled}, ENTRY_POINT_KEYS, f"the entry point '{name}'"
        )
        parameters: dict[str, Parameter] | None = {}
        if "parameters" in entries:
            parameters = self._parameters(name, entries)
        command_node = self._command(name, key, known, misspelled, parameters)
        if parameters is None:  # what the command needs of them cannot be told
            parameters, command_node = {}, None
        source = self.source
        return EntryPoint(
            name,
            parameters,
            None if command_node is None else command_node.value,
            location,
            lambda offset: location if command_node is None else source.in_scalar(command_node, offset),
            self._description(entries),
            "" if command_node is None else command_node.style or "",
        )

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
            if misspelled is not None:
                wrong, _ = entries[misspelled]
                meant = keys.meaning(misspelled, ENTRY_POINT_KEYS, entries, empty=False)
                self.note(
                    "missing-command",
                    f"{message}, but a key '{misspelled}'",
                    self.source.at(wrong),
                    meant.hint,
                    fix=self._replacement(wrong, misspelled, "command"),
                )
            elif parameters and "command" in parameters:
                self.note(
                    "misplaced-command",
                    f"'command' is indented like a parameter, so {message}",
                    parameters["command"].location,
                    "indent it like 'parameters'",
                )
            else:
                self.note("missing-command", message, self.source.at(key), "add 'command: …'")
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

    def _parameters(self, name: str, entries: Entries) -> dict[str, Parameter] | None:
        """Return the parameters of an entry point; None where it cannot be told which there are."""
        key, node = entries["parameters"]
        if not isinstance(node, yaml.MappingNode):
            hint = "leave 'parameters' out where there are none"
            glued: tuple[Edit, ...] = ()
            if isinstance(node, yaml.SequenceNode) and node.value:
                hint = "write each as a key of its own, without '- ': 'epochs: float'"
            elif match := re.fullmatch(r"([\w-]+):(\w+)", node.value if isinstance(node.value, str) else ""):
                hint = f"write '{match[1]}: {match[2]}', with a blank after the colon"
                glued = self._replacement(node, f"{match[1]}:", f"{match[1]}: ")
            self.refuse(
                "parameters-not-a-mapping",
                f"'parameters' of '{name}' must be a mapping, not {kind_of(node)}",
                self.source.at(node if glued else key),
                hint,
                fix=glued,
            )
            return None
        declared = self.names(node)
        above = ""  # the last parameter that has nothing below it
        parameters = {}
        for parameter, (parameter_key, value) in declared.items():
            if parameter in PARAMETER_KEYS and above:
                self._misplaced_keys(above, declared)
                return None
            if value.tag == "tag:yaml.org,2002:null" and not value.value:
                above = parameter
            parameters[parameter] = self._parameter(
                parameter, parameter_key, value, expected="command" in entries or parameter != "command"
            )
        return parameters

    def _misplaced_keys(self, parameter: str, declared: Entries) -> None:
        """Refuse `type` and the like beside the parameter that they belong to, in place of what else follows."""
        self.problems = [p for p in self.problems if p.name != "parameter-not-a-type"]
        wrong = [name for name in PARAMETER_KEYS if name in declared]
        first = min((declared[name][0] for name in wrong), key=lambda node: node.start_mark.index)
        self.refuse(
            "parameter-not-a-type",
            f"'{first.value}' stands beside the parameter '{parameter}', not below it",
            self.source.at(first),
            f"indent {' and '.join(repr(name) for name in wrong)} deeper than '{parameter}'",
        )

    def _parameter(self, name: str, key: Any, node: Any, *, expected: bool = True) -> Parameter:
        """Return a parameter; one that is not `expected` is no parameter at all, and reported elsewhere."""
        location = self.source.at(key)
        if isinstance(node, yaml.ScalarNode) and isinstance(self.value(node), str):
            brace = re.fullmatch(r"([\w-]+)([ \t]*:?[ \t]*)\{[ \t]*(?:type|default)", name)
            if brace:
                self.note(
                    "lost-key",
                    f"there is no {'blank' if ':' in brace[2] else 'colon'} between '{brace[1]}' and its brace, "
                    f"so that '{name}' is the name of the parameter",
                    location,
                    f"write '{brace[1]}: {{…}}'",
                    fix=self._replacement(key, brace[1] + brace[2], f"{brace[1]}: "),
                )
            elif expected:
                self._check_type(node.value, node, short=True)
            return Parameter(name, node.value, None, location)
        if not isinstance(node, yaml.MappingNode):
            written = self.source.raw(node) if isinstance(node, yaml.ScalarNode) else ""
            value = written if keys.is_number(written) else "…"
            self.refuse(
                "parameter-not-a-type",
                f"the parameter '{name}' must be a type or a mapping, not {kind_of(node)}",
                location,
                f"write '{name}: float' (or string, path, uri), or with a default "
                f"'{name}: {{type: float, default: {value}}}'",
            )
            return Parameter(name, "string", None, location)
        entries = self.mapping(node)
        self._unknown_keys(entries, PARAMETER_KEYS, f"the parameter '{name}'")
        declared = "string"
        if "type" in entries:
            type_node = entries["type"][1]
            declared = self.text_of(type_node) or ""
            self._check_type(declared, type_node)
        default, default_location = None, None
        if "default" in entries:
            default_node = entries["default"][1]
            default = self.text_of(default_node)
            default_location = self.source.at(default_node)
            self._check_default(name, declared, default, default_node)
        return Parameter(
            name,
            declared,
            default,
            location,
            default_location,
            self._description(entries),
            self._choices(name, declared, entries),
        )

    def _check_type(self, declared: str, node: Any, *, short: bool = False) -> None:
        if declared in STANDARD_TYPES:
            return
        location = self.source.at(node)
        if declared in EXTRA_TYPES:
            self._non_portable.append((declared, location))
            return
        if short and self._lost_in_type(declared, node, location):
            return
        slip = keys.slip_of(declared, STANDARD_TYPES)
        synonym = _TYPE_SYNONYMS.get(declared.lower())
        near = slip or synonym
        near = f"did you mean '{near}'?" if near else did_you_mean(declared, _TYPES)
        said = f"unknown type '{declared}'" if declared else "the type is empty"
        if not isinstance(node, yaml.ScalarNode):
            said, near = f"the type must be one word, not {kind_of(node)}", None
        self.note(
            "unknown-type",
            f"{said}; it is taken as string",
            location,
            near or "the types are string, float, path and uri",
            fix=self._replacement(node, declared, slip) if slip and not node.style else (),
        )

    def _note_non_portable(self) -> None:
        """Note the types that only some tools know, all at once: two thirds of all projects use them."""
        if not self._non_portable:
            return
        types = list(dict.fromkeys(f"'{declared}'" for declared, _ in self._non_portable))
        several = len(types) > 1
        listed = f"{', '.join(types[:-1])} and {types[-1]}" if several else types[0]
        more = _also(location for _, location in self._non_portable)
        self.note(
            "non-portable-type",
            f"{listed} {'are' if several else 'is'} not among the four types of the format; "
            f"other tools take {'them' if several else 'it'} as text, unchecked",
            self._non_portable[0][1],
            f"{more}portable types are string, float, path and uri",
        )

    def _note_rewritten(self) -> None:
        """Note the values whose form YAML changes and nothing else, all at once: it hardly ever matters."""
        if self._rewritten:
            written, value, location = self._rewritten[0]
            more = _also(place for _, _, place in self._rewritten)
            self.note(
                "yaml-rewrites-value",
                f"YAML writes {written} as '{value}'",
                location,
                f"{more}write '{written}' in quotes if its form matters",
            )

    def _lost_in_type(self, declared: str, node: Any, location: Location) -> bool:
        """Note a type that swallowed its key (`type:float`) or a default (`float 0.5`); return whether it did."""
        key, colon, value = declared.partition(":")
        if colon and key in PARAMETER_KEYS and not value.startswith("//"):
            self.note(
                f"lost-{key}" if key in ("type", "default") else "lost-key",
                f"'{declared}' is read as one text, for there is no blank after the colon",
                location,
                f"write '{{{key}: {value.strip()}}}'",
                fix=self._replacement(node, declared, f"{{{key}: {value.strip()}}}"),
            )
            return True
        first, _, rest = declared.replace("=", " ").replace(",", " ").partition(" ")
        rest = rest.strip(" ()").removeprefix("default").lstrip(": ")
        if first not in _TYPES or not rest:
            return False
        sure = keys.is_number(rest) and first in _NUMBER_TYPES
        self.note(
            "lost-default",
            f"the type is read as '{declared}', and there is no default",
            location,
            f"write '{{type: {first}, default: {rest}}}'",
            fix=self._replacement(node, declared, f"{{type: {first}, default: {rest}}}") if sure else (),
        )
        return True

    def _replacement(self, node: Any, written: str, by: str) -> tuple[Edit, ...]:
        """Return the edit that replaces the beginning of a scalar, if it stands in the file as it is read."""
        mark = node.start_mark
        if not self.source.text.startswith(written, mark.index):
            return ()
        return (Edit(mark.line + 1, mark.column + 1, len(written), by),)

    def _check_default(self, name: str, declared: str, default: str | None, node: Any) -> None:
        if not isinstance(node, yaml.ScalarNode):
            if default and declared not in (*_NUMBER_TYPES, "bool", "boolean"):  # which refuse it anyway
                shown = default if len(default) <= 40 else f"{default[:40]}…"
                self.note(
                    "compound-default",
                    f"the default of '{name}' is {kind_of(node)}; the command gets its Python text '{shown}'",
                    self.source.at(node),
                    "write the text that the command is to get in quotes",
                )
            return
        self._check_value(f"the default of '{name}'", declared, default, node)

    def _check_value(self, what: str, declared: str, value: str | None, node: Any) -> None:
        """Note where YAML turns what was written into something else, such as `yes` into `True`."""
        if node.style or value is None or not isinstance(node, yaml.ScalarNode):
            return
        if node.tag == "tag:yaml.org,2002:str":
            return
        written = self.source.raw(node)
        if written == value or written.startswith(("&", "*", "!")):
            return
        if _is_rewriting(declared, written, value):
            if f"0{written}" != value:  # .5 is so plainly 0.5 that nobody wants to hear of it
                self._rewritten.append((written, value, self.source.at(node)))
            return
        self.note(
            "yaml-changes-value",
            f"YAML reads {written}, {what}, as '{value}'",
            self.source.at(node),
            f"write '{written}' in quotes to keep it",
        )

    def _description(self, entries: Entries) -> str | None:
        if "description" not in entries:
            return None
        node = entries["description"][1]
        if not isinstance(node, yaml.ScalarNode):
            self.note(
                "description-not-text",
                f"a description must be text, not {kind_of(node)}",
                self.source.at(node),
                "write it in quotes",
            )
            return None
        text = self.text_of(node)
        return " ".join(text.split()) if text else None

    def _choices(self, name: str, declared: str, entries: Entries) -> tuple[str, ...]:
        if "choices" not in entries:
            return ()
        node = entries["choices"][1]
        if (
            not isinstance(node, yaml.SequenceNode)
            or not node.value
            or not all(isinstance(item, yaml.ScalarNode) for item in node.value)
        ):
            self.note(
                "choices-not-a-list",
                f"'choices' of '{name}' must be a list of values, not "
                + (
                    "a list of lists or mappings"
                    if isinstance(node, yaml.SequenceNode) and node.value
                    else "an empty list"
                    if isinstance(node, yaml.SequenceNode)
                    else kind_of(node)
                ),
                self.source.at(node),
                "write choices: [one, two]",
            )
            return ()
        choices = []
        for item in node.value:
            text = self.text_of(item) or ""
            self._check_value(f"a choice of '{name}'", declared, text, item)
            choices.append(text)
        return tuple(choices)

    def _unknown_keys(self, entries: Entries, known: tuple[str, ...], what: str) -> None:
        """Note the keys that are not among `known`, with what was meant."""
        for name, (key, value) in entries.items():
            if name not in known:
                self._unknown_key(name, key, value, entries, known, what)

    def _unknown_key(
        self, name: str, key: Any, value: Any, entries: Entries, known: tuple[str, ...], what: str
    ) -> None:
        empty = value.tag == "tag:yaml.org,2002:null" and not value.value
        location = self.source.at(key)
        if empty and known is PARAMETER_KEYS and self._bare_value(name, key, entries, location):
            return
        if known is PARAMETER_KEYS and name in _TYPES and not {"type", "default"} & set(entries):
            default = (
                f", default: {value.value}" if isinstance(value, yaml.ScalarNode) and value.value else ""
            )
            self.note(
                "lost-type",
                f"'{name}' stands where a key belongs, so there is no type",
                location,
                f"write '{{type: {name}{default}}}'",
            )
            return
        meant = keys.meaning(name, known, entries, empty=empty)
        fix: tuple[Edit, ...] = ()
        if meant.replaced is not None and not key.style:
            fix = self._replacement(key, meant.replaced, meant.by)
        if meant.problem == "lost-key":
            lost = f"lost-{meant.key}" if meant.key in ("type", "default") else "lost-key"
            message = f"'{name}' is read as one key, so '{meant.key}' is lost"
            self.note(lost, message, location, meant.hint, fix=fix)
            return
        hint = meant.hint
        if hint is None and known is PROJECT_KEYS and name in ENTRY_POINT_KEYS:
            hint = "it belongs to an entry point: indent it below the entry point's name"
        if hint is None and known is PROJECT_KEYS and _is_entry_point(value):
            hint = "if it is an entry point, indent it below 'entry_points'"
        if hint is None and known is ENTRY_POINT_KEYS and name in ENVIRONMENTS:
            hint = "it belongs to the project: write it beside 'entry_points'"
        if (
            hint is None
            and known is ENTRY_POINT_KEYS
            and isinstance(value.value, str)
            and value.value in _TYPES
        ):
            hint = "if it is a parameter, indent it below 'parameters'"
        self.note("unknown-key", f"unknown key '{name}' in {what}", location, hint, fix=fix)

    def _bare_value(self, name: str, key: Any, entries: Entries, location: Location) -> bool:
        """Note a type or a default that stands in `{…}` without a key; return whether this is one."""
        written = self.source.raw(key)
        if (
            keys.is_number(written)
            and "default" in entries
            and "," in self.source.text[: key.start_mark.index]
        ):
            self.note(
                "unknown-key",
                f"unknown key '{written}': the comma before it ends the value",
                location,
                "write a number without a comma, and a text that holds one in quotes",
            )
            return True
        if name in _TYPES and "type" not in entries:
            lost = "type"
        elif (keys.is_number(written) or key.style) and "default" not in entries:
            lost = "default"
        else:
            return False
        mark = key.start_mark
        self.note(
            f"lost-{lost}",
            f"{written} stands without a key, so the {lost} is lost",
            location,
            f"write '{lost}: {written}'",
            fix=(Edit(mark.line + 1, mark.column + 1, 0, f"{lost}: "),),
        )
        return True

    def _environment(self, top: Entries) -> Environment | None:
        present = [kind for kind in ENVIRONMENTS if kind in top]
        if len(present) > 1:
            written = sorted(present, key=lambda kind: top[kind][0].start_mark.index)
            self.refuse(
                "several-environments",
                f"only one environment is allowed, not {' and '.join(written)}",
                self.source.at(top[written[1]][0]),
                "remove all but one",
            )
        if not present or not self.value(top[present[0]][1]):
            return default_environment(self.directory)
        kind, (key, node) = present[0], top[present[0]]
        if kind == "docker_env":
            return self._docker(key, node)
        reference = self.value(node)
        location = self.source.at(node)
        if not isinstance(reference, str):
            self.refuse(
                "environment-not-a-file",
                f"'{kind}' must name a file, not {kind_of(node)}",
                self.source.at(key),
                f"write the environment to a file, and its name here: '{kind}: {_USUAL_FILES[kind]}'",
            )
            return None
        if not os.path.exists(os.path.join(self.directory, reference)):
            self.refuse(
                "no-environment-file",
                f"the {kind} file '{reference}' does not exist",
                location,
                self._near_file(reference) or f"create it, or remove '{kind}'",
            )
        return Environment(kind, reference)

    def _near_file(self, reference: str) -> str | None:
        directory, name = os.path.split(os.path.join(self.directory, reference))
        try:
            names = os.listdir(directory)
        except OSError:
            return None
        return did_you_mean(name, names) if len(names) <= _MOST_COMPARED else None

    def _docker(self, key: Any, node: Any) -> Environment | None:
        """Return the image of a `docker_env`. Refuses what MLflow's loader refuses."""
        if not isinstance(node, yaml.MappingNode):
            self.refuse(
                "docker-not-a-mapping",
                f"'docker_env' must be a mapping, not {kind_of(node)}",
                self.source.at(node),
                "write 'docker_env: {image: …}'",
            )
            return None
        entries = self.mapping(node)
        self._unknown_keys(entries, DOCKER_KEYS, "'docker_env'")
        image = self.value(entries["image"][1]) if "image" in entries else None
        if not image:
            self.refuse(
                "docker-without-image",
                "'docker_env' names no image",
                self.source.at(key),
                "add 'image: …'",
            )
        for setting, kinds, expected in (
            ("volumes", (str,), "a list of texts, such as ['/host:/container']"),
            ("environment", (str, list), "a list of names and [name, value] pairs"),
        ):
            listed = self.value(entries[setting][1]) if setting in entries else None
            if listed and not (isinstance(listed, list) and all(isinstance(i, kinds) for i in listed)):
                self.refuse(
                    "docker-settings",
                    f"'{setting}' of 'docker_env' must be a list, not {kind_of(entries[setting][1])}"
                    if not isinstance(listed, list)
                    else f"'{setting}' of 'docker_env' holds something else than "
                    f"{expected.removeprefix('a list of ')}",
                    self.source.at(entries[setting][0]),
                    f"write {expected}",
                )
        return Environment("docker_env", str(image)) if image else None

    def _databricks(self, top: Entries, entry_points: Mapping[str, EntryPoint]) -> None:
        """Refuse what MLflow's loader refuses in a `databricks_spark_job`, and warn: it needs Databricks."""
        key, node = top["databricks_spark_job"]
        job = self.value(node)
        location = self.source.at(key)
        if job is None:
            return
        complaints = []
        if not isinstance(job, dict):
            complaints.append(f"'databricks_spark_job' must be a mapping, not {kind_of(node)}")
        elif (job.get("python_file") is None) == (not entry_points):
            complaints.append(
                "a 'databricks_spark_job' needs either its 'python_file' or 'entry_points', and not both"
            )
        if any(p.type == "path" for entry in entry_points.values() for p in entry.parameters.values()):
            complaints.append("a 'databricks_spark_job' allows no parameters of type path")
        complaints += [f"a 'databricks_spark_job' allows no '{kind}'" for kind in ENVIRONMENTS if kind in top]
        for complaint in complaints:
            self.refuse("databricks-settings", complaint, location, "remove one of the two")
        if not complaints:
            self.note(
                "needs-databricks",
                "a 'databricks_spark_job' runs on Databricks only; here its commands run on this machine",
                location,
                "to run its 'python_file' here, make it an entry point",
            )


def _is_entry_point(node: Any) -> bool:
    """Return whether a node looks like the description of an entry point."""
    return isinstance(node, yaml.MappingNode) and bool(
        {"command", "parameters"} & {key.value for key, _ in node.value if isinstance(key.value, str)}
    )


def _misspelled(entries: Entries, known: tuple[str, ...], meant: str) -> str | None:
    """Return the key of `entries` that is a misspelling of `meant`, which is missing."""
    if meant in entries:
        return None
    unknown = (name for name in entries if name not in known)
    return next((n for n in unknown if keys.meaning(n, known, entries, empty=False).key == meant), None)


def _also(places: Iterable[Location]) -> str:
    """Return the beginning of a hint that names the lines of all places but the first."""
    lines = list(dict.fromkeys(str(place.line) for place in places))[1:]
    return f"also on line{'s' * (len(lines) > 1)} {', '.join(lines)}; " if lines else ""


def _is_rewriting(declared: str, written: str, value: str) -> bool:
    """Return whether YAML changed the form of a value alone: the same number, or a boolean in other letters."""
    if written.lower() == value.lower() and value in ("True", "False"):
        return True
    if declared in ("bool", "boolean") and value in ("True", "False"):
        return True
    if declared not in _NUMBER_TYPES:
        return False
    if written.lower().lstrip("+-.") in ("inf", "nan"):
        return True
    return keys.is_number(written) and keys.is_number(value) and float(written) == float(value)
