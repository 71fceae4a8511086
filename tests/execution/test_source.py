"""What git says of a project, with real repositories."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra_cli.execution import source as module
from dioptra_cli.execution.source import Source, git, read_source, source_name

IDENTITY = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "protocol.file.allow=always")


def run(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=directory, check=True, capture_output=True, timeout=60
    )
    return os.fsdecode(done.stdout).strip()


def read(directory: Path) -> Source:
    found = read_source(str(directory))
    assert found is not None
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree with one commit: a project in a directory of it, and a library beside that."""
    root = tmp_path / "tree"
    (root / "project").mkdir(parents=True)
    (root / "project" / "train.py").write_text("one\n")
    (root / "library.py").write_text("lib\n")
    (root / "model.bin").write_bytes(bytes(range(256)))
    (root / ".gitignore").write_text("*.log\n")
    run(root, "init", "-q", "-b", "main")
    run(root, "add", ".")
    run(root, "commit", "-q", "-m", "first")
    return root


def test_a_clean_tree(tree: Path) -> None:
    run(tree, "remote", "add", "origin", "https://user:hidden@example.org/a.git")
    (tree / "project" / "run.log").touch()
    (tree / "elsewhere.txt").touch()
    project = tree / "project"
    commit = run(tree, "rev-parse", "HEAD")
    expected = Source(str(tree), commit, False, "", "https://example.org/a.git", branch="main")
    assert read(project) == expected
    assert source_name(str(project), expected.root) == f"file://{tree}#project"
    assert git(str(project), "rev-parse", "main") == commit
    assert git(str(project), "rev-parse", "--verify", "none") is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:a.git", "git@example.org:a.git"),
        ("ssh://git:password@example.org/a.git", "ssh://git@example.org/a.git"),
        ("https://sometoken@example.org/a.git", "https://example.org/a.git"),
    ],
)
def test_the_url_can_still_be_cloned(tree: Path, url: str, shown: str) -> None:
    run(tree, "remote", "add", "origin", url)
    assert read(tree).repository == shown


def test_a_patch_that_can_be_applied_whatever_the_user_has_configured(tree: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "clone", "-q", str(tree), str(clone))
    odd = os.fsdecode(b'sp ace "quoted"\n\xff.py')
    (tree / odd).write_text("a\n")
    (tree / "project" / "new.py").write_text("new\n")
    run(tree, "add", ".")
    (tree / "project" / "train.py").write_bytes(b"one\r\ntwo\xff")
    (tree / "model.bin").write_bytes(bytes(reversed(range(256))))
    (tree / "library.py").unlink()
    marker = tmp_path / "started"
    for name, value in {
        "diff.noprefix": "true",
        "diff.external": f"touch {marker};",
        "diff.x.textconv": f"touch {marker}; cat",
        "core.fsmonitor": f"touch {marker};",
        "core.pager": f"touch {marker}; cat",
        "color.ui": "always",
        "diff.relative": "true",
        "diff.context": "0",
        "status.showUntrackedFiles": "no",
        "status.branch": "false",
    }.items():
        run(tree, "config", name, value)
    (tree / ".git" / "info" / "attributes").write_text("*.py diff=x\n")
    index = (tree / ".git" / "index").read_bytes()
    found = read(tree / "project")
    assert (found.dirty, found.diff_omitted, found.missing) == (True, None, ())
    assert (tree / ".git" / "index").read_bytes() == index
    assert not marker.exists()
    patch = (found.diff + "\n").encode("utf-8", "surrogateescape")
    subprocess.run(["git", "apply", "--index", "-"], cwd=clone, input=patch, check=True, timeout=60)
    for name in (odd, "project/new.py", "project/train.py", "model.bin"):
        assert (clone / name).read_bytes() == (tree / name).read_bytes()
    assert not (clone / "library.py").exists()


def test_untracked_files_are_named_those_nearest_to_the_top_first(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = os.fsdecode(b'a "b"\nc\xff.py')
    names = ["project/z.py", f"project/{odd}", *(f"project/data/deep/{n}" for n in range(5))]
    for name in [*names, "project/ignored.log", "outside.py"]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    found = read(tree / "project")
    assert found.untracked == (f"project/{odd}", "project/z.py", *names[2:])
    assert (found.dirty, found.diff, found.untracked_omitted) == (True, "", 0)
    monkeypatch.setattr(module, "MOST_UNTRACKED", 3)
    found = read(tree / "project")
    assert (len(found.untracked), found.untracked_omitted) == (3, 4)


def test_a_diff_that_is_too_long_is_left_out_whole(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "library.py").write_text("a line\n" * 100)
    size = len(read(tree).diff) + 1
    assert size > 700
    monkeypatch.setattr(module, "LONGEST_DIFF", 600)
    found = read(tree)
    assert (found.dirty, found.diff, found.diff_omitted) == (True, "", size)


def test_submodules_say_how_they_differ(tree: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    shutil.copytree(tree, inner)
    for name in ("same", "moved", "changed"):
        run(tree, "submodule", "--quiet", "add", str(inner), name)
    run(tree, "commit", "-q", "-m", "submodules")
    assert read(tree).dirty is False
    (tree / "changed" / "library.py").write_text("x\n")
    (tree / "changed" / "new.py").touch()
    run(tree / "moved", "commit", "-q", "--allow-empty", "-m", "second")
    found = read(tree)
    assert found.submodules == ("changed: modified files, untracked files", "moved: other commit")
    assert found.dirty
    assert "-dirty" not in found.diff
    assert run(tree / "moved", "rev-parse", "HEAD") in found.diff


def _detached(root: Path) -> None:
    run(root, "checkout", "-q", "--detach")


def _without_commit(root: Path) -> None:
    shutil.rmtree(root / ".git")
    run(root, "init", "-q", "-b", "main")


def _broken_head(root: Path) -> None:
    (root / ".git" / "refs" / "heads" / "main").write_text("1" * 40 + "\n")


def _no_repository(root: Path) -> None:
    (root / ".git" / "HEAD").write_text("nonsense")


def _bare(root: Path) -> None:
    run(root, "config", "core.bare", "true")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_detached, {"branch": None, "dirty": False, "missing": ()}),
        (_without_commit, {"commit": None, "branch": "main", "dirty": True, "diff": ""}),
        (_broken_head, {"dirty": None, "missing": ("the state of the work tree: fatal: bad object HEAD",)}),
        (_no_repository, None),
        (_bare, None),
    ],
)
def test_repositories_in_a_state(
    tree: Path, damage: Callable[[Path], None], expected: dict[str, object] | None
) -> None:
    damage(tree)
    found = read_source(str(tree))
    assert (found and {name: getattr(found, name) for name in expected or {}}) == expected


def test_a_repository_of_another_user_is_none_of_ours(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_source(str(tree / ".git")) is None
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert read_source(str(tree)) is None


def test_within_a_hook_it_is_still_the_repository_of_the_project(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tree, other)
    run(other, "commit", "-q", "--allow-empty", "-m", "second")
    expected = read(tree)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/none")
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(other / ".git" / "objects"))
    assert read(tree) == expected
    assert git(str(tree), "cat-file", "-t", run(other, "rev-parse", "HEAD")) is None


def test_git_that_takes_too_long_delays_nothing_and_is_told(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = read(tree).commit
    real = shutil.which("git")
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ncase "$*" in *" status "*) exec sleep 60;; *) exec {real} "$@";; esac\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=os.pathsep)
    found = read_source(str(tree), seconds=1.0)
    assert found is not None
    assert (found.commit, found.dirty) == (commit, None)
    assert found.missing == ("the state of the work tree: git gave no answer within 1 s",)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_source(str(tree)) is None
