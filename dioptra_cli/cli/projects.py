"""Where the project of a command lies: a directory as it is, at another commit, or fetched from elsewhere.

A local project costs nothing here. What was fetched may be run after `require_valid` alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from dioptra_cli.cli import output
from dioptra_cli.errors import Level, ProjectError

if TYPE_CHECKING:
    from dioptra_cli.execution.projects.archive import Archive
    from dioptra_cli.execution.source import Source


class Located(NamedTuple):
    """Where a project lies, and where it comes from.

    Attributes:
        directory: The project on this machine; for a local one as it was given, which may be the MLproject file.
        name: What it is called in records: the absolute path of a local directory or archive, or the URL without
            credentials, each with its `#subdirectory`. `dioptra run` takes it again.
        source: The commit and what is changed in it; None for an archive, and for a local directory as it is, whose
            state is to be read when it starts.
        archive: What it was unpacked from; None for what is no archive.
        version: The branch, tag or commit that was asked for.
        is_fetched: Whether it comes from elsewhere: a git URL or an archive.
        is_work_tree: Whether it is a local directory as it is.
    """

    directory: str
    name: str
    source: Source | None = None
    archive: Archive | None = None
    version: str | None = None
    is_fetched: bool = False
    is_work_tree: bool = False


def located(
    project: str,
    version: str | None = None,
    *,
    storage_dir: str | None = None,
    tracking_uri: str | None = None,
    quiet: bool = False,
) -> Located:
    """Return where a project lies; one from elsewhere is fetched. Nothing of it is run.

    Args:
        project: PROJECT as it was given.
        version: The value of `--version`.
        storage_dir: The value of `--storage-dir`.
        tracking_uri: Where `runs:` and `models:` URIs are looked up.
        quiet: Whether to say nothing of what takes time.

    Raises:
        UsageError: There is no such project, version or subdirectory.
        ProjectError: It cannot be fetched, or is refused; nothing of it is left behind.
        DownloadError: The archive cannot be downloaded.
    """
    if version is None and os.path.isdir(project):  # most are, and should not pay for the others
        return Located(project, os.path.abspath(project), is_work_tree=True)
    from dioptra_cli.execution.projects.addresses import is_elsewhere, local_subdirectory

    if is_elsewhere(project):
        return _fetched(project, version, storage_dir, tracking_uri, quiet)
    parts = local_subdirectory(project)
    if parts is not None:
        from dioptra_cli.execution.projects.fetch import within

        project = within(*parts, parts[0])
    if version is None:
        return Located(project, os.path.abspath(project), is_work_tree=True)
    from dioptra_cli.execution import directories
    from dioptra_cli.execution.projects.revision import unpack
    from dioptra_cli.mlproject import loader

    directory = loader.project_directory(project)
    revision = unpack(directory, version, directories.revisions(), _note(quiet))
    return Located(revision.directory, directory, revision.source, version=version)


def require_valid(directory: str) -> None:
    """Refuse a project that `dioptra validate` finds errors in: before anything of it is run.

    Raises:
        ProjectError: It has errors, all of which this carries.
    """
    from dioptra_cli.validation.validate import Checker

    errors = [problem for problem in Checker().check(directory).problems if problem.level is Level.ERROR]
    if errors:
        raise ProjectError(errors)


def _note(quiet: bool) -> Callable[[str], None]:
    return (lambda _: None) if quiet else output.note


def _fetched(
    project: str, version: str | None, storage_dir: str | None, tracking_uri: str | None, quiet: bool
) -> Located:
    from dioptra_cli.cli import job
    from dioptra_cli.execution import directories, environment
    from dioptra_cli.execution.process import interruptible
    from dioptra_cli.execution.projects.fetch import fetch

    base, caller = environment.snapshot(), os.getcwd()

    @contextlib.contextmanager
    def download(uri: str) -> Iterator[str]:
        with job.downloaded(
            [uri],
            storage_directory=storage_dir,
            tracking_uri=tracking_uri or base.get(environment.TRACKING_URI),
            base=base,
            caller=caller,
            quiet=quiet,
        ) as copies:
            yield copies[uri]

    with interruptible():
        found = fetch(
            project,
            version,
            cache=directories.projects(storage_dir, caller),
            base=base,
            download=download,
            note=_note(quiet),
        )
    return Located(found.directory, found.name, found.source, found.archive, found.version, is_fetched=True)
