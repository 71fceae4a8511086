"""Task plugins: train and use any estimator. What that takes for each library is up to `dioptra.sdk.generics`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from dioptra import pyplugs
from dioptra.sdk.generics import estimator_predict, fit_estimator

LOGGER = logging.getLogger(__name__)


@pyplugs.register
def fit(estimator: Any, x: Any = None, y: Any = None, fit_kwargs: Mapping[str, Any] | None = None) -> Any:
    """Fit an estimator, and log how long it took as the metric `training_time_in_minutes`.

    Args:
        estimator: The estimator to train, which is changed in place.
        x: Data to train with, such as samples of shape (n, …) or a data set that has the targets too.
        y: Targets, shape (n, …).
        fit_kwargs: Further arguments for the library's way to fit, such as `nb_epochs`.

    Returns:
        What the estimator's own method returns: a history for Keras, the estimator for scikit-learn.
    """
    import mlflow

    start = time.monotonic()
    result = fit_estimator(estimator, x, y, **(fit_kwargs or {}))
    minutes = (time.monotonic() - start) / 60
    mlflow.log_metric("training_time_in_minutes", minutes)
    LOGGER.info("%s fitted in %.3f minutes", type(estimator).__name__, minutes)
    return result


@pyplugs.register
def predict(estimator: Any, x: Any = None, predict_kwargs: Mapping[str, Any] | None = None) -> Any:
    """Return what a trained estimator predicts.

    Args:
        estimator: The trained estimator.
        x: Data to predict for, such as samples of shape (n, …).
        predict_kwargs: Further arguments for the library's way to predict.
    """
    return estimator_predict(estimator, x, **(predict_kwargs or {}))
