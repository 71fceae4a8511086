"""How a command is run, told to stop, and ended: the policy. What it stands on is in the modules beside it.

The child leads a session of its own, to which all belongs that it starts, whatever process groups are made
there, so that a signal reaches all of it, and Ctrl-C reaches it once, through us. It has no controlling
terminal: it can read a terminal on stdin, without job control, but a program that opens `/dev/tty` (`sudo`
asking for a password, `less`) does not find one, nor does one that reads keys from stdout or stderr.
"""

from __future__ import annotations

import contextlib
import math
import select
import signal
import subprocess  # noqa: TID251 -- this package is where child processes are started
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dioptra_cli.errors import ExitCode
from dioptra_cli.execution.process.group import ProcessGroup
from dioptra_cli.execution.process.keeper import Keeper
from dioptra_cli.execution.process.launch import launch_exit_code, unpassable, unusable_directory
from dioptra_cli.execution.process.signals import Inbox, SignalGuard, suspend
from dioptra_cli.execution.process.streams import Filter, Stream, TerminalModes, is_in_background
from dioptra_cli.execution.process.usage import Meter, Usage

if TYPE_CHECKING:
    from dioptra_cli.execution.process.screen import Screen

LEFTOVER_QUIET = 1.0
"""Seconds without output after which processes that outlived the child are stopped."""

LEFTOVER_LIMIT = 10.0
"""Seconds after which they are stopped although they still write."""

LEFTOVER_POLL = 0.01
"""Seconds between two looks at them; nothing reports the end of a grandchild."""

KILL_WAIT = 10.0
"""Seconds for the system to take down a killed child. Beyond that it hangs in a device driver, and stays."""


class End(str, Enum):
    """Why a child ended."""

    EXITED = "exited"
    SIGNALED = "signaled"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed out"
    NOT_STARTED = "not started"


class Cause(str, Enum):
    """Why a child, or what is left of it, is sent a signal."""

    INTERRUPT = "interrupt"
    TIMEOUT = "timeout"
    LEFTOVERS = "leftovers"


class Grace(NamedTuple):
    """Seconds between the steps from a request to SIGKILL.

    Attributes:
        interrupt: From SIGINT, SIGHUP or SIGQUIT to SIGTERM.
        terminate: From SIGTERM to SIGKILL.
    """

    interrupt: float = 10.0
    terminate: float = 5.0


PATIENT = Grace()
"""What a child gets where nobody says otherwise."""


class Event(NamedTuple):
    """A signal was sent to the child and its processes.

    Attributes:
        cause: Why.
        signum: The signal.
        grace: Seconds until the next one.
    """

    cause: Cause
    signum: signal.Signals
    grace: float


class Outcome(NamedTuple):
    """What became of a child.

    Attributes:
        end: Why it ended.
        seconds: How long it ran, by the clock on the wall.
        returncode: Its own exit code; `-N` when signal N ended it; None when it has none.
        interrupted_by: The signal sent to us that ended it.
        error: Why it could not be started.
        leftovers_stopped: Whether processes of its session outlived it and had to be stopped.
        log_error: Why the log files are incomplete.
        output_error: Why not all output could be passed on, such as "No space left on device"; None where its reader
            has left.
        cpu_seconds: The time on all processors, in the program and in the kernel, of the child and of everything that
            was waited for by its parent, up to the child. What was left behind or left the session does not count.
            None where nothing was started.
        peak_memory: The most physical memory (bytes) that one process among these had at any time; it is that of the
            largest one, not of all together, and shared pages count. On Linux, of a child whose processes were all
            smaller than dioptra itself at the start, it is what was seen up to five seconds before the end; None for
            one that ended before the first look, after a tenth of a second.
    """

    end: End
    seconds: float = 0.0
    returncode: int | None = None
    interrupted_by: signal.Signals | None = None
    error: OSError | None = None
    leftovers_stopped: bool = False
    log_error: str | None = None
    output_error: str | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None

    @property
    def exit_code(self) -> int:
        """What dioptra returns: the child's own, unless we ended it or could not start it."""
        if self.interrupted_by is not None:
            return ExitCode.SIGNAL_BASE + self.interrupted_by
        if self.end is End.TIMED_OUT:
            return ExitCode.TIMEOUT
        if self.error is not None:
            return launch_exit_code(self.error)
        if self.returncode is None:
            return ExitCode.FAILED
        return self.returncode if self.returncode >= 0 else ExitCode.SIGNAL_BASE - self.returncode


class Footer(Protocol):
    """Has something to show below the output of a child while it runs."""

    def lines(self, width: int, height: int) -> Sequence[bytes]:
        """Return what to show now.

        Args:
            width: How many cells a line may take.
            height: How many lines there may be.

        Returns:
            The lines without their ends, in the encoding of the terminal, with no sequences but colours; none if
            there is nothing to show.
        """


def _ignore(_event: Event) -> None:
    """Hear an event and do nothing."""


def run_child(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    guard: SignalGuard,
    stdout_log: str | None = None,
    stderr_log: str | None = None,
    stdout_to: int = 1,
    stderr_to: int = 2,
    timeout: float | None = None,
    grace: Grace = PATIENT,
    on_event: Callable[[Event], None] = _ignore,
    footer: Footer | None = None,
    mark: str | None = None,
    log_filter: Callable[[], Filter | None] | None = None,
    capture: bool = True,
) -> Outcome:
    """Run a command to its end, and leave nothing of it behind, even if we are killed by SIGKILL.

    stdin is inherited, unless we are in the background of its terminal; then it is empty. Output is copied
    at once and untouched to `stdout_to` and `stderr_to` (file descriptors) and to the log files. A log that
    cannot be written is given up; the child does not notice.

    A request to stop is passed on to the child's whole session, then followed by SIGTERM and SIGKILL; each further
    request goes to the next step at once. Processes that outlive the child are stopped once they are quiet.
    What left for a session of its own, as a daemon does, is left alone; if it keeps our output open,
    we listen for no longer than `LEFTOVER_QUIET` after its last word, and no longer than `LEFTOVER_LIMIT`.

    Args:
        argv: The program and its arguments.
        cwd: The child's working directory.
        env: The child's whole environment.
        guard: The entered guard. If it holds a pending request, nothing is started.
        stdout_log: Where to keep what the child writes to stdout.
        stderr_log: Where to keep what the child writes to stderr.
        stdout_to: Our stdout.
        stderr_to: Our stderr.
        timeout: Seconds that the child may run, not counting those spent suspended by Ctrl-Z.
        grace: The time between the steps.
        on_event: Told of each signal sent to the child. An `OSError` from it is ignored: it wanted to say it on a
            terminal that is gone, and the child still has its time to end.
        footer: What to show below the output while the child runs, if all of it goes to one terminal.
        mark: An entry of `env`, such as `RUN=17`, that nobody else has: by it the child is found if we are killed in
            the moment in which it starts.
        log_filter: Makes a filter for each of the logs, such as one that hides secrets; None for none. `stdout_to`
            and `stderr_to` get everything unchanged.
        capture: Whether output passes through us. Otherwise the child itself gets `stdout_to` and `stderr_to`; there
            are no logs and no footer, and what outlives the child has `LEFTOVER_LIMIT` to end, since we cannot see
            whether it still writes.

    Raises:
        LaunchError: The working directory cannot be used, or the system cannot take an argument or variable.
    """
    with guard.listening() as inbox, contextlib.ExitStack() as stack:
        if guard.pending is not None:  # asked only now: from here on, requests go to the inbox
            return Outcome(End.INTERRUPTED, interrupted_by=guard.pending)
        screen = _screen(footer, stdout_to, stderr_to) if capture else None
        try:
            streams = []
            for sink, log in ((stdout_to, stdout_log), (stderr_to, stderr_log)) if capture else ():
                chosen = log_filter() if log_filter and log else None
                streams.append(stack.enter_context(Stream(sink, log, log_filter=chosen, screen=screen)))
            keeper = stack.enter_context(Keeper(mark))
            modes = TerminalModes()
            started = time.monotonic()
            process = _start(argv, cwd, env, streams, (stdout_to, stderr_to))
            keeper.watch(process.pid, grace.terminate)
        except OSError as error:
            return Outcome(End.NOT_STARTED, error=error)
        supervision = _Supervision(
            process=process,
            keeper=keeper,
            streams=streams,
            inbox=inbox,
            started=started,
            timeout=timeout,
            grace=grace,
            on_event=on_event,
            screen=screen,
        )
        supervision.run()
        stack.close()  # a log may fail as late as here
        outcome = supervision.outcome()
        if outcome.end is not End.EXITED:
            modes.restore()  # it may have died at a prompt that had switched off the echo
        return outcome


def _screen(footer: Footer | None, stdout_to: int, stderr_to: int) -> Screen | None:
    if footer is None:
        return None
    from dioptra_cli.execution.process.screen import Screen, is_one_terminal  # what few runs need

    return Screen(stderr_to, footer) if is_one_terminal(stdout_to, stderr_to) else None


def _start(
    argv: Sequence[str], cwd: str, env: Mapping[str, str], streams: Sequence[Stream], ours: tuple[int, int]
) -> subprocess.Popen[bytes]:
    stdout, stderr = [stream.child_end for stream in streams] or ours
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            # Job control stops a background process that reads the terminal, but not one in another session:
            # that would take what the user types to the shell.
            stdin=subprocess.DEVNULL if is_in_background() else None,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except ValueError as error:
        raise unpassable(error) from error
    except OSError as error:
        if error.filename != cwd:
            raise
        raise unusable_directory(cwd, error) from error
    finally:
        for stream in streams:
            stream.release_child_end()


class _Supervision:
    """One child from its start to the end of its session.

    There is always one deadline, and what it means follows from what was sent last and whether the child has
    ended: the timeout, the end of a grace period, or the end of the quiet granted to what outlives the child.
    """

    def __init__(
        self,
        *,
        process: subprocess.Popen[bytes],
        keeper: Keeper,
        streams: Sequence[Stream],
        inbox: Inbox,
        started: float,
        timeout: float | None,
        grace: Grace,
        on_event: Callable[[Event], None],
        screen: Screen | None,
    ) -> None:
        self._process = process
        self._group = ProcessGroup(process.pid)
        self._keeper = keeper
        self._meter = Meter(process, self._group)
        self._usage: Usage | None = None
        self._streams = streams
        self._inbox = inbox
        self._grace = grace
        self._on_event = on_event
        self._screen = screen
        self._started = started
        self._deadline = math.inf if timeout is None else started + timeout
        self._ended: float | None = None  # when the child itself did, be there leftovers or not
        self._linger_until = math.inf
        self._cause: Cause | None = None  # why we ended it, if we did
        self._interrupted_by: signal.Signals | None = None
        self._sent: signal.Signals | None = None
        self._leftovers_stopped = False
        self._given_up = False

    def run(self) -> None:
        """Copy output and act on signals and deadlines until nothing of the child is left."""
        try:
            while not self._is_over():
                self._copy(*self._wait())
                for signum in self._inbox.take():
                    self._handle(signum)
                if time.monotonic() >= self._deadline:
                    self._handle_deadline()
                self._meter.look()
                if self._screen is not None:
                    self._screen.refresh()
        except BaseException:
            self._group.send(signal.SIGKILL)
            self._process.wait()
            raise
        finally:
            self._make_way()

    def outcome(self) -> Outcome:
        """Return what became of the child."""
        returncode = self._process.returncode
        if self._cause is Cause.INTERRUPT:
            end = End.INTERRUPTED
        elif self._cause is Cause.TIMEOUT:
            end = End.TIMED_OUT
        else:
            end = End.SIGNALED if returncode < 0 else End.EXITED
        return Outcome(
            end,
            seconds=(self._ended or time.monotonic()) - self._started,
            returncode=returncode,
            interrupted_by=self._interrupted_by,
            leftovers_stopped=self._leftovers_stopped,
            log_error=next((stream.log.error for stream in self._streams if stream.log.error), None),
            output_error=next((stream.sink_error for stream in self._streams if stream.sink_error), None),
            cpu_seconds=self._usage and self._usage.cpu_seconds,
            peak_memory=self._usage and self._usage.peak_memory,
        )

    def _is_over(self) -> bool:
        if self._given_up:
            return True
        if self._ended is None or self._group.is_alive():
            return False
        self._keeper.dismiss()  # as soon as it has nothing to watch: a reader may keep us waiting for hours
        return all(stream.is_done for stream in self._streams)

    def _wait(self) -> tuple[list[int], list[int]]:
        """Wait for something to do. Returns the descriptors that are ready to be read, and to be written."""
        now = time.monotonic()
        active = [stream for stream in self._streams if not stream.is_done]
        blocked = [stream.sink for stream in active if stream.is_blocked]
        timeout = self._deadline - now
        if self._ended is not None and not active:
            timeout = min(timeout, LEFTOVER_POLL)
        timeout = min(timeout, self._meter.due - now)
        if self._screen is not None:
            timeout = min(timeout, self._screen.due - now)
        readable, writable, _ = select.select(
            [self._inbox.fileno(), *(stream.source for stream in active if not stream.is_blocked)],
            blocked,
            [],
            None if timeout == math.inf else max(0.0, timeout),
        )
        if blocked and self._is_lingering:
            self._postpone(time.monotonic() - now)  # `| less` may take its time
        return readable, writable

    def _copy(self, readable: Sequence[int], writable: Sequence[int]) -> None:
        for stream in self._streams:
            if stream.is_done:
                continue
            if stream.is_blocked:
                if stream.sink in writable:
                    stream.deliver()
            elif stream.source in readable:
                stream.receive()
                if self._is_lingering:
                    self._deadline = min(time.monotonic() + LEFTOVER_QUIET, self._linger_until)

    def _handle(self, signum: signal.Signals) -> None:
        if signum == signal.SIGCHLD:
            self._notice_end()
        elif signum == signal.SIGWINCH:
            for stream in self._streams:
                stream.copy_window_size()
            if self._screen is not None:
                self._screen.resize()
            self._group.send(signal.SIGWINCH)
        elif signum == signal.SIGTSTP:
            self._suspend()
        else:
            self._interrupt(signum)

    def _notice_end(self) -> None:
        if self._ended is not None:
            return
        self._usage = self._meter.reap()
        if self._usage is not None:
            self._ended = time.monotonic()
            self._linger_until = self._ended + LEFTOVER_LIMIT
            if self._sent != signal.SIGTERM:  # else the grace period goes on for the others
                self._deadline = self._ended + (LEFTOVER_QUIET if self._streams else LEFTOVER_LIMIT)

    @property
    def _is_lingering(self) -> bool:
        """Whether only processes that outlived the child are left, and nothing has stopped them yet."""
        return self._ended is not None and self._sent not in (signal.SIGTERM, signal.SIGKILL)

    def _suspend(self) -> None:
        """Stop the child and ourselves until we are continued; the time does not count."""
        self._make_way()
        modes = TerminalModes()
        suspended = time.monotonic()
        # Not SIGTSTP: a process group without a parent in its own session does not stop for it.
        self._group.send(signal.SIGSTOP)
        suspend()
        modes.restore()  # the shell has used the terminal since
        self._group.send(signal.SIGCONT)
        self._postpone(time.monotonic() - suspended)

    def _make_way(self) -> None:
        if self._screen is not None:
            self._screen.make_way()

    def _postpone(self, seconds: float) -> None:
        self._deadline += seconds
        self._linger_until += seconds

    def _interrupt(self, signum: signal.Signals) -> None:
        self._notice_end()  # Python hands out signals by number, not by time: SIGCHLD comes after SIGINT
        if self._ended is None and self._cause is None:
            self._cause, self._interrupted_by = Cause.INTERRUPT, signum
        if self._ended is None and self._sent is None:
            self._send(signum)
        else:
            self._escalate()

    def _handle_deadline(self) -> None:
        if self._ended is None and self._cause is None:
            self._cause = Cause.TIMEOUT
        self._escalate()

    def _escalate(self) -> None:
        nobody_left = self._ended is not None and not self._group.is_alive()
        if nobody_left or self._sent == signal.SIGKILL:
            # What is left is a reader that does not read, a daemon that kept our output, or cannot be killed.
            self._given_up = True
        else:
            self._send(signal.SIGKILL if self._sent == signal.SIGTERM else signal.SIGTERM)

    def _send(self, signum: signal.Signals) -> None:
        if signum == signal.SIGTERM:
            wait = self._grace.terminate
        elif signum == signal.SIGKILL:
            wait = KILL_WAIT if self._ended is None else LEFTOVER_QUIET
        else:
            wait = self._grace.interrupt
        self._sent = signum
        self._deadline = time.monotonic() + wait
        self._group.send(signum)
        self._group.send(signal.SIGCONT)  # a stopped process would not act on it
        if self._ended is not None:
            self._leftovers_stopped = True
        self._make_way()  # the listener may want to say it
        cause = self._cause if self._ended is None and self._cause else Cause.LEFTOVERS
        with contextlib.suppress(OSError):
            self._on_event(Event(cause, signum, wait))
