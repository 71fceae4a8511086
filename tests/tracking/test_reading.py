"""Artifacts that lie on this machine: they get there as MLflow's own client brings them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dioptra_cli.errors import TrackingError
from dioptra_cli.tracking.reading import copy_local


def tree(directory: Path) -> dict[str, tuple[str, int, int, bytes]]:
    """Return what there is below a directory: kind, permissions, time of change and content by path."""
    found = {}
    for path in sorted(directory.rglob("*")):
        state = path.lstat()
        kind = "directory" if path.is_dir() else "link" if path.is_symlink() else "file"
        is_file = kind == "file"
        found[str(path.relative_to(directory))] = (
            kind,
            stat.S_IMODE(state.st_mode),
            state.st_mtime_ns if is_file else 0,
            path.read_bytes() if is_file else b"",
        )
    return found


def test_files_are_copied_as_mlflow_does(tmp_path: Path) -> None:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    source = tmp_path / "source"
    (source / "in" / "deep").mkdir(parents=True)
    (source / "empty").mkdir(mode=0o700)
    (source / "in" / "deep" / "é #%.txt").write_text("text")
    (source / "script").write_text("#!/bin/sh\n")
    (source / "script").chmod(0o740)
    os.utime(source / "script", ns=(10**18, 10**18 + 7))
    (source / "link").symlink_to("script")
    (source / "away").symlink_to("in", target_is_directory=True)
    ours, theirs = tmp_path / "our s", tmp_path / "their s"
    repository = LocalArtifactRepository(theirs.as_uri())
    for content in ("first", "second"):
        (source / "over").write_text(content)
        copy_local(str(source), ours.as_uri())
        repository.log_artifacts(str(source))  # type: ignore[no-untyped-call]
    assert tree(ours) == tree(theirs)
    assert (ours / "over").read_text() == "second"
    copy_local(str(source), str(tmp_path / "a path"))
    assert tree(tmp_path / "a path") == tree(theirs)


def test_a_file_is_copied_whole_or_not_at_all(
    tmp_path: Path, small_files: Callable[[int | None], AbstractContextManager[None]]
) -> None:
    source, there = tmp_path / "source", tmp_path / "there"
    source.mkdir()
    (source / "a").write_text("old")
    copy_local(str(source), str(there))
    (source / "a").write_bytes(b"x" * 100_000)
    with small_files(50_000), pytest.raises(TrackingError, match=r"cannot copy .*/source/a to .*: File too"):
        copy_local(str(source), str(there))
    assert os.listdir(there) == ["a"]
    assert (there / "a").read_text() == "old"
    (source / "a").unlink()
    (source / "dangling").symlink_to("nowhere")
    for place, message in (
        (there, "source/dangling to .*: No such file"),
        (there / "a", "source to .*/there/a"),
    ):
        with pytest.raises(TrackingError, match=message) as caught:
            copy_local(str(source), str(place))
        assert not caught.value.retryable
