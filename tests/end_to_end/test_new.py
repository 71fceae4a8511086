"""What `dioptra new` writes runs at once, in a real child, under a real run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DECLARED = """\
name: Sample
entry_points:
  train v2:
    description: Say "hi"
    parameters:
      data-dir: path
      image_size: {type: string, default: "28,28,1", description: "It's \\"height\\", width"}
      lambda: {type: float, default: 0.5}
      seed: {type: float, default: 7}
      mlflow: {type: bool, default: "yes"}
      optimizer: {type: string, default: adam, choices: [adam, "it's"]}
      日本: {type: uri, default: ""}
    command: >
      python -u src/train.py {data-dir} --image-size={image_size} -l {lambda} --seed {seed}
      --mlflow {mlflow} --optimizer {optimizer} --日本 {日本}
"""


def test_a_new_project_runs(dioptra: Any, store: Any, tmp_path: Path) -> None:
    assert dioptra("new", "project", "my project").code == 0
    assert dioptra("validate", "--strict", "my project").err == "1 note in 1 project\n"
    trained = dioptra("run", "my project", "-e", "train", "-P", "samples=50", "-P", "seed=3", "--json")
    assert trained.code == 0, trained.err
    run_id = trained.json["run_id"]
    assert (
        "the line `finished after …` of its output has it" in (tmp_path / "my project/README.md").read_text()
    )
    (line,) = (line for line in trained.err.splitlines() if line.startswith("dioptra: finished after "))
    assert run_id in line
    again = dioptra("run", "my project", "-e", "train", "-P", "samples=50", "-P", "seed=3", "--json")
    inferred = dioptra(
        "run",
        ".",
        "-e",
        "infer",
        "-P",
        f"run_id={run_id}",
        cwd=tmp_path / "my project",
        env={"MLFLOW_TRACKING_URI": f"sqlite:///{store.path}"},
    )
    assert inferred.code == 0, inferred.err
    first, second, third = store.runs
    assert {run.status for run in store.runs} == {"FINISHED"}
    assert again.json["run_id"] == second.run_id
    assert first.artifact("line.json") == second.artifact("line.json")
    assert first.parameters["entry_point_seed"] == first.parameters["seed"] == "3"
    assert set(json.loads(first.artifact("line.json"))) == {"slope", "intercept"}
    assert third.parameters["run_id"] == run_id


def test_a_new_entry_point_of_a_new_project_runs(dioptra: Any, store: Any, tmp_path: Path) -> None:
    assert dioptra("new", "project", "p").code == 0
    made = dioptra("new", "entry-point", "evaluate", "p", "-P", "threshold:float=0.5", "-P", "sizes=1,2")
    assert made.code == 0, made.err
    called = dioptra("run", "p", "-e", "evaluate", "-P", "threshold=0.7")
    assert called.code == 0, called.err
    assert store.only.parameters == {"threshold": "0.7", "sizes": "(1, 2)"}


def test_the_script_of_a_declared_entry_point_runs(
    dioptra: Any, project: Any, store: Any, tmp_path: Path
) -> None:
    project(DECLARED)
    made = dioptra("new", "entry-point", "train v2", "project")
    assert made.code == 0, made.err
    called = dioptra("run", "project", "-e", "train v2", "-P", f"data-dir={tmp_path}", "-P", "optimizer=it's")
    assert called.code == 0, called.out + called.err
    parameters = store.only.parameters
    assert parameters["data-dir"] == str(tmp_path)
    assert parameters["image_size"] == "(28, 28, 1)"
    assert {name: parameters[name] for name in ("lambda", "seed", "mlflow", "optimizer", "日本")} == {
        "lambda": "0.5",
        "seed": "7",
        "mlflow": "True",
        "optimizer": "it's",
        "日本": "",
    }
    refused = dioptra("exec", "project", "--", "python", "src/train.py", "--help")
    assert "Say 'hi'." in refused.out
    assert 'It\'s "height", width' in refused.out


@pytest.mark.parametrize("arguments", [[], ["-P", "a:bool=no", "-P", "b:int=3", "-P", "c:number=1.5"]])
def test_every_type_runs_with_its_default(
    dioptra: Any, project: Any, store: Any, arguments: list[str]
) -> None:
    project("entry_points:\n  main:\n    command: python main.py\n")
    name = "new" if arguments else "main"
    made = dioptra("new", "entry-point", name, "project", *arguments)
    assert made.code == 0, made.err
    called = dioptra("run", "project", "-e", name)
    assert called.code == 0, called.out + called.err
    expected = {"a": "False", "b": "3", "c": "1.5"} if arguments else {}
    assert store.only.parameters == expected
