"""Runs one command through `run_child` in a process of its own, as a JSON object on the command line says.

The outcome goes to the file `outcome`. With `hold` the process waits at a place of the guard (`before` or
`after` the child) until the file `go` appears, so that a test can send signals there. `ignore`, `block` and
`file_size` set up the process as its parent might have. Signals outside of the guard do nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sys
import termios
import time
from typing import Any

from dioptra_cli.execution.process import Event, Grace, Interrupted, SignalGuard, run_child
from dioptra_cli.parameters.secrets import StreamMasker


def handlers() -> list[object]:
    return [signal.getsignal(signum) for signum in signal.valid_signals()]


def peak() -> int:
    """Return the most memory (KiB) that this process had; 0 where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    except OSError:
        return 0


def hold(options: dict[str, Any], place: str) -> None:
    if options.get("hold") != place:
        return
    directory = options["cwd"]
    with open(os.path.join(directory, place), "w", encoding="utf-8"):
        pass
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(directory, "go")) and time.monotonic() < deadline:
        time.sleep(0.01)


def main() -> int:
    options = json.loads(sys.argv[1])
    if options.get("controlling_terminal"):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    stop_requests = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    for signum in stop_requests:
        signal.signal(signum, lambda _signum, _frame: None)
    for signum in options.get("ignore", ()):
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, options.get("block", ()))
    if "file_size" in options:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options["file_size"],) * 2)
    os.chdir(options["cwd"])
    events: list[list[str]] = []

    def hear(event: Event) -> None:
        events.append([event.cause.value, event.signum.name])
        with open("events", "a", encoding="utf-8") as file:
            file.write(event.signum.name + "\n")
        if options.get("loud"):
            os.write(2, b"sent a signal")

    before = handlers()
    record: dict[str, Any] = {}
    code = 0
    try:
        with SignalGuard() as guard:
            hold(options, "before")
            outcome = run_child(
                options["argv"],
                cwd=options["cwd"],
                env={**os.environ, **options.get("env", {})},
                guard=guard,
                stdout_log=options.get("stdout_log"),
                stderr_log=options.get("stderr_log"),
                timeout=options.get("timeout"),
                grace=Grace(*options.get("grace", (20.0, 20.0))),
                on_event=hear,
                log_filter=(lambda: StreamMasker(options["secrets"])) if "secrets" in options else None,
                capture=options.get("capture", True),
            )
            hold(options, "after")
        record.update(outcome._asdict(), error=str(outcome.error) if outcome.error else None)
        record["pending"] = guard.pending
        code = outcome.exit_code
    except Interrupted as interrupted:
        record["raised"] = interrupted.signum
        code = interrupted.exit_code
    record["events"] = events
    record["peak"] = peak()
    record["handlers_restored"] = handlers() == before and signal.set_wakeup_fd(-1) == -1
    for signum in stop_requests:  # the interpreter resets handlers at its end, but not this
        signal.signal(signum, signal.SIG_IGN)
    record["exit_code"] = code
    with open("outcome.part", "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.rename("outcome.part", "outcome")
    return code


if __name__ == "__main__":
    sys.exit(main())
