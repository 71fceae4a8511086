"""What PROJECT may be besides a directory: a git URL, or an archive. Reads text, and looks whether a path exists."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum

from dioptra_cli.errors import Problem, UsageError, printable
from dioptra_cli.parameters.secrets import without_credentials
from dioptra_cli.parameters.uris import REMOTE_SCHEMES, UnreadableUri, local_path, scheme_of

ARCHIVE_SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")
GIT_SCHEMES = ("https", "http", "ssh", "git", "file")

_PIP = "git+"
"""What pip writes before a URL to say that it is one for git."""
# As git reads it: no slash before the colon. Without a user it might be a file, unless it ends as repositories do.
_SSH = re.compile(r"(?:[\w][\w.+-]*@[\w][\w.-]*:(?!//).+|[\w][\w.-]+:(?!//)[^#]+\.git/?(?:#.*)?)", re.ASCII)
_UNQUOTED = re.compile(r"[^/]*://[^/]*[\s\"][^/]*@")
"""What no URL may hold before its host, and what therefore would not be known for a password everywhere."""


class Kind(Enum):
    """Where a project comes from."""

    REPOSITORY = "a git repository"
    LOCAL_ARCHIVE = "an archive on this machine"
    REMOTE_ARCHIVE = "an archive elsewhere"


@dataclass(frozen=True)
class Address:
    """Where a project is to be had.

    Attributes:
        kind: What it is.
        location: What git or the download asks for, with its credentials; the absolute path of a local archive.
        shown: `location` as it may be stored and printed.
        subdirectory: Where in it the project lies; empty for its top.
        version: The branch, tag or commit within the URL, as pip writes it: `git+https://host/x@v1`.
    """

    kind: Kind
    location: str
    shown: str
    subdirectory: str = ""
    version: str | None = None

    @property
    def name(self) -> str:
        """What can be given to `dioptra run` again: without credentials."""
        prefix = _PIP if self.kind is Kind.REPOSITORY and _is_archive_url(self.shown) else ""
        return prefix + self.shown + (f"#{self.subdirectory}" if self.subdirectory else "")


def is_elsewhere(project: str) -> bool:
    """Return whether PROJECT has to be fetched or unpacked first. An existing directory always is itself."""
    if os.path.isdir(project):
        return False
    if os.path.isfile(project):
        return project.lower().endswith(ARCHIVE_SUFFIXES)
    if scheme_of(project) is not None or _SSH.fullmatch(project):
        return True
    file, _, subdirectory = project.rpartition("#")
    return bool(subdirectory) and file.lower().endswith(ARCHIVE_SUFFIXES) and os.path.isfile(file)


def local_subdirectory(project: str) -> tuple[str, str] | None:
    """Return the directory and the subdirectory of `DIRECTORY#SUBDIRECTORY`, as MLflow takes it, or None."""
    if "#" not in project or os.path.lexists(project):
        return None
    directory, _, subdirectory = project.rpartition("#")
    return (directory, subdirectory) if os.path.isdir(directory) else None


def parse(project: str) -> Address:
    """Return what a PROJECT means of which `is_elsewhere` is true.

    Raises:
        UsageError: It can be no project: an unknown scheme, a URI of an object that is no archive.
    """
    if not project.isprintable():
        raise UsageError(_problem(f"the project '{printable(project)}' has characters that no URL has"))
    if _UNQUOTED.match(project):
        raise UsageError(
            _problem(
                "the user or the password in the URL of the project has a space or a double quote",
                "write %20 and %22 instead",
            )
        )
    if os.path.isfile(project):
        return _local_archive(project, "")
    scheme = scheme_of(project)
    if scheme is None and not _SSH.fullmatch(project):
        file, _, subdirectory = project.rpartition("#")
        return _local_archive(file, subdirectory)
    if scheme is not None and scheme.startswith(_PIP):
        return _as_pip_writes_it(project[len(_PIP) :])
    location, _, subdirectory = project.partition("#")
    if scheme is None:
        return Address(Kind.REPOSITORY, location, location, subdirectory)
    if _is_archive_url(location):
        if scheme == "file":
            try:
                return _local_archive(local_path(location), subdirectory)
            except UnreadableUri as error:
                raise UsageError(_problem(f"'{location}' {error}")) from error
        if scheme in REMOTE_SCHEMES:
            return Address(
                Kind.REMOTE_ARCHIVE, location, without_credentials(location, mask=""), subdirectory
            )
    return _repository(location, subdirectory)


def _repository(url: str, subdirectory: str, version: str | None = None) -> Address:
    scheme, shown = scheme_of(url), without_credentials(url, mask="")
    if scheme not in GIT_SCHEMES:
        expected = f"an archive ends in {', '.join(ARCHIVE_SUFFIXES)}"
        what = "is no archive" if scheme in REMOTE_SCHEMES else "has a scheme that no project comes by"
        raise UsageError(_problem(f"'{shown}' {what}", f"{expected}; git has {', '.join(GIT_SCHEMES)}"))
    return Address(Kind.REPOSITORY, url, shown, subdirectory, version)


def _as_pip_writes_it(project: str) -> Address:
    """Read `https://host/x.git@REF#subdirectory=DIR`, or the plain `#DIR`."""
    url, _, fragment = project.partition("#")
    given = dict(pair.partition("=")[::2] for pair in fragment.split("&"))
    subdirectory = given.get("subdirectory", "" if "egg" in given else fragment)
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    path, _, version = path.partition("@")
    return _repository(f"{scheme}{separator}{authority}{slash}{path}", subdirectory, version or None)


def _local_archive(file: str, subdirectory: str) -> Address:
    path = os.path.abspath(file)
    return Address(Kind.LOCAL_ARCHIVE, path, path, subdirectory)


def _is_archive_url(url: str) -> bool:
    return url.partition("?")[0].lower().endswith(ARCHIVE_SUFFIXES)


def _problem(message: str, hint: str | None = None) -> Problem:
    return Problem("no-such-project", message, hint=hint)
