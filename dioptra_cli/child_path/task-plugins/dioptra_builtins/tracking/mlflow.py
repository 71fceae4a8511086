"""Task plugins: log to the active MLflow run. Ends none; what reads from runs is `registry` and `artifacts`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from dioptra import pyplugs
from dioptra.sdk.exceptions import TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

LOGGER = logging.getLogger(__name__)


@pyplugs.register
def log_metrics(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Log metrics to the active MLflow run.

    Args:
        metrics: Value of each metric by its name; anything that `float` takes, or an array or tensor of one
            element.
        step: Position on the metrics' axis, such as the epoch; None for a value that is measured once.

    Raises:
        TypeError: A value is not a number.
    """
    import mlflow

    values = {name: _number(name, value) for name, value in metrics.items()}
    mlflow.log_metrics(values, step=step)
    for name, value in values.items():
        LOGGER.info("Metric %s = %g", name, value)


@pyplugs.register
def log_parameters(parameters: Mapping[str, Any]) -> None:
    """Log parameters to the active MLflow run, which keeps the first value of each for good.

    A parameter that the run has already, for instance because a runner logged what it gave the entry point, is left
    alone when both values mean the same: `"1e-1"` and `0.1`, `"28,28,1"` and `(28, 28, 1)`, `"true"` and `True`. None
    is logged as "None". MLflow cuts values beyond its limit (6000 characters in MLflow 3).

    Raises:
        ValueError: The run has a parameter of this name with another value. Nothing is logged then.
    """
    import mlflow

    run = mlflow.active_run() or mlflow.start_run()
    logged = mlflow.get_run(run.info.run_id).data.params
    for name, value in parameters.items():
        if name in logged and not _same_meaning(logged[name], value):
            raise ValueError(
                f"the parameter {name!r} of run {run.info.run_id} is {logged[name]!r} already and cannot become "
                f"{str(value)!r}; log it under another name"
            )
    mlflow.log_params({name: value for name, value in parameters.items() if name not in logged})
    for name, value in parameters.items():
        LOGGER.info("Parameter %s = %.200s", name, value)


@pyplugs.register
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def log_tensorflow_keras_estimator(estimator: Any, model_dir: str) -> None:
    """Log a trained Keras model with the active MLflow run, as `model_dir`.

    Raises:
        TensorflowDependencyError: There is no TensorFlow in this environment.
    """
    import mlflow.tensorflow

    # Not mlflow.keras, which cannot read back what it writes of a model of Keras 2 (TF_USE_LEGACY_KERAS=1).
    log_model = mlflow.tensorflow.log_model
    # MLflow 3 calls it `name`; before, it was the folder below the run's artifacts.
    key = "name" if "name" in inspect.signature(log_model).parameters else "artifact_path"
    log_model(estimator, **{key: model_dir})
    LOGGER.info("Keras model logged as %s", model_dir)


def _number(name: str, value: Any) -> float:
    try:
        # NumPy's and PyTorch's item() refuse more than one element, PyTorch's with a RuntimeError.
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"the metric {name!r} is {value!r}, which is not a number") from None


def _same_meaning(logged: str, value: Any) -> bool:
    """Tell whether the text that MLflow has stands for `value`."""
    return any(
        logged == text
        or logged.lower() == text.lower() in {"true", "false"}
        or _same_number(logged, text)
        # MLflow cuts what is too long, with or without an ellipsis at the end.
        or (len(text) > len(logged) > 200 and text.startswith(logged.rstrip(".")))
        for text in _texts(value)
    )


def _texts(value: Any) -> Iterator[str]:
    """Yield the ways to write `value` as a parameter."""
    yield str(value)
    if isinstance(value, (list, tuple)):
        for comma in (",", ", "):
            yield comma.join(map(str, value))
    if value is None:
        yield ""


def _same_number(one: str, other: str) -> bool:
    try:
        return int(one) == int(other)  # exact, where seeds have more digits than a float
    except ValueError:
        pass
    try:
        return float(one) == float(other)
    except ValueError:
        return False
