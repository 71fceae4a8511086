"""Reads tar archives, plain or compressed, from a stream, and believes nothing that they say.

The formats: POSIX.1-1988 (ustar), POSIX.1-2001 (pax) and GNU, as `man 5 tar` of libarchive describes them. The
module `tarfile` takes the place where an archive is broken for its end, and reads headers of any length into memory.
"""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from dioptra_cli.execution.projects.entries import BLOCK, Budget, Entry, EntryKind, Refused

_RECORD = 512
_LONGEST_HEADER = 1 << 20
"""Bytes of what a pax or GNU header may say about one entry."""
_MOST_MEMORY = 256 << 20
"""Bytes that decompressing may take; `xz -9` takes 65 MiB."""

_FILE, _HARD_LINK, _LINK, _DIRECTORY = b"0", b"1", b"2", b"5"
_PAX, _PAX_FOR_ALL, _GNU_NAME, _GNU_TARGET = b"x", b"g", b"L", b"K"
_DEVICES = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe", b"S": "a sparse file"}


class _Decompressor(Protocol):
    @property
    def needs_input(self) -> bool: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """Gives zlib the interface of the others."""

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(wbits=31)

    @property
    def needs_input(self) -> bool:
        return not self._engine.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._engine.decompress(self._engine.unconsumed_tail + data, max_length)


_COMPRESSIONS: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b": _Gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY),
}
_BROKEN = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def read_tar(file: BinaryIO, budget: Budget) -> Iterator[Entry]:
    """Yield the entries of a tar archive; what compresses it is seen in its content.

    Args:
        file: The archive, from its beginning.
        budget: Counts what it comes to.

    Raises:
        Refused: It is broken, or has what no project needs.
    """
    stream = _Stream(_decompressed(file), budget)
    name = target = None
    size = None
    while True:
        header = stream.read(_RECORD)
        if not header.strip(b"\0"):
            break
        _check(header)
        kind, length = header[156:157], _number(header[124:136])
        if kind in (_PAX, _PAX_FOR_ALL, _GNU_NAME, _GNU_TARGET):
            if length > _LONGEST_HEADER:
                raise Refused(f"it has a header of {length} bytes")
            data = stream.read_padded(length)
            if kind == _GNU_NAME:
                name = os.fsdecode(data.removesuffix(b"\0"))
            elif kind == _GNU_TARGET:
                target = os.fsdecode(data.removesuffix(b"\0"))
            elif kind == _PAX:
                said = _pax(data)
                name, target = said.get("path", name), said.get("linkpath", target)
                if "size" in said:
                    size = _decimal(said["size"])
                if any(key.startswith("GNU.sparse") for key in said):
                    raise Refused(f"'{name}' is a sparse file")
            continue
        name = _name(header) if name is None else name
        target = _text(header[157:257]) if target is None else target
        length = length if size is None else size
        yield from _entry(stream, kind, name, target, length, _number(header[100:108]))
        name = target = size = None
    stream.drain()


def _entry(stream: _Stream, kind: bytes, name: str, target: str, size: int, mode: int) -> Iterator[Entry]:
    """Yield one entry, and leave the stream behind its content."""
    if kind in (_FILE, b"\0", b"7"):  # 7: a file that is to lie in one piece
        content = stream.blocks(size)
        if name.endswith("/"):  # a directory, before there was a kind for them
            yield Entry(name, EntryKind.DIRECTORY)
        else:
            yield Entry(name, EntryKind.FILE, content, executable=bool(mode & 0o100))
        for _ in content:
            pass
    elif kind == _DIRECTORY:
        yield Entry(name, EntryKind.DIRECTORY)
    elif kind == _LINK:
        yield Entry(name, EntryKind.LINK, target=target)
    elif kind == _HARD_LINK:
        yield Entry(name, EntryKind.HARD_LINK, target=target)
    else:
        what = _DEVICES.get(kind, f"of a kind that no project needs ({ascii(kind)[1:]})")
        raise Refused(f"'{name}' is {what}")


class _Stream:
    """The decompressed bytes of an archive, each counted."""

    def __init__(self, chunks: Iterator[bytes], budget: Budget) -> None:
        self._chunks, self._budget = chunks, budget
        self._chunk, self._at = b"", 0

    def read(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        return b"".join(self._pieces(size))

    def read_padded(self, size: int) -> bytes:
        """Return so many bytes, and leave out those that fill the last record."""
        data = self.read(size)
        self.read(-size % _RECORD)
        return data

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield so many bytes in pieces, and leave out those that fill the last record."""
        yield from self._pieces(size)
        self.read(-size % _RECORD)

    def drain(self) -> None:
        """Read on to the end, where a checksum may stand."""
        for chunk in self._chunks:
            self._budget.spend(len(chunk))

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size:
            if self._at == len(self._chunk):
                self._chunk, self._at = next(self._chunks, b""), 0
                self._budget.spend(len(self._chunk))
                if not self._chunk:
                    raise Refused("it ends too early")
            piece = self._chunk[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece


def _decompressed(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a file, decompressed; no piece is empty or much longer than a block."""
    data = file.read(BLOCK)
    new = next((new for magic, new in _COMPRESSIONS.items() if data.startswith(magic)), None)
    if new is None:
        while data:
            yield data
            data = file.read(BLOCK)
        return
    try:
        while data:
            engine = new()
            while not engine.eof:
                chunk = engine.decompress(data, BLOCK)
                if chunk:
                    yield chunk
                elif not data and not engine.eof and engine.needs_input:
                    raise Refused("it ends too early")
                data = file.read(BLOCK) if engine.needs_input and not engine.eof else b""
            # What several processors compress are several streams, one after the other; other bytes do not count.
            data = engine.unused_data or file.read(BLOCK)
            data += file.read(_RECORD)
            if not any(data.startswith(magic) for magic, other in _COMPRESSIONS.items() if other is new):
                return
    except _BROKEN as error:
        raise Refused(f"it is broken: {error}") from error


def _check(header: bytes) -> None:
    # Old programs summed up signed bytes.
    blank = header[:148] + b" " * 8 + header[156:]
    wanted = _number(header[148:156])
    if wanted not in (sum(blank), sum(blank) - 256 * sum(byte > 127 for byte in blank)):
        raise Refused("it is no tar archive, or broken: a header has the wrong checksum")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return os.fsdecode(field.partition(b"\0")[0])


def _number(field: bytes) -> int:
    """Read a number: octal digits, or GNU's binary for large ones."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise Refused(f"it is no tar archive, or broken: {ascii(field)[1:]} is no number")
    return int(digits or b"0", 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refused(f"it is broken: {text!a} is no size")
    return int(text)


def _pax(data: bytes) -> dict[str, str]:
    """Read the records of a pax header, each `LENGTH KEY=VALUE` and a line break."""
    said: dict[str, str] = {}
    while data:
        digits, _, _ = data[:8].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = data[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or length > len(data):
            raise Refused("it is broken: a pax header cannot be read")
        said[os.fsdecode(key)] = os.fsdecode(value[:-1])
        data = data[length:]
    return said
