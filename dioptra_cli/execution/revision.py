"""A project as it was at a git commit, unpacked beside the user's work tree, which stays as it is."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, replace

from dioptra_cli.errors import Problem, ProjectError, UsageError
from dioptra_cli.execution.process import capture
from dioptra_cli.execution.source import Source, git, read_source

_SECONDS = 600.0


@dataclass(frozen=True)
class Revision:
    """A project at a commit.

    Attributes:
        directory: The project within the unpacked commit.
        source: What is recorded of it: the commit, unmodified.
    """

    directory: str
    source: Source


def unpack(directory: str, version: str, into: str) -> Revision:
    """Unpack the commit that `version` names, once per commit.

    Args:
        directory: The project, in a git work tree.
        version: A commit, branch or tag.
        into: Where unpacked commits are kept. What a script writes to its project directory stays there.

    Raises:
        UsageError: The project is in no git work tree, or there is no such commit.
        ProjectError: The project does not exist at that commit, or git cannot unpack it.
    """
    source = read_source(directory)
    if source is None:
        raise UsageError(
            Problem("no-work-tree", f"--version {version}: '{directory}' is not in a git work tree")
        )
    commit = git(source.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{version}^{{commit}}")
    if not commit:
        raise UsageError(
            Problem(
                "no-such-commit",
                f"--version {version}: there is no such commit, branch or tag in {source.root}",
                hint="fetch it first: dioptra does not change your repository",
            )
        )
    target = os.path.join(into, f"{os.path.basename(source.root)}-{commit[:16]}")
    if not os.path.isdir(target):
        _unpack(source.root, commit, target)
    inside = os.path.relpath(os.path.realpath(directory), os.path.realpath(source.root))
    project = os.path.normpath(os.path.join(target, inside))
    if not os.path.isdir(project):
        raise ProjectError(
            Problem("no-such-project", f"'{inside}' does not exist in commit {commit[:12]} of {source.root}")
        )
    return Revision(project, replace(source, commit=commit, dirty=False, diff=""))


def _unpack(root: str, commit: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    aside = tempfile.mkdtemp(prefix=".aside-", dir=os.path.dirname(target))
    try:
        archive = os.path.join(aside, "archive.tar")
        done = capture(
            ["git", "-C", root, "archive", "--format=tar", "-o", archive, commit], timeout=_SECONDS
        )
        if done is None or done.returncode != 0:
            reason = os.fsdecode(done.stderr).strip() if done else "git gave no answer"
            raise ProjectError(
                Problem("no-archive", f"cannot unpack commit {commit[:12]} of {root}: {reason}")
            )
        tree = os.path.join(aside, "tree")
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "tar_filter"):
                tar.extractall(tree, filter="tar")
            else:
                tar.extractall(tree)
        try:
            os.rename(tree, target)
        except OSError:
            if not os.path.isdir(target):  # another process was faster
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
