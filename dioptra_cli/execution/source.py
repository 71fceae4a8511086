"""What version control says of a project: the commit, local changes, the repository. Reads; changes nothing.

Takes no locks, starts no pager, no external diff and no file-system monitor, and is not swayed by what the user has
configured about how git shows things. Of a work tree that git cannot read in time, it says what is missing.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dioptra_cli.execution import environment
from dioptra_cli.execution.process import Captured, capture
from dioptra_cli.parameters.secrets import without_credentials

LONGEST_DIFF = 5_000_000
"""Bytes. A longer diff is left out: half of one cannot be applied."""
MOST_UNTRACKED = 100
"""So many untracked files are named."""
SECONDS = 5.0
"""How long all of git's answers together may take."""

_OF_ANOTHER_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_TEMPLATE_DIR", "GIT_DIFF_OPTS"),
)
"""Variables that a git hook sets, which would make every directory look like that hook's repository, and others that
change what a repository is or how its differences look."""
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",  # a partial clone would ask its server for the files of a diff
    "GIT_TERMINAL_PROMPT": "0",
}
_SETTINGS = {
    "core.fsmonitor": "false",  # a program that the repository's own settings may name
    "core.quotePath": "true",
    "diff.autoRefreshIndex": "true",
    "diff.suppressBlankEmpty": "false",
}
"""What no option says."""
_STATUS = (
    *("status", "--porcelain=v2", "--branch", "-z", "--no-ahead-behind", "--no-renames"),
    *("--untracked-files=all", "--ignored=no", "--ignore-submodules=none"),
)
_DIFF = (
    *("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--no-color-moved"),
    *("--no-renames", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3"),
    *("--inter-hunk-context=0", "--diff-algorithm=myers", "--ws-error-highlight=none", "-O/dev/null"),
    # What is changed within a submodule is no part of a patch that can be applied.
    *("--submodule=short", "--ignore-submodules=dirty"),
)


@dataclass(frozen=True)
class Source:
    """The state of the git work tree that a project lies in. Names are relative to its top.

    Attributes:
        root: The top of the work tree.
        commit: The full commit id; None before the first commit.
        dirty: Whether tracked files differ from the commit, or untracked ones lie in the project; None where
            git did not say in time.
        diff: The difference of the tracked files from the commit, for `git apply`; empty where there is none.
        repository: The URL of `origin`, without credentials.
        branch: The branch; None on a detached HEAD.
        untracked: Files in the project that are neither tracked nor ignored, those nearest to the top first, at
            most `MOST_UNTRACKED`.
        untracked_omitted: How many more there are.
        diff_omitted: The bytes of a diff that was too long to be kept.
        submodules: Those that are not as the commit has them, each with how: `lib: other commit`.
        missing: What git did not tell, in words.
    """

    root: str
    commit: str | None
    dirty: bool | None
    diff: str
    repository: str | None
    branch: str | None = None
    untracked: tuple[str, ...] = ()
    untracked_omitted: int = 0
    diff_omitted: int | None = None
    submodules: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class _Status(NamedTuple):
    """What `git status` says: see `Source`. `changed` is whether tracked files are."""

    branch: str | None
    changed: bool
    untracked: list[str]
    submodules: list[str]


def read_source(directory: str, *, seconds: float = SECONDS) -> Source | None:
    """Return the state of the work tree around `directory`, in not much more than `seconds`.

    Returns:
        None where there is no git, no work tree, or one that git refuses to read, such as another user's.
    """
    deadline = time.monotonic() + seconds

    def ask(*arguments: str) -> Captured | None:
        return _git(directory, arguments, max(deadline - time.monotonic(), 0.01))

    found = ask("rev-parse", "--show-toplevel", "--verify", "--quiet", "HEAD")
    if found is None or not found.stdout:
        return None
    lines = _text(found.stdout).removesuffix("\n")
    root, commit = lines, None
    if found.returncode == 0:  # the name of a directory may have lines, a commit has not
        root, _, commit = lines.rpartition("\n")
    url = ask("config", "--get", "remote.origin.url")
    source = Source(root, commit, None, "", _repository(url))
    answer = ask(*_STATUS)
    if answer is None or answer.returncode != 0:
        return replace(source, missing=(f"the state of the work tree: {_why_not(answer, seconds)}",))
    status = _read_status(answer.stdout)
    inside = _inside(directory, root)
    untracked = sorted(
        (name for name in status.untracked if inside == "." or name.startswith(f"{inside}/")),
        key=lambda name: (name.count("/"), name),
    )
    source = replace(
        source,
        branch=status.branch,
        dirty=status.changed or bool(untracked),
        untracked=tuple(untracked[:MOST_UNTRACKED]),
        untracked_omitted=max(len(untracked) - MOST_UNTRACKED, 0),
        submodules=tuple(status.submodules),
    )
    if commit is None or not status.changed:
        return source
    try:
        # Into a file: it may be larger than what memory should hold.
        with tempfile.TemporaryDirectory(prefix="dioptra-") as scratch:
            file = os.path.join(scratch, "git.diff")
            answer = ask(*_DIFF, f"--output={file}", commit)
            if answer is None or answer.returncode != 0:
                return replace(source, missing=(f"the diff: {_why_not(answer, seconds)}",))
            size = os.path.getsize(file)
            if size > LONGEST_DIFF:
                return replace(source, diff_omitted=size)
            with open(file, "rb") as stream:
                return replace(source, diff=_text(stream.read()).removesuffix("\n"))
    except OSError as error:
        return replace(source, missing=(f"the diff: {error.strerror}",))


def source_name(directory: str, root: str | None) -> str:
    """Return what MLflow names as the source of a run of the project in `directory`.

    Args:
        directory: Absolute.
        root: The top of the work tree that it lies in; None if it lies in none.

    Returns:
        A `file://` URI with the place in the tree as its fragment; without a tree, the directory.
    """
    if root is None:
        return directory
    inside = _inside(directory, root)
    return f"file://{root}" + ("" if inside == "." else f"#{inside}")


def git(directory: str, *arguments: str) -> str | None:
    """Return what git prints, without the last newline; None where it is not there, or fails, or prints nothing."""
    answer = _git(directory, arguments, SECONDS)
    if answer is None or answer.returncode != 0:
        return None
    return _text(answer.stdout).removesuffix("\n") or None


def run_git(
    arguments: Sequence[str], settings: Mapping[str, str], environ: Mapping[str, str], timeout: float
) -> Captured | None:
    """Run git with settings that win over all others, as if no other repository were at work.

    Returns:
        None when there is no answer: it cannot be started, or takes longer than `timeout` (seconds).
    """
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return capture(
        ["git", "--no-pager", *words, *arguments],
        env={name: value for name, value in environ.items() if name not in _OF_ANOTHER_REPOSITORY},
        timeout=timeout,
    )


def _git(directory: str, arguments: Sequence[str], timeout: float) -> Captured | None:
    environ = {**environment.snapshot(), **_ENVIRONMENT}
    return run_git(("-C", directory, *arguments), _SETTINGS, environ, timeout)


def _read_status(output: bytes) -> _Status:
    """Read `git status --porcelain=v2 -z`: https://git-scm.com/docs/git-status#_porcelain_format_version_2."""
    branch, changed = None, False
    untracked: list[str] = []
    submodules: list[str] = []
    for entry in _text(output).split("\0"):
        kind, _, rest = entry.partition(" ")
        if kind == "#":
            key, _, value = rest.partition(" ")
            if key == "branch.head" and value != "(detached)":
                branch = value
        elif kind == "?":
            untracked.append(rest)
        elif kind in ("1", "u"):
            changed = True
            *fields, name = rest.split(" ", 7 if kind == "1" else 9)
            if fields[1].startswith("S"):
                submodules.append(f"{name}: {', '.join(_of_submodule(fields[0], fields[1]))}")
    return _Status(branch, changed, untracked, submodules)


def _of_submodule(change: str, state: str) -> Iterable[str]:
    """Yield how a submodule differs from the commit around it, from the fields `XY` and `SCMU` of git's status."""
    if state[1] == "C" or change[0] != ".":
        yield "other commit"
    if state[2] == "M":
        yield "modified files"
    if state[3] == "U":
        yield "untracked files"


def _why_not(answer: Captured | None, seconds: float) -> str:
    if answer is None:
        return f"git gave no answer within {seconds:g} s"
    lines = _text(answer.stderr).strip().splitlines()
    return lines[-1] if lines else "git failed"


def _repository(url: Captured | None) -> str | None:
    """Return the URL that git printed, without credentials, so that it can still be cloned."""
    return without_credentials(_text(url.stdout).strip(), mask="") or None if url else None


def _inside(directory: str, root: str) -> str:
    return os.path.relpath(os.path.realpath(directory), os.path.realpath(root))


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
