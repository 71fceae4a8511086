"""Attack a trained network with the fast gradient method (Goodfellow et al., https://arxiv.org/abs/1412.6572)."""

from __future__ import annotations

import os
from pathlib import Path

import click
import mlflow
from checks import require_images, require_model
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
@data_dir_option
@image_size_option
@click.option("--eps", type=click.FloatRange(0, 1), default=0.1, help="Largest change of a pixel")
def fgm(run_id: str, data_dir: Path | None, image_size: tuple[int, int, int], eps: float):
    """Attack a trained network with the fast gradient method."""
    with mlflow.start_run():
        require_images(data_dir)
        require_model(run_id, image_size)
        flow = init_flow()
        return flow.run(parameters=dict(run_id=run_id, data_dir=data_dir, image_size=image_size, eps=eps))


def init_flow() -> Flow:
    """Build the flow: attack the images for testing, and see what the network takes them for before and after."""
    with Flow("Attack a network") as flow:
        run_id, data_dir, image_size = Parameter("run_id"), Parameter("data_dir"), Parameter("image_size")
        eps = Parameter("eps")

        network = pyplugs.call_task(_CUSTOM_PLUGINS_IMPORT_PATH, "runs", "load_model", run_id=run_id)
        clean_images, labels = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "data",
            "load_digits",
            data_dir=data_dir,
            subset="testing",
            image_size=image_size,
        )
        adversarial_images = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.attacks",
            "numpy_fgm",
            "create_adversarial_images",
            classifier=network,
            images=clean_images,
            labels=labels,
            eps=eps,
        )
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "runs", "log_adversarial", images=adversarial_images, labels=labels
        )
        clean_predictions = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "network", "predict", network=network, images=clean_images
        )
        adversarial_predictions = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "network", "predict", network=network, images=adversarial_images
        )
        accuracy_clean = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics",
            "performance",
            "accuracy",
            y_true=labels,
            y_pred=clean_predictions,
        )
        accuracy_adversarial = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics",
            "performance",
            "accuracy",
            y_true=labels,
            y_pred=adversarial_predictions,
        )
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_metrics",
            metrics=dict(accuracy_clean=accuracy_clean, accuracy_adversarial=accuracy_adversarial),
        )
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "pictures",
            "log_attack",
            labels=labels,
            clean_images=clean_images,
            adversarial_images=adversarial_images,
            clean_predictions=clean_predictions,
            adversarial_predictions=adversarial_predictions,
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
        _ = fgm()
