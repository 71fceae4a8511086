"""Task plugins: the MLflow model registry. Needs no deep-learning framework until a model of one is loaded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from dioptra import pyplugs
from dioptra.sdk.exceptions import TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

LOGGER = logging.getLogger(__name__)


@pyplugs.register
def add_model_to_registry(active_run: Run, name: str, model_dir: str) -> ModelVersion | None:
    """Register a model that the run has logged, as the next version of a registered model.

    Args:
        active_run: The run that logged the model.
        name: Name of the registered model, which is made if there is none; a blank one registers nothing.
        model_dir: Name that the model was logged as.

    Returns:
        The new version; None if nothing was registered.

    Raises:
        mlflow.MlflowException: The run has no such model.
    """
    import mlflow

    if not name.strip():
        return None
    # Through runs:/, as MLflow 3 no longer keeps models among the artifacts of their run.
    version = mlflow.register_model(f"runs:/{active_run.info.run_id}/{model_dir}", name)
    LOGGER.info("Model %s registered as version %s of %s", model_dir, version.version, name)
    return version


@pyplugs.register
def get_experiment_name(active_run: Run) -> str:
    """Return the name of the experiment that the run belongs to."""
    import mlflow

    name: str = mlflow.get_experiment(active_run.info.experiment_id).name
    return name


@pyplugs.register
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def load_tensorflow_keras_classifier(name: str, version: int) -> Any:
    """Load a version of a registered Keras model.

    Raises:
        TensorflowDependencyError: There is no TensorFlow in this environment.
        mlflow.MlflowException: There is no such version.
    """
    import mlflow.keras
    import mlflow.tensorflow
    from mlflow.models import get_model_info

    uri = f"models:/{name}/{version}"
    LOGGER.info("Loading the Keras model %s", uri)
    # What mlflow.autolog() and mlflow.tensorflow.log_model() write, mlflow.keras does not read.
    flavor = mlflow.keras if "keras" in get_model_info(uri).flavors else mlflow.tensorflow
    return flavor.load_model(uri)
