"""How fast the output of a child passes through, with a log of it."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figure import Figure, Options, Sample, compare, in_turn, run_child, timed

BUDGET = 0.5
BLOCK = 1 << 24
LINE = b"epoch 12/40 - loss: 0.4311 - accuracy: 0.8127 - val_loss: 0.5021 - val_accuracy: 0.7954\n"
SINKS = {"pipe": 1, "file": 1, "terminal": 8}
"""What stdout is. A terminal is slower: so many times less goes through it."""

DRIVER = """
import os, resource, sys
from dioptra_cli.execution.process import SignalGuard, run_child
command, log, peak = sys.argv[1:]
with SignalGuard() as guard:
    outcome = run_child(["bash", "-c", command], cwd="/", env=os.environ, guard=guard, stdout_log=log)
with open(peak, "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)))
sys.exit(outcome.exit_code)
"""


def figures(options: Options) -> Iterator[Figure]:
    """Compare `command > …` passed on by dioptra with `command | tee log > …`; the notes tell the peak memory.

    Memory stands there twice, for a tenth of the output and for all of it; it should be the same.
    """
    bench = _Bench(options)
    megabytes = options.pick(1000, 150)
    for sink, share in SINKS.items():
        blocks = max(1, megabytes * 10**6 // BLOCK // share)
        bench.pass_on("dioptra", sink, max(1, blocks // 10))
        memory = [bench.peak()]
        job, peer = f"dioptra, into a {sink}", f"tee, into a {sink}"
        ways = {
            peer: lambda sink=sink, blocks=blocks: bench.pass_on("tee", sink, blocks),
            job: lambda sink=sink, blocks=blocks: bench.pass_on("dioptra", sink, blocks),
        }
        samples = in_turn(ways, options.rounds_of(5, 2))
        memory.append(bench.peak())
        note = f"{blocks * BLOCK / 1e6:.0f} MB; memory {memory[0] / 1e6:.0f}, {memory[1] / 1e6:.0f} MB"
        yield compare(samples, job, peer, kind="times as fast", budget=BUDGET, note=note)


class _Bench:
    """Runs commands that write much, one at a time."""

    def __init__(self, options: Options) -> None:
        self._environ = options.environ
        self._directory = options.directory
        self._log = options.directory / "log"
        self._peak = options.directory / "peak"
        with open(self._directory / "block", "wb") as file:
            for begin in range(0, BLOCK, 1 << 16):  # in pieces: a child counts its parent's memory as its own
                file.write((LINE * 1000)[begin % len(LINE) :][: 1 << 16])

    def peak(self) -> int:
        """Return the bytes of memory that dioptra took at most, the last time."""
        return int(self._peak.read_text())

    def pass_on(self, way: str, sink: str, blocks: int) -> Sample:
        """Return what one command takes, its start included, but not the reader of its output."""
        block = shlex.quote(str(self._directory / "block"))
        producer = f"for ((i = 0; i < {blocks}; i++)); do cat {block}; done"
        if way == "tee":
            argv = ["bash", "-c", f"({producer}) | tee {shlex.quote(str(self._log))}"]
        else:
            argv = [sys.executable, "-c", DRIVER, producer, str(self._log), str(self._peak)]
        with self._open(sink) as stdout:
            sample = timed(lambda: run_child(argv, self._directory, self._environ, stdout))
        if self._log.stat().st_size != blocks * BLOCK:
            raise RuntimeError(f"the log of {way} into a {sink} has {self._log.stat().st_size} bytes")
        return sample

    @contextlib.contextmanager
    def _open(self, sink: str) -> Iterator[int]:
        """Yield a stdout that is read by somebody, or a file."""
        if sink == "file":
            with open(self._directory / "output", "wb") as file:
                yield file.fileno()
            return
        ours, theirs = os.pipe() if sink == "pipe" else os.openpty()
        quiet = subprocess.DEVNULL
        reader = subprocess.Popen(["cat"], stdin=ours, stdout=quiet, stderr=quiet, start_new_session=True)
        os.close(ours)
        try:
            yield theirs
        finally:
            os.close(theirs)
            reader.wait()
