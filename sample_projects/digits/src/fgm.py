"""Attack a trained network with the fast gradient method (Goodfellow et al., https://arxiv.org/abs/1412.6572)."""

from __future__ import annotations

from pathlib import Path

import click
import mlflow
import numpy as np
import numpy.typing as npt
import plots
import runs
from digits import ImageSize, Split, load_digits
from options import data_dir_option, image_size_option, run_id_option
from sklearn.metrics import accuracy_score
from sklearn.neural_network import MLPClassifier


@click.command()
@run_id_option
@data_dir_option
@image_size_option
@click.option("--eps", type=click.FloatRange(0, 1), default=0.1, help="Largest change of a pixel")
def fgm(run_id: str, data_dir: Path | None, image_size: ImageSize, eps: float) -> None:
    """Attack a trained network with the fast gradient method."""
    with mlflow.start_run() as active_run:
        mlflow.log_param("eps", eps)
        clean = load_digits(data_dir, image_size).testing
        model = runs.load_model(run_id, clean)

        step = eps * np.sign(loss_gradient(model, clean)).reshape(clean.images.shape)
        adversarial = Split(np.clip(clean.images + step, 0, 1).astype(np.float32), clean.labels)

        clean_predictions = model.predict(clean.inputs)
        adversarial_predictions = model.predict(adversarial.inputs)
        before = float(accuracy_score(clean.labels, clean_predictions))
        after = float(accuracy_score(clean.labels, adversarial_predictions))
        mlflow.log_metrics({"accuracy_clean": before, "accuracy_adversarial": after})

        runs.log_adversarial(adversarial)
        figure = plots.attack(clean, adversarial, clean_predictions, adversarial_predictions)
        mlflow.log_figure(figure, "attack.png")
        click.echo(f"accuracy {before:.4f} before, {after:.4f} after the attack")
        click.echo(f"run {active_run.info.run_id}")


def loss_gradient(model: MLPClassifier, split: Split) -> npt.NDArray[np.float64]:
    """Return the gradient of the cross-entropy loss by the inputs, from one pass forward and one back.

    The network is what scikit-learn builds: linear layers with ReLU between them and a softmax at the end.
    """
    layers = [split.inputs]
    for weights, bias in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        layers.append(np.maximum(layers[-1] @ weights + bias, 0))

    gradient = model.predict_proba(split.inputs) - np.eye(len(model.classes_))[split.labels]
    for weights, layer in zip(model.coefs_[:0:-1], layers[:0:-1], strict=True):
        gradient = (gradient @ weights.T) * (layer > 0)
    inputs_gradient: npt.NDArray[np.float64] = gradient @ model.coefs_[0].T
    return inputs_gradient


if __name__ == "__main__":
    fgm()
