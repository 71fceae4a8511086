"""Requests to a tracking server that end in time: connections, deadlines and repetitions.

Knows HTTP and JSON, and nothing of runs. A server that is away, busy or broken for a moment is asked again until the
time is over; one that says no is not.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

from dioptra_cli.errors import Problem, TrackingError, printable
from dioptra_cli.parameters.secrets import without_credentials
from dioptra_cli.tracking.access import Access
from dioptra_cli.tracking.connection import ClosedError, Connection, LocalFailure, NotHttpError
from dioptra_cli.tracking.reading import CREDENTIALS_HINT

_FIRST_DELAY, _LONGEST_DELAY = 0.2, 2.0
"""Seconds between two attempts: doubled each time, up to the second."""
_LAST_ATTEMPT = 0.2
"""Seconds before the end at which there is a last one."""
_STORED_PER_SECOND = 1_000_000
"""Bytes of an upload that a server passes on to its store in a second at least, before it answers."""
_LONGEST_REASON = 300
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_ALREADY_LOST = (BrokenPipeError, ConnectionResetError, ClosedError)

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


class _Failed(Exception):
    """One attempt came to nothing.

    Attributes:
        error: What the user gets to read when there is no other attempt.
        passing: Whether another attempt may succeed.
        sent: Whether the server may have done what it was asked to.
        delay: Seconds to wait before the next one; None for what is usual.
        counts: Whether it is one of the attempts of which there may be only so many.
    """

    def __init__(
        self,
        error: TrackingError,
        *,
        passing: bool,
        sent: bool,
        delay: float | None = None,
        counts: bool = True,
    ) -> None:
        self.error, self.passing, self.sent, self.delay, self.counts = error, passing, sent, delay, counts


class Transport:
    """One kept connection to a server. For one thread at a time.

    Args:
        uri: The http(s) URI of the server; a path in it comes before every path.
        access: What opens the server, and how often it may be asked again.
        timeout: Seconds that a request may take with all its repetitions, apart from the bytes of a file.
    """

    def __init__(self, uri: str, access: Access, timeout: float) -> None:
        self._uri = uri
        self._parts = urlsplit(uri)
        self._base = quote(self._parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        self._secure = self._parts.scheme == "https"
        self._access = access
        self._context: Any = None
        self._timeout = timeout
        self._deadline: float | None = None
        self._connection: Connection | None = None
        lines = {"Host": _host(self._parts), "Accept-Encoding": "identity", "User-Agent": "dioptra"}
        if access.authorization is not None:
            lines["Authorization"] = access.authorization
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in lines.items())

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
        data = b"" if body is None else json.dumps(body).encode()
        answer = self._repeated(lambda deadline: self._ask(method, path, data, deadline), was_done)
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

        def attempt(deadline: float) -> _Answer:
            file.seek(0)
            return self._ask("PUT", path, file, deadline, size=size)

        self._repeated(attempt)

    def download(self, path: str, file: BinaryIO) -> None:
        """Write what is there to a file, however long it takes while the server goes on sending it."""

        def attempt(deadline: float) -> _Answer:
            file.seek(0)
            file.truncate()
            return self._ask("GET", path, b"", deadline, into=file)

        self._repeated(attempt)

    def failed(self, reason: str, hint: str | None = None, *, retryable: bool = False) -> TrackingError:
        """Return the error for something that this server did wrong."""
        message = f"tracking at {printable(without_credentials(self._uri))} failed: {reason}"
        return TrackingError(Problem("tracking-failed", message, hint=hint), retryable=retryable)

    def _repeated(self, attempt: Callable[[float], Any], was_done: Callable[[], Any] | None = None) -> Any:
        deadline = self._deadline or time.monotonic() + self._timeout
        usual, in_doubt, repeated = _FIRST_DELAY, False, 0
        most = self._access.retries
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
                is_last = failed.counts and most is not None and repeated >= most
                if not failed.passing or is_last or not 0 <= delay < left:
                    raise said or failed.error from failed.__cause__
                repeated += failed.counts
                if failed.delay is None:
                    usual = min(2 * usual, _LONGEST_DELAY)
                time.sleep(delay)

    def _connect(self, deadline: float, *, secure: bool) -> None:
        self.disconnect()
        if secure and self._context is None:
            self._context = self._access.context()
        try:
            raw = _connected(self._parts, deadline)
        except (OSError, ValueError) as error:
            passing, away = (
                _may_pass(error),
                _unreachable(self._uri, _reason(error), passing=_may_come(error)),
            )
            raise _Failed(away, passing=passing, sent=False) from error
        if secure:
            try:
                raw.settimeout(max(deadline - time.monotonic(), 0.001))
                raw = self._context.wrap_socket(raw, server_hostname=self._parts.hostname)
            except (OSError, ValueError) as error:
                raw.close()
                raise self._insecure(error, sent=False) from error
        self._connection = Connection(raw)

    def _insecure(self, error: Exception, *, sent: bool) -> _Failed:
        """Return the failure of a connection that could not be made secure, or that was lost over it."""
        if not _is_of_tls(error):
            passing = _may_pass(error)
            return _Failed(
                _unreachable(self._uri, _reason(error), passing=passing), passing=passing, sent=sent
            )
        reason = getattr(error, "verify_message", None)
        code = str(getattr(error, "reason", None) or error)
        words = code.replace("_", " ").lower()
        reason = f"{words}: {reason}" if reason else words
        told = _unreachable(self._uri, reason, passing=False, hint=self._access.hint(reason))
        return _Failed(told, passing=False, sent=sent)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO,
        deadline: float,
        *,
        size: int = 0,
        into: BinaryIO | None = None,
    ) -> _Answer:
        """Make one attempt at a request.

        Args:
            method: The HTTP method.
            path: What comes after the URI of the server.
            body: JSON, or a file.
            deadline: Until when, but for the bytes of a file.
            size: Bytes of the file.
            into: A file for the body of a good answer.

        Raises:
            _Failed: There is no good answer.
            OSError: The file could not be read or written.
        """
        if self._connection is not None and self._connection.is_lost():
            self.disconnect()
        reused = self._connection is not None
        if self._connection is None:
            self._connect(deadline, secure=self._secure)
        connection = self._connection
        assert connection is not None
        content = "Accept: */*\r\n"
        if isinstance(body, bytes):
            content = "Accept: application/json\r\n" if into is None else content
            if method == "POST":
                content += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        else:
            content += f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n"
        head = f"{method} {self._base}/{path} HTTP/1.1\r\n{self._headers}{content}\r\n".encode("latin-1")
        try:
            connection.allow(deadline, each=self._timeout if size else None)
            # A server that says no to a large body may do so, and hang up, before it has read it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if isinstance(body, bytes):
                    connection.send(head, body)
                else:
                    connection.send_file(head, body, size)
            if size:
                deadline = time.monotonic() + self._timeout + size / _STORED_PER_SECOND
            connection.allow(deadline)
            said = connection.receive()
            if into is not None and said.status == 200:
                connection.allow(deadline, each=self._timeout)
                for block in connection.body(said):
                    _write(block, into)
                content_read = b""
            else:
                content_read = b"".join(connection.body(said))
            answer = _Answer(
                said.status, content_read, said.headers.get("retry-after"), said.headers.get("location")
            )
        except LocalFailure as failure:
            self.disconnect()
            raise failure.error from None
        except (OSError, NotHttpError) as error:
            self.disconnect()
            if _is_of_tls(error):
                raise self._insecure(error, sent=True) from error
            reason = f"it did not answer within {self._timeout:g} s"
            if not isinstance(error, TimeoutError):
                reason = _reason(error)
            told = self.failed(reason, AWAY_HINT, retryable=True)
            # A server closes a connection that has been idle: that says nothing about the next one.
            idle = reused and isinstance(error, _ALREADY_LOST)
            raise _Failed(
                told, passing=True, sent=True, delay=0.0 if idle else None, counts=not idle
            ) from error
        except BaseException:
            self.disconnect()
            raise
        if not connection.is_reusable:
            self.disconnect()
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
            error = self.failed(reason, retryable=True)
            return _Failed(error, passing=True, sent=status != 429, delay=delay)
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
    if uses_proxy(uri):
        return
    transport = Transport(uri, Access(), timeout)
    transport.connect(plain=True)
    transport.disconnect()


def require_address(uri: str) -> None:
    """Look whether an http(s) URI names a host, and possibly a port.

    Raises:
        TrackingError: It does not.
    """
    try:
        parts = urlsplit(uri)
        reason = "" if parts.hostname and parts.port != 0 and _host(parts) else "it names no host"
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


def uses_proxy(uri: str) -> bool:
    """Return whether a proxy stands between this machine and a server, by the environment or by the system."""
    from urllib.request import getproxies, proxy_bypass  # costs as much as a request

    parts, proxies = urlsplit(uri), getproxies()
    return bool(proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(parts.hostname or "")


def _host(parts: SplitResult) -> str:
    """Return the header of that name: an address of IPv6 in brackets, and the port unless it is the usual one."""
    host = parts.hostname or ""
    if not host.isascii():
        host = host.encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    usual = 443 if parts.scheme == "https" else 80
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _write(block: bytes, into: BinaryIO) -> None:
    try:
        into.write(block)
    except OSError as error:
        raise LocalFailure(error) from error


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
    with contextlib.suppress(socket.gaierror):  # it is no address itself
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
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
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return not isinstance(error, ValueError)


def _may_come(error: Exception) -> bool:
    """Return whether it may be made some time: a network may come back that has the name."""
    return _may_pass(error) or isinstance(error, socket.gaierror)


def _is_of_tls(error: Exception) -> bool:
    """Return whether TLS itself failed, not the connection below it.

    By names, for `ssl` is not imported where nothing is secure.
    """
    return type(error).__name__ in ("SSLError", "SSLCertVerificationError")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return str(error) if error.args and "timed out" not in str(error) else "no answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _unreachable(uri: str, reason: str, *, passing: bool, hint: str = AWAY_HINT) -> TrackingError:
    message = f"cannot reach the tracking server {printable(without_credentials(uri))}: {printable(reason)}"
    return TrackingError(Problem("tracking-unreachable", message, hint=hint), retryable=passing)


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
