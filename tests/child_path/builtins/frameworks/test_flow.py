"""A classifier trained and attacked in a flow of the published style, under the real command line."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if not all(map(importlib.util.find_spec, ("tensorflow", "tensorboard", "art"))):
    pytest.skip("needs tensorflow, tensorboard and adversarial-robustness-toolbox", allow_module_level=True)

import numpy as np
from PIL import Image

# MLflow uses a part of SQLAlchemy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

MLPROJECT = """\
name: bands
entry_points:
  main:
    parameters:
      data_dir: {type: path}
      epochs: {type: float, default: 8}
      seed: {type: float, default: 3}
    command: >
      python bands.py --data-dir {data_dir} --epochs {epochs} --seed {seed}
"""

SCRIPT = """\
import threading

import click
import mlflow
from prefect import Flow, Parameter, task

from dioptra import pyplugs
from dioptra.sdk.utilities.contexts import plugin_dirs

PLUGINS = "dioptra_builtins"
SIZE = (16, 16, 1)
MAIN_THREAD = threading.get_ident()


@click.command()
@click.option("--data-dir", type=click.STRING)
@click.option("--epochs", type=click.INT)
@click.option("--seed", type=click.INT)
def bands(data_dir, epochs, seed):
    mlflow.autolog()
    with mlflow.start_run() as active_run:
        flow = init_flow()
        return flow.run(parameters=dict(active_run=active_run, data_dir=data_dir, epochs=epochs, seed=seed))


@task
def evaluate(classifier, dataset, prefix):
    import tensorflow as tf

    # TensorFlow's state and MLflow's active run belong to the thread that began with them.
    assert threading.get_ident() == MAIN_THREAD
    assert tf.executing_eagerly()
    return {f"{prefix}_{k}": v for k, v in classifier.evaluate(dataset, verbose=0, return_dict=True).items()}


def init_flow():
    with Flow("Train and attack") as flow:
        active_run, data_dir = Parameter("active_run"), Parameter("data_dir")
        epochs, seed = Parameter("epochs"), Parameter("seed")
        seed, rng = pyplugs.call_task(f"{PLUGINS}.random", "rng", "init_rng", seed=seed)
        tf_seed = pyplugs.call_task(f"{PLUGINS}.random", "sample", "draw_random_integer", rng=rng)
        dataset_seed = pyplugs.call_task(f"{PLUGINS}.random", "sample", "draw_random_integer", rng=rng)
        init = pyplugs.call_task(f"{PLUGINS}.backend_configs", "tensorflow", "init_tensorflow", seed=tf_seed)
        make_directories = pyplugs.call_task(
            f"{PLUGINS}.artifacts", "utils", "make_directories", dirs=["adv_testing"]
        )
        pyplugs.call_task(
            f"{PLUGINS}.tracking",
            "mlflow",
            "log_parameters",
            parameters=dict(entry_point_seed=seed, tensorflow_global_seed=tf_seed, dataset_seed=dataset_seed),
        )
        training_ds, validation_ds = [
            pyplugs.call_task(
                f"{PLUGINS}.data",
                "tensorflow",
                "create_image_dataset",
                data_dir=data_dir,
                subset=subset,
                image_size=SIZE,
                seed=dataset_seed + 1,
                validation_split=0.25,
                batch_size=8,
                upstream_tasks=[init],
            )
            for subset in ("training", "validation")
        ]
        n_classes = pyplugs.call_task(
            f"{PLUGINS}.data", "tensorflow", "get_n_classes_from_directory_iterator", ds=training_ds
        )
        classifier = pyplugs.call_task(
            f"{PLUGINS}.estimators",
            "keras_classifiers",
            "init_classifier",
            model_architecture="shallow_net",
            optimizer="adam",
            metrics=["accuracy"],
            input_shape=SIZE,
            n_classes=n_classes,
            upstream_tasks=[init],
        )
        history = pyplugs.call_task(
            f"{PLUGINS}.estimators",
            "methods",
            "fit",
            estimator=classifier,
            x=training_ds,
            fit_kwargs=dict(nb_epochs=epochs, validation_data=validation_ds, callbacks=None, verbose=2),
        )
        clean_metrics = evaluate(classifier, validation_ds, "clean", upstream_tasks=[history])
        pyplugs.call_task(f"{PLUGINS}.tracking", "mlflow", "log_metrics", metrics=clean_metrics)
        logged = pyplugs.call_task(
            f"{PLUGINS}.tracking",
            "mlflow",
            "log_tensorflow_keras_estimator",
            estimator=classifier,
            model_dir="model",
            upstream_tasks=[history],
        )
        registered = pyplugs.call_task(
            f"{PLUGINS}.registry",
            "mlflow",
            "add_model_to_registry",
            active_run=active_run,
            name="bands",
            model_dir="model",
            upstream_tasks=[logged],
        )
        wrapped = pyplugs.call_task(
            f"{PLUGINS}.registry",
            "art",
            "load_wrapped_tensorflow_keras_classifier",
            name="bands",
            version=1,
            upstream_tasks=[init, registered],
        )
        distance_metrics_list = pyplugs.call_task(
            f"{PLUGINS}.metrics",
            "distance",
            "get_distance_metric_list",
            request=[
                {"name": "l_infinity_norm", "func": "l_inf_norm"},
                {"name": "cosine_similarity", "func": "paired_cosine_similarities"},
            ],
        )
        distance_metrics = pyplugs.call_task(
            f"{PLUGINS}.attacks",
            "fgm",
            "create_adversarial_fgm_dataset",
            data_dir=data_dir,
            keras_classifier=wrapped,
            distance_metrics_list=distance_metrics_list,
            adv_data_dir="adv_testing",
            batch_size=8,
            image_size=SIZE,
            eps=0.5,
            eps_step=0.1,
            minimal=False,
            norm="inf",
            upstream_tasks=[make_directories],
        )
        pyplugs.call_task(
            f"{PLUGINS}.artifacts",
            "mlflow",
            "upload_data_frame_artifact",
            data_frame=distance_metrics,
            file_name="distance_metrics.csv.gz",
            file_format="csv.gz",
            file_format_kwargs=dict(index=False),
        )
        adversarial_ds = pyplugs.call_task(
            f"{PLUGINS}.data",
            "tensorflow",
            "create_image_dataset",
            data_dir="adv_testing",
            subset=None,
            validation_split=None,
            image_size=SIZE,
            seed=dataset_seed,
            upstream_tasks=[distance_metrics],
        )
        reloaded = pyplugs.call_task(
            f"{PLUGINS}.registry",
            "mlflow",
            "load_tensorflow_keras_classifier",
            name="bands",
            version=1,
            upstream_tasks=[registered],
        )
        adversarial_metrics = evaluate(reloaded, adversarial_ds, "adversarial")
        pyplugs.call_task(f"{PLUGINS}.tracking", "mlflow", "log_metrics", metrics=adversarial_metrics)
    return flow


if __name__ == "__main__":
    with plugin_dirs():
        bands()
"""


def write_images(directory: Path, each: int) -> Path:
    """Write dark noise of 16 by 16 pixels with a bright band whose height on the image is the class."""
    random = np.random.default_rng(each)
    for number, name in enumerate(("cat", "dog", "eel")):
        (directory / name).mkdir(parents=True)
        for index in range(each):
            pixels = random.integers(0, 60, (16, 16), dtype=np.uint8)
            pixels[number * 5 : (number + 1) * 5] += 190
            Image.fromarray(pixels).save(directory / name / f"{index}.png")
    return directory


def test_a_published_style_of_flow_trains_registers_and_attacks_a_classifier(
    dioptra: Callable[..., Any], project: Callable[..., Path], tmp_path: Path
) -> None:
    directory = project(MLPROJECT, bands__py=SCRIPT)
    images = write_images(tmp_path / "images", each=16)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    called = dioptra(
        "run", str(directory), "-P", f"data_dir={images}", "--json", env={"MLFLOW_TRACKING_URI": uri}
    )
    assert called.code == 0, called.err

    import mlflow

    run = mlflow.MlflowClient(uri).get_run(called.json["run_id"])
    metrics = run.data.metrics
    assert run.info.status == "FINISHED"
    assert {"entry_point_seed", "tensorflow_global_seed", "dataset_seed"} <= set(run.data.params)
    assert run.data.params["entry_point_seed"] == "3"
    assert metrics["clean_accuracy"] > 0.95
    assert metrics["adversarial_accuracy"] < 0.5
    assert metrics["l_infinity_norm_max"] == pytest.approx(0.5, abs=1e-5)
    assert metrics["training_time_in_minutes"] > 0
    assert "distance_metrics.csv.gz" in [
        file.path for file in mlflow.MlflowClient(uri).list_artifacts(run.info.run_id)
    ]
