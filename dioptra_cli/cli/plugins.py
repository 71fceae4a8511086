"""`dioptra plugins list`: the task plugins that an entry point would find, and those that cannot be imported."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click

from dioptra_cli.cli import job, output
from dioptra_cli.cli.options import job_options, project_argument
from dioptra_cli.errors import ExitCode, Problem, UsageError
from dioptra_cli.execution import environment
from dioptra_cli.execution.plugins import (
    DEFAULT_TIMEOUT,
    FailedPlugin,
    PluginListing,
    TaskPlugin,
    list_plugins,
)
from dioptra_cli.execution.process import SignalGuard, interruptible
from dioptra_cli.tracking import uris

_HANGING = " " * 6


@click.group(name="plugins")
def command() -> None:
    """Look at task plugins."""


@command.command(name="list")
@project_argument
@job_options
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="Stop after so long, at the module that is being imported.",
)
@click.option("--no-builtins", is_flag=True, help="Leave out the built-in plugins.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def list_command(**options: Any) -> int:
    """List the task plugins that an entry point of PROJECT would find.

    Every module of the plugin directories is imported, by the Python and in the environment of an entry point. The
    exit code is 1 when one of them cannot be imported, unless it is a built-in one that needs a package which is
    not installed.
    """
    return _list(_Options(**options))


@dataclass(frozen=True)
class _Options(job.JobOptions):
    """What was asked for on the command line; the fields are click's names of the options above."""

    project: str
    timeout: float
    no_builtins: bool
    as_json: bool


def _list(options: _Options) -> int:
    caller = os.getcwd()
    directory = os.path.abspath(options.project)
    if os.path.isfile(directory):
        directory = os.path.dirname(directory)
    if not os.path.isdir(directory):
        raise UsageError(Problem("no-project", f"there is no directory '{options.project}'"))
    base = environment.snapshot()
    with interruptible():
        settings = job.job_settings(options, base, directory, caller)
        named = options.tracking_uri or base.get(environment.TRACKING_URI)
        # No run is made: finding out MLflow's default would import it, which takes longer than all the rest.
        tracking_uri = uris.absolute(named, caller) if named else None
        with (
            job.downloaded(
                settings.remote,
                storage_directory=options.storage_dir,
                tracking_uri=tracking_uri,
                base=base,
                caller=caller,
                quiet=options.as_json,
            ) as copies,
            SignalGuard() as guard,
        ):
            settings = settings.with_downloads(copies)
            added = environment.additions(base, settings, tracking_uri=tracking_uri)
            env = environment.merged(base, added)
            listing = list_plugins(env, cwd=directory, guard=guard, timeout=options.timeout)
    directories = environment.split_directories(env.get(environment.PLUGIN_DIR))
    if options.no_builtins:
        listing = _without_builtins(listing)
        directories = [directory for directory in directories if directory != environment.BUILTIN_PLUGINS]
    if options.as_json:
        whole = {"directories": directories, **dataclasses.asdict(listing)}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        _show(listing, directories)
    return ExitCode.OK if all(failure.optional for failure in listing.failures) else ExitCode.INVALID


def _without_builtins(listing: PluginListing) -> PluginListing:
    built_in = environment.BUILTIN_PLUGINS
    return dataclasses.replace(
        listing,
        tasks=tuple(task for task in listing.tasks if task.directory != built_in),
        failures=tuple(failure for failure in listing.failures if failure.directory != built_in),
        hidden=tuple(module for module in listing.hidden if module.directory != built_in),
    )


def _show(listing: PluginListing, directories: list[str]) -> None:
    """Print the tasks by package, then what cannot be imported and why."""
    sections = [_package(*place, tasks) for place, tasks in _by_package(listing.tasks).items()]
    if not sections:
        sections.append([f"no task plugins in {', '.join(directories) or 'the project'}"])
    failed = [failure for failure in listing.failures if not failure.optional]
    if failed:
        lines = (line for failure in failed for line in _failure(failure, listing))
        sections.append([click.style("cannot be imported", fg="red", bold=True), *lines])
    lacking = [(f.module, f.missing_package or f.message) for f in listing.failures if f.optional]
    if lacking:
        title = click.style("built in, for when a package is installed", bold=True)
        rows = output.table(("MODULE", "NEEDS"), lacking, output.terminal_width() - 2)
        sections.append([title, *(f"  {row}" for row in rows)])
    if listing.hidden:
        title = click.style("not imported, as another module has the same name", fg="yellow", bold=True)
        found = (
            line for m in listing.hidden for line in (f"  {m.module}  {m.file}", f"    hidden by {m.by}")
        )
        sections.append([title, *found])
    output.say("\n\n".join("\n".join(lines) for lines in sections), sys.stdout)


def _by_package(tasks: Iterable[TaskPlugin]) -> dict[tuple[str, str], list[TaskPlugin]]:
    found: dict[tuple[str, str], list[TaskPlugin]] = {}
    for task in tasks:
        found.setdefault((task.directory, task.package), []).append(task)
    return found


def _package(directory: str, package: str, tasks: Iterable[TaskPlugin]) -> list[str]:
    origin = "built in" if directory == environment.BUILTIN_PLUGINS else directory
    title = click.style(package or "(no package)", fg="green", bold=True)
    return [f"{title}  {origin}", *(line for task in tasks for line in _task(task))]


def _task(task: TaskPlugin) -> list[str]:
    name = f"{task.plugin}.{task.function}"
    results = f"  ({task.nout} results)" if task.nout is not None else ""
    first, *more = _wrapped(f"{name}{task.signature}{results}", "  ")
    lines = [first.replace(name, click.style(name, bold=True), 1), *more]
    lines += _wrapped(task.description, _HANGING)
    lines.append(click.style(_HANGING + _place(task.file, task.line, task.directory), dim=True))
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        output.terminal_width(),
        initial_indent=indent,
        subsequent_indent=_HANGING,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _failure(failure: FailedPlugin, listing: PluginListing) -> list[str]:
    place = _place(failure.file, failure.line, failure.directory)
    lines = [
        f"  {click.style(failure.module, bold=True)}  {place} in {failure.directory}",
        f"    {failure.error}: {failure.message}",
    ]
    if failure.missing_package is not None:
        lines.append(
            f"    {listing.python} (Python {listing.version}) has no package '{failure.missing_package}'"
        )
    return lines


def _place(file: str, line: int | None, directory: str) -> str:
    """Return where something is, below its plugin directory if it can be."""
    inside = file.removeprefix(os.path.join(directory, ""))
    return inside if line is None else f"{inside}:{line}"
