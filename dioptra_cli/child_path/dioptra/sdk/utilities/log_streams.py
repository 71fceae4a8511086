"""Standard streams whose lines become log records.

Owns how text is cut into lines, and what a stream that is no terminal answers to those who ask. How a record looks is
the logging handlers' business.
"""

from __future__ import annotations

import codecs
import io
import json
import logging
import os
import re
import sys
import threading
import weakref
from types import TracebackType
from typing import Any, ClassVar, TextIO, TypeVar

__all__ = ["LogStream", "StderrLogStream", "StdoutLogStream"]

S = TypeVar("S", bound="LogStream")

LINE_LIMIT = 65536
"""Characters after which a line that nobody ends becomes a record as it is."""

_UP = "\x1b[A"
"""Moves a terminal's cursor one line up."""


_QUESTION = re.compile(r"(\?|[(\[]y(es)?/no?[)\]]) *:? $", re.IGNORECASE)
"""How the text ends that somebody who flushes it wants an answer to, such as `Delete? ` or `Delete? [y/N]: `."""


class _Emission(threading.local):
    """Whether this thread is inside a log handler on behalf of a stream."""

    running = False


_EMISSION = _Emission()


class _Unfinished:
    """What one thread has written since its last newline, and how much of it is still to be seen.

    Progress bars write over themselves with carriage returns. Nested ones also go down with a newline, and back up
    again with an escape sequence: such a newline ends no line, which shows only by what comes after it.
    """

    __slots__ = ("climbed", "decoder", "held", "pieces", "redrawn", "size", "thread")

    def __init__(self) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self.thread = threading.current_thread()
        self.pieces: list[str] = []
        self.size = 0
        self.climbed = False
        self.redrawn = False
        self.held = ""

    def add(self, text: str) -> None:
        """Add text without a newline, and forget what it writes over."""
        self.pieces.append(text)
        self.size += len(text)
        if "\r" in text or _UP in text:
            self.redrawn = True
            text = "".join(self.pieces)
            self.climbed = self.climbed or _UP in text
            text = _visible(text) + ("\r" if text.endswith("\r") else "")
            self.pieces, self.size = [text], len(text)

    def asks(self) -> bool:
        """Tell whether the text is a question, and no progress bar."""
        # The end of it is enough: a line of dots is flushed after each.
        end = "".join(self.pieces[-3:])[-20:]
        return not (self.redrawn or self.held) and _QUESTION.search(end) is not None

    def end(self, text: str = "") -> list[str]:
        """Add text up to a newline, and return the lines that are finished now."""
        self.pieces.append(text)
        written = "".join(self.pieces)
        self.pieces, self.size, self.redrawn = [], 0, False
        lines = []
        for line in written.split("\n"):
            visible = _visible(line)
            if self.climbed or _UP in line:
                self.climbed = False
                if visible.strip():
                    self.held = visible
            elif self.held:
                lines += [self.held, visible]
                self.held = ""
            else:
                lines.append(visible)
        return lines

    def rest(self) -> list[str]:
        """Return all that is left, as lines."""
        lines = [*self.end(self.decoder.decode(b"", True)), self.held]
        self.held = ""
        return lines


def _visible(line: str) -> str:
    """Return what can be seen after the last carriage return and the last way up."""
    if "\r" in line:
        line = line.rstrip("\r")
        line = line[line.rfind("\r") + 1 :]
    return line.rpartition(_UP)[2]


class LogStream(io.TextIOBase):
    """A text stream whose lines become log records; as a context manager it stands in for a standard stream.

    Each line is a record of its own, blank ones are dropped. A line ends with its newline; one without comes out when
    the block is left. Of a line that carriage returns write over and over (a progress bar), the last state counts.
    Lines of different threads do not mix. What is written while a handler handles such a record, and after the block
    was left, goes to the real stream as it is.

    Args:
        as_json: How lines are written as long as no handler is attached to logging: as JSON objects, or as they are.
    """

    names: ClassVar[tuple[str, ...]] = ("<stdout>", "<stderr>")
    """What `name` can be; the records have it for their `pathname`."""
    name: ClassVar[str]
    logger_name: ClassVar[str]
    level: ClassVar[int] = logging.INFO

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    mode = "w"
    line_buffering = True
    write_through = True

    def __init__(self, as_json: bool) -> None:
        self.logger = logging.getLogger(self.logger_name)
        self.buffer = _ByteStream(self)
        self.real: TextIO = getattr(sys, self._standard)
        self._as_json = as_json
        self._replaced: list[TextIO] = []
        self._left = False
        self._start_anew()
        _STREAMS.add(self)

    @property
    def _standard(self) -> str:
        return self.name.strip("<>")

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._unfinished: list[_Unfinished] = []

    def __enter__(self: S) -> S:
        replaced = getattr(sys, self._standard)
        self._replaced.append(replaced)
        if replaced is not self:
            self.real = replaced
        self._left = False
        setattr(sys, self._standard, self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._finish_lines()
        finally:
            setattr(sys, self._standard, self._replaced.pop())
            self._left = not self._replaced

    @property
    def passes_through(self) -> bool:
        """Whether text goes to the real stream as it is."""
        return self._left or _EMISSION.running

    def write(self, text: str, /) -> int:
        """Take text; the lines that it ends become log records."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._left or _EMISSION.running:
            return self.real.write(text)
        unfinished = self.unfinished()
        ended, newline, rest = text.rpartition("\n")
        if newline:
            for line in unfinished.end(ended):
                self._log(line)
        if rest:
            unfinished.add(rest)
            if unfinished.size > LINE_LIMIT:
                for line in unfinished.end():
                    self._log(line)
        return len(text)

    def unfinished(self) -> _Unfinished:
        """Return what this thread has not finished; lines whose thread has ended come out."""
        try:
            return self._local.unfinished  # type: ignore[no-any-return]  # thread-local attributes have no types
        except AttributeError:
            pass
        unfinished = self._local.unfinished = _Unfinished()
        with self._lock:
            ended = [other for other in self._unfinished if not other.thread.is_alive()]
            self._unfinished = [other for other in self._unfinished if other not in ended]
            self._unfinished.append(unfinished)
        for line in [line for other in ended for line in other.rest()]:
            self._log(line)
        return unfinished

    def _finish_lines(self) -> None:
        for line in [line for unfinished in self._unfinished for line in unfinished.rest()]:
            self._log(line)

    def _log(self, line: str) -> None:
        line = line.rstrip()
        if not line:
            return
        # A handler that writes to this stream, to report its own failure perhaps, must not come back here.
        _EMISSION.running = True
        try:
            if not self.logger.hasHandlers():
                self.real.write(f"{self._plain(line)}\n")
            elif self.logger.isEnabledFor(self.level):
                self.logger.handle(
                    self.logger.makeRecord(self.logger_name, self.level, self.name, 0, line, (), None)
                )
        finally:
            _EMISSION.running = False

    def _plain(self, line: str) -> str:
        if not self._as_json:
            return line
        level = logging.getLevelName(self.level).lower()
        return json.dumps({"event": line, "logger": self.logger_name, "level": level})

    def flush(self) -> None:
        """Flush the real stream; a line without its newline goes on waiting for it, unless it is a question.

        A question comes out at once, as its answer would come too late. Nothing else does: dots, progress bars, and
        `Loading: ` with `done` to follow are flushed again and again, and shall become one record.
        """
        if not self.passes_through:
            unfinished = self.unfinished()
            if unfinished.asks():
                for line in unfinished.end():
                    self._log(line)
        if not self.real.closed:
            self.real.flush()

    def after_fork(self) -> None:
        """In a forked process: leave the unfinished lines to the process that wrote them."""
        self._start_anew()
        # A multiprocessing child ends without leaving the block. It drops all finalizers first, but for those that
        # are made when it calls what is registered here.
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:
            multiprocessing.register_after_fork(
                self, lambda stream: multiprocessing.Finalize(None, stream._finish_lines, exitpriority=0)
            )

    def close(self) -> None:
        """Do nothing: others still log through this stream."""

    def isatty(self) -> bool:
        """Return False: colours and cursor movements have no place in a log, whatever the real stream is."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the real stream's descriptor, for child processes and crash handlers, which write past the log."""
        self.real.flush()
        return self.real.fileno()

    def detach(self) -> Any:
        """Return the byte stream, for those who want to wrap it themselves."""
        return self.buffer

    def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """Take what `io.TextIOWrapper.reconfigure` takes; a log stream accepts all text, line by line, as it is."""


class StdoutLogStream(LogStream):
    """What is printed becomes INFO records of the logger `STDOUT`."""

    name = "<stdout>"
    logger_name = "STDOUT"


class StderrLogStream(LogStream):
    """What is written to standard error becomes INFO records of the logger `STDERR`."""

    name = "<stderr>"
    logger_name = "STDERR"


class _ByteStream(io.BufferedIOBase):
    """The bytes beneath a log stream: UTF-8 text, decoded."""

    mode = "wb"

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream
        self.name = stream.name

    def write(self, data: Any, /) -> int:
        if self._stream.passes_through:
            return int(self._stream.real.buffer.write(data))
        text = memoryview(data).tobytes()
        self._stream.write(self._stream.unfinished().decoder.decode(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        pass

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()


_STREAMS: weakref.WeakSet[LogStream] = weakref.WeakSet()


def _after_fork() -> None:
    for stream in list(_STREAMS):
        stream.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
