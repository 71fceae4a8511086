"""Tracking URIs as MLflow reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dioptra_cli.tracking import uris

ASK = """
import json, mlflow
print(json.dumps([mlflow.get_tracking_uri(), len(mlflow.MlflowClient().search_experiments())]))
"""


@pytest.mark.parametrize("name", ["plain", "a b%20c#d"])
def test_the_default_is_mlflows(tmp_path: Path, name: str) -> None:
    """Both find the same file, which an URI may name in more than one way."""
    directory = tmp_path / name
    directory.mkdir()
    uri = uris.default(str(directory))
    assert uris.sqlite_file(uri) == str(directory / "mlflow.db")
    answer = subprocess.run(
        [sys.executable, "-c", ASK], cwd=directory, capture_output=True, text=True, check=True, timeout=120
    )
    theirs, experiments = json.loads(answer.stdout.splitlines()[-1])
    assert uris.sqlite_file(uris.absolute(theirs, str(directory))) == str(directory / "mlflow.db")
    assert experiments == 1
    assert (directory / "mlflow.db").exists()
    found = subprocess.run(
        [sys.executable, "-c", ASK.replace("MlflowClient()", f"MlflowClient({uri!r})")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(found.stdout.splitlines()[-1])[1] == 1
    assert [file.name for file in tmp_path.rglob("*.db")] == ["mlflow.db"]


def test_the_default_where_runs_were_kept_in_files(tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "models").mkdir(parents=True)
    (tmp_path / "mlruns" / "0").mkdir()
    assert uris.default(str(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    assert uris.default(str(tmp_path)) == f"file://{tmp_path}/mlruns"
    assert uris.resolved(None, str(tmp_path)) == f"file://{tmp_path}/mlruns"
    assert uris.resolved("http://h", str(tmp_path)) == "http://h"


@pytest.mark.parametrize("path", ["/a/m.db", "/a b/m.db", "/a%20b/50%.db", "/what?/m.db"])
def test_the_uri_of_a_file_names_that_file(path: str) -> None:
    assert uris.sqlite_file(uris.of_sqlite_file(path)) == path
