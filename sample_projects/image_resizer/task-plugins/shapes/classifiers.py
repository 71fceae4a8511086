"""Keep a classifier with its run, and find it again."""

from __future__ import annotations

import mlflow.sklearn
import numpy as np
import numpy.typing as npt
import sklearn
from dioptra import pyplugs
from mlflow.models import infer_signature
from sklearn.base import ClassifierMixin


@pyplugs.register
def log_classifier(classifier: ClassifierMixin, rows: npt.NDArray[np.float32]) -> None:
    """Log a fitted classifier with the run."""
    mlflow.sklearn.log_model(
        classifier,
        name="model",
        signature=infer_signature(rows, classifier.predict(rows)),
        pip_requirements=[
            f"scikit-learn=={sklearn.__version__}"
        ],  # MLflow takes seconds to find out by itself
    )


@pyplugs.register
def load_classifier(run_id: str) -> ClassifierMixin:
    """Return the classifier that a run of `train` logged."""
    return mlflow.sklearn.load_model(f"runs:/{run_id}/model")
