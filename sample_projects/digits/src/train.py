"""Train a small neural network on the handwritten digits."""

from __future__ import annotations

import os
from pathlib import Path

import click
import mlflow
from checks import require_images
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
from options import coerce_comma_separated_ints, data_dir_option, image_size_option
from prefect import Flow, Parameter
from prefect.utilities.logging import get_logger as get_prefect_logger

_PLUGINS_IMPORT_PATH = "dioptra_builtins"
_CUSTOM_PLUGINS_IMPORT_PATH = "digits"


@click.command()
@data_dir_option
@image_size_option
@click.option(
    "--hidden-sizes", callback=coerce_comma_separated_ints, default="128", help="Units of each layer"
)
@click.option("--epochs", type=click.IntRange(min=1), default=30, help="Passes over the training images")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, help="Images in each update")
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), default=0.001, help="Step size of Adam"
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of weights and shuffling")
def train(
    *,
    data_dir: Path | None,
    image_size: tuple[int, int, int],
    hidden_sizes: tuple[int, ...],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
):
    """Train a small neural network on the handwritten digits."""
    with mlflow.start_run():
        require_images(data_dir)
        flow = init_flow()
        return flow.run(
            parameters=dict(
                data_dir=data_dir,
                image_size=image_size,
                hidden_sizes=hidden_sizes,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                seed=seed,
            )
        )


def init_flow() -> Flow:
    """Build the flow: load the digits, train a network on them, and log it with what it can do."""
    with Flow("Train on digits") as flow:
        data_dir, image_size = Parameter("data_dir"), Parameter("image_size")
        hidden_sizes, epochs, batch_size = (
            Parameter("hidden_sizes"),
            Parameter("epochs"),
            Parameter("batch_size"),
        )
        learning_rate, seed = Parameter("learning_rate"), Parameter("seed")

        training_images, training_labels = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "data",
            "load_digits",
            data_dir=data_dir,
            subset="training",
            image_size=image_size,
        )
        testing_images, testing_labels = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "data",
            "load_digits",
            data_dir=data_dir,
            subset="testing",
            image_size=image_size,
        )
        network = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators",
            "sklearn_classifiers",
            "init_classifier",
            model_architecture="mlp",
            seed=seed,
            hidden_layer_sizes=hidden_sizes,
            batch_size=batch_size,
            learning_rate_init=learning_rate,
        )
        history = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "network",
            "train",
            network=network,
            training_images=training_images,
            training_labels=training_labels,
            testing_images=testing_images,
            testing_labels=testing_labels,
            epochs=epochs,
        )
        predictions = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "network",
            "predict",
            network=network,
            images=testing_images,
            upstream_tasks=[history],
        )
        pyplugs.call_task(_CUSTOM_PLUGINS_IMPORT_PATH, "pictures", "log_learning_curves", history=history)
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "pictures",
            "log_confusion_matrix",
            labels=testing_labels,
            predictions=predictions,
        )
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "runs",
            "log_model",
            network=network,
            images=testing_images,
            predictions=predictions,
            upstream_tasks=[history],
        )
    return flow


if __name__ == "__main__":
    log_level = os.getenv("DIOPTRA_JOB_LOG_LEVEL", default="INFO")
    as_json = bool(os.getenv("DIOPTRA_JOB_LOG_AS_JSON"))

    clear_logger_handlers(get_prefect_logger())
    attach_stdout_stream_handler(as_json)
    set_logging_level(log_level)
    configure_structlog()

    with plugin_dirs(), StdoutLogStream(as_json), StderrLogStream(as_json):
        _ = train()
