"""A local project as it was at a git commit, in a work tree of its own: the user's repository stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from dioptra_cli.errors import Problem, ProjectError, UsageError
from dioptra_cli.execution import environment
from dioptra_cli.execution.projects.cache import Place, settle
from dioptra_cli.execution.projects.git import Git, GitError, check_out, check_version
from dioptra_cli.execution.source import Source, git, read_source
from dioptra_cli.parameters.secrets import without_credentials


@dataclass(frozen=True)
class Revision:
    """A project at a commit.

    Attributes:
        directory: The project within the work tree of the commit.
        source: The state of that work tree, the commit and what earlier runs have changed in it; its root is that of
            the repository of the user.
    """

    directory: str
    source: Source | None


def unpack(directory: str, version: str, into: str, note: Callable[[str], None]) -> Revision:
    """Check out the commit that `version` names, once per commit.

    The work tree borrows the objects of the user's repository, which is only read. It has all files of the commit,
    also those with the attribute `export-ignore`.

    Args:
        directory: The project, in a git work tree.
        version: A commit, branch or tag.
        into: Where such work trees are kept. What a script writes to its project directory stays there.
        note: Called with what takes time.

    Raises:
        UsageError: The project is in no git work tree, or there is no such commit.
        ProjectError: The project does not exist at that commit, or git cannot check it out.
    """
    check_version(version)
    root = git(directory, "rev-parse", "--show-toplevel")
    if not root:
        raise UsageError(
            Problem("no-work-tree", f"--version {version}: '{directory}' is not in a git work tree")
        )
    commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{version}^{{commit}}")
    if not commit:
        raise UsageError(
            Problem(
                "no-such-commit",
                f"--version {version}: there is no such commit, branch or tag in {root}",
                hint="fetch it first: dioptra does not change your repository",
            )
        )
    try:
        tree = _tree(root, commit, into, note)
    except GitError as error:
        raise ProjectError(
            Problem(error.kind, f"cannot check out commit {commit[:12]} of {root}: {error}", hint=error.hint)
        ) from error
    except OSError as error:
        raise ProjectError(
            Problem(
                "cache-unusable",
                f"cannot check out commit {commit[:12]} of {root} in {into}: {error.strerror}",
            )
        ) from error
    inside = os.path.relpath(os.path.realpath(directory), os.path.realpath(root))
    project = os.path.normpath(os.path.join(tree, inside))
    if not os.path.isdir(project):
        raise ProjectError(
            Problem("no-such-project", f"'{inside}' does not exist in commit {commit[:12]} of {root}")
        )
    source = read_source(project)
    return Revision(project, source and replace(source, root=root))


def _tree(root: str, commit: str, into: str, note: Callable[[str], None]) -> str:
    objects = os.path.join(root, git(root, "rev-parse", "--git-path", "objects") or "")
    place = Place(into, "trees", f"{os.path.basename(root)}-{commit[:12]}", f"{objects} {commit}")
    if not os.path.isdir(place.directory):
        url = git(root, "config", "--get", "remote.origin.url") or ""
        origin = without_credentials(url, mask="")
        with place.locked(note, f"checking out commit {commit[:12]} of {root}") as aside:
            if not os.path.isdir(place.directory):  # another process may have been faster
                made = os.path.join(aside, "tree")
                check_out(
                    Git(environment.snapshot(), url, origin),
                    os.path.realpath(objects),
                    commit,
                    made,
                    origin=origin or None,
                    upstream=root,
                    is_partial=git(root, "config", "--get", "remote.origin.promisor") == "true",
                )
                settle(made, place.directory)
    return place.directory
