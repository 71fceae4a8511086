"""What each of many runs costs in one process, beside the program itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figure import Figure, Options, Sample, compare, run_child
from benchmarks.runs import mlflow_server

LIMIT = 0.025
PROJECT = "entry_points:\n  main:\n    command: 'true'\n"

TIMING = """
import sys, time
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

def measure(run, runs):
    # The first run makes what the others find: the store, the connection.
    run()
    def cpu():
        return sum(usage.ru_utime + usage.ru_stime for usage in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))
    begun, before = time.perf_counter(), cpu()
    for _ in range(runs):
        run()
    wall = time.perf_counter() - begun
    print("measured", wall / runs, (cpu() - before) / runs, file=sys.stderr)

runs, uri = int(sys.argv[1]), sys.argv[2]
"""
BARE = """
import subprocess
measure(lambda: subprocess.run(["bash", "-c", "true"], check=True), runs)
"""
CLIENT = """
import subprocess
from mlflow import MlflowClient
client = MlflowClient(uri)
def run():
    run_id = client.create_run("0").info.run_id
    assert subprocess.Popen(["bash", "-c", "true"]).wait() == 0
    client.set_terminated(run_id, "FINISHED")
measure(run, runs)
"""
DIOPTRA = """
from dioptra_cli.session import Session
session = Session("project", tracking_uri=uri)
def run():
    result = session.run()
    assert result.exit_code == 0 and not result.failures
measure(run, runs)
"""


def figures(options: Options) -> Iterator[Figure]:
    """Compare with MLflow's client around the same child; of both, the time of the child alone is taken off."""
    directory, environ = options.directory, options.environ
    (directory / "project").mkdir()
    (directory / "project" / "MLproject").write_text(PROJECT)
    runs = options.pick(50, 20)
    samples: dict[str, list[Sample]] = {}

    def per_run(script: str, uri: str = "") -> Sample:
        argv = [sys.executable, "-c", TIMING + script, str(runs), uri]
        printed = run_child(argv, directory, environ, subprocess.DEVNULL)
        (line,) = (line for line in printed.splitlines() if line.startswith("measured "))
        _, wall, cpu = line.split()
        return Sample(float(wall), float(cpu))

    with mlflow_server(directory, environ) as url:
        stores = {"sqlite": f"sqlite:///{directory / 'local.db'}", "server": url}
        for _ in range(options.rounds_of(5, 1)):  # each script warms up by itself
            bare = per_run(BARE)
            for store, uri in stores.items():
                for name, script in (("MlflowClient", CLIENT), ("dioptra", DIOPTRA)):
                    wall, cpu = per_run(script, uri)
                    samples.setdefault(f"{name}, {store}", []).append(
                        Sample(wall - bare.wall, cpu - bare.cpu)
                    )
    for store in stores:
        note = f"a run of {runs}, over its child's own"
        yield compare(samples, f"dioptra, {store}", f"MlflowClient, {store}", limit=LIMIT, note=note)
