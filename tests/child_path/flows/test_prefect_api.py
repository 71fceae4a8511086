"""Graphs as flow runs of a real Prefect server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

CHILD_PATH = Path(__file__).parents[3] / "dioptra_cli" / "child_path"
QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "WARNING"}

GRAPH = """
import json, sys, threading
from dioptra.flows.graph import Flow, Parameter, task
from dioptra.flows import signals

marker = object()

@task(nout=2)
def pair(x): return x, x + 1

@task
def total(values): return sum(values)

@task
def boom(x): raise ValueError("boom")

@task
def same(x, thing): return thing is marker

@task
def skipped(): raise signals.SKIP("not today")

@task
def thread(): return threading.current_thread() is threading.main_thread()

with Flow("My Graph") as flow:
    first, second = pair(Parameter("start"))
    summed = total([first, second + 1])
    after = total([summed, *[1, 2]], upstream_tasks=[second])
    broken = boom(after)
    blocked = total([broken])
    identical = same(1, marker)
    left_out = skipped()
    here = thread()

state = flow.run(start=5)
tasks = dict(summed=summed, after=after, broken=broken, blocked=blocked, identical=identical,
             left_out=left_out, here=here)
print(json.dumps([type(state).__name__, {
    name: [type(state.result[item]).__name__, repr(state.result[item].result)] for name, item in tasks.items()
}]))
"""

EXPECTED = {
    "summed": ["Success", "12"],
    "after": ["Success", "15"],
    "broken": ["Failed", "ValueError('boom')"],
    "blocked": [
        "TriggerFailed",
        "TRIGGERFAIL('Trigger was \"all_successful\" but some of the upstream tasks failed.')",
    ],
    "identical": ["Success", "True"],
    "left_out": ["Skipped", "SKIP('not today')"],
}


def ask(api: str, path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        f"{api}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def call(script: str, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a child, apart from any Prefect settings of this machine."""
    (tmp_path / "script.py").write_text(script)
    whole = {
        **os.environ,
        **QUIET,
        "PYTHONPATH": str(CHILD_PATH),
        "PREFECT_HOME": str(tmp_path / "home"),
        **env,
    }
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=whole,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_graph_runs_as_a_flow_of_the_server(workers: str, prefect_api: str, tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.mkdir()
    script = GRAPH.replace("My Graph", f"Graph {workers}")
    called = call(
        script,
        tmp_path,
        PREFECT_API_URL=prefect_api,
        DIOPTRA_FLOW_WORKERS=workers,
        DIOPTRA_FLOW_EVENTS=str(events),
    )
    state, tasks = json.loads(called.stdout.strip().splitlines()[-1])
    assert state == "Failed", called.stderr
    assert tasks == {**EXPECTED, "here": ["Success", str(workers == "1")]}

    (flow,) = ask(prefect_api, "flows/filter", flows={"name": {"any_": [f"Graph {workers}"]}})
    (run,) = ask(prefect_api, "flow_runs/filter", flows={"id": {"any_": [flow["id"]]}})
    assert run["state"]["type"] == "FAILED"
    assert run["state"]["message"] == "Some reference tasks failed."
    assert run["parameters"] == {"parameters": {"start": 5}}
    runs = ask(prefect_api, "task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    for _ in range(50):  # the server digests task states after it has the flow's
        if len(runs) == 7 and all(own["state"]["type"] in ("COMPLETED", "FAILED") for own in runs):
            break
        time.sleep(0.2)
        runs = ask(prefect_api, "task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    found = sorted((own["name"].split("-")[0], own["state"]["type"]) for own in runs)
    assert found == [
        ("boom", "FAILED"),
        ("pair", "COMPLETED"),
        ("same", "COMPLETED"),
        ("skipped", "COMPLETED"),
        ("thread", "COMPLETED"),
        ("total", "COMPLETED"),
        ("total", "COMPLETED"),
    ]
    (report,) = events.iterdir()
    assert json.loads(report.read_text().splitlines()[0])["engine"] == "prefect"


def test_the_engine_can_be_chosen(prefect_api: str, tmp_path: Path) -> None:
    called = call(GRAPH + "\nassert 'prefect' not in sys.modules", tmp_path)
    assert called.returncode == 0, called.stderr
    alone = json.loads(called.stdout.strip().splitlines()[-1])
    assert alone == ["Failed", {**EXPECTED, "here": ["Success", "True"]}]
    script = GRAPH.replace("My Graph", "not sent")
    called = call(script, tmp_path, PREFECT_API_URL=prefect_api, DIOPTRA_FLOW_ENGINE="dioptra")
    assert json.loads(called.stdout.strip().splitlines()[-1]) == alone
    assert ask(prefect_api, "flows/filter", flows={"name": {"any_": ["not sent"]}}) == []


def test_an_api_named_in_a_profile(prefect_api: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    profile = f'active = "mine"\n\n[profiles.mine]\nPREFECT_API_URL = "{prefect_api}"\n'
    (tmp_path / "home" / "profiles.toml").write_text(profile)
    called = call(GRAPH.replace("My Graph", "by profile"), tmp_path)
    assert json.loads(called.stdout.strip().splitlines()[-1])[0] == "Failed", called.stderr
    assert len(ask(prefect_api, "flows/filter", flows={"name": {"any_": ["by profile"]}})) == 1


ODD = """
import json
from dioptra.flows.graph import Flow, Parameter, task

class Mute:
    def __repr__(self): raise RuntimeError("no words")

@task
def numbers(n):
    def count():
        yield from range(n)
    return count()

@task
def total(values, self=0, mute=None): return sum(values) + self

with Flow("Train & Evaluate 100%") as flow:
    result = total(numbers(Parameter("return_state")), self=Parameter("self"), mute=Parameter("mute"))
    Parameter("text", default="")()
state = flow.run({"return_state": 4, "self": 1, "mute": Mute(), "text": "\\udcff"})
print(state.result[result].result, type(state.result[flow.get_tasks("numbers")[0]].result).__name__)
"""


def test_names_and_values_that_prefect_does_not_take(prefect_api: str, tmp_path: Path) -> None:
    called = call(ODD, tmp_path, PREFECT_API_URL=prefect_api)
    assert called.stdout.strip().splitlines()[-1] == "7 generator", called.stderr
    assert len(ask(prefect_api, "flows/filter", flows={"name": {"any_": ["Train - Evaluate 100-"]}})) == 1


def test_an_api_that_does_not_answer(tmp_path: Path, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}/api"
    called = call(GRAPH, tmp_path, PREFECT_API_URL=url)
    assert called.returncode == 1
    last = called.stderr.strip().splitlines()[-1]
    assert last.startswith(f"RuntimeError: the Prefect API at {url} does not answer: ")
    assert "DIOPTRA_FLOW_ENGINE=dioptra" in last


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    called = call(GRAPH, tmp_path, DIOPTRA_FLOW_ENGINE="airflow")
    assert "ValueError: DIOPTRA_FLOW_ENGINE=airflow: expected 'dioptra' or 'prefect'" in called.stderr


def test_a_task_runner_by_name(prefect_api: str, tmp_path: Path) -> None:
    script = GRAPH.replace("My Graph", "on a runner")
    called = call(
        script,
        tmp_path,
        PREFECT_API_URL=prefect_api,
        DIOPTRA_FLOW_TASK_RUNNER="prefect.task_runners:ThreadPoolTaskRunner",
    )
    assert json.loads(called.stdout.strip().splitlines()[-1])[1] == {**EXPECTED, "here": ["Success", "False"]}
    called = call(script, tmp_path, PREFECT_API_URL=prefect_api, DIOPTRA_FLOW_TASK_RUNNER="nowhere:Runner")
    assert "ValueError: DIOPTRA_FLOW_TASK_RUNNER=nowhere:Runner: No module named 'nowhere'" in called.stderr
