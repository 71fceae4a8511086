"""Executes a plan under a run, and sees to it that the run is closed, whatever happens.

The only place that turns the outcome of a child into the status of a run.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from dioptra_cli import __version__
from dioptra_cli.errors import TrackingError
from dioptra_cli.execution import environment
from dioptra_cli.execution.environment import JobSettings
from dioptra_cli.execution.plan import Plan
from dioptra_cli.execution.process import (
    Cause,
    End,
    Event,
    Footer,
    Outcome,
    SignalGuard,
    run_child,
    signal_name,
)
from dioptra_cli.execution.source import Source, source_name
from dioptra_cli.tracking.protocol import RunRequest, RunStatus, StartedRun, Tracker

if TYPE_CHECKING:
    from dioptra_cli.flows.report import FlowReport

_RETRY_DELAYS = (0.5, 2.0, 5.0)
"""Seconds between attempts to record the end of a run: a locked database or a restarting server comes back."""
_LONGEST_TAG = 8000
_MOST_FLOWS = 50
"""So many flows of one run are kept as a record and a picture: a script may run one for each of 1000 settings."""
_STDOUT, _STDERR = 1, 2


class Reporter(Protocol):
    """Hears what the runner has to say while it works."""

    def note(self, text: str) -> None:
        """Hear of something that is as it should be."""

    def warning(self, text: str) -> None:
        """Hear of something that went wrong without ending the run."""

    def footer(self, flow_events: str) -> Footer | None:
        """Return what to show below the output of the child; its flows report into that directory."""


@dataclass(frozen=True)
class Job:
    """One execution.

    Attributes:
        plan: What to execute; nothing in it is remote any more.
        request: The run to record into. The runner adds its own tags.
        settings: The child's environment.
        base: The environment of the caller.
        source: The state of the project's work tree.
        keep_directory: Where what could not be recorded is kept.
        timeout: Seconds that the child may take.
        stdout_to: The file descriptor for what the child writes to its standard output.
    """

    plan: Plan
    request: RunRequest
    settings: JobSettings
    base: Mapping[str, str]
    source: Source | None
    keep_directory: str
    timeout: float | None = None
    stdout_to: int = _STDOUT


@dataclass(frozen=True)
class Result:
    """What became of a job.

    Attributes:
        run: The run.
        status: Its final status, as decided here; `recorded` says whether the store has it.
        exit_code: What dioptra returns.
        seconds: How long the child ran.
        end: Why it ended, in words.
        recorded: Whether the tracking store took everything.
        kept: The directory that holds what it did not take.
        flows: The flows that the child ran, the oldest first.
    """

    run: StartedRun
    status: RunStatus
    exit_code: int
    seconds: float
    end: str
    recorded: bool = True
    kept: str | None = None
    flows: tuple[FlowReport, ...] = ()


@dataclass
class _Books:
    """What of a run's end could be recorded: collects the failures, so that one does not prevent the rest."""

    reporter: Reporter
    failed: list[str] = field(default_factory=list)

    def record(self, what: str, action: Callable[[], object]) -> None:
        """Do one entry, with retries. After a failure the store is taken to be gone: no more retries."""
        delays = () if self.failed else _RETRY_DELAYS
        for delay in (*delays, None):
            try:
                action()
                return
            except TrackingError as error:
                if delay is None:
                    self.failed.append(what)
                    self.reporter.warning(f"could not record the {what}: {error}")
                else:
                    time.sleep(delay)


def execute(job: Job, tracker: Tracker, reporter: Reporter) -> Result:
    """Run the command of a plan under a run.

    Signals are held back from the moment the run exists to the moment it is closed, and passed on to the child in
    between. A failure to record the end is reported, and changes neither status nor exit code.

    Raises:
        TrackingError: The run could not be created. Nothing was started.
        LaunchError: The child could not be started at all; the run is closed as failed.
        Interrupted: The user insisted on leaving before the run could be closed.
    """
    os.makedirs(job.keep_directory, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix="run-", dir=job.keep_directory)
    flow_events = os.path.join(scratch, "flow-events")
    books = _Books(reporter)
    keep = False
    try:
        _write_records(job, scratch)
        with SignalGuard() as guard:
            run = tracker.start(replace(job.request, tags={**_tags(job), **job.request.tags}))
            keep = True  # from here on there is something to lose
            reporter.note(f"{job.plan.entry_point.name} · run {run.run_id} ({run.run_name})")
            status = RunStatus.FAILED
            try:
                outcome = _run_child(job, tracker, run, guard, scratch, flow_events, reporter)
                status = _status(outcome)
            finally:
                books.record(f"status {status.value}", lambda: tracker.close(run.run_id, status))
            end = _describe(outcome)
            flows = _keep_flows(flow_events, scratch, reporter)
            _record_end(job, tracker, run, outcome, end, flows, scratch, books)
            keep = bool(books.failed)
    finally:
        if not keep:
            shutil.rmtree(scratch, ignore_errors=True)
    if keep:
        _write_json(scratch, "undelivered.json", _undelivered(job, run, status, books.failed))
    kept = scratch if keep else None
    return Result(run, status, outcome.exit_code, outcome.seconds, end, not books.failed, kept, flows)


def _run_child(
    job: Job,
    tracker: Tracker,
    run: StartedRun,
    guard: SignalGuard,
    scratch: str,
    flow_events: str,
    reporter: Reporter,
) -> Outcome:
    added = environment.additions(
        job.base,
        job.settings,
        tracking_uri=tracker.uri,
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        flow_events=flow_events,
    )
    logs = os.path.join(scratch, "logs")
    os.mkdir(logs)
    os.mkdir(flow_events)
    outcome = run_child(
        ["bash", "-c", "--", job.plan.command],  # a command may start with '-'
        cwd=job.plan.project.directory,
        env=environment.merged(job.base, added),
        guard=guard,
        stdout_log=os.path.join(logs, "stdout.log"),
        stderr_log=os.path.join(logs, "stderr.log"),
        stdout_to=job.stdout_to,
        timeout=job.timeout,
        on_event=lambda event: reporter.note(_describe_event(event)),
        footer=reporter.footer(flow_events),
    )
    if outcome.leftovers_stopped:
        reporter.warning("the command left processes behind; they were stopped")
    if outcome.log_error is not None:
        reporter.warning(f"the logs are incomplete: {outcome.log_error}")
    if outcome.end is End.NOT_STARTED:
        reporter.warning(f"the command could not be started: {outcome.error}")
    return outcome


def _keep_flows(flow_events: str, scratch: str, reporter: Reporter) -> tuple[FlowReport, ...]:
    """Write what the run keeps of its flows, a record and a picture of each, and remove the event files."""
    flows: tuple[FlowReport, ...] = ()
    try:
        if os.path.isdir(flow_events) and os.listdir(flow_events):
            from dioptra_cli.flows import picture  # most runs have no flows
            from dioptra_cli.flows.report import FlowEvents, as_json

            flows = tuple(FlowEvents(flow_events).finish())
        for number, flow in enumerate(flows[:_MOST_FLOWS], 1):
            name = "flow" if number == 1 else f"flow-{number}"
            _write_json(scratch, f"{name}.json", as_json(flow))
            with open(os.path.join(scratch, f"{name}.svg"), "w", encoding="utf-8") as file:
                file.write(picture.svg(flow))
        if len(flows) > _MOST_FLOWS:
            reporter.note(f"of {len(flows)} flows, the first {_MOST_FLOWS} are kept as artifacts")
    except Exception as error:  # a full disk, or a mistake of ours: a picture is not worth a run
        reporter.warning(f"the record of the flows is incomplete: {error}")
    finally:
        shutil.rmtree(flow_events, ignore_errors=True)
    return flows


def _status(outcome: Outcome) -> RunStatus:
    if outcome.end in (End.INTERRUPTED, End.TIMED_OUT):
        return RunStatus.KILLED
    return RunStatus.FINISHED if outcome.exit_code == 0 else RunStatus.FAILED


def _describe(outcome: Outcome) -> str:
    if outcome.interrupted_by is not None:
        return f"interrupted by {signal_name(outcome.interrupted_by)}"
    if outcome.end is End.TIMED_OUT:
        return "timed out"
    if outcome.end is End.NOT_STARTED:
        return "could not be started"
    if outcome.returncode is not None and outcome.returncode < 0:
        return f"ended by {signal_name(-outcome.returncode)}"
    return "finished" if outcome.exit_code == 0 else f"failed with exit code {outcome.exit_code}"


def _describe_event(event: Event) -> str:
    name = signal_name(event.signum)
    to = "what the command left behind" if event.cause is Cause.LEFTOVERS else "the command"
    said = f"{event.cause.value}: sent {name} to {to}"
    if event.grace:
        said += f", which has {event.grace:g} s to end"
    if name == "SIGINT":  # the first step; the user may not want to wait for the next one
        said += "; another Ctrl-C sends SIGTERM at once"
    return said


def _record_end(
    job: Job,
    tracker: Tracker,
    run: StartedRun,
    outcome: Outcome,
    end: str,
    flows: Sequence[FlowReport],
    scratch: str,
    books: _Books,
) -> None:
    def parameters() -> None:
        logged = tracker.logged_parameters(run.run_id)
        missing = {v.name: recordable(v.given) for v in job.plan.values if v.name not in logged}
        if missing:
            tracker.log_parameters(run.run_id, missing)

    tags = {
        "dioptra.exit_code": str(outcome.exit_code),
        "dioptra.seconds": f"{outcome.seconds:.3f}",
        "dioptra.end": end,
    }
    if flows:
        from dioptra_cli.flows.report import summary

        told = "; ".join(map(summary, flows[:_MOST_FLOWS]))
        tags["dioptra.flow"] = told if len(told) <= _LONGEST_TAG else f"{told[: _LONGEST_TAG - 1]}…"
    books.record("parameters", parameters)
    books.record("tags", lambda: tracker.set_tags(run.run_id, tags))
    books.record("artifacts", lambda: tracker.log_artifacts(run.run_id, scratch))


def _tags(job: Job) -> dict[str, str]:
    """Return MLflow's own tags for the run of a project, and dioptra's."""
    plan, source = job.plan, job.source
    parameters = json.dumps({v.name: recordable(v.given) for v in plan.values}, ensure_ascii=False)
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.name": source_name(plan.project.directory, source),
        "mlflow.source.type": "PROJECT",
        "mlflow.project.entryPoint": plan.entry_point.name,
        "mlflow.project.backend": "local",
        "dioptra.version": __version__,
        "dioptra.host": socket.gethostname(),
        "dioptra.command": recordable(plan.command),
    }
    if len(parameters) <= _LONGEST_TAG:  # else the artifact has them; half of a JSON text is of no use
        tags["dioptra.parameters"] = parameters
    if source is not None:
        tags["dioptra.working_tree"] = "modified" if source.dirty else "clean"
        tags["mlflow.source.git.dirty"] = str(source.dirty).lower()
        if source.commit is not None:
            tags["mlflow.source.git.commit"] = source.commit
        if source.repository is not None:
            tags["mlflow.source.git.repoURL"] = source.repository
            tags["mlflow.gitRepoURL"] = source.repository  # the name that older versions of MLflow read
    return tags


def _write_records(job: Job, directory: str) -> None:
    """Write what the run keeps of its input: the MLproject file, the resolved parameters, local changes."""
    plan = job.plan
    if plan.project.file is not None:
        with open(os.path.join(directory, "MLproject"), "w", encoding="utf-8") as file:
            file.write(plan.project.source)
    if job.source is not None and job.source.diff:
        with open(
            os.path.join(directory, "git.diff"), "w", encoding="utf-8", errors="surrogateescape"
        ) as file:
            file.write(job.source.diff + "\n")
    _write_json(
        directory,
        "parameters.json",
        {
            "entry_point": plan.entry_point.name,
            "command": recordable(plan.command),
            "python": platform.python_version(),
            "parameters": [
                {
                    "name": value.name,
                    "type": value.type,
                    "value": recordable(value.given),
                    "resolved": recordable(value.text),
                    "source": value.origin.value,
                    "declared": value.declared,
                }
                for value in plan.values
            ],
        },
    )


def _write_json(directory: str, name: str, content: Any) -> None:
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _undelivered(job: Job, run: StartedRun, status: RunStatus, failed: list[str]) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "status": status.value,
        "failed": failed,
        "parameters": {v.name: recordable(v.given) for v in job.plan.values},
    }


def recordable(text: str) -> str:
    """Return `text` as a store can hold it: bytes that are no UTF-8 become replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, as in many containers
        return str(os.getuid())
