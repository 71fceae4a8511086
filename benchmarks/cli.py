"""What a call costs, against its peers, in one session: `python benchmarks/cli.py`.

Prints the wall time of each job and the ratio to its peer. The calls take turns, so that a busy machine slows all of
them alike; trust the ratios.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = "entry_points:\n  main:\n    parameters: {a: {type: float, default: 1}}\n    command: 'true {a}'\n"
TYPICAL = """\
name: A project like many others
conda_env: conda.yaml
entry_points:
  main:
    parameters:
      data: {type: path, default: data/train.csv}
      epochs: {type: int, default: 10}
      learning_rate: {type: float, default: 0.001}
      batch_size: {type: int, default: 32}
      optimizer: {type: string, default: adam}
      seed: {type: float, default: 42}
    command: >
      python src/train.py --data {data} --epochs {epochs} --learning-rate {learning_rate}
      --batch-size {batch_size} --optimizer {optimizer} --seed {seed}
  evaluate:
    parameters:
      run_id: string
      threshold:
        type: float
        default: 0.5
    command: "python src/evaluate.py --run-id {run_id} --threshold {threshold}"
"""
FILES = 1000
MLFLOW_RUN = (sys.executable, "-m", "mlflow", "run", "project", "--env-manager", "local")


@dataclass(frozen=True)
class Call:
    """A command to time, and the one that it is compared with."""

    name: str
    argv: Sequence[str]
    peer: str | None = None
    limit: float | None = None


def seconds(argv: Sequence[str], directory: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Run a call; return what it took, by the wall clock and on all processors."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(argv, cwd=directory, env=environ, capture_output=True, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise SystemExit(f"{argv} failed:\n{done.stderr.decode()}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_server(directory: Path, environ: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    argv = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--port",
        str(port),
        "--workers",
        "1",
        "--backend-store-uri",
        "sqlite:///s.db",
    ]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        argv, cwd=directory, env=environ, stdout=quiet, stderr=quiet, start_new_session=True
    )
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(2)
            return server, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the tracking server did not start")


def calls() -> list[Call]:
    """Return the calls that need no server; one that runs beside them would slow them down."""
    python, dioptra = sys.executable, [sys.executable, "-m", "dioptra_cli"]
    load = (
        "import yaml, glob\nfor f in glob.glob('many/*/MLproject'):\n"
        "    yaml.load(open(f).read(), Loader=yaml.CSafeLoader)"
    )
    load_many = f"load {FILES} files with PyYAML"
    many = [f"many/{number}" for number in range(FILES)]
    return [
        Call("python -c pass", [python, "-c", "pass"]),
        Call("python -c 'import click, yaml'", [python, "-c", "import click, yaml"]),
        Call("dioptra validate", [*dioptra, "validate", "project"], "python -c 'import click, yaml'"),
        Call("dioptra list", [*dioptra, "list-entry-points", "project"], "python -c 'import click, yaml'"),
        Call(load_many, [python, "-c", load]),
        Call(f"dioptra validate, {FILES} files", [*dioptra, "validate", *many], load_many, 2.0),
        Call("mlflow run, sqlite", MLFLOW_RUN),
        Call("dioptra run, sqlite", [*dioptra, "run", "project"], "mlflow run, sqlite", 0.45),
    ]


def calls_with_server(url: str) -> list[Call]:
    """Return the calls that record on a tracking server."""
    dioptra = [sys.executable, "-m", "dioptra_cli", "run", "project", "--tracking-uri", url]
    return [
        Call("mlflow run, http", ["env", f"MLFLOW_TRACKING_URI={url}", *MLFLOW_RUN]),
        Call("dioptra run, http", dioptra, "mlflow run, http", 0.06),
    ]


def measure(
    called: list[Call], rounds: int, directory: Path, environ: dict[str, str]
) -> dict[str, list[tuple[float, float]]]:
    measured: dict[str, list[tuple[float, float]]] = {}
    for round_number in range(rounds + 1):  # the first warms the caches and makes the stores
        for call in called:
            took = seconds(call.argv, directory, environ)
            if round_number:
                measured.setdefault(call.name, []).append(took)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DIOPTRA_"))}
    environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
    environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        environ["XDG_CACHE_HOME"] = str(directory / "cache")
        for name in ["project", *(f"many/{number}" for number in range(FILES))]:
            (directory / name).mkdir(parents=True)
            (directory / name / "MLproject").write_text(PROJECT if name == "project" else TYPICAL)
            (directory / name / "conda.yaml").touch()
        report(measure(calls(), rounds, directory, environ), calls())
        server, url = start_server(directory, environ)
        try:
            report(measure(calls_with_server(url), rounds, directory, environ), calls_with_server(url))
        finally:
            os.killpg(server.pid, 15)
            server.wait()


def report(measured: dict[str, list[tuple[float, float]]], called: list[Call]) -> None:
    print(f"{'call':32} {'median':>10} {'least':>9} {'processors':>12}   ratio of the least")
    least = {name: min(wall for wall, _ in times) for name, times in measured.items()}
    for call in called:
        median, used = (statistics.median(column) * 1e3 for column in zip(*measured[call.name], strict=True))
        line = f"{call.name:32} {median:7.0f} ms {least[call.name] * 1e3:6.0f} ms {used:9.0f} ms"
        if call.peer:
            line += f"   {least[call.name] / least[call.peer]:.3f} x {call.peer}"
            line += f" (limit {call.limit:g})" if call.limit else ""
        print(line)


if __name__ == "__main__":
    main()
