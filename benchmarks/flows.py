"""What a flow and its import hook cost: `python benchmarks/flows.py [--prefect1 PYTHON]`.

Prints microseconds per task of chains and fans of 1000 tasks, beside the same calls in plain Python and, where an
interpreter with Prefect 1.4.1 is named, beside that; and the milliseconds that the hook adds to the start of Python,
and that the graph API takes to import. All take turns, least of several rounds; trust the ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHILD_PATH = Path(__file__).resolve().parent.parent / "dioptra_cli" / "child_path"
TASKS = 1000

FLOW = f"""
import logging, sys, time
from prefect import Flow, Parameter, task
from prefect.utilities.logging import get_logger

def inc(x, y=0):
    return x + 1

inc_task = task(inc)
with Flow("chain") as chain:
    result = Parameter("p")
    for _ in range({TASKS}):
        result = inc_task(result)
with Flow("fan") as fan:
    start = Parameter("p")
    results = [inc_task(start, index) for index in range({TASKS})]
for flow in (chain, fan):
    begun = time.perf_counter()
    state = flow.run(p=1)
    print(flow.name, (time.perf_counter() - begun) / {TASKS} * 1e6, file=sys.stderr)
    assert state.is_successful()
"""
PLAIN = f"""
import sys, time

def inc(x, y=0):
    return x + 1

begun = time.perf_counter()
result = 1
for _ in range({TASKS}):
    result = inc(result)
print("chain", (time.perf_counter() - begun) / {TASKS} * 1e6, file=sys.stderr)
begun = time.perf_counter()
results = [inc(1, index) for index in range({TASKS})]
print("fan", (time.perf_counter() - begun) / {TASKS} * 1e6, file=sys.stderr)
"""
START = "python -c pass"
HOOKED = "the same with the hook"
GRAPH = "import Flow, Parameter, task"
PREFECT = "import prefect's own flow"


def figures_of(argv: list[str], environ: dict[str, str]) -> dict[str, float]:
    """Return the figures that a script prints on standard error."""
    done = subprocess.run(
        argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    lines = [line.split() for line in done.stderr.splitlines()]
    return {line[0]: float(line[1]) for line in lines if len(line) == 2 and line[0] in ("chain", "fan")}


def milliseconds_of(code: str, environ: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefect1", metavar="PYTHON", help="an interpreter that has Prefect 1.4.1")
    arguments = parser.parse_args()
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("DIOPTRA_", "PREFECT_", "PYTHONPATH"))}
    hooked = {**plain, "PYTHONPATH": str(CHILD_PATH)}
    with tempfile.TemporaryDirectory() as events:
        engines = {
            "plain calls": ([sys.executable, "-c", PLAIN], plain),
            "dioptra": ([sys.executable, "-c", FLOW], hooked),
            "dioptra, reporting": ([sys.executable, "-c", FLOW], {**hooked, "DIOPTRA_FLOW_EVENTS": events}),
            "dioptra, 4 workers": ([sys.executable, "-c", FLOW], {**hooked, "DIOPTRA_FLOW_WORKERS": "4"}),
        }
        if arguments.prefect1:
            engines["Prefect 1"] = ([arguments.prefect1, "-W", "ignore", "-c", FLOW], plain)
        least: dict[str, dict[str, float]] = {}
        for _ in range(arguments.rounds):
            for name, (argv, environ) in engines.items():
                figures = figures_of(argv, environ)
                known = least.setdefault(name, figures)
                least[name] = {kind: min(value, known[kind]) for kind, value in figures.items()}
    print(f"{'per task of ' + str(TASKS):24} {'chain':>12} {'fan':>12}   (budget 100 us)")
    for name, figures in least.items():
        print(f"{name:24} {figures['chain']:9.1f} us {figures['fan']:9.1f} us")
    starts = {
        START: ("pass", plain),
        HOOKED: ("pass", hooked),
        GRAPH: ("from prefect import Flow, Parameter, task", hooked),
        PREFECT: ("from prefect import flow, task", hooked),
    }
    times = dict.fromkeys(starts, float("inf"))
    for _ in range(4 * arguments.rounds):
        for name, (code, environ) in starts.items():
            times[name] = min(times[name], milliseconds_of(code, environ))
    print()
    for name, milliseconds in times.items():
        print(f"{name:32} {milliseconds:8.1f} ms   +{milliseconds - times[START]:.1f} ms")


if __name__ == "__main__":
    main()
