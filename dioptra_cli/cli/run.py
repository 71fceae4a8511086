"""`dioptra run`: its options. What they mean is `running`'s business.

That is imported only to run: to complete these options and to show the help of an entry point takes half as long
without what it needs.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from dioptra_cli.cli import completion
from dioptra_cli.cli.options import project_argument, recording_options
from dioptra_cli.cli.projects import located
from dioptra_cli.errors import ExitCode
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.selection import select


@click.command(name="run")
@project_argument
@click.option(
    "-e",
    "--entry-point",
    metavar="NAME",
    shell_complete=completion.entry_points,
    help="The entry point, or a .py or .sh file of the project. [default: main, or the only one]",
)
@click.option(
    "-P",
    "--param-list",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    shell_complete=completion.parameters,
    help="A parameter; repeatable.",
)
@click.option(
    "--params-file", metavar="FILE", type=click.Path(), help="Parameters from a YAML or JSON file; -P wins."
)
@click.option(
    "-v", "--version", metavar="REF", help="Run the project as it is at a git branch, tag or commit."
)
@click.option("--run-id", metavar="ID", help="Continue this run instead of creating one.")
@recording_options
@click.option("--help-entry-point", is_flag=True, help="Show the parameters of the entry point, and exit.")
def command(help_entry_point: bool, **options: Any) -> int:
    """Run one entry point of PROJECT under an MLflow run.

    PROJECT is a directory with an MLproject file, or the file itself, or the URL of a git repository, or an archive,
    each with #subdirectory where it is not at the top. Everything is checked before anything is created or started.
    The exit code is the command's own; 2 says that the call is wrong, 124 that the time was up, 125 that dioptra
    could not do its part.
    """
    if help_entry_point:
        return _show_help(options["project"], options["entry_point"], options["version"])
    from dioptra_cli.cli import running

    return running.run(running.Options(**options))


def _show_help(project: str, entry_point: str | None, version: str | None) -> int:
    """Show what the entry point takes; `version` is the git commit to look at instead of the files as they are."""
    from dioptra_cli.cli import entry_point_help

    place = located(project, version)
    loaded, found = loader.require(place.directory)
    chosen = select(loaded, entry_point, python=sys.executable).entry_point
    call = entry_point_help.run_call(
        place.name if place.is_fetched else project, chosen.name, version=version
    )
    entry_point_help.show(loaded, chosen, found, call)
    return ExitCode.OK
