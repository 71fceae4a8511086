"""Which entry point a name means: a declared one, or a script file of the project."""

from __future__ import annotations

import os
from typing import NamedTuple

from dioptra_cli.errors import Location, Problem, ProjectError, UsageError, did_you_mean
from dioptra_cli.mlproject.model import EntryPoint, Project

DEFAULT_NAME = "main"


class Selected(NamedTuple):
    """The entry point to run.

    Attributes:
        entry_point: A declared one, or one made up for a script.
        script: Whether it is a script file that the MLproject file does not declare.
    """

    entry_point: EntryPoint
    script: bool = False


def select(project: Project, name: str | None, *, python: str) -> Selected:
    """Return the entry point that `name` means.

    | name  | the project has            | result                                      |
    |-------|----------------------------|---------------------------------------------|
    | given | an entry point of the name | that one                                    |
    | given | a file of the name, `.py`  | the file, run with `python`                 |
    | given | a file of the name, `.sh`  | the file, run with bash                     |
    | none  | `main`                     | `main`                                      |
    | none  | one entry point            | that one                                    |
    | any   | anything else              | an error that names the near misses         |

    Args:
        project: Where to look.
        name: What the user asked for; None for the default.
        python: The interpreter for `.py` files.

    Raises:
        UsageError: There is no such entry point, or none was named among several.
        ProjectError: The project declares none at all.
    """
    declared = project.entry_points
    if name is None:
        if DEFAULT_NAME in declared:
            return Selected(declared[DEFAULT_NAME])
        if len(declared) == 1:
            return Selected(next(iter(declared.values())))
        if declared:
            raise UsageError(
                Problem(
                    "no-entry-point",
                    f"'{project.name}' has no entry point '{DEFAULT_NAME}'",
                    _place(project),
                    hint=f"choose one with -e: {', '.join(declared)}",
                )
            )
    elif name in declared:
        return Selected(declared[name])
    else:
        script = _script(project, name, python)
        if script is not None:
            return Selected(script, script=True)
    if not declared and project.file is None:
        raise ProjectError(
            Problem(
                "no-mlproject-file",
                f"there is no MLproject file in '{project.directory}'"
                + (f", and no script '{name}'" if name else ""),
                hint="add one, or name a .py or .sh file of the directory with -e",
            )
        )
    return Selected(require_declared(project, name or DEFAULT_NAME))


def require_declared(project: Project, name: str) -> EntryPoint:
    """Return the declared entry point `name`.

    Raises:
        UsageError: It is not declared; the message names the near misses.
    """
    declared = project.entry_points
    if name in declared:
        return declared[name]
    hint = did_you_mean(name, declared)
    if hint is None:
        hint = f"it has {', '.join(declared)}" if declared else "it declares none"
    if name.endswith((".py", ".sh")):
        hint += f"; there is no file {os.path.join(project.directory, name)} either"
    raise UsageError(
        Problem("no-entry-point", f"'{project.name}' has no entry point '{name}'", _place(project), hint=hint)
    )


def _script(project: Project, name: str, python: str) -> EntryPoint | None:
    interpreters = {".py": python, ".sh": "bash"}
    interpreter = interpreters.get(os.path.splitext(name)[1])
    if interpreter is None or not os.path.isfile(os.path.join(project.directory, name)):
        return None
    import shlex  # a declared entry point needs none of it

    # A name that starts with '-' would be an option to the interpreter.
    file = os.path.join(".", name) if name.startswith("-") else name
    location = Location(os.path.join(project.directory, name))
    text = f"{shlex.quote(interpreter)} {shlex.quote(file)}"
    return EntryPoint(name, {}, text.replace("{", "{{").replace("}", "}}"), location, lambda _: location)


def _place(project: Project) -> Location | None:
    return Location(project.file) if project.file else None
