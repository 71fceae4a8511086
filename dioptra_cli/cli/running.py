"""What `dioptra run` does until something is started: load, check, resolve, plan; `executing` does the rest."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from dioptra_cli.cli import job, output
from dioptra_cli.cli.options import name_value_pairs
from dioptra_cli.cli.projects import Located, located, require_valid
from dioptra_cli.errors import ExitCode, Level, Problem, printable
from dioptra_cli.execution import environment
from dioptra_cli.execution.environment import JobSettings
from dioptra_cli.execution.plan import Plan, make_plan, masker_of
from dioptra_cli.execution.process import interruptible
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.model import Project
from dioptra_cli.mlproject.selection import Selected, select
from dioptra_cli.parameters import resolve
from dioptra_cli.parameters.resolve import Given, Value
from dioptra_cli.parameters.secrets import Masker, shown
from dioptra_cli.tracking.protocol import RunRequest

if TYPE_CHECKING:
    from dioptra_cli.execution.source import Source
    from dioptra_cli.tracking.protocol import Tracker


@dataclass(frozen=True)
class Options(job.JobOptions):
    """What was asked for on the command line; the fields are click's names of the options of `run`."""

    project: str
    entry_point: str | None
    parameters: tuple[str, ...]
    params_file: str | None
    version: str | None
    experiment_name: str | None
    experiment_id: str | None
    run_name: str | None
    run_id: str | None
    parent_run_id: str | None
    tags: tuple[str, ...]
    timeout: float | None
    tracking_timeout: float
    capture: bool
    provenance: bool
    dry_run: bool
    as_json: bool
    quiet: bool
    verbose: bool


@dataclass(frozen=True)
class Prepared:
    """What was asked for, and the project that was found. Nothing is downloaded for it, made or started yet.

    Attributes:
        options: What was asked for.
        values: The parameters that are given.
        malformed: What is wrong with the options that give them.
        base: The environment of the caller.
        caller: Absolute; the directory of the caller.
        place: Where the project lies.
        project: What its MLproject file says.
        found: What is wrong with that.
        selected: The entry point.
    """

    options: Options
    values: Mapping[str, Given]
    malformed: Sequence[Problem]
    base: Mapping[str, str]
    caller: str
    place: Located
    project: Project
    found: Sequence[Problem]
    selected: Selected

    @property
    def tracking_uri(self) -> str | None:
        """Where the run is recorded; None for MLflow's default."""
        return _tracking_uri(self.options, self.base)

    @cached_property
    def masker(self) -> Masker:
        """What must be neither stored nor printed."""
        return _secrets(self.options, self.values, self.base, self.project)

    @cached_property
    def source(self) -> Source | None:
        """The state of the code, read once: what is compared is what is recorded."""
        from dioptra_cli.execution.source import read_source

        return read_source(self.project.directory) if self.place.is_work_tree else self.place.source

    @cached_property
    def settings(self) -> JobSettings:
        """The command's environment; remote plugin directories are still URIs. See `job.job_settings`."""
        return job.job_settings(self.options, self.base, self.project.directory, self.caller)


def run(options: Options) -> int:
    """Run one entry point; return the exit code of the process."""
    with interruptible():
        prepared = prepare(options, environment.snapshot())
    return launch(prepared)


def prepare(options: Options, base: Mapping[str, str]) -> Prepared:
    """Find the project, fetch it if it is elsewhere, and read it. From here on, no secret is printed.

    Args:
        options: What was asked for.
        base: The environment of the caller, before MLflow was set up in this process.

    Raises:
        UsageError: There is no such project, version or entry point.
        ProjectError: The project cannot be fetched or read, or is fetched and not valid.
        DownloadError: Its archive cannot be downloaded.
    """
    values, malformed = _values(options)
    output.hide(_secrets(options, values, base, None))  # a problem may quote them
    place = located(
        options.project,
        options.version,
        storage_dir=options.storage_dir,
        tracking_uri=_tracking_uri(options, base),
        quiet=options.quiet,
    )
    if place.is_fetched:
        require_valid(place.directory)
    project, found = loader.require(place.directory)
    output.hide(_secrets(options, values, base, project))
    selected = select(project, options.entry_point, python=sys.executable)
    return Prepared(options, values, malformed, base, os.getcwd(), place, project, found, selected)


def launch(
    prepared: Prepared, *, tracker: Tracker | None = None, extra_tags: Mapping[str, str] | None = None
) -> int:
    """Run what was prepared, or show it; return the exit code of the process.

    Args:
        prepared: What to run.
        tracker: Where to record it, if that is open already.
        extra_tags: Tags for the run beside those of the options.
    """
    options = prepared.options
    with interruptible():
        output.hide(prepared.masker)
        request, more = _request(options, prepared.base)
        plan = make_plan(
            prepared.project,
            prepared.selected,
            prepared.values,
            caller_directory=prepared.caller,
            found=prepared.found,
            malformed=[*prepared.malformed, *more],
        )
        if options.dry_run:
            _show_plan(plan, prepared)
            return ExitCode.OK
        if not options.quiet:
            output.problems(plan.warnings, sys.stderr)
            _say_environment(plan)
        request = request._replace(tags={**request.tags, **(extra_tags or {})})
        from dioptra_cli.cli import executing  # a call that is refused does not need it

    return executing.carry_out(prepared, plan, request, tracker)


def _tracking_uri(options: Options, base: Mapping[str, str]) -> str | None:
    return options.tracking_uri or base.get(environment.TRACKING_URI)


def _secrets(
    options: Options, values: Mapping[str, Given], base: Mapping[str, str], project: Project | None
) -> Masker:
    uri = {environment.TRACKING_URI: _tracking_uri(options, base) or ""}
    return masker_of(project, values, base, given_environment(options), uri)


def given_environment(options: Options) -> dict[str, str]:
    """Return what `--env` gives; what is malformed is refused elsewhere."""
    pairs, _problems = name_value_pairs("--env", options.env)
    return pairs


def say_what_may_not_fit(plan: Plan) -> None:
    """Warn where the command does not fit the scripts that it calls. It takes time, so that no good run does it."""
    from dioptra_cli.validation.validate import check_calls

    found = plan.project.ignores.apply(check_calls(plan.project, plan.entry_point))
    output.problems((problem for problem in found if problem.level is not Level.NOTE), sys.stderr)


def _values(options: Options) -> tuple[dict[str, Given], list[Problem]]:
    """Return the values of `--params-file` and `-P`, which wins, and what is wrong with them."""
    values: dict[str, Given] = {}
    problems: list[Problem] = []
    if options.params_file is not None:
        from_file, found = loader.load_values(options.params_file)
        problems.extend(found)
        for name, (text, location) in from_file.items():
            values[name] = Given(text, resolve.Origin.FILE, location)
    given, malformed = name_value_pairs("-P", options.parameters)
    values.update({name: Given(text) for name, text in given.items()})
    return values, problems + malformed


def _request(options: Options, base: Mapping[str, str]) -> tuple[RunRequest, list[Problem]]:
    """Return the run that is asked for: options first, then MLflow's variables."""
    tags, problems = name_value_pairs("--tag", options.tags)
    exclusive = {
        "--experiment-name": options.experiment_name,
        "--experiment-id": options.experiment_id,
        "--run-id": options.run_id,
    }
    chosen = [f"{option} {value}" for option, value in exclusive.items() if value is not None]
    if len(chosen) > 1:
        problems.append(
            Problem(
                "exclusive-options", f"{' and '.join(chosen)} exclude each other", hint="give one of them"
            )
        )
    name, identity = options.experiment_name, options.experiment_id
    if not chosen:
        name = base.get(environment.EXPERIMENT_NAME) or None
        identity = None if name else base.get(environment.EXPERIMENT_ID) or None
    request = RunRequest(
        experiment_name=name,
        experiment_id=identity,
        run_id=options.run_id,
        parent_run_id=options.parent_run_id,
        run_name=options.run_name,
        tags=tags,
    )
    return request, problems


def _say_environment(plan: Plan) -> None:
    wanted = plan.project.environment
    if wanted is not None:
        output.note(
            f"the project asks for {wanted.kind} '{wanted.reference}'; it runs in the current environment instead"
        )


def _show_plan(plan: Plan, prepared: Prepared) -> None:
    """Print what would run, on standard output, without secrets."""
    masker = prepared.masker
    added = environment.additions(prepared.base, prepared.settings, tracking_uri=prepared.tracking_uri)
    added = {name: masker(shown(name, value)) for name, value in added.items()}
    plan = plan.masked(masker)
    if prepared.options.as_json:
        import json

        click.echo(json.dumps(_plan_as_json(plan, added), indent=2, ensure_ascii=False))
        return
    output.problems(plan.warnings, sys.stderr)
    say_what_may_not_fit(plan)
    _say_environment(plan)
    heading = click.style(printable(plan.entry_point.name), fg="green", bold=True)
    heading += f" in {printable(plan.project.directory)}"
    output.say(heading, sys.stdout)
    if plan.values:
        rows = [(printable(v.name), v.type, v.origin.value, printable(_shown_value(v))) for v in plan.values]
        for line in output.table(("PARAMETER", "TYPE", "FROM", "VALUE"), rows, output.terminal_width() - 2):
            output.say(f"  {line}", sys.stdout)
    output.say(click.style("command", bold=True), sys.stdout)
    for line in plan.command.rstrip().split("\n"):
        output.say(f"  {_printable_line(line)}", sys.stdout)
    output.say(click.style("environment", bold=True), sys.stdout)
    for name, value in added.items():
        output.say(f"  {printable(name)}={printable(shlex.quote(value))}", sys.stdout)
    output.say(f"  and {', '.join(_RUN_VARIABLES)} of the run", sys.stdout)


_RUN_VARIABLES = (environment.TRACKING_URI, environment.RUN_ID, environment.EXPERIMENT_ID)


def _printable_line(line: str) -> str:
    """Return a line of a command without what moves the cursor or colours the terminal; tabs stay."""
    return "\t".join(map(printable, line.split("\t")))


def _shown_value(value: Value) -> str:
    if value.remote:
        return f"{value.text} (downloaded first)"
    return value.text if value.text == value.given else f"{value.given} -> {value.text}"


def _plan_as_json(plan: Plan, added: Mapping[str, str]) -> dict[str, Any]:
    from dioptra_cli.execution.records import value_as_json

    return {
        "project": plan.project.name,
        "directory": plan.project.directory,
        "entry_point": plan.entry_point.name,
        "parameters": [{**value_as_json(value), "remote": value.remote} for value in plan.values],
        "command": plan.command,
        "environment": dict(added),
    }
