"""What a connection takes for an answer, byte for byte, over real sockets."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dioptra_cli.tracking.connection import ClosedError, Connection, LocalFailure, NotHttpError

SECONDS = 10.0
"""What nothing here takes."""


@contextmanager
def hearing(said: bytes, *, piece: int = 1 << 20, and_closes: bool = False) -> Iterator[Connection]:
    """Give a connection whose other side says something, piece by piece."""
    ours, theirs = socket.socketpair()

    def speak() -> None:
        for start in range(0, len(said), piece):
            theirs.sendall(said[start : start + piece])
        if and_closes:
            theirs.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    connection = Connection(ours)
    connection.allow(time.monotonic() + SECONDS)
    try:
        yield connection
    finally:
        connection.close()
        speaker.join()
        theirs.close()


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("said", "body", "is_reusable"),
    [
        (GOOD, b"{}", True),
        (b"HTTP/1.1 200\ncontent-length:2\n\n{}", b"{}", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + GOOD, b"{}", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}", b"{}", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", b"{}", True),
        (
            b"HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
            b"abc0123456789",
            True,
        ),
    ],
)
def test_an_answer_however_it_comes(said: bytes, body: bytes, is_reusable: bool, piece: int) -> None:
    with hearing(said + GOOD, piece=piece) as connection:
        head = connection.receive()
        assert b"".join(connection.body(head)) == body
        assert connection.is_reusable is is_reusable
        assert b"".join(connection.body(connection.receive())) == b"{}"  # nothing too much was read


def test_an_answer_that_ends_with_the_connection() -> None:
    with hearing(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, and_closes=True) as connection:
        head = connection.receive()
        assert b"".join(connection.body(head)) == b"x" * 100_000
        assert not connection.is_reusable
        with pytest.raises(ClosedError):
            connection.receive()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "does not answer as a web server does"),
        (b"HTTP/1.1 abc\r\n\r\n", "does not answer as a web server does"),
        (b"HTTP/1.1 200 OK\r\n" + b"X" * 200_000, "does not answer as a web server does"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300, "no end of headers"),
        (b"HTTP/1.1 200 OK\r\nContent-", "broke off"),
        (GOOD[:-1], "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nab", "the length of an answer as 'x'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", "unknown encoding, 'gzip'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "the length of an answer as '-1'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", "as '2, 3'"),
    ],
)
def test_what_is_no_answer(said: bytes, message: str) -> None:
    with hearing(said, and_closes=True) as connection, pytest.raises(NotHttpError, match=message):
        b"".join(connection.body(connection.receive()))


def test_a_file_is_sent_as_long_as_it_was() -> None:
    with hearing(b"") as connection, pytest.raises(LocalFailure) as caught:
        connection.send_file(b"", io.BytesIO(b"short"), 6)
    assert "shorter" in str(caught.value.error)
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection(socket.create_connection(server.getsockname()))
        theirs = server.accept()[0]
    with theirs:
        received: list[bytes] = []
        listener = threading.Thread(target=lambda: received.extend(iter(lambda: theirs.recv(1 << 20), b"")))
        listener.start()
        connection.allow(time.monotonic() + SECONDS)
        connection.send_file(b"PUT ", io.BytesIO(b"x" * 170_000 + b"grown"), 170_000)
        connection.close()
        listener.join()
    assert b"".join(received) == b"PUT " + b"x" * 170_000


def test_a_connection_that_the_server_closed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    with hearing(b"") as connection:
        assert not connection.is_lost()
        monkeypatch.setattr("dioptra_cli.tracking.connection._PAUSE", 0.0)
        assert not connection.is_lost()
    with hearing(b"", and_closes=True) as connection:
        while not connection.is_lost():
            pass
