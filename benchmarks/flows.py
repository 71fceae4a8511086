"""What a graph flow costs, and the import hook that it needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.figure import Figure, Options, Sample, Skipped, compare, in_turn, run_child, timed_child

BESIDE, PEER = "dioptra, fewer tasks", "Prefect 1"
CHILD_PATH = Path(__file__).resolve().parent.parent / "dioptra_cli" / "child_path"
TASKS, FEW = 1000, 100
"""Of how many tasks a flow is; beside Prefect 1, whose own cost of a task grows with their number, of the second."""
LIMIT, HOOK_LIMIT = 1e-4, 5e-3

FLOW = """
import sys, time
from prefect import Flow, Parameter, task
from prefect.utilities.logging import get_logger

def inc(x, y=0):
    return x + 1

TASKS = int(sys.argv[1])
inc_task = task(inc)
with Flow("chain") as chain:
    result = Parameter("p")
    for _ in range(TASKS):
        result = inc_task(result)
with Flow("fan") as fan:
    start = Parameter("p")
    results = [inc_task(start, index) for index in range(TASKS)]
for flow in (chain, fan):
    wall, cpu = time.perf_counter(), time.process_time()
    state = flow.run(p=1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(flow.name, wall / TASKS, cpu / TASKS, file=sys.stderr)
    assert state.is_successful()
"""


def figures(options: Options) -> Iterator[Figure | Skipped]:
    """Yield the cost of a task in a chain and in a fan, and what the hook adds to the start of Python."""
    yield from _tasks(options)
    yield from _starts(options)


def _tasks(options: Options) -> Iterator[Figure | Skipped]:
    plain, hooked = _environments(options)
    events = options.directory / "events"
    events.mkdir()
    own = [sys.executable, "-c", FLOW]
    engines: dict[str, tuple[list[str], Mapping[str, str]]] = {
        "dioptra": ([*own, str(TASKS)], hooked),
        "dioptra, reporting": ([*own, str(TASKS)], {**hooked, "DIOPTRA_FLOW_EVENTS": str(events)}),
        "dioptra, 4 workers": ([*own, str(TASKS)], {**hooked, "DIOPTRA_FLOW_WORKERS": "4"}),
    }
    if options.prefect1:
        engines[BESIDE] = ([*own, str(FEW)], hooked)
        engines[PEER] = ([options.prefect1, "-W", "ignore", "-c", FLOW, str(FEW)], plain)
    samples: dict[str, list[Sample]] = {}
    for number in range(options.rounds_of(7, 3) + 1):
        for engine, (argv, environ) in engines.items():
            for shape, sample in _by_shape(argv, options.directory, environ).items():
                if number:  # the first warms up
                    samples.setdefault(f"{engine}, {shape}", []).append(sample)
    for shape in ("chain", "fan"):
        for engine in [name for name in engines if name not in (BESIDE, PEER)]:
            limit = LIMIT if engine == "dioptra" else None
            yield compare(samples, f"{engine}, {shape}", limit=limit, note=f"a task of {TASKS}")
        if options.prefect1:
            note = f"a task of {FEW}"
            yield compare(samples, f"{BESIDE}, {shape}", f"{PEER}, {shape}", limit=LIMIT, note=note)
    if not options.prefect1:
        hint = "name an interpreter that has it (python -m pip install 'prefect<2'): --prefect1 PYTHON"
        yield Skipped("the same beside Prefect 1", hint)


def _environments(options: Options) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environments of children without and with the hook."""
    plain = {name: value for name, value in options.environ.items() if name != "PYTHONPATH"}
    return plain, {**plain, "PYTHONPATH": str(CHILD_PATH)}


def _by_shape(argv: Sequence[str], directory: Path, environ: Mapping[str, str]) -> dict[str, Sample]:
    """Run a script, and return what a task of each of its flows took."""
    lines = run_child(argv, directory, environ, subprocess.DEVNULL).splitlines()
    named = [words for words in map(str.split, lines) if len(words) == 3 and words[0] in ("chain", "fan")]
    return {name: Sample(float(wall), float(cpu)) for name, wall, cpu in named}


def _starts(options: Options) -> Iterator[Figure]:
    plain, hooked = _environments(options)

    def way(code: str, environ: Mapping[str, str]) -> Callable[[], Sample]:
        return lambda: timed_child([sys.executable, "-c", code], options.directory, environ)

    starts = in_turn({"bare": way("pass", plain), "hooked": way("pass", hooked)}, 6 * options.rounds_of(7, 3))
    pairs = zip(starts["hooked"], starts["bare"], strict=True)
    added = [Sample(own.wall - other.wall, own.cpu - other.cpu) for own, other in pairs]
    job = "the hook, added to the start of Python"
    yield compare({job: added}, job, limit=HOOK_LIMIT)
    graph, native = "import the graph API", "import Prefect's own API"
    ways = {
        graph: way("from prefect import Flow, Parameter, task", hooked),
        native: way("from prefect import flow, task", hooked),
    }
    yield compare(in_turn(ways, options.rounds_of(3, 1)), graph, native)
