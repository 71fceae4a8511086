"""A project from elsewhere becomes a directory in the cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from dioptra_cli.errors import Problem, ProjectError, UsageError, did_you_mean
from dioptra_cli.execution.projects.addresses import Address, Kind, parse
from dioptra_cli.execution.projects.archive import Archive, unpacked
from dioptra_cli.execution.projects.repository import fetch_tree
from dioptra_cli.execution.source import Source, read_source

Download = Callable[[str], AbstractContextManager[str]]
"""Gives the local copy of a URI for a block."""


@dataclass(frozen=True)
class Fetched:
    """A project in the cache.

    Attributes:
        directory: Where it lies.
        name: What it was asked by, without credentials: to be stored, and to be asked by again.
        source: The commit, and what earlier runs have changed in it; None for an archive.
        archive: What it was unpacked from; None for a git repository.
        version: The branch, tag or commit that was asked for.
    """

    directory: str
    name: str
    source: Source | None
    archive: Archive | None
    version: str | None


def fetch(
    project: str,
    version: str | None = None,
    *,
    cache: str,
    base: Mapping[str, str],
    download: Download,
    note: Callable[[str], None],
) -> Fetched:
    """Have a project from elsewhere on this machine.

    Args:
        project: A git URL or an archive, perhaps with `#subdirectory`: `is_elsewhere` is true of it.
        version: A branch, tag or commit; None for what the repository or the URL says.
        cache: The directory of all fetched projects.
        base: The environment of this process.
        download: What fetches an archive from elsewhere.
        note: Called with what takes time.

    Raises:
        UsageError: It is no project, or has no such version or subdirectory.
        ProjectError: It cannot be fetched, or is refused.
        DownloadError: The archive cannot be downloaded.
    """
    address = parse(project)
    try:
        if address.kind is Kind.REPOSITORY:
            return _from_repository(address, version, cache, base, note)
        if version is not None:
            raise UsageError(
                Problem(
                    "exclusive-options", f"--version {version}: the archive {address.shown} has no versions"
                )
            )
        if address.kind is Kind.LOCAL_ARCHIVE:
            return _from_archive(address, address.location, cache, note)
        with download(address.location) as copy:
            return _from_archive(address, copy, cache, note)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise ProjectError(
            Problem(
                "cache-unusable",
                f"cannot unpack {address.shown} into {cache}: {error.strerror or error}{where}",
            )
        ) from error


def within(top: str, subdirectory: str, name: str) -> str:
    """Return a subdirectory of a project, which must not lead outside.

    Raises:
        UsageError: There is no such directory.
    """
    if not subdirectory:
        return top
    directory = os.path.join(top, subdirectory)
    real, real_top = os.path.realpath(directory), os.path.realpath(top)
    if os.path.commonpath((real, real_top)) != real_top or ".." in subdirectory.split("/"):
        raise UsageError(Problem("no-such-project", f"'#{subdirectory}' leads outside of {name}"))
    if not os.path.isdir(directory):
        above = os.path.dirname(directory.rstrip("/"))
        beside = [item.name for item in os.scandir(above) if item.is_dir()] if os.path.isdir(above) else []
        raise UsageError(
            Problem(
                "no-such-project",
                f"there is no directory '{subdirectory}' in {name}",
                hint=did_you_mean(os.path.basename(directory.rstrip("/")), beside),
            )
        )
    return os.path.normpath(directory)


def _from_repository(
    address: Address, version: str | None, cache: str, base: Mapping[str, str], note: Callable[[str], None]
) -> Fetched:
    if version is not None and address.version is not None:
        raise UsageError(
            Problem(
                "exclusive-options",
                f"--version {version} and '@{address.version}' in the URL exclude each other",
                hint="give one of them",
            )
        )
    version = version or address.version
    tree = fetch_tree(address, version, cache=cache, base=base, note=note)
    directory = within(tree, address.subdirectory, address.shown)
    # At the top: further down, git might take a directory of the project for a repository, and obey it.
    return Fetched(directory, address.name, read_source(tree), None, version)


def _from_archive(address: Address, file: str, cache: str, note: Callable[[str], None]) -> Fetched:
    top, archive = unpacked(file, address.shown, cache=cache, note=note)
    return Fetched(within(top, address.subdirectory, address.shown), address.name, None, archive, None)
