"""New entry points of an MLproject file: their model, their YAML, and where in a file that belongs.

Pure text and data; reads no file and parses no YAML. Whether an edited file still means what it did is for the loader
to say.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dioptra_cli.errors import Location
from dioptra_cli.mlproject.model import EntryPoint, Parameter
from dioptra_cli.scaffold import script

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null"})
_PLAIN_NUMBER = re.compile(r"0|-?[1-9]\d{0,15}|-?(0|[1-9]\d{0,5})\.\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class Declaration:
    """A parameter to declare: what the file is to say of it."""

    name: str
    type: str = "string"
    default: str | None = None
    description: str | None = None


def entry_point(
    name: str, parameters: Sequence[Declaration], file: str, description: str | None = None
) -> EntryPoint:
    """Return a new entry point that runs a Python script with an option for each parameter.

    Args:
        name: Its name.
        parameters: Its parameters.
        file: The script, relative to the project.
        description: What it does.
    """
    nowhere = Location("MLproject")
    declared = {
        p.name: Parameter(p.name, p.type, p.default, nowhere, None, p.description) for p in parameters
    }
    without = EntryPoint(name, declared, None, nowhere, lambda _: nowhere, description)
    words = [_as_literal(f"python {shlex.quote(file)}")]
    words += [
        f"{_as_literal(flag or '')} {{{parameter}}}" for parameter, flag in script.flags_of(without).items()
    ]
    command = " ".join(words) + ("\n" if len(words) > 1 else "")  # as YAML reads what `as_yaml` writes
    return EntryPoint(name, declared, command, nowhere, lambda _: nowhere, description)


def as_yaml(declared: EntryPoint, indent: int = 2, step: int = 2) -> str:
    """Return the lines that declare an entry point below `entry_points:`."""
    lines = [(0, f"{_name(declared.name)}:")]
    if declared.description:
        lines.append((1, f"description: {_text(declared.description)}"))
    if declared.parameters:
        lines.append((1, "parameters:"))
        lines += [(2, f"{_name(p.name)}: {_parameter(p)}") for p in declared.parameters.values()]
    words = re.split(" (?=--)", (declared.command or "").rstrip("\n"))
    if len(words) == 1:
        lines.append((1, f"command: {_text(words[0])}"))
    else:
        lines += [(1, "command: >"), *((2, word) for word in words)]
    return "".join(f"{' ' * (indent + step * depth)}{line}\n" for depth, line in lines)


def insert(text: str, entry_points: Sequence[EntryPoint], new: EntryPoint) -> str | None:
    """Return the text of an MLproject file with another entry point, after the last one that it declares.

    Args:
        text: The file, with line feeds alone at the ends of its lines.
        entry_points: What it declares.
        new: What to add.

    Returns:
        The text; None if the file declares its entry points otherwise than one below the other.
    """
    if not entry_points:
        return None
    places = sorted((e.location.line or 0, (e.location.column or 1) - 1) for e in entry_points)
    lines = text.split("\n")
    last, indent = places[-1]
    heads = [lines[line - 1] for line, _ in places]
    if indent == 0 or any(
        column != indent or head[:column].strip(" ") for head, (_, column) in zip(heads, places, strict=True)
    ):
        return None
    end = last
    for number, line in enumerate(lines[last:], start=last + 1):
        depth = len(line) - len(line.lstrip(" "))
        if depth > indent and line.strip():
            end = number
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    below = lines[last] if last < len(lines) else ""
    step = len(below) - len(below.lstrip(" ")) - indent
    block = as_yaml(new, indent, step if below.strip() and step > 0 else indent).rstrip("\n")
    spaced = len(places) == 1 or not lines[last - 2].strip() or lines[last - 2].lstrip().startswith("#")
    return "\n".join([*lines[:end], *([""] if spaced else []), block, *(lines[end:] or [""])])


def _as_literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) and name.lower() not in _YAML_WORDS else quoted(name)


def _text(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9 _./;-]*[A-Za-z0-9]", text) and text.lower() not in _YAML_WORDS
    return text if plain else quoted(text)


def quoted(text: str) -> str:
    """Return a double-quoted YAML scalar: a JSON string, with escapes for what YAML does not take as it is."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def _parameter(parameter: Parameter) -> str:
    pairs = [f"type: {parameter.type}"]
    if parameter.default is not None:
        number = parameter.type in ("float", "double", "number", "int", "integer")
        plain = number and _PLAIN_NUMBER.fullmatch(parameter.default) is not None
        plain = plain and str(json.loads(parameter.default)) == parameter.default
        pairs.append(f"default: {parameter.default if plain else quoted(parameter.default)}")
    if parameter.description:
        pairs.append(f"description: {quoted(parameter.description)}")
    return f"{{{', '.join(pairs)}}}" if len(pairs) > 1 else parameter.type
