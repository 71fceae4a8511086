"""Requests to a tracking server that end in time: connections, deadlines and repetitions.

Knows HTTP and JSON, and nothing of runs. A server that is away, busy or broken for a moment is asked again until the
time is over; one that says no is not.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from dioptra_cli.errors import Problem, TrackingError, printable
from dioptra_cli.parameters.secrets import without_credentials
from dioptra_cli.tracking.reading import CREDENTIALS_HINT

_FIRST_DELAY, _LONGEST_DELAY = 0.2, 2.0
"""Seconds between two attempts: doubled each time, up to the second."""
_LAST_ATTEMPT = 0.2
"""Seconds before the end at which there is a last one."""
_STORED_PER_SECOND = 1_000_000
"""Bytes of an upload that a server passes on to its store in a second at least, before it answers."""
_BLOCK = 1 << 16
_LONGEST_REASON = 300
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_ALREADY_LOST = (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected)

AWAY_HINT = (
    "start it, or name another with --tracking-uri or MLFLOW_TRACKING_URI;"
    " --tracking-timeout sets how long to wait for it"
)


WRONG_HINT = "the URI is the one under which a browser shows MLflow"


class Refused(TrackingError):
    """The server knows the request and says no.

    Attributes:
        code: MLflow's `error_code`, such as `RESOURCE_DOES_NOT_EXIST`; empty where the answer has none.
    """

    def __init__(self, problem: Problem, code: str) -> None:
        super().__init__(problem)
        self.code = code


class _Answer(NamedTuple):
    """What a server said, with the headers that matter here."""

    status: int
    body: bytes
    retry_after: str | None = None
    location: str | None = None


@dataclass(eq=False)
class _Failed(Exception):
    """One attempt came to nothing.

    Attributes:
        error: What the user gets to read when there is no other attempt.
        passing: Whether another attempt may succeed.
        sent: Whether the server may have done what it was asked to.
        delay: Seconds to wait before the next one; None for what is usual.
    """

    error: TrackingError
    passing: bool
    sent: bool
    delay: float | None = None


class Transport:
    """One kept connection to a server. For one thread at a time.

    Args:
        uri: The http(s) URI of the server; a path in it comes before every path.
        authorization: The header of that name.
        timeout: Seconds that a request may take with all its repetitions, apart from the bytes of a file.
    """

    def __init__(self, uri: str, authorization: str | None, timeout: float) -> None:
        self._uri = uri
        self._parts = urlsplit(uri)
        self._secure = self._parts.scheme == "https"
        self._authorization = authorization
        self._timeout = timeout
        self._deadline: float | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._socket: _TimedSocket

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let all requests of a block together take so long."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def connect(self, *, plain: bool = False) -> None:
        """Open the connection, which the first request would do; a plain one is of no use but to see it open.

        Raises:
            TrackingError: It could not be opened in time.
        """
        self._repeated(lambda deadline: self._connect(deadline, secure=self._secure and not plain))

    def json(
        self, method: str, path: str, body: Any = None, *, was_done: Callable[[], Any] | None = None
    ) -> Any:
        """Make a request that is answered with JSON.

        Args:
            method: The HTTP method.
            path: What comes after the URI of the server, quoted, with its query.
            body: What to send, as JSON.
            was_done: For a request that must not be carried out twice. Called when the answer to an earlier
                attempt was lost; returns what the answer would have been, or None to go on. It may raise.

        Raises:
            Refused: The server says no.
            TrackingError: It did not answer in time, or not with JSON.
        """
        headers = {"Accept": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        answer = self._repeated(lambda deadline: self._ask(method, path, data, headers, deadline), was_done)
        if not isinstance(answer, _Answer):
            return answer
        try:
            content = json.loads(answer.body or b"{}", object_hook=_Object)
        except ValueError:
            content = None
        if not isinstance(content, _Object):
            raise self.failed("it does not answer as an MLflow server does", WRONG_HINT)
        return content

    def upload(self, path: str, file: BinaryIO, size: int) -> None:
        """Put a file of `size` bytes there, however long it takes while the server goes on taking it."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}

        def attempt(deadline: float) -> _Answer:
            file.seek(0)
            return self._ask("PUT", path, _Upload(file, size), headers, deadline, size=size)

        self._repeated(attempt)

    def download(self, path: str, file: BinaryIO) -> None:
        """Write what is there to a file, however long it takes while the server goes on sending it."""

        def attempt(deadline: float) -> _Answer:
            file.seek(0)
            file.truncate()
            return self._ask("GET", path, None, {}, deadline, into=file)

        self._repeated(attempt)

    def failed(self, reason: str, hint: str | None = None, *, retryable: bool = False) -> TrackingError:
        """Return the error for something that this server did wrong."""
        message = f"tracking at {printable(without_credentials(self._uri))} failed: {reason}"
        return TrackingError(Problem("tracking-failed", message, hint=hint), retryable=retryable)

    def _repeated(self, attempt: Callable[[float], Any], was_done: Callable[[], Any] | None = None) -> Any:
        deadline = self._deadline or time.monotonic() + self._timeout
        usual, in_doubt = _FIRST_DELAY, False
        said: TrackingError | None = None  # the last that the server itself has said
        while True:
            if in_doubt and was_done is not None and (answer := was_done()) is not None:
                return answer
            try:
                return attempt(deadline)
            except _Failed as failed:
                in_doubt = in_doubt or failed.sent
                left = deadline - time.monotonic()
                delay = min(usual, left - _LAST_ATTEMPT) if failed.delay is None else failed.delay
                if not isinstance(failed.__cause__, TimeoutError):
                    said = failed.error
                if not failed.passing or not 0 <= delay < left:
                    raise said or failed.error from failed.__cause__
                if failed.delay is None:
                    usual = min(2 * usual, _LONGEST_DELAY)
                time.sleep(delay)

    def _connect(self, deadline: float, *, secure: bool) -> None:
        self.disconnect()
        try:
            raw = _connected(self._parts, deadline)
            if secure:
                import ssl  # costs more than a request

                context = ssl.create_default_context()
                raw.settimeout(max(deadline - time.monotonic(), 0.001))
                raw = context.wrap_socket(raw, server_hostname=self._parts.hostname)
        except (OSError, ValueError) as error:
            passing, away = _may_pass(error), _unreachable(self._uri, error)
            raise _Failed(away, passing=passing, sent=False) from error
        # The class decides no more than the port that the `Host` header leaves out.
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        self._connection = kind(self._parts.hostname or "", self._parts.port)
        self._socket = _TimedSocket(raw)
        self._connection.sock = cast(Any, self._socket)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | _Upload | None,
        headers: Mapping[str, str],
        deadline: float,
        *,
        size: int = 0,
        into: BinaryIO | None = None,
    ) -> _Answer:
        """Make one attempt at a request.

        Raises:
            _Failed: There is no good answer.
            OSError: The file could not be read or written.
        """
        reused = self._connection is not None
        if self._connection is None:
            self._connect(deadline, secure=self._secure)
        connection = self._connection
        assert connection is not None
        extra = {} if self._authorization is None else {"Authorization": self._authorization}
        url = f"{self._parts.path.rstrip('/')}/{path}"
        try:
            self._socket.allow(deadline, each=self._timeout if size else None)
            # A server that says no to a large body may do so, and hang up, before it has read it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, url, cast(Any, body), {**headers, **extra})
            if size:
                deadline = time.monotonic() + self._timeout + size / _STORED_PER_SECOND
            self._socket.allow(deadline)
            response = connection.getresponse()
            if into is not None and response.status == 200:
                self._socket.allow(deadline, each=self._timeout)
                _copy(response, into)
                return _Answer(200, b"")
            answer = _Answer(
                response.status,
                response.read(),
                response.getheader("Retry-After"),
                response.getheader("Location"),
            )
        except _LocalFailure as failure:
            self.disconnect()
            raise failure.error from None
        except (OSError, http.client.HTTPException) as error:
            self.disconnect()
            if isinstance(error, TimeoutError):
                reason = f"it did not answer within {self._timeout:g} s"
            else:
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            told = self.failed(reason, AWAY_HINT, retryable=True)
            # A server closes a connection that has been idle: that says nothing about the next one.
            idle = reused and isinstance(error, _ALREADY_LOST)
            raise _Failed(told, passing=True, sent=True, delay=0.0 if idle else None) from error
        except BaseException:
            self.disconnect()
            raise
        if answer.status != 200:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: _Answer) -> _Failed:
        status = answer.status
        try:
            content = json.loads(answer.body)
            code, message = str(content["error_code"]), str(content.get("message", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            code, message = "", answer.body.decode("utf-8", "replace")
            if message.lstrip().startswith("<"):
                title = _TITLE.search(message)
                message = title[1] if title else ""
        lines = message.strip().splitlines()
        said = printable(lines[0].strip())[:_LONGEST_REASON] if lines else ""
        reason = f"HTTP {status}" + (f": {said.removeprefix(f'{status} ')}" if said else "")
        passing = status == 429 or (status >= 500 and status != 501)
        delay = (_retry_after(answer.retry_after) if passing else None) or None
        if delay is not None:
            reason += f"; it asks to be left alone for {delay:.0f} s"
        if passing:
            return _Failed(self.failed(reason, retryable=True), True, sent=status != 429, delay=delay)
        hint = None
        if status in (401, 403):
            hint = CREDENTIALS_HINT
        elif 300 <= status < 400 and answer.location:
            hint = f"it is at {without_credentials(printable(answer.location.partition('/api/')[0]))}"
        problem = self.failed(reason, hint).problems[0]
        return _Failed(Refused(problem, code), passing=False, sent=False)

    def disconnect(self) -> None:
        """Close the connection. The next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def require_listener(uri: str, timeout: float) -> None:
    """Look whether something listens at an http(s) URI, for what MLflow's client says of that is long.

    A proxy may stand between, so with one set nothing is looked at.

    Raises:
        TrackingError: Nothing did, `timeout` seconds long.
    """
    parts = urlsplit(uri)
    if getproxies().get(parts.scheme) and not proxy_bypass(parts.hostname or ""):
        return
    transport = Transport(uri, None, timeout)
    transport.connect(plain=True)
    transport.disconnect()


def require_address(uri: str) -> None:
    """Look whether an http(s) URI names a host, and possibly a port.

    Raises:
        TrackingError: It does not.
    """
    try:
        parts = urlsplit(uri)
        reason = "" if parts.hostname and parts.port != 0 else "it names no host"
    except ValueError as error:
        reason = str(error)
    if reason:
        message = f"'{printable(without_credentials(uri))}' is no address of a tracking server: {reason}"
        raise TrackingError(
            Problem("malformed-uri", message, hint="expected is one such as http://localhost:5000")
        )


class _Object(dict[str, Any]):
    """An object in an answer. A member that has to be there, and is not, is the server's fault."""

    def __missing__(self, name: str) -> Any:
        problem = Problem("tracking-failed", f"the tracking server's answer has no '{name}'", hint=WRONG_HINT)
        raise TrackingError(problem)


class _LocalFailure(Exception):
    """A file of this machine failed in the middle of a request."""

    def __init__(self, error: OSError) -> None:
        self.error = error


class _Upload:
    """The part of a file that an HTTP connection uses: so many bytes, also where the file grows meanwhile."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        try:
            block = self._file.read(min(size, self._left))
        except OSError as error:
            raise _LocalFailure(error) from error
        self._left -= len(block)
        return block


class _TimedSocket:
    """The part of a socket that an HTTP connection uses, each operation of which ends in time."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        weakref.finalize(self, raw.close)  # a tracker is used until the process is over; nobody closes it
        self._deadline = 0.0
        self._each: float | None = None

    def allow(self, deadline: float, each: float | None = None) -> None:
        """Let what comes take until then; or every operation so many seconds."""
        self._deadline, self._each = deadline, each

    def arm(self) -> None:
        """Set the time-out of the next operation."""
        left = self._each or self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.raw.settimeout(left)

    def sendall(self, data: Any) -> None:
        self.arm()
        self.raw.sendall(data)

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        return io.BufferedReader(_TimedFile(self))

    def close(self) -> None:
        self.raw.close()


class _TimedFile(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed
        # Keeps the connection open until it is read: the server may close its end after the answer.
        self._file = timed.raw.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._timed.arm()
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


def _copy(response: http.client.HTTPResponse, into: BinaryIO) -> None:
    while block := response.read(_BLOCK):
        try:
            into.write(block)
        except OSError as error:
            raise _LocalFailure(error) from error
    if response.length:  # read by pieces, a body that breaks off raises nothing
        raise http.client.IncompleteRead(b"", response.length)


def _connected(parts: SplitResult, deadline: float) -> socket.socket:
    """Return a connection to the first of the host's addresses that takes one; all of them get their share."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = _addresses(parts.hostname or "", port, deadline)
    last: OSError = OSError("it has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        connection = socket.socket(family, kind, protocol)
        try:
            left = deadline - time.monotonic()
            connection.settimeout(max(left / (len(addresses) - number), 0.001))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except OSError as error:
            connection.close()
            last = error
    raise last


def _addresses(host: str, port: int, deadline: float) -> list[Any]:
    """Look up a host; the resolver has no time limit of its own, so that a thread waits for it."""
    found: list[Any] = []
    failed: list[Exception] = []

    def look() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:  # the second for a name that is none
            failed.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(max(deadline - time.monotonic(), 0.001))
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"nobody says what the address of '{host}' is")
    return found


def _may_pass(error: Exception) -> bool:
    """Return whether a connection that could not be made may be made in a moment."""
    if isinstance(error, ValueError):  # a certificate's error is one, too
        return False
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return type(error).__name__ not in ("SSLError", "SSLCertVerificationError")


def _unreachable(uri: str, error: Exception) -> TrackingError:
    if isinstance(error, TimeoutError):
        reason = str(error) if error.args and "timed out" not in str(error) else "no answer"
    else:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return TrackingError(
        Problem(
            "tracking-unreachable",
            f"cannot reach the tracking server {printable(without_credentials(uri))}: {printable(reason)}",
            hint=AWAY_HINT,
        ),
        retryable=_may_pass(error) or isinstance(error, socket.gaierror),
    )


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header, which has a number or a date (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
