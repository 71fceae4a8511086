"""One HTTP/1.1 connection (RFC 9112), every operation of which ends in time.

Speaks what a client of a REST API needs: bodies of known length one way; of known length, in chunks, or up to the end
of the connection the other. Knows nothing of what is asked, and repeats nothing. The standard library's client takes
as long to import as several requests take.
"""

from __future__ import annotations

import socket
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

_BLOCK = 1 << 16
_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 200
_PAUSE = 1.0
"""Seconds; servers keep a connection for some more."""


class NotHttpError(Exception):
    """What came is no answer of a web server, or breaks off in the middle of one."""


class ClosedError(ConnectionError):
    """The server closed the connection instead of answering."""

    def __init__(self) -> None:
        super().__init__("it closed the connection without an answer")


class LocalFailure(Exception):
    """A file of this machine failed in the middle of a request.

    Attributes:
        error: What the operating system said.
    """

    def __init__(self, error: OSError) -> None:
        self.error = error


class Head(NamedTuple):
    """What comes before the body of an answer; the names of the headers in lower case."""

    status: int
    headers: Mapping[str, str]


class Connection:
    """A connection, closed at the latest when nobody uses it any more.

    Args:
        raw: A connected socket.

    Attributes:
        is_reusable: Whether another request may follow. Known once the body of the answer is read.
    """

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        weakref.finalize(self, raw.close)  # a tracker is used until the process is over; nobody closes it
        self._buffer = b""
        self._deadline = 0.0
        self._each: float | None = None
        self._used = time.monotonic()
        self.is_reusable = False

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    def is_lost(self) -> bool:
        """Return whether the server has closed the connection while nothing was asked, as servers do after seconds.

        Looked up only after such a pause, for it may be mistaken: over TLS a server may say something unasked.
        """
        if time.monotonic() - self._used < _PAUSE:
            return False
        self._raw.settimeout(0)
        try:
            socket.socket.recv(self._raw, 1, socket.MSG_PEEK)  # below TLS, which has no such thing
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def allow(self, deadline: float, each: float | None = None) -> None:
        """Let what comes take until then, by the monotonic clock; or every operation so many seconds."""
        self._deadline, self._each = deadline, each

    def send(self, head: bytes, body: bytes = b"") -> None:
        """Send a request.

        Raises:
            OSError: The server does not take it, or not in time.
        """
        self.is_reusable = False
        self._arm()
        self._raw.sendall(head + body)

    def send_file(self, head: bytes, file: BinaryIO, size: int) -> None:
        """Send a request with the next `size` bytes of a file, also where the file grows meanwhile.

        Raises:
            LocalFailure: The file cannot be read, or has become shorter.
            OSError: The server does not take it, or not in time.
        """
        block = _read(file, min(size, _BLOCK))
        self.send(head, block)
        while size := size - len(block):
            block = _read(file, min(size, _BLOCK))
            self._arm()
            self._raw.sendall(block)

    def receive(self) -> Head:
        """Wait for an answer and read it up to its body.

        Raises:
            ClosedError: There is none.
            NotHttpError: It is none.
            OSError: It does not come in time, or the connection is lost.
        """
        while True:
            head, version = self._head()
            if head.status >= 200 or head.status == 101:
                break
        said = head.headers.get("connection", "").lower()
        self.is_reusable = "close" not in said if version == "HTTP/1.1" else "keep-alive" in said
        return head

    def body(self, head: Head) -> Iterator[bytes]:
        """Read the body that belongs to a head, block by block.

        Raises:
            NotHttpError: It breaks off.
            OSError: It does not come in time, or the connection is lost.
        """
        coding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
        if head.status in (204, 304):
            return
        if coding is not None:
            if coding.strip().lower() != "chunked":
                raise NotHttpError(f"it answers in an unknown encoding, '{coding}'")
            yield from self._chunks()
        elif length is not None:
            yield from self._exactly(_number(length, 10))
        else:
            self.is_reusable = False
            while block := self._some():
                yield block

    def _head(self) -> tuple[Head, str]:
        if not self._buffer:
            self._buffer = self._receive()
            if not self._buffer:
                raise ClosedError
        line = self._line()
        version, _, rest = line.partition(" ")
        status = rest[:3]
        if not version.startswith("HTTP/1.") or not status.isdecimal() or len(status) < 3:
            raise NotHttpError("it does not answer as a web server does")
        headers: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = self._line()
            if not line:
                return Head(int(status), headers), version
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        raise NotHttpError("its answer has no end of headers")

    def _chunks(self) -> Iterator[bytes]:
        while size := _number(self._line().partition(";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():  # trailers
            pass

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            block = self._some(size)
            if not block:
                raise NotHttpError("it broke off in the middle of an answer")
            size -= len(block)
            yield block

    def _some(self, most: int = _BLOCK) -> bytes:
        """Return some of what comes; nothing at the end of the connection."""
        buffer = self._buffer or self._receive()
        self._buffer = buffer[most:]
        return buffer[:most]

    def _line(self) -> str:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LONGEST_LINE:
                raise NotHttpError("it does not answer as a web server does")
            more = self._receive()
            if not more:
                raise NotHttpError("it broke off in the middle of an answer")
            self._buffer += more
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.rstrip(b"\r").decode("latin-1")

    def _receive(self) -> bytes:
        self._arm()
        return self._raw.recv(_BLOCK)

    def _arm(self) -> None:
        now = time.monotonic()
        left = self._each or self._deadline - now
        if left <= 0:
            raise TimeoutError
        self._raw.settimeout(left)
        self._used = now


def _read(file: BinaryIO, size: int) -> bytes:
    try:
        block = file.read(size)
    except OSError as error:
        raise LocalFailure(error) from error
    if size and not block:
        raise LocalFailure(OSError("it became shorter while it was read"))
    return block


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise NotHttpError(f"it gives the length of an answer as '{text}'")
    return number
