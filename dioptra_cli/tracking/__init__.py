"""Where runs are recorded. The only package that imports mlflow, and only inside functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dioptra_cli.tracking import uris
from dioptra_cli.tracking.protocol import Tracker
from dioptra_cli.tracking.uris import is_server

_OWN_SERVER_SECONDS = 2.0
"""How long a server of our own may take to say that it is there: without it, the store is opened in less."""


def open_tracker(
    uri: str | None,
    *,
    environ: Mapping[str, str],
    directory: str,
    cache_directory: str,
    on_new_store: Callable[[str], None] | None = None,
    timeout: float = 10.0,
    reading: bool = False,
) -> Tracker:
    """Return a tracker on a store or server: over REST where that is enough, else through MLflow.

    Args:
        uri: The tracking URI; None for MLflow's own default.
        environ: Where credentials are read from.
        directory: Absolute; what a relative URI belongs to.
        cache_directory: Where dioptra keeps its lock files, and what it has found out about this machine.
        on_new_store: Called with the file of a new database before it is made, which takes seconds.
        timeout: Seconds to wait for the server or the store until a run is started; then, for each answer.
        reading: Whether nothing is to be recorded: a database that can only be read will do.

    Raises:
        TrackingError: Nothing listens at the URI, or the store cannot be opened.
    """
    if uri is not None and is_server(uri):
        from dioptra_cli.tracking import rest, transport  # http.client, which a local store does not need

        transport.require_address(uri)
        if rest.speaks(uri, environ, cache_directory):
            return rest.RestTracker(uri, environ, timeout)
    from dioptra_cli.tracking.mlflow_client import MlflowTracker

    return MlflowTracker(
        uri,
        directory=directory,
        cache_directory=cache_directory,
        on_new_store=on_new_store,
        reading=reading,
        timeout=timeout,
    )


def prepare(uri: str | None, *, directory: str, cache_directory: str) -> None:
    """Begin what takes long in `open_tracker`, in a thread: the caller has something else to do meanwhile."""
    uri = uris.resolved(uri, directory)
    if not is_server(uri):
        from dioptra_cli.tracking import mlflow_import

        mlflow_import.begin(sql=uris.sqlite_file(uri) is not None, cache_directory=cache_directory)


def open_on_server(url: str, store: str, timeout: float) -> Tracker:
    """Return a tracker on a store of this machine through a server that runs over it.

    Raises:
        TrackingError: It does not answer at once.
    """
    from dioptra_cli.tracking.rest import RestTracker

    tracker = RestTracker(url, {}, timeout, store=store)  # credentials are for other servers
    tracker.require_answer(min(timeout, _OWN_SERVER_SECONDS))
    return tracker
