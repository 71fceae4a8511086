"""`dioptra run`: its options. What they mean is `running`'s business.

That is imported only to run: to complete these options and to show the help of an entry point takes half as long
without what it needs.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import click

from dioptra_cli.cli import completion
from dioptra_cli.cli.options import job_options, project_argument
from dioptra_cli.errors import ExitCode
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.selection import select


def _finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse `nan`, which is in every range, and `inf`."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of seconds", ctx, param)
    return value


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
    "-v", "--version", metavar="COMMIT", help="Run the project as it was at a git commit or branch."
)
@click.option(
    "--experiment-name", metavar="NAME", help="The experiment; created if there is none of that name."
)
@click.option("--experiment-id", metavar="ID", help="The experiment by id.")
@click.option("--run-name", metavar="NAME", help="A name for the run.")
@click.option("--run-id", metavar="ID", help="Continue this run instead of creating one.")
@click.option("--parent-run-id", metavar="ID", help="The run that this one belongs under.")
@click.option("--tag", "tags", metavar="K=V", multiple=True, help="A tag for the run; repeatable.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    callback=_finite,
    help="Stop it after this.",
)
@job_options
@click.option("--dry-run", is_flag=True, help="Show what would run; create, fetch and start nothing.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object about the run on standard output at the end. The command's own output goes to "
    "standard error then.",
)
@click.option("--help-entry-point", is_flag=True, help="Show the parameters of the entry point, and exit.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--verbose", is_flag=True, help="Say more: the command, the environment, the downloads.")
def command(help_entry_point: bool, **options: Any) -> int:
    """Run one entry point of PROJECT under an MLflow run.

    PROJECT is a directory with an MLproject file, or the file itself. Everything is checked before anything is
    created or started. The exit code is the command's own; 2 says that the call is wrong, 124 that the time was
    up, 125 that dioptra could not do its part.
    """
    if help_entry_point:
        return _show_help(options["project"], options["entry_point"], options["version"])
    from dioptra_cli.cli import running

    return running.run(running.Options(**options))


def _show_help(project: str, entry_point: str | None, version: str | None) -> int:
    """Show what the entry point takes; `version` is the git commit to look at instead of the files as they are."""
    from dioptra_cli.cli import entry_point_help

    directory = project
    if version is not None:
        from dioptra_cli.cli import running

        directory = running.revision(project, version).directory
    loaded, found = loader.require(directory)
    chosen = select(loaded, entry_point, python=sys.executable).entry_point
    call = entry_point_help.run_call(project, chosen.name, version=version)
    entry_point_help.show(loaded, chosen, found, call)
    return ExitCode.OK
