"""Resize the images of a data set, and train a classifier on them."""

from __future__ import annotations

import os

import click
import mlflow
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
from prefect import Flow, Parameter
from prefect.utilities.logging import get_logger as get_prefect_logger

_PLUGINS_IMPORT_PATH: str = "dioptra_builtins"
_CUSTOM_PLUGINS_IMPORT_PATH: str = "shapes"


def _coerce_comma_separated_ints(ctx, param, value):
    return tuple(int(x.strip()) for x in value.split(","))


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, dir_okay=True, resolve_path=True, readable=True),
    help="Root directory for shared datasets",
)
@click.option(
    "--image-size",
    type=click.STRING,
    callback=_coerce_comma_separated_ints,
    help="Dimensions for the input images",
)
def train(data_dir, image_size):
    # MLflow logs the hyperparameters and the scores in training by itself.
    mlflow.autolog(log_models=False)

    with mlflow.start_run() as active_run:  # noqa: F841  # as every entry point has it, for tasks that take the run
        flow = init_flow()
        state = flow.run(parameters=dict(data_dir=data_dir, image_size=image_size))

    return state


def init_flow() -> Flow:
    with Flow("Image Resizer") as flow:
        data_dir, image_size = Parameter("data_dir"), Parameter("image_size")
        resize_output = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.data",
            "images",
            "resize",
            data_dir=data_dir,
            image_size=image_size,
        )
        # `infer` takes its images from here. The archive is written beside them, where it leaves itself out.
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.artifacts",
            "mlflow",
            "upload_directory_as_tarball_artifact",
            source_dir=resize_output,
            tarball_filename="images.tar.gz",
            working_dir=resize_output,
        )
        images, labels, _ = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.data", "images", "load_images", data_dir=resize_output, subset="training"
        )
        rows = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.data", "images", "flatten", images=images)
        classifier = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators",
            "sklearn_classifiers",
            "init_classifier",
            model_architecture="svm",
        )
        fitted = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators", "methods", "fit", estimator=classifier, x=rows, y=labels
        )
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "classifiers", "log_classifier", classifier=fitted, rows=rows
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
