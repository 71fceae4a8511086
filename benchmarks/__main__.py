"""Measures what dioptra costs beside its peers, in one go: `python benchmarks`.

Prints each figure beside its peer and its budget. Everything runs on this machine, in directories that are removed
afterwards; your own settings, caches and runs are neither read nor written.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import shutil
import signal
import site
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
# `python benchmarks` puts the directory itself in front, where `output` and the like are no names of packages.
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != ROOT / "benchmarks")]

from benchmarks import table  # noqa: E402
from benchmarks.figure import Figure, Options  # noqa: E402

NAMES = ("start-up", "runs", "many-runs", "validate", "flows", "output", "downloads")
"""The benchmarks, in the order in which they run; the modules have underscores where these have hyphens."""
SETTINGS = ("MLFLOW_", "DIOPTRA_", "PREFECT_", "AWS_", "AI_", "XDG_", "PYTHON", "GIT_")
"""What no child may find in its environment."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="python benchmarks", description=description, epilog=rest)
    parser.add_argument("--list", action="store_true", help="print the names of the benchmarks, and end")
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, metavar="NAME", help=f"run these alone: {', '.join(NAMES)}"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and less data: about two minutes")
    parser.add_argument(
        "--rounds", type=int, help="how many rounds of what takes a second (default: about 5)"
    )
    parser.add_argument(
        "--prefect1", metavar="PYTHON", help="an interpreter with Prefect 1, to compare flows with"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="where to write the results (default: benchmarks/results.json, but not with --quick or --only)",
    )
    parser.add_argument("--page", metavar="FILE", help="write the table into this page: docs/performance.md")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a figure is over its budget or missing"
    )
    arguments = parser.parse_args(argv)
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: at least 1")
    if arguments.prefect1:
        found = shutil.which(arguments.prefect1)
        if found is None:
            parser.error(f"--prefect1 {arguments.prefect1}: no such program")
        arguments.prefect1 = os.path.abspath(found)
    if arguments.page:  # told at once, and not after all has been measured
        try:
            table.into_page(Path(arguments.page).read_text(encoding="utf-8"), table.Report({}))
        except (OSError, ValueError) as error:
            parser.error(f"--page {arguments.page}: {error}")
    if arguments.json and not Path(arguments.json).parent.is_dir():
        parser.error(f"--json {arguments.json}: there is no such directory")
    return arguments


def environment(directory: Path) -> dict[str, str]:
    """Return an environment in which nothing of the user's own is read or written."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    environ |= {
        "HOME": str(directory),
        "PYTHONUSERBASE": site.getuserbase(),  # packages may be there
        "PYTHONPATH": str(ROOT),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "NO_PROXY": "*",
        "no_proxy": "*",
    }
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        environ[f"XDG_{name}_HOME"] = str(directory / name.lower())
    return environ


@contextlib.contextmanager
def place(arguments: argparse.Namespace) -> Iterator[Options]:
    """Make the directory and the environment of one benchmark, in this process too; remove both."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="dioptra-benchmark-") as directory:
        home, work = Path(directory, "home"), Path(directory, "work")
        home.mkdir()
        work.mkdir()
        environ = environment(home)
        os.environ.clear()
        os.environ.update(environ)
        try:
            yield Options(work, environ, arguments.quick, arguments.rounds, arguments.prefect1)
        finally:
            os.environ.clear()
            os.environ.update(before)


def load(name: str) -> ModuleType:
    """Import the module of a benchmark."""
    return importlib.import_module(f"benchmarks.{name.replace('-', '_')}")


def about(module: ModuleType) -> str:
    """Return what a benchmark measures."""
    return (module.__doc__ or "").partition("\n")[0].rstrip(".")


def measure(name: str, arguments: argparse.Namespace) -> table.Benchmark:
    """Run one benchmark; what goes wrong in it is kept beside the figures that it had."""
    benchmark = table.Benchmark(name)
    try:
        with place(arguments) as options:
            module = load(name)
            benchmark.about = about(module)
            for found in module.figures(options):
                (benchmark.figures if isinstance(found, Figure) else benchmark.skipped).append(found)
    except Exception as error:
        traceback.print_exc()
        said = str(error).splitlines()  # of the output of a child, the last line says most
        benchmark.failure = f"{type(error).__name__}: {' '.join([*said[:1], *said[1:][-1:]])}"
    return benchmark


def save(report: table.Report, arguments: argparse.Namespace) -> None:
    """Write the results as JSON, and into the page."""
    whole = not (arguments.quick or arguments.only)
    file = arguments.json or (str(ROOT / "benchmarks" / "results.json") if whole else None)
    if file:
        Path(file).write_text(
            json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    if arguments.page:
        page = Path(arguments.page)
        page.write_text(table.into_page(page.read_text(encoding="utf-8"), report), encoding="utf-8")


def stop(*_: object) -> NoReturn:
    """End as on Ctrl-C, so that everything that was started is stopped."""
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return the exit code."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    if arguments.list:
        print("\n".join(f"{name:10}  {about(load(name))}" for name in NAMES))
        return 0
    report = table.Report(table.describe_machine(), arguments.quick)
    print("; ".join(f"{what} {text}" for what, text in report.machine.items()))
    print(f"{table.QUICK}\n" if arguments.quick else "", table.head(), sep="\n", flush=True)
    for name in arguments.only or NAMES:
        begun = time.monotonic()
        benchmark = measure(name, arguments)
        report.benchmarks.append(benchmark)
        print("", *table.lines(benchmark), sep="\n", flush=True)
        print(f"({name}: {time.monotonic() - begun:.0f} s)", file=sys.stderr, flush=True)
    report.machine["load after"] = table.load()
    save(report, arguments)
    failed = [benchmark.name for benchmark in report.benchmarks if benchmark.failure]
    print(f"\n{len(report.over)} over budget (!)" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if arguments.check and (report.over or failed) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the table has characters that not every encoding has
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
