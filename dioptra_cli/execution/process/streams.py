"""The output of a child on its way to us and to its log, byte for byte; and the terminal it may go to.

A stream is a pipe, or a pseudo-terminal where our own end is a terminal, so that the child still sees one.
The two streams of a child are independent: of two writes that come together, either may be passed on first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import termios
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dioptra_cli.execution.process.screen import Screen

CHUNK = 1 << 16

_STDIN = 0


class Stream:
    """One output stream of a child: from `source`, which we read, to `sink`, and to a log if there is one.

    While the sink takes no more, nothing is read, so a slow reader slows the child down as it would without
    us. When the sink is closed by its reader we close the source, and the child is told by SIGPIPE or EPIPE.
    A screen is asked to make way for what goes to the sink.
    """

    def __init__(self, sink: int, log_path: str | None, screen: Screen | None = None) -> None:
        self.sink = sink
        self.log = Log(log_path)
        self._screen = screen
        self._is_terminal = os.isatty(sink)
        self.source, self.child_end = _open_terminal(like=sink) if self._is_terminal else os.pipe()
        self._waiting = memoryview(b"")  # read, but not yet taken by the sink
        self._open = {self.source, self.child_end}
        # A pipe or terminal that is ready takes PIPE_BUF bytes; more could block, and with it the event loop.
        self._step = CHUNK if _is_regular_file(sink) else select.PIPE_BUF

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.is_blocked:
            self.log.error = self.log.error or "the end of the output was never read"
        self.release_child_end()
        self.stop()
        self.log.close()

    @property
    def is_blocked(self) -> bool:
        """Whether the sink has to take something before more can be read."""
        return bool(self._waiting)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to read."""
        return self.source not in self._open

    def receive(self) -> None:
        """Read what has arrived and pass it on; call when the source is readable and the sink not blocked."""
        try:
            data = os.read(self.source, CHUNK)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux reports that the child's end of a terminal is closed
                raise
            data = b""
        if not data:
            self.stop()
            return
        self._waiting = memoryview(data)
        self.deliver()
        self.log.write(data)

    def deliver(self) -> None:
        """Give the sink as much as it takes without blocking."""
        try:
            while self._waiting and select.select([], [self.sink], [], 0)[1]:
                if self._screen is not None:
                    self._screen.make_way()
                written = os.write(self.sink, self._waiting[: self._step])
                if self._screen is not None:
                    self._screen.passed(bytes(self._waiting[:written]))
                self._waiting = self._waiting[written:]
        except BlockingIOError:  # another writer of the same pipe was faster
            pass
        except OSError:  # its reader is gone, or its disk is full
            self.stop()

    def copy_window_size(self) -> None:
        """Tell the child's terminal the size of ours."""
        if self._is_terminal and not self.is_done:
            _copy_window_size(self.sink, self.source)

    def release_child_end(self) -> None:
        """Close what the child writes to, once it has it: otherwise there would be no end of file."""
        self._close(self.child_end)

    def stop(self) -> None:
        """Read no more."""
        self._waiting = memoryview(b"")
        self._close(self.source)

    def _close(self, fd: int) -> None:
        if fd in self._open:
            self._open.remove(fd)
            os.close(fd)


class Log:
    """A log file that gives up rather than fail. `error` says why it is incomplete."""

    def __init__(self, path: str | None) -> None:
        self.error: str | None = None
        self._fd: int | None = None
        if path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            except OSError as error:
                self.error = str(error)

    def write(self, data: bytes) -> None:
        """Append all of `data`, or close the log."""
        if self._fd is None:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.error = str(error)
            self.close()

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            try:
                os.close(fd)
            except OSError as error:  # a network file system may report a full disk only now
                self.error = self.error or str(error)


class TerminalModes:
    """The modes of the terminal on our stdin, as they were when this was made."""

    def __init__(self) -> None:
        self._modes: list[Any] | None = None
        with contextlib.suppress(termios.error):  # not a terminal
            self._modes = termios.tcgetattr(_STDIN)

    def restore(self) -> None:
        """Put them back, if the terminal is ours to change."""
        if self._modes is not None and not is_in_background():  # from there, this would stop us by SIGTTOU
            with contextlib.suppress(termios.error):
                termios.tcsetattr(_STDIN, termios.TCSANOW, self._modes)


def is_in_background() -> bool:
    """Whether stdin is a terminal that another process group has at the moment, such as the shell."""
    try:
        return os.tcgetpgrp(_STDIN) not in (os.getpgrp(), 0)  # 0: a group outside of our container
    except OSError:  # not a terminal, or not ours
        return False


def _open_terminal(like: int) -> tuple[int, int]:
    """Open a pseudo-terminal that passes bytes unchanged, or a pipe. Returns our end and the child's."""
    try:
        ours, childs = os.openpty()
    except OSError:
        return os.pipe()
    modes = termios.tcgetattr(like)
    modes[1] &= ~termios.OPOST  # the real terminal does that
    termios.tcsetattr(childs, termios.TCSANOW, modes)
    _copy_window_size(like, ours)
    return ours, childs


def _copy_window_size(source: int, target: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(target, termios.TIOCSWINSZ, size)


def _is_regular_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
