"""The errors of `dioptra.sdk.generics`."""

from __future__ import annotations

from dioptra.sdk.exceptions.base import BaseGenericsRegistryError

__all__ = ["EstimatorPredictGenericPredTypeError"]


class EstimatorPredictGenericPredTypeError(BaseGenericsRegistryError):
    """The `pred_type` given to `estimator_predict` is not one that the estimator knows."""

    default_message = "Unknown pred_type: expected 'label' for class labels or 'prob' for probabilities."
