"""Downloads of what only MLflow can read, through the artifact store that the settings name."""

from __future__ import annotations

import os

from dioptra_cli.errors import DioptraError
from dioptra_cli.execution.downloads.cache import file_name
from dioptra_cli.execution.downloads.job import Failure, Fetched, Job


def fetch(job: Job, *, fixed: bool) -> Fetched | None:
    """Download an artifact, or a tree of them. See `Fetcher`.

    Args:
        job: What to download.
        fixed: Whether it can never change. What can has no version: MLflow tells no more than sizes.
    """
    version = job.uri if fixed else None
    if job.is_known(version):
        return None
    store = job.settings.artifacts
    if store is None:
        raise Failure("no-artifact-store", "nothing that reads MLflow's artifacts is set up")
    directory = os.path.join(job.directory, ".tree")
    os.mkdir(directory)
    name = file_name(job.uri.rstrip("/").rpartition("/")[2])
    with job.transfer(name, None):
        try:
            path = store.download(job.uri, directory)
        except DioptraError as error:
            raise Failure.of(error) from error
    if not os.path.samefile(path, directory):
        name = os.path.basename(path)
    elif not os.listdir(directory):
        raise Failure("remote-not-found", "nothing is stored there")
    os.rename(path, os.path.join(job.directory, name))
    return Fetched(name, version)
