"""Unpacks archives that may be hostile into an empty directory. Nothing of one lands anywhere else.

Links are made last: no file is ever written through one. Then each is looked at as the system will follow it, and one
that leads outside has the archive refused. Owners, times and the bits setuid, setgid and sticky are not kept.

Directories named `.git` are left out: git reads from them which programs to start.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from typing import BinaryIO

from dioptra_cli.execution.projects.entries import LONGEST_PATH, Budget, Entry, EntryKind, Limits, Refused

_LONGEST_PART = 255  # bytes, on every usual file system
_DRIVE = re.compile(r"[A-Za-z]:")
_LEFT_OUT = ".git"


def unpack(file: BinaryIO, name: str, into: str, limits: Limits) -> None:
    """Unpack an archive.

    Args:
        file: The archive, from its beginning.
        name: Its name, whose ending says whether it is a zip archive or a tar archive.
        into: An empty directory that nobody else writes to. What lies there after an error is the caller's to remove.
        limits: How much it may hold.

    Raises:
        Refused: It is broken or hostile.
        OSError: It cannot be read, or its content cannot be written.
    """
    budget = Budget(limits, os.fstat(file.fileno()).st_size)
    tree = _Tree(into, limits)
    for entry in _entries(file, name, budget):
        tree.add(entry)
    tree.make_links()


def _entries(file: BinaryIO, name: str, budget: Budget) -> Iterator[Entry]:
    if name.lower().endswith(".zip"):
        from dioptra_cli.execution.projects.zip import read_zip

        return read_zip(file, budget)
    from dioptra_cli.execution.projects.tar import read_tar

    return read_tar(file, budget)


class _Tree:
    """What is being unpacked.

    Args:
        root: The directory; absolute, without links in it.
        limits: How much there may be.
    """

    def __init__(self, root: str, limits: Limits) -> None:
        self._root, self._limits = root, limits
        self._kinds: dict[str, EntryKind] = {}
        self._spelled: dict[str, str] = {}
        self._links: dict[str, str] = {}
        self._entries = 0

    def add(self, entry: Entry) -> None:
        """Make what an entry says; of a link, only keep it in mind."""
        self._count(entry.name)
        parts = self._parts(entry.name)
        if any(part.lower() == _LEFT_OUT for part in parts):
            return
        if not parts:
            if entry.kind is not EntryKind.DIRECTORY:
                raise Refused(f"'{entry.name}' is the name of the whole, for a {entry.kind.value}")
            return
        for depth in range(1, len(parts)):
            self._make_directory("/".join(parts[:depth]), entry.name)
        path = "/".join(parts)
        if entry.kind is EntryKind.DIRECTORY:
            self._make_directory(path, entry.name)
            return
        self._claim(path, entry.kind)
        if entry.kind is EntryKind.FILE:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with open(os.open(self._place(path), flags, 0o777 if entry.executable else 0o666), "wb") as file:
                for piece in entry.content:
                    file.write(piece)
        elif entry.kind is EntryKind.HARD_LINK:
            target = "/".join(self._parts(entry.target))
            if self._kinds.get(target) not in (EntryKind.FILE, EntryKind.HARD_LINK):
                raise Refused(
                    f"'{entry.name}' is a hard link to '{entry.target}', which is no file before it"
                )
            os.link(self._place(target), self._place(path), follow_symlinks=False)
        else:
            self._links[path] = entry.target

    def make_links(self) -> None:
        """Make the symbolic links, and follow each."""
        for path, target in self._links.items():
            if not target or "\0" in target or len(os.fsencode(target)) > LONGEST_PATH:
                raise Refused(f"'{path}' is a link to a name that cannot be")
            if target.startswith("/"):
                raise Refused(f"'{path}' is a link to '{target}', outside of the archive")
            os.symlink(target, self._place(path))
        for path, target in self._links.items():
            if not self._stays_inside(self._place(path)):
                raise Refused(f"'{path}' is a link to '{target}', outside of the archive")

    def _stays_inside(self, link: str) -> bool:
        try:
            os.stat(link)
        except FileNotFoundError:
            pass  # one that leads nowhere yet
        except OSError as error:  # links in a circle
            raise Refused(f"'{os.path.relpath(link, self._root)}' is a link: {error.strerror}") from error
        real = os.path.realpath(link)
        return real == self._root or real.startswith(self._root + "/")

    def _make_directory(self, path: str, for_entry: str) -> None:
        kind = self._kinds.get(path)
        if kind is None:
            self._count(path)
            self._claim(path, EntryKind.DIRECTORY)
            os.mkdir(self._place(path))
        elif kind is not EntryKind.DIRECTORY:
            raise Refused(f"'{for_entry}' needs a directory where there is a {kind.value}: '{path}'")

    def _claim(self, path: str, kind: EntryKind) -> None:
        """Take a name. Of two that differ in case only, one would hide the other on some systems."""
        folded = unicodedata.normalize("NFC", path).casefold()
        known = self._spelled.setdefault(folded, path)
        if path in self._kinds:
            raise Refused(f"it has '{path}' twice")
        if known != path:
            raise Refused(f"it has both '{known}' and '{path}'")
        self._kinds[path] = kind

    def _count(self, name: str) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise Refused(
                f"it has more than {self._limits.entries} files and directories; the next is '{name}'"
            )

    def _parts(self, name: str) -> list[str]:
        """Return the parts of a name that leads to some place within the archive."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if "\0" in name:
            raise Refused(f"it has a name with a NUL: '{name}'")
        if name.startswith("/") or _DRIVE.match(name):
            raise Refused(f"it has the absolute name '{name}'")
        if ".." in parts:
            raise Refused(f"'{name}' leads outside")
        if len(os.fsencode(name)) > LONGEST_PATH or any(len(os.fsencode(p)) > _LONGEST_PART for p in parts):
            raise Refused(f"it has a name that is too long: '{name[:_LONGEST_PART]}…'")
        if len(parts) > self._limits.depth:
            raise Refused(f"it has more than {self._limits.depth} directories within each other: '{name}'")
        return parts

    def _place(self, path: str) -> str:
        return os.path.join(self._root, path)
