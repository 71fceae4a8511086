"""Task plugins: directories and tar archives on this machine. Trusts no archive; knows nothing of MLflow.

An archive comes from another run, perhaps of somebody else, so all members are judged before one is written:

- a name is relative and has no `..`;
- a member is a file, a directory or a link: no device, no pipe;
- a hard link names a file of the same archive;
- a symbolic link may climb to the directory that is extracted to, no further, and does not climb after it went down.
  As links are made last, and nothing is ever written through one, each leads to a place inside;
- the sizes that the archive declares, and tarfile never reads more than those, stay below a limit.

This is stricter than `tarfile`'s own filters, which Python before 3.12 need not have. Owners, times and permissions
other than the executable bit are not restored, so nothing becomes setuid.
"""

from __future__ import annotations

import functools
import logging
import os
import posixpath
import shutil
import tarfile
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dioptra import pyplugs

from .exceptions import UnsafeArchiveError

LOGGER = logging.getLogger(__name__)

MAX_EXTRACTED_BYTES = 64 * 2**30
"""What an archive may hold unless the caller allows more, in bytes: 64 GiB."""

MAX_MEMBERS = 2_000_000
"""How many files, directories and links an archive may hold; a million of them make the largest image data sets."""

MAX_HEADER_BYTES = 2**20
"""How long a name or a set of extended attributes may be, in bytes; tarfile holds them in memory."""


@pyplugs.register
def make_directories(dirs: Iterable[str | os.PathLike[str]]) -> None:
    """Make directories, and those above them, where they do not exist yet."""
    for directory in dirs:
        os.makedirs(directory, exist_ok=True)
        LOGGER.info("Directory %s made", directory)


@pyplugs.register
def extract_tarfile(
    filepath: str | os.PathLike[str],
    tarball_read_mode: str = "r:gz",
    output_dir: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_EXTRACTED_BYTES,
) -> None:
    """Extract a tar archive. Files that exist are replaced.

    Args:
        filepath: The archive.
        tarball_read_mode: Mode of `tarfile.open`: "r:gz", "r:bz2", "r:xz", "r:" for none, "r:*" for any compression.
        output_dir: Directory to extract to, which is made if need be; None for the current one.
        max_bytes: What the files may have in all, in bytes.

    Raises:
        UnsafeArchiveError: The archive holds what no honest one does, or too much; or a member would lead through a
            link that is there already, or have a file where a directory is, or the other way round. Nothing is
            written then.
        tarfile.ReadError: It is no tar archive of that compression.
    """
    directory = Path.cwd() if output_dir is None else Path(output_dir)
    with tarfile.open(filepath, tarball_read_mode, tarinfo=_Member) as archive:  # type: ignore[call-overload]  # the mode is a plain string
        members = _judged(archive, max_bytes)
        places = _places(members, os.path.realpath(directory))
        directory.mkdir(parents=True, exist_ok=True)
        _extract(archive, members, places)
    LOGGER.info("%d members of %s extracted to %s", len(members), filepath, directory)


@pyplugs.register
def extract_tarfile_in_unique_subdir(
    filepath: str | os.PathLike[str],
    tarball_read_mode: str = "r:gz",
    max_bytes: int = MAX_EXTRACTED_BYTES,
) -> Path:
    """Extract a tar archive to a new directory below the current one, and return that directory.

    The arguments and errors are those of `extract_tarfile`.
    """
    directory = Path.cwd() / uuid.uuid4().hex
    extract_tarfile(filepath, tarball_read_mode, output_dir=directory, max_bytes=max_bytes)
    return directory


class _Member(tarfile.TarInfo):
    """A member of an archive whose headers are of bounded length."""

    _IN_MEMORY = (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> _Member:
        """Read a header, before tarfile reads what the header announces."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in cls._IN_MEMORY and member.size > MAX_HEADER_BYTES:
            raise UnsafeArchiveError(f"the archive has a header of {member.size} bytes")
        return member


def _judged(archive: tarfile.TarFile, max_bytes: int) -> list[tarfile.TarInfo]:
    """Read the members' headers, without extracting anything, and return them if all may be extracted."""
    members: list[tarfile.TarInfo] = []
    files: set[str] = set()
    total = 0
    # Not getmembers(): a member's size is known here before its data are skipped, which takes decompressing them.
    for member in archive:
        member.name = _inside(member.name)
        if member.size < 0:
            raise UnsafeArchiveError(
                f"the member {member.name!r} of the archive has a size of {member.size} bytes"
            )
        total += member.size if member.isreg() else 0
        if total > max_bytes:
            raise UnsafeArchiveError(
                f"the archive holds more than {max_bytes} bytes; if it is to be trusted, raise max_bytes"
            )
        if len(members) >= MAX_MEMBERS:
            raise UnsafeArchiveError(f"the archive has more than {MAX_MEMBERS} members")
        if member.isreg():
            files.add(member.name)
        elif member.islnk():
            member.linkname = _inside(member.linkname)
            if member.linkname not in files:
                raise UnsafeArchiveError(
                    f"the hard link {member.name!r} leads to {member.linkname!r}, which is no file of the archive"
                )
            files.add(member.name)
        elif member.issym():
            _check_symbolic_link(member)
        elif not member.isdir():
            raise UnsafeArchiveError(
                f"{member.name!r} in the archive is neither a file nor a directory nor a link"
            )
        members.append(member)
    return members


def _inside(name: str) -> str:
    """Return the normal form of a member's name.

    Raises:
        UnsafeArchiveError: It leads out of the directory, or cannot be a path.
    """
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise UnsafeArchiveError(f"the member {name!r} of the archive would lie outside of the directory")
    return posixpath.normpath(name)


def _check_symbolic_link(member: tarfile.TarInfo) -> None:
    """See that a symbolic link stays inside.

    Its own directory is a real one, so climbing at most as far as that is deep stays inside. A `..` behind a name
    could climb from wherever another link leads, and is refused.
    """
    parts = [part for part in member.linkname.split("/") if part not in {"", "."}]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    if member.linkname.startswith("/") or climbs > member.name.count("/") or ".." in parts[climbs:]:
        raise UnsafeArchiveError(f"the link {member.name!r} of the archive leads out, to {member.linkname!r}")


def _places(members: list[tarfile.TarInfo], directory: str) -> list[str]:
    """Return the real path that each member gets below `directory`, a real path; nothing is written.

    The directory may have files and links that were there before. Those of the archive are not there yet, and as none
    of its links is followed while it is extracted, what is found here holds until the end.
    """
    real = functools.lru_cache(maxsize=None)(os.path.realpath)
    places = []
    files: dict[str, str] = {}
    for member in members:
        path = os.path.join(directory, member.name)
        parent = real(path if member.isdir() else os.path.dirname(path))
        place = parent if member.isdir() else os.path.join(parent, os.path.basename(path))
        leads_to = os.path.normpath(os.path.join(parent, member.linkname)) if member.issym() else parent
        for inside in (parent, leads_to):
            if os.path.commonpath([directory, inside]) != directory:
                raise UnsafeArchiveError(f"the member {member.name!r} would lead through a link to {inside}")
        taken = member.name == "." or (os.path.isdir(place) and not os.path.islink(place))
        if taken and not member.isdir():
            raise UnsafeArchiveError(
                f"the member {member.name!r} of the archive is a directory in {directory}"
            )
        if member.islnk():
            member.linkname = files[member.linkname]
            if member.linkname == place:
                raise UnsafeArchiveError(f"the hard link {member.name!r} of the archive leads to itself")
        if member.isreg() or member.islnk():
            files[member.name] = place
        places.append(place)
    _check_directories(members, [member.name for member in members])
    _check_directories(members, places)
    found: set[str] = set()
    for member, place in zip(members, places):
        above = place if member.isdir() else os.path.dirname(place)
        while above != directory and above not in found and not os.path.lexists(above):
            above = os.path.dirname(above)
        if above in found:
            continue
        found.add(above)
        if os.path.lexists(above) and not os.path.isdir(above):
            raise UnsafeArchiveError(f"the member {member.name!r} needs a directory where {above} is a file")
    return places


def _check_directories(members: list[tarfile.TarInfo], paths: list[str]) -> None:
    """See that no member's path has for a directory what another one makes a file or a link."""
    others = {path for member, path in zip(members, paths) if not member.isdir()}
    directories: set[str] = set()
    for member, path in zip(members, paths):
        above = path if member.isdir() else posixpath.dirname(path)
        while above.strip("/") and above not in directories:
            directories.add(above)
            if above in others:
                raise UnsafeArchiveError(
                    f"the member {member.name!r} needs a directory where the archive has a file or a link"
                )
            above = posixpath.dirname(above)


def _extract(archive: tarfile.TarFile, members: list[tarfile.TarInfo], places: list[str]) -> None:
    """Write judged members to their places."""
    # The symbolic links last, all else in the order of the archive.
    for member, place in sorted(zip(members, places), key=lambda pair: pair[0].issym()):
        os.makedirs(place if member.isdir() else os.path.dirname(place), exist_ok=True)
        if member.isdir():
            continue
        if os.path.lexists(place):
            os.unlink(place)  # writing into it would change what else is linked to it
        if member.issym():
            os.symlink(member.linkname, place)
        elif member.islnk():
            os.link(member.linkname, place)
        else:
            _write(archive, member, place)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    content = archive.extractfile(member)
    if content is None:
        raise UnsafeArchiveError(f"{member.name!r} in the archive has no content")
    with content, open(path, "xb") as file:
        shutil.copyfileobj(content, file, 2**20)
        if member.mode & 0o100:
            mode = os.fstat(file.fileno()).st_mode
            os.fchmod(file.fileno(), mode | ((mode & 0o444) >> 2))  # executable for those who may read it
