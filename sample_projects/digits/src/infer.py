"""Measure a trained network on the clean test images, or on adversarial ones."""

from __future__ import annotations

import os
from pathlib import Path

import click
import mlflow
from checks import require_adversarial, require_images, require_model
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
from options import data_dir_option, image_size_option, run_id_option
from prefect import Flow, Parameter
from prefect.utilities.logging import get_logger as get_prefect_logger

_PLUGINS_IMPORT_PATH = "dioptra_builtins"
_CUSTOM_PLUGINS_IMPORT_PATH = "digits"


@click.command()
@run_id_option
@click.option("--adversarial-run-id", default="", help="Run of `fgm` whose images to use")
@data_dir_option
@image_size_option
def infer(run_id: str, adversarial_run_id: str, data_dir: Path | None, image_size: tuple[int, int, int]):
    """Measure a trained network on the clean test images, or on adversarial ones."""
    with mlflow.start_run():
        if adversarial_run_id:
            require_adversarial(adversarial_run_id)
            require_model(run_id, None)
        else:
            require_images(data_dir)
            require_model(run_id, image_size)
        flow = init_flow()
        return flow.run(
            parameters=dict(
                run_id=run_id, adversarial_run_id=adversarial_run_id, data_dir=data_dir, image_size=image_size
            )
        )


def init_flow() -> Flow:
    """Build the flow: let the network judge the images, and log how well it did."""
    with Flow("Measure a network") as flow:
        run_id, adversarial_run_id = Parameter("run_id"), Parameter("adversarial_run_id")
        data_dir, image_size = Parameter("data_dir"), Parameter("image_size")

        network = pyplugs.call_task(_CUSTOM_PLUGINS_IMPORT_PATH, "runs", "load_model", run_id=run_id)
        images, labels = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "runs",
            "load_images_to_judge",
            adversarial_run_id=adversarial_run_id,
            data_dir=data_dir,
            image_size=image_size,
        )
        predictions = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "network", "predict", network=network, images=images
        )
        accuracy = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics", "performance", "accuracy", y_true=labels, y_pred=predictions
        )
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking", "mlflow", "log_metrics", metrics=dict(accuracy=accuracy)
        )
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "network", "log_table", labels=labels, predictions=predictions
        )
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "pictures",
            "log_confusion_matrix",
            labels=labels,
            predictions=predictions,
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
