"""Train a small neural network on the handwritten digits."""

from __future__ import annotations

from pathlib import Path

import click
import mlflow
import numpy as np
import plots
import runs
from digits import CLASSES, Digits, ImageSize, load_digits
from options import comma_separated_ints, data_dir_option, image_size_option
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neural_network import MLPClassifier


@click.command()
@data_dir_option
@image_size_option
@click.option("--hidden-sizes", callback=comma_separated_ints, default="128", help="Units of each layer")
@click.option("--epochs", type=click.IntRange(min=1), default=30, help="Passes over the training images")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, help="Images in each update")
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), default=0.001, help="Step size of Adam"
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of weights and shuffling")
def train(
    *,
    data_dir: Path | None,
    image_size: ImageSize,
    hidden_sizes: tuple[int, ...],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Train a small neural network on the handwritten digits."""
    with mlflow.start_run() as active_run:
        mlflow.log_params(
            {
                "image_size": ",".join(map(str, image_size)),
                "hidden_sizes": ",".join(map(str, hidden_sizes)),
                "epochs": epochs,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
                "seed": seed,
            }
        )
        digits = load_digits(data_dir, image_size)
        model = MLPClassifier(
            hidden_sizes,
            batch_size=batch_size,
            learning_rate_init=learning_rate,
            random_state=np.random.RandomState(seed),  # a bare number would shuffle every epoch alike
        )

        history = []
        for epoch in range(1, epochs + 1):
            model.partial_fit(digits.training.inputs, digits.training.labels, classes=CLASSES)
            history.append(measure(model, digits))
            mlflow.log_metrics(history[-1], step=epoch)
            click.echo(f"epoch {epoch}/{epochs}: test accuracy {history[-1]['test_accuracy']:.4f}")

        mlflow.log_figure(plots.learning_curves(history), "learning_curves.png")
        predictions = model.predict(digits.testing.inputs)
        mlflow.log_figure(plots.confusion(digits.testing.labels, predictions), "confusion_matrix.png")
        runs.log_model(model, digits.testing)
        click.echo(f"run {active_run.info.run_id}")


def measure(model: MLPClassifier, digits: Digits) -> dict[str, float]:
    """Return loss and accuracy on both splits."""
    measured = {}
    for name, split in (("train", digits.training), ("test", digits.testing)):
        probabilities = model.predict_proba(split.inputs)
        measured[f"{name}_loss"] = float(log_loss(split.labels, probabilities, labels=CLASSES))
        measured[f"{name}_accuracy"] = float(accuracy_score(split.labels, probabilities.argmax(axis=1)))
    return measured


if __name__ == "__main__":
    train()
