"""The owner of every path that dioptra keeps things under, all below the user's cache directory."""

from __future__ import annotations

import os


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
    """Return where the files of a run are collected, and stay if the store does not take them."""
    return _cache("runs")


def revisions() -> str:
    """Return where commits of local repositories are unpacked to be run."""
    return _cache("revisions")
