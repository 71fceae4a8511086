"""Fit and predict with an estimator of whatever library: Keras, the Adversarial Robustness Toolbox, scikit-learn, ….

What a kind of estimator needs is decided by its class, without importing its library. Others add theirs with
`fit_estimator.register` and `estimator_predict.register`: decorators for a function that does the work for a class of
estimators, which is the annotation of its first parameter or `register(cls)`. Its parameters have the same names as
the generic function's; `y` or `pred_type` may be missing.
"""

from __future__ import annotations

import inspect
from functools import singledispatch
from typing import Any, Callable

from dioptra.sdk.exceptions import EstimatorPredictGenericPredTypeError
from dioptra.sdk.exceptions.base import BaseGenericsRegistryError

__all__ = ["estimator_predict", "fit_estimator"]


def fit_estimator(estimator: Any, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
    """Fit an estimator and return what its own `fit` returns.

    Keras models take `nb_epochs` as well as `epochs`, and arguments that are None are left out for them. All others
    get the arguments as they are.

    Args:
        estimator: An object with a `fit` method.
        x: The samples, or a dataset or generator that yields samples and labels.
        y: The labels, unless x yields them.
        kwargs: What else the estimator's `fit` takes.

    Raises:
        BaseGenericsRegistryError: The estimator has no `fit` method.
    """
    return _call(_fit.dispatch(type(estimator)), estimator, x, "y", y, kwargs)


def estimator_predict(estimator: Any, x: Any = None, pred_type: str | None = None, **kwargs: Any) -> Any:
    """Return what an estimator predicts for samples.

    Args:
        estimator: An object with a `predict` method.
        x: The samples, n of them.
        pred_type: "label" for n class indices (scikit-learn: n class labels), "prob" for scores of shape
            (n, classes), None for whatever the estimator's `predict` returns.
        kwargs: What else the estimator's method takes; None is left out for Keras models.

    Raises:
        BaseGenericsRegistryError: The estimator has no such method.
        EstimatorPredictGenericPredTypeError: Another `pred_type`.
    """
    return _call(_predict.dispatch(type(estimator)), estimator, x, "pred_type", pred_type, kwargs)


def _call(
    function: Callable[..., Any], estimator: Any, x: Any, name: str, value: Any, kwargs: dict[str, Any]
) -> Any:
    if value is not None or name in inspect.signature(function).parameters:
        kwargs = {name: value, **kwargs}
    return function(estimator, x=x, **kwargs)


@singledispatch
def _fit(estimator: Any, x: Any, y: Any, **kwargs: Any) -> Any:
    fit = _method(estimator, "fit")
    if _is_keras(estimator):
        if "nb_epochs" in kwargs:
            if "epochs" in kwargs:
                raise TypeError("nb_epochs and epochs mean the same: give one of them.")
            kwargs["epochs"] = kwargs.pop("nb_epochs")
        return fit(x=x, **_given(y=y, **kwargs))
    return fit(x, **kwargs) if y is None else fit(x, y, **kwargs)


@singledispatch
def _predict(estimator: Any, x: Any, pred_type: str | None, **kwargs: Any) -> Any:
    if pred_type not in (None, "label", "prob"):
        raise EstimatorPredictGenericPredTypeError(
            f"Unknown pred_type {pred_type!r} for {_kind(estimator)}: "
            "expected 'label' for class labels or 'prob' for probabilities."
        )
    if _is_keras(estimator):
        kwargs = _given(**kwargs)
    elif not _comes_from(estimator, "art"):
        return _method(estimator, "predict_proba" if pred_type == "prob" else "predict")(x, **kwargs)
    scores = _method(estimator, "predict")(x, **kwargs)
    if pred_type != "label":
        return scores
    # One score for each sample is that of the second of two classes.
    return scores.argmax(axis=1) if scores.shape[1] > 1 else (scores.flatten() >= 0.5).astype(int)


fit_estimator.register = _fit.register  # type: ignore[attr-defined]  # functions declare no attributes
estimator_predict.register = _predict.register  # type: ignore[attr-defined]  # functions declare no attributes


def _method(estimator: Any, name: str) -> Callable[..., Any]:
    method = getattr(estimator, name, None)
    if callable(method):
        return method  # type: ignore[no-any-return]  # callable() tells nothing about an Any
    hint = (
        "wrap it, in art.estimators.classification.PyTorchClassifier for example, or write a task plugin for it"
        if _comes_from(estimator, "torch")
        else "expected a Keras model, an ART or scikit-learn estimator, or another object that has one"
    )
    raise BaseGenericsRegistryError(f"{_kind(estimator)} has no method {name!r}: {hint}.")


def _is_keras(estimator: Any) -> bool:
    return _comes_from(estimator, "keras", "tensorflow", "tf_keras")


def _comes_from(estimator: Any, *packages: str) -> bool:
    return any(cls.__module__.partition(".")[0] in packages for cls in type(estimator).__mro__)


def _given(**kwargs: Any) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if value is not None}


def _kind(estimator: Any) -> str:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}"
