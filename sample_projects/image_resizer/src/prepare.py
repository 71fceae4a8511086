"""Draw a data set of circles, squares and triangles."""

from __future__ import annotations

import os
from pathlib import Path

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


@click.command()
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder to draw into")
@click.option("--images", type=click.IntRange(min=1), help="Images of each shape for training")
@click.option("--seed", type=click.INT, help="Seed of what is random in the drawings")
def prepare(data_dir, images, seed):
    with mlflow.start_run():
        flow = init_flow()
        state = flow.run(parameters=dict(data_dir=data_dir, images=images, seed=seed))

    return state


def init_flow() -> Flow:
    with Flow("Draw shapes") as flow:
        data_dir, images, seed = Parameter("data_dir"), Parameter("images"), Parameter("seed")
        drawn_seed, rng = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.random", "rng", "init_rng", seed=seed)
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_parameters",
            parameters=dict(entry_point_seed=drawn_seed),
        )
        pyplugs.call_task(
            _CUSTOM_PLUGINS_IMPORT_PATH, "drawing", "draw_shapes", data_dir=data_dir, images=images, rng=rng
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
