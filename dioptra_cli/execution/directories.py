"""The owner of every path that dioptra keeps things under: the user's cache directory, and that of its state."""

from __future__ import annotations

import os
import tempfile

from dioptra_cli.errors import DioptraError, Problem


def _cache(*parts: str) -> str:
    from platformdirs import user_cache_dir

    return os.path.join(user_cache_dir("dioptra"), *parts)


def downloads(storage_directory: str | None, caller: str) -> str:
    """Return where downloads are kept: the user's `storage_directory`, or the cache."""
    if storage_directory is not None:
        return os.path.abspath(os.path.join(caller, os.path.expanduser(storage_directory)))
    return _cache("downloads")


def locks() -> str:
    """Return where processes leave their lock files."""
    return _cache("locks")


def runs() -> str:
    """Return where runs are kept until their store has all of them: it exists, and only its user can read it.

    It is below the user's state directory, or, where that cannot be written, below the system's for temporary files.
    """
    from platformdirs import user_state_dir

    wanted = os.path.join(user_state_dir("dioptra"), "runs")
    instead = os.path.join(tempfile.gettempdir(), f"dioptra-{os.getuid()}", "runs")
    for place in (wanted, instead):
        try:
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            os.makedirs(place, mode=0o700, exist_ok=True)
        except OSError:
            continue
        # Below a directory that everybody can write, another user may have been there first.
        if os.access(place, os.W_OK | os.X_OK) and os.stat(place).st_uid == os.geteuid():
            return place
    raise DioptraError(
        Problem(
            "no-state-directory",
            f"a run needs a directory to keep its files in: neither {wanted} nor {instead} can be written",
            hint="name another place with the variable XDG_STATE_HOME",
        )
    )


def revisions() -> str:
    """Return where commits of local repositories are unpacked to be run."""
    return _cache("revisions")


def projects(storage_directory: str | None, caller: str) -> str:
    """Return where projects from elsewhere are kept: below the user's `storage_directory`, or in the cache."""
    if storage_directory is not None:
        return os.path.join(downloads(storage_directory, caller), "projects")
    return _cache("projects")
