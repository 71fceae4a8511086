"""The `git` program at work on repositories that nobody here has looked into, and what it says when it fails.

Asks nobody for anything: no prompt, no password window. Runs no hook. A filter such as git-lfs runs if the user has
set it up: a repository can name one, but not say what it is. Changes nothing outside of dioptra's cache.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping

from dioptra_cli.errors import Problem, ProjectError, UsageError
from dioptra_cli.execution.process import Captured
from dioptra_cli.execution.projects.addresses import GIT_SCHEMES
from dioptra_cli.execution.source import run_git
from dioptra_cli.parameters.secrets import without_credentials
from dioptra_cli.parameters.uris import scheme_of

QUICK_SECONDS = 60.0
"""For what moves no files: questions to a server and to the cache."""
SLOW_SECONDS = 3600.0

_SETTINGS = {
    # Hooks are found below a directory that the user's own settings may place in the project: `.githooks`.
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "advice.detachedHead": "false",
    # What git tidies up in the background would outlive the lock.
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
    # A server that sends nothing for a minute is away.
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
}
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30"

_EMPTY_WORDS = re.compile(
    r"fatal: (?:Could not read from remote repository|the remote end hung up)|Please make sure|and the repository"
    r"|warning:|hint:|Cloning into|$"
)
"""What git says last without saying what is wrong."""
_KINDS = (
    ("unknown-host-key", re.compile(r"Host key verification failed", re.I)),
    ("unknown-host", re.compile(r"Could not resolve host|unable to look up|Name or service not known", re.I)),
    (
        "authentication-needed",
        re.compile(
            r"could not read (?:Username|Password)|Authentication failed|Permission denied|\b40[13]\b", re.I
        ),
    ),
    (
        "no-such-repository",
        re.compile(r"not found|does not exist|not appear to be a git|not exported|no such file", re.I),
    ),
)
_HINTS = {
    "unknown-host": "look at the name of the host, and whether the network is there",
    "unknown-host-key": "connect to it once with ssh, and accept its key",
    "authentication-needed": "it is private or does not exist: give git your credentials (a credential helper, or an "
    "SSH key), which never asks for them here",
    "no-such-repository": "look at its address; a directory that is no repository is given without file://",
}


class GitError(Exception):
    """A git command failed. The text is what git gave as the reason, without credentials."""

    @property
    def kind(self) -> str:
        """The stable name of what went wrong."""
        return next((kind for kind, words in _KINDS if words.search(str(self))), "git-failed")

    @property
    def hint(self) -> str | None:
        """What to do about it."""
        return _HINTS.get(self.kind)


class Git:
    """Runs git.

    Args:
        base: The environment of this process.
        url: The URL of the repository, or of its origin, with its credentials; empty for one on this machine.
        shown: The same URL without: what is stored, and what the command line of git shows.
    """

    def __init__(self, base: Mapping[str, str], url: str = "", shown: str = "") -> None:
        # Otherwise a window may open.
        environ = {"GIT_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never", "GCM_INTERACTIVE": "never", **base}
        environ |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "LANGUAGE": ""}
        if url != shown:
            _rewrite(environ, {shown: url, _host(shown): _host(url)})
        self._search_path = base.get("PATH")
        self._environ = environ
        self._restricted = base.get("GIT_ALLOW_PROTOCOL")
        self._is_local = not url or url.startswith(("file:", "/"))
        self._uses_ssh = not self._is_local and scheme_of(url) not in ("https", "http", "git")
        self._has_ssh_command = bool({"GIT_SSH_COMMAND", "GIT_SSH"} & environ.keys())

    def __call__(self, *arguments: str, seconds: float = QUICK_SECONDS, submodules: bool = False) -> str:
        """Run a git command; return what it prints, without the last newline.

        Args:
            arguments: Those of git.
            seconds: It is ended after so long.
            submodules: Whether it follows addresses that the repository names. Of one that came over the network,
                they must not lead into this machine.

        Raises:
            GitError: It fails.
            ProjectError: There is no git.
        """
        done = self._run(arguments, seconds, submodules)
        if done is None and shutil.which("git", path=self._search_path) is None:
            raise ProjectError(
                Problem("no-git", "this needs the program 'git', which is not installed", hint="install git")
            )
        if done is None:
            raise GitError(f"git gave no answer within {seconds:g} s")
        if done.returncode != 0:
            raise GitError(_reason(done))
        return os.fsdecode(done.stdout).removesuffix("\n")

    def has_commit(self, repository: str, commit: str) -> bool:
        """Return whether the objects of a repository hold a commit."""
        done = self._run(("-C", repository, "cat-file", "-e", f"{commit}^{{commit}}"), QUICK_SECONDS, False)
        return done is not None and done.returncode == 0

    def find_commit(self, repository: str, version: str) -> str | None:
        """Return the commit that a name, an abbreviation or an expression such as `main~1` means."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{version}^{{commit}}")
        done = self._run(("-C", repository, *words), QUICK_SECONDS, False)
        return os.fsdecode(done.stdout).strip() or None if done and done.returncode == 0 else None

    def _run(self, arguments: tuple[str, ...], seconds: float, submodules: bool) -> Captured | None:
        allowed = [scheme for scheme in GIT_SCHEMES if scheme != "file" or self._is_local or not submodules]
        if self._restricted is not None:
            allowed = [scheme for scheme in allowed if scheme in self._restricted.split(":")]
        if not self._has_ssh_command and (self._uses_ssh or submodules):
            self._has_ssh_command = True
            done = self._run(("config", "--get", "core.sshCommand"), QUICK_SECONDS, False)
            if done is None or done.returncode != 0:
                self._environ["GIT_SSH_COMMAND"] = _SSH
        environ = {**self._environ, "GIT_ALLOW_PROTOCOL": ":".join(allowed)}
        return run_git(arguments, _SETTINGS, environ, seconds)


def check_version(version: str) -> None:
    """Refuse what git would take for an option, or cannot be the name of a commit.

    Raises:
        UsageError: It is no name of a branch, tag or commit.
    """
    if not version or version.startswith("-") or not version.isprintable():
        raise UsageError(
            Problem("no-such-commit", f"--version {version!r} is not the name of a branch, tag or commit")
        )


def check_out(
    git: Git,
    objects: str,
    commit: str,
    into: str,
    *,
    origin: str | None,
    upstream: str,
    is_partial: bool = False,
) -> None:
    """Make a work tree of its own for a commit: a small repository that borrows the objects of another.

    Nothing in it leads to its own place, so it can be renamed; and the other repository knows nothing of it.

    Args:
        git: What runs git.
        objects: The directory of the objects that it borrows.
        commit: The full id.
        into: The directory to make.
        origin: The URL that it names as its origin.
        upstream: What relative URLs of submodules belong to.
        is_partial: Whether objects may be missing that the origin has; the work tree gets its own.

    Raises:
        GitError: Git fails.
    """
    form = "sha256" if len(commit) == 64 else "sha1"
    git("init", "--quiet", "--template=", f"--object-format={form}", "--", into)
    info = os.path.join(into, ".git", "objects", "info")
    os.makedirs(info, exist_ok=True)
    with open(os.path.join(info, "alternates"), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(objects + "\n")
    if origin is not None:
        git("-C", into, "config", "remote.origin.url", origin)
        if is_partial:
            git("-C", into, "config", "remote.origin.promisor", "true")
    git("-C", into, "checkout", "--quiet", "--detach", commit, "--", seconds=SLOW_SECONDS)
    if os.path.lexists(os.path.join(into, ".gitmodules")):
        # As `mlflow run` does. `--checkout` whatever way of updating the repository asks for.
        words = ("submodule", "--quiet", "update", "--init", "--recursive", "--checkout")
        settings = () if origin else ("-c", f"remote.origin.url={upstream}")
        git(*settings, "-C", into, *words, seconds=SLOW_SECONDS, submodules=True)


def _rewrite(environ: dict[str, str], urls: Mapping[str, str]) -> None:
    """Have git use a URL for another. In the environment, which other users cannot see, unlike a command line."""
    given = environ.get("GIT_CONFIG_COUNT", "")
    count = int(given) if given.isdigit() else 0
    for number, (shown, url) in enumerate(urls.items(), count):
        environ[f"GIT_CONFIG_KEY_{number}"] = f"url.{url}.insteadOf"
        environ[f"GIT_CONFIG_VALUE_{number}"] = shown
    environ["GIT_CONFIG_COUNT"] = str(count + len(urls))


def _host(url: str) -> str:
    """Return a URL up to its path: submodules beside a repository are read with its credentials."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.partition('/')[0]}/"


def _reason(done: Captured) -> str:
    """Return the last line that says why."""
    lines = [line.strip() for line in without_credentials(os.fsdecode(done.stderr)).splitlines()]
    telling = [line for line in lines if not _EMPTY_WORDS.match(line)]
    if telling:
        marked = [line for line in telling if line.startswith(("fatal:", "error:"))]
        return (marked or telling)[-1]
    return next((line for line in reversed(lines) if line), f"git failed with exit code {done.returncode}")
