"""What the plugins that need TensorFlow or ART do where neither is installed, and the interface that they publish."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHILD_PATH = Path(__file__).parents[4] / "dioptra_cli" / "child_path"
REQUIRED = inspect.Parameter.empty

# Every parameter of the published functions with its default, in order; scripts call them by these names.
PUBLISHED: dict[tuple[str, str], dict[str, Any]] = {
    ("attacks.fgm", "create_adversarial_fgm_dataset"): {
        "data_dir": REQUIRED,
        "adv_data_dir": REQUIRED,
        "keras_classifier": REQUIRED,
        "image_size": REQUIRED,
        "distance_metrics_list": None,
        "rescale": 1.0 / 255,
        "batch_size": 32,
        "label_mode": "categorical",
        "eps": 0.3,
        "eps_step": 0.1,
        "minimal": False,
        "norm": math.inf,
    },
    ("backend_configs.tensorflow", "init_tensorflow"): {"seed": REQUIRED},
    ("data.tensorflow", "create_image_dataset"): {
        "data_dir": REQUIRED,
        "subset": REQUIRED,
        "image_size": REQUIRED,
        "seed": REQUIRED,
        "rescale": 1.0 / 255,
        "validation_split": 0.2,
        "batch_size": 32,
        "label_mode": "categorical",
    },
    ("data.tensorflow", "get_n_classes_from_directory_iterator"): {"ds": REQUIRED},
    ("estimators.keras_classifiers", "init_classifier"): {
        "model_architecture": REQUIRED,
        "optimizer": REQUIRED,
        "metrics": REQUIRED,
        "input_shape": REQUIRED,
        "n_classes": REQUIRED,
        "loss": "categorical_crossentropy",
    },
    ("registry.art", "load_wrapped_tensorflow_keras_classifier"): {
        "name": REQUIRED,
        "version": REQUIRED,
        "imagenet_preprocessing": False,
        "classifier_kwargs": None,
        "clip_values": None,  # not in a published built-in, but a published script passes it
    },
    ("registry.mlflow", "load_tensorflow_keras_classifier"): {"name": REQUIRED, "version": REQUIRED},
    ("tracking.mlflow", "log_tensorflow_keras_estimator"): {"estimator": REQUIRED, "model_dir": REQUIRED},
}

NEEDS_ART = {"attacks.fgm", "registry.art"}

# Calls each function, without arguments that matter, where the packages named on the command line cannot be imported.
CHILD = """
import importlib, inspect, json, sys
absent, functions = json.loads(sys.argv[1])
for package in absent:
    sys.modules[package] = None
raised = {}
for module, name in functions:
    function = getattr(importlib.import_module(f"dioptra_builtins.{module}"), name)
    try:
        function(**dict.fromkeys(inspect.signature(function).parameters))
    except Exception as error:
        raised[f"{module}.{name}"] = [type(error).__name__, str(error)]
imported = sorted({"mlflow", "numpy", "pandas", "scipy", "structlog"} & set(sys.modules))
print(json.dumps({"raised": raised, "imported": imported}))
"""


def call_all(tmp_path: Path, *absent: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps([absent, list(PUBLISHED)])],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(CHILD_PATH), str(CHILD_PATH / "task-plugins")]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_without_any_of_them_each_module_imports_and_each_function_says_what_to_install(
    tmp_path: Path,
) -> None:
    answer = call_all(tmp_path, "tensorflow", "keras", "art")
    for module, name in PUBLISHED:
        expected = "ARTDependencyError" if module in NEEDS_ART else "TensorflowDependencyError"
        package = "adversarial-robustness-toolbox" if module in NEEDS_ART else "tensorflow"
        kind, message = answer["raised"][f"{module}.{name}"]
        assert kind == expected
        assert f"pip install {package}" in message
    assert answer["imported"] == []


def test_with_art_alone_the_functions_that_need_both_ask_for_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "art").mkdir()
    (tmp_path / "art" / "__init__.py").touch()
    answer = call_all(tmp_path, "tensorflow", "keras")
    assert {kind for kind, _ in answer["raised"].values()} == {"TensorflowDependencyError"}


@pytest.mark.parametrize(("module", "name"), PUBLISHED, ids=".".join)
def test_the_signature_is_the_published_one(module: str, name: str) -> None:
    function = getattr(importlib.import_module(f"dioptra_builtins.{module}"), name)
    parameters = inspect.signature(function).parameters
    assert {key: parameter.default for key, parameter in parameters.items()} == PUBLISHED[module, name]
    assert list(parameters) == list(PUBLISHED[module, name])
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


@pytest.mark.parametrize(("module", "name"), PUBLISHED, ids=".".join)
def test_the_function_is_registered_as_a_task_plugin(module: str, name: str) -> None:
    from dioptra import pyplugs

    package, _, plugin = f"dioptra_builtins.{module}".rpartition(".")
    assert name in pyplugs.funcs(package, plugin)
