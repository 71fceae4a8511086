"""`dioptra list-entry-points`: what can be run in a project, and with which parameters."""

from __future__ import annotations

import sys
from typing import Any

import click

from dioptra_cli.cli import completion, output
from dioptra_cli.cli.options import project_argument
from dioptra_cli.cli.projects import located
from dioptra_cli.errors import Level
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.model import EntryPoint, Parameter, Project
from dioptra_cli.mlproject.selection import require_declared
from dioptra_cli.parameters.secrets import shown


@click.command(name="list-entry-points")
@project_argument
@click.option(
    "-e",
    "--entry-point",
    metavar="NAME",
    shell_complete=completion.entry_points,
    help="Show only this entry point.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def command(project: str, entry_point: str | None, as_json: bool) -> None:
    """List the entry points of PROJECT with their parameters.

    PROJECT is a directory with an MLproject file, the file itself, a git URL or an archive.
    """
    found = located(project)
    loaded, problems = loader.require(found.directory)
    if entry_point is not None and not as_json:
        chosen = require_declared(loaded, entry_point)
        from dioptra_cli.cli import entry_point_help

        called = found.name if found.is_fetched else project
        entry_point_help.show(loaded, chosen, problems, entry_point_help.run_call(called, entry_point))
        return
    shown = (
        list(loaded.entry_points.values()) if entry_point is None else [require_declared(loaded, entry_point)]
    )
    # Where there is nothing to show, a warning may say why: a misspelled key, for one.
    said = (Level.ERROR,) if loaded.entry_points else (Level.ERROR, Level.WARNING)
    output.problems((p for p in problems if p.level in said), sys.stderr)
    if as_json:
        import json  # a table needs none of it

        click.echo(json.dumps(_as_json(loaded, shown), indent=2, ensure_ascii=False))
    else:
        _show(shown)


def _show(entry_points: list[EntryPoint]) -> None:
    """Print entry points and their parameters as tables on standard output."""
    width = output.terminal_width()
    for position, entry_point in enumerate(entry_points):
        if position:
            output.say("", sys.stdout)
        title = click.style(entry_point.name, fg="green", bold=True)
        about = entry_point.description or ""
        if output.width_of(f"{entry_point.name}  {about}") <= width:
            output.say(f"{title}  {about}".rstrip(), sys.stdout)
        else:
            lines = output.wrapped(about, width - 2) if about else []
            output.say("\n  ".join([title, *lines]), sys.stdout)
        if not entry_point.parameters:
            output.say("  no parameters", sys.stdout)
            continue
        rows = [_row(parameter) for parameter in entry_point.parameters.values()]
        columns = 4 if any(row[3] for row in rows) else 3
        headers = ("PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION")[:columns]
        for line in output.table(headers, (row[:columns] for row in rows), width - 2):
            output.say(f"  {line}", sys.stdout)


def _row(parameter: Parameter) -> tuple[str, str, str, str]:
    if parameter.default is None:
        default = "(required)"
    elif parameter.default == "":
        default = "''"
    else:
        default = shown(parameter.name, parameter.default)
        default = default if default.isprintable() else repr(default)
    about = [parameter.description] if parameter.description else []
    if parameter.choices:
        about.append("one of " + ", ".join(parameter.choices))
    return parameter.name, parameter.type, default, "; ".join(about)


def _as_json(project: Project, entry_points: list[EntryPoint]) -> dict[str, Any]:
    return {
        "project": project.name,
        "directory": project.directory,
        "file": project.file,
        "entry_points": [
            {
                "name": entry_point.name,
                "description": entry_point.description,
                "command": entry_point.command,
                "parameters": [
                    {
                        "name": parameter.name,
                        "type": parameter.type,
                        "required": parameter.required,
                        "default": parameter.default and shown(parameter.name, parameter.default),
                        "description": parameter.description,
                        "choices": list(parameter.choices) or None,
                    }
                    for parameter in entry_point.parameters.values()
                ],
            }
            for entry_point in entry_points
        ],
    }
