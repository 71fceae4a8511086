"""`dioptra_cli.execution.process` against real children, most of them badly behaved, and real terminals."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import random
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.errors import ExitCode, LaunchError
from dioptra_cli.execution.process import (
    End,
    Event,
    Grace,
    Interrupted,
    Outcome,
    SignalGuard,
    capture,
    interruptible,
    run_child,
    signal_name,
)
from dioptra_cli.execution.process.group import ProcessGroup
from dioptra_cli.execution.process.signals import SAME_REQUEST
from dioptra_cli.execution.process.usage import Meter

DRIVER = str(Path(__file__).with_name("process_driver.py"))
ROOT = str(Path(__file__).parents[2])
PATIENCE = 60.0
PYTHON = f"{shlex.quote(sys.executable)} -S -E -u"

SLEEPER = """
import os, time
open("ready.part", "w").write(str(os.getpid()))
os.rename("ready.part", "ready")
time.sleep(300)
"""

STUBBORN = (
    """
import os, signal, time
for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(signum, signal.SIG_IGN)
"""
    + SLEEPER
)

GRACEFUL = (
    """
import os, signal, sys, time
def stop(signum, frame):
    signal.signal(signum, signal.SIG_DFL)
    time.sleep(0.6)
    print("cleaned up after", signum)
    sys.exit(7)
for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(signum, stop)
"""
    + SLEEPER
)

READY = "until [ -e ready ]; do sleep 0.01; done"


def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain for {what}")
        time.sleep(0.01)


def waiting(descriptor: int) -> int:
    """How many bytes wait to be read."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.parent.parent.exists() or stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_running(command: str) -> bool:
    """Whether any process has this in its command line."""
    found = capture(["pgrep", "-f", command], timeout=PATIENCE)
    assert found is not None
    return found.stdout != b""


def members(pgid: int) -> list[str]:
    """The command lines of the processes of a group that still run."""
    found = capture(["ps", "-e", "-o", "pgid=,stat=,args="], timeout=PATIENCE)
    assert found is not None
    lines = [line.split(None, 2) for line in found.stdout.decode(errors="replace").splitlines()]
    return [line[2] for line in lines if int(line[0]) == pgid and line[1][0] not in "ZX"]


def keepers(dioptra: int) -> list[int]:
    """The processes that watch over the child of a dioptra."""
    found = capture(["ps", "-e", "-o", "ppid=,pid=,args="], timeout=PATIENCE)
    assert found is not None
    lines = [line.split(None, 2) for line in found.stdout.decode(errors="replace").splitlines()]
    return [int(line[1]) for line in lines if int(line[0]) == dioptra and "trap ''" in line[2]]


def unique_sleep() -> str:
    """A command that sleeps for long, and can be told from every other one."""
    return f"sleep 300.{uuid.uuid4().int % 10**12}"


def run(directory: Path, command: str, guard: SignalGuard, **options: Any) -> Outcome:
    return run_child(["bash", "-c", command], cwd=str(directory), env=os.environ, guard=guard, **options)


class Driver:
    """A process that runs one command by `run_child`, in a directory of its own."""

    def __init__(
        self, directory: Path, command: str | list[str], script: str | None = None, **options: Any
    ) -> None:
        self.directory = directory
        streams = {name: options.pop(name) for name in ("stdin", "stdout", "stderr") if name in options}
        if script is not None:
            (directory / "child.py").write_text(script)
        argv = ["bash", "-c", command] if isinstance(command, str) else command
        logs = {name: str(directory / name) for name in ("stdout_log", "stderr_log")}
        self.argv = [
            sys.executable,
            DRIVER,
            json.dumps({"argv": argv, "cwd": str(directory), **logs, **options}),
        ]
        self.process = subprocess.Popen(
            self.argv,
            stdin=streams.get("stdin", subprocess.DEVNULL),
            stdout=streams.get("stdout", subprocess.PIPE),
            stderr=streams.get("stderr", subprocess.PIPE),
            env={**os.environ, "PYTHONPATH": ROOT},
            start_new_session=True,
        )
        self.stdout = b""
        self.stderr = b""

    def wait_for_file(self, name: str) -> str:
        path = self.directory / name
        wait_until(lambda: path.exists() or self.process.poll() is not None, name)
        return path.read_text()

    def wait_for_child(self) -> int:
        """The process id of the child that says it is ready."""
        return int(self.wait_for_file("ready"))

    def events(self) -> list[str]:
        path = self.directory / "events"
        return path.read_text().split() if path.exists() else []

    def send_until(self, signum: int, condition: Callable[[], Any]) -> None:
        """Send a signal, and again where it counted as an echo of an earlier one."""
        sent = 0.0

        def is_done() -> bool:
            nonlocal sent
            if condition():
                return True
            if time.monotonic() - sent > 1.5 * SAME_REQUEST:
                self.process.send_signal(signum)
                sent = time.monotonic()
            return False

        wait_until(is_done, f"the effect of {signal_name(signum)}")

    def finish(self) -> dict[str, Any]:
        """Wait for the end, and return the outcome."""
        self.stdout, self.stderr = self.process.communicate(timeout=PATIENCE)
        outcome: dict[str, Any] = json.loads((self.directory / "outcome").read_text())
        assert outcome["handlers_restored"]
        assert self.process.returncode == outcome["exit_code"], self.stderr
        return outcome

    def log(self, name: str = "stdout_log") -> bytes:
        return (self.directory / name).read_bytes()


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def start(*args: Any, **options: Any) -> Driver:
        directory = tmp_path / str(len(drivers))
        directory.mkdir()
        drivers.append(Driver(directory, *args, **options))
        return drivers[-1]

    yield start
    for driver in drivers:
        ready = driver.directory / "ready"
        for pid in (driver.process.pid, int(ready.read_text()) if ready.exists() else 0):
            with contextlib.suppress(ProcessLookupError):
                if pid:
                    os.killpg(os.getpgid(pid), signal.SIGKILL)
        driver.process.wait()
        for stream in (driver.process.stdout, driver.process.stderr):
            if stream is not None:
                stream.close()


Drive = Callable[..., Driver]


# How it ends.


@pytest.mark.parametrize(
    ("command", "end", "exit_code"),
    [
        ("true", "exited", 0),
        ("exit 3", "exited", 3),
        ("exit 255", "exited", 255),
        ("kill -TERM $$", "signaled", 143),
        ("kill -KILL $$", "signaled", 137),
        ("kill -SEGV $$", "signaled", 139),
        ("kill -INT $$", "signaled", 130),
        ("no-such-command", "exited", 127),
        ("/", "exited", 126),
    ],
)
def test_the_exit_code_is_that_of_a_shell(drive: Drive, command: str, end: str, exit_code: int) -> None:
    outcome = drive(command).finish()
    assert (outcome["end"], outcome["exit_code"]) == (end, exit_code)
    assert outcome["returncode"] == (exit_code if end == "exited" else 128 - exit_code)
    assert not outcome["leftovers_stopped"]
    assert outcome["events"] == []
    assert outcome["pending"] is None


def test_a_child_without_leftovers_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEFTOVER_QUIET", "LEFTOVER_LIMIT", "LEFTOVER_POLL"):
        monkeypatch.setattr(f"dioptra_cli.execution.process.child.{name}", 1e6)  # any wait would be for ever
    with SignalGuard() as guard:
        assert [run(tmp_path, "true", guard).exit_code for _ in range(20)] == [0] * 20


def test_one_guard_serves_many_children_and_leaks_no_descriptor(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/dev/fd"))

    with SignalGuard() as guard:
        run(tmp_path, "true", guard)
        before = descriptors()
        codes = [run(tmp_path, f"exit {code}", guard, stdout_log=str(tmp_path / "log")) for code in range(20)]
        assert descriptors() == before
    assert [outcome.exit_code for outcome in codes] == list(range(20))


def test_a_silent_leftover_that_ends_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dioptra_cli.execution.process.child.LEFTOVER_QUIET", 1e6)
    with SignalGuard() as guard:
        outcome = run(tmp_path, "(sleep 0.3; touch done) >/dev/null 2>&1 &", guard)
    assert (tmp_path / "done").exists()
    assert not outcome.leftovers_stopped


@pytest.mark.parametrize(("mode", "exit_code"), [(None, 127), (0o644, 126)])
def test_a_program_that_cannot_be_started(tmp_path: Path, mode: int | None, exit_code: int) -> None:
    program = tmp_path / "program"
    if mode is not None:
        program.write_text("#!/bin/sh\n")
        program.chmod(mode)
    with SignalGuard() as guard:
        outcome = run_child([str(program)], cwd=str(tmp_path), env={}, guard=guard)
    assert outcome.end is End.NOT_STARTED
    assert outcome.exit_code == exit_code
    assert outcome.error is not None
    assert outcome.error.errno == (errno.ENOENT if mode is None else errno.EACCES)


def test_a_command_too_long_for_the_system_is_reported(tmp_path: Path) -> None:
    with SignalGuard() as guard:
        outcome = run_child(["true", "x" * (1 << 23)], cwd=str(tmp_path), env=os.environ, guard=guard)
    assert (outcome.end, outcome.exit_code) == (End.NOT_STARTED, 126)


def test_a_missing_working_directory_is_an_error(tmp_path: Path) -> None:
    with SignalGuard() as guard, pytest.raises(LaunchError, match=r"cannot run in .*No such file") as error:
        run(tmp_path / "gone", "true", guard)
    assert error.value.exit_code == ExitCode.FAILED


def test_a_nul_byte_is_an_error(tmp_path: Path) -> None:
    with SignalGuard() as guard, pytest.raises(LaunchError, match="null byte"):
        run(tmp_path, "echo \0", guard)


def test_the_child_gets_directory_environment_and_stdin(drive: Drive) -> None:
    read, write = os.pipe()
    driver = drive('read -r line; echo "$PWD $WHO $line"', env={"WHO": "me"}, stdin=read)
    os.close(read)
    os.write(write, b"typed\n")
    os.close(write)
    driver.finish()
    assert driver.stdout.decode() == f"{driver.directory} me typed\n"


# Output.


def test_streams_stay_apart_and_arrive_untouched(drive: Drive) -> None:
    data = bytes(range(256)) + b"\r\n\x1b[31m no newline at the end"
    script = f"import os; os.write(1, {data!r}); os.write(2, {data[::-1]!r})"
    driver = drive(f"exec {PYTHON} child.py", script)
    driver.finish()
    assert driver.stdout == driver.log() == data
    assert driver.stderr == driver.log("stderr_log") == data[::-1]


def test_partial_lines_appear_at_once(drive: Drive) -> None:
    steps = (
        "for step in a b c; do printf $step; printf $step >&2; until [ -e $step ]; do sleep 0.01; done; done"
    )
    driver = drive(steps)
    assert driver.process.stdout is not None
    assert driver.process.stderr is not None
    for step in ("a", "b", "c"):
        for stream in (driver.process.stdout, driver.process.stderr):
            assert os.read(stream.fileno(), 10).decode() == step
        (driver.directory / step).touch()
    driver.finish()
    assert driver.log() == driver.log("stderr_log") == b"abc"


def test_much_output_on_both_streams_is_complete(drive: Drive) -> None:
    script = """
import os, threading
def write(fd, seed):
    block = bytes((seed * i * i + i) % 251 for i in range(99991))
    for _ in range(525):
        view = memoryview(block)
        while view:
            view = view[os.write(fd, view):]
threads = [threading.Thread(target=write, args=(fd, fd + 2)) for fd in (1, 2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    digests = {}
    driver = drive(f"exec {PYTHON} child.py", script)
    driver.finish()
    for fd, output, log in ((1, driver.stdout, "stdout_log"), (2, driver.stderr, "stderr_log")):
        block = bytes(((fd + 2) * i * i + i) % 251 for i in range(99991))
        digests[fd] = hashlib.sha256(block * 525).hexdigest()
        assert hashlib.sha256(output).hexdigest() == digests[fd]
        assert hashlib.sha256(driver.log(log)).hexdigest() == digests[fd]


def test_a_file_as_our_stdout(drive: Drive, tmp_path: Path) -> None:
    with open(tmp_path / "output", "wb") as file:
        drive("head -c 3000000 /dev/zero; echo end", stdout=file).finish()
    assert (tmp_path / "output").read_bytes() == bytes(3000000) + b"end\n"


def test_both_streams_into_one_pipe(drive: Drive) -> None:
    driver = drive("head -c 300000 /dev/zero & head -c 300000 /dev/zero >&2; wait", stderr=subprocess.STDOUT)
    driver.finish()
    assert driver.stdout == bytes(600000)


def test_a_non_blocking_stdout_loses_nothing(drive: Drive) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    driver = drive("head -c 1000000 /dev/zero; echo end", stdout=write)
    os.close(write)
    chunks = []
    while chunk := os.read(read, 1000):
        chunks.append(chunk)
    os.close(read)
    driver.finish()
    assert b"".join(chunks) == bytes(1000000) + b"end\n"


def test_a_reader_that_pauses_after_the_child_ended_gets_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like `| less`: the pause is longer than what is granted to processes left behind."""
    monkeypatch.setattr("dioptra_cli.execution.process.child.LEFTOVER_QUIET", 0.2)
    monkeypatch.setattr("dioptra_cli.execution.process.child.LEFTOVER_LIMIT", 0.4)
    log = tmp_path / "log"
    command = "head -c 250000 /dev/zero > >(cat)"  # the shell ends, and `cat` waits for us
    with subprocess.Popen(["bash", "-c", f"sleep 1; cat > {tmp_path}/read"], stdin=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        with SignalGuard() as guard:
            sink = reader.stdin.fileno()
            outcome = run(tmp_path, command, guard, stdout_to=sink, stdout_log=str(log))
    assert outcome.log_error is None
    assert (tmp_path / "read").read_bytes() == log.read_bytes() == bytes(250000)


def test_a_reader_that_never_reads_does_not_keep_signals_from_the_child(drive: Drive) -> None:
    read, write = os.pipe()
    script = GRACEFUL.replace('print("cleaned up after", signum)', "").replace(
        "time.sleep(300)", "\nwhile True: os.write(1, bytes(100000))"
    )
    driver = drive(f"exec {PYTHON} child.py", script, stdout=write)
    os.close(write)
    pid = driver.wait_for_child()
    driver.process.send_signal(signal.SIGINT)
    wait_until(lambda: not is_alive(pid), "the end of the child")
    driver.send_until(signal.SIGINT, lambda: driver.process.poll() is not None)
    outcome = driver.finish()
    os.close(read)
    assert (outcome["end"], outcome["returncode"], outcome["exit_code"]) == ("interrupted", 7, 130)
    assert "never read" in outcome["log_error"]


def test_a_reader_that_never_reads_does_not_keep_the_timeout_from_the_child(drive: Drive) -> None:
    read, write = os.pipe()
    driver = drive("echo odd; yes", stdout=write, timeout=0.5, grace=(0.2, 0.2))
    os.close(write)
    outcome = driver.finish()
    os.close(read)
    assert outcome["exit_code"] == 124


def test_a_closed_reader_ends_the_child_as_it_would_alone(drive: Drive) -> None:
    driver = drive("yes", stdout=subprocess.PIPE)
    assert driver.process.stdout is not None
    assert os.read(driver.process.stdout.fileno(), 100)
    driver.process.stdout.close()
    driver.process.stdout = None
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"]) == ("signaled", 128 + signal.SIGPIPE)
    assert outcome["output_error"] is None
    assert driver.log().startswith(b"y\ny\n")
    assert driver.stderr == b""


def test_a_closed_stdout_does_not_touch_stderr(drive: Drive) -> None:
    read, write = os.pipe()
    driver = drive("trap '' PIPE; until ! echo out; do :; done 2>/dev/null; echo err >&2", stdout=write)
    os.close(write)
    os.close(read)
    assert driver.finish()["exit_code"] == 0
    assert driver.stderr == b"err\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("size", [5, 1000000])
def test_output_on_a_full_disk_is_reported_and_logged(drive: Drive, size: int) -> None:
    with open("/dev/full", "wb") as full:
        driver = drive(f"set -o pipefail; head -c {size} /dev/zero; echo end >&2", stdout=full)
        outcome = driver.finish()
    assert (outcome["exit_code"], outcome["output_error"]) == (0, "No space left on device")
    assert driver.log() == bytes(size)
    assert (driver.stderr, outcome["log_error"]) == (b"end\n", None)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_log_on_a_full_disk_does_not_hurt_the_child(drive: Drive) -> None:
    driver = drive("head -c 1000000 /dev/zero; echo end >&2", stdout_log="/dev/full")
    outcome = driver.finish()
    assert outcome["exit_code"] == 0
    assert "No space left" in outcome["log_error"]
    assert len(driver.stdout) == 1000000
    assert driver.log("stderr_log") == b"end\n"


def test_a_log_beyond_the_file_size_limit_keeps_its_beginning(drive: Drive) -> None:
    driver = drive("head -c 100001 /dev/zero", file_size=100000)
    outcome = driver.finish()
    assert outcome["exit_code"] == 0
    assert outcome["log_error"] is not None
    assert len(driver.stdout) == 100001
    assert driver.log() == bytes(100000)


def test_a_log_that_cannot_be_opened_is_reported(drive: Drive) -> None:
    driver = drive("echo out", stdout_log="/no/such/directory/log")
    outcome = driver.finish()
    assert (outcome["exit_code"], driver.stdout) == (0, b"out\n")
    assert "/no/such/directory/log" in outcome["log_error"]


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory is read from /proc")
def test_memory_does_not_grow_with_the_output(drive: Drive) -> None:
    peaks = []
    for megabytes in (4, 200):
        driver = drive(f"head -c {megabytes}000000 /dev/zero", stdout=subprocess.DEVNULL)
        peaks.append(driver.finish()["peak"])
        assert os.path.getsize(driver.directory / "stdout_log") == megabytes * 10**6
    assert peaks[1] - peaks[0] < 2048


@pytest.mark.skipif(sys.platform != "linux", reason="a call that only Linux has")
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_pipe_of_an_older_system_gets_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    calls = []

    def refuse(*arguments: object) -> int:
        calls.append(arguments)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwritev", refuse)
    with (
        subprocess.Popen(["bash", "-c", f"cat > {tmp_path}/read"], stdin=subprocess.PIPE) as reader,
        SignalGuard() as guard,
    ):
        assert reader.stdin is not None
        run(tmp_path, "seq 200000", guard, stdout_to=reader.stdin.fileno(), stderr_to=1)
    assert (tmp_path / "read").read_bytes() == b"".join(b"%d\n" % number for number in range(1, 200001))
    assert len(calls) == 1


def test_secrets_are_kept_from_the_logs_alone(drive: Drive) -> None:
    script = """
import os, time
def write(text, until):
    os.write(1, text)
    while not os.path.exists(until): time.sleep(0.01)
write(b"\\xff one sesame two ses", "a")
write(b"ame three open", "b")
os.write(2, b"sesame")
os.write(1, b" sesa")
"""
    driver = drive(f"exec {PYTHON} child.py", script, secrets=["sesame"])
    log = driver.directory / "stdout_log"
    for expected, step in ((b"\xff one *** two ", "a"), (b"\xff one *** two *** three open", "b")):
        wait_until(lambda: log.exists() and log.read_bytes() == expected, f"{expected!r}")  # noqa: B023
        (driver.directory / step).touch()
    driver.finish()
    assert driver.stdout == b"\xff one sesame two sesame three open sesa"
    assert driver.log() == b"\xff one *** two *** three open sesa"
    assert (driver.stderr, driver.log("stderr_log")) == (b"sesame", b"***")


@pytest.mark.parametrize(
    ("command", "exit_code"), [("exit 7", 7), ("kill -TERM $$", 143), ("no-such-one", 127)]
)
def test_without_capture_the_child_has_our_own_descriptors(
    drive: Drive, tmp_path: Path, command: str, exit_code: int
) -> None:
    script = "import os; print(*(os.fstat(fd).st_ino for fd in (1, 2)))"
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        driver = drive(f"{PYTHON} child.py; {command}", script, capture=False, stdout=out, stderr=err)
        assert driver.finish()["exit_code"] == exit_code
        inodes = [os.fstat(file.fileno()).st_ino for file in (out, err)]
    assert (tmp_path / "out").read_text().split() == [str(inode) for inode in inodes]
    assert not (driver.directory / "stdout_log").exists()


def test_without_capture_the_child_has_the_terminal_itself(drive_on: Drive, terminal: Terminal) -> None:
    script = "import os\nprint(os.ttyname(1), os.ttyname(2))" + GRACEFUL
    driver = drive_on(f"{PYTHON} child.py; echo after", script, capture=False)
    pid = driver.wait_for_child()
    name = os.ttyname(terminal.slave).encode()
    terminal.wait_for(name + b" " + name)
    terminal.type(b"\x03")
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"], is_alive(pid)) == ("interrupted", 130, False)
    terminal.wait_for(b"cleaned up after 2")


@pytest.mark.parametrize("script", [SLEEPER, STUBBORN], ids=["sleeper", "stubborn"])
def test_without_capture_what_is_left_behind_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr("dioptra_cli.execution.process.child.LEFTOVER_LIMIT", 0.2)
    (tmp_path / "child.py").write_text(script)
    command = f"{PYTHON} child.py & until [ -e ready ]; do sleep 0.01; done; exit 4"
    with SignalGuard() as guard:
        outcome = run(tmp_path, command, guard, capture=False, grace=Grace(0.2, 0.2))
    assert (outcome.exit_code, outcome.leftovers_stopped) == (4, True)
    assert not is_alive(int((tmp_path / "ready").read_text()))


# What it took.


def test_what_the_child_took(drive: Drive) -> None:
    script = """
import os, time
if os.fork() == 0:
    data = b"x" * 150_000_000
    while time.process_time() < 0.3: pass
    os._exit(0)
os.wait()
"""
    outcome = drive(f"{PYTHON} child.py; true", script).finish()
    assert 0.3 <= outcome["cpu_seconds"] < PATIENCE
    assert 150e6 < outcome["peak_memory"] < 250e6
    outcome = drive("no-such-program").finish()
    assert outcome["cpu_seconds"] < 0.3
    with SignalGuard() as guard:
        nothing = run_child(["no-such-program"], cwd="/", env={}, guard=guard)
    assert (nothing.cpu_seconds, nothing.peak_memory) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells it")
@pytest.mark.parametrize("look", [True, False])
def test_the_memory_of_a_child_is_not_that_of_its_parent(tmp_path: Path, look: bool) -> None:
    ours = b"x" * 200_000_000
    script = "data = b'x' * 60_000_000; open('ready', 'w').close(); input()"
    argv = [sys.executable, "-S", "-E", "-c", script]
    with subprocess.Popen(argv, cwd=tmp_path, stdin=subprocess.PIPE, start_new_session=True) as child:
        meter = Meter(child, ProcessGroup(child.pid))
        wait_until((tmp_path / "ready").exists, "the child")
        if look:
            meter.due = 0.0
            meter.look()
        assert meter.reap() is None
        assert child.stdin is not None
        child.stdin.close()
        wait_until(lambda: not is_alive(child.pid), "the end of the child")
        usage = meter.reap()
    assert len(ours) == 200_000_000
    assert usage is not None
    peak = usage.peak_memory
    assert (peak is not None and 60e6 < peak < 150e6) if look else peak is None


# dioptra itself is killed.


SUSPENDED = SLEEPER.replace("time.sleep(300)", "import signal; os.kill(0, signal.SIGSTOP); time.sleep(300)")
DEAF_WRITER = STUBBORN.replace(
    "time.sleep(300)",
    """
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
while True:
    try: os.write(1, b"more")
    except OSError: time.sleep(0.01)
""",
)


@pytest.mark.parametrize(
    ("command", "script"),
    [
        pytest.param(f"exec {PYTHON} child.py", SLEEPER, id="simple"),
        pytest.param(f"{PYTHON} child.py; echo after", SLEEPER, id="compound"),
        pytest.param(f"{PYTHON} child.py; echo after", STUBBORN, id="stubborn"),
        pytest.param(f"{PYTHON} child.py | cat | cat", STUBBORN, id="pipeline"),
        pytest.param(f"{PYTHON} child.py; echo after", SUSPENDED, id="suspended"),
        pytest.param(f"({PYTHON} child.py &); {READY}; sleep 300", STUBBORN, id="parent exits"),
        pytest.param(f"{PYTHON} child.py & {READY}; exec >&- 2>&-; sleep 300", DEAF_WRITER, id="writer"),
        pytest.param(f"exec {PYTHON} child.py >&- 2>&-", STUBBORN, id="no output"),
    ],
)
def test_a_killed_dioptra_leaves_nothing_of_its_child(drive: Drive, command: str, script: str) -> None:
    driver = drive(command, script, grace=(300, 0.3), stdout=subprocess.DEVNULL)
    pgid = os.getpgid(driver.wait_for_child())
    (keeper,) = keepers(driver.process.pid)
    assert os.getsid(keeper) == keeper
    driver.process.kill()
    wait_until(lambda: not members(pgid), "the end of the child")
    wait_until(lambda: not is_alive(keeper), "the end of the keeper")


OWN_GROUP = "import os; os.setpgid(0, 0)"
NAMED = """
import ctypes, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(15, b"a) S 1\\n(b", 0, 0, 0)
"""

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="sessions are seen in /proc")
other_groups = pytest.mark.parametrize(
    ("command", "script"),
    [
        pytest.param(f"timeout 300 {PYTHON} child.py; echo after", SLEEPER, id="timeout"),
        pytest.param(f"set -m; {PYTHON} child.py & wait", SLEEPER, id="job control"),
        pytest.param(f"{PYTHON} child.py; echo after", OWN_GROUP + SLEEPER, id="setpgid"),
        pytest.param(f"({PYTHON} child.py &); {READY}; sleep 300", OWN_GROUP + NAMED + SLEEPER, id="orphan"),
    ],
)


@needs_proc
@other_groups
def test_a_killed_dioptra_leaves_nothing_of_other_groups(drive: Drive, command: str, script: str) -> None:
    driver = drive(command, script, grace=(300, 300), stdout=subprocess.DEVNULL)
    pid = driver.wait_for_child()
    assert os.getpgid(pid) != os.getsid(pid)
    (keeper,) = keepers(driver.process.pid)
    driver.process.kill()
    wait_until(lambda: not is_alive(pid), "the end of the child")
    wait_until(lambda: not is_alive(keeper), "the end of the keeper")


@needs_proc
def test_a_killed_dioptra_leaves_nothing_of_a_stubborn_group(drive: Drive) -> None:
    driver = drive(
        f"timeout 300 {PYTHON} child.py; true", STUBBORN, grace=(300, 0.3), stdout=subprocess.DEVNULL
    )
    pid = driver.wait_for_child()
    driver.process.kill()
    wait_until(lambda: not is_alive(pid), "the end of the child")


def test_a_suspended_child_of_a_killed_dioptra_may_clean_up(drive: Drive) -> None:
    script = GRACEFUL.replace('print("cleaned up after", signum)', 'open("cleaned", "w").close()')
    driver = drive(f"exec {PYTHON} child.py", script, grace=(300, 300))
    pid = driver.wait_for_child()
    os.kill(pid, signal.SIGSTOP)
    driver.process.kill()
    wait_until(lambda: not is_alive(pid), "the end of the child")
    assert (driver.directory / "cleaned").exists()


def test_a_killed_dioptra_leaves_nothing_of_what_outlived_its_child(drive: Drive) -> None:
    driver = drive(f"{PYTHON} child.py & {READY}; echo $$ > part; mv part main", STUBBORN, grace=(300, 0.3))
    pgid = int(driver.wait_for_file("main"))
    pid = driver.wait_for_child()
    wait_until(lambda: not is_alive(pgid), "the end of the shell")
    driver.process.kill()
    wait_until(lambda: not is_alive(pid), "the end of the background process")


def test_a_killed_dioptra_leaves_a_daemon_alone(drive: Drive) -> None:
    daemon = f'{PYTHON} -c \'import os; os.setsid(); os.execvp("sleep", ["sleep", "300"])\''
    started = f"{daemon} & until [ $(ps -o sid= -p $!) = $! ]; do sleep 0.01; done; echo $$ > main"
    driver = drive(f"{started}; echo $! > part; mv part ready; sleep 300", grace=(300, 0.3))
    pid = driver.wait_for_child()
    pgid = int((driver.directory / "main").read_text())
    driver.process.kill()
    wait_until(lambda: not members(pgid), "the end of the child")
    assert is_alive(pid)


def test_whoever_reads_our_output_does_not_wait_for_the_keeper(drive: Drive) -> None:
    driver = drive(f"{PYTHON} child.py; true", STUBBORN, grace=(300, 300))
    pid = driver.wait_for_child()
    (keeper,) = keepers(driver.process.pid)
    driver.process.kill()
    assert driver.process.communicate(timeout=PATIENCE) == (b"", b"")
    assert is_alive(pid)  # so the keeper is still there, with much patience
    assert is_alive(keeper)
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    wait_until(lambda: not is_alive(keeper), "the end of the keeper")


def test_the_keeper_goes_with_the_child_though_a_reader_keeps_us(drive: Drive) -> None:
    read, write = os.pipe()
    driver = drive("head -c 3000000 /dev/zero > >(cat) & echo $$ > part; mv part ready; wait", stdout=write)
    os.close(write)
    pid = driver.wait_for_child()
    wait_until(lambda: len(keepers(driver.process.pid)) == 1, "the keeper")
    capacity = fcntl.fcntl(read, fcntl.F_GETPIPE_SZ) if hasattr(fcntl, "F_GETPIPE_SZ") else 1 << 14
    wait_until(lambda: waiting(read) > capacity - select.PIPE_BUF, "a reader that keeps us")
    os.killpg(pid, signal.SIGKILL)
    wait_until(lambda: not keepers(driver.process.pid), "the end of the keeper")
    assert driver.process.poll() is None
    while os.read(read, 1 << 16):
        pass
    os.close(read)
    assert driver.finish()["exit_code"] == 137


def test_a_keeper_that_is_stopped_or_gone_does_no_harm(drive: Drive) -> None:
    for signum in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM):
        driver = drive("touch ready; until [ -e go ]; do sleep 0.01; done; exit 3")
        driver.wait_for_file("ready")
        (keeper,) = keepers(driver.process.pid)
        os.kill(keeper, signum)
        (driver.directory / "go").touch()
        assert driver.finish()["exit_code"] == 3
        assert not is_alive(keeper)
        (driver.directory / "ready").unlink()


def test_without_a_keeper_the_child_runs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dioptra_cli.execution.process.keeper._SHELL", "/no/such/shell")
    with SignalGuard() as guard:
        assert run(tmp_path, "exit 3", guard).exit_code == 3


# Signals.


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_reaches_the_child_and_sets_the_exit_code(drive: Drive, signum: signal.Signals) -> None:
    driver = drive(f"exec {PYTHON} child.py", GRACEFUL)
    pid = driver.wait_for_child()
    driver.process.send_signal(signum)
    outcome = driver.finish()
    assert outcome["end"] == "interrupted"
    assert outcome["interrupted_by"] == outcome["pending"] == signum
    assert outcome["returncode"] == 7  # the child's own code is kept
    assert outcome["exit_code"] == 128 + signum
    assert outcome["events"] == [["interrupt", signum.name]]
    assert driver.stdout.decode() == f"cleaned up after {int(signum)}\n"
    assert not is_alive(pid)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_a_program_below_the_shell(drive: Drive, signum: signal.Signals) -> None:
    driver = drive(f"{PYTHON} child.py; echo after", GRACEFUL)
    pid = driver.wait_for_child()
    driver.process.send_signal(signum)
    outcome = driver.finish()
    assert outcome["exit_code"] == 128 + signum
    assert b"cleaned up" in driver.stdout
    assert not is_alive(pid)


@needs_proc
@other_groups
def test_a_signal_reaches_other_groups(drive: Drive, command: str, script: str) -> None:
    driver = drive(command, script, grace=(300, 300))
    pid = driver.wait_for_child()
    driver.process.send_signal(signal.SIGTERM)
    outcome = driver.finish()
    assert (outcome["exit_code"], driver.events(), driver.stdout) == (143, ["SIGTERM"], b"")
    assert not is_alive(pid)


COUNTER = """
import os, signal, sys, time
os.setpgid(0, 0)
count = 0
def hear(signum, frame):
    global count
    count += 1
signal.signal(signal.SIGINT, hear)
open("ready.part", "w").write(str(os.getpid()))
os.rename("ready.part", "ready")
while not count: time.sleep(0.01)
time.sleep(0.3)
print("heard", count, flush=True)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGINT)
"""


@needs_proc
def test_every_group_hears_an_interrupt_once_and_the_shell_first(drive: Drive) -> None:
    driver = drive(f"{PYTHON} child.py; echo after", COUNTER, grace=(300, 300))
    driver.wait_for_child()
    driver.process.send_signal(signal.SIGINT)
    outcome = driver.finish()
    assert (driver.stdout, driver.events(), outcome["returncode"]) == (b"heard 1\n", ["SIGINT"], -2)


@needs_proc
def test_a_kill_reaches_other_groups(drive: Drive) -> None:
    driver = drive(f"timeout 300 {PYTHON} child.py; true", STUBBORN, timeout=1.0, grace=(0.2, 0.2))
    pid = driver.wait_for_child()
    assert driver.finish()["exit_code"] == 124
    assert driver.events() == ["SIGTERM", "SIGKILL"]
    assert not is_alive(pid)


def test_an_uninterested_child_dies_of_the_signal(drive: Drive) -> None:
    script = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)" + SLEEPER
    driver = drive(f"exec {PYTHON} child.py", script)
    driver.wait_for_child()
    driver.process.send_signal(signal.SIGINT)
    outcome = driver.finish()
    assert (outcome["end"], outcome["returncode"], outcome["exit_code"]) == ("interrupted", -2, 130)


@pytest.mark.parametrize(
    ("signum", "steps"),
    [(signal.SIGINT, ["SIGINT", "SIGTERM", "SIGKILL"]), (signal.SIGTERM, ["SIGTERM", "SIGKILL"])],
)
def test_a_stubborn_child_is_killed_in_the_end(drive: Drive, signum: int, steps: list[str]) -> None:
    driver = drive(f"{PYTHON} child.py; true", STUBBORN, grace=(0.2, 0.2))
    pid = driver.wait_for_child()
    driver.process.send_signal(signum)
    outcome = driver.finish()
    assert driver.events() == steps
    assert outcome["exit_code"] == 128 + signum
    assert not is_alive(pid)


def test_a_second_and_third_request_shorten_the_wait(drive: Drive) -> None:
    driver = drive(f"{PYTHON} child.py; true", STUBBORN, grace=(300, 300))
    pid = driver.wait_for_child()
    for count, step in enumerate(["SIGINT", "SIGTERM", "SIGKILL"]):
        assert is_alive(pid)
        driver.send_until(signal.SIGINT, lambda: len(driver.events()) > count)  # noqa: B023 -- used at once
        assert driver.events()[-1] == step
    outcome = driver.finish()
    assert outcome["exit_code"] == 130
    assert not is_alive(pid)


def test_a_signal_delivered_twice_counts_once(drive: Drive) -> None:
    """The `timeout` command signals its child, then the group of its child."""
    driver = drive(f"exec {PYTHON} child.py", GRACEFUL)
    driver.wait_for_child()
    for _ in range(3):
        driver.process.send_signal(signal.SIGTERM)
    outcome = driver.finish()
    assert (outcome["events"], outcome["returncode"]) == ([["interrupt", "SIGTERM"]], 7)


def test_a_stopped_child_can_be_interrupted(drive: Drive) -> None:
    driver = drive(f"exec {PYTHON} child.py", GRACEFUL)
    os.kill(driver.wait_for_child(), signal.SIGSTOP)
    driver.process.send_signal(signal.SIGTERM)
    assert driver.finish()["returncode"] == 7


def test_an_ignored_signal_stays_ignored(drive: Drive) -> None:
    """As under `nohup`."""
    driver = drive(
        f"exec {PYTHON} child.py",
        "import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)" + SLEEPER,
        ignore=[signal.SIGHUP],
    )
    pid = driver.wait_for_child()
    driver.process.send_signal(signal.SIGHUP)
    driver.process.send_signal(signal.SIGTERM)
    outcome = driver.finish()
    assert driver.stdout == b"True\n"
    assert outcome["interrupted_by"] == signal.SIGTERM
    assert not is_alive(pid)


def test_the_exit_code_survives_an_ignored_sigchld(drive: Drive) -> None:
    driver = drive("exit 5", ignore=[signal.SIGCHLD])
    assert driver.finish()["exit_code"] == 5


def test_a_blocked_sigchld_does_not_hang(drive: Drive) -> None:
    assert drive("exit 5", block=[signal.SIGCHLD]).finish()["exit_code"] == 5


def test_timeout(drive: Drive) -> None:
    command = unique_sleep()
    outcome = drive(f"{command}; true", timeout=0.5).finish()
    assert (outcome["end"], outcome["exit_code"]) == ("timed out", 124)
    assert outcome["events"] == [["timeout", "SIGTERM"]]
    assert outcome["interrupted_by"] is None
    assert not is_running(command)


def test_timeout_of_a_stubborn_child(drive: Drive) -> None:
    command = unique_sleep()
    driver = drive(f"{command}; true", timeout=0.5, grace=(300, 0.2), ignore=[signal.SIGTERM])
    assert driver.finish()["exit_code"] == 124
    assert driver.events() == ["SIGTERM", "SIGKILL"]
    assert not is_running(command)


def test_an_interrupt_after_the_timeout_only_hurries(drive: Drive) -> None:
    driver = drive(f"{unique_sleep()}; true", timeout=0.5, grace=(300, 300), ignore=[signal.SIGTERM])
    driver.wait_for_file("events")
    driver.send_until(signal.SIGINT, lambda: len(driver.events()) > 1)
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"]) == ("timed out", 124)
    assert driver.events() == ["SIGTERM", "SIGKILL"]


# Processes that outlive the child.


@pytest.mark.parametrize("redirection", ["", ">/dev/null 2>&1"])
@pytest.mark.parametrize("script", [SLEEPER, STUBBORN], ids=["sleeper", "stubborn"])
def test_a_background_process_is_stopped(drive: Drive, script: str, redirection: str) -> None:
    wait = "until [ -e ready ]; do sleep 0.01; done"
    driver = drive(f"{PYTHON} child.py {redirection} & {wait}; echo done; exit 4", script, grace=(0.2, 0.2))
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"]) == ("exited", 4)
    assert outcome["leftovers_stopped"]
    assert outcome["events"][0] == ["leftovers", "SIGTERM"]
    assert ("SIGKILL" in driver.events()) == (script is STUBBORN)
    assert driver.stdout == b"done\n"
    assert not is_alive(driver.wait_for_child())


@needs_proc
def test_a_background_process_of_another_group_is_stopped(drive: Drive) -> None:
    driver = drive(f"set -m; {PYTHON} child.py >/dev/null 2>&1 & {READY}; exit 4", SLEEPER, grace=(300, 300))
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"], outcome["leftovers_stopped"]) == ("exited", 4, True)
    assert not is_alive(driver.wait_for_child())


@needs_proc
def test_looking_for_processes_takes_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scans = 0
    listdir = os.listdir

    def look(path: str) -> list[str]:
        nonlocal scans
        scans += 1
        time.sleep(0.05)  # there are many
        return listdir(path)

    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        try:
            group = ProcessGroup(child.pid)
            monkeypatch.setattr(os, "listdir", look)
            alive = [group.is_alive() for _ in range(50)]
            assert scans == 1
            for _ in range(50):
                group._witness = None  # as if each one ended before the next look
                alive.append(group.is_alive())
            assert all(alive)
            assert scans < 5
        finally:
            child.kill()
        wait_until(lambda: not group.is_alive(), "the end of the child")


def test_an_interrupt_after_the_child_ended_only_hurries(drive: Drive) -> None:
    wait = "until [ -e ready ]; do sleep 0.01; done; echo $$ > part; mv part main"
    driver = drive(f"{PYTHON} child.py & {wait}; exit 4", STUBBORN, grace=(300, 300))
    main = int(driver.wait_for_file("main"))
    wait_until(lambda: not is_alive(main), "the end of the child")
    driver.send_until(signal.SIGINT, lambda: "SIGKILL" in driver.events())
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"]) == ("exited", 4)
    assert outcome["leftovers_stopped"]


def test_a_background_process_that_writes_for_ever_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dioptra_cli.execution.process.child.LEFTOVER_QUIET", 0.3)
    monkeypatch.setattr("dioptra_cli.execution.process.child.LEFTOVER_LIMIT", 0.6)
    read, write = os.pipe()
    with open(os.devnull, "wb") as null, SignalGuard() as guard:
        command = "while :; do echo again; sleep 0.02; done & echo $!"
        outcome = run(tmp_path, command, guard, stdout_to=null.fileno(), stdout_log=str(tmp_path / "log"))
    os.close(read)
    os.close(write)
    assert outcome.leftovers_stopped
    lines = (tmp_path / "log").read_text().split()
    assert lines.count("again") > 10
    pid = next(int(line) for line in lines if line.isdigit())
    assert not is_alive(pid)


def test_a_background_process_that_ends_soon_is_let_finish(drive: Drive) -> None:
    driver = drive("(sleep 0.6; echo late; sleep 0.6; echo later) & echo early")
    outcome = driver.finish()
    assert driver.stdout == driver.log() == b"early\nlate\nlater\n"
    assert not outcome["leftovers_stopped"]


def test_process_substitution_loses_nothing(drive: Drive) -> None:
    driver = drive("seq 200000 > >(sleep 0.2; tee copy)")
    outcome = driver.finish()
    expected = "".join(f"{number}\n" for number in range(1, 200001)).encode()
    assert driver.stdout == driver.log() == (driver.directory / "copy").read_bytes() == expected
    assert not outcome["leftovers_stopped"]


DAEMON = """
import os, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open("ready.part", "w").write(str(os.getpid()))
os.rename("ready.part", "ready")
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try: os.write(1, b"again\\n" if os.path.exists("talk") else b"")
    except OSError: break
    time.sleep(0.02)
open("told", "w").close()
time.sleep(300)
"""


@pytest.mark.parametrize("talks", [False, True])
@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_daemon_that_keeps_our_output_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Terminal, is_terminal: bool, talks: bool
) -> None:
    monkeypatch.setattr("dioptra_cli.execution.process.child.LEFTOVER_QUIET", 0.2)
    monkeypatch.setattr("dioptra_cli.execution.process.child.LEFTOVER_LIMIT", 0.6)
    (tmp_path / "child.py").write_text(DAEMON)
    if talks:
        (tmp_path / "talk").touch()
    log = str(tmp_path / "log")
    with open(os.devnull, "wb") as null, SignalGuard() as guard:
        sink = terminal.slave if is_terminal else null.fileno()
        outcome = run(tmp_path, f"{PYTHON} child.py; {READY}", guard, stdout_to=sink, stdout_log=log)
    pid = int((tmp_path / "ready").read_text())
    try:
        assert (outcome.end, outcome.exit_code, outcome.leftovers_stopped) == (End.EXITED, 0, False)
        assert is_alive(pid)
        if talks:
            wait_until((tmp_path / "told").exists, "the daemon to find its output closed")
            assert Path(log).read_bytes().count(b"again") > 5
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("descriptors", [">&- 2>&-", ">&- 2>&- <&-"])
def test_a_child_that_closes_its_output_is_waited_for(drive: Drive, descriptors: str) -> None:
    driver = drive(f"exec {descriptors}; touch ready; until [ -e go ]; do sleep 0.01; done; exit 3")
    driver.wait_for_file("ready")
    (driver.directory / "ready").unlink()
    (driver.directory / "go").touch()
    assert driver.finish()["exit_code"] == 3


def test_a_daemon_of_its_own_session_is_left_alone(drive: Drive) -> None:
    daemon = f'{PYTHON} -c \'import os; os.setsid(); os.execvp("sleep", ["sleep", "300"])\''
    driver = drive(f"{daemon} & echo $! > ready; until [ $(ps -o sid= -p $!) = $! ]; do sleep 0.01; done")
    outcome = driver.finish()
    assert outcome["exit_code"] == 0
    assert not outcome["leftovers_stopped"]
    assert is_alive(driver.wait_for_child())


def test_processes_that_ignore_an_interrupt_do_not_survive_the_shell(drive: Drive) -> None:
    """A shell makes its background processes ignore SIGINT."""
    driver = drive(f"{PYTHON} child.py & wait", STUBBORN, grace=(300, 0.2))
    pid = driver.wait_for_child()
    driver.process.send_signal(signal.SIGINT)
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"]) == ("interrupted", 130)
    assert outcome["leftovers_stopped"]
    assert not is_alive(pid)


# The guard.


def test_a_signal_before_the_child_keeps_it_from_starting(drive: Drive) -> None:
    driver = drive("touch started", hold="before")
    driver.wait_for_file("before")
    driver.process.send_signal(signal.SIGTERM)
    (driver.directory / "go").touch()
    outcome = driver.finish()
    assert (outcome["end"], outcome["pending"], outcome["exit_code"]) == ("interrupted", signal.SIGTERM, 143)
    assert outcome["returncode"] is None
    assert not (driver.directory / "started").exists()


def test_a_signal_after_the_child_does_not_abort_the_bookkeeping(drive: Drive) -> None:
    driver = drive("exit 3", hold="after")
    driver.wait_for_file("after")
    driver.process.send_signal(signal.SIGINT)
    (driver.directory / "go").touch()
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"], outcome["pending"]) == ("exited", 3, signal.SIGINT)


def test_repeated_signals_end_a_hanging_bookkeeping(drive: Drive) -> None:
    driver = drive("exit 3", hold="after")
    driver.wait_for_file("after")
    driver.send_until(signal.SIGINT, lambda: driver.process.poll() is not None)
    outcome = driver.finish()
    assert (outcome["raised"], outcome["exit_code"]) == (signal.SIGINT, 130)


PATIENCE_LOST = """
import os, signal, sys, threading, time
from dioptra_cli.execution.process import Interrupted, SignalGuard
with SignalGuard() as guard:
    heard = guard.unheard
    if sys.argv[1] == "before":
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Timer(0.3, guard.lose_patience, [heard]).start()
    else:
        guard.lose_patience(heard)
    try:
        if sys.argv[1] == "after":
            threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGTERM]).start()
        time.sleep(60)
    except Interrupted as interrupt:
        print(interrupt.signum == signal.SIGTERM)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_request_ends_a_waiting_for_which_there_is_no_patience(moment: str) -> None:
    assert run_python(PATIENCE_LOST, moment).stdout == "True\n"


def test_a_listener_that_fails_leaves_no_child(tmp_path: Path) -> None:
    def fail(event: Event) -> None:
        raise RuntimeError("a mistake")

    command = unique_sleep()
    with SignalGuard() as guard, pytest.raises(RuntimeError):
        run(tmp_path, f"trap '' TERM; {command}; true", guard, timeout=0.5, on_event=fail)
    wait_until(lambda: not is_running(command), "the end of the child")


def test_a_storm_of_signals_leaves_nothing_behind(drive: Drive) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    kinds = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH, signal.SIGTSTP]
    for trial in range(4):
        name = f"storm-{os.getpid()}-{seed}-{trial}"
        command = f"{PYTHON} child.py {name} & {PYTHON} child.py {name}; true"
        driver = drive(command, GRACEFUL.replace(SLEEPER, "time.sleep(300)"), grace=(0.3, 0.3), hold="before")
        driver.wait_for_file("before")
        (driver.directory / "go").touch()
        time.sleep(chance.random() * 0.2)
        for _ in range(20):
            driver.process.send_signal(chance.choice(kinds))
            driver.process.send_signal(signal.SIGCONT)
            time.sleep(chance.random() * 0.05)
        outcome = driver.finish()
        assert outcome["interrupted_by"] is not None, seed
        assert outcome["exit_code"] == 128 + outcome["interrupted_by"], seed
        assert not is_running(name), seed


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interruptible_raises_so_that_finally_blocks_run(signum: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in signal.valid_signals()]
    cleaned = False

    def work() -> None:
        nonlocal cleaned
        with interruptible():
            try:
                os.kill(os.getpid(), signum)
                time.sleep(PATIENCE)
            finally:
                os.kill(os.getpid(), signum)  # an echo must not break the clean-up
                time.sleep(0.01)
                cleaned = True

    with pytest.raises(Interrupted) as interrupted:
        work()
    assert cleaned
    assert interrupted.value.exit_code == 128 + signum
    assert isinstance(interrupted.value, KeyboardInterrupt)
    assert signum.name in str(interrupted.value)
    assert [signal.getsignal(each) for each in signal.valid_signals()] == before


def test_a_guard_inside_interruptible_hands_back_its_handlers() -> None:
    def work() -> None:
        with interruptible():
            with SignalGuard() as guard:
                os.kill(os.getpid(), signal.SIGTERM)
                assert guard.pending == signal.SIGTERM
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("it was not raised")

    with pytest.raises(Interrupted):
        work()


def test_a_request_that_somebody_swallowed_is_raised_at_the_end_of_the_block() -> None:
    went_on = False

    def work() -> None:
        nonlocal went_on
        with interruptible():
            with contextlib.suppress(BaseException):
                os.kill(os.getpid(), signal.SIGTERM)
            went_on = True

    with pytest.raises(Interrupted, match="SIGTERM"):
        work()
    assert went_on


ALL_IS_DONE = """
import atexit, os, signal, time
from dioptra_cli.execution.process import ignore_until_exit
def be_told():
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(os.getpid(), signum)
    time.sleep(0.1)
atexit.register(be_told)
ignore_until_exit()
"""


def test_who_has_done_his_work_ends_with_his_own_exit_code() -> None:
    done = run_python(ALL_IS_DONE)
    assert (done.returncode, done.stderr) == (0, "")


INTERRUPTED_IMPORT = """
import os, signal, sys
from dioptra_cli.__main__ import main
class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == "dioptra_cli.cli.boundary":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupter())
main()
"""


def test_an_interrupt_during_our_own_imports_is_no_traceback() -> None:
    done = run_python(INTERRUPTED_IMPORT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_signal_names() -> None:
    assert signal_name(15) == "SIGTERM"
    assert signal_name(50) == "signal 50"


# Terminals.


class Terminal:
    """The user's side of a terminal: a screen and a keyboard."""

    def __init__(self, rows: int = 33, columns: int = 101) -> None:
        self.master, self.slave = os.openpty()
        self.resize(rows, columns)
        self.screen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read(self, timeout: float = 0.0) -> bool:
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        with contextlib.suppress(OSError):
            self.screen += os.read(self.master, 65536)
        return True

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen:
            if time.monotonic() > deadline:
                pytest.fail(f"{text!r} is not on the screen: {self.screen!r}")
            self.read(0.05)

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def drive_on(drive: Drive, terminal: Terminal) -> Drive:
    """Start a driver with everything on the terminal, as a shell would."""

    def start(*args: Any, **options: Any) -> Driver:
        ends = {"stdin": terminal.slave, "stdout": terminal.slave, "stderr": terminal.slave, **options}
        return drive(*args, controlling_terminal=True, **ends)

    return start


def test_a_child_on_a_terminal_sees_one(drive_on: Drive, terminal: Terminal) -> None:
    script = """
import os
print([os.isatty(fd) for fd in (0, 1, 2)], *os.get_terminal_size(1), *os.get_terminal_size(2))
"""
    driver = drive_on(f"exec {PYTHON} child.py", script)
    terminal.wait_for(b"[True, True, True] 101 33 101 33\r\n")
    driver.finish()
    assert driver.log() == b"[True, True, True] 101 33 101 33\n"  # no carriage return


def test_only_the_stream_on_a_terminal_is_one(drive_on: Drive, terminal: Terminal) -> None:
    driver = drive_on("[ -t 1 ]; echo out $?; [ -t 2 ]; echo err $? >&2", stdout=subprocess.PIPE)
    terminal.wait_for(b"err 0")
    driver.finish()
    assert driver.stdout == b"out 1\n"


def test_progress_bars_and_colours_pass_unchanged(drive_on: Drive, terminal: Terminal) -> None:
    data = b"\r 10%\r\x1b[32m 50%\x1b[0m\r100%\n" + bytes(set(range(256)) - {10}) + b"."
    driver = drive_on(f"exec {PYTHON} child.py", f"import os; os.write(1, {data!r})")
    terminal.wait_for(bytes(range(240, 256)) + b".")
    driver.finish()
    assert driver.log() == data
    assert terminal.screen == data.replace(b"\n", b"\r\n")  # the real terminal does that, as for any program


def test_much_output_on_a_terminal_is_complete(drive_on: Drive, terminal: Terminal) -> None:
    driver = drive_on("seq 300000")
    while driver.process.poll() is None or terminal.read():
        terminal.read(0.05)
    driver.finish()
    expected = "".join(f"{number}\n" for number in range(1, 300001)).encode()
    assert driver.log() == expected
    assert terminal.screen == expected.replace(b"\n", b"\r\n")


def test_a_new_window_size_reaches_the_child(drive_on: Drive, terminal: Terminal) -> None:
    script = """
import os, signal
def show(*_):
    print("size", *os.get_terminal_size(1), flush=True)
signal.signal(signal.SIGWINCH, show)
print("ready")
while True: signal.pause()
"""
    driver = drive_on(f"{PYTHON} child.py; true", script)
    terminal.wait_for(b"ready")
    terminal.resize(44, 77)
    terminal.wait_for(b"size 77 44")
    terminal.type(b"\x03")
    assert driver.finish()["exit_code"] == 130


def test_input_works(drive_on: Drive, terminal: Terminal) -> None:
    script = "name = input('name? '); import getpass; word = getpass.getpass('word? '); print(f'got {name} {word}')"
    driver = drive_on(f"{PYTHON} child.py; true", script)
    terminal.wait_for(b"name? ")
    terminal.type(b"Ada\n")
    terminal.wait_for(b"word? ")
    terminal.type(b"secret\n")
    terminal.wait_for(b"got Ada secret")
    assert driver.finish()["exit_code"] == 0
    assert terminal.screen.count(b"secret") == 1  # the password was not echoed
    assert terminal.screen.count(b"Ada") == 2


def test_a_breakpoint_works(drive_on: Drive, terminal: Terminal) -> None:
    driver = drive_on(
        f"{shlex.quote(sys.executable)} child.py", "value = 6 * 7\nbreakpoint()\nprint('went on')\n"
    )
    terminal.wait_for(b"(Pdb) ")
    terminal.type(b"p value\n")
    terminal.wait_for(b"42")
    terminal.type(b"c\n")
    terminal.wait_for(b"went on")
    assert driver.finish()["exit_code"] == 0


def test_ctrl_c_typed_at_the_terminal(drive_on: Drive, terminal: Terminal) -> None:
    driver = drive_on(f"{PYTHON} child.py; echo after", GRACEFUL)
    pid = driver.wait_for_child()
    terminal.type(b"\x03")
    outcome = driver.finish()
    assert (outcome["end"], outcome["exit_code"]) == ("interrupted", 130)
    assert b"cleaned up after 2" in driver.log()  # once: it did not get the one of the terminal as well
    assert not is_alive(pid)


def test_a_killed_child_leaves_the_terminal_as_it_was(drive_on: Drive, terminal: Terminal) -> None:
    script = STUBBORN.replace("open(", "import tty; tty.setraw(0, 0); open(", 1)
    before = termios.tcgetattr(terminal.slave)
    driver = drive_on(f"exec {PYTHON} child.py", script, grace=(0.1, 0.1))
    driver.wait_for_child()
    assert termios.tcgetattr(terminal.slave) != before
    driver.process.send_signal(signal.SIGTERM)
    driver.finish()
    assert termios.tcgetattr(terminal.slave) == before


def test_a_terminal_that_goes_away(drive: Drive) -> None:
    terminal = Terminal()
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
    script = GRACEFUL.replace('print("cleaned up after", signum)', 'open("cleaned", "w").close()')
    driver = drive(f"{PYTHON} child.py; true", script, controlling_terminal=True, loud=True, **ends)
    pid = driver.wait_for_child()
    terminal.close()
    outcome = driver.finish()
    assert (outcome["interrupted_by"], outcome["exit_code"]) == (signal.SIGHUP, 129)
    assert not is_alive(pid)
    assert (driver.directory / "cleaned").exists()  # it had its time, though nobody could be told
    assert outcome["output_error"] is None


@pytest.fixture
def shell(terminal: Terminal, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An interactive bash with job control on the terminal."""
    start = "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    start += "os.execvp('bash', ['bash', '--norc', '--noediting', '-i'])"
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", start],
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
        cwd=tmp_path,
        env={**os.environ, "PS1": "shell> ", "PYTHONPATH": ROOT, "HISTFILE": ""},
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()


def command_line(directory: Path, command: str, **options: Any) -> bytes:
    arguments = json.dumps({"argv": ["bash", "-c", command], "cwd": str(directory), **options})
    return shlex.join([sys.executable, DRIVER, arguments]).encode()


def test_ctrl_z_and_fg(shell: subprocess.Popen[bytes], terminal: Terminal, tmp_path: Path) -> None:
    script = SLEEPER.replace("time.sleep(300)", "")
    script += "import getpass; word = getpass.getpass('word? '); print(f'finished {len(word)}')\n"
    (tmp_path / "child.py").write_text(script)

    def state(pid: int) -> str:
        found = capture(["ps", "-o", "state=", "-p", str(pid)])
        assert found is not None
        return found.stdout.decode()[:1]

    timeout = 3.0
    terminal.wait_for(b"shell> ")
    terminal.type(command_line(tmp_path, f"{PYTHON} child.py; true", timeout=timeout) + b"\n")
    terminal.wait_for(b"word? ")
    pid = int((tmp_path / "ready").read_text())
    terminal.type(b"\x1a")
    terminal.wait_for(b"Stopped")
    wait_until(lambda: state(pid) == "T", "the child to stop")
    terminal.type(b"echo in the 'shell'\n")
    terminal.wait_for(b"in the shell")
    time.sleep(timeout)  # the time spent like this does not count
    terminal.type(b"fg\n")
    wait_until(lambda: state(pid) != "T", "the child to go on")
    terminal.type(b"secret\n")
    wait_until((tmp_path / "outcome").exists, "the outcome")
    assert json.loads((tmp_path / "outcome").read_text())["exit_code"] == 0
    terminal.wait_for(b"finished 6")
    assert b"secret" not in terminal.screen  # the echo is off again after `fg`


@pytest.mark.parametrize("command", ["", "; true"])
def test_a_suspended_dioptra_that_is_killed_leaves_nothing(
    shell: subprocess.Popen[bytes], terminal: Terminal, tmp_path: Path, command: str
) -> None:
    (tmp_path / "child.py").write_text(SLEEPER)
    terminal.wait_for(b"shell> ")
    terminal.type(command_line(tmp_path, f"{PYTHON} child.py{command}") + b"\n")
    wait_until((tmp_path / "ready").exists, "the child")
    pgid = os.getpgid(int((tmp_path / "ready").read_text()))
    terminal.type(b"\x1a")
    terminal.wait_for(b"Stopped")
    terminal.type(b"kill -9 %1\n")
    wait_until(lambda: not members(pgid), "the end of the child")


def test_a_background_job_does_not_take_what_is_typed_to_the_shell(
    shell: subprocess.Popen[bytes], terminal: Terminal, tmp_path: Path
) -> None:
    terminal.wait_for(b"shell> ")
    terminal.type(command_line(tmp_path, "read -r line || echo got noth'ing'") + b" &\n")
    terminal.wait_for(b"got nothing")


def test_a_suspended_child_can_be_terminated(
    shell: subprocess.Popen[bytes], terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "child.py").write_text(SLEEPER)
    terminal.wait_for(b"shell> ")
    terminal.type(command_line(tmp_path, f"{PYTHON} child.py; true") + b"\n")
    wait_until((tmp_path / "ready").exists, "the child")
    terminal.type(b"\x1a")
    terminal.wait_for(b"Stopped")
    terminal.type(b"kill %1\n")  # bash sends SIGTERM and SIGCONT
    wait_until((tmp_path / "outcome").exists, "the outcome")
    assert json.loads((tmp_path / "outcome").read_text())["exit_code"] == 143
    assert not is_alive(int((tmp_path / "ready").read_text()))


# The other two ways to start a process.


def test_capture(tmp_path: Path) -> None:
    captured = capture(["bash", "-c", "echo $X; pwd; echo no >&2; exit 3"], cwd=str(tmp_path), env={"X": "x"})
    assert captured is not None
    assert captured.returncode == 3
    assert captured.stdout.decode() == f"x\n{tmp_path}\n"
    assert captured.stderr == b"no\n"


def test_capture_gives_no_answer(tmp_path: Path) -> None:
    assert capture(["no-such-program"]) is None
    assert capture(["true"], cwd=str(tmp_path / "gone")) is None
    assert capture(["sleep", "300"], timeout=0.1) is None
    command = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    assert capture(["bash", "-c", command], timeout=3) is None
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_alive(pid), "the end of what the command has started")


def run_python(
    code: str, *arguments: str, cwd: str = "/", stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": ROOT, "PYTHONUNBUFFERED": ""},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_captured_command_is_cut_off_from_stdin_and_terminal() -> None:
    code = "from dioptra_cli.execution.process import capture; "
    code += "print(capture(['bash', '-c', 'cat; ps -o sid= -p $$; echo $$']).stdout.decode())"
    session, pid = run_python(code, stdin="typed").stdout.split()
    assert session == pid


REPLACE = """
import json, os, sys
from dioptra_cli.errors import LaunchError
from dioptra_cli.execution.process import replace_process
argv, cwd = json.loads(sys.argv[1])
print("pid", os.getpid())
try:
    replace_process(argv, cwd=cwd, env={**os.environ, "X": "x"})
except LaunchError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def replace(argv: list[str], cwd: str) -> subprocess.CompletedProcess[str]:
    return run_python(REPLACE, json.dumps([argv, cwd]))


def test_replace_process(tmp_path: Path) -> None:
    done = replace(["bash", "-c", "echo pid $$ $X $PWD; exit 9"], str(tmp_path))
    own, new = done.stdout.splitlines()
    assert new == f"{own} x {tmp_path}"
    assert done.returncode == 9


def test_a_replaced_process_has_the_signal_handling_of_any_other() -> None:
    # Where SIGPIPE is ignored, as in Python, `yes` complains.
    assert replace(["bash", "-c", "yes | head -1"], "/").stderr == ""


def test_replace_process_without_stdout() -> None:
    code = (
        "import sys; sys.stdout = None; from dioptra_cli.execution.process import replace_process as become; "
    )
    assert run_python(code + "become(['bash', '-c', 'exit 4'], cwd='/', env={})").returncode == 4


@pytest.mark.parametrize(
    ("argv", "cwd", "exit_code"),
    [
        (["no-such-program"], "/", 127),
        (["/"], "/", 126),
        (["true"], "/no/such", 125),
        (["true", "\0"], "/", 125),
    ],
)
def test_replace_process_fails(argv: list[str], cwd: str, exit_code: int) -> None:
    done = replace(argv, cwd)
    assert done.returncode == exit_code
    assert "cannot" in done.stdout


@pytest.fixture(autouse=True)
def _handlers_are_restored() -> Iterator[None]:
    before = [signal.getsignal(signum) for signum in signal.valid_signals()]
    yield
    assert [signal.getsignal(signum) for signum in signal.valid_signals()] == before
