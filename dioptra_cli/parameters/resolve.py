"""How given values, defaults and types come together into the values of a run.

Pure but for looking whether paths exist. Every problem is collected; nothing is created, fetched or started.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from dioptra_cli.errors import Level, Location, Problem, did_you_mean
from dioptra_cli.mlproject.catalogue import level_of
from dioptra_cli.mlproject.model import EntryPoint, Parameter, Project
from dioptra_cli.parameters.types import Coerced, Mismatch, coerce, same_value

_RECORDABLE = re.compile(r"[/\w.\- :]+")
"""The names that MLflow can record a parameter under (`mlflow.utils.validation`)."""
_LONGEST_SHOWN = 120
_NONE = "None"


class Origin(str, Enum):
    """Where a value came from."""

    COMMAND_LINE = "-P"
    FILE = "--params-file"
    DEFAULT = "default"
    RECORDED = "recorded"


class Given(NamedTuple):
    """A value that the caller gave, or that a run is repeated with.

    Attributes:
        text: Its text.
        origin: On the command line, in a file of parameters, or in the recorded run.
        location: Where it stands, when it came from a file.
    """

    text: str
    origin: Origin = Origin.COMMAND_LINE
    location: Location | None = None


class Value(NamedTuple):
    """One parameter of a run.

    Attributes:
        name: The parameter.
        type: Its declared type; `string` for an undeclared one.
        given: The text as the user or the file wrote it. This is what is recorded.
        text: What the command gets. For a remote path it is the URI until `downloaded` sets the local copy.
        origin: Where the value came from.
        declared: Whether the entry point declares the parameter; others are appended to the command.
        remote: Whether `text` is a URI that is still to be downloaded.
        location: Where the value stands in a file, if it does.
    """

    name: str
    type: str
    given: str
    text: str
    origin: Origin
    declared: bool = True
    remote: bool = False
    location: Location | None = None

    def downloaded(self, local: str) -> Value:
        """Return the value with its local copy in place of the URI."""
        return self._replace(text=local, remote=False)


class Resolution(NamedTuple):
    """The values of a run, and what is wrong with them. Usable only if no problem is an error."""

    values: tuple[Value, ...]
    problems: tuple[Problem, ...]


def resolve(
    entry_point: EntryPoint,
    given: Mapping[str, Given],
    *,
    caller_directory: str,
    project_directory: str,
    script: bool = False,
) -> Resolution:
    """Decide the value of each parameter, and check it against its type.

    | `-P` | `--params-file` | default | value                         | relative paths belong to |
    |------|-----------------|---------|-------------------------------|--------------------------|
    | yes  | any             | any     | the one of `-P`               | the caller's directory   |
    | no   | yes             | any     | the one of the file           | the caller's directory   |
    | no   | no              | yes     | the default, even an empty one| the project              |
    | no   | no              | no      | a problem: it is required     |                          |

    Args:
        entry_point: What is to be run.
        given: The values that the caller gave, `-P` already winning over the file.
        caller_directory: Absolute; where `dioptra` was called.
        project_directory: Absolute.
        script: Whether the entry point is a bare script, for which every parameter is undeclared on purpose.

    Returns:
        The values, declared ones first in their order, and all problems.
    """
    values: list[Value] = []
    problems: list[Problem] = []
    for parameter in entry_point.parameters.values():
        value = given.get(parameter.name)
        if value is None and parameter.default is None:
            problems.append(_missing(parameter, entry_point, given))
            continue
        base = project_directory if value is None else caller_directory
        chosen = value or Given(parameter.default or "", Origin.DEFAULT, parameter.default_location)
        checked = _check(parameter, chosen, base)
        if isinstance(checked, Problem):
            if value is None and parameter.type == "path":  # the project is right where its data is
                hint = f"give one with -P {parameter.name}=…"
                checked = replace(checked, hint=f"{checked.hint}; {hint}" if checked.hint else hint)
            problems.append(replace(checked, entry_point=entry_point.name))
        else:
            values.append(checked)
    for name, value in given.items():
        if name in entry_point.parameters:
            continue
        near = did_you_mean(name, entry_point.parameters)
        if not _RECORDABLE.fullmatch(name):
            problems.append(_unrecordable(name, value.location))
        elif not script:
            problems.append(
                Problem(
                    "undeclared-parameter",
                    f"parameter '{name}' is not declared by '{entry_point.name}'; "
                    f"'--{name}' is appended to its command",
                    value.location,
                    Level.WARNING,
                    near,
                    entry_point.name,
                )
            )
        values.append(
            Value(
                name, "string", value.text, value.text, value.origin, declared=False, location=value.location
            )
        )
    return Resolution(tuple(values), tuple(problems))


def check_declarations(project: Project) -> Iterator[Problem]:
    """Yield what is wrong with the declared parameters themselves: names, defaults, choices.

    A `path` default is not looked up: the file is valid where the data is not.
    """
    for entry_point in project.entry_points.values():
        for parameter in entry_point.parameters.values():
            if not _is_beyond_doubt(parameter, project.directory):
                for problem in _declaration_problems(parameter, project.directory):
                    yield replace(problem, level=level_of(problem.name), entry_point=entry_point.name)


def _is_beyond_doubt(parameter: Parameter, directory: str) -> bool:
    """Return whether nothing is wrong with a parameter, as with most of them."""
    name, default = parameter.name, parameter.default
    if parameter.choices or not (name.isidentifier() and name.isascii()):
        return False
    if default is None or parameter.type in ("string", "path"):
        return True
    try:
        coerce(parameter.type, default, directory)
    except Mismatch:
        return False
    return default != _NONE


def _declaration_problems(parameter: Parameter, directory: str) -> Iterator[Problem]:
    name = parameter.name
    if name.endswith(("{type", "{default")):
        pass  # a slip of YAML that reading has told
    elif not _RECORDABLE.fullmatch(name):
        yield _unrecordable(name, parameter.location)
    elif reason := _unusable(name):
        yield Problem(
            "unusable-parameter-name",
            f"the parameter name '{name}' {reason}",
            parameter.location,
            hint="letters, digits, '_' and '-' work everywhere",
        )
    anything_goes = parameter.type == "path" or (parameter.type == "string" and not parameter.choices)
    if parameter.default is not None and not anything_goes:
        default = Given(parameter.default, Origin.DEFAULT, parameter.default_location)
        checked = _coerced(parameter, default, directory)
        if isinstance(checked, Problem):
            yield checked
        elif parameter.default == _NONE and parameter.type not in ("uri", "string", "str"):
            yield Problem(
                "none-default",
                f"the default of '{name}' (type {parameter.type}) is the text 'None'; YAML has no None",
                parameter.default_location,
                hint="it is passed on as that text; leave the default out to make a value required",
            )
    for choice in parameter.choices:
        try:
            coerce("uri" if parameter.type == "path" else parameter.type, choice, directory)
        except Mismatch as mismatch:
            yield Problem(
                "wrong-choice",
                f"choice of parameter '{name}' (type {parameter.type}): {_shown(choice)} {mismatch.reason}",
                parameter.location,
                hint=mismatch.hint,
            )


def _unusable(name: str) -> str | None:
    """Return what a name cannot do although it can be recorded, or None."""
    if name.startswith("-"):
        return "begins with '-': as an option it would have too many"
    if name.isdecimal():
        return "is a number, which other tools take for a position in the command"
    if any(char in name for char in ".:"):
        return "cannot stand in a placeholder, where '.' and ':' have a meaning of their own"
    if " " in name:
        return "has a space, which no option can have"
    return None


def _check(parameter: Parameter, given: Given, base: str) -> Value | Problem:
    coerced = _coerced(parameter, given, base)
    if isinstance(coerced, Problem):
        return coerced
    return Value(
        parameter.name,
        parameter.type,
        given.text,
        coerced.text,
        given.origin,
        remote=coerced.remote,
        location=given.location,
    )


def _coerced(parameter: Parameter, given: Given, base: str) -> Coerced | Problem:
    """Return what the type of a parameter makes of a value, or what is wrong with it."""
    is_default = given.origin is Origin.DEFAULT
    where = "default of parameter" if is_default else "parameter"
    try:
        # Many files write None for "no value", and their scripts know what to do with the text.
        type_name = (
            "string" if is_default and given.text == _NONE and parameter.type != "path" else parameter.type
        )
        coerced = coerce(type_name, given.text, base)
    except Mismatch as mismatch:
        return Problem(
            "wrong-default" if is_default else "wrong-type",
            f"{where} '{parameter.name}' (type {parameter.type}): {_shown(given.text)} {mismatch.reason}",
            given.location,
            hint=mismatch.hint,
        )
    if parameter.choices and not any(same_value(parameter.type, given.text, c) for c in parameter.choices):
        return Problem(
            "default-not-a-choice" if is_default else "not-a-choice",
            f"{where} '{parameter.name}': {_shown(given.text)} is not one of its choices",
            given.location,
            hint=did_you_mean(given.text, parameter.choices) or "choices: " + ", ".join(parameter.choices),
        )
    return coerced


def _missing(parameter: Parameter, entry_point: EntryPoint, given: Mapping[str, Given]) -> Problem:
    undeclared = [name for name in given if name not in entry_point.parameters]
    near = did_you_mean(parameter.name, undeclared)
    hint = f"add -P {parameter.name}=…"
    if near:
        hint = (
            f"-P {near.removeprefix('did you mean ').rstrip('?')} is close to it, and no parameter of its own"
        )
    return Problem(
        "missing-parameter",
        f"parameter '{parameter.name}' (type {parameter.type}) needs a value",
        parameter.location,
        hint=hint,
        entry_point=entry_point.name,
    )


def _unrecordable(name: str, location: Location | None) -> Problem:
    return Problem(
        "parameter-name",
        f"the parameter name {_shown(name)} cannot be recorded",
        location,
        hint="a name may hold letters, digits, '_', '-', '.', ':', '/' and spaces",
    )


def _shown(text: str) -> str:
    """Quote a value for a message: whole if short, on one line."""
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return f"'{shown}'" if shown.isprintable() else repr(shown)
