"""Write the handwritten digits as PNG files into training/<class>/ and testing/<class>/."""

from __future__ import annotations

import os
from pathlib import Path

import click
import mlflow
from checks import require_free
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
from options import coerce_folder, image_size_option
from prefect import Flow, Parameter
from prefect.utilities.logging import get_logger as get_prefect_logger

_PLUGINS_IMPORT_PATH = "dioptra_builtins"
_CUSTOM_PLUGINS_IMPORT_PATH = "digits"


@click.command()
@click.option("--data-dir", callback=coerce_folder, required=True, help="Folder to create")
@image_size_option
def prepare(data_dir: Path, image_size: tuple[int, int, int]):
    """Write the handwritten digits as PNG files into training/<class>/ and testing/<class>/."""
    with mlflow.start_run():
        require_free(data_dir)
        flow = init_flow()
        return flow.run(parameters=dict(data_dir=data_dir, image_size=image_size))


def init_flow() -> Flow:
    """Build the flow: write the files, then read them as `train` does and show them."""
    with Flow("Prepare digits") as flow:
        data_dir, image_size = Parameter("data_dir"), Parameter("image_size")
        summary = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "data", "write_digits", data_dir=data_dir, image_size=image_size
        )
        counts = pyplugs.call_task(_CUSTOM_PLUGINS_IMPORT_PATH, "data", "count_images", summary=summary)
        pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.tracking", "mlflow", "log_metrics", metrics=counts)
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "runs", "log_summary", summary=summary, file_name="prepared.json"
        )
        images, labels = pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH,
            "data",
            "load_digits",
            data_dir=data_dir,
            subset="training",
            image_size=image_size,
            upstream_tasks=[summary],
        )
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "pictures", "log_contact_sheet", images=images, labels=labels
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
        _ = prepare()
