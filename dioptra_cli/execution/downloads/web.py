"""Downloads over `http` and `https`, one GET each.

Follows redirects, reads chunked bodies, takes proxies from the given environment and credentials from the URI.
Asks for no ranges: a body that breaks off is fetched again from its start.
"""

from __future__ import annotations

import base64
import functools
import http.client
import os
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from contextlib import closing, suppress
from email.message import Message
from typing import IO, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit

from dioptra_cli import __version__
from dioptra_cli.execution.downloads.cache import file_name
from dioptra_cli.execution.downloads.job import Failure, Fetched, Job

_CHUNK = 1024 * 1024
_CONNECT_SECONDS = 10.0
_LONGEST_PAUSE = 30.0  # a server may ask for more; a person at a terminal would not wait
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_BYTES = " bytes"  # ends a version that is no ETag
_RESERVED = "!#$%&'()*+,/:;=?@[]~"


def fetch(job: Job) -> Fetched | None:
    """Download one file, unless the cache has its current version. See `Fetcher`."""
    client = Client(job.settings.environ, job.settings.silence)
    return job.retried(lambda: _attempt(job, client))


def _attempt(job: Job, client: Client) -> Fetched | None:
    known = job.known.version if job.known else None
    with job.asking.waking(client.cut):
        if known is not None and not _is_etag(known) and _version(client.head(job.uri)) == known:
            return None
        response = client.get(job.uri, {"If-None-Match": known} if known and _is_etag(known) else {})
    if response is None:
        return None
    with closing(response):
        version = _version(response.headers)
        if job.is_known(version):  # a server that heeds no condition; its body is not read
            return None
        name = _name(job.uri, response.headers)
        total, done = response.length, 0
        path = os.path.join(job.directory, name)
        with job.transfer(name, total) as count, job.copying.waking(client.cut), open(path, "wb") as file:
            while chunk := _read(response, done, total):
                file.write(chunk)
                done += len(chunk)
                count(len(chunk))
            if total is not None and done < total:
                raise _broken_off(done, total)
    return Fetched(name, version)


def _read(response: http.client.HTTPResponse, done: int, total: int | None) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _broken_off(done, total) from error


def _broken_off(done: int, total: int | None) -> Failure:
    of = "" if total is None else f" of {total}"
    return Failure("download-broken-off", f"the connection broke off after {done}{of} bytes", passing=True)


def _is_etag(version: str) -> bool:
    return not version.endswith(_BYTES)


def _version(headers: Message | None) -> str | None:
    """Return the ETag, or time and size; None if the server tells neither."""
    if headers is None:
        return None
    etag, modified = headers["ETag"], headers["Last-Modified"]
    if etag:
        return str(etag)
    return f"{modified}, {headers['Content-Length']}{_BYTES}" if modified else None


def _name(uri: str, headers: Message) -> str:
    """Return the name that the server gives the file, or else the URI."""
    given = (headers.get_filename() or "").replace("\\", "/").rpartition("/")[2]
    return file_name(given or unquote(urlsplit(uri).path.rstrip("/").rpartition("/")[2]))


class Client:
    """Makes requests, one at a time, that another thread can cut off."""

    def __init__(self, environ: Mapping[str, str], silence: float) -> None:
        self._silence = silence
        self._socket: socket.socket | None = None
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            _Proxies(environ),
            _Connections(self, environ),
            _Redirects(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def get(self, uri: str, headers: Mapping[str, str]) -> http.client.HTTPResponse | None:
        """Return the response with its body still to be read, None for "not modified".

        Raises:
            Failure: There was no answer, or one that is an error.
        """
        try:
            return self._open(uri, "GET", headers)
        except HTTPError as error:
            with closing(error):
                if error.code == http.HTTPStatus.NOT_MODIFIED:
                    return None
                raise _refused(error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(error, uri) from error

    def head(self, uri: str) -> Message | None:
        """Return the headers, also those of an error; None if there was no answer."""
        try:
            with closing(self._open(uri, "HEAD", {})) as response:
                return response.headers
        except HTTPError as error:
            with closing(error):
                return error.headers
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def cut(self) -> None:
        """End the current connection, from another thread."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def connected(self, connection: socket.socket) -> None:
        """Take note of the connection that is in use now."""
        self._socket = connection
        connection.settimeout(self._silence)

    def _open(self, uri: str, method: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]
        url = parts._replace(netloc=host, fragment="").geturl()
        request = urllib.request.Request(quote(url, safe=_RESERVED), headers=dict(headers), method=method)
        request.add_header("User-Agent", f"dioptra/{__version__}")
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            # Unredirected: another host must not see it.
            request.add_unredirected_header(
                "Authorization", "Basic " + base64.b64encode(pair.encode()).decode()
            )
        return cast(http.client.HTTPResponse, self._opener.open(request, timeout=_CONNECT_SECONDS))


class _Connections(urllib.request.AbstractHTTPHandler):
    """Opens connections that the client knows of."""

    def __init__(self, client: Client, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._client = client
        self._environ = environ

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_HttpConnection, self._client), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_HttpsConnection, self._client, self._trust()), req)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._environ.get("SSL_CERT_FILE"))
        if bundle := self._environ.get("REQUESTS_CA_BUNDLE"):
            context.load_verify_locations(bundle)
        return context


class _HttpConnection(http.client.HTTPConnection):
    def __init__(self, client: Client, host: str, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._client = client

    def connect(self) -> None:
        super().connect()
        self._client.connected(self.sock)


class _HttpsConnection(http.client.HTTPSConnection):
    def __init__(self, client: Client, context: ssl.SSLContext, host: str, timeout: float) -> None:
        super().__init__(host, timeout=timeout, context=context)
        self._client = client

    def connect(self) -> None:
        super().connect()
        self._client.connected(self.sock)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Keeps credentials on a redirect within one server."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        authorization = req.unredirected_hdrs.get("Authorization")
        if request is not None and authorization and (request.type, request.host) == (req.type, req.host):
            request.add_unredirected_header("Authorization", authorization)
        return request


class _Proxies(urllib.request.ProxyHandler):
    """Reads the proxy variables of the given environment as urllib reads those of the process."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        def variable(name: str) -> str:
            return environ.get(name) or environ.get(name.upper()) or ""

        super().__init__({s: variable(f"{s}_proxy") for s in ("http", "https") if variable(f"{s}_proxy")})
        self._exempt = {"no": variable("no_proxy")}

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> object:  # noqa: A002 - urllib's
        exempts = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed
        if exempts(req.host, self._exempt):
            return None
        return super().proxy_open(req, proxy, type)


def _refused(error: HTTPError) -> Failure:
    """Return the failure for an answer that is an error."""
    answer = f"{error.code} {error.reason}".strip()
    if error.code in (404, 410):
        return Failure("remote-not-found", f"it is not there ({answer})")
    if error.code in (401, 403):
        return Failure(
            "remote-access-denied",
            f"access denied ({answer})",
            "credentials can stand in the URI: //user:password@host/",
        )
    pause = error.headers.get("Retry-After", "")
    return Failure(
        "remote-failed",
        f"the server answers {answer}",
        passing=error.code in _PASSING,
        pause=min(float(pause), _LONGEST_PAUSE) if pause.isdecimal() else 0.0,
    )


def _unreachable(error: Exception, uri: str) -> Failure:
    """Return the failure for no answer at all."""
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, FileNotFoundError):
        hint = "SSL_CERT_FILE or REQUESTS_CA_BUNDLE names it"
        return Failure("bad-settings", "the file of trusted certificates does not exist", hint)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failure(
            "remote-unreachable",
            f"its certificate is not trusted: {cause.verify_message}",
            "name a file of trusted certificates in SSL_CERT_FILE",
        )
    if isinstance(cause, socket.gaierror):
        return Failure(
            "remote-unreachable",
            f"the host '{urlsplit(uri).hostname}' is not known",
            passing=cause.errno == socket.EAI_AGAIN,
        )
    if isinstance(cause, ConnectionRefusedError):
        return Failure(
            "remote-unreachable", "connection refused", "is the server running there?", passing=True
        )
    if isinstance(cause, TimeoutError):
        return Failure("remote-unreachable", "the server does not answer", passing=True)
    if isinstance(cause, (OSError, http.client.RemoteDisconnected)):
        return Failure("remote-unreachable", f"the connection broke off: {cause}", passing=True)
    return Failure("remote-failed", str(cause))
