"""What each parameter type accepts, and what it makes of a value: one small function per type.

The text of a value is checked and passed on as given, since scripts parse it themselves (`32` for a `float` stays
`32`). Only `path` and `uri` change it, to an absolute one. Reads the file system, changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dioptra_cli.errors import did_you_mean
from dioptra_cli.parameters.uris import REMOTE_SCHEMES, UnreadableUri, local_path, scheme_of

_FLOAT = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BOOLEANS = frozenset({"true", "false", "yes", "no", "on", "off", "t", "f", "y", "n", "1", "0"})


class Mismatch(Exception):
    """A value that its type does not accept.

    Attributes:
        reason: What is wrong with it, to follow the quoted value: "is not a float".
        hint: What to do, if that can be said.
    """

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class Coerced(NamedTuple):
    """What a type made of a value.

    Attributes:
        text: The text that the command gets; for a remote path still its URI.
        remote: Whether the text is a URI that has to be downloaded first.
    """

    text: str
    remote: bool = False


Check = Callable[[str, str], Coerced]
"""Takes a value and the directory that relative paths belong to. Raises Mismatch."""


def _string(text: str, base: str) -> Coerced:
    del base
    return Coerced(text)


def _float(text: str, base: str) -> Coerced:
    del base
    if _FLOAT.fullmatch(text):
        return Coerced(text)
    raise Mismatch("is not a float", _number_hint(text, "such as 0.5, 1e-3, inf or nan"))


def _integer(text: str, base: str) -> Coerced:
    del base
    if _INTEGER.fullmatch(text):
        return Coerced(text)
    raise Mismatch("is not an integer", _number_hint(text, "such as 32 or -1"))


def _boolean(text: str, base: str) -> Coerced:
    del base
    if text.lower() in _BOOLEANS:
        return Coerced(text)
    raise Mismatch("is not a boolean", "write true or false")


def _number_hint(text: str, examples: str) -> str:
    if not text:
        return f"it is empty; write a number {examples}"
    if text != text.strip():
        return "remove the spaces around it"
    if text.startswith(("[", "{")):
        return "a parameter has one value: declare it as a string to pass a list on as text"
    if "_" in text:
        return "write the digits without '_'"
    if "," in text:
        return "write a point as the decimal sign, and nothing between thousands"
    return f"write a number {examples}"


def _path(text: str, base: str) -> Coerced:
    scheme = scheme_of(text)
    if scheme in REMOTE_SCHEMES:
        return Coerced(text, remote=True)
    if scheme not in (None, "file"):
        raise Mismatch(
            f"has the unknown scheme '{scheme}'",
            did_you_mean(scheme, ("file", *REMOTE_SCHEMES))
            or "known are file and " + ", ".join(REMOTE_SCHEMES),
        )
    if not text:
        raise Mismatch("is empty, and no path")
    path = _absolute(_from_file_uri(text) if scheme else text, base)
    if not os.path.exists(path):
        raise Mismatch("does not exist", _missing_hint(text, path))
    return Coerced(path)


def _uri(text: str, base: str) -> Coerced:
    if not text or _ANY_SCHEME.match(text):
        return Coerced(text)
    return Coerced(_absolute(text, base))


def _absolute(path: str, base: str) -> str:
    return os.path.abspath(os.path.join(base, os.path.expanduser(path)))


def _from_file_uri(uri: str) -> str:
    try:
        return local_path(uri)
    except UnreadableUri as error:
        raise Mismatch(str(error)) from error


def _missing_hint(text: str, path: str) -> str | None:
    if text.startswith("$"):
        return "variables are not expanded here: let the shell do it, without quotes around it"
    hint = f"looked for {path}" if path != text else None
    parent = os.path.dirname(path)
    if os.path.isdir(parent):
        near = did_you_mean(os.path.basename(path), os.listdir(parent))
        hint = "; ".join(part for part in (hint, near) if part) or None
    return hint


_CHECKS: Mapping[str, Check] = {
    "string": _string,
    "str": _string,
    "float": _float,
    "double": _float,
    "number": _float,
    "int": _integer,
    "integer": _integer,
    "bool": _boolean,
    "boolean": _boolean,
    "path": _path,
    "uri": _uri,
}


def coerce(type_name: str, text: str, base: str) -> Coerced:
    """Check `text` against a type, and return what the command gets.

    Args:
        type_name: The declared type; an unknown one is taken as `string`, as MLflow does.
        text: The value.
        base: The absolute directory that a relative `path` or `uri` belongs to.

    Raises:
        Mismatch: The type does not accept the value.
    """
    return _CHECKS.get(type_name, _string)(text, base)


def same_value(type_name: str, left: str, right: str) -> bool:
    """Return whether two texts stand for one value of a type: equal, or equal as numbers."""
    if left == right:
        return True
    if _CHECKS.get(type_name) in (_float, _integer):
        return bool(_FLOAT.fullmatch(left) and _FLOAT.fullmatch(right)) and float(left) == float(right)
    return _CHECKS.get(type_name) is _boolean and left.lower() == right.lower()
