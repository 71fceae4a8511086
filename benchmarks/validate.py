"""What it costs to check many files in one call."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.figure import Figure, Options, compare, in_turn, timed_child
from benchmarks.start_up import DIOPTRA

BUDGET = 2.0
FILES = 1000
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
LOAD = """
import sys, yaml
for name in sys.argv[1:]:
    with open(name) as file:
        yaml.load(file.read(), Loader=yaml.CSafeLoader)
"""


def figures(options: Options) -> Iterator[Figure]:
    """Compare `dioptra validate` with PyYAML's C loader alone, each in one process that starts and ends."""
    directory, environ = options.directory, options.environ
    projects = [f"many/{number}" for number in range(FILES)]
    for name in projects:
        (directory / name).mkdir(parents=True)
        (directory / name / "MLproject").write_text(TYPICAL)
        (directory / name / "conda.yaml").touch()
    files = [f"{name}/MLproject" for name in projects]
    job, peer = f"dioptra validate, {FILES} files", "PyYAML's C loader alone"
    samples = in_turn(
        {
            peer: lambda: timed_child([sys.executable, "-c", LOAD, *files], directory, environ),
            job: lambda: timed_child([*DIOPTRA, "validate", *projects], directory, environ),
        },
        options.rounds_of(7, 3),
    )
    yield compare(samples, job, peer, budget=BUDGET)
