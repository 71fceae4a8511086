"""A project in a git repository elsewhere: one clone per URL in the cache, and one work tree per commit."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from dioptra_cli.errors import Problem, ProjectError, UsageError, did_you_mean
from dioptra_cli.execution.projects.addresses import Address
from dioptra_cli.execution.projects.cache import Place, settle
from dioptra_cli.execution.projects.git import SLOW_SECONDS, Git, GitError, check_out, check_version

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HEAD = "HEAD"
_FEW = 5
_KEPT = "refs/dioptra"
"""Where the clone keeps what no branch or tag of it holds, and the commits that work trees borrow."""


def fetch_tree(
    address: Address,
    version: str | None,
    *,
    cache: str,
    base: Mapping[str, str],
    note: Callable[[str], None],
) -> str:
    """Return the work tree of a commit, fetched if the cache does not have it.

    The repository is asked each time what a branch or a tag means; for a full commit id that is in the cache, nobody
    is asked. What a script writes to its project directory stays in the work tree.

    Args:
        address: Where the repository is.
        version: A branch, a tag, a commit, `refs/…`, or an expression such as `main~1`; None
            for what `HEAD` means there.
        cache: The directory of all fetched projects.
        base: The environment of this process.
        note: Called with what takes time.

    Raises:
        UsageError: There is no such version.
        ProjectError: The repository cannot be fetched.
        OSError: The cache cannot be written.
    """
    if version is not None:
        check_version(version)
    return _Clone(address, cache, base, note).tree(version)


class _Clone:
    def __init__(
        self, address: Address, cache: str, base: Mapping[str, str], note: Callable[[str], None]
    ) -> None:
        self._url, self._note = address.shown, note
        self._git = Git(base, address.location, address.shown)
        name = address.shown.partition("?")[0].rstrip("/").removesuffix(".git")
        self._place = Place(cache, "git", re.split(r"[/:]", name)[-1], f"git {address.shown}")
        self._repository = os.path.join(self._place.directory, "repository")

    def tree(self, version: str | None) -> str:
        """Return the work tree of a version."""
        commit = version if version and _COMMIT.fullmatch(version) else None
        refs: dict[str, str] = {}
        if commit is None or not self._has(commit):
            refs = self._refs(version)
            commit = _meant(refs, version, self._url)
        if commit is not None and os.path.isdir(self._tree_of(commit)):
            return self._tree_of(commit)
        with self._place.locked(self._note, f"fetching {self._url}") as aside:
            if commit is None or not self._has(commit):
                commit = self._fetched(refs, version, commit, aside)
            tree = self._tree_of(commit)
            if not os.path.isdir(tree):
                self._make_tree(commit, aside, tree)
        return tree

    def _tree_of(self, commit: str) -> str:
        return os.path.join(self._place.directory, "trees", commit)

    def _has(self, commit: str) -> bool:
        return os.path.isdir(self._repository) and self._git.has_commit(self._repository, commit)

    def _refs(self, version: str | None) -> dict[str, str]:
        """Ask the repository for its branches and tags: the commit of each by its full name."""
        try:
            lines = self._git("ls-remote", "--quiet", "--", self._url).splitlines()
        except GitError as error:
            known = os.path.isdir(self._repository) and self._git.find_commit(
                self._repository, version or f"{_KEPT}/{_HEAD}"
            )
            hint = f"the cache has it as of the last time: run that with -v {known}" if known else error.hint
            raise ProjectError(
                Problem(error.kind, f"cannot fetch {self._url}: {error}", hint=hint)
            ) from error
        refs: dict[str, str] = {}
        for line in lines:
            commit, _, name = line.partition("\t")
            # The commit of an annotated tag follows the tag itself.
            refs[name.removesuffix("^{}")] = commit
        return refs

    def _fetched(self, refs: Mapping[str, str], version: str | None, commit: str | None, aside: str) -> str:
        """Bring the clone up to date, or make it; return the commit of the version."""
        self._note(f"fetching {self._url}")
        try:
            if os.path.isdir(self._repository):
                _remove_locks(self._repository)
                self._fetch(refs, version, self._repository)
            else:
                made = os.path.join(aside, "repository")
                form = "sha256" if any(len(commit) == 64 for commit in refs.values()) else "sha1"
                self._git("init", "--quiet", "--bare", "--template=", f"--object-format={form}", "--", made)
                self._fetch(refs, version, made)
                settle(made, self._repository)
        except GitError as error:
            raise ProjectError(
                Problem(error.kind, f"cannot fetch {self._url}: {error}", hint=error.hint)
            ) from error
        found = commit or self._git.find_commit(self._repository, version or f"{_KEPT}/{_HEAD}")
        if found is None or not self._has(found):
            raise UsageError(
                Problem(
                    "no-such-commit",
                    f"--version {version}: there is no such branch, tag or commit in {self._url}",
                    hint=_near(refs, version or ""),
                )
            )
        return found

    def _fetch(self, refs: Mapping[str, str], version: str | None, repository: str) -> None:
        wanted = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        if _HEAD in refs:
            wanted.append(f"+{_HEAD}:{_KEPT}/{_HEAD}")
        if version in refs and version != _HEAD:  # such as refs/pull/1/head
            wanted.append(f"+{version}:{_KEPT}/{version}")
        words = ("-C", repository, "fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head")
        self._git(*words, "--", self._url, *wanted, seconds=SLOW_SECONDS)
        if version and _COMMIT.fullmatch(version) and not self._git.has_commit(repository, version):
            # No branch holds it any more. If the server does not either, the caller sees that it is not there.
            with suppress(GitError):
                self._git(*words, "--", self._url, f"{version}:{_KEPT}/{version}", seconds=SLOW_SECONDS)

    def _make_tree(self, commit: str, aside: str, tree: str) -> None:
        made = os.path.join(aside, "tree")
        objects = os.path.join(self._repository, "objects")
        try:
            # From now on, no branch that goes away takes the commit with it.
            self._git("-C", self._repository, "update-ref", f"{_KEPT}/trees/{commit}", commit)
            check_out(self._git, objects, commit, made, origin=self._url, upstream=self._url)
        except GitError as error:
            raise ProjectError(
                Problem(
                    error.kind,
                    f"cannot check out commit {commit[:12]} of {self._url}: {error}",
                    hint=error.hint,
                )
            ) from error
        settle(made, tree)


def _meant(refs: Mapping[str, str], version: str | None, url: str) -> str | None:
    """Return the commit that a branch or tag means, as far as its repository tells; a tag goes before a branch.

    Raises:
        UsageError: There is no version, and the repository names none.
    """
    if version is None:
        if _HEAD in refs:
            return refs[_HEAD]
        branches = sorted(name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/"))
        if not branches:
            raise UsageError(Problem("no-such-commit", f"the repository {url} has no commit yet"))
        raise UsageError(
            Problem(
                "no-such-commit",
                f"the repository {url} does not say which branch is the main one",
                hint=f"name one with -v, such as -v {branches[0]}",
            )
        )
    if _COMMIT.fullmatch(version):
        return None
    short = version.removeprefix("origin/")
    names = (
        version,
        f"refs/{version}",
        f"refs/tags/{version}",
        f"refs/heads/{version}",
        f"refs/heads/{short}",
    )
    return next((refs[name] for name in names if name in refs), None)


def _near(refs: Mapping[str, str], version: str) -> str | None:
    """Return a hint with the branches and tags that have a similar name, or with all of a few."""
    names = [name.split("/", 2)[2] for name in refs if name.startswith(("refs/heads/", "refs/tags/"))]
    few = f"it has {', '.join(sorted(names))}" if 0 < len(names) <= _FEW else None
    return did_you_mean(version, names) or few


def _remove_locks(repository: str) -> None:
    """Remove the locks of a git that was killed; nobody else is at work here."""
    for directory, _, files in os.walk(repository):
        if os.path.basename(directory) == "objects":
            continue
        for name in files:
            if name.endswith(".lock"):
                os.unlink(os.path.join(directory, name))
