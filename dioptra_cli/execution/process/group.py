"""The process group of a child: to signal all of it, and to tell whether any of it still lives."""

from __future__ import annotations

import contextlib
import os


class ProcessGroup:
    """A process group whose leader is the child.

    A process that left it for a session of its own (`setsid`, a daemon) is out of reach, and meant to be.
    When dioptra itself is killed by SIGKILL, the child lives on until it next writes to its closed output:
    Linux could end it at once (PR_SET_PDEATHSIG), but only through code that runs between fork and exec.
    """

    def __init__(self, pgid: int) -> None:
        self.pgid = pgid
        self._witness: int | None = None  # a member that was alive when last looked

    def send(self, signum: int) -> bool:
        """Send a signal to every member; False if nobody could receive it."""
        try:
            os.killpg(self.pgid, signum)
        except (ProcessLookupError, PermissionError):  # macOS reports EPERM for a group of zombies
            return False
        return True

    def is_alive(self) -> bool:
        """Whether any member still runs, once the leader has been waited for."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-self.pgid, os.WNOHANG)[0]:  # the first process of a container inherits orphans
                pass
        if not self.send(0):
            return False
        if not os.path.exists("/proc/self/stat"):
            return True
        # Linux counts zombies, and in a container there may be nobody to wait for them.
        if self._witness is None or not self._is_member(self._witness):
            pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
            self._witness = next((pid for pid in pids if self._is_member(pid)), None)
        return self._witness is not None

    def _is_member(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                state, _parent, pgid = file.read().rpartition(b")")[2].split()[:3]
        except (OSError, ValueError):  # it has just ended
            return False
        return int(pgid) == self.pgid and state not in (b"Z", b"X")
