"""Executes a plan under a run, and sees to it that the run is closed, whatever happens.

The only place that turns the outcome of a child into the status of a run.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dioptra_cli.errors import DioptraError, LaunchError, Problem, TrackingError
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
from dioptra_cli.execution.waiting import told_if_slow
from dioptra_cli.parameters.secrets import Masker, without_credentials
from dioptra_cli.tracking.protocol import RunRequest, RunStatus, StartedRun, Tracker

if TYPE_CHECKING:
    from dioptra_cli.flows.report import FlowReport

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


class Result(NamedTuple):
    """What became of a job.

    Attributes:
        run: The run.
        status: Its final status, as decided here; `failures` says whether the store has it.
        exit_code: What dioptra returns.
        seconds: How long the child ran.
        end: Why it ended, in words.
        failures: What the tracking store did not take.
        flows: The flows that the child ran, the oldest first.
        interrupted_by: The signal by which the user has asked to stop it.
    """

    run: StartedRun
    status: RunStatus
    exit_code: int
    seconds: float
    end: str
    failures: tuple[Failure, ...] = ()
    flows: tuple[FlowReport, ...] = ()
    interrupted_by: int | None = None


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
    with SignalGuard() as guard:
        spool = Spool.create(
            job.spool,
            project=job.origin.name,
            entry_point=job.plan.entry_point.name,
            tracking_uri=without_credentials(tracker.uri),
            parameters=recorded_parameters(job.plan.masked(job.masker)),
            has_secrets=bool(job.masker),
        )
        execution = _Execution(job, tracker, reporter, spool, guard)
        try:
            return execution.run()
        finally:
            spool.close(keep=execution.is_to_be_kept)
            if execution.is_to_be_kept and execution.exists:
                said = "what is missing in the store is kept; 'dioptra sync' delivers it"
                if not execution.is_written_down:
                    said = f"what is left of the run is in {spool.entry.directory}"
                reporter.warning(said)


class _Execution:
    """One run from before it exists until it is closed.

    Attributes:
        exists: Whether the store has made the run.
        is_to_be_kept: Whether the store may have a part of the run, but has not all of it.
        is_written_down: Whether all that is kept could be written.
    """

    def __init__(
        self, job: Job, tracker: Tracker, reporter: Reporter, spool: Spool, guard: SignalGuard
    ) -> None:
        self._job = job
        self._tracker = tracker
        self._reporter = reporter
        self._spool = spool
        self._guard = guard
        self._recorder = Recorder(
            job.plan, job.origin, job.options, job.masker, spool.entry.artifacts, provenance=job.provenance
        )
        self.exists = False
        self.is_to_be_kept = False
        self.is_written_down = True

    def run(self) -> Result:
        """Make the run, run the child, and record its end; see `execute`."""
        with _writing(self._job.spool):
            self._recorder.write_input()
        run = self._start()
        self._reporter.note(f"{self._job.plan.entry_point.name} · run {run.run_id} ({run.run_name})")
        started = time.time()
        try:
            outcome = self._run_child(run)
        except LaunchError:
            self._conclude(run, Ending(RunStatus.FAILED, _now(), {"dioptra.end": "could not be started"}))
            raise
        except BaseException as error:
            said = self._job.masker(f"dioptra failed: {error!r}")
            self._conclude(run, Ending(RunStatus.FAILED, _now(), {"dioptra.end": said}))
            if not isinstance(error, OSError):
                raise
            raise DioptraError(Problem("run-broke-off", f"the run broke off: {error}")) from error
        end = _describe(outcome)
        ending = Ending(_status(outcome), _now(), self._end_tags(outcome, end))
        self._keep(lambda: self._spool.note(ending=ending))  # before all that takes time
        flows = self._flows()
        facts = {
            "cpu_seconds": outcome.cpu_seconds,
            "peak_memory_bytes": outcome.peak_memory,
            "exit_code": outcome.exit_code,
            "end": end,
        }
        self._keep(lambda: self._recorder.write_end(started, outcome.seconds, facts))
        ending = replace(ending, tags={**ending.tags, **flow_tags(flows, self._job.masker)})
        failures = self._conclude(run, ending)
        interrupted_by = outcome.interrupted_by
        return Result(
            run, ending.status, outcome.exit_code, outcome.seconds, end, failures, flows, interrupted_by
        )

    def _start(self) -> StartedRun:
        """Make the run.

        Raises:
            Interrupted: The user has asked to stop.
            TrackingError: The store did not make it, or did not say so.
        """
        if self._guard.pending is not None:
            raise Interrupted(self._guard.pending)
        request, masker = self._job.request, self._job.masker
        tags = {**self._recorder.tags(request.tags), TOKEN_TAG: self._spool.entry.journal.token}
        name = None if request.run_name is None else masker(request.run_name)
        try:
            with _waiting(self._guard, self._reporter):
                # Nothing has begun that could be left half done.
                self._guard.lose_patience(self._guard.unheard)
                run = self._tracker.start(request._replace(tags=tags, run_name=name))
        except (Interrupted, TrackingError) as error:
            # It may make the run all the same. Whoever finds the directory then can ask for it.
            self.is_to_be_kept = not isinstance(error, TrackingError) or error.retryable
            if self.is_to_be_kept:
                self._reporter.note(
                    "should the store have made the run all the same, 'dioptra sync' closes it"
                )
            raise
        self.exists = self.is_to_be_kept = True
        kept = replace(run, artifact_uri=without_credentials(run.artifact_uri))
        self._keep(lambda: self._spool.note(started=_now(), run=kept))
        return run

    def _end_tags(self, outcome: Outcome, end: str) -> dict[str, str]:
        tags = {
            "dioptra.exit_code": str(outcome.exit_code),
            "dioptra.seconds": f"{outcome.seconds:.3f}",
            "dioptra.end": end,
        }
        if outcome.cpu_seconds is not None:
            tags["dioptra.cpu_seconds"] = f"{outcome.cpu_seconds:.3f}"
        if outcome.peak_memory is not None:
            tags["dioptra.peak_memory"] = str(outcome.peak_memory)
        return tags

    def _run_child(self, run: StartedRun) -> Outcome:
        job, entry = self._job, self._spool.entry
        added = environment.additions(
            job.base,
            job.settings,
            tracking_uri=self._tracker.uri,
            run_id=run.run_id,
            experiment_id=run.experiment_id,
            flow_events=entry.flow_events,
        )
        whole = environment.merged(job.base, added)
        self._recorder.begin_listing_packages(whole, added)
        logs = os.path.join(entry.artifacts, "logs")
        if job.capture:
            os.mkdir(logs)
        outcome = run_child(
            ["bash", "-c", "--", job.plan.command],  # a command may start with '-'
            cwd=job.plan.project.directory,
            env=whole,
            guard=self._guard,
            mark=f"{environment.RUN_ID}={run.run_id}",
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
        if outcome.output_error is not None:
            self._reporter.warning(f"the output cannot be written: {outcome.output_error}")
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

    def _conclude(self, run: StartedRun, ending: Ending) -> tuple[Failure, ...]:
        """Record the end of the run, first with us, then in the store; return what that did not take."""
        self._keep(lambda: self._spool.note(ending=ending))
        try:
            with _waiting(self._guard, self._reporter):
                found = deliver(self._spool.entry, run, ending, self._tracker, self._job.patience)
        except Interrupted:
            found = [Failure("some of the end of the run", None)]
        failures = tuple(found)
        self.is_to_be_kept = bool(failures)
        if failures:
            missing = tuple(failure.what for failure in failures)
            self._keep(lambda: self._spool.note(failed=missing))
            reason = next((f": {failure.error}" for failure in failures if failure.error), "")
            self._reporter.warning(f"not recorded: {', '.join(missing)}{reason}")
        return failures

    def _keep(self, write: Callable[[], None]) -> None:
        """Write something down for later; where that fails, the run itself goes on."""
        try:
            write()
        except OSError as error:
            self.is_written_down = False
            self._reporter.warning(f"the records of the run are incomplete: {error}")


@contextlib.contextmanager
def _waiting(guard: SignalGuard, reporter: Reporter) -> Iterator[None]:
    """Where the store lets us wait in the block, say so, and let a request to stop end the waiting."""
    before, heard = guard.patience, guard.unheard

    def say() -> None:
        reporter.note("waiting for the tracking store; Ctrl-C ends the waiting")
        guard.lose_patience(heard)

    try:
        with told_if_slow(say):
            yield
    finally:
        guard.patience = before


@contextlib.contextmanager
def _writing(place: str) -> Iterator[None]:
    """Turn a failure to write the first files of a run into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise unwritable(place, error) from error


def _now() -> int:
    return int(time.time() * 1000)


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
