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
# environment, as soon as it is no longer a copy of dioptra. What belongs to it are the groups of its session: of
# `/proc/PID/stat`, state, parent, group and session follow the name in parentheses, which may hold anything. Without
# `/proc`, it is the one group. SIGCONT is for a child that was suspended: it would not act on SIGTERM. A `sleep` that
# knows whole seconds alone takes ten steps at once; one that does not work, all. What ends a session or a container
# may send SIGTERM to everyone: it is still needed then.
_SCRIPT = r"""
trap '' HUP INT QUIT TERM
find_groups() {
    groups=
    [ -r /proc/self/stat ] || groups=$child
    for file in /proc/[0-9]*/stat; do
        stat=
        while read -r line; do stat=$line; done <"$file"
        set -- ${stat##*') '}
        [ "$4" = "$child" ] || continue
        case "$1 $groups " in
        [ZX]' '* | *" $3 "*) ;;
        *) if [ "$3" = "$child" ]; then groups=" $3$groups"; else groups="$groups $3"; fi ;;
        esac
    done
}
tell() {
    for group in $groups; do kill -s "$1" -- "-$group"; done
}
is_alive() {
    for group in $groups; do kill -s 0 -- "-$group" && return; done
    find_groups
    [ -n "$groups" ] && kill -s 0 -- "-${groups##* }"
}
read -r mark
if read -r child polls; then
    read -r _
elif [ -n "$mark" ]; then
    polls=50
    for _ in 1 2 3 4 5; do
        sleep 0.1
        for file in $(grep -lF -e "$mark" /proc/[0-9]*/environ); do
            child=${file#/proc/}
            child=${child%/environ}
            kill -s 0 -- "-$child" && break 2
            child=
        done
    done
fi
[ -n "$child" ] || exit 0
find_groups
tell TERM
tell CONT
while [ "$polls" -gt 0 ] && { is_alive || is_alive; }; do
    sleep 0.1 || { sleep 1 && polls=$((polls - 9)); } || break
    polls=$((polls - 1))
done
for _ in 1 2; do
    find_groups
    tell KILL
done
"""


class Keeper:
    """Watches over the processes of one child, from a session of its own, out of reach of Ctrl-C and `killpg`.

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

    def watch(self, child: int, grace: float) -> None:
        """Name the child, whose session ends if we die, and the seconds from SIGTERM to SIGKILL."""
        self._tell(f"{child} {round(grace * _POLLS_PER_SECOND)}")

    def dismiss(self) -> None:
        """End it, once nothing of the child is left: its number may soon mean another one. Safe to call twice."""
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
