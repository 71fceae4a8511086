"""An S3 server that costs little: lists, describes and sends the files of one directory, as one bucket.

    python -m benchmarks.downloads_server DIRECTORY PORT [MB/S]

One connection gets no more than MB/S, if that is given, as those to a real store do. Sends with `sendfile`, whole
objects or ranges, so that a client shows what it costs itself. Answers GET and HEAD of an object and ListObjectsV2,
and checks no signature.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

_PAGE = 1000
_SLICE = 250_000  # bytes between two pauses
_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)


@dataclass(frozen=True)
class Stored:
    """One object."""

    path: str
    size: int
    modified: float

    @property
    def etag(self) -> str:
        """A version that does not read the file."""
        return hashlib.md5(f"{self.path} {self.size}".encode(), usedforsecurity=False).hexdigest()


class Bucket:
    """The files below a directory, by key."""

    def __init__(self, directory: str) -> None:
        self.objects: dict[str, Stored] = {}
        for where, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(where, name)
                status = os.stat(path)
                self.objects[os.path.relpath(path, directory)] = Stored(path, status.st_size, status.st_mtime)
        self._keys = sorted(self.objects)

    def listing(self, query: dict[str, list[str]]) -> bytes:
        """Return the answer to ListObjectsV2."""
        prefix, delimiter, after = (
            query.get(name, [""])[0] for name in ("prefix", "delimiter", "continuation-token")
        )
        page = int(query.get("max-keys", [str(_PAGE)])[0])
        found: dict[str, Stored | None] = {}  # None: a common prefix
        for key in self._keys:
            if not key.startswith(prefix):
                continue
            below, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if slash:
                found[prefix + below + slash] = None
            else:
                found[key] = self.objects[key]
        names = [name for name in found if name > after]
        parts = [_entry(name, found[name]) for name in names[:page]]
        if len(names) > page:
            parts.append(f"<NextContinuationToken>{escape(names[page - 1])}</NextContinuationToken>")
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>benchmark</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(names[:page])}</KeyCount>"
            f"<MaxKeys>{page}</MaxKeys><IsTruncated>{str(len(names) > page).lower()}</IsTruncated>"
            + "".join(parts)
            + "</ListBucketResult>"
        ).encode()


def _entry(name: str, stored: Stored | None) -> str:
    if stored is None:
        return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
    modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(stored.modified))
    return (
        f"<Contents><Key>{escape(name)}</Key><LastModified>{modified}</LastModified>"
        f"<ETag>&quot;{stored.etag}&quot;</ETag><Size>{stored.size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def _serve(connection: socket.socket, bucket: Bucket, rate: float) -> None:
    """Answer the requests of one connection, one after the other."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                try:
                    more = connection.recv(65536)
                except OSError:
                    return
                if not more:
                    return
                pending += more
            head, _, pending = pending.partition(b"\r\n\r\n")
            try:
                _answer(connection, bucket, rate, head)
            except OSError:  # the client has gone
                return


def _answer(connection: socket.socket, bucket: Bucket, rate: float, head: bytes) -> None:
    method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
    path, _, query = target.partition("?")
    key = unquote(path.lstrip("/").partition("/")[2])
    if not key:
        body = bucket.listing(parse_qs(query)) if "list-type" in query else b""
        connection.sendall(_head(200, len(body), "Content-Type: application/xml\r\n") + body)
        return
    stored = bucket.objects.get(key)
    if stored is None:
        body = b"" if method == "HEAD" else b"<Error><Code>NoSuchKey</Code><Message>No</Message></Error>"
        connection.sendall(_head(404, len(body), "Content-Type: application/xml\r\n") + body)
        return
    described = (
        f'ETag: "{stored.etag}"\r\nLast-Modified: {formatdate(stored.modified, usegmt=True)}\r\n'
        "Accept-Ranges: bytes\r\nContent-Type: binary/octet-stream\r\n"
    )
    if f'if-none-match: "{stored.etag}"'.encode() in head.lower():
        connection.sendall(_head(304, 0, described))
        return
    status, first, last = 200, 0, stored.size - 1
    if wanted := _RANGE.search(head):
        first = int(wanted[1])
        last = min(int(wanted[2] or last), last)
        status = 206
        described += f"Content-Range: bytes {first}-{last}/{stored.size}\r\n"
    connection.sendall(_head(status, last - first + 1, described))
    if method == "GET":
        with open(stored.path, "rb") as file:
            if not rate:
                connection.sendfile(file, first, last - first + 1)
                return
            begun = time.monotonic()
            for start in range(first, last + 1, _SLICE):
                connection.sendfile(file, start, min(_SLICE, last + 1 - start))
                time.sleep(max(0.0, begun + (start + _SLICE - first) / rate - time.monotonic()))


def _head(status: int, length: int, others: str) -> bytes:
    return f"HTTP/1.1 {status} -\r\n{others}Content-Length: {length}\r\n\r\n".encode()


def main() -> None:
    """Serve until killed."""
    directory, port, *rate = sys.argv[1:]
    bucket, bytes_per_second = Bucket(directory), float(rate[0]) * 1e6 if rate else 0.0
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=256)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, bucket, bytes_per_second), daemon=True).start()


if __name__ == "__main__":
    main()
