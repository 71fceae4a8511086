"""Tracking URIs: made absolute, and told apart.

Imports no tracking library.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache

_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(.*)", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


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
        if not path or path.startswith((":memory:", "file:", "/")):
            return uri
        return f"{prefix}{os.path.join(_in_sqlite_uri(directory), path)}{question}{query}"
    path = uri
    if uri.startswith("file:"):
        path = uri.removeprefix("file:")
        if path.startswith("//"):
            return uri
    elif _SCHEME.match(uri) or uri == "databricks":
        return uri
    from urllib.parse import quote

    return "file://" + quote(os.path.abspath(os.path.join(directory, path)))


def resolved(uri: str | None, directory: str) -> str:
    """Return a tracking URI made absolute; where there is none, MLflow's default."""
    return absolute(uri, directory) if uri else default(directory)


def default(directory: str) -> str:
    """Return the tracking URI that MLflow takes where nothing names one, absolute.

    It is `sqlite:///mlflow.db`, but for a directory whose `mlruns` has an experiment from the time when runs were
    kept in files: https://mlflow.org/docs/latest/self-hosting/architecture/backend-store/
    """
    files = os.path.join(directory, "mlruns")
    try:
        with os.scandir(files) as entries:
            if any(
                entry.name.isdigit() and os.path.lexists(os.path.join(entry.path, "meta.yaml"))
                for entry in entries
            ):
                return absolute(files, directory)
    except OSError:
        pass
    return absolute("sqlite:///mlflow.db", directory)


def sqlite_file(uri: str) -> str | None:
    """Return the path of the database of a sqlite URI, None for any other."""
    sqlite = _SQLITE.fullmatch(uri)
    if sqlite is None:
        return None
    path = sqlite.group(2).partition("?")[0]
    if "%" in path and _sqlalchemy_decodes_paths():
        from urllib.parse import unquote

        return unquote(path)
    return path


def is_server(uri: str) -> bool:
    """Return whether a tracking URI is a server's."""
    return uri.startswith(("http://", "https://"))


def is_local(uri: str) -> bool:
    """Return whether a tracking URI is a store on this machine."""
    return uri.startswith("file:") or sqlite_file(uri) is not None


def of_sqlite_file(file: str) -> str:
    """Return the tracking URI of a database of that absolute path."""
    return f"sqlite:///{_in_sqlite_uri(file)}"


def _in_sqlite_uri(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3F") if _sqlalchemy_decodes_paths() else path


@cache
def _sqlalchemy_decodes_paths() -> bool:
    """Return whether `%20` in a sqlite URI is a space, as SQLAlchemy reads it from 2.1 on.

    Looks for the name of its metadata directory: importing it would cost more than a run.
    """
    for place in sys.path:
        try:
            names = os.listdir(place or os.curdir)
        except OSError:
            continue
        for name in names:
            version = re.fullmatch(r"sqlalchemy-(\d+)\.(\d+).*\.dist-info", name, re.IGNORECASE)
            if version is not None:
                return (int(version[1]), int(version[2])) >= (2, 1)
    return True
