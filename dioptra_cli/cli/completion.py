"""What shells may complete: projects, entry points, parameters, checks. Silent: a broken project completes nothing.

Each function is click's hook for one option or argument. How a shell asks and is answered is `complete`'s business.
The commands import this module for its hooks, so what they need is imported when somebody presses Tab.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from dioptra_cli.errors import DioptraError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from dioptra_cli.mlproject.model import EntryPoint, Parameter, Project

_LARGEST_FILE = 100_000
"""Bytes of an MLproject file that are still read while somebody waits for a key to answer."""


def projects(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a project: directories, and MLproject files."""
    del ctx, param
    from dioptra_cli.mlproject.loader import FILE_NAME

    return paths(incomplete, lambda name: name.lower() == FILE_NAME.lower())


def paths(
    incomplete: str, wanted: Callable[[str], bool] | None = None, base: str = "."
) -> list[CompletionItem]:
    """Complete a path below `base`: directories, with a `/` behind them, and files, those whose name is `wanted`."""
    from click.shell_completion import CompletionItem

    directory, partial = os.path.split(incomplete)
    try:
        with os.scandir(os.path.join(base, _expanded(directory))) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError:
        return []
    return [
        CompletionItem(os.path.join(directory, name, *([""] * is_dir)), type="dir" if is_dir else "plain")
        for name, is_dir in found
        if name.startswith(partial)
        and (partial.startswith(".") or not name.startswith("."))
        and (is_dir or wanted is None or wanted(name))
    ]


def entry_points(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an entry point of the project; for `run`, else the path of a script in it."""
    del param
    from click.shell_completion import CompletionItem

    project = _project(ctx)
    if project is None:
        return []
    found = [
        CompletionItem(name, help=entry_point.description)
        for name, entry_point in project.entry_points.items()
        if name.startswith(incomplete)
    ]
    if not found and ctx.info_name == "run":
        return paths(incomplete, lambda name: name.endswith((".py", ".sh")), project.directory)
    return found


def parameters(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete `NAME=` for parameters that have no value yet, required ones first, and their values behind it."""
    from click.shell_completion import CompletionItem

    entry_point = _entry_point(ctx)
    if entry_point is None:
        return []
    name, equals, value = incomplete.partition("=")
    if equals:
        parameter = entry_point.parameters.get(name)
        found = [] if parameter is None else _values(parameter, value)
        return [CompletionItem(f"{name}={item.value}", type=item.type) for item in found]
    given = {text.partition("=")[0] for text in ctx.params.get(param.name or "") or ()}
    return [
        CompletionItem(f"{parameter.name}=", help=_about(parameter))
        for parameter in sorted(entry_point.parameters.values(), key=lambda p: not p.required)
        if parameter.name.startswith(name) and parameter.name not in given and "=" not in parameter.name
    ]


def checks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the code of a check or of a group, or a check's name; the last one of several behind commas."""
    del ctx
    from click.shell_completion import CompletionItem

    from dioptra_cli.mlproject.catalogue import CHECKS, GROUPS

    before, comma, last = incomplete.rpartition(",")
    known: Iterable[tuple[str, str]]
    if last[:1].islower():
        known = ((check.name, check.summary) for check in CHECKS)
    else:
        groups = () if param.name == "explain" else tuple(GROUPS.items())
        known = (*groups, *((check.code, check.summary) for check in CHECKS))
    return [
        CompletionItem(before + comma + text, help=about) for text, about in known if text.startswith(last)
    ]


def _values(parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    choices = parameter.choices
    if not choices and parameter.type in ("bool", "boolean"):
        choices = ("true", "false")
    if not choices and parameter.type in ("path", "uri"):
        return paths(incomplete)
    return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]


def _about(parameter: Parameter) -> str:
    kind = "required" if parameter.default is None else f"default {parameter.default or repr('')}"
    about = f"{parameter.type}, {kind}"
    return f"{parameter.description} ({about})" if parameter.description else about


def _project(ctx: click.Context) -> Project | None:
    from dioptra_cli.mlproject import loader

    target = _expanded(ctx.params.get("project") or ".")
    try:
        file = os.path.join(target, loader.find_file(target) or "") if os.path.isdir(target) else target
        # What is no file, such as a named pipe, might never come to an end.
        if not os.path.isfile(file) or os.path.getsize(file) > _LARGEST_FILE:
            return None
        return loader.load(target).project
    except (DioptraError, OSError):
        return None


def _entry_point(ctx: click.Context) -> EntryPoint | None:
    from dioptra_cli.mlproject.selection import DEFAULT_NAME

    project = _project(ctx)
    if project is None:
        return None
    entry_points = project.entry_points
    name = ctx.params.get("entry_point") or (DEFAULT_NAME if DEFAULT_NAME in entry_points else None)
    if name is None and len(entry_points) == 1:
        return next(iter(entry_points.values()))
    return entry_points.get(name) if name is not None else None


def _expanded(path: str) -> str:
    """Return the path that the shell would make of what was typed; one that exists as it stands is that one."""
    return path if os.path.lexists(path) else os.path.expanduser(os.path.expandvars(path))
