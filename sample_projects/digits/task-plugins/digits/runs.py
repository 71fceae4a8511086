"""What one run leaves for another: the trained network, the adversarial images, and facts about a data set."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
import sklearn
from dioptra import pyplugs
from mlflow.models import infer_signature
from sklearn.neural_network import MLPClassifier

from digits.data import Images, ImageSize, Labels, load_digits

MODEL = "model"
ADVERSARIAL = "adversarial.npz"


@pyplugs.register
def log_model(network: MLPClassifier, images: Images, predictions: Labels) -> None:
    """Log a trained network, with what it takes and gives."""
    # The optimizer is of no use after training, and skops, the safe format of newer MLflow, does not take it.
    del network._optimizer
    signature = infer_signature(images.reshape(len(images), -1), predictions)
    requirements = [f"scikit-learn=={sklearn.__version__}"]  # MLflow takes seconds to find out by itself
    mlflow.sklearn.log_model(network, name=MODEL, signature=signature, pip_requirements=requirements)


@pyplugs.register
def load_model(run_id: str) -> MLPClassifier:
    """Return the network of a run of `train`."""
    return mlflow.sklearn.load_model(f"runs:/{run_id}/{MODEL}")


@pyplugs.register
def log_adversarial(images: Images, labels: Labels) -> None:
    """Log adversarial images and their true classes."""
    with TemporaryDirectory() as folder:
        path = Path(folder, ADVERSARIAL)
        np.savez_compressed(path, images=images, labels=labels)
        mlflow.log_artifact(str(path))


@pyplugs.register
@pyplugs.task_nout(2)
def load_images_to_judge(
    adversarial_run_id: str, data_dir: Path | None, image_size: ImageSize
) -> tuple[Images, Labels]:
    """Return the adversarial images of a run of `fgm`, or the clean ones for testing if there is no such run."""
    if not adversarial_run_id:
        return load_digits(data_dir, "testing", image_size)
    with TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            run_id=adversarial_run_id, artifact_path=ADVERSARIAL, dst_path=folder
        )
        with np.load(path) as arrays:
            return arrays["images"], arrays["labels"]


@pyplugs.register
def log_summary(summary: dict[str, Any], file_name: str) -> None:
    """Log facts about a data set as JSON."""
    mlflow.log_dict(summary, file_name)
