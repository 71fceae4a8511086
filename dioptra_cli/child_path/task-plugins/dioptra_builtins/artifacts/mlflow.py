"""Task plugins: move files between the artifacts of MLflow runs and this machine."""

from __future__ import annotations

import logging
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dioptra import pyplugs
from dioptra.sdk.utilities.paths import set_path_ext

from .exceptions import UnsupportedDataFrameFileFormatError

if TYPE_CHECKING:
    import pandas as pd

LOGGER = logging.getLogger(__name__)

DATA_FRAME_FORMATS = {
    "csv": ("to_csv", "csv"),
    "csv.bz2": ("to_csv", "csv.bz2"),
    "csv.gz": ("to_csv", "csv.gz"),
    "csv.xz": ("to_csv", "csv.xz"),
    "feather": ("to_feather", "feather"),
    "json": ("to_json", "json"),
    "pickle": ("to_pickle", "pkl"),
}
"""Method of a data frame that writes each format, and the extension of the file."""


@pyplugs.register
def download_all_artifacts_in_run(
    run_id: str, artifact_path: str, destination_path: str | os.PathLike[str] | None = None
) -> str:
    """Download a file or directory from the artifacts of an MLflow run.

    Args:
        run_id: Id of the run.
        artifact_path: Path of the file or directory below the run's artifacts.
        destination_path: Directory to put it in, which is made if need be; None for a new one of its own.

    Returns:
        Path of the downloaded file or directory.
    """
    import mlflow

    if destination_path is not None:
        os.makedirs(destination_path, exist_ok=True)
        destination_path = os.fspath(destination_path)
    downloaded: str = mlflow.artifacts.download_artifacts(
        run_id=run_id, artifact_path=artifact_path, dst_path=destination_path
    )
    LOGGER.info("Artifact %s of run %s is now %s", artifact_path, run_id, downloaded)
    return downloaded


@pyplugs.register
def upload_data_frame_artifact(
    data_frame: pd.DataFrame,
    file_name: str,
    file_format: str,
    file_format_kwargs: dict[str, Any] | None = None,
    working_dir: str | os.PathLike[str] | None = None,
) -> None:
    """Write a data frame to a file, and log the file with the active MLflow run.

    Args:
        data_frame: The table.
        file_name: Name of the file; the extension of the format is put on it, or in the place of another.
        file_format: "csv", "csv.bz2", "csv.gz", "csv.xz", "feather" (needs pyarrow), "json" or "pickle".
        file_format_kwargs: Further arguments of the data frame's `to_csv`, `to_feather`, `to_json` or `to_pickle`.
        working_dir: Directory of the file; None for the current one.

    Raises:
        UnsupportedDataFrameFileFormatError: `file_format` is none of these.
    """
    try:
        method, extension = DATA_FRAME_FORMATS[file_format]
    except KeyError:
        known = ", ".join(DATA_FRAME_FORMATS)
        raise UnsupportedDataFrameFileFormatError(
            f"cannot write a data frame as {file_format!r}; the formats are {known}"
        ) from None
    path = set_path_ext(filepath=_directory(working_dir) / Path(file_name).name, ext=extension)
    getattr(data_frame, method)(path, **(file_format_kwargs or {}))
    upload_file_as_artifact(artifact_path=path)


@pyplugs.register
def upload_directory_as_tarball_artifact(
    source_dir: str | os.PathLike[str],
    tarball_filename: str,
    tarball_write_mode: str = "w:gz",
    working_dir: str | os.PathLike[str] | None = None,
) -> None:
    """Pack a directory into a tar archive, and log the archive with the active MLflow run.

    The archive is one that `artifacts.utils.extract_tarfile` takes. A symbolic link that leads to a place in the
    directory stays a link, by a relative path. In the place of one that leads to a file elsewhere is that file. What
    else leads out or nowhere, and what is neither a file nor a directory, is left out with a warning.

    Args:
        source_dir: The directory, or a link to it; its name as given is the first part of every name in the archive.
        tarball_filename: Name of the archive.
        tarball_write_mode: Mode of `tarfile.open`: "w", "w:gz", "w:bz2" or "w:xz", or "x" instead of "w".
        working_dir: Directory of the archive; None for the current one.
    """
    source = Path(source_dir)
    name = source.name if source.name not in {"", ".."} else source.resolve().name
    root = os.path.realpath(source)
    path = _directory(working_dir) / tarball_filename
    with tarfile.open(path, tarball_write_mode) as archive:  # type: ignore[call-overload]  # the mode is a plain string

        def packed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            return _packed(archive, member, root, str(PurePosixPath(member.name).relative_to(name)))

        archive.add(root, arcname=name, filter=packed)
    upload_file_as_artifact(artifact_path=path)


@pyplugs.register
def upload_file_as_artifact(artifact_path: str | os.PathLike[str]) -> None:
    """Log a file of this machine with the active MLflow run, at the top of its artifacts."""
    import mlflow

    mlflow.log_artifact(os.fspath(artifact_path))
    LOGGER.info("Artifact %s logged", os.path.basename(artifact_path))


def _packed(
    archive: tarfile.TarFile, member: tarfile.TarInfo, root: str, relative: str
) -> tarfile.TarInfo | None:
    """Return what stands in an archive for a file of a directory, or None for nothing.

    Args:
        archive: The archive that is written.
        member: What tarfile would put into it.
        root: The directory, a real path.
        relative: Path of the file below it.
    """
    path = os.path.join(root, relative)
    target = os.path.realpath(path) if member.issym() else path
    if target == os.path.realpath(os.fspath(archive.name or "")):
        return None  # the archive lies in the directory that it is made of
    if member.issym():
        if os.path.commonpath([root, target]) == root:
            member.linkname = os.path.relpath(target, os.path.dirname(path))
            return member
        if os.path.isfile(target):
            # Of what is a file, tarfile takes the content from `path`, and so through the link.
            with open(target, "rb") as file:
                return archive.gettarinfo(arcname=member.name, fileobj=file)
        LOGGER.warning("%s is left out of the archive: the link leads out, to %s", path, target)
        return None
    if not (member.isreg() or member.isdir() or member.islnk()):
        LOGGER.warning("%s is left out of the archive: it is neither a file nor a directory", path)
        return None
    return member


def _directory(working_dir: str | os.PathLike[str] | None) -> Path:
    return Path.cwd() if working_dir is None else Path(working_dir)
