"""What a child took of the machine."""

from __future__ import annotations

import math
import os
import subprocess  # noqa: TID251 -- this package is where child processes are started
import sys
import time
from typing import NamedTuple

from dioptra_cli.execution.process.group import ProcessGroup

_UNIT = 1 if sys.platform == "darwin" else 1024
_SLACK = 1 << 20  # Linux counts memory in batches: a difference below this means nothing
_FIRST_LOOK, _LONGEST_PAUSE = 0.1, 5.0  # seconds; pauses double in between


class Usage(NamedTuple):
    """What a process took, and those that it waited for: see `Outcome`."""

    cpu_seconds: float
    peak_memory: int | None


class Meter:
    """Tells what a child took, once it has ended.

    A new process has the memory of its parent until it calls exec, and Linux counts that as the child's. So what the
    system tells in the end is right only above what we ourselves have. For smaller children, we look now and then.
    """

    def __init__(self, process: subprocess.Popen[bytes], group: ProcessGroup) -> None:
        self._process = process
        self._group = group
        own = _peak("self")
        self._floor = own + _SLACK if own else 0
        self._seen = 0
        self._pause = _FIRST_LOOK
        self.due = time.monotonic() + self._pause if own else math.inf

    def look(self) -> None:
        """See how large the processes have been until now, if it is time for that."""
        if time.monotonic() < self.due:
            return
        begun = time.monotonic()
        self._seen = max(self._seen, *map(_peak, self._group.members()), 0)
        if self._seen > self._floor:
            self.due = math.inf
        else:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self.due = begun + self._pause

    def reap(self) -> Usage | None:
        """Look whether the child has ended, and set its `returncode` if so. None while it runs."""
        pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
        if not pid:
            return None
        self.due = math.inf
        self._process.returncode = os.waitstatus_to_exitcode(status)
        peak = used.ru_maxrss * _UNIT
        seen = peak if peak > self._floor else self._seen
        return Usage(used.ru_utime + used.ru_stime, seen or None)


def _peak(process: int | str) -> int:
    """Return the most memory (bytes) that a process has had; 0 where the system does not tell."""
    try:
        with open(f"/proc/{process}/status", "rb") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith(b"VmHWM:")), 0)
    except OSError:  # not Linux, or it has just ended
        return 0
