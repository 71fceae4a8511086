"""The process that minds a local server, and ends with it: `python -m` this module.

It outlives the command that starts it, holds the lock that says that the server lives, and knows from what the
server logs when it was used. It ends it when nobody has used it for long, when its store is not there any more, and
when its record is taken away. `execution.local_server` owns the files. Imports no more than that: it stays for hours.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess  # noqa: TID251 -- this package is where child processes are started
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dioptra_cli.execution import local_server
from dioptra_cli.execution.process.group import ProcessGroup
from dioptra_cli.execution.process.keeper import Keeper

GRACE = 8.0
"""Seconds from SIGTERM to SIGKILL: the server finishes the requests that it has, for 3 seconds at most."""

_READY = b"ready\n"
_STARTING_SECONDS, _TICK_SECONDS = 0.1, 0.5
_ASK_SECONDS = 2.0
_LARGEST_LOG = 1_000_000
_LONGEST_LINE = 64 * 1024
_REQUEST = re.compile(rb'"[A-Z]+ (/\S*) HTTP/\d(?:\.\d)?" \d{3}')
"""What uvicorn logs of a request: https://uvicorn.dev/settings/#logging"""
_NO_USE = re.compile(rb"/(?:health|version)(?:\?|$)")


class Order(NamedTuple):
    """What to mind.

    Attributes:
        place: The directory of the server's files, which holds its log and is where it works.
        store: The file without which it has to end.
        port: Where it listens.
        idle_timeout: Seconds without use after which it ends; 0 for never.
        timeout: Seconds until it must answer.
        mark: The value of a variable in its environment that nobody else has.
        record: What is to be published when it answers.
    """

    place: str
    store: str
    port: int
    idle_timeout: float
    timeout: float
    mark: str
    record: str


def start(order: Order, command: Sequence[str], environ: Mapping[str, str], lock: int) -> str | None:
    """Start a server and the process that minds it, and wait until it answers. If we are ended before, so are they.

    Args:
        order: What to mind.
        command: The server.
        environ: Of both.
        lock: A descriptor that the process keeps open as long as it lives.

    Returns:
        None when it answers; else, how it failed, such as `has ended with exit code 1`.
    """
    log = os.open(
        local_server.log_file(order.place), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600
    )
    try:
        minder = subprocess.Popen(
            [sys.executable, "-m", __name__, str(lock), *map(str, order), *command],
            cwd=order.place,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
        )
    except OSError as error:
        return f"could not be started: {error.strerror or error}"
    finally:
        os.close(log)
    assert minder.stdout is not None
    with minder.stdout as reports:
        try:
            report = reports.read(len(_READY))
            if report == _READY:
                minder.returncode = 0  # nobody waits for it: it is to outlive us
                return None
            reason = (report + reports.read()).decode(errors="replace").strip()
            minder.wait()
        except BaseException:
            minder.terminate()
            minder.wait()
            raise
    return reason or "was ended before it answered"


def kill_marked(mark: str) -> None:
    """End every process that has an entry in its environment. Only where there is `/proc`."""
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):  # it has ended, or is somebody else's
                with open(f"/proc/{name}/environ", "rb") as file:
                    is_marked = mark.encode() in file.read().split(b"\0")
                if is_marked:
                    os.kill(int(name), signal.SIGKILL)


class _Ended(Exception):
    """The server is to end, or has ended.

    Attributes:
        failure: What went wrong, if something did.
    """

    def __init__(self, failure: str | None = None) -> None:
        super().__init__(failure)
        self.failure = failure


class _Minder:
    """Minds one server, from its first second on.

    Args:
        order: What to mind.
        server: It.
    """

    def __init__(self, order: Order, server: subprocess.Popen[bytes]) -> None:
        assert server.stdout is not None
        self._order = order
        self._server = server
        self._output = server.stdout.fileno()
        os.set_blocking(self._output, False)
        self._rest = b""
        self._log_size = os.fstat(2).st_size
        self._has_heard = False  # whether the server has logged a request of ours
        self._used = time.monotonic()
        self._told_used = self._used
        # As long as it is open, no other file can have its inode.
        self._store = os.open(order.store, os.O_RDONLY | os.O_CLOEXEC)
        self._waking, waker = os.pipe()
        os.set_blocking(self._waking, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self._poll = select.poll()
        for descriptor in (self._output, self._waking):
            self._poll.register(descriptor, select.POLLIN)
        self._told_to_end = False
        for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
            signal.signal(signum, lambda *_: None)  # not ignored, which the server would inherit
        signal.signal(signal.SIGTERM, self._end)

    def bring_up(self) -> None:
        """Wait until the server answers, then tell who waits for it.

        Raises:
            _Ended: It does not, or nobody waits any more.
        """
        self._poll.register(1, 0)  # an event without being asked for: nobody reads our report any more
        deadline = time.monotonic() + self._order.timeout
        # That something answers at the port does not mean that it is our server: ours has logged what we asked for.
        while not self._has_heard:
            if time.monotonic() > deadline:
                raise _Ended(f"did not answer within {self._order.timeout:g} s")
            _ask(self._order.port, f"/health?{self._order.mark}")
            self._wait(_STARTING_SECONDS)
        version = _ask(self._order.port, "/version")
        if version is None or not version.strip():
            raise _Ended("does not tell its version")
        self._poll.unregister(1)
        self._record = local_server.publish(
            self._order.place, os.getpid(), version.decode(errors="replace").strip(), self._order.record
        )
        with contextlib.suppress(BrokenPipeError):
            os.write(1, _READY)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.close(silence)
            return
        raise _Ended

    def mind(self) -> None:
        """Wait until the server is to end.

        Raises:
            _Ended: It is.
        """
        place, idle_timeout = self._order.place, self._order.idle_timeout
        while True:
            left = idle_timeout - (time.monotonic() - self._used) if idle_timeout else _TICK_SECONDS
            self._wait(min(max(left, _STARTING_SECONDS), _TICK_SECONDS))
            if local_server.users_of(place):
                self._used = time.monotonic()
            if self._used > self._told_used:
                self._told_used = time.monotonic()
                local_server.mark_used(place)
            if not self._is_store_there():
                raise _Ended
            if not local_server.is_published(place):
                # Who finds that it is used puts it back.
                time.sleep(_STARTING_SECONDS)
                if not local_server.is_published(place):
                    raise _Ended
            if idle_timeout and time.monotonic() - self._used >= idle_timeout:
                if not local_server.withdraw(place):
                    raise _Ended
                self._used = time.monotonic()

    def finish(self) -> None:
        """Write down the last that the server has said."""
        self._read()
        self._write(self._rest)

    def _end(self, *_: object) -> None:
        self._told_to_end = True

    def _wait(self, seconds: float) -> None:
        for descriptor, event in self._poll.poll(seconds * 1000):
            if descriptor == self._waking:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._waking, 4096)
            elif descriptor == self._output:
                self._read()
                if event & select.POLLHUP and not event & select.POLLIN:
                    self._poll.unregister(self._output)
            else:
                raise _Ended
        if self._told_to_end:
            raise _Ended
        code = self._server.poll()
        if code is not None:
            raise _Ended(f"was killed by signal {-code}" if code < 0 else f"has ended with exit code {code}")

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._output, 65536):
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                for line in lines:
                    self._hear(line)
                if len(self._rest) > _LONGEST_LINE:
                    self._write(self._rest)
                    self._rest = b""

    def _hear(self, line: bytes) -> None:
        request = _REQUEST.search(line)
        if request is None:
            self._write(line + b"\n")
        elif _NO_USE.match(request[1]):
            self._has_heard = self._has_heard or self._order.mark.encode() in request[1]
        else:
            self._used = time.monotonic()

    def _write(self, text: bytes) -> None:
        """Add to the log, which is our standard error; it is begun anew when it gets long."""
        with contextlib.suppress(OSError):  # no room
            if self._log_size > _LARGEST_LOG:
                log = local_server.log_file(self._order.place)
                os.rename(log, f"{log}.1")
                fresh = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(fresh, 2)
                os.close(fresh)
                self._log_size = 0
            self._log_size += os.write(2, text)

    def _is_store_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._order.store), os.fstat(self._store))
        except OSError:
            return False


def _ask(port: int, path: str) -> bytes | None:
    """Return the body of what listens at a port answers, or None if it does not say 200."""
    request = f"GET {path} HTTP/1.0\r\nHost: {local_server.HOST}:{port}\r\n\r\n".encode()
    answer = b""
    try:
        with socket.create_connection((local_server.HOST, port), timeout=_ASK_SECONDS) as connection:
            connection.sendall(request)
            while len(answer) < _LONGEST_LINE and (chunk := connection.recv(4096)):
                answer += chunk
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if re.match(rb"HTTP/1\.\d 200\b", head) else None


def _stop(server: subprocess.Popen[bytes]) -> None:
    group = ProcessGroup(server.pid)
    group.send(signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while server.poll() is None or group.is_alive():
        if time.monotonic() > deadline:
            group.send(signal.SIGKILL)
            server.wait()
            return
        time.sleep(0.02)


def _main(arguments: Sequence[str]) -> None:
    lock, place, store, port, idle_timeout, timeout, mark, record, *command = arguments
    os.set_inheritable(int(lock), False)
    order = Order(place, store, int(port), float(idle_timeout), float(timeout), mark, record)
    failure: str | None = None
    with Keeper(f"{local_server.MARK}={mark}") as keeper:
        try:
            server = subprocess.Popen(
                command,
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            os.write(1, f"could not be started: {error.strerror or error}".encode())
            return
        keeper.watch(server.pid, GRACE)
        try:
            minder = _Minder(order, server)
            try:
                minder.bring_up()
                minder.mind()
            except _Ended as ended:
                failure = ended.failure
        finally:
            # Whatever comes now: no run begins to use it, and nothing of it stays.
            local_server.withdraw(place, force=True)
            _stop(server)
        minder.finish()
    if failure is None:
        local_server.remove(place)
        return
    with contextlib.suppress(OSError):
        os.write(2, f"the server {failure}\n".encode())
        os.write(1, failure.encode())


if __name__ == "__main__":
    _main(sys.argv[1:])
