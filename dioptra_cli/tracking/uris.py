"""Tracking URIs: made absolute, shown without credentials, and looked at before a client waits for them.

Imports no tracking library.
"""

from __future__ import annotations

import os
import re

from dioptra_cli.errors import Problem, TrackingError

_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(.*)", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_CONNECT_SECONDS = 10.0


def absolute(uri: str, directory: str) -> str:
    """Return `uri` so that it means the same from any directory.

    Args:
        uri: As the user or MLflow gives it: `sqlite:///mlflow.db`, `file:./mlruns`, `./mlruns`, `http://…`.
        directory: Absolute; what a relative one belongs to.
    """
    sqlite = _SQLITE.fullmatch(uri)
    if sqlite:
        prefix, rest = sqlite.groups()
        path, question, query = rest.partition("?")
        if not path or path.startswith((":memory:", "file:")):
            return uri
        return f"{prefix}{os.path.join(directory, path)}{question}{query}"
    path = uri
    if uri.startswith("file:"):
        path = uri.removeprefix("file:")
        if path.startswith("//"):
            return uri
    elif _SCHEME.match(uri) or uri == "databricks":
        return uri
    from urllib.parse import quote

    return "file://" + quote(os.path.abspath(os.path.join(directory, path)))


def shown(uri: str) -> str:
    """Return `uri` without its credentials, for messages."""
    return _CREDENTIALS.sub("***@", uri)


def sqlite_file(uri: str) -> str | None:
    """Return the path of the database of a sqlite URI, None for any other."""
    sqlite = _SQLITE.fullmatch(uri)
    return sqlite.group(2).partition("?")[0] if sqlite else None


def is_local(uri: str) -> bool:
    """Return whether a tracking URI is a store on this machine."""
    return uri.startswith("file:") or sqlite_file(uri) is not None


def require_database(file: str, *, reading: bool = False) -> None:
    """Look whether a sqlite database can be opened, or made, for MLflow tries for minutes first.

    Nothing else may make the database at the same time. A missing directory is left to MLflow, which makes it.

    Args:
        file: Its absolute path.
        reading: Whether it is enough to read one that is there.

    Raises:
        TrackingError: It cannot.
    """
    is_there = os.path.exists(file)
    if not is_there and not os.path.isdir(os.path.dirname(file)):
        return
    only_read = reading and is_there
    try:
        open(file, "rb" if only_read else "ab+").close()
        if not is_there:
            os.unlink(os.path.realpath(file))
    except OSError as error:
        raise TrackingError(
            Problem(
                "unusable-store",
                f"cannot {'read' if only_read else 'write'} the store {file}: {error.strerror or error}",
                hint="name another with --tracking-uri, such as sqlite:////path/to/mlflow.db, or MLFLOW_TRACKING_URI",
            )
        ) from error


def require_server(uri: str) -> None:
    """Look whether something listens at an http(s) URI, for MLflow's client retries for minutes first.

    A proxy may stand between, so with one set nothing is looked at.

    Raises:
        TrackingError: Nothing answers there.
    """
    if not uri.startswith(("http://", "https://")):
        return
    import socket
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(uri)
    host = parts.hostname or ""
    if getproxies().get(parts.scheme) and not proxy_bypass(host):
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TrackingError(
            Problem(
                "tracking-unreachable",
                f"cannot reach the tracking server {shown(uri)}: {reason}",
                hint="start it, or name another with --tracking-uri or MLFLOW_TRACKING_URI",
            )
        ) from error
