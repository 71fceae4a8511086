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
import sys
import termios
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dioptra_cli.execution.process.screen import Screen

CHUNK = 1 << 18
"""So many bytes are read at most at once; also the capacity that is asked for a pipe."""

_FILE_STEP = 1 << 13
"""So many bytes are written to a file at once: for larger pieces Linux looks for memory in one piece, which can take
longer than the copying."""

_READER_IS_GONE = (errno.EPIPE, errno.EIO)
"""Of a pipe or socket, and of a terminal."""

_STDIN = 0
_NO_SUCH_CALL = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE)


class Filter(Protocol):
    """Changes a stream of bytes that comes in pieces."""

    def feed(self, data: bytes, /) -> bytes:
        """Take a piece; return what is certain by now."""

    def finish(self) -> bytes:
        """Return what was held back."""


class Stream:
    """One output stream of a child: from `source`, which we read, to `sink`, and to a log if there is one.

    While the sink takes no more, nothing is read, so a slow reader slows the child down as it would without
    us. When the sink is closed by its reader we close the source, and the child is told by SIGPIPE or EPIPE.
    A sink that fails otherwise is given nothing more, and `sink_error` says why; the log goes on. What goes to the
    log passes through `log_filter`. A screen is asked to make way for what goes to the sink.
    """

    def __init__(
        self,
        sink: int,
        log_path: str | None,
        *,
        log_filter: Filter | None = None,
        screen: Screen | None = None,
    ) -> None:
        self.sink = sink
        self.sink_error: str | None = None
        self.log = Log(log_path, log_filter)
        self._screen = screen
        self._is_terminal = os.isatty(sink)
        self.source, self.child_end = _open_terminal(like=sink) if self._is_terminal else _open_pipe()
        # One for all that is read: new memory for each piece takes as long as the copying.
        self._buffer = memoryview(bytearray(CHUNK))
        self._waiting = self._buffer[:0]  # read, but not yet taken by the sink
        self._open = {self.source, self.child_end}
        # A pipe or terminal that is ready takes PIPE_BUF bytes; more could block, and with it the event loop.
        # (O_NONBLOCK would also change the descriptors of everyone else who has the same pipe.)
        self._step = _FILE_STEP if stat.S_ISREG(_mode(sink)) else select.PIPE_BUF
        self._is_nowait = stat.S_ISFIFO(_mode(sink))

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
            size = os.readv(self.source, [self._buffer])
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux reports that the child's end of a terminal is closed
                raise
            size = 0
        if not size:
            self.stop()
            return
        if self.sink_error is None:
            self._waiting = self._buffer[:size]
            self.deliver()
        self.log.write(self._buffer[:size])

    def deliver(self) -> None:
        """Give the sink as much as it takes without blocking."""
        try:
            while self._waiting and select.select([], [self.sink], [], 0)[1]:
                if self._screen is not None:
                    self._screen.make_way()
                written = self._write()
                if self._screen is not None:
                    self._screen.passed(bytes(self._waiting[:written]))
                self._waiting = self._waiting[written:]
        except BlockingIOError:  # another writer of the same pipe was faster
            pass
        except OSError as error:
            if error.errno in _READER_IS_GONE:
                self.stop()
            else:  # its disk is full
                self.sink_error = error.strerror
                self._waiting = self._buffer[:0]

    def _write(self) -> int:
        """Write as much as a sink that is ready takes without blocking; return how much that was."""
        if sys.platform == "linux" and self._is_nowait:
            try:
                return os.pwritev(self.sink, [self._waiting], -1, os.RWF_NOWAIT)
            except OSError as error:
                if error.errno not in _NO_SUCH_CALL:  # Linux knows it for pipes from 6.5 on
                    raise
                self._is_nowait = False
        return os.write(self.sink, self._waiting[: self._step])

    def copy_window_size(self) -> None:
        """Tell the child's terminal the size of ours."""
        if self._is_terminal and not self.is_done:
            _copy_window_size(self.sink, self.source)

    def release_child_end(self) -> None:
        """Close what the child writes to, once it has it: otherwise there would be no end of file."""
        self._close(self.child_end)

    def stop(self) -> None:
        """Read no more."""
        self._waiting = self._buffer[:0]
        self._close(self.source)

    def _close(self, fd: int) -> None:
        if fd in self._open:
            self._open.remove(fd)
            os.close(fd)


class Log:
    """A log file that gives up rather than fail. `error` says why it is incomplete.

    What can be written is written at once: somebody may follow it.
    """

    def __init__(self, path: str | None, log_filter: Filter | None = None) -> None:
        self.error: str | None = None
        self._fd: int | None = None
        self._filter = log_filter
        if path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            except OSError as error:
                self.error = str(error)

    def write(self, data: memoryview) -> None:
        """Append all of `data`, or close the log."""
        if self._fd is not None:
            self._append(data if self._filter is None else memoryview(self._filter.feed(bytes(data))))

    def _append(self, data: memoryview) -> None:
        try:
            while data and self._fd is not None:
                data = data[os.write(self._fd, data[:_FILE_STEP]) :]
        except OSError as error:
            self.error = str(error)
            self._filter = None  # what it holds back has no place any more
            self.close()

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd is not None and self._filter is not None:
            last, self._filter = self._filter.finish(), None
            self._append(memoryview(last))
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


def _open_pipe() -> tuple[int, int]:
    """Open a pipe that takes more than the usual 64 KiB, where the system allows it."""
    ours, childs = os.pipe()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # the user has too many large pipes
            fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, CHUNK)
    return ours, childs


def _open_terminal(like: int) -> tuple[int, int]:
    """Open a pseudo-terminal that passes bytes unchanged, or a pipe. Returns our end and the child's."""
    try:
        ours, childs = os.openpty()
    except OSError:
        return _open_pipe()
    modes = termios.tcgetattr(like)
    modes[1] &= ~termios.OPOST  # the real terminal does that
    termios.tcsetattr(childs, termios.TCSANOW, modes)
    _copy_window_size(like, ours)
    return ours, childs


def _copy_window_size(source: int, target: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(target, termios.TIOCSWINSZ, size)


def _mode(fd: int) -> int:
    try:
        return os.fstat(fd).st_mode
    except OSError:  # it is closed
        return 0
