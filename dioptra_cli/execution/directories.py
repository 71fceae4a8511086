"""The owner of every path that dioptra keeps things under: the user's cache directory, and that of its state."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable

from dioptra_cli.errors import DioptraError, Problem

_PLACES_INSTEAD = ("/var/tmp",)
"""Where the state directory cannot be written. A fixed place, unlike `TMPDIR`, is found again by the next shell."""


def _cache(*parts: str) -> str:
    from platformdirs import user_cache_dir

    return os.path.join(user_cache_dir("dioptra"), *parts)


def downloads(storage_directory: str | None, caller: str) -> str:
    """Return where downloads are kept: the user's `storage_directory`, or the cache."""
    if storage_directory is not None:
        return os.path.abspath(os.path.join(caller, os.path.expanduser(storage_directory)))
    return _cache("downloads")


def cache() -> str:
    """Return where dioptra keeps lock files, and what it has found out about this machine."""
    return _cache()


def runs() -> str:
    """Return where runs are kept until their store has all of them: it exists, and is its user's alone.

    It is below the user's state directory, or, where that cannot be written, below a place for temporary files.

    Raises:
        DioptraError: Neither can be written.
    """
    return _first_made("a run", _places_of_runs())


def all_runs() -> list[str]:
    """Return every directory in which runs may have been kept; those that there are."""
    return [place for place in _places_of_runs() if os.path.isdir(place)]


def servers() -> str:
    """Return where local servers have their files: it exists, and is its user's alone. See `runs`.

    Raises:
        DioptraError: There is no place that can be written.
    """
    return _first_made("a server", _places("servers", _PLACES_INSTEAD))


def all_servers() -> list[str]:
    """Return every directory in which servers of this user may have their files; those that there are.

    Unlike a run that is kept, a server is used because of what is found there: it must be nobody else's.
    """
    places = _places("servers", _PLACES_INSTEAD)
    return [place for place in places if _is_ours(os.path.dirname(place)) and _is_ours(place)]


def _places_of_runs() -> list[str]:
    return _places("runs", dict.fromkeys([*_PLACES_INSTEAD, tempfile.gettempdir()]))


def _places(kind: str, temporary: Iterable[str]) -> list[str]:
    from platformdirs import user_state_dir

    instead = [os.path.join(place, f"dioptra-{os.getuid()}", kind) for place in temporary]
    return [os.path.join(user_state_dir("dioptra"), kind), *instead]


def _first_made(user: str, places: list[str]) -> str:
    for place in places:
        if _made(place):
            return place
    raise DioptraError(
        Problem(
            "no-state-directory",
            f"{user} needs a directory to keep its files in: neither {' nor '.join(places)} can be written",
            hint="name another place with the variable XDG_STATE_HOME",
        )
    )


def _made(place: str) -> bool:
    """Make a directory and the one above it; return whether both are ours, and can be written."""
    try:
        for directory in (os.path.dirname(place), place):
            os.makedirs(directory, mode=0o700, exist_ok=True)
            # Below a directory that everybody can write, somebody else may have been there first.
            if not _is_ours(directory):
                return False
    except OSError:
        return False
    return os.access(place, os.W_OK | os.X_OK)


def _is_ours(directory: str) -> bool:
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & stat.S_IWOTH


def revisions() -> str:
    """Return where commits of local repositories are unpacked to be run."""
    return _cache("revisions")


def projects(storage_directory: str | None, caller: str) -> str:
    """Return where projects from elsewhere are kept: below the user's `storage_directory`, or in the cache."""
    if storage_directory is not None:
        return os.path.join(downloads(storage_directory, caller), "projects")
    return _cache("projects")
