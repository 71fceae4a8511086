"""How a tracking server lets us in, and whom we take for it: credentials, certificates, and how often it is asked.

Reads the settings of MLflow's own client, with the same meaning: https://mlflow.org/docs/latest/ml/auth. Opens no
connection; `ssl` is imported for https alone.
"""

from __future__ import annotations

import binascii
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from dioptra_cli.errors import Problem, TrackingError, printable

if TYPE_CHECKING:
    import ssl

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
TOKEN = "MLFLOW_TRACKING_TOKEN"
INSECURE_TLS = "MLFLOW_TRACKING_INSECURE_TLS"
SERVER_CERT_PATH, CLIENT_CERT_PATH = "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"
MAX_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_TRUE, _FALSE = ("true", "1"), ("false", "0", "")
_CREDENTIALS_FILE = "~/.mlflow/credentials"

_CLIENT_HINT = f"{CLIENT_CERT_PATH} names a PEM file with the certificate and the key of this client"


class Access(NamedTuple):
    """What opens a server.

    Attributes:
        authorization: The header of that name.
        verifies: Whether the certificate of the server has to be one of an authority, and for its name.
        authorities: The file or directory with the authorities that are trusted; empty for those of certifi,
            which MLflow's client trusts, and of the system.
        named_by: The variable that names them.
        certificate: A PEM file with a certificate of this client's own and the key.
        retries: How often a request is asked again at most; None for as often as there is time.
    """

    authorization: str | None = None
    verifies: bool = True
    authorities: str = ""
    named_by: str = ""
    certificate: str = ""
    retries: int | None = None

    def context(self) -> ssl.SSLContext:
        """Return what makes a connection secure.

        Raises:
            TrackingError: A file that a variable names cannot be used.
        """
        import ssl  # costs more than a request

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if sys.version_info >= (3, 13):  # as urllib3 does from there on
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        if not self.verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.authorities:
            is_directory = os.path.isdir(self.authorities)
            with _Reading(self.named_by, self.authorities, "a file or a directory of certificates"):
                os.stat(self.authorities)
                context.load_verify_locations(
                    cafile=None if is_directory else self.authorities,
                    capath=self.authorities if is_directory else None,
                )
        else:
            context.load_default_certs()
            bundle = _certifi()
            if bundle is not None:
                context.load_verify_locations(cafile=bundle)
        if self.certificate:
            with _Reading(CLIENT_CERT_PATH, self.certificate, "a PEM file with a certificate and its key"):
                # Without a password given, OpenSSL would ask for one at the terminal.
                context.load_cert_chain(self.certificate, password=lambda: "")
        return context

    def hint(self, reason: str) -> str:
        """Return what to do when the connection could not be made secure.

        Args:
            reason: What OpenSSL says of it.
        """
        said = reason.lower()
        if "hostname mismatch" in said or "ip address mismatch" in said:
            return "name the server as its certificate does"
        if "expired" in said or "not yet valid" in said:
            return "the certificate of the server has to be renewed; is the clock of this machine right?"
        if "verify failed" in said:
            if self.authorities:
                return (
                    f"{self.named_by} has to name the certificate of the authority that signed the server's"
                )
            return f"{SERVER_CERT_PATH} names a file or a directory of authorities to trust"
        if "alert" in said:
            return _CLIENT_HINT
        return "does it speak https? A plain server has an address with http://"


def read(uri: str, environ: Mapping[str, str]) -> Access:
    """Return what opens the server at `uri`, as MLflow's client and requests below it choose it.

    The credentials are those of the URI, else of `~/.netrc`, else a user name with a password, each from its variable
    or from `~/.mlflow/credentials`, else a token.

    Raises:
        TrackingError: A variable or a file of credentials holds what it cannot, or two contradict each other.
    """
    verifies = not _is_set(INSECURE_TLS, environ)
    named_by = SERVER_CERT_PATH
    if not verifies and environ.get(SERVER_CERT_PATH):
        raise _wrong(
            f"{INSECURE_TLS} trusts every server, and {SERVER_CERT_PATH} only some", "take one of them away"
        )
    if not environ.get(SERVER_CERT_PATH):
        named_by = next((name for name in _BUNDLES if environ.get(name)), "")
    return Access(
        authorization=_authorization(uri, environ),
        verifies=verifies,
        authorities=environ.get(named_by, ""),
        named_by=named_by,
        certificate=environ.get(CLIENT_CERT_PATH, ""),
        retries=_retries(environ),
    )


def _authorization(uri: str, environ: Mapping[str, str]) -> str | None:
    parts = urlsplit(uri)
    if parts.username or parts.password:
        return _basic(unquote(parts.username or ""), unquote(parts.password or ""))
    found = _from_netrc(parts.hostname or "", environ)
    if found is not None:
        return _basic(*found)
    user, password = environ.get(USERNAME), environ.get(PASSWORD)
    path = os.path.expanduser(_CREDENTIALS_FILE)
    if not (user and password) and os.path.exists(path):
        kept_user, kept_password = _from_credentials(path)
        user, password = user or kept_user, password or kept_password
    if user and password:
        return _basic(user, password)
    token = environ.get(TOKEN)
    if token and not (token.isascii() and token.isprintable()):
        raise _wrong(f"{TOKEN} holds what no header can", "expected is a text of ASCII, in one line")
    return f"Bearer {token}" if token else None


def _basic(user: str, password: str) -> str:
    return "Basic " + binascii.b2a_base64(f"{user}:{password}".encode(), newline=False).decode()


def _from_credentials(path: str) -> tuple[str | None, str | None]:
    import configparser

    parser = configparser.ConfigParser()
    try:
        parser.read(path)
        if "mlflow" not in parser:
            return None, None
        section = parser["mlflow"]
        return section.get(USERNAME.lower()), section.get(PASSWORD.lower())
    except (configparser.Error, UnicodeDecodeError) as error:
        # What the error says may hold a password.
        raise _wrong(
            f"cannot read {path}: {type(error).__name__}",
            f"expected is a section [mlflow] with {USERNAME.lower()} and {PASSWORD.lower()}; a % is written %%",
        ) from None


def _from_netrc(host: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the user and the password that a netrc file has for a host; a broken file counts as none."""
    paths = [environ["NETRC"]] if "NETRC" in environ else ["~/.netrc", "~/_netrc"]
    path = next((path for path in map(os.path.expanduser, paths) if os.path.exists(path)), None)
    if path is None:
        return None
    import netrc

    try:
        found = netrc.netrc(path).authenticators(host)
    except (netrc.NetrcParseError, OSError, ValueError):
        return None
    if not found or not any(found):
        return None
    login, account, password = found
    return login or account or "", password or ""


def _retries(environ: Mapping[str, str]) -> int | None:
    text = environ.get(MAX_RETRIES)
    if not text:
        return None
    if not text.strip().isdecimal():
        raise _wrong(f"{MAX_RETRIES} is '{printable(text)}', which is no number", "expected is 0 or more")
    return int(text)


def _is_set(name: str, environ: Mapping[str, str]) -> bool:
    text = environ.get(name, "").lower()
    if text not in (*_TRUE, *_FALSE):
        raise _wrong(f"{name} is '{printable(text)}'", "expected is true or false")
    return text in _TRUE


def _certifi() -> str | None:
    """Return certifi's file of authorities. Importing it would cost as much as the connection."""
    for directory in sys.path:
        path = os.path.join(directory, "certifi", "cacert.pem")
        if os.path.isfile(path):
            return path
    return None


class _Reading:
    """Explains what goes wrong with a file that a variable names."""

    def __init__(self, name: str, path: str, expected: str) -> None:
        self._name, self._path, self._expected = name, path, expected

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):  # that of OpenSSL is one, too
            code = getattr(error, "reason", None)
            reason = f"it cannot be used ({code})" if code else error.strerror or str(error)
            raise _wrong(
                f"{self._name} names {printable(self._path)}: {reason}", f"expected is {self._expected}"
            ) from error


def _wrong(message: str, hint: str) -> TrackingError:
    return TrackingError(Problem("malformed-setting", message, hint=hint))
