"""Servers on this machine to download from, which remember what they were asked for."""

from __future__ import annotations

import datetime
import http.server
import logging
import re
import ssl
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from dioptra_cli.execution.downloads import Downloads, Progress, Settings, fetch_all

if TYPE_CHECKING:
    from cryptography import x509

_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=testing/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
"""Who asks; the server does not check the signature."""

Reply = Callable[["Exchange"], None]


@dataclass(frozen=True)
class Request:
    """What a server was asked, and how much it sent."""

    method: str
    path: str
    headers: dict[str, str]
    sent: list[int] = field(default_factory=list)

    @property
    def body(self) -> int:
        """The bytes of the body that were sent."""
        return sum(self.sent)


class Exchange:
    """One request, to be answered by the `Reply` of its path."""

    def __init__(self, handler: http.server.BaseHTTPRequestHandler, request: Request, count: int) -> None:
        self._handler = handler
        self.request = request
        self.count = count
        """How many requests for this path came before."""

    def head(self, status: int, **headers: str) -> None:
        """Send the status line and headers; underscores in names stand for hyphens."""
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()

    def body(self, data: bytes) -> None:
        """Send a piece of the body, unless only the head was asked for."""
        if self.request.method != "HEAD":
            self._handler.wfile.write(data)
            self._handler.wfile.flush()
            self.request.sent.append(len(data))

    def hang_up(self) -> None:
        """Close the connection, whatever was promised."""
        self._handler.close_connection = True

    def whole(self, data: bytes, status: int = 200, **headers: str) -> None:
        """Send a complete answer."""
        self.head(status, Content_Length=str(len(data)), **headers)
        self.body(data)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class WebServer:
    """An HTTP server whose answers a test defines, path by path."""

    def __init__(self, certificate: str | None = None) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.released = threading.Event()
        """Set when the test is over, for replies that keep a client waiting."""
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.answer()

            def do_HEAD(self) -> None:
                self.answer()

            def do_PUT(self) -> None:
                self.answer()

            def answer(self) -> None:
                path = self.path.partition("?")[0]
                request = Request(self.command, self.path, dict(self.headers.items()))
                count = len(owner.asked(path))
                owner.requests.append(request)
                exchange = Exchange(self, request, count)
                reply = owner.replies.get(path)
                if reply is None:
                    exchange.whole(b"not here", 404)
                else:
                    reply(exchange)

            def log_message(self, *_: object) -> None: ...

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def asked(self, path: str) -> list[Request]:
        """Return the requests for a path."""
        return [request for request in self.requests if request.path.partition("?")[0] == path]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Bucket:
    """A bucket of a local S3 server."""

    name: str
    endpoint: str
    requests: list[tuple[str, str, int]]
    """Method, path and status of every request."""

    @property
    def environ(self) -> dict[str, str]:
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def put(self, key: str, body: bytes) -> None:
        self._send("PUT", key, body)

    def delete(self, key: str) -> None:
        self._send("DELETE", key, None)

    def bodies(self) -> list[str]:
        """Return the keys whose bodies were sent since `forget`."""
        prefix = f"/{self.name}/"
        return [
            p.removeprefix(prefix)
            for method, p, status in self.requests
            if method == "GET" and status == 200 and p.startswith(prefix)
        ]

    def forget(self) -> None:
        self.requests.clear()

    def _send(self, method: str, key: str, body: bytes | None) -> None:
        url = f"{self.endpoint}/{self.name}/{quote(key, safe='/')}" if key else f"{self.endpoint}/{self.name}"
        headers = {"Authorization": _SIGNED, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        urllib.request.urlopen(request).close()


@dataclass
class Fetch:
    """Downloads into one cache, with settings that a test may change."""

    cache: Path
    settings: Settings
    _held: ExitStack

    def __call__(self, *uris: str, progress: Progress | None = None) -> dict[str, Path]:
        """Download, and keep what was downloaded in use until the test ends."""
        return {
            uri: Path(path)
            for uri, path in self._held.enter_context(self.open(*uris, progress=progress)).paths.items()
        }

    def open(self, *uris: str, progress: Progress | None = None) -> Downloads:
        """Download; the caller says when it is no longer used."""
        return fetch_all(uris, cache_dir=str(self.cache), settings=self.settings, progress=progress)

    def use(self, **environ: str) -> None:
        """Replace the environment that is read."""
        self.settings = replace(self.settings, environ=environ)

    def configure(self, **changes: Any) -> None:
        """Change settings."""
        self.settings = replace(self.settings, **changes)

    def files(self) -> list[str]:
        """Return every file in the cache, whole or not, but for manifests."""
        return sorted(
            str(path.relative_to(self.cache))
            for path in self.cache.rglob("*")
            if path.is_file() and not (path.suffix == ".json" and path.with_suffix("").is_dir())
        )


@pytest.fixture
def fetch(tmp_path: Path) -> Iterator[Fetch]:
    """Return what downloads into an empty cache. It must leave no thread behind."""
    settings = Settings(environ={}, attempts=3, backoff=0.01, silence=10)
    with ExitStack() as held:
        yield Fetch(tmp_path / "cache", settings, held)
    for thread in threading.enumerate():
        if thread.name == "download":
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def web() -> Iterator[WebServer]:
    """Return a web server."""
    server = WebServer()
    yield server
    server.close()


@dataclass(frozen=True)
class Certificates:
    """Files for TLS: an authority that nobody trusts, and what it has certified for localhost, with its key."""

    authority: str
    server: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return new certificates."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("authority", "localhost")}
    pem, directory = serialization.Encoding.PEM, tmp_path_factory.mktemp("tls")
    for name, key in keys.items():
        subject, issuer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, "authority")
        )
        certificate = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["authority"].public_key()),
                critical=False,
            )
            .add_extension(_usage(authority=name == "authority"), critical=True)
            .sign(keys["authority"], hashes.SHA256())
        )
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (directory / name).write_bytes(
            certificate.public_bytes(pem) + (private if name == "localhost" else b"")
        )
    return Certificates(str(directory / "authority"), str(directory / "localhost"))


def _usage(authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.fixture
def tls(certificates: Certificates) -> Iterator[WebServer]:
    """Return a web server that speaks TLS with a certificate that is not trusted."""
    server = WebServer(certificates.server)
    yield server
    server.close()


class _RequestLog(logging.Handler):
    """Reads the access log of werkzeug, which moto is served by."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[str, str, int]] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = re.search(
            r'"(\w+) (\S+) HTTP/[^"]+" (\d+)', re.sub("\x1b\\[[0-9;]*m", "", record.getMessage())
        )
        if line:
            self.requests.append((line[1], line[2], int(line[3])))


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[tuple[str, _RequestLog]]:
    from moto.server import ThreadedMotoServer

    log = _RequestLog()
    logger = logging.getLogger("werkzeug")
    logger.setLevel(logging.INFO)
    logger.addHandler(log)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=True)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}", log
    server.stop()
    logger.removeHandler(log)


@pytest.fixture
def bucket(_s3_server: tuple[str, _RequestLog]) -> Bucket:
    """Return an empty bucket."""
    endpoint, log = _s3_server
    made = Bucket(f"bucket-{uuid.uuid4().hex[:12]}", endpoint, log.requests)
    made._send("PUT", "", b"")
    made.forget()
    return made
