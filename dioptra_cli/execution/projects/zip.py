"""Reads zip archives and believes nothing that they say. The format: APPNOTE.TXT of PKWARE."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from dioptra_cli.execution.projects.entries import BLOCK, LONGEST_PATH, Budget, Entry, EntryKind, Refused

_LARGEST_DIRECTORY = 32 << 20
"""Bytes of the list of entries, which is read at once."""
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What bzip2 or LZMA hold is decompressed by the block, whatever size that has: gigabytes of memory."""
_UNIX = 3
# The module raises whatever its parts do when a field makes no sense.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError),
    *(NotImplementedError, RuntimeError, OSError),
)


def read_zip(file: BinaryIO, budget: Budget) -> Iterator[Entry]:
    """Yield the entries of a zip archive.

    Args:
        file: The archive; can be read anywhere.
        budget: Counts what it comes to.

    Raises:
        Refused: It is broken, or has what no project needs.
    """
    try:
        archive = zipfile.ZipFile(_Bounded(file))
    except _BROKEN as error:
        raise Refused(f"it is no zip archive, or broken: {error}") from error
    with archive:
        for info in archive.infolist():
            # Some programs on Windows write their own separator.
            name = info.orig_filename.replace("\\", "/")
            mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
            if info.flag_bits & _ENCRYPTED:
                raise Refused(f"'{name}' is encrypted")
            if info.compress_type not in _METHODS:
                raise Refused(f"'{name}' is compressed in a way that is not read: only deflate is")
            content = _content(archive, info, budget)
            if name.endswith("/") or stat.S_ISDIR(mode):
                yield Entry(name, EntryKind.DIRECTORY)
            elif stat.S_ISLNK(mode):
                if info.file_size > LONGEST_PATH:
                    raise Refused(f"'{name}' is a link to a name of {info.file_size} bytes")
                yield Entry(name, EntryKind.LINK, target=os.fsdecode(b"".join(content)))
            elif stat.S_ISREG(mode) or not stat.S_IFMT(mode):
                yield Entry(name, EntryKind.FILE, content, executable=bool(mode & 0o100))
            else:
                raise Refused(f"'{name}' is a device or a named pipe")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[bytes]:
    """Yield what a file holds; its size and checksum must be those that the archive says."""
    left = info.file_size
    try:
        with archive.open(info) as stream:
            while piece := stream.read(BLOCK):
                left -= len(piece)
                budget.spend(len(piece))
                yield piece
    except _BROKEN as error:
        raise Refused(f"'{info.filename}' is broken: {error}") from error
    if left:
        raise Refused(f"'{info.filename}' is not as long as the archive says")


class _Bounded(io.BufferedReader):
    """A file of which nobody reads too much at once."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(io.FileIO(file.fileno(), closefd=False))

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes; all that are left without a size.

        Raises:
            Refused: They are more than any list of entries takes.
        """
        wanted = os.fstat(self.fileno()).st_size - self.tell() if size is None or size < 0 else size
        if wanted > _LARGEST_DIRECTORY:
            raise Refused(f"its list of entries has {wanted} bytes")
        return super().read(size)
