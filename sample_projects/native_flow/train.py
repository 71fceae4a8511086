"""Resize the images of a data set, and train and measure a classifier on them, as a flow of Prefect 3."""

from __future__ import annotations

import click
import mlflow
from dioptra import pyplugs
from prefect import flow

BUILTINS = "dioptra_builtins"


def _coerce_comma_separated_ints(_ctx, _param, value):
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
    with mlflow.start_run():
        resize_and_train(data_dir, image_size)


@flow(name="Image Resizer")
def resize_and_train(data_dir: str, image_size: tuple[int, ...]) -> None:
    # Each call submits a task and returns a future at once. Tasks that do not need each other run side by side, each
    # in a thread that logs to the run of this one.
    resize_output = pyplugs.call_task(
        f"{BUILTINS}.data", "images", "resize", data_dir=data_dir, image_size=image_size
    )
    archived = pyplugs.call_task(
        f"{BUILTINS}.artifacts",
        "mlflow",
        "upload_directory_as_tarball_artifact",
        source_dir=resize_output,
        tarball_filename="images.tar.gz",
        working_dir=resize_output,
    )
    images, labels, _ = pyplugs.call_task(
        f"{BUILTINS}.data", "images", "load_images", data_dir=resize_output, subset="training"
    )
    classifier = pyplugs.call_task(
        f"{BUILTINS}.estimators", "sklearn_classifiers", "init_classifier", model_architecture="svm"
    )
    rows = pyplugs.call_task(f"{BUILTINS}.data", "images", "flatten", images=images)
    fitted = pyplugs.call_task(
        f"{BUILTINS}.estimators", "methods", "fit", estimator=classifier, x=rows, y=labels
    )

    test_images, test_labels, _ = pyplugs.call_task(
        f"{BUILTINS}.data", "images", "load_images", data_dir=resize_output, subset="testing"
    )
    test_rows = pyplugs.call_task(f"{BUILTINS}.data", "images", "flatten", images=test_images)
    predictions = pyplugs.call_task(
        f"{BUILTINS}.estimators", "methods", "predict", estimator=fitted, x=test_rows
    )
    accuracy = pyplugs.call_task(
        f"{BUILTINS}.metrics", "performance", "accuracy", y_true=test_labels, y_pred=predictions
    )
    logged = pyplugs.call_task(
        f"{BUILTINS}.tracking",
        "mlflow",
        "log_metrics",
        metrics={"accuracy": accuracy},
        upstream_tasks=[archived],
    )
    # What Prefect asks of every flow: wait for the last tasks, or return them.
    logged.result()


if __name__ == "__main__":
    train()
