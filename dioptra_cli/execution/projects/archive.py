"""A project in an archive: unpacked into the cache once, by the hash of its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from dioptra_cli.errors import Problem, ProjectError
from dioptra_cli.execution.projects.cache import Place, settle
from dioptra_cli.execution.projects.entries import BLOCK, Limits, Refused
from dioptra_cli.execution.projects.unpack import unpack
from dioptra_cli.mlproject import loader

LIMITS = Limits()
_BESIDE = "__MACOSX"
"""What the Finder of macOS puts beside what was to be archived."""


@dataclass(frozen=True)
class Archive:
    """What a project was unpacked from.

    Attributes:
        uri: The URI without credentials, or the absolute path.
        sha256: The hash of its content, in hexadecimal digits.
    """

    uri: str
    sha256: str


def unpacked(
    file: str, shown: str, *, cache: str, note: Callable[[str], None], limits: Limits = LIMITS
) -> tuple[str, Archive]:
    """Return the top of the project in an archive, unpacked if it is not in the cache.

    Where the archive holds one directory and no MLproject file, as those of GitHub do, that directory is the top.

    Args:
        file: The archive on this machine.
        shown: What it is called.
        cache: The directory of all fetched projects.
        note: Called with what takes time.
        limits: How much it may hold.

    Raises:
        ProjectError: The archive is broken or hostile. Nothing of it is left behind.
        OSError: It cannot be read, or the cache cannot be written.
    """
    name = os.path.basename(shown.partition("?")[0])
    with open(file, "rb") as stream:
        digest = _sha256(stream)
        # What is a zip archive by one name may be a tar archive by another.
        place = Place(cache, "archives", name, f"{os.path.splitext(name)[1].lower()} {digest}")
        if not os.path.isdir(place.directory):
            with place.locked(note, f"unpacking {shown}") as aside:
                if not os.path.isdir(place.directory):  # another process may have been faster
                    made = os.path.join(os.path.realpath(aside), "tree")
                    os.mkdir(made)
                    stream.seek(0)
                    try:
                        unpack(stream, name, made, limits)
                    except Refused as refused:
                        raise ProjectError(
                            Problem("refused-archive", f"the archive {shown} is refused: {refused}")
                        ) from refused
                    settle(made, place.directory)
    return _top(place.directory), Archive(shown, digest)


def _top(directory: str) -> str:
    """Return the directory that the project lies in."""
    if loader.find_file(directory) is not None:
        return directory
    with os.scandir(directory) as items:
        shown = [item for item in items if not item.name.startswith(".") and item.name != _BESIDE]
    return shown[0].path if len(shown) == 1 and shown[0].is_dir(follow_symlinks=False) else directory


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()
