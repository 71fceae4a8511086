"""Entry points in the published style, as they are: `dioptra run`, a real script, real task plugins, a real store."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

MLPROJECT = """\
name: Greetings
entry_points:
  train:
    parameters:
      name: {type: string, default: Ada}
      seed: {type: float, default: -1}
    command: >
      python src/train.py
      --name {name}
      --seed {seed}
"""

SCRIPT = """\
#!/usr/bin/env python
import os

import click
import mlflow
import structlog
from prefect import Flow, Parameter
from prefect.utilities.logging import get_logger as get_prefect_logger
from structlog.stdlib import BoundLogger

from dioptra import pyplugs
from dioptra.sdk.utilities.contexts import plugin_dirs
from dioptra.sdk.utilities.logging import (
    StderrLogStream,
    StdoutLogStream,
    attach_stdout_stream_handler,
    clear_logger_handlers,
    configure_structlog,
    set_logging_level,
)

_CUSTOM_PLUGINS_IMPORT_PATH: str = "dioptra_custom"
_PLUGINS_IMPORT_PATH: str = "dioptra_builtins"

LOGGER: BoundLogger = structlog.stdlib.get_logger()


@click.command()
@click.option("--name", type=click.STRING, default="Ada")
@click.option("--seed", type=click.INT, default=-1)
def train(name, seed):
    LOGGER.info("Execute MLFlow entry point", entry_point="train", name=name, seed=seed)

    with mlflow.start_run() as active_run:
        flow: Flow = init_flow()
        state = flow.run(parameters=dict(active_run=active_run, name=name, seed=seed))

    return state


def init_flow() -> Flow:
    with Flow("Greetings") as flow:
        active_run, name, seed = Parameter("active_run"), Parameter("name"), Parameter("seed")
        seed, rng = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.random", "rng", "init_rng", seed=seed)
        dataset_seed = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.random", "sample", "draw_random_integer", rng=rng, low=0, high=2 ** 31 - 1
        )
        log_parameters = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_parameters",
            parameters=dict(entry_point_seed=seed, dataset_seed=dataset_seed + 1),
        )
        first, last = pyplugs.call_task(
            f"{_CUSTOM_PLUGINS_IMPORT_PATH}.greetings",
            "words",
            "split",
            name,
            upstream_tasks=[log_parameters],
        )
        greeting = pyplugs.call_task(
            f"{_CUSTOM_PLUGINS_IMPORT_PATH}.greetings",
            "words",
            "greet",
            run=active_run,
            parts=[first, dict(last=last)],
            name="a plain argument",
        )
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_metrics",
            metrics=dict(letters=greeting),
        )
    return flow


if __name__ == "__main__":
    log_level: str = os.getenv("DIOPTRA_JOB_LOG_LEVEL", default="INFO")
    as_json: bool = True if os.getenv("DIOPTRA_JOB_LOG_AS_JSON") else False

    clear_logger_handlers(get_prefect_logger())
    attach_stdout_stream_handler(as_json)
    set_logging_level(log_level)
    configure_structlog()

    with plugin_dirs(), StdoutLogStream(as_json), StderrLogStream(as_json):
        _ = train()
"""

PLUGIN = """\
import sys

import structlog
from mlflow.entities import Run
from structlog.stdlib import BoundLogger

from dioptra import pyplugs
from dioptra.sdk.exceptions import TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

LOGGER: BoundLogger = structlog.stdlib.get_logger()


@pyplugs.register
@pyplugs.task_nout(2)
def split(name: str):
    print(f"splitting {name}")
    return name[:1], name[1:]


@pyplugs.register
@require_package("json", exc_type=TensorflowDependencyError)
def greet(run: Run, parts: list, name: str) -> int:
    sys.stderr.write("a warning of a library\\n")
    word = parts[0] + parts[1]["last"]
    if word == "Eve":
        raise RuntimeError("Eve is not greeted")
    LOGGER.info("hello", word=word, run_id=run.info.run_id, name=name)
    return len(word)
"""

OWN_RNG = """\
from dioptra import pyplugs

@pyplugs.register
@pyplugs.task_nout(2)
def init_rng(seed):
    return 1, 2
"""

OWN_SAMPLE = """\
from dioptra import pyplugs

@pyplugs.register
def draw_random_integer(rng, low, high):
    return 40
"""


@pytest.fixture
def greetings(tmp_path: Path) -> Path:
    """A project in the published style, with a plugin collection of its own."""
    directory = tmp_path / "greetings"
    (directory / "src").mkdir(parents=True)
    (directory / "MLproject").write_text(MLPROJECT)
    (directory / "src" / "train.py").write_text(SCRIPT)
    collection = directory / "task-plugins" / "dioptra_custom" / "greetings"
    collection.mkdir(parents=True)
    (collection / "__init__.py").write_text("")
    (collection / "words.py").write_text(PLUGIN)
    return directory


def older(text: str) -> str:
    """Return a script or plugin as it was written before May 2022."""
    text = re.sub(r"from dioptra( |\.)", r"from mitre.securingai\1", text)
    return text.replace("dioptra_", "securingai_").replace("DIOPTRA_", "AI_")


@pytest.mark.parametrize("age", ["today's names", "older names"])
def test_a_published_entry_point_runs_as_it_is(age: str, dioptra: Any, greetings: Path, store: Any) -> None:
    if age == "older names":
        plugin = greetings / "task-plugins/dioptra_custom/greetings/words.py"
        for file in (greetings / "src" / "train.py", plugin):
            file.write_text(older(file.read_text()))
        (greetings / "task-plugins/dioptra_custom").rename(greetings / "task-plugins/securingai_custom")
    called = dioptra("run", str(greetings), "-P", "seed=7", "--log-as-json")
    assert called.code == 0, called.out + called.err
    lines = [json.loads(line) for line in called.out.splitlines()]
    run = store.only
    (hello,) = (line for line in lines if line["event"] == "hello")
    assert (hello["word"], hello["run_id"], hello["name"]) == ("Ada", run.run_id, "a plain argument")
    caught = {
        (line["event"], line["logger"])
        for line in lines
        if line["logger"].startswith("STD")
        and "alembic" not in line["event"]  # older versions of MLflow let it talk
    }
    assert caught == {("splitting Ada", "STDOUT"), ("a warning of a library", "STDERR")}
    assert run.status == "FINISHED"
    assert run.parameters["entry_point_seed"] == "7"
    flow = json.loads(run.artifact("flow.json"))
    assert (flow["name"], flow["state"]) == ("Greetings", "Success")
    named = {task["name"]: task for task in flow["tasks"]}
    assert named["greet"]["state"] == "Success"
    assert named["greet"]["plugin"].endswith("_custom.greetings.words.greet")
    assert "<svg" in run.artifact("flow.svg")


def test_the_same_seed_draws_the_same_numbers(dioptra: Any, greetings: Path, store: Any) -> None:
    for _ in range(2):
        assert dioptra("run", str(greetings), "-P", "seed=7").code == 0
    first, second = (run.parameters["dataset_seed"] for run in store.runs)
    assert first == second


def test_a_failed_flow_that_nobody_looked_at_fails_the_run(dioptra: Any, greetings: Path, store: Any) -> None:
    called = dioptra("run", str(greetings), "-P", "name=Eve")
    assert called.code == 1
    assert "RuntimeError: Eve is not greeted" in called.err
    assert "the script did not ask for its state" in called.err
    assert "words.py" in called.err
    assert "engine.py" not in called.err  # the traceback is the author's, not ours
    run = store.only
    assert (run.status, run.ended) == ("FAILED", True)
    flow = json.loads(run.artifact("flow.json"))
    states = {task["name"]: task["state"] for task in flow["tasks"]}
    assert (states["split"], states["greet"], states["log_metrics"]) == ("Success", "Failed", "TriggerFailed")
    assert flow["state"] == "Failed"


def test_a_script_that_looks_decides_itself(dioptra: Any, greetings: Path, store: Any) -> None:
    script = greetings / "src" / "train.py"
    looking = "    if state.is_failed():\n        raise SystemExit(3)\n"
    script.write_text(SCRIPT.replace("    return state\n", looking))
    called = dioptra("run", str(greetings), "-P", "name=Eve")
    assert called.code == 3
    assert "the script did not ask" not in called.err
    script.write_text(SCRIPT.replace("    return state\n", "    LOGGER.info(state.message)\n"))
    called = dioptra("run", str(greetings), "-P", "name=Eve")
    assert called.code == 0
    assert [run.status for run in store.runs] == ["FAILED", "FINISHED"]


def test_workers_share_the_run(dioptra: Any, greetings: Path, store: Any) -> None:
    called = dioptra("run", str(greetings), "--flow-workers", "3", "--log-level", "warning")
    assert called.code == 0, called.out + called.err
    assert called.out == ""
    run = store.only
    assert run.status == "FINISHED"
    assert "entry_point_seed" in run.parameters
    assert json.loads(run.artifact("flow.json"))["workers"] == 3


def test_a_broken_plugin_says_what_is_wrong_with_it(dioptra: Any, greetings: Path, store: Any) -> None:
    plugin = greetings / "task-plugins/dioptra_custom/greetings/words.py"
    plugin.write_text("import no_such_library\n" + PLUGIN)
    called = dioptra("run", str(greetings))
    assert called.code == 1
    assert "ModuleNotFoundError: No module named 'no_such_library'" in called.err
    assert "Unknown" not in called.err
    plugin.write_text(PLUGIN.replace("def greet", "def greets"))
    called = dioptra("run", str(greetings))
    assert called.code == 1
    assert "UnknownPluginFunctionError" in called.err
    assert "greets" in called.err
    assert all(run.status == "FAILED" for run in store.runs)


def test_the_users_own_collection_wins(dioptra: Any, greetings: Path, store: Any) -> None:
    own = greetings / "task-plugins" / "dioptra_builtins" / "random"
    own.mkdir(parents=True)
    (own / "sample.py").write_text(OWN_SAMPLE)  # module by module, where it is no regular package
    called = dioptra("run", str(greetings), "-P", "seed=7")
    assert called.code == 0, called.out + called.err
    assert store.only.parameters["dataset_seed"] == "41"
    assert store.only.parameters["entry_point_seed"] == "7"
    (own / "__init__.py").write_text("")
    (own / "rng.py").write_text(OWN_RNG)
    called = dioptra("run", str(greetings), "-P", "seed=7")
    assert called.code == 0, called.out + called.err
    assert store.runs[-1].parameters["entry_point_seed"] == "1"
