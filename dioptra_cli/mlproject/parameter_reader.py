"""Reads the declared parameters of entry points: types, defaults, choices, and what YAML made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from dioptra_cli.errors import Edit, Location, did_you_mean
from dioptra_cli.mlproject import keys
from dioptra_cli.mlproject.document import Entries, is_empty, is_mapping, kind_of
from dioptra_cli.mlproject.mappings import MappingReader
from dioptra_cli.mlproject.model import EXTRA_TYPES, STANDARD_TYPES, Parameter

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


_KEYS = frozenset(PARAMETER_KEYS)
_KEY = re.compile(rf"({'|'.join(PARAMETER_KEYS)})\b")


class ParameterReader:
    """Reads the parameters of a file.

    Args:
        reader: The reader of the file.
    """

    def __init__(self, reader: MappingReader) -> None:
        self.reader = reader
        self._non_portable: list[tuple[str, Location]] = []
        self._rewritten: list[tuple[str, str, Location]] = []

    def read(self, name: str, entries: Entries) -> dict[str, Parameter] | None:
        """Return the parameters of an entry point; None where it cannot be told which there are."""
        key, node = entries["parameters"]
        if not is_mapping(node):
            hint = "leave 'parameters' out where there are none"
            glued: tuple[Edit, ...] = ()
            text = node.value if isinstance(node.value, str) else ""
            below = [n for n in entries if n not in ("parameters", "command", "description")]
            if isinstance(node, yaml.SequenceNode) and node.value:
                first = node.value[0]
                name_node = (
                    first.value[0][0] if isinstance(first, yaml.MappingNode) and first.value else first
                )
                shown = name_node.value if isinstance(name_node, yaml.ScalarNode) else "epochs"
                hint = f"write each as a key of its own, without '- ': '{shown}: float'"
            elif not text and below:
                hint = f"indent '{below[0]}' below it"
            elif re.fullmatch(r"([\w-]+:\w+\s*){2,}", text):
                hint = "write a space after each colon"
            elif match := re.fullmatch(r"([\w-]+):(\w+)", text):
                hint = f"write '{match[1]}: {match[2]}', with a space after the colon"
                glued = self.reader.replacement(node, f"{match[1]}:", f"{match[1]}: ")
            self.reader.refuse(
                "parameters-not-a-mapping",
                f"'parameters' of '{name}' must be a mapping, not {kind_of(node)}",
                self.reader.source.at(node if glued else key),
                hint,
                fix=glued,
            )
            return None
        declared = self.reader.names(node)
        above = ""  # the last parameter that has nothing below it
        parameters = {}
        for parameter, (parameter_key, value) in declared.items():
            if parameter in PARAMETER_KEYS and above:
                self._misplaced_keys(above, declared)
                return None
            if is_empty(value):
                above = parameter
            parameters[parameter] = self._parameter(
                parameter, parameter_key, value, expected="command" in entries or parameter != "command"
            )
        return parameters

    def _misplaced_keys(self, parameter: str, declared: Entries) -> None:
        """Refuse `type` and the like beside the parameter that they belong to, in place of what else follows."""
        self.reader.problems = [p for p in self.reader.problems if p.name != "parameter-not-a-type"]
        wrong = [name for name in PARAMETER_KEYS if name in declared]
        first = min((declared[name][0] for name in wrong), key=lambda node: node.start_mark.index)
        self.reader.refuse(
            "parameter-not-a-type",
            f"'{first.value}' stands beside the parameter '{parameter}', not below it",
            self.reader.source.at(first),
            f"indent {' and '.join(repr(name) for name in wrong)} deeper than '{parameter}'",
        )

    def _parameter(self, name: str, key: Any, node: Any, *, expected: bool = True) -> Parameter:
        """Return a parameter; one that is not `expected` is no parameter at all, and reported elsewhere."""
        reader = self.reader
        location = reader.source.at(key)
        if isinstance(node, yaml.ScalarNode) and isinstance(reader.value(node), str):
            brace = "{" in name and re.fullmatch(r"([\w-]+)([ \t]*:?[ \t]*)\{[ \t]*(?:type|default)", name)
            if brace:
                self.reader.note(
                    "lost-key",
                    f"there is no {'space' if ':' in brace[2] else 'colon'} between '{brace[1]}' and its brace, "
                    f"so that '{name}' is the name of the parameter",
                    location,
                    f"write '{brace[1]}: {{…}}'",
                    fix=self.reader.replacement(key, brace[1] + brace[2], f"{brace[1]}: "),
                )
            elif expected:
                self._check_type(node.value, node, short=True)
            return Parameter(name, node.value, None, location)
        if not is_mapping(node):
            written = self.reader.source.raw(node) if isinstance(node, yaml.ScalarNode) else ""
            value = written if keys.is_number(written) else "…"
            self.reader.refuse(
                "parameter-not-a-type",
                f"the parameter '{name}' must be a type or a mapping, not {kind_of(node)}",
                location,
                f"write '{name}: float' (or string, path, uri), or with a default "
                f"'{name}: {{type: float, default: {value}}}'",
            )
            return Parameter(name, "string", None, location)
        entries = reader.mapping(node)
        if not entries.keys() <= _KEYS:
            reader.unknown_keys(
                entries,
                PARAMETER_KEYS,
                f"the parameter '{name}'",
                lambda unknown, key_node, value: self._is_bare(unknown, key_node, value, entries),
            )
        declared = "string"
        if "type" in entries:
            type_node = entries["type"][1]
            declared = reader.text_of(type_node) or ""
            if declared not in STANDARD_TYPES:
                self._check_type(declared, type_node)
        default, default_location = None, None
        if "default" in entries:
            default_node = entries["default"][1]
            default = reader.text_of(default_node)
            default_location = reader.source.at(default_node)
            self._check_default(name, declared, default, default_node)
        return Parameter(
            name,
            declared,
            default,
            location,
            default_location,
            reader.description(entries) if "description" in entries else None,
            self._choices(name, declared, entries) if "choices" in entries else (),
        )

    def _check_type(self, declared: str, node: Any, *, short: bool = False) -> None:
        if declared in STANDARD_TYPES:
            return
        location = self.reader.source.at(node)
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
        self.reader.note(
            "unknown-type",
            f"{said}; it is taken as string",
            location,
            near or "the types are string, float, path and uri",
            fix=self.reader.replacement(node, declared, slip) if slip and not node.style else (),
        )

    def finish(self) -> None:
        """Note what is said once for the whole file."""
        self._note_non_portable()
        self._note_rewritten()

    def _note_non_portable(self) -> None:
        """Note the types that only some tools know, all at once: two thirds of all projects use them."""
        if not self._non_portable:
            return
        types = list(dict.fromkeys(f"'{declared}'" for declared, _ in self._non_portable))
        several = len(types) > 1
        listed = f"{', '.join(types[:-1])} and {types[-1]}" if several else types[0]
        more = _also(location for _, location in self._non_portable)
        self.reader.note(
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
            self.reader.note(
                "yaml-rewrites-value",
                f"YAML writes {written} as '{value}'",
                location,
                f"{more}write '{written}' in quotes if its form matters",
            )

    def _lost_in_type(self, declared: str, node: Any, location: Location) -> bool:
        """Note a type that swallowed its key (`type:float`) or a default (`float 0.5`); return whether it did."""
        key, colon, value = declared.partition(":")
        if colon and key in PARAMETER_KEYS and not value.startswith("//"):
            line = self.reader.source.text[: node.start_mark.index].rpartition("\n")[2]
            # On a line of its own it is a key below the parameter; beside the name it needs braces.
            mended = f"{key}: {value.strip()}" if not line.strip() else f"{{{key}: {value.strip()}}}"
            self.reader.note(
                f"lost-{key}" if key in ("type", "default") else "lost-key",
                f"'{declared}' is read as one text, for there is no space after the colon",
                location,
                f"write '{mended}'",
                fix=self.reader.replacement(node, declared, mended),
            )
            return True
        first, _, rest = declared.replace("=", " ").replace(",", " ").partition(" ")
        rest = rest.strip(" ()").removeprefix("default").lstrip(": ")
        if first not in _TYPES or not rest:
            return False
        sure = keys.is_number(rest) and first in _NUMBER_TYPES
        self.reader.note(
            "lost-default",
            f"the type is read as '{declared}', and there is no default",
            location,
            f"write '{{type: {first}, default: {rest}}}'",
            fix=self.reader.replacement(node, declared, f"{{type: {first}, default: {rest}}}")
            if sure
            else (),
        )
        return True

    def _check_default(self, name: str, declared: str, default: str | None, node: Any) -> None:
        if not isinstance(node, yaml.ScalarNode):
            if default and declared not in (*_NUMBER_TYPES, "bool", "boolean"):  # which refuse it anyway
                shown = default if len(default) <= 40 else f"{default[:40]}…"
                self.reader.note(
                    "compound-default",
                    f"the default of '{name}' is {kind_of(node)}; the command gets its Python text '{shown}'",
                    self.reader.source.at(node),
                    "write the text that the command is to get in quotes",
                )
            return
        if default is None and not node.value:
            self.reader.note(
                "lost-default",
                f"there is nothing after 'default', so that '{name}' needs a value",
                self.reader.source.at(node),
                "write the default, or leave 'default' out; '' is an empty text",
            )
        self._check_value(f"the default of '{name}'", declared, default, node)

    def _check_value(self, what: str, declared: str, value: str | None, node: Any) -> None:
        """Note where YAML turns what was written into something else, such as `yes` into `True`."""
        if node.style or value is None or not isinstance(node, yaml.ScalarNode):
            return
        if node.tag == "tag:yaml.org,2002:str":
            return
        written = self.reader.source.raw(node)
        if written == value or written.startswith(("&", "*", "!")):
            return
        if declared in ("bool", "boolean") and value in ("True", "False"):
            return  # it means what it says
        if _is_rewriting(declared, written, value):
            if f"0{written}" != value:  # .5 is so plainly 0.5 that nobody wants to hear of it
                self._rewritten.append((written, value, self.reader.source.at(node)))
            return
        if declared in _NUMBER_TYPES and value in ("True", "False"):
            return  # which is no number, and reported as such
        self.reader.note(
            "yaml-changes-value",
            f"YAML reads '{written}', {what}, as '{value}'",
            self.reader.source.at(node),
            f"write {value}"
            if declared in _NUMBER_TYPES and keys.is_number(value)
            else f"write '{written}' in quotes to keep it",
        )

    def _choices(self, name: str, declared: str, entries: Entries) -> tuple[str, ...]:
        node = entries["choices"][1]
        if (
            not isinstance(node, yaml.SequenceNode)
            or not node.value
            or not all(isinstance(item, yaml.ScalarNode) for item in node.value)
        ):
            self.reader.note(
                "choices-not-a-list",
                f"'choices' of '{name}' must be a list of values, not "
                + (
                    "a list of lists or mappings"
                    if isinstance(node, yaml.SequenceNode) and node.value
                    else "an empty list"
                    if isinstance(node, yaml.SequenceNode)
                    else kind_of(node)
                ),
                self.reader.source.at(node),
                "write choices: [one, two]",
            )
            return ()
        choices = []
        for item in node.value:
            text = self.reader.text_of(item) or ""
            self._check_value(f"a choice of '{name}'", declared, text, item)
            choices.append(text)
        return tuple(choices)

    def _is_bare(self, name: str, key: Any, value: Any, entries: Entries) -> bool:
        """Note a type or a default that stands in `{…}` without a key; return whether this is one."""
        location = self.reader.source.at(key)
        if name in _TYPES and not {"type", "default"} & set(entries):
            default = (
                f", default: {value.value}" if isinstance(value, yaml.ScalarNode) and value.value else ""
            )
            if default:
                self.reader.note(
                    "lost-type",
                    f"'{name}' stands where a key belongs, so there is no type",
                    location,
                    f"write '{{type: {name}{default}}}'",
                )
                return True
        if not is_empty(value):
            return False
        written = self.reader.source.raw(key)
        if (
            keys.is_number(written)
            and "default" in entries
            and "," in self.reader.source.text[: key.start_mark.index]
        ):
            self.reader.note(
                "unknown-key",
                f"unknown key '{written}': the comma before it ends the value",
                location,
                "write a number without a comma, and a text that holds one in quotes",
            )
            return True
        if name in _TYPES and "type" not in entries:
            lost = "type"
        elif (keys.is_number(written) or (key.style and not _KEY.match(name))) and "default" not in entries:
            lost = "default"
        else:
            return False
        mark = key.start_mark
        self.reader.note(
            f"lost-{lost}",
            f"{written} stands without a key, so the {lost} is lost",
            location,
            f"write '{lost}: {written}'",
            fix=(Edit(mark.line + 1, mark.column + 1, 0, f"{lost}: "),),
        )
        return True


def _also(places: Iterable[Location]) -> str:
    """Return the beginning of a hint that names the lines of all places but the first."""
    lines = list(dict.fromkeys(str(place.line) for place in places))[1:]
    return f"also on line{'s' * (len(lines) > 1)} {', '.join(lines)}; " if lines else ""


def _is_rewriting(declared: str, written: str, value: str) -> bool:
    """Return whether YAML changed the form of a value alone: the same number, or a boolean in other letters."""
    if written.lower() == value.lower() and value in ("True", "False"):
        return declared not in _NUMBER_TYPES
    if declared not in _NUMBER_TYPES:
        return False
    if written.lower().lstrip("+-.") in ("inf", "nan"):
        return True
    return keys.is_number(written) and keys.is_number(value) and float(written) == float(value)
