"""What belongs to a child: to signal all of it, and to tell whether any of it still lives."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

_ROUNDS = 5
"""So many times a SIGKILL looks for groups that were made while it was sent."""

_SCAN_SHARE = 0.1
"""The part of the time that looking through all processes may take, where they come and go."""


class ProcessGroup:
    """The process group that the child leads, and the groups that its processes made, as job control does.

    Where there is `/proc`, they are found by their session, which is that of the child; elsewhere only the first
    group is known. A process that left for a session of its own (`setsid`, a daemon) is out of reach, and meant to
    be.
    """

    def __init__(self, pgid: int) -> None:
        self.pgid = pgid
        self._witness: int | None = None  # a member that was alive when last looked
        self._next_scan = 0.0
        self._is_gone = False  # from then on, the number may come to mean another group and session

    def send(self, signum: int) -> bool:
        """Send a signal to every member once; False if nobody could receive it."""
        if self._is_gone:
            return False
        reached = False
        seen: set[int] = set()
        for _ in range(_ROUNDS if signum == signal.SIGKILL else 1):
            groups = [pgid for pgid in self._groups() if pgid not in seen]
            for pgid in groups:
                reached = _send(pgid, signum) or reached
            seen.update(groups)
            if not groups:
                break
        return reached

    def is_alive(self) -> bool:
        """Whether any member still runs, once the child has been waited for."""
        if not self._is_gone:
            self._is_gone = not self._has_members()
        return not self._is_gone

    def members(self) -> Iterator[int]:
        """Yield the processes that run. Only where there is `/proc`."""
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return (pid for pid in pids if self._is_member(pid))

    def _groups(self) -> list[int]:
        """Return the groups, the child's own first: a shell has to know of a SIGINT before its job ends by it."""
        groups = {self.pgid: None}
        if _has_proc():
            for pid in self.members():
                with contextlib.suppress(ProcessLookupError):
                    groups[os.getpgid(pid)] = None
        return list(groups)

    def _has_members(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-self.pgid, os.WNOHANG)[0]:  # the first process of a container inherits orphans
                pass
        if not _has_proc():
            return _send(self.pgid, 0)
        if self._witness is not None and self._is_member(self._witness):
            return True
        begun = time.monotonic()
        if begun < self._next_scan:
            return True
        # Twice: a process that starts another and ends meanwhile may hide both.
        self._witness = next(self.members(), None) or next(self.members(), None)
        ended = time.monotonic()
        self._next_scan = ended + (ended - begun) / _SCAN_SHARE
        return self._witness is not None

    def _is_member(self, pid: int) -> bool:
        try:
            if os.getsid(pid) != self.pgid:
                return False
            # Linux counts zombies, and in a container there may be nobody to wait for them.
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
        except (OSError, IndexError):  # it has just ended
            return False


def _send(pgid: int, signum: int) -> bool:
    try:
        os.killpg(pgid, signum)
    except (ProcessLookupError, PermissionError):  # macOS reports EPERM for a group of zombies
        return False
    return True


def _has_proc() -> bool:
    """Whether there is a `/proc`, and it numbers processes as we do: not so in some containers."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False
