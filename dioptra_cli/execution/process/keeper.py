"""A process that outlives dioptra, to end a child whose dioptra was killed by SIGKILL, or crashed.

The kernel could tell the child (PR_SET_PDEATHSIG), but only where there is Linux, only the shell and not what it
started, and only through code that runs between fork and exec.
"""

from __future__ import annotations

import contextlib
import os
import subprocess  # noqa: TID251 -- this package is where child processes are started

_SHELL = "/bin/sh"
_POLLS_PER_SECOND = 10

# It waits for the end of its input, of which only dioptra holds the other end. A dioptra that is killed just when
# it has started the child has not said which it is: then it is the leader of a group that has the mark in its
# environment, as soon as it is no longer a copy of dioptra. SIGCONT is for a child that was suspended: it would not
# act on SIGTERM. A `sleep` that knows whole seconds alone takes ten steps at once; one that does not work, all. What
# ends a session or a container may send SIGTERM to everyone: it is still needed then.
_SCRIPT = r"""
trap '' HUP INT QUIT TERM
read -r mark
if read -r group polls; then
    read -r _
elif [ -n "$mark" ]; then
    polls=50
    for _ in 1 2 3 4 5; do
        sleep 0.1
        for file in $(grep -lF -e "$mark" /proc/[0-9]*/environ); do
            group=${file#/proc/}
            group=${group%/environ}
            kill -s 0 -- "-$group" && break 2
            group=
        done
    done
fi
[ -n "$group" ] || exit 0
kill -s TERM -- "-$group" && kill -s CONT -- "-$group"
while [ "$polls" -gt 0 ] && kill -s 0 -- "-$group"; do
    sleep 0.1 || { sleep 1 && polls=$((polls - 9)); } || break
    polls=$((polls - 1))
done
kill -s KILL -- "-$group"
"""


class Keeper:
    """Watches over the process group of one child, from a session of its own, out of reach of Ctrl-C and `killpg`.

    It holds no descriptor of ours, so that nobody who waits for the end of our output waits for it. Where it cannot
    be started we do without. Start it before the child: it costs a millisecond, in which the two start side by side.

    Args:
        mark: An entry of the child's environment that nobody else has, if there is one.
    """

    def __init__(self, mark: str | None) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        # Neither end is inherited by anybody, except for the one that becomes its stdin.
        theirs, self._ours = os.pipe()
        try:
            self._process = subprocess.Popen(
                [_SHELL, "-c", _SCRIPT],
                cwd="/",
                env={"PATH": os.defpath},
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:  # no more processes, no shell
            self._ours = _closed(self._ours)
        finally:
            os.close(theirs)
        self._tell(mark or "")

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *exception: object) -> None:
        self.dismiss()

    def watch(self, pgid: int, grace: float) -> None:
        """Name the group to end if we die, and the seconds from SIGTERM to SIGKILL."""
        self._tell(f"{pgid} {round(grace * _POLLS_PER_SECOND)}")

    def dismiss(self) -> None:
        """End it, once nothing of the group is left: its number may soon mean another one. Safe to call twice."""
        if self._process is not None:
            # A word through the pipe would not reach one that somebody has stopped.
            self._process.kill()
            self._process.wait()
            self._process = None
            self._ours = _closed(self._ours)

    def _tell(self, line: str) -> None:
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):  # somebody has killed it
                os.write(self._ours, f"{line}\n".encode())


def _closed(fd: int) -> int:
    os.close(fd)
    return -1
