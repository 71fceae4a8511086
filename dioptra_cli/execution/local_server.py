"""An ordinary `mlflow server` on loopback over a local store, for later runs: found, used, started, stopped.

A server has a directory, named after its store and this machine, with these files:

    lock     locked by who starts a server, and then by the process that minds it
    record   how to reach it. It is there from when the server answers until it is to end, and locked by the process
             that minds it: nothing else tells whether that lives. To take it away is the order to end. Its time of
             change is when the server was last used.
    users/   a file for each run that uses it, locked by that run
    log      what the server says; `log.1` is what came before

`find` and `use` are on the way of every run: nothing that costs time is imported before there is a server.
`process.daemon` minds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dioptra_cli.errors import DioptraError, Problem
from dioptra_cli.execution import directories

HOST = "127.0.0.1"
IDLE_TIMEOUT = 3600.0
START_TIMEOUT = 180.0
"""Seconds until a server must answer: 5 on a free machine, where MLflow is imported twice."""
STOP_TIMEOUT = 30.0
MARK = "DIOPTRA_SERVER"
"""A variable that the processes of a server have in their environment, and nobody else has with its value."""

_LOCK, _RECORD, _USERS, _LOG = "lock", "record", "users", "log"
_REMOVED = ".removed"
_POLL_SECONDS = 0.05
_PORTS_TRIED = 3
_LINES_SHOWN = 10
_LOG_DAYS = 7
# Compiled when they are needed, which takes longer than to find that there is no server.
_VERSION = r"""(?m)^VERSION\s*=\s*["']([^"']+)["']"""
# What `mlflow server` and uvicorn read beside their options (`envvar` of their click options), and what says where
# runs are recorded. All else stays: how a store is opened, credentials of artifact stores, telemetry.
_NOT_FOR_SERVERS = (
    r"MLFLOW_(HOST|PORT|WORKERS|DEFAULT_ARTIFACT_ROOT|SERVE_ARTIFACTS|ARTIFACTS_ONLY|ARTIFACTS_DESTINATION"
    r"|STATIC_PREFIX|GUNICORN_OPTS|UVICORN_OPTS|EXPOSE_PROMETHEUS|TRACE_ARCHIVAL_CONFIG|ENABLE_WORKSPACES"
    r"|(BACKEND|READ_REPLICA_BACKEND|REGISTRY|WORKSPACE)_STORE_URI|REGISTRY_URI|RUN_ID|ENV_FILE"
    r"|(SERVER|TRACKING|EXPERIMENT|WORKSPACE)(_.*)?)|_MLFLOW_.*|UVICORN_.*|GUNICORN_.*|WEB_CONCURRENCY|FORWARDED_ALLOW_IPS"
)


class ServerGone(DioptraError):
    """The server that was found has begun to end since: the store can be opened without it."""


class ServerBusy(DioptraError):
    """The server cannot be ended: runs use it, or it does not react."""


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        url: Its address, `http://127.0.0.1:PORT`: of the API, and of the web UI.
        store: The absolute path of the database.
        directory: Below its `mlruns` lie the artifacts of experiments that are made through it.
        port: Where it listens.
        pid: The process that minds it.
        started: When, in seconds since 1970.
        idle_timeout: Seconds without use after which it ends; 0 for never.
        mlflow_version: Of the server.
        python: What runs it.
        place: The directory of its files.
        mark: What its processes have in their environment.
    """

    url: str
    store: str
    directory: str
    port: int
    pid: int
    started: float
    idle_timeout: float
    mlflow_version: str
    python: str
    place: str
    mark: str

    @property
    def log(self) -> str:
        """The file with what it says."""
        return log_file(self.place)

    def is_installed(self) -> bool:
        """Return whether it runs the MLflow that is installed here."""
        return self.mlflow_version == installed_mlflow()

    def users(self) -> list[int]:
        """Return the processes whose runs use it now, one for each run."""
        return users_of(self.place)

    def last_used(self) -> float:
        """Return when it was last used, in seconds since 1970."""
        try:
            return os.stat(os.path.join(self.place, _RECORD)).st_mtime
        except OSError:  # it has just ended
            return self.started


def find(store_file: str) -> Server | None:
    """Return the server over a store, if one runs, with the MLflow that is installed here. Changes nothing.

    Args:
        store_file: The path of the database.
    """
    server = running_over(store_file)
    return server if server is not None and server.is_installed() else None


def running_over(store_file: str) -> Server | None:
    """Return the server over a store, with whatever MLflow. See `find`."""
    try:
        state = os.stat(store_file)
    except OSError:
        return None
    name = _name(state)
    for servers in directories.all_servers():
        server = _read(os.path.join(servers, name))
        with contextlib.suppress(OSError):
            # One that was moved has the same inode.
            if server is not None and os.path.samestat(os.stat(server.store), state):
                return server
    return None


@contextlib.contextmanager
def use(server: Server) -> Iterator[None]:
    """Keep a server from ending by itself for a block, as long as this process lives.

    Raises:
        ServerGone: It has begun to end since it was found. Raised before the block is entered, never from within.
    """
    users = os.path.join(server.place, _USERS)
    name = f"{os.getpid()}-{os.urandom(4).hex()}"
    aside, file = os.path.join(users, f".{name}"), os.path.join(users, name)
    try:
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _gone(server) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever sees it finds it locked. Who ends the server takes the record away first, and then looks for
            # users; we do it the other way round.
            os.rename(aside, file)
            is_there = _read(server.place) == server
        except OSError as error:
            raise _gone(server) from error
        if not is_there:
            raise _gone(server)
        yield
    finally:
        for path in (aside, file):
            with contextlib.suppress(OSError):
                os.unlink(path)
        os.close(descriptor)


def _gone(server: Server) -> ServerGone:
    return ServerGone(Problem("server-gone", f"the server at {server.url} has ended"))


def running() -> list[Server]:
    """Return every server of this user, the newest first. What dead ones have left is removed."""
    found = []
    for servers in directories.all_servers():
        for name in os.listdir(servers):
            if not name.endswith((_machine(), _REMOVED)):  # nobody here can tell whether it lives
                continue
            place = os.path.join(servers, name)
            server = _read(place)
            if server is None:
                _tidy(place)
            else:
                found.append(server)
    return sorted(found, key=lambda server: -server.started)


def start(
    store: str,
    directory: str,
    command: Callable[[int], Sequence[str]],
    environ: Mapping[str, str],
    *,
    port: int | None = None,
    idle_timeout: float = IDLE_TIMEOUT,
    timeout: float = START_TIMEOUT,
) -> tuple[Server, bool]:
    """Start a server, unless one runs over this store; it outlives us once it answers, and not before.

    Args:
        store: The absolute path of the database, which is there.
        directory: The absolute directory for the artifacts of new experiments.
        command: Returns the command of a server that listens on a given port of `HOST`; see `mlflow_command`.
        environ: Its environment; see `server_environment`.
        port: Where it has to listen; None for any.
        idle_timeout: Seconds without use after which it ends; 0 for never.
        timeout: Seconds until it must answer.

    Returns:
        The server, and whether it was started by this call.

    Raises:
        DioptraError: It does not answer, and nothing of it runs any more. Or one of another MLflow is in use.
    """
    place = os.path.join(directories.servers(), _name(os.stat(store)))
    deadline = time.monotonic() + timeout
    while True:
        server = _read(place)
        if server is not None and server.is_installed():
            return server, False
        if server is not None:
            stop(server)
        lock = _locked(place)
        if lock is not None:
            break
        if time.monotonic() > deadline:
            raise DioptraError(
                Problem(
                    "server-busy", f"another process has been starting or ending a server for {timeout:g} s"
                )
            )
        time.sleep(_POLL_SECONDS)
    try:
        _clear(place)
        for _ in range(_PORTS_TRIED):
            chosen = _free_port() if port is None else _require_free(port)
            failure = _start_once(
                place, lock, store, directory, command, environ, chosen, idle_timeout, timeout
            )
            if failure is None or port is not None or _is_free(chosen):
                break  # else, somebody has taken the port since we looked
        server = None if failure else _read(place)
        if server is None:
            raise DioptraError(
                Problem(
                    "server-failed",
                    "\n".join((f"the server {failure or 'has been ended at once'}", *_last_lines(place))),
                    hint=f"its log is {log_file(place)}",
                )
            )
        return server, True
    finally:
        os.close(lock)  # the process that minds it has it, too


def _start_once(
    place: str,
    lock: int,
    store: str,
    directory: str,
    command: Callable[[int], Sequence[str]],
    environ: Mapping[str, str],
    port: int,
    idle_timeout: float,
    timeout: float,
) -> str | None:
    """Start a server on a port that seems to be free; return why that failed, and nothing of it runs, or None."""
    import json

    from dioptra_cli.execution.process import daemon

    mark = os.urandom(16).hex()
    record = {
        "url": f"http://{HOST}:{port}",
        "store": store,
        "directory": directory,
        "port": port,
        "started": time.time(),
        "idle_timeout": idle_timeout,
        "python": sys.executable,
        "mark": mark,
    }
    os.makedirs(os.path.join(place, _USERS), mode=0o700, exist_ok=True)
    order = daemon.Order(place, store, port, idle_timeout, timeout, mark, json.dumps(record))
    return daemon.start(order, list(command(port)), {**environ, MARK: mark}, lock)


def stop(server: Server, *, force: bool = False, timeout: float = STOP_TIMEOUT) -> None:
    """End a server, and wait until it is gone.

    Args:
        server: What to end; it may have ended already.
        force: Whether to do so while runs use it.
        timeout: Seconds to wait for it.

    Raises:
        ServerBusy: Runs use it, or it does not end.
    """
    users = withdraw(server.place, force=force) if _read(server.place) == server else []
    if users:
        runs = "a run uses" if len(users) == 1 else f"{len(users)} runs use"
        raise ServerBusy(
            Problem(
                "server-in-use",
                f"{runs} the server at {server.url} (process {', '.join(map(str, users))})",
                hint="wait until they end; --force ends it, and then 'dioptra sync' delivers what they record",
            )
        )
    deadline = time.monotonic() + timeout
    while _is_minded(server.place) and _read(server.place) is None:  # a new one is nothing to wait for
        if time.monotonic() > deadline:
            raise ServerBusy(
                Problem(
                    "server-hangs",
                    f"the server at {server.url} does not end",
                    hint=f"end process {server.pid}, which minds it: it has been told to {timeout:g} s ago",
                )
            )
        time.sleep(_POLL_SECONDS)


def withdraw(place: str, *, force: bool = False) -> list[int]:
    """Order a server to end, unless it is used: no run can begin to use it from then on.

    Returns:
        The processes whose runs use it; then nothing is ordered, unless `force` is set.
    """
    record = os.path.join(place, _RECORD)
    aside = f"{record}.{os.getpid()}"
    try:
        os.rename(record, aside)
    except OSError:  # somebody else has
        return []
    users = [] if force else users_of(place)
    if users:
        os.rename(aside, record)
    else:
        os.unlink(aside)
    return users


def users_of(place: str) -> list[int]:
    """Return the processes that hold a file each; files of processes that were killed are removed."""
    directory = os.path.join(place, _USERS)
    try:
        names = [name for name in os.listdir(directory) if not name.startswith(".")]
    except OSError:
        return []
    found = []
    for name in names:
        file = os.path.join(directory, name)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(file)
            except BlockingIOError:
                found.append(int(name.partition("-")[0]))
            finally:
                os.close(descriptor)
    return sorted(found)


def publish(place: str, pid: int, version: str, record: str) -> int:
    """Let a server be found, now that it answers.

    Args:
        place: The directory of its files.
        pid: The process that minds it.
        version: What it says about its MLflow.
        record: What else is known, as JSON.

    Returns:
        A descriptor: it is found as long as that is open.
    """
    file = os.path.join(place, _RECORD)
    aside = f"{file}.new"
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, f"{pid} {version}\n{record}\n".encode())
    os.rename(aside, file)
    return descriptor


def is_published(place: str) -> bool:
    """Return whether nobody has ordered the server to end."""
    return os.path.exists(os.path.join(place, _RECORD))


def mark_used(place: str) -> None:
    """Write down that a server is used now."""
    with contextlib.suppress(OSError):
        os.utime(os.path.join(place, _RECORD))


def log_file(place: str) -> str:
    """Return where a server with these files has its log."""
    return os.path.join(place, _LOG)


def remove(place: str) -> None:
    """Remove the directory of a server. The caller has its lock."""
    import shutil

    # Whoever waits for the lock sees that it is that of a directory which is not there any more.
    gone = f"{place}.{os.urandom(4).hex()}{_REMOVED}"
    with contextlib.suppress(OSError):
        os.rename(place, gone)
        shutil.rmtree(gone, ignore_errors=True)


@cache
def installed_mlflow() -> str | None:
    """Return the version of the MLflow that this process would import, or None. Does not import it."""
    for entry in sys.path:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            with open(os.path.join(entry or os.curdir, "mlflow", "version.py"), encoding="utf-8") as file:
                found = re.search(_VERSION, file.read())
            return found[1] if found else None
    return None


def mlflow_command(uri: str, directory: str, port: int) -> list[str]:
    """Return the command of a lean MLflow server: two processes.

    What new experiments get is what a client of the store gets that works in `directory`; with the proxy for
    artifacts switched off, the store's artifacts stay files that everybody on this machine opens by their path.

    Args:
        uri: Of the store, absolute.
        directory: Absolute; artifacts of new experiments lie in `mlruns` there.
        port: On which it listens.
    """
    options = {
        "--host": HOST,
        "--port": str(port),
        "--workers": "1",
        "--backend-store-uri": uri,
        "--registry-store-uri": uri,
        "--default-artifact-root": os.path.join(directory, "mlruns"),
        # That requests are logged tells us when it was last used.
        "--uvicorn-opts": "--access-log --log-level info --timeout-graceful-shutdown 3",
    }
    flat = [part for option in options.items() for part in option]
    return [sys.executable, "-m", "mlflow", "server", *flat, "--no-serve-artifacts"]


def server_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a server: no setting for other servers makes it listen elsewhere, or serve more."""
    kept = {name: value for name, value in base.items() if not re.fullmatch(_NOT_FOR_SERVERS, name)}
    return {**kept, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def _name(store: os.stat_result) -> str:
    return f"{store.st_dev:x}-{store.st_ino:x}{_machine()}"


@cache
def _machine() -> str:
    """Return what tells this machine or container from others, which may see its files but not its ports."""
    try:
        network = os.stat("/proc/self/ns/net").st_ino
    except OSError:
        network = 0
    return f"@{os.uname().nodename}-{network:x}".replace("/", "_")


def _read(place: str) -> Server | None:
    """Return the server with these files, if it lives and is not to end."""
    try:
        with open(os.path.join(place, _RECORD), "rb", buffering=0) as file:
            if not _is_locked(file.fileno()):
                return None
            text = file.read()
    except OSError:
        return None
    import json

    try:
        head, _, body = text.decode().partition("\n")
        pid, _, version = head.partition(" ")
        content: dict[str, Any] = json.loads(body)
        return Server(**content, pid=int(pid), mlflow_version=version, place=place)
    except (ValueError, TypeError):  # of another version of dioptra
        return None


def _is_locked(descriptor: int) -> bool:
    """Return whether another one has the lock of a file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _is_minded(place: str) -> bool:
    """Return whether there is a process that has the lock of a directory: it starts a server, or minds it."""
    try:
        with open(os.path.join(place, _LOCK), "rb", buffering=0) as file:
            return _is_locked(file.fileno())
    except OSError:
        return False


def _locked(place: str) -> int | None:
    """Return a descriptor with the lock of a directory, made if need be; None if another process has the lock."""
    file = os.path.join(place, _LOCK)
    while True:
        os.makedirs(place, mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # it has just been removed
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _tidy(place: str) -> None:
    """Remove what a dead server has left; the log of one that failed stays for some days."""
    if place.endswith(_REMOVED):
        import shutil

        shutil.rmtree(place, ignore_errors=True)
        return
    lock = _locked(place)
    if lock is None:  # it starts, or ends
        return
    try:
        if _clear(place) or not _has_recent_log(place):
            remove(place)
    finally:
        os.close(lock)


def _clear(place: str) -> bool:
    """End what is left of a server whose minder was killed, and forget it. The caller has the lock.

    Returns:
        Whether there was one.
    """
    import json

    record = os.path.join(place, _RECORD)
    try:
        with open(record, encoding="utf-8") as file:
            mark = json.loads(file.read().partition("\n")[2])["mark"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, LookupError, TypeError):
        mark = None
    if mark:
        from dioptra_cli.execution.process import daemon

        daemon.kill_marked(f"{MARK}={mark}")
    with contextlib.suppress(OSError):
        os.unlink(record)
    return True


def _has_recent_log(place: str) -> bool:
    try:
        return time.time() - os.stat(os.path.join(place, _LOG)).st_mtime < _LOG_DAYS * 86400
    except OSError:
        return False


def _last_lines(place: str) -> list[str]:
    try:
        with open(os.path.join(place, _LOG), encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip() for line in file if line.strip()]
    except OSError:
        return []
    return [f"  {line}" for line in lines[-_LINES_SHOWN:]]


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        # As servers do: connections of an earlier one that are not quite over do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _require_free(port: int) -> int:
    if not _is_free(port):
        raise DioptraError(
            Problem(
                "port-in-use",
                f"port {port} of {HOST} cannot be listened on: another program uses it, or it is reserved",
                hint="name another one, or none",
            )
        )
    return port
