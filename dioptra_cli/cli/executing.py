"""What `dioptra run` does once its call is found right: download, open the store, run, report."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from dioptra_cli import stores
from dioptra_cli.cli import job, kept_runs, output, recorded
from dioptra_cli.cli.running import Options, Prepared, given_environment, say_what_may_not_fit
from dioptra_cli.errors import ExitCode
from dioptra_cli.execution import directories, environment
from dioptra_cli.execution.plan import Plan
from dioptra_cli.execution.process import Footer, ignore_until_exit, interruptible
from dioptra_cli.execution.records import Origin, RecordedOptions
from dioptra_cli.execution.runner import Job, Result, execute
from dioptra_cli.execution.source import git, source_name
from dioptra_cli.parameters.secrets import without_credentials
from dioptra_cli.tracking import uris
from dioptra_cli.tracking.protocol import RunRequest, Tracker

if TYPE_CHECKING:
    from dioptra_cli.flows.report import FlowReport

_MISCALLED = (2, ExitCode.NOT_EXECUTABLE, ExitCode.NOT_FOUND)
"""Exit codes of commands that were called wrongly: 2 is that of argparse, click and bash."""


def carry_out(prepared: Prepared, plan: Plan, request: RunRequest, tracker: Tracker | None) -> int:
    """Run what was planned; return the exit code of the process.

    Args:
        prepared: What was asked for.
        plan: What to execute.
        request: The run to record into.
        tracker: Where to record it, if that is open already.
    """
    options, base, masker, settings = prepared.options, prepared.base, prepared.masker, prepared.settings
    with contextlib.ExitStack() as in_use:
        with interruptible():
            environment.prepare_this_process(options.tracking_timeout)
            if tracker is None:
                stores.expect(prepared.tracking_uri)
            origin = _origin(prepared)
            copies = in_use.enter_context(
                job.downloaded(
                    [*plan.remote, *settings.remote],
                    storage_directory=options.storage_dir,
                    tracking_uri=prepared.tracking_uri,
                    base=base,
                    caller=prepared.caller,
                    tracking_timeout=options.tracking_timeout,
                    quiet=options.quiet,
                )
            )
            plan = plan.with_downloads(copies)
            if tracker is None:
                tracker = recorded.connect(
                    prepared.tracking_uri,
                    options.tracking_timeout,
                    on_new_store=None if options.quiet else _say_new_store,
                    quiet=options.quiet,
                )
            kept_runs.settle(tracker, quiet=options.quiet)
        result = execute(
            Job(
                plan,
                origin,
                request,
                settings.with_downloads(copies),
                base,
                masker,
                spool=directories.runs(),
                options=asdict(_recorded_options(options)),
                timeout=options.timeout,
                patience=options.tracking_timeout,
                capture=options.capture,
                provenance=options.provenance,
                stdout_to=sys.stderr.fileno() if options.as_json else sys.stdout.fileno(),
            ),
            tracker,
            _Reporter(options, plan.masked(masker), tracker, base),
        )
        ignore_until_exit()  # the run is closed: what comes now must not make another exit code of its own
    _report(result, tracker.uri, options)
    if result.exit_code in _MISCALLED and not options.quiet:
        say_what_may_not_fit(plan)
    return result.exit_code


def _origin(prepared: Prepared) -> Origin:
    """Return what is recorded of where the project comes from."""
    place, directory = prepared.place, prepared.project.directory
    if place.is_work_tree and not prepared.options.provenance:  # the state of the code is not asked for
        return Origin(directory, source_name(directory, git(directory, "rev-parse", "--show-toplevel")))
    source = prepared.source
    name = directory if place.is_work_tree else place.name
    of_mlflow = source_name(name, source.root) if source and os.path.isabs(name) else name
    archive = None if place.archive is None else (place.archive.uri, place.archive.sha256)
    return Origin(name, of_mlflow, source, place.version, archive)


def _recorded_options(options: Options) -> RecordedOptions:
    """Return what `rerun` has to ask for again, beside the project and its parameters."""
    return RecordedOptions.without_secrets(
        given_environment(options),
        options.plugin_dirs,
        timeout=options.timeout,
        flow_workers=options.flow_workers,
        log_level=options.log_level,
        log_as_json=options.log_as_json,
    )


def _say_new_store(file: str) -> None:
    output.note(f"making a new store: {file}")


class _Reporter:
    """Passes on what the runner says, as far as the user wants to hear it. The plan is a masked one."""

    def __init__(self, options: Options, plan: Plan, tracker: Tracker, base: Mapping[str, str]) -> None:
        self._quiet = options.quiet
        # With --json, standard output is for a program; and a terminal without a name obeys no sequences.
        self._live = not (options.quiet or options.as_json) and base.get("TERM", "") not in ("", "dumb")
        if options.verbose:
            self.note(f"tracking at {without_credentials(tracker.uri)}")
            self.note(f"$ {plan.command.rstrip()}")

    def note(self, text: str) -> None:
        if not self._quiet:
            output.note(text)

    def warning(self, text: str) -> None:
        output.warning(text)

    def footer(self, flow_events: str) -> Footer | None:
        if not (self._live and sys.stderr.isatty()):
            return None
        from dioptra_cli.cli import flow_display
        from dioptra_cli.flows.report import FlowEvents

        poll = FlowEvents(flow_events).poll
        return flow_display.FlowList(poll, encoding=sys.stderr.encoding, colors=output.colored(sys.stderr))


def _report_flows(flows: Sequence[FlowReport], exit_code: int) -> None:
    if flows:
        from dioptra_cli.cli import flow_display

        for line in flow_display.conclusion(flows, sys.stderr.encoding):
            output.note(line)
        if exit_code == 0:
            for line in flow_display.contradictions(flows):
                output.warning(line)


def _report(result: Result, tracking_uri: str, options: Options) -> None:
    """Say what became of the run; with `--json`, print it."""
    if not options.quiet:
        _report_flows(result.flows, result.exit_code)
        place = f"run {result.run.run_id} {result.status.value}"
        output.note(f"{result.end} after {result.seconds:.1f} s · {place}")
        if sys.stderr.isatty() and uris.is_local(tracking_uri):
            output.note(f"to look at it: mlflow ui --backend-store-uri {shlex.quote(tracking_uri)}")
    if options.as_json:
        record = {
            "run_id": result.run.run_id,
            "run_name": result.run.run_name,
            "experiment_id": result.run.experiment_id,
            "status": result.status.value,
            "exit_code": result.exit_code,
            "end": result.end,
            "seconds": round(result.seconds, 3),
            "artifact_uri": without_credentials(result.run.artifact_uri),
            "tracking_uri": without_credentials(tracking_uri),
            "recorded": not result.failures,
            "flows": [
                {"name": flow.name, "state": flow.state, "tasks": len(flow.work), "seconds": flow.seconds}
                for flow in result.flows
            ],
        }
        click.echo(json.dumps(record, ensure_ascii=False))
