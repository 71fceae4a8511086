"""The typed model of an MLproject file: what it declares, and where each thing stands in it.

Plain frozen data. It holds what the file says, not what values mean (`dioptra_cli.parameters`) nor what is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from dioptra_cli.errors import Location, Problem
from dioptra_cli.mlproject.ignores import NOTHING, Ignores

STANDARD_TYPES = ("string", "float", "path", "uri")
"""The four types that the MLproject format defines."""

EXTRA_TYPES = ("int", "integer", "str", "bool", "boolean", "number", "double")
"""Types that most real projects write although the format does not define them."""

Locate = Callable[[int], Location]
"""Maps an offset in a command (characters, from 0) to its place in the file."""


class Parameter(NamedTuple):
    """One declared parameter of an entry point.

    Attributes:
        name: Its name, as placeholders and `-P` use it.
        type: The type as the file writes it; `string` where it writes none.
        default: The text that stands in for a missing value, `str()` of the YAML value as MLflow renders it;
            None when a value is required. An empty text is a real default.
        description: What it is for.
        choices: The values that are allowed; empty when any is.
        location: Where it is declared.
        default_location: Where its default stands.
    """

    name: str
    type: str
    default: str | None
    location: Location
    default_location: Location | None = None
    description: str | None = None
    choices: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """Whether a value has to be given."""
        return self.default is None


class EntryPoint(NamedTuple):
    """A named command with declared parameters.

    Attributes:
        name: Its name.
        parameters: The declared parameters by name, in the order of the file.
        command: The command template; None where the file gives none that could run.
        location: Where it is declared.
        locate: Maps an offset in `command` to its place in the file.
        description: What it does.
        style: How the command is written: `|`, `>`, `'`, `"`, or nothing for plain text.
    """

    name: str
    parameters: Mapping[str, Parameter]
    command: str | None
    location: Location
    locate: Locate
    description: str | None = None
    style: str = ""


class Environment(NamedTuple):
    """The software environment that a project asks for.

    Attributes:
        kind: `docker_env`, `conda_env` or `python_env`.
        reference: The image, or the environment file relative to the project.
    """

    kind: str
    reference: str


class Project(NamedTuple):
    """A directory with an MLproject file.

    Attributes:
        directory: The absolute path of the project.
        file: The path of the MLproject file, as messages show it; None when the directory has none.
        name: The name that the file gives, or the directory's.
        entry_points: The entry points by name, in the order of the file.
        environment: The environment that it asks for, if any.
        source: The text of the file.
        ignores: What its comments silence.
    """

    directory: str
    file: str | None
    name: str
    entry_points: Mapping[str, EntryPoint]
    environment: Environment | None = None
    source: str = ""
    ignores: Ignores = NOTHING


class Loaded(NamedTuple):
    """What reading a file gave.

    Attributes:
        project: The project; None if MLflow would refuse the file.
        problems: Everything noticed on the way, but for what the file's comments silence.
        source: The text of the file.
        partial: As much of the project as could be read, even where MLflow would refuse it: for help, never to run.
    """

    project: Project | None
    problems: tuple[Problem, ...]
    source: str = ""
    partial: Project | None = None
