"""`dioptra runs`: what has been run of a project, and what came of it."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable
from typing import Any

import click

from dioptra_cli.cli import completion, output, recorded
from dioptra_cli.cli.options import project_argument, tracking_timeout_option, tracking_uri_option
from dioptra_cli.cli.run_table import Shown, exit_code_of, metrics_of, parameters_of, table
from dioptra_cli.errors import Level, Problem, UsageError
from dioptra_cli.tracking.protocol import RecordedRun

_STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED")


@click.command(name="runs", short_help="List the newest runs of PROJECT.")
@project_argument
@click.option(
    "-n",
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many runs at most.",
)
@click.option(
    "-e",
    "--entry-point",
    metavar="NAME",
    shell_complete=completion.entry_points,
    help="Only runs of this entry point.",
)
@click.option(
    "--status",
    type=click.Choice(_STATUSES, case_sensitive=False),
    help="Only runs of this status, among the newest 1000.",
)
@click.option("--all", "of_all", is_flag=True, help="The runs of all projects.")
@tracking_uri_option
@tracking_timeout_option
@click.option("-q", "--ids", is_flag=True, help="Print ids only, one a line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array on standard output.")
@click.pass_context
def command(
    ctx: click.Context,
    project: str,
    limit: int,
    entry_point: str | None,
    status: str | None,
    of_all: bool,
    tracking_uri: str | None,
    tracking_timeout: float,
    ids: bool,
    as_json: bool,
) -> None:
    """List the newest runs of PROJECT: what became of them, their parameters and metrics.

    PROJECT is what 'dioptra run' was given: a directory, an MLproject file, a git URL or an archive. Without it, it
    is the one in this directory; where there is none, the runs of all projects are listed.
    """
    from dioptra_cli.execution.process import interruptible

    is_given = ctx.get_parameter_source("project") is not click.core.ParameterSource.DEFAULT
    if of_all and is_given:
        raise UsageError(
            Problem(
                "exclusive-options",
                f"PROJECT '{project}' and --all exclude each other",
                hint="give one of them",
            )
        )
    if ids and as_json:
        raise UsageError(
            Problem("exclusive-options", "--ids and --json exclude each other", hint="give one of them")
        )
    of_all = of_all or not (is_given or recorded.is_project_here())
    with interruptible():
        names = None if of_all else recorded.names_of(project)
        empty = f"there are no runs of {'any project' if names is None else names.projects[0]}"
        empty += f" with the entry point '{entry_point}'" if entry_point else ""
        empty += f" with the status {status}" if status else ""
        hint = "--tracking-uri names another store" + ("" if of_all else ", and --all shows every project")
        try:
            tracker = recorded.open_store(tracking_uri, tracking_timeout, reading=True)
        except recorded.NoStoreError as error:
            shown, (problem,) = [], error.problems
            empty, hint = problem.message, problem.hint or hint
        else:
            from dioptra_cli.cli import kept_runs
            from dioptra_cli.parameters.secrets import without_credentials

            kept_runs.settle(tracker, quiet=as_json or ids)
            tags = {recorded.ENTRY_POINT: entry_point} if entry_point else {}
            asked = limit + 1 if status is None else max(limit + 1, recorded.RECENT)
            if names is None:
                found = tracker.find({**recorded.PROJECT_RUNS, **tags}, limit=asked)
            else:
                found = recorded.find_project_runs(tracker, names, limit=asked, tags=tags)
            shown = [s for s in _with_kept(found) if status in (None, s.run.status)]
            empty += f" at {without_credentials(tracker.uri)}"
    now = time.time()
    is_more = len(shown) > limit
    shown = shown[:limit]
    if as_json:
        click.echo(json.dumps([_as_json(each, now) for each in shown], indent=2, ensure_ascii=False))
    elif ids:
        click.echo("".join(f"{each.run.run_id}\n" for each in shown), nl=False)
    elif shown:
        width = output.terminal_width() if sys.stdout.isatty() else None
        for line in table(shown, width, now=now, with_project=of_all):
            output.say(line, sys.stdout)
        if is_more and width is not None:
            output.note(f"the newest {limit}; -n for more")
    if not shown:
        output.problems([Problem("no-runs", empty, level=Level.NOTE, hint=hint)], sys.stderr)


def _with_kept(found: Iterable[RecordedRun]) -> list[Shown]:
    """Add what this machine knows of runs that their store does not have whole."""
    kept = {entry.journal.run.run_id: entry for entry in recorded.kept_entries() if entry.journal.run}
    shown = []
    for run in found:
        entry = kept.get(run.run_id)
        if entry is None or entry.is_running:
            shown.append(Shown(run))
        else:
            is_abandoned = entry.journal.ending is None
            shown.append(Shown(recorded.as_ended(run, entry), is_abandoned, is_delivered=False))
    return shown


def _as_json(shown: Shown, now: float) -> dict[str, Any]:
    from dioptra_cli.parameters.secrets import without_credentials

    run = shown.run
    seconds = recorded.seconds_of(run, now)
    return {
        "run_id": run.run_id,
        "run_name": run.run_name,
        "status": run.status,
        "exit_code": exit_code_of(run),
        "end": run.tags.get(recorded.END),
        "abandoned": shown.is_abandoned,
        "delivered": shown.is_delivered,
        "project": without_credentials(recorded.project_of(run)) or None,
        "entry_point": run.tags.get(recorded.ENTRY_POINT),
        "parameters": parameters_of(run),
        # As MLflow writes what JSON has no number for.
        "metrics": {k: v if math.isfinite(v) else _not_finite(v) for k, v in metrics_of(run).items()},
        "started": _utc(run.started),
        "ended": _utc(run.ended),
        "seconds": None if seconds is None else round(seconds, 3),
        "experiment_id": run.experiment_id,
        "artifact_uri": without_credentials(run.artifact_uri),
        "tags": {name: without_credentials(value) for name, value in run.tags.items()},
    }


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _utc(milliseconds: int | None) -> str | None:
    from datetime import datetime, timezone

    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).isoformat(timespec="milliseconds")
