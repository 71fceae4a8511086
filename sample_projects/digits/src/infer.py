"""Measure a trained network on the clean test images, or on adversarial ones."""

from __future__ import annotations

from pathlib import Path

import click
import mlflow
import plots
import runs
from digits import CLASSES, ImageSize, load_digits
from options import data_dir_option, image_size_option, run_id_option
from sklearn.metrics import accuracy_score, classification_report


@click.command()
@run_id_option
@click.option("--adversarial-run-id", default="", help="Run of fgm.py whose images to use")
@data_dir_option
@image_size_option
def infer(run_id: str, adversarial_run_id: str, data_dir: Path | None, image_size: ImageSize) -> None:
    """Measure a trained network on the clean test images, or on adversarial ones."""
    with mlflow.start_run():
        if adversarial_run_id:
            split = runs.load_adversarial(adversarial_run_id)
        else:
            split = load_digits(data_dir, image_size).testing
        model = runs.load_model(run_id, split)
        predictions = model.predict(split.inputs)

        accuracy = float(accuracy_score(split.labels, predictions))
        mlflow.log_metric("accuracy", accuracy)
        table = classification_report(split.labels, predictions, labels=CLASSES, digits=4, zero_division=0)
        mlflow.log_text(table, "per_class.txt")
        mlflow.log_figure(plots.confusion(split.labels, predictions), "confusion_matrix.png")
        click.echo(table)


if __name__ == "__main__":
    infer()
