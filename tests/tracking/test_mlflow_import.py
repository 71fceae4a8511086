"""How MLflow gets into the process: what is left out, and that it can be left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECORDS = """
import json, sys, threading
from dioptra_cli.tracking import mlflow_import, open_tracker, prepare
from dioptra_cli.tracking.protocol import RunRequest, RunStatus

here = sys.argv[1]
prepare("sqlite:///m.db", directory=here, cache_directory=here + "/cache")
began = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
tracker = open_tracker("sqlite:///m.db", environ={}, directory=here, cache_directory=here + "/cache")
run = tracker.start(RunRequest(experiment_name="e", tags={"a": "b"}))
tracker.log_parameters(run.run_id, {"p": "1"})
tracker.log_artifacts(run.run_id, sys.argv[2])
tracker.close(run.run_id, RunStatus.FINISHED, 1)
found = tracker.find({"a": "b"}, limit=5)
hidden = sorted(mlflow_import.NOT_NEEDED & set(sys.modules))
import pandas  # nothing is hidden any more
print(json.dumps([began, hidden, [each.parameters for each in found], pandas.Series([1, 2]).sum().item()]))
"""


def run(script: str, *arguments: str, path: Path | None = None, cwd: Path | None = None) -> Any:
    environ = {**os.environ, "PYTHONPATH": str(path or "")}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        cwd=cwd,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_runs_are_recorded_without_what_mlflow_can_do_without(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "file").touch()
    began, hidden, found, total = run(RECORDS, str(tmp_path), str(tmp_path / "artifacts"), cwd=tmp_path)
    assert (began, hidden, found, total) == (["dioptra-import-mlflow"], [], [{"p": "1"}], 3)
    assert len(list(tmp_path.rglob("artifacts/file"))) == 2


def test_plugins_see_everything(tmp_path: Path) -> None:
    info = tmp_path / "site" / "theirs-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mlflow.run_context_provider]\nx = nothing_there:X\n")
    script = """
import sys
from dioptra_cli.tracking import mlflow_import
mlflow_import.finish(sql=False, cache_directory=None)
print(str("pandas" in sys.modules).lower())
"""
    assert run(script, path=tmp_path / "site") is True
    assert run(script) is False


def test_an_import_that_needs_them_is_done_again(tmp_path: Path) -> None:
    # One that stands for an MLflow that cannot do without.
    package = tmp_path / "mlflow"
    package.mkdir()
    (package / "__init__.py").write_text("import mlflow.part\nimport pandas\n")
    (package / "part.py").write_text("try:\n    import numpy\nexcept ImportError:\n    numpy = None\n")
    script = """
from dioptra_cli.tracking import mlflow_import
found = mlflow_import.finish(sql=False, cache_directory=None)
assert found is mlflow_import.finish(sql=False, cache_directory=None)
print(str(found.part.numpy is not None).lower())
"""
    assert run(script, path=tmp_path) is True


@pytest.mark.parametrize("broken", ["raise RuntimeError('broken')", "import no_such_package_here"])
def test_an_mlflow_that_cannot_be_imported(tmp_path: Path, broken: str) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").write_text(broken)
    script = """
from dioptra_cli.tracking.mlflow_client import MlflowTracker
try:
    MlflowTracker("sqlite:///m.db", directory="/", cache_directory=None)
except TrackingError as error:
    print(json.dumps(str(error)))
"""
    said = run(f"import json\nfrom dioptra_cli.errors import TrackingError\n{script}", path=tmp_path)
    assert "MLflow cannot be imported" in said
    assert "broken" in said or "no_such_package_here" in said
