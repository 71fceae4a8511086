"""What `run` and `exec` do alike between reading the options and starting a process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dioptra_cli.cli import output
from dioptra_cli.cli.options import TRACKING_TIMEOUT, require_pairs
from dioptra_cli.errors import Problem, UsageError
from dioptra_cli.execution import directories as locations
from dioptra_cli.execution import environment
from dioptra_cli.execution.environment import JobSettings
from dioptra_cli.parameters.uris import REMOTE_SCHEMES, scheme_of


@dataclass(frozen=True)
class JobOptions:
    """The options of `dioptra_cli.cli.options.job_options`; the fields are click's names of them."""

    tracking_uri: str | None
    plugin_dirs: tuple[str, ...]
    env: tuple[str, ...]
    log_level: str | None
    log_as_json: bool | None
    flow_workers: int | None
    storage_dir: str | None


def job_settings(options: JobOptions, base: Mapping[str, str], project: str, caller: str) -> JobSettings:
    """Return the settings of a child's environment. Remote plugin directories are still URIs.

    A directory that a variable names and that does not exist is left out, with a warning.

    Raises:
        UsageError: A `--plugin-dir` does not exist, or an `--env` is malformed.
    """
    directories: list[str] = []
    collections: set[str] = set()
    missing: list[Problem] = []
    for directory, where in environment.plugin_directories(options.plugin_dirs, base, project, caller):
        if scheme_of(directory) in REMOTE_SCHEMES or os.path.isdir(directory):
            if directory not in directories:
                directories.append(directory)
                if where in environment.COLLECTIONS:
                    collections.add(directory)
        elif where.startswith("DIOPTRA_"):
            output.warning(f"{where}: the plugin directory '{directory}' does not exist; it is left out")
        else:
            missing.append(Problem("no-plugin-dir", f"{where}: there is no directory '{directory}'"))
    if missing:
        raise UsageError(missing)
    return JobSettings(
        tuple(directories),
        frozenset(collections),
        options.log_level,
        options.log_as_json,
        options.flow_workers,
        tuple(require_pairs("--env", options.env).items()),
    )


def remote_plugins(settings: JobSettings) -> list[str]:
    """Return the plugin directories that have to be downloaded."""
    return [d for d in settings.plugin_directories if scheme_of(d) in REMOTE_SCHEMES]


def with_local_plugins(settings: JobSettings, copies: Mapping[str, str]) -> JobSettings:
    """Return the settings with local copies in place of remote plugin directories.

    A collection is imported from the directory that it lies in. That of a copy holds nothing else.
    """

    def local(directory: str) -> str:
        copy = copies.get(directory, directory)
        return os.path.dirname(copy) if directory in settings.collections else copy

    return replace(settings, plugin_directories=tuple(map(local, settings.plugin_directories)))


@contextlib.contextmanager
def downloaded(
    uris: Sequence[str],
    *,
    storage_directory: str | None,
    tracking_uri: str | None,
    base: Mapping[str, str],
    caller: str,
    tracking_timeout: float = TRACKING_TIMEOUT,
    quiet: bool = False,
) -> Iterator[Mapping[str, str]]:
    """Download what is remote, side by side, with a progress bar on a terminal.

    Args:
        uris: What to download.
        storage_directory: Where copies are kept; None for the cache.
        tracking_uri: Where runs and models are looked up; None for MLflow's default.
        base: The environment that credentials and endpoints are read from.
        caller: Absolute; what relative directories and URIs belong to.
        tracking_timeout: Seconds to wait for the store in which runs and models are looked up.
        quiet: Whether to show no progress.

    Yields:
        The local path of each URI. The copies stay at least as long as the block.

    Raises:
        DownloadError: Something could not be fetched; nothing of it is left behind.
    """
    if not uris:
        yield {}
        return
    # A run without downloads should not pay for what they need.
    from dioptra_cli.cli.progress import download_progress
    from dioptra_cli.execution.downloads import Settings, fetch_all
    from dioptra_cli.tracking.artifacts import MlflowArtifacts

    artifacts = MlflowArtifacts(
        tracking_uri, directory=caller, cache_directory=locations.cache(), timeout=tracking_timeout
    )
    settings = Settings(base, artifacts=artifacts)
    cache = locations.downloads(storage_directory, caller)
    with download_progress(quiet) as progress:
        copies = fetch_all(uris, cache_dir=cache, settings=settings, progress=progress)
    with copies:
        yield copies.paths
