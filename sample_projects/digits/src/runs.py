"""What one run leaves for another: the trained model and the adversarial images."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click
import mlflow
import mlflow.sklearn
import numpy as np
import sklearn
from digits import Split
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.neural_network import MLPClassifier

MODEL = "model"
ADVERSARIAL = "adversarial.npz"


def log_model(model: MLPClassifier, examples: Split) -> None:
    """Log a trained model with the active run."""
    # The optimizer is of no use after training, and skops, the safe format of newer MLflow, does not take it.
    del model._optimizer
    signature = infer_signature(examples.inputs, model.predict(examples.inputs))
    requirements = [f"scikit-learn=={sklearn.__version__}"]  # MLflow takes seconds to find out by itself
    mlflow.sklearn.log_model(model, name=MODEL, signature=signature, pip_requirements=requirements)


def load_model(run_id: str, images: Split) -> MLPClassifier:
    """Load the model of a training run, and see that it takes `images`.

    Raises:
        click.BadParameter: There is no such run, it has no model, or the model takes images of another size.
    """
    _require_run(run_id, "--run-id")
    try:
        model = mlflow.sklearn.load_model(f"runs:/{run_id}/{MODEL}")
    except MlflowException:
        message = f"run {run_id} has no model; give a run of train"
        raise click.BadParameter(message, param_hint="--run-id") from None
    given, wanted = images.inputs.shape[1], model.n_features_in_
    if given != wanted:
        message = f"the model of run {run_id} takes {wanted} values for an image, not {given}"
        raise click.BadParameter(message, param_hint="--image-size")
    return model


def log_adversarial(split: Split) -> None:
    """Log adversarial images and their true classes with the active run."""
    with TemporaryDirectory() as folder:
        path = Path(folder, ADVERSARIAL)
        np.savez_compressed(path, images=split.images, labels=split.labels)
        mlflow.log_artifact(str(path))


def load_adversarial(run_id: str) -> Split:
    """Load the images of an attack's run.

    Raises:
        click.BadParameter: There is no such run, or it has no adversarial images.
    """
    hint = "--adversarial-run-id"
    _require_run(run_id, hint)
    with TemporaryDirectory() as folder:
        try:
            mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=ADVERSARIAL, dst_path=folder)
            with np.load(Path(folder, ADVERSARIAL)) as arrays:
                return Split(arrays["images"], arrays["labels"])
        except (MlflowException, FileNotFoundError):
            message = f"run {run_id} has no {ADVERSARIAL}; give a run of fgm"
            raise click.BadParameter(message, param_hint=hint) from None


def _require_run(run_id: str, option: str) -> None:
    try:
        mlflow.get_run(run_id)
    except MlflowException as error:
        raise click.BadParameter(error.message, param_hint=option) from None
