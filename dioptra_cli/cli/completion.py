"""Shell completion of projects, entry points and parameter names. Silent: a broken project completes nothing."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from dioptra_cli.errors import DioptraError
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.model import EntryPoint, Project


def projects(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a project: directories, and MLproject files."""
    del ctx, param
    directory, partial = os.path.split(incomplete)
    try:
        names = sorted(os.listdir(directory or "."))
    except OSError:
        return []
    found = []
    for name in names:
        path = os.path.join(directory, name)
        if not name.startswith(partial) or (name.startswith(".") and not partial.startswith(".")):
            continue
        if os.path.isdir(path) or name.lower() == loader.FILE_NAME.lower():
            found.append(CompletionItem(path, type="dir" if os.path.isdir(path) else "plain"))
    return found


def entry_points(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an entry point of the project."""
    del param
    project = _project(ctx)
    if project is None:
        return []
    return [
        CompletionItem(name, help=entry_point.description)
        for name, entry_point in project.entry_points.items()
        if name.startswith(incomplete)
    ]


def parameters(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete `NAME=` for the parameters of the entry point, and `NAME=CHOICE` where there are choices."""
    del param
    entry_point = _entry_point(ctx)
    if entry_point is None:
        return []
    name, equals, _ = incomplete.partition("=")
    if equals:
        parameter = entry_point.parameters.get(name)
        choices = parameter.choices if parameter else ()
        return [CompletionItem(f"{name}={c}") for c in choices if f"{name}={c}".startswith(incomplete)]
    return [
        CompletionItem(f"{parameter.name}=", help=parameter.description or parameter.type)
        for parameter in entry_point.parameters.values()
        if parameter.name.startswith(incomplete)
    ]


def _project(ctx: click.Context) -> Project | None:
    try:
        return loader.load(ctx.params.get("project") or ".").project
    except (DioptraError, OSError):
        return None


def _entry_point(ctx: click.Context) -> EntryPoint | None:
    project = _project(ctx)
    if project is None:
        return None
    entry_points = project.entry_points
    name = ctx.params.get("entry_point") or ("main" if "main" in entry_points else None)
    if name is None and len(entry_points) == 1:
        return next(iter(entry_points.values()))
    return entry_points.get(name) if name is not None else None


def checks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the code of a check."""
    del ctx, param
    from dioptra_cli.mlproject import catalogue

    return [
        CompletionItem(check.code, help=check.summary)
        for check in catalogue.CHECKS
        if check.code.startswith(incomplete.upper())
    ]
