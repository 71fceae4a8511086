"""Opens the store that runs are recorded in, and fetches from it and elsewhere: what commands and sessions share.

Where a server of our own runs over a local store, it is the way to it. Prints nothing.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from dioptra_cli.errors import DioptraError
from dioptra_cli.execution import directories, environment
from dioptra_cli.tracking import open_on_server, open_tracker, prepare, uris
from dioptra_cli.tracking.protocol import Tracker

if TYPE_CHECKING:
    from dioptra_cli.execution.downloads import Downloads, Progress
    from dioptra_cli.execution.local_server import Server


def connect(
    uri: str | None,
    timeout: float,
    *,
    on_new_store: Callable[[str], None] | None = None,
    reading: bool = False,
) -> Tracker:
    """Return a tracker on a store.

    Args:
        uri: The tracking URI; None for MLflow's own default in the caller's directory.
        timeout: Seconds to wait for a server or a store.
        on_new_store: Called with the file of a new database before it is made, which takes seconds.
        reading: Whether nothing has to be recorded: a database that can only be read will do.

    Raises:
        TrackingError: It cannot be reached or opened.
    """
    server = _server_over(uri, reading=reading)
    if server is not None:
        with contextlib.suppress(DioptraError):  # it has gone meanwhile, or hangs
            return _through(server, timeout)
    return open_tracker(
        uri,
        environ=environment.snapshot(),
        directory=os.getcwd(),
        cache_directory=directories.cache(),
        timeout=timeout,
        on_new_store=on_new_store,
        reading=reading,
    )


def expect(uri: str | None) -> None:
    """Begin what takes long in `connect`: the caller has something else to do meanwhile."""
    if _server_over(uri) is None:
        prepare(uri, directory=os.getcwd(), cache_directory=directories.cache())


def _server_over(uri: str | None, *, reading: bool = False) -> Server | None:
    """Return the server of our own over a store, if a run is recorded through it as it is without.

    Artifacts of new experiments go below the directory in which it was started.
    """
    caller = os.getcwd()
    file = uris.sqlite_file(uris.resolved(uri, caller))
    if file is None or not os.path.isabs(file):
        return None
    from dioptra_cli.execution import local_server  # for stores on this machine alone

    server = local_server.find(file)
    return server if server is not None and (reading or server.directory == caller) else None


def _through(server: Server, timeout: float) -> Tracker:
    """Return a tracker that uses a server, and keeps it from ending as long as the tracker is in use."""
    from dioptra_cli.execution import local_server

    with contextlib.ExitStack() as in_use:
        in_use.enter_context(local_server.use(server))
        tracker = open_on_server(server.url, uris.of_sqlite_file(server.store), timeout)
        weakref.finalize(tracker, in_use.pop_all().close)
    return tracker


def fetch(
    locations: Iterable[str],
    *,
    storage_directory: str | None,
    tracking_uri: str | None,
    environ: Mapping[str, str],
    caller: str,
    timeout: float,
    progress: Progress | None = None,
) -> Downloads:
    """Download what is remote, side by side; see `fetch_all`.

    Args:
        locations: The URIs.
        storage_directory: Where copies are kept; None for the cache.
        tracking_uri: Where runs and models are looked up; None for MLflow's default.
        environ: Where credentials and endpoints are read from.
        caller: Absolute; what relative directories and URIs belong to.
        timeout: Seconds to wait for the store in which runs and models are looked up.
        progress: What shows how far it is.

    Raises:
        DownloadError: Something could not be fetched; nothing of it is left behind.
    """
    from dioptra_cli.execution.downloads import Settings, fetch_all
    from dioptra_cli.tracking.artifacts import MlflowArtifacts

    artifacts = MlflowArtifacts(
        tracking_uri, directory=caller, cache_directory=directories.cache(), timeout=timeout
    )
    kept = directories.downloads(storage_directory, caller)
    return fetch_all(
        locations, cache_dir=kept, settings=Settings(environ, artifacts=artifacts), progress=progress
    )
