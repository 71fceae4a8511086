"""How fast the output of a child passes through, beside `tee`: `python benchmarks/output.py [--json]`.

Prints megabytes per second (median of the rounds, in which the two take turns) of `command > …` passed on by dioptra
with a log, and of `command | tee log > …`, into a pipe, a file and a terminal; their ratio, which should be at least
0.5; and the peak memory of dioptra for a tenth of the output and for all of it, which should be the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

BLOCK = 1 << 24
LINE = b"epoch 12/40 - loss: 0.4311 - accuracy: 0.8127 - val_loss: 0.5021 - val_accuracy: 0.7954\n"
TERMINAL_SHARE = 8
"""A terminal is slower: so many times less goes through it."""
LIMIT = 0.5

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


@dataclass(frozen=True)
class Figures:
    """What was measured for one kind of stdout.

    Attributes:
        sink: What stdout was.
        megabytes: How much went through (10^6 bytes).
        dioptra: Megabytes per second.
        tee: Megabytes per second.
        ratio: The first by the second.
        peak_tenth: Bytes of memory that dioptra took at most for a tenth of it.
        peak_all: The same for all of it.
    """

    sink: str
    megabytes: int
    dioptra: float
    tee: float
    ratio: float
    peak_tenth: int
    peak_all: int


class Bench:
    """Runs commands that write much, one at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.peak = directory / "peak"
        with open(directory / "block", "wb") as file:
            for begin in range(0, BLOCK, 1 << 16):  # in pieces: a child counts its parent's memory as its own
                file.write((LINE * 1000)[begin % len(LINE) :][: 1 << 16])

    def producer(self, blocks: int) -> str:
        """Return a command that writes so many blocks."""
        block = shlex.quote(str(self.directory / "block"))
        return f"for ((i = 0; i < {blocks}; i++)); do cat {block}; done"

    def seconds(self, way: str, sink: str, blocks: int) -> float:
        """Return how long one command takes, its start included."""
        producer = self.producer(blocks)
        if way == "tee":
            argv = ["bash", "-c", f"({producer}) | tee {shlex.quote(str(self.log))}"]
        else:
            argv = [sys.executable, "-c", DRIVER, producer, str(self.log), str(self.peak)]
        with self.open(sink) as stdout:
            begun = time.perf_counter()
            subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stdout, check=True)
            taken = time.perf_counter() - begun
        if self.log.stat().st_size != blocks * BLOCK:
            raise SystemExit(f"the log of {way} into a {sink} has {self.log.stat().st_size} bytes")
        return taken

    @contextlib.contextmanager
    def open(self, sink: str) -> Iterator[int]:
        """Yield a stdout that is read by somebody, or a file."""
        if sink == "file":
            with open(self.directory / "output", "wb") as file:
                yield file.fileno()
            return
        ours, theirs = os.pipe() if sink == "pipe" else os.openpty()
        reader = subprocess.Popen(["cat"], stdin=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(ours)
        try:
            yield theirs
        finally:
            os.close(theirs)
            reader.wait()

    def measure(self, sink: str, megabytes: int, rounds: int) -> Figures:
        """Let the two take turns."""
        blocks = max(1, megabytes * 10**6 // BLOCK)
        size = blocks * BLOCK / 1e6
        self.seconds("dioptra", sink, max(1, blocks // 10))
        tenth = int(self.peak.read_text())
        taken: dict[str, list[float]] = {"tee": [], "dioptra": []}
        peaks = []
        for _ in range(rounds):
            for way, times in taken.items():
                times.append(self.seconds(way, sink, blocks))
            peaks.append(int(self.peak.read_text()))
        rates = {way: size / statistics.median(times) for way, times in taken.items()}
        ratio = rates["dioptra"] / rates["tee"]
        return Figures(sink, round(size), rates["dioptra"], rates["tee"], ratio, tenth, max(peaks))


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=1000, help="how much to write (default: 1000)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dioptra-benchmark-") as directory:
        bench = Bench(Path(directory))
        sizes = {"pipe": 1, "file": 1, "terminal": TERMINAL_SHARE}
        figures = [
            bench.measure(sink, arguments.megabytes // share, arguments.rounds)
            for sink, share in sizes.items()
        ]
    if arguments.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    print(
        f"{'into a':10} {'MB':>6} {'tee':>10} {'dioptra':>10} {'ratio':>7} {'memory, a tenth':>16} {'all':>8}"
    )
    for each in figures:
        print(
            f"{each.sink:10} {each.megabytes:6} {each.tee:5.0f} MB/s {each.dioptra:5.0f} MB/s {each.ratio:7.2f} "
            f"{each.peak_tenth / 1e6:13.1f} MB {each.peak_all / 1e6:5.1f} MB"
        )
    print(f"(median of {arguments.rounds}; the ratio should be at least {LIMIT})")


if __name__ == "__main__":
    main()
