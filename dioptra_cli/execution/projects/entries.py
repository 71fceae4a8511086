"""What an archive says that it holds, and the limits of what is believed. Pure data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

BLOCK = 1 << 18
"""Bytes that are read, decompressed and written at a time."""
LONGEST_PATH = 4096
"""Bytes of a name or of what a link leads to: no usual system takes longer ones."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold. More is refused, before it fills the disk.

    Attributes:
        entries: Files, directories and links, also the directories that no entry names.
        size: Bytes, unpacked.
        ratio: Unpacked bytes for each byte of the archive, where that comes to more than `unsuspicious`. Text comes
            to 20, tables of numbers to 50; a bomb comes to 1000.
        unsuspicious: Bytes, unpacked, up to which the ratio does not matter.
        depth: Directories within each other.
    """

    entries: int = 100_000
    size: int = 20 << 30
    ratio: int = 200
    unsuspicious: int = 256 << 20
    depth: int = 100


class Refused(Exception):
    """An archive that is broken, or that nobody means well with. The text completes "the archive is refused:"."""


class EntryKind(Enum):
    """What an entry makes."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    HARD_LINK = "hard link"


@dataclass(frozen=True)
class Entry:
    """One entry of an archive, as it stands there: nothing of it has been checked.

    Attributes:
        name: The path.
        kind: What it makes.
        content: The bytes of a file. It has to be read before the next entry.
        executable: Whether its owner may execute it.
        target: What a link leads to.
    """

    name: str
    kind: EntryKind
    content: Iterable[bytes] = ()
    executable: bool = False
    target: str = ""


class Budget:
    """How many bytes an archive may still come to.

    Args:
        limits: What is allowed.
        archive_size: The bytes of the archive itself.
    """

    def __init__(self, limits: Limits, archive_size: int) -> None:
        self._allowed = min(limits.size, max(limits.unsuspicious, limits.ratio * archive_size))
        self._left = self._allowed

    def spend(self, size: int) -> None:
        """Count bytes.

        Raises:
            Refused: They are too many.
        """
        self._left -= size
        if self._left < 0:
            raise Refused(f"it comes to more than {self._allowed >> 20} MiB unpacked")
