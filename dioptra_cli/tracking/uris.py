"""Tracking URIs: made absolute, and told apart.

Imports no tracking library.
"""

from __future__ import annotations

import os
import re

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


def sqlite_file(uri: str) -> str | None:
    """Return the path of the database of a sqlite URI, None for any other."""
    sqlite = _SQLITE.fullmatch(uri)
    return sqlite.group(2).partition("?")[0] if sqlite else None


def is_server(uri: str) -> bool:
    """Return whether a tracking URI is a server's."""
    return uri.startswith(("http://", "https://"))


def is_local(uri: str) -> bool:
    """Return whether a tracking URI is a store on this machine."""
    return uri.startswith("file:") or sqlite_file(uri) is not None
