"""Writes the files of a scaffold: all of them, each whole, or none.

The only part of the scaffold that changes the disk.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection, Mapping

from dioptra_cli.errors import DioptraError, Problem, UsageError


def write(files: Mapping[str, str], overwrite: Collection[str] = ()) -> None:
    """Write files, with the directories that they need.

    All are written aside first and then renamed into place. A file that is replaced keeps its mode, and a link is
    followed.

    Args:
        files: Texts by path.
        overwrite: The paths that may be there already.

    Raises:
        UsageError: Another one is.
        DioptraError: One cannot be written. Nothing of any is left behind then.
    """
    there = [path for path in files if path not in overwrite and os.path.lexists(path)]
    if there:
        raise UsageError(
            Problem("file-exists", f"'{path}' is there already", hint="--force overwrites it")
            for path in there
        )
    aside: dict[str, str] = {}  # by the path that each is for
    created: list[str] = []  # directories
    path = ""
    try:
        for path, text in files.items():
            target = os.path.realpath(path)
            for directory in _missing(os.path.dirname(target)):
                os.mkdir(directory)
                created.append(directory)
            _write_aside(target, text, aside)
        for path in files:
            target = os.path.realpath(path)
            os.replace(aside[target], target)
            del aside[target]
    except BaseException as error:
        for name in aside.values():
            with contextlib.suppress(OSError):
                os.unlink(name)
        for directory in reversed(created):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise DioptraError(Problem("unwritable-file", f"cannot write '{path}': {reason}")) from error
        raise


def _write_aside(target: str, text: str, aside: dict[str, str]) -> None:
    handle, name = tempfile.mkstemp(prefix=".dioptra-new-", dir=os.path.dirname(target))
    aside[target] = name
    with open(handle, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.chmod(name, _mode(target))
    if os.path.isdir(target):
        raise IsADirectoryError(None, "it is a directory")


def _mode(path: str) -> int:
    """Return the mode of a file, or the one that a new file gets."""
    try:
        return os.stat(path).st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _missing(path: str) -> list[str]:
    """Return a directory and those above it that are not there, the outermost first."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing[::-1]
