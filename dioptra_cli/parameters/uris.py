"""What a value is that may name a file: a remote URI, a `file:` URI or a plain path.

Reads text only, but for looking whether a path exists. Fetches nothing, and imports no URL library, which
`validate` could not pay for.
"""

from __future__ import annotations

import os
import re

OBJECT_SCHEMES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "wasb", "wasbs", "az")
WEB_SCHEMES = ("http", "https")
FILESYSTEM_SCHEMES = ("ftp", "sftp", "hdfs")
ARTIFACT_SCHEMES = ("runs", "models", "mlflow-artifacts", "dbfs", "viewfs", "r2", "b2")
REMOTE_SCHEMES = (*OBJECT_SCHEMES, *WEB_SCHEMES, *FILESYSTEM_SCHEMES, *ARTIFACT_SCHEMES)
"""The schemes that can be downloaded; what MLflow alone can read is among the artifact schemes."""

# Patterns that few values need are compiled by their first use: all of them would take a millisecond of each start.
# At least two letters before the colon: `C:\x` is a path on Windows, and `a:b.csv` a file name.
_SCHEME = r"(?i)([A-Za-z][A-Za-z0-9+.-]+)://|(runs|models|mlflow-artifacts|dbfs|file):/"
_FILE = r"(?is)file:(?://([^/]*))?(/.*)?"
_ESCAPE = rb"%([0-9A-Fa-f]{2})"


class UnreadableUri(ValueError):
    """A `file:` URI that names no path on this machine. The text follows the quoted value: "has no path"."""


def scheme_of(value: str) -> str | None:
    """Return the scheme of a URI in lower case, None for a plain path.

    A URI is `scheme://…`, or one of MLflow's short forms such as `runs:/…`, or `file:/…`.
    """
    match = re.match(_SCHEME, value) if ":" in value else None
    return (match[1] or match[2]).lower() if match else None


def local_path(value: str) -> str:
    """Return the path that a `file:` URI names; a plain path as it is.

    A file of the literal name wins over the decoded one: `file:///a%20b` is `/a%20b` if that exists.

    Raises:
        UnreadableUri: The URI names another host, or no path.
    """
    if scheme_of(value) != "file":
        return value
    match = re.fullmatch(_FILE, value)
    host, path = match.groups() if match else (None, None)
    if host and host.lower() != "localhost":
        raise UnreadableUri(
            f"names the host '{host}'; a file on this machine is file:///…, with three slashes"
        )
    if not path:
        raise UnreadableUri("has no path")
    if os.path.lexists(path):
        return path
    decoded = os.fsdecode(re.sub(_ESCAPE, lambda escape: bytes([int(escape[1], 16)]), os.fsencode(path)))
    if "\0" in decoded:
        raise UnreadableUri("holds %00, which no path can")
    return decoded
