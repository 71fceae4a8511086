"""What a run of `true` costs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figure import Figure, Options, compare, free_port, in_turn, run_child, server, timed_child
from benchmarks.start_up import DIOPTRA, PROJECT

MLFLOW = (sys.executable, "-m", "mlflow")
HTTP_BUDGET, SQLITE_BUDGET = 0.06, 0.45


@contextmanager
def mlflow_server(directory: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Run a tracking server that keeps what it is told in a directory; yield its URL."""
    port = free_port()
    store = f"sqlite:///{directory / 'server.db'}"
    argv = [*MLFLOW, "server", "--port", str(port), "--workers", "1", "--backend-store-uri", store]
    url = f"http://127.0.0.1:{port}"
    without_jobs = {**environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with server(argv, f"{url}/health", directory, without_jobs):
        yield url


def figures(options: Options) -> Iterator[Figure]:
    """Compare `dioptra run` with `mlflow run`: in a local store, on a tracking server, and with the warm server.

    The servers wait beside the runs that do not use them: idle, they take no processor time. What they take for a run
    is in its wall seconds alone.
    """
    environ = options.environ
    local, remote, warm = (options.directory / name for name in ("local", "remote", "warm"))
    for directory in (local, remote, warm):
        (directory / "project").mkdir(parents=True)
        (directory / "project" / "MLproject").write_text(PROJECT)
    mlflow_run = [*MLFLOW, "run", "project", "--env-manager", "local"]
    dioptra_run = [*DIOPTRA, "run", "project"]
    with mlflow_server(remote, environ) as url:
        tracking = {**environ, "MLFLOW_TRACKING_URI": url}
        try:
            run_child([*DIOPTRA, "server", "start", "--idle-timeout", "900"], warm, environ)
            samples = in_turn(
                {
                    "mlflow run, sqlite": lambda: timed_child(mlflow_run, local, environ),
                    "dioptra run, sqlite": lambda: timed_child(dioptra_run, local, environ),
                    "mlflow run, http": lambda: timed_child(mlflow_run, remote, tracking),
                    "dioptra run, http": lambda: timed_child(dioptra_run, remote, tracking),
                    "dioptra run, warm server": lambda: timed_child(dioptra_run, warm, environ),
                },
                options.rounds_of(7, 1),
            )
        finally:
            run_child([*DIOPTRA, "server", "stop", "--force"], warm, environ)
    yield compare(samples, "dioptra run, http", "mlflow run, http", budget=HTTP_BUDGET)
    yield compare(samples, "dioptra run, sqlite", "mlflow run, sqlite", budget=SQLITE_BUDGET)
    yield compare(samples, "dioptra run, warm server", "mlflow run, sqlite", budget=HTTP_BUDGET)
