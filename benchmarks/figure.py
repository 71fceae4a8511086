"""What a benchmark is to the others: the figures that it yields, and how they are measured.

Each module that measures has a docstring whose first line says what, in a few words, and

    def figures(options: Options) -> Iterator[Figure | Skipped]

It knows nothing of tables and pages, and leaves no process behind, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import signal
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple


class Sample(NamedTuple):
    """What one round took.

    Attributes:
        wall: Seconds by the clock.
        cpu: Seconds of all processors, of this process and of children that have ended.
    """

    wall: float
    cpu: float

    def divided(self, by: float) -> Sample:
        """Return the share of one, where a round did several."""
        return Sample(self.wall / by, self.cpu / by)


@dataclass(frozen=True)
class Figure:
    """One line of the table. `compare` makes it from the samples of a measurement.

    Attributes:
        job: What was measured: `dioptra run, sqlite`.
        wall: Seconds, median of the rounds.
        cpu: Processor seconds, median of the rounds.
        rounds: How many rounds there were, without the first, which warms up.
        peer: What it is compared with, None for a figure that stands alone.
        peer_wall: Seconds of the peer.
        peer_cpu: Processor seconds of the peer.
        ratio: How many times as long as the peer it takes (`times as long`), or how many times as fast as the peer
            it is (`times as fast`); median of the rounds' own ratios.
        cpu_ratio: Its processor seconds by those of the peer.
        kind: Which of the two `ratio` is: the first should be low, the second high.
        budget: What the ratio may be at most, or for `times as fast` has to be at least.
        limit: Seconds that it may take at most on a quiet machine. Where there is a budget too, the budget decides:
            it holds on any machine.
        note: What else there is to say, in a few words: sizes, memory, modules imported.
    """

    job: str
    wall: float
    cpu: float
    rounds: int
    peer: str | None = None
    peer_wall: float | None = None
    peer_cpu: float | None = None
    ratio: float | None = None
    cpu_ratio: float | None = None
    kind: Literal["times as long", "times as fast"] = "times as long"
    budget: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def over(self) -> bool:
        """Whether it is beyond its budget, or where it has none, beyond its limit."""
        if self.budget is not None and self.ratio is not None:
            return self.ratio > self.budget if self.kind == "times as long" else self.ratio < self.budget
        return self.limit is not None and self.wall > self.limit


@dataclass(frozen=True)
class Skipped:
    """A figure that cannot be had here.

    Attributes:
        job: What would have been measured.
        hint: What is missing, and how to get it, in one line.
    """

    job: str
    hint: str


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        directory: An empty directory for this benchmark alone; it is removed afterwards.
        environ: The environment for children: without settings of MLflow, Prefect, dioptra and AWS, with home and
            cache directories below `directory`, and with this checkout to import from.
        quick: Whether to be done in seconds: fewer rounds, less data.
        rounds: How many rounds to do for what takes a second; None for the benchmark's own choice.
        prefect1: An interpreter that has Prefect 1, if there is one.
    """

    directory: Path
    environ: Mapping[str, str] = field(repr=False)
    quick: bool = False
    rounds: int | None = None
    prefect1: str | None = None

    def pick(self, full: int, quick: int) -> int:
        """Return a size for the form that was asked for."""
        return quick if self.quick else full

    def rounds_of(self, full: int, quick: int) -> int:
        """Return how many rounds to do."""
        return self.rounds or self.pick(full, quick)


def processor_seconds() -> float:
    """Return the processor seconds of this process, and of those of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(action: Callable[[], object]) -> Sample:
    """Measure a call in this process."""
    before, begun = processor_seconds(), time.perf_counter()
    action()
    return Sample(time.perf_counter() - begun, processor_seconds() - before)


def run_child(
    argv: Sequence[str],
    directory: Path,
    environ: Mapping[str, str],
    stdout: int = subprocess.PIPE,
    expected: int = 0,
) -> str:
    """Run a child process, and return what it says on standard error.

    Raises:
        RuntimeError: It ended with another code than `expected`.
    """
    process = subprocess.Popen(
        argv,
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate()
    except BaseException:
        _stop(process)
        raise
    if process.returncode != expected:
        said = f"{output or ''}{errors}".strip()
        raise RuntimeError(f"{_shown(argv)} ended with {process.returncode}, not {expected}:\n{said}")
    return errors


def timed_child(
    argv: Sequence[str], directory: Path, environ: Mapping[str, str], expected: int = 0
) -> Sample:
    """Measure a child process, from its start to its end, and what it says to nobody. Raises as `run_child`."""
    return timed(lambda: run_child(argv, directory, environ, expected=expected))


def in_turn(ways: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, list[Sample]]:
    """Measure several ways, one after the other in each round, so that a busy machine slows all of them alike.

    A first round, which fills caches and makes stores, does not count.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            sample = way()
            if number:
                samples[name].append(sample)
    return samples


def compare(
    samples: Mapping[str, Sequence[Sample]],
    job: str,
    peer: str | None = None,
    *,
    kind: Literal["times as long", "times as fast"] = "times as long",
    budget: float | None = None,
    limit: float | None = None,
    note: str = "",
) -> Figure:
    """Make the figure of one job out of what `in_turn` measured."""
    own = samples[job]
    wall, cpu = (statistics.median(column) for column in zip(*own, strict=True))
    if peer is None:
        return Figure(job, wall, cpu, len(own), kind=kind, limit=limit, note=note)
    others = samples[peer]
    peer_wall, peer_cpu = (statistics.median(column) for column in zip(*others, strict=True))
    ratio = statistics.median(a.wall / b.wall for a, b in zip(own, others, strict=True))
    return Figure(
        job,
        wall,
        cpu,
        len(own),
        peer,
        peer_wall,
        peer_cpu,
        ratio if kind == "times as long" else 1 / ratio,
        cpu / peer_cpu if peer_cpu else None,
        kind,
        budget,
        limit,
        note,
    )


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def server(argv: Sequence[str], url: str, directory: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Run a server, with all that it starts, for the time of a block that begins when `url` answers.

    Raises:
        RuntimeError: It did not answer within a minute, or ended.
    """
    with open(directory / "server.log", "w+b") as log:
        process = subprocess.Popen(
            argv,
            cwd=directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 60
            while not _answers(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    said = log.read().decode(errors="replace")
                    raise RuntimeError(f"{_shown(argv)} did not answer at {url}:\n{said}")
                time.sleep(0.05)
            yield
        finally:
            _stop(process)


def _shown(argv: Sequence[str]) -> str:
    """Return a command without the text of scripts."""
    return " ".join(
        [os.path.basename(argv[0]), *("…" if "\n" in word else shlex.quote(word) for word in argv[1:])]
    )


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[Any]) -> None:
    """End a process and all others of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
