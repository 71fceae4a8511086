"""Credentials and certificates: a server sees and is seen as by MLflow's own client with the same settings."""

from __future__ import annotations

import base64
import datetime
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dioptra_cli.errors import TrackingError
from dioptra_cli.tracking import rest

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

RUN = b'{"run": {"info": {"run_id": "r"}, "data": {"params": [{"key": "a", "value": "b"}]}}}'
TIMEOUT = 20.0
"""Seconds that nothing here takes."""


class Handler(BaseHTTPRequestHandler):
    """Answers every request with a run, and remembers how it was authorized."""

    protocol_version = "HTTP/1.1"
    seen: list[str | None]

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(RUN)))
        self.end_headers()
        self.wfile.write(RUN)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Server(ThreadingHTTPServer):
    """Makes a connection secure in the thread that serves it, and does not print how that failed."""

    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)
        if self.context is not None:
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str | None]]]:
    """Run a server; the host and the port of it, and the headers that it gets."""
    seen: list[str | None] = []
    server = Server(("127.0.0.1", 0), type("Seeing", (Handler,), {"seen": seen}))
    server.context = context
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"localhost:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def asks(uri: str, environ: Mapping[str, str]) -> None:
    """Look a run up with the client that is tested."""
    assert rest.speaks(uri, environ)
    assert rest.RestTracker(uri, environ, TIMEOUT).logged_parameters("r") == {"a": "b"}


def mlflow_asks(uri: str) -> None:
    """Do the same as MLflow's client does it, which reads the environment itself."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    credentials = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
    http_request(credentials, "/api/2.0/mlflow/runs/get?run_id=r", "GET", max_retries=0)  # type: ignore[no-untyped-call]


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A home with nothing in it, and no setting of this machine's."""
    for name in os.environ:
        if name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC") or name.startswith("MLFLOW_TRACKING_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return {"HOME": str(tmp_path)}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
KEPT = "[mlflow]\nmlflow_tracking_username = kept\nmlflow_tracking_password = in a %%file\n"


@pytest.mark.parametrize(
    ("user", "variables", "kept", "netrc", "header"),
    [
        ("", {}, "", "", None),
        ("", {USER: "ada", PASSWORD: "s3:crét"}, "", "", basic("ada", "s3:crét")),
        ("", {USER: "ada", PASSWORD: "s3cret", TOKEN: "t"}, "", "", basic("ada", "s3cret")),
        ("", {USER: "ada", TOKEN: "t"}, "", "", "Bearer t"),
        ("", {USER: "", PASSWORD: "", TOKEN: ""}, "", "", None),
        ("", {TOKEN: "t"}, KEPT, "", basic("kept", "in a %file")),
        ("", {USER: "ada"}, KEPT, "", basic("ada", "in a %file")),
        ("", {USER: "ada", PASSWORD: "s3cret"}, "[broken", "", basic("ada", "s3cret")),
        ("", {TOKEN: "t"}, "[other]\nx = y\n", "", "Bearer t"),
        ("", {TOKEN: "t"}, "", "machine localhost login ada password n3trc", basic("ada", "n3trc")),
        ("", {TOKEN: "t"}, "", "machine elsewhere login ada password n3trc", "Bearer t"),
        ("a%40b:p%3Aq@", {USER: "ada", PASSWORD: "s3cret", TOKEN: "t"}, KEPT, "", basic("a@b", "p:q")),
        ("ada@", {PASSWORD: "s3cret"}, "", "", basic("ada", "")),
    ],
    ids=lambda value: None if not isinstance(value, dict) else "+".join(value) or "nothing",
)
def test_credentials_are_those_that_mlflow_sends(
    user: str,
    variables: dict[str, str],
    kept: str,
    netrc: str,
    header: str | None,
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kept:
        (tmp_path / ".mlflow").mkdir()
        (tmp_path / ".mlflow" / "credentials").write_text(kept)
    if netrc:
        (tmp_path / ".netrc").write_text(netrc)
        (tmp_path / ".netrc").chmod(0o600)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with serving() as (place, seen):
        asks(f"http://{user}{place}", environ | variables)
        if kept != "[broken":  # which MLflow reads also where it needs nothing of it
            mlflow_asks(f"http://{user}{place}")
            seen.pop()
        assert seen == [header]


_OTHER_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "crl_sign", "encipher_only", "decipher_only"),
)


class Authority:
    """Signs certificates; it and they are files of `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        certificate = self._signed(self._name, self._key.public_key(), is_authority=True)
        self.file = directory / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def as_directory(self) -> Path:
        """Make a directory in which OpenSSL finds the authority by the hash of its name."""
        if shutil.which("openssl") is None:
            pytest.skip("only the openssl program knows the hash")
        command = ["openssl", "x509", "-noout", "-hash", "-in", str(self.file)]
        name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        directory = self.directory / "hashed"
        directory.mkdir(exist_ok=True)
        shutil.copyfile(self.file, directory / f"{name}.0")
        return directory

    def issue(self, name: str) -> Path:
        """Make a file with a key and a certificate for a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key.public_key(), is_authority=False)
        file = self.directory / f"{name}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return file

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool
    ) -> x509.Certificate:
        now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
        own = self._key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
        )
        if is_authority:
            usage = dict.fromkeys(_OTHER_USES, False)
            builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, **usage), critical=True)
        else:
            names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def secured(authority: Authority, *, asks_for_client: bool = False) -> ssl.SSLContext:
    """Return what a server needs whose certificate is for `localhost`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("localhost"))
    if asks_for_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.file)
    return context


INSECURE, TRUSTED = "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH"
CLIENT = "MLFLOW_TRACKING_CLIENT_CERT_PATH"


@pytest.mark.parametrize(
    "variables",
    [
        {TRUSTED: "{authority}"},
        {TRUSTED: "{directory}"},
        {"REQUESTS_CA_BUNDLE": "{authority}"},
        {"CURL_CA_BUNDLE": "{authority}"},
        {TRUSTED: "{authority}", "REQUESTS_CA_BUNDLE": "/nowhere"},
        {INSECURE: "True"},
        {INSECURE: "1", "REQUESTS_CA_BUNDLE": "/nowhere"},
    ],
    ids="+".join,
)
def test_a_server_that_the_settings_trust(
    variables: dict[str, str], environ: dict[str, str], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"authority": authority.file}
    if "{directory}" in variables.values():
        places["directory"] = authority.as_directory()
    named = {name: value.format(**places) for name, value in variables.items()}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    with serving(secured(authority)) as (place, seen):
        mlflow_asks(f"https://{place}")
        asks(f"https://{place}", environ | named)
        assert len(seen) == 2


def test_a_server_that_certifi_trusts(
    environ: dict[str, str], authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "certifi").mkdir()
    shutil.copyfile(authority.file, tmp_path / "certifi" / "cacert.pem")
    monkeypatch.syspath_prepend(str(tmp_path))
    with serving(secured(authority)) as (place, seen):
        asks(f"https://{place}", environ)
        assert len(seen) == 1


@pytest.mark.parametrize(
    ("variables", "host", "message", "hint"),
    [
        ({}, "localhost", "certificate verify failed: ", f"{TRUSTED} names a file or a directory"),
        ({INSECURE: "false"}, "localhost", "certificate verify failed: ", f"{TRUSTED} names"),
        (
            {"REQUESTS_CA_BUNDLE": "{other}"},
            "localhost",
            "certificate verify failed: ",
            "REQUESTS_CA_BUNDLE has to name the certificate of the authority",
        ),
        ({TRUSTED: "{authority}"}, "127.0.0.1", "mismatch", "name the server as its certificate does"),
        ({TRUSTED: "/nowhere"}, "localhost", f"{TRUSTED} names /nowhere: No such file", "expected is a file"),
        ({TRUSTED: "{text}"}, "localhost", f"{TRUSTED} names", "expected is a file or a directory"),
        ({CLIENT: "{authority}", INSECURE: "1"}, "localhost", f"{CLIENT} names", "expected is a PEM file"),
        ({CLIENT: "/nowhere", INSECURE: "1"}, "localhost", "No such file", "expected is a PEM file"),
        ({TRUSTED: "{authority}", INSECURE: "1"}, "localhost", "only some", "take one of them away"),
    ],
    ids=lambda value: "+".join(value) or "nothing" if isinstance(value, dict) else None,
)
def test_a_server_or_settings_that_are_refused(
    variables: dict[str, str],
    host: str,
    message: str,
    hint: str,
    environ: dict[str, str],
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.exceptions import MlflowException

    other, text = tmp_path / "other", tmp_path / "text"
    other.mkdir()
    text.write_text("no certificate")
    places = {"authority": authority.file, "other": Authority(other).file, "text": text}
    named = {name: value.format(**places) for name, value in variables.items()}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    with serving(secured(authority)) as (place, seen):
        uri = f"https://{place.replace('localhost', host)}"
        with pytest.raises(TrackingError) as caught:
            asks(uri, environ | named)
        with pytest.raises(MlflowException):
            mlflow_asks(uri)
        assert seen == []
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.problems[0].hint or "").startswith(hint)
    assert not caught.value.retryable


def test_a_server_that_asks_who_we_are(
    environ: dict[str, str], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = {TRUSTED: str(authority.file)}
    ours = {**trusting, CLIENT: str(authority.issue("ada"))}
    context = secured(authority, asks_for_client=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # which says so before anything is asked
    with serving(context) as (place, seen):
        with pytest.raises(TrackingError) as caught:
            asks(f"https://{place}", environ | trusting)
        assert f"{CLIENT} names a PEM file" in str(caught.value)
        assert "alert" in str(caught.value)
        assert not caught.value.retryable
        asks(f"https://{place}", environ | ours)
        assert len(seen) == 1
    with serving(secured(authority, asks_for_client=True)) as (place, seen):
        asks(f"https://{place}", environ | ours)
        for name, value in ours.items():
            monkeypatch.setenv(name, value)
        mlflow_asks(f"https://{place}")
        assert len(seen) == 2


@pytest.mark.parametrize(
    ("variables", "kept", "message"),
    [
        ({INSECURE: "yes"}, "", f"{INSECURE} is 'yes'"),
        ({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "-1"}, "", "MAX_RETRIES is '-1', which is no number"),
        ({TOKEN: "t\r\nX: y"}, "", f"{TOKEN} holds what no header can"),
        ({}, "mlflow_tracking_password = s3cret", "credentials: MissingSectionHeaderError"),
        ({}, KEPT.replace("%%", "%"), "credentials: InterpolationSyntaxError"),
    ],
)
def test_settings_that_mean_nothing(
    variables: dict[str, str], kept: str, message: str, environ: dict[str, str], tmp_path: Path
) -> None:
    if kept:
        (tmp_path / ".mlflow").mkdir()
        (tmp_path / ".mlflow" / "credentials").write_text(kept)
    with serving() as (place, seen):
        with pytest.raises(TrackingError) as caught:
            asks(f"http://{place}", environ | variables)
        assert seen == []
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "in a" not in str(caught.value)
    assert caught.value.problems[0].hint
