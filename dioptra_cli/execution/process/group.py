"""The process group of a child: to signal all of it, and to tell whether any of it still lives."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


class ProcessGroup:
    """A process group whose leader is the child.

    A process that left it for a session of its own (`setsid`, a daemon) is out of reach, and meant to be.
    """

    def __init__(self, pgid: int) -> None:
        self.pgid = pgid
        self._witness: int | None = None  # a member that was alive when last looked
        self._is_gone = False  # from then on, the number may come to mean another group

    def send(self, signum: int) -> bool:
        """Send a signal to every member; False if nobody could receive it."""
        if self._is_gone:
            return False
        try:
            os.killpg(self.pgid, signum)
        except (ProcessLookupError, PermissionError):  # macOS reports EPERM for a group of zombies
            return False
        return True

    def is_alive(self) -> bool:
        """Whether any member still runs, once the leader has been waited for."""
        if not self._is_gone:
            self._is_gone = not self._has_members()
        return not self._is_gone

    def members(self) -> Iterator[int]:
        """Yield the processes of the group that run. Only where there is `/proc`."""
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return (pid for pid in pids if self._is_member(pid))

    def _has_members(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-self.pgid, os.WNOHANG)[0]:  # the first process of a container inherits orphans
                pass
        if not self.send(0):
            return False
        if not os.path.exists("/proc/self/stat"):
            return True
        # Linux counts zombies, and in a container there may be nobody to wait for them.
        if self._witness is None or not self._is_member(self._witness):
            self._witness = next(self.members(), None)
        return self._witness is not None

    def _is_member(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                state, _parent, pgid = file.read().rpartition(b")")[2].split()[:3]
        except (OSError, ValueError):  # it has just ended
            return False
        return int(pgid) == self.pgid and state not in (b"Z", b"X")
