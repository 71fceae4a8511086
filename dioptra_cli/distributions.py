"""What is installed in a directory of a Python's path, by the metadata there. Imports nothing of it.

Reading the metadata of some hundred packages takes longer than a short run, so that it is kept for as long as the
directory is as it was. `importlib.metadata` alone takes longer to be imported.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from typing import Any, NamedTuple

from dioptra_cli.parameters.secrets import without_credentials

_METADATA = (".dist-info", ".egg-info")
_FIELD = re.compile(rb"^(Name|Version):[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_GROUP = re.compile(r"^\s*\[\s*(mlflow\.[\w.]+)\s*\]", re.MULTILINE)
_MLFLOW = ("mlflow", "mlflow-skinny", "mlflow-tracing")
_HEAD = 4096
"""Bytes of a metadata file in which its name and version are looked for: they come first."""
_FORMAT = 1
"""Of what is kept; another one is not read."""
_SETTLED_NS = 2_000_000_000
"""A directory that was changed within so short a time may be changed again without a newer time of change."""


class Distribution(NamedTuple):
    """An installed package.

    Attributes:
        name: As its metadata have it.
        version: Likewise.
        url: Where it was installed from, without credentials; None where from an index.
        plugins: The kinds of MLflow plugins that it declares, such as `mlflow.tracking_store`.
    """

    name: str
    version: str
    url: str | None
    plugins: tuple[str, ...]


def distributions(place: str, cache_directory: str | None) -> list[Distribution]:
    """Return what the metadata in a directory tell, sorted by their names; what cannot be read is left out.

    Args:
        place: The absolute path of a directory of a search path, such as `site-packages`; it may not exist.
        cache_directory: Where dioptra keeps what it has found out; None to keep nothing.
    """
    try:
        state = os.stat(place)
    except OSError:
        return []
    if not os.path.isdir(place):  # a zip file
        return []
    key = [_FORMAT, place, state.st_mtime_ns, state.st_ino]
    file = cache_directory and os.path.join(cache_directory, "packages", f"{_checksum(place)}.json")
    kept = _kept(file, key) if file else None
    if kept is not None:
        return kept
    try:
        names = sorted(
            name for name in os.listdir(place) if name.endswith(_METADATA) and name[0] not in "~-."
        )
    except OSError:
        return []
    found = [each for name in names if (each := _read(os.path.join(place, name))) is not None]
    # Installers give a changed package a directory of another name, or at least a new one; an `.egg-info` beside
    # source code is rewritten where it is.
    is_settled = time.time_ns() - state.st_mtime_ns > _SETTLED_NS
    if file and names and is_settled and not any(name.endswith(".egg-info") for name in names):
        _keep(file, key, found)
    return found


def plugins_of_mlflow(cache_directory: str | None) -> frozenset[str]:
    """Return which kinds of plugins others than MLflow itself have installed for this Python."""
    return frozenset(
        kind
        for place in dict.fromkeys(map(os.path.abspath, sys.path))
        for found in distributions(place, cache_directory)
        if found.plugins and found.name.lower() not in _MLFLOW
        for kind in found.plugins
    )


def _read(directory: str) -> Distribution | None:
    # An old .egg-info may be a single file.
    fields = _fields(os.path.join(directory, "METADATA" if directory.endswith(".dist-info") else "PKG-INFO"))
    fields = fields or _fields(directory)
    name, version = fields.get("Name"), fields.get("Version")
    if not name or not version:
        return None
    url = _direct_url(os.path.join(directory, "direct_url.json"))
    declared = _text(os.path.join(directory, "entry_points.txt"), errors="replace")
    plugins = tuple(_GROUP.findall(declared)) if declared and "mlflow." in declared else ()
    return Distribution(name, version, url, plugins)


def _fields(file: str) -> dict[str, str]:
    """Return the name and the version that a metadata file gives, as far as it can be read."""
    try:
        with open(file, "rb", buffering=0) as stream:
            head = stream.read(_HEAD)
    except OSError:
        return {}
    head = head.replace(b"\r\n", b"\n").partition(b"\n\n")[0]  # a description follows, which may say anything
    return {key.decode(): value.decode("utf-8", "replace") for key, value in reversed(_FIELD.findall(head))}


def _text(file: str, errors: str = "strict") -> str | None:
    try:
        with open(file, encoding="utf-8", errors=errors) as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError):  # no such file, as a rule
        return None


def _direct_url(file: str) -> str | None:
    """Return where a package was installed from, without credentials; None where from an index.

    https://packaging.python.org/en/latest/specifications/direct-url-data-structure/
    """
    text = _text(file)
    if text is None:
        return None
    import json

    try:
        content = json.loads(text)
        url = str(content["url"])
        fragments: list[str] = []
        if "vcs_info" in content:
            url = f"{content['vcs_info']['vcs']}+{url}@{content['vcs_info']['commit_id']}"
        elif "archive_info" in content:
            info = content["archive_info"]
            sums = [f"{name}={value}" for name, value in sorted(info.get("hashes", {}).items())]
            fragments = [info["hash"]] if info.get("hash") else sums[:1]
        if content.get("subdirectory"):
            fragments.append(f"subdirectory={content['subdirectory']}")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return without_credentials(url) + (f"#{'&'.join(fragments)}" if fragments else "")


def _checksum(place: str) -> str:
    import zlib  # a name for a file; two places with the same one take turns

    return f"{zlib.crc32(os.fsencode(place)):08x}"


def _kept(file: str, key: list[Any]) -> list[Distribution] | None:
    """Return what was kept for this state of a directory."""
    import json

    try:
        with open(file, encoding="utf-8") as stream:
            content = json.load(stream)
        if content["key"] != key:
            return None
        return [
            Distribution(name, version, url, tuple(plugins))
            for name, version, url, plugins in content["distributions"]
        ]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _keep(file: str, key: list[Any], found: list[Distribution]) -> None:
    """Write an answer down, whole or not at all. Where that fails, it is read again the next time."""
    import json

    aside = f"{file}.{os.getpid()}"
    with contextlib.suppress(OSError, UnicodeEncodeError):
        os.makedirs(os.path.dirname(file), exist_ok=True)
        try:
            with open(aside, "w", encoding="utf-8") as stream:
                json.dump({"key": key, "distributions": found}, stream)
            os.replace(aside, file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise
