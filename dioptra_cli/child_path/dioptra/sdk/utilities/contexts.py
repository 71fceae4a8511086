"""Contexts that put directories on `sys.path` for as long as a block runs."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["plugin_dirs", "sys_path_dirs"]

_LOGGER = logging.getLogger(__name__)


@contextmanager
def plugin_dirs(dirs: Iterable[str] = (".",)) -> Iterator[None]:
    """Put the directories of `DIOPTRA_PLUGIN_DIR`, then `dirs`, right behind the script's own on `sys.path`.

    `DIOPTRA_PLUGIN_DIR` (or `AI_PLUGIN_DIR`, its name until May 2022) holds absolute directories joined by
    `os.pathsep`; relative and missing ones are passed over. What `sys.path` held before comes back afterwards.
    """
    joined = os.environ.get("DIOPTRA_PLUGIN_DIR") or os.environ.get("AI_PLUGIN_DIR") or ""
    named = [directory for directory in joined.split(os.pathsep) if directory]
    relative = [directory for directory in named if not os.path.isabs(directory)]
    if relative:
        _LOGGER.debug("Passed over plugin directories that are not absolute: %s", relative)
    with sys_path_dirs([*(directory for directory in named if directory not in relative), *dirs]):
        yield


@contextmanager
def sys_path_dirs(dirs: Iterable[str] = (".",)) -> Iterator[None]:
    """Put the directories that exist right behind the script's own on `sys.path`, and restore it afterwards."""
    named = [os.path.abspath(directory) for directory in dirs if directory]
    missing = [directory for directory in named if not os.path.isdir(directory)]
    if missing:
        _LOGGER.debug("Passed over directories that do not exist: %s", missing)
    before = sys.path.copy()
    found = [directory for directory in named if directory not in missing]
    # In place: others may hold on to the list itself.
    sys.path[:] = dict.fromkeys([*before[:1], *found, *before[1:]])
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
