"""A local project at a commit; the user's repository stays as it is, to the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.errors import ProjectError, UsageError
from dioptra_cli.execution.projects.revision import unpack

Make = Callable[..., Any]


def everything(directory: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in directory.rglob("*")
    }


def test_the_commit_with_all_its_files(repository: Make, tmp_path: Path) -> None:
    origin = repository()
    (origin.path / ".gitattributes").write_text("data export-ignore\n")
    first = origin.commit("first", data="d", sub__MLproject="name: old\n")
    origin.git("tag", "v1")
    origin.commit("second", sub__MLproject="name: new\n")
    (origin.path / "sub" / "MLproject").write_text("name: newer\n")
    before = everything(origin.path)
    found = unpack(str(origin.path / "sub"), "v1", str(tmp_path / "trees"), print)
    assert Path(found.directory, "MLproject").read_text() == "name: old\n"
    assert Path(found.directory, "..", "data").read_text() == "d"
    assert found.source is not None
    assert (found.source.commit, found.source.dirty, found.source.repository) == (first, False, None)
    assert found.source.root == str(origin.path)
    assert everything(origin.path) == before

    Path(found.directory, "MLproject").write_text("name: written\n")
    origin.git("remote", "add", "origin", "https://me:planted@host/x")
    again = unpack(str(origin.path / "sub"), first[:10], str(tmp_path / "trees"), print)
    assert again.directory == found.directory
    assert again.source is not None
    assert again.source.dirty
    fresh = unpack(str(origin.path), "v1~1", str(tmp_path / "trees"), print)
    assert fresh.source is not None
    assert fresh.source.repository == "https://host/x"
    assert not [p for p in (tmp_path / "trees").rglob("*") if p.is_file() and b"planted" in p.read_bytes()]


def test_a_linked_work_tree_that_borrows_objects(repository: Make, tmp_path: Path) -> None:
    origin = repository()
    origin.git("clone", "--quiet", "--shared", ".", str(tmp_path / "shared"))
    origin.git("-C", str(tmp_path / "shared"), "worktree", "add", "--quiet", str(tmp_path / "linked"))
    found = unpack(str(tmp_path / "linked"), "HEAD", str(tmp_path / "trees"), print)
    assert Path(found.directory, "MLproject").exists()


def test_a_partial_clone_and_submodules(repository: Make, tmp_path: Path) -> None:
    inner, origin = repository("inner"), repository()
    origin.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", inner.url, "lib")
    origin.commit("first", data="old")
    origin.commit("second", data="new")
    origin.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    origin.git("clone", "--quiet", "--filter=blob:none", origin.url, str(clone))
    before = everything(clone)
    found = unpack(str(clone), "main~1", str(tmp_path / "trees"), print)
    assert Path(found.directory, "data").read_text() == "old"
    assert Path(found.directory, "lib", "MLproject").exists()
    assert everything(clone) == before


def test_errors(repository: Make, tmp_path: Path) -> None:
    origin, into = repository(), str(tmp_path / "trees")
    (origin.path / "new").mkdir()
    for directory, version, error, reason in (
        (origin.path, "nothing", UsageError, "no such commit, branch or tag"),
        (origin.path, "--all", UsageError, "not the name"),
        (tmp_path, "main", UsageError, "not in a git work tree"),
        (origin.path / "new", "main", ProjectError, "'new' does not exist in commit"),
    ):
        with pytest.raises(error, match=reason):
            unpack(str(directory), version, into, print)
