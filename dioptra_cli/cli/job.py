"""What `run` and `exec` do alike between reading the options and starting a process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dioptra_cli.cli import output
from dioptra_cli.cli.options import require_pairs
from dioptra_cli.errors import Problem, UsageError
from dioptra_cli.execution import environment
from dioptra_cli.execution.environment import JobSettings


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
    plugins = environment.find_plugin_directories(options.plugin_dirs, base, project, caller)
    for directory, where in plugins.left_out:
        output.warning(f"{where}: the plugin directory '{directory}' does not exist; it is left out")
    if plugins.missing:
        raise UsageError(
            Problem("no-plugin-dir", f"{where}: there is no directory '{directory}'")
            for directory, where in plugins.missing
        )
    return JobSettings(
        plugins.directories,
        plugins.collections,
        options.log_level,
        options.log_as_json,
        options.flow_workers,
        tuple(require_pairs("--env", options.env).items()),
    )


@contextlib.contextmanager
def downloaded(
    uris: Sequence[str],
    *,
    storage_directory: str | None,
    tracking_uri: str | None,
    base: Mapping[str, str],
    caller: str,
    tracking_timeout: float | None = None,
    quiet: bool = False,
) -> Iterator[Mapping[str, str]]:
    """Download what is remote, side by side, with a progress bar on a terminal.

    Args:
        uris: What to download.
        storage_directory: Where copies are kept; None for the cache.
        tracking_uri: Where runs and models are looked up; None for MLflow's default.
        base: The environment that credentials and endpoints are read from.
        caller: Absolute; what relative directories and URIs belong to.
        tracking_timeout: Seconds to wait for the store in which runs and models are looked up; None for the
            usual.
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
    from dioptra_cli import stores
    from dioptra_cli.cli.progress import download_progress

    with download_progress(quiet) as progress:
        copies = stores.fetch(
            uris,
            storage_directory=storage_directory,
            tracking_uri=tracking_uri,
            environ=base,
            caller=caller,
            timeout=tracking_timeout or environment.tracking_timeout(),
            progress=progress,
        )
    with copies:
        yield copies.paths
