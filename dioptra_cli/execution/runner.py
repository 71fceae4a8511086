"""Executes a plan under a run, and sees to it that the run is closed, whatever happens.

The only place that turns the outcome of a child into the status of a run.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from dioptra_cli.errors import TrackingError
from dioptra_cli.execution import environment
from dioptra_cli.execution.delivery import Failure, deliver
from dioptra_cli.execution.environment import JobSettings
from dioptra_cli.execution.plan import Plan
from dioptra_cli.execution.process import (
    Cause,
    End,
    Event,
    Footer,
    Interrupted,
    Outcome,
    SignalGuard,
    run_child,
    signal_name,
)
from dioptra_cli.execution.records import (
    TOKEN_TAG,
    Origin,
    Recorder,
    flow_tags,
    read_flows,
    recorded_parameters,
    write_flows,
)
from dioptra_cli.execution.spool import Ending, Spool, unwritable
from dioptra_cli.parameters.secrets import Masker, without_credentials
from dioptra_cli.tracking.protocol import RunRequest, RunStatus, StartedRun, Tracker

if TYPE_CHECKING:
    from dioptra_cli.flows.report import FlowReport

_SILENCE = 2.0
"""Seconds that the store may take before the user is told what we wait for."""
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
        origin: Where its project comes from.
        request: The run to record into. The runner adds its own tags.
        settings: The child's environment.
        base: The environment of the caller.
        masker: What must be neither stored nor printed.
        spool: The directory below which runs are kept until their store has all of them.
        options: What else was asked for, to be recorded.
        timeout: Seconds that the child may take.
        patience: Seconds to try to record the end of the run while the store is away.
        capture: Whether to keep what the child writes. Else it has our own streams.
        provenance: Whether to record the state of code, environment and machine.
        stdout_to: The file descriptor for what the child writes to its standard output.
    """

    plan: Plan
    origin: Origin
    request: RunRequest
    settings: JobSettings
    base: Mapping[str, str]
    masker: Masker
    spool: str
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    patience: float = 10.0
    capture: bool = True
    provenance: bool = True
    stdout_to: int = _STDOUT


@dataclass(frozen=True)
class Result:
    """What became of a job.

    Attributes:
        run: The run.
        status: Its final status, as decided here; `failures` says whether the store has it.
        exit_code: What dioptra returns.
        seconds: How long the child ran.
        end: Why it ended, in words.
        failures: What the tracking store did not take.
        kept: The directory that holds it until it is delivered.
        flows: The flows that the child ran, the oldest first.
    """

    run: StartedRun
    status: RunStatus
    exit_code: int
    seconds: float
    end: str
    failures: tuple[Failure, ...] = ()
    kept: str | None = None
    flows: tuple[FlowReport, ...] = ()


def execute(job: Job, tracker: Tracker, reporter: Reporter) -> Result:
    """Run the command of a plan under a run.

    Signals are held back from the moment the run exists to the moment it is closed, and passed on to the child in
    between. A failure to record the end is reported, and changes neither status nor exit code.

    Raises:
        DioptraError: The files of the run cannot be written. Nothing was started.
        TrackingError: The run could not be created. Nothing was started.
        LaunchError: The child could not be started at all; the run is closed as failed.
        Interrupted: The user insisted on leaving before the run could be closed.
    """
    spool = Spool.create(
        job.spool,
        project=job.origin.name,
        entry_point=job.plan.entry_point.name,
        tracking_uri=without_credentials(tracker.uri),
        parameters=recorded_parameters(job.plan.masked(job.masker)),
        has_secrets=bool(job.masker),
    )
    execution: _Execution | None = None
    maybe_made = False  # by a store that had not answered yet: whoever finds the directory can ask it again
    try:
        recorder = Recorder(
            job.plan, job.origin, job.options, job.masker, spool.entry.artifacts, provenance=job.provenance
        )
        with _writing(job.spool):
            recorder.write_input()
        with SignalGuard() as guard:
            tags = {**recorder.tags(), TOKEN_TAG: spool.entry.journal.token}
            with _waiting(guard, job, reporter):
                run = tracker.start(replace(job.request, tags={**tags, **job.request.tags}))
            execution = _Execution(job, tracker, reporter, spool, recorder, guard, run)
            return execution.run()
    except Interrupted:
        maybe_made = execution is None
        raise
    except TrackingError as error:
        maybe_made = execution is None and error.retryable
        raise
    finally:
        keep = maybe_made or (execution is not None and not execution.is_delivered)
        spool.close(keep=keep)
        if keep and not maybe_made:
            reporter.warning("what is missing in the store is kept; 'dioptra sync' delivers it")


class _Execution:
    """One run from when it exists to when it is closed.

    Attributes:
        is_delivered: Whether the store has all of the run.
    """

    def __init__(
        self,
        job: Job,
        tracker: Tracker,
        reporter: Reporter,
        spool: Spool,
        recorder: Recorder,
        guard: SignalGuard,
        run: StartedRun,
    ) -> None:
        self._job = job
        self._tracker = tracker
        self._reporter = reporter
        self._spool = spool
        self._recorder = recorder
        self._guard = guard
        self._run = run
        self.is_delivered = False

    def run(self) -> Result:
        """Run the child, and record its end; see `execute`."""
        run, entry = self._run, self._spool.entry
        self._keep(lambda: self._spool.note_run(run))
        self._reporter.note(f"{self._job.plan.entry_point.name} · run {run.run_id} ({run.run_name})")
        started = time.time()
        try:
            outcome = self._run_child()
        except BaseException:
            self._conclude(RunStatus.FAILED, {"dioptra.end": "could not be started"})
            raise
        status, end = _status(outcome), _describe(outcome)
        flows = self._flows()
        tags = {
            "dioptra.exit_code": str(outcome.exit_code),
            "dioptra.seconds": f"{outcome.seconds:.3f}",
            "dioptra.end": end,
            **flow_tags(flows, self._job.masker),
        }
        facts = {
            "cpu_seconds": outcome.cpu_seconds,
            "peak_memory_bytes": outcome.peak_memory,
            "exit_code": outcome.exit_code,
            "end": end,
        }
        if outcome.cpu_seconds is not None:
            tags["dioptra.cpu_seconds"] = f"{outcome.cpu_seconds:.3f}"
        if outcome.peak_memory is not None:
            tags["dioptra.peak_memory"] = str(outcome.peak_memory)
        self._keep(lambda: self._recorder.write_end(started, outcome.seconds, facts))
        failures = self._conclude(status, tags)
        kept = entry.directory if failures else None
        return Result(run, status, outcome.exit_code, outcome.seconds, end, failures, kept, flows)

    def _run_child(self) -> Outcome:
        job, entry = self._job, self._spool.entry
        added = environment.additions(
            job.base,
            job.settings,
            tracking_uri=self._tracker.uri,
            run_id=self._run.run_id,
            experiment_id=self._run.experiment_id,
            flow_events=entry.flow_events,
        )
        whole = environment.merged(job.base, added)
        self._recorder.look_around(whole, added)
        logs = os.path.join(entry.artifacts, "logs")
        if job.capture:
            os.mkdir(logs)
        outcome = run_child(
            ["bash", "-c", "--", job.plan.command],  # a command may start with '-'
            cwd=job.plan.project.directory,
            env=whole,
            guard=self._guard,
            mark=f"{environment.RUN_ID}={self._run.run_id}",
            capture=job.capture,
            stdout_log=os.path.join(logs, "stdout.log") if job.capture else None,
            stderr_log=os.path.join(logs, "stderr.log") if job.capture else None,
            log_filter=job.masker.stream,
            stdout_to=job.stdout_to,
            timeout=job.timeout,
            on_event=lambda event: self._reporter.note(_describe_event(event)),
            footer=self._reporter.footer(entry.flow_events),
        )
        if outcome.leftovers_stopped:
            self._reporter.warning("the command left processes behind; they were stopped")
        if outcome.log_error is not None:
            self._reporter.warning(f"the logs are incomplete: {outcome.log_error}")
        if outcome.end is End.NOT_STARTED:
            self._reporter.warning(f"the command could not be started: {outcome.error}")
        return outcome

    def _flows(self) -> tuple[FlowReport, ...]:
        """Write what the run keeps of its flows, a record and a picture of each."""
        entry = self._spool.entry
        flows: tuple[FlowReport, ...] = ()
        try:
            flows = read_flows(entry.flow_events)
            omitted = write_flows(entry.artifacts, flows, self._job.masker)
        except Exception as error:  # a full disk, or a mistake of ours: a picture is not worth a run
            self._reporter.warning(f"the record of the flows is incomplete: {error}")
        else:
            if omitted:
                kept = len(flows) - omitted
                self._reporter.note(f"of {len(flows)} flows, the first {kept} are kept as artifacts")
        return flows

    def _conclude(self, status: RunStatus, tags: Mapping[str, str]) -> tuple[Failure, ...]:
        """Record the end of the run, first with us, then in the store; return what that did not take."""
        ending = Ending(status, int(time.time() * 1000), tags)
        self._keep(lambda: self._spool.note_ending(ending))
        with _waiting(self._guard, self._job, self._reporter):
            found = deliver(self._spool.entry, self._run, ending, self._tracker, self._job.patience)
        failures = tuple(found)
        self.is_delivered = not failures
        if failures:
            missing = tuple(failure.what for failure in failures)
            self._keep(lambda: self._spool.note_failures(missing))
            reason = next((f": {failure.error}" for failure in failures if failure.error), "")
            self._reporter.warning(f"not recorded: {', '.join(missing)}{reason}")
        return failures

    def _keep(self, write: Callable[[], None]) -> None:
        """Write something down for later; where that fails, the run itself goes on."""
        try:
            write()
        except OSError as error:
            self._reporter.warning(f"the records of the run are incomplete: {error}")


@contextlib.contextmanager
def _waiting(guard: SignalGuard, job: Job, reporter: Reporter) -> Iterator[None]:
    """Where the store lets us wait in the block, say so, and let the next request to stop end the waiting."""

    def say() -> None:
        guard.patience = guard.unheard + 1
        reporter.note(f"waiting for the tracking store, up to {job.patience:g} s; Ctrl-C ends the waiting")

    before, timer = guard.patience, threading.Timer(_SILENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        guard.patience = before


@contextlib.contextmanager
def _writing(place: str) -> Iterator[None]:
    """Turn a failure to write the first files of a run into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise unwritable(place, error) from error


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
