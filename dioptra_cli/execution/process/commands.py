"""Short commands whose output we want, and the command that takes our place."""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 -- this package is where child processes are started
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from dioptra_cli.errors import LaunchError, Problem
from dioptra_cli.execution.process.group import ProcessGroup
from dioptra_cli.execution.process.launch import launch_exit_code, unpassable, unusable_directory


class Captured(NamedTuple):
    """What a short command gave back. The code is `-N` when signal N ended it."""

    returncode: int
    stdout: bytes
    stderr: bytes


def capture(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> Captured | None:
    """Run a short command such as `git rev-parse` and keep its output.

    It reads nothing, and runs in a session of its own: it cannot ask for a password, and Ctrl-C does not
    reach it. Where we end it, what it has started ends with it.

    Returns:
        None when there is no answer: it cannot be started, or takes longer than `timeout` (seconds).
    """
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException as error:
            ProcessGroup(process.pid).send(signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
    return Captured(process.returncode, stdout, stderr)


def replace_process(argv: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> NoReturn:
    """Become the command: same process, terminal and signals; nothing of dioptra remains.

    Raises:
        LaunchError: It cannot be started. The error's exit code is 126 or 127 if that is due to the command.
    """
    try:
        os.chdir(cwd)
    except OSError as error:
        raise unusable_directory(cwd, error) from error
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    ignored_by_python = (signal.SIGPIPE, signal.SIGXFSZ)
    handlers = [signal.signal(signum, signal.SIG_DFL) for signum in ignored_by_python]
    try:
        os.execvpe(argv[0], list(argv), env)
    except ValueError as error:
        raise unpassable(error) from error
    except OSError as error:
        failure = LaunchError(Problem("cannot-launch", f"cannot run '{argv[0]}': {error.strerror}"))
        failure.exit_code = launch_exit_code(error)
        raise failure from error
    finally:
        for signum, handler in zip(ignored_by_python, handlers, strict=True):
            signal.signal(signum, handler)
