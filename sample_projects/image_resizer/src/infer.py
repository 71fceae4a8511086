"""Measure the classifier of an earlier run on the images that the run kept for testing."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory

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
@click.option("--run-id", type=click.STRING, help="Run of `train`")
@click.option(
    "--image-size",
    type=click.STRING,
    callback=_coerce_comma_separated_ints,
    help="Dimensions for the input images",
)
def infer(run_id, image_size):
    with mlflow.start_run(), TemporaryDirectory() as working_dir:
        flow = init_flow()
        state = flow.run(parameters=dict(run_id=run_id, image_size=image_size, working_dir=working_dir))

    return state


def init_flow() -> Flow:
    with Flow("Image Classifier") as flow:
        run_id, image_size = Parameter("run_id"), Parameter("image_size")
        working_dir = Parameter("working_dir")
        archive = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.artifacts",
            "mlflow",
            "download_all_artifacts_in_run",
            run_id=run_id,
            artifact_path="images.tar.gz",
            destination_path=working_dir,
        )
        extracted = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.artifacts",
            "utils",
            "extract_tarfile",
            filepath=archive,
            output_dir=working_dir,
        )
        # What a task leaves on the disk is not in its result, so whoever needs that names the task as upstream.
        images, labels, _ = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.data",
            "images",
            "load_images",
            data_dir=working_dir,
            subset="images/testing",
            image_size=image_size,
            upstream_tasks=[extracted],
        )
        rows = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.data", "images", "flatten", images=images)
        classifier = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "classifiers", "load_classifier", run_id=run_id
        )
        predictions = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators", "methods", "predict", estimator=classifier, x=rows
        )
        accuracy, mcc = (
            pyplugs.call_task(
                f"{_PLUGINS_IMPORT_PATH}.metrics", "performance", metric, y_true=labels, y_pred=predictions
            )
            for metric in ("accuracy", "mcc")
        )
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_metrics",
            metrics=dict(accuracy=accuracy, mcc=mcc),
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
        _ = infer()
