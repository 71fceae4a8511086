"""Many runs in one process, against the same runs of the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = """\
entry_points:
  main:
    parameters: {rate: float, data: {type: path, default: .}, api_token: {type: string, default: hidden-value}}
    command: echo "{rate} $MORE {api_token}"; exit $CODE
"""
SESSION = """
import json, os, sys
from dioptra_cli.errors import DioptraError
from dioptra_cli.session import Session

options = json.loads(sys.argv[1])
calls = json.loads(sys.argv[2])
session = Session("project", **options)
told = []
for entry_point, parameters, more in calls:
    os.environ["MLFLOW_RUN_ID"] = "of another run"  # the environment is that of the start
    try:
        result = session.run(entry_point, parameters, **more)
        told.append([result.run.run_id, result.status.value, result.exit_code, [str(f) for f in result.failures]])
    except DioptraError as error:
        told.append(str(error))
print("TOLD" + json.dumps(told))
"""


def sessions(directory: Path, calls: list[Any], **options: Any) -> tuple[list[Any], str]:
    done = subprocess.run(
        [sys.executable, "-c", SESSION, json.dumps(options), json.dumps(calls)],
        cwd=directory,
        env={**os.environ, "CODE": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    out, _, told = done.stdout.partition("TOLD")
    return json.loads(told), out


def test_runs_are_those_of_the_command_line(
    dioptra: Any, project: Callable[..., Path], tmp_path: Path
) -> None:
    project(PROJECT)
    env = {"MORE": "more", "CODE": "3"}
    named = {"run_name": "named", "tags": {"t": "1"}, "timeout": 60}
    told, out = sessions(
        tmp_path,
        [["main", {"rate": 0.5}, named], [None, {"rate": "x"}, {}], ["nothing", {}, {}]],
        env=env,
        experiment_name="sweep",
    )
    words = ["-P", "rate=0.5", "--run-name", "named", "--tag", "t=1", "--timeout", "60"]
    words += ["--experiment-name", "sweep", "--env", "MORE=more", "--env", "CODE=3"]
    called = dioptra("run", "project", "-e", "main", *words)
    assert called.code == 3, called.err
    assert out == called.out == "0.5 more hidden-value\n"
    (run_id, *rest), wrong_value, no_entry_point = told
    assert rest == ["FAILED", 3, []]
    assert "rate" in wrong_value
    assert "nothing" in no_entry_point
    listed = dioptra("runs", "project", "--json").json
    assert len(listed) == 2
    ours, theirs = (next(r for r in listed if (r["run_id"] == run_id) is which) for which in (True, False))
    for field in ("run_name", "status", "entry_point", "parameters", "exit_code"):
        assert ours[field] == theirs[field]
    places = [next(tmp_path.glob(f"mlruns/*/{run['run_id']}/artifacts")) for run in (ours, theirs)]
    names = [sorted(str(file.relative_to(place)) for file in place.rglob("*")) for place in places]
    assert names[0] == names[1]
    same = [json.loads((place / "parameters.json").read_text()) for place in places]
    for content in same:
        for value in content["parameters"]:
            value["source"] = ""
    assert same[0] == same[1]
    options = [json.loads((place / "provenance.json").read_text())["options"] for place in places]
    assert options[0] == options[1]
    for place in places:
        assert not [
            file for file in place.rglob("*") if file.is_file() and "hidden-value" in file.read_text()
        ]
    assert dioptra("rerun", run_id, "--dry-run").code == 0


@pytest.mark.parametrize("options", [{"plugin_dirs": "nowhere"}, {"tracking_uri": "http://127.0.0.1:1"}])
def test_what_is_wrong_from_the_start(project: Callable[..., Path], tmp_path: Path, options: Any) -> None:
    project(PROJECT)
    code = f"""
from dioptra_cli.errors import DioptraError
from dioptra_cli.session import Session
try:
    Session("project", tracking_timeout=0.2, **{options!r})
except DioptraError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "nowhere" in done.stdout or "127.0.0.1:1" in done.stdout


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "session" in block)
    (tmp_path / "sample_projects").symlink_to(root / "sample_projects")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [line.split()[-2:] for line in done.stdout.splitlines() if "Hello" not in line] == [
        ["FINISHED", "0"]
    ] * 2
    assert "Hello, Grace!" in done.stdout


def test_ctrl_c_ends_the_loop(project: Callable[..., Path], tmp_path: Path) -> None:
    project("entry_points: {main: {command: 'kill -INT $PPID; exec sleep 60'}}")
    code = """
from dioptra_cli.session import Session
session = Session("project", tracking_uri="sqlite:///m.db")
try:
    for _ in range(2):
        session.run()
except KeyboardInterrupt as interrupt:
    print("interrupted", interrupt.signum)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout == "interrupted 2\n"
    assert len(list((tmp_path / "mlruns" / "0").iterdir())) == 1
