"""What version control says of a project: the commit, local changes, the repository. Reads; changes nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from dioptra_cli.execution.process import capture

_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_LONGEST_DIFF = 5_000_000
_SECONDS = 20.0


@dataclass(frozen=True)
class Source:
    """The state of the git work tree that a project lies in.

    Attributes:
        root: The top of the work tree.
        commit: The full commit id; None before the first commit.
        dirty: Whether tracked files differ from the commit, or untracked ones lie in the project.
        diff: The difference of the tracked files from the commit.
        repository: The URL of `origin`, without credentials.
    """

    root: str
    commit: str | None
    dirty: bool
    diff: str
    repository: str | None


def read_source(directory: str) -> Source | None:
    """Return the state of the work tree around `directory`, None where there is no git or no work tree."""
    root = git(directory, "rev-parse", "--show-toplevel")
    if not root:
        return None
    commit = git(directory, "rev-parse", "--verify", "--quiet", "HEAD")
    status = git(directory, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    diff = (git(directory, "diff", "--no-ext-diff", "--no-color", "HEAD") or "") if commit and status else ""
    url = git(directory, "config", "--get", "remote.origin.url")
    return Source(
        root,
        commit,
        bool(status),
        diff if len(diff) <= _LONGEST_DIFF else "",
        _PASSWORD.sub("", url) if url else None,
    )


def source_name(directory: str, source: Source | None) -> str:
    """Return what MLflow names as the source of a run of the project in `directory`.

    A directory in a work tree is a `file://` URI with the place in the tree as its fragment, any other is a path.
    """
    if source is None:
        return directory
    inside = os.path.relpath(os.path.realpath(directory), os.path.realpath(source.root))
    return f"file://{source.root}" + ("" if inside == "." else f"#{inside}")


def git(directory: str, *arguments: str) -> str | None:
    """Return what git prints, without the last newline; None where it is not there, or fails, or prints nothing."""
    captured = capture(["git", "-C", directory, *arguments], timeout=_SECONDS)
    if captured is None or captured.returncode != 0:
        return None
    return os.fsdecode(captured.stdout).removesuffix("\n") or None
