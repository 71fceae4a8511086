"""Signals sent to dioptra itself: who gets them in which phase. Must not decide what happens to a child.

| phase | by | SIGINT, SIGTERM, SIGHUP | SIGQUIT |
|---|---|---|---|
| nothing is recorded yet | `interruptible` | raise `Interrupted` | default |
| a run is open, no child | `SignalGuard` | remembered; the third one raises `Interrupted` | the same |
| a child runs | `SignalGuard.listening` | go to the `Inbox` | the same |
| all is done | `ignore_until_exit` | are ignored | the same |

A signal that was ignored when dioptra started (`nohup`, a background job of a script) stays ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType

SAME_REQUEST = 0.2
"""Seconds in which further signals count as the same request: `timeout` delivers its signal twice, and a
logout sends SIGHUP and SIGTERM together."""

PATIENCE = 3
"""So many requests to stop, while no child runs, end even the bookkeeping of a run: its server may hang."""

_STOP_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_Handler = Callable[[int, FrameType | None], None]


class Interrupted(KeyboardInterrupt):
    """A signal asked dioptra to stop. Like Ctrl-C, it is no `Exception`, so that only clean-up code sees it.

    Attributes:
        signum: The signal.
        exit_code: What the process returns: 128 and the signal's number.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal_name(signum)}")
        self.signum = signum
        self.exit_code = 128 + signum


def signal_name(signum: int) -> str:
    """Return the name of a signal, such as `SIGTERM`."""
    try:
        return signal.Signals(signum).name
    except ValueError:  # most real-time signals have no name
        return f"signal {signum}"


def suspend() -> None:
    """Stop this process as Ctrl-Z does. Returns when it is continued; at once where nobody could do that."""
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, handler)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP raise `Interrupted` in the main thread, so that `finally` cleans up.

    One that is caught inside the block is raised again at its end.
    """
    requests = _Requests()
    heard: int | None = None

    def interrupt(signum: int, _frame: FrameType | None) -> None:
        nonlocal heard
        if requests.is_new():
            heard = heard or signum
            raise Interrupted(signum)

    with _handling({signum: interrupt for signum in _STOP_REQUESTS if signum != signal.SIGQUIT}):
        yield
    if heard is not None:  # whatever ran then has an `except:`, as some modules have around an import
        raise Interrupted(heard)


class SignalGuard:
    """Keeps signals from ending dioptra while a run is open; `run_child` works inside it.

    Enter it before the run is created and leave it after the run is closed. Main thread only.

    Attributes:
        pending: The first request to stop that has arrived, before, during or after the child.
        unheard: How many have arrived while there was no child to pass them on to.
        patience: The one of these that raises `Interrupted`.
    """

    def __init__(self) -> None:
        self.pending: signal.Signals | None = None
        self._requests = _Requests()
        self.unheard = 0
        self.patience = PATIENCE
        self._inbox: Inbox | None = None
        self._handling = _handling(dict.fromkeys(_STOP_REQUESTS, self._receive))

    def __enter__(self) -> SignalGuard:
        self._handling.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._handling.__exit__(None, None, None)

    @contextlib.contextmanager
    def listening(self) -> Iterator[Inbox]:
        """Send every signal that matters to a running child to the inbox that is yielded."""
        with Inbox() as inbox, _handling(dict.fromkeys(Inbox.EXTRA_SIGNALS, inbox.receive)):
            self._inbox = inbox
            try:
                yield inbox
            finally:
                self._inbox = None

    def lose_patience(self, heard: int) -> None:
        """Let the next request to stop raise `Interrupted`; at once, if one has come since `unheard` was `heard`.

        May be called from another thread.
        """
        self.patience = self.unheard + 1
        if self.unheard > heard and self.pending is not None:
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, self.pending)  # what it waits for may not return by itself

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if not self._requests.is_new():
            return
        self.pending = self.pending or signal.Signals(signum)
        if self._inbox is not None:
            self._inbox.receive(signum, frame)
            return
        self.unheard += 1
        if self.unheard >= self.patience:
            raise Interrupted(signum)


class Inbox:
    """Signals with a file descriptor that becomes readable when there is one."""

    EXTRA_SIGNALS = (signal.SIGCHLD, signal.SIGTSTP, signal.SIGWINCH)

    def __enter__(self) -> Inbox:
        self._received: deque[signal.Signals] = deque()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        # The byte that the interpreter writes ends a `select` that began before the handler could run ...
        self._previous = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return self

    def __exit__(self, *exception: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        signal.set_wakeup_fd(self._previous)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._reader

    def receive(self, signum: int, _frame: FrameType | None) -> None:
        """Add a signal; this is the handler."""
        self._received.append(signal.Signals(signum))
        # ... and this one ends a `select` that began after that byte was read and before the handler ran.
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"\0")

    def take(self) -> list[signal.Signals]:
        """Remove and return what has arrived."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)
        return [self._received.popleft() for _ in range(len(self._received))]


class _Requests:
    """Tells a new request to stop from the echo of the last one."""

    def __init__(self) -> None:
        self._last = -SAME_REQUEST

    def is_new(self) -> bool:
        now = time.monotonic()
        if now - self._last < SAME_REQUEST:
            return False
        self._last = now
        return True


@contextlib.contextmanager
def _handling(handlers: Mapping[signal.Signals, _Handler]) -> Iterator[None]:
    """Install handlers for the block, except for signals that are ignored."""
    before = {signum: signal.getsignal(signum) for signum in handlers}
    previous = {
        signum: handler
        for signum, handler in before.items()
        # None: Python could not put it back. And an ignored SIGCHLD would lose the exit code of the child.
        if handler is not None and (handler is not signal.SIG_IGN or signum == signal.SIGCHLD)
    }
    try:
        with _held_back(previous):
            for signum in previous:
                signal.signal(signum, handlers[signum])
        yield
    finally:
        with _held_back(previous):
            for signum, handler in previous.items():
                signal.signal(signum, handler)


def ignore_until_exit() -> None:
    """Ignore requests to stop from now on: for a process that has done its work and only ends.

    The way out of Python takes some time, and a signal in it would turn an exit code that has been recorded into
    another one. Main thread only; there is no way back.
    """
    for signum in _STOP_REQUESTS:
        signal.signal(signum, signal.SIG_IGN)


def undisturbed() -> contextlib.AbstractContextManager[None]:
    """Delay requests to stop for the block: what it does is done whole, or not begun."""
    return _held_back(_STOP_REQUESTS)


@contextlib.contextmanager
def _held_back(signums: Iterable[int]) -> Iterator[None]:
    """Delay signals for the block, so that a handler that raises cannot leave it half done."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signums)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
