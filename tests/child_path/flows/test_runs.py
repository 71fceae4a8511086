"""Tasks of other threads log into the run of the flow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD_PATH = Path(__file__).parents[3] / "dioptra_cli" / "child_path"

SCRIPT = """
import json, os, sys
from dioptra.flows.graph import Flow, task

@task
def log(name):
    import mlflow
    mlflow.log_metric(name, 1.0)
    return mlflow.active_run().info.run_id

with Flow("f") as flow:
    results = [log(f"m{index}") for index in range(6)]

if sys.argv[1] == "active":
    import mlflow
    with mlflow.start_run() as run:
        state = flow.run()
    again = flow.run() if len(sys.argv) > 2 else None
else:
    state = flow.run()
print(json.dumps([state.result[result].result for result in results]))
"""

LOOK = """
import json, mlflow
client = mlflow.MlflowClient()
print(json.dumps([[run.info.run_id, run.info.status, sorted(run.data.metrics)] for run in client.search_runs(["0"])]))
"""


def python(code: str, tmp_path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    whole = {
        **os.environ,
        "PYTHONPATH": str(CHILD_PATH),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
        **env,
    }
    argv = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        argv, cwd=tmp_path, env=whole, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("how", ["active", "named"])
def test_nothing_lands_in_a_second_run(how: str, tmp_path: Path) -> None:
    create = "import mlflow; client = mlflow.MlflowClient(); print(client.create_run('0').info.run_id)"
    run_id = python(create, tmp_path).stdout.split()[-1]
    called = python(SCRIPT, tmp_path, how, MLFLOW_RUN_ID=run_id, DIOPTRA_FLOW_WORKERS="3")
    assert called.returncode == 0, called.stderr
    assert set(json.loads(called.stdout.splitlines()[-1])) == {run_id}
    ((found, status, metrics),) = json.loads(python(LOOK, tmp_path).stdout.splitlines()[-1])
    assert (found, metrics) == (run_id, [f"m{index}" for index in range(6)])
    assert status == ("FINISHED" if how == "active" else "RUNNING")  # a thread never ends what it has joined
