"""What a call costs that starts no run."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.figure import Figure, Options, compare, in_turn, run_child, timed_child

PYTHON = "python -c pass"
PEER = "import click, yaml"
MLFLOW = "mlflow run --help"
HELP = "dioptra run --help"
BUDGET, LIMIT = 1.45, 0.08

DIOPTRA = (sys.executable, "-c", "import sys; from dioptra_cli.__main__ import main; sys.exit(main())")
"""What the script `dioptra` does, from this checkout."""

LISTING = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from dioptra_cli.__main__ import main
main()
"""
HEAVY = ("mlflow", "prefect", "rich", "structlog", "urllib.request", "asyncio")

PROJECT = "entry_points:\n  main:\n    parameters: {a: {type: float, default: 1}}\n    command: 'true {a}'\n"
CALLS: dict[str, tuple[list[str], int]] = {
    "dioptra --version": (["--version"], 0),
    "dioptra --help": (["--help"], 0),
    "dioptra validate": (["validate", "project"], 0),
    "dioptra list-entry-points": (["list-entry-points", "project"], 0),
    "dioptra run, refused": (["run", "project", "-P", "a=abc"], 2),
    "completion in the shell": (["_complete", "bash", "dioptra run project -e ", "", ""], 0),
}


def figures(options: Options) -> Iterator[Figure]:
    """Compare calls with importing click and yaml, which none can do without, and once with MLflow's own."""
    directory, environ = options.directory, options.environ
    (directory / "project").mkdir()
    (directory / "project" / "MLproject").write_text(PROJECT)
    bare = {PYTHON: "pass", PEER: "import click, yaml"}
    ways = {
        name: (lambda code=code: timed_child([sys.executable, "-c", code], directory, environ))
        for name, code in bare.items()
    } | {
        name: (lambda argv=argv, code=code: timed_child([*DIOPTRA, *argv], directory, environ, code))
        for name, (argv, code) in CALLS.items()
    }
    samples = in_turn(ways, 4 * options.rounds_of(5, 2))
    yield compare(samples, PYTHON)
    for name, (argv, code) in CALLS.items():
        listed = run_child([sys.executable, "-c", LISTING, *argv], directory, environ, expected=code)
        modules = listed.splitlines()[-1].split()
        heavy = [module for module in HEAVY if module in modules]
        note = f"{len(modules)} modules" + (f", with {', '.join(heavy)}" if heavy else "")
        yield compare(samples, name, PEER, budget=BUDGET, limit=LIMIT, note=note)
    helps = {
        HELP: lambda: timed_child([*DIOPTRA, "run", "--help"], directory, environ),
        MLFLOW: lambda: timed_child([sys.executable, "-m", "mlflow", "run", "--help"], directory, environ),
    }
    yield compare(in_turn(helps, options.rounds_of(3, 1)), HELP, MLFLOW)
