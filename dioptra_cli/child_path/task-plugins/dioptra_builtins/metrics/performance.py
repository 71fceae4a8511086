"""Task plugins: functions that measure predictions against the truth, by name. None logs anything.

All but `categorical_accuracy` are those of scikit-learn, which is imported when one is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from dioptra import pyplugs

from ._lookup import labelled, unknown
from .exceptions import UnknownPerformanceMetricError

if TYPE_CHECKING:
    import numpy.typing as npt

    PerformanceMetric = Callable[..., float]


@pyplugs.register
def get_performance_metric_list(request: Iterable[Mapping[str, str]]) -> list[tuple[str, PerformanceMetric]]:
    """Return performance metrics, each with the label that it shall have.

    The metrics are `accuracy`, `roc_auc`, `categorical_accuracy`, `mcc`, `f1`, `precision` and `recall`.

    Args:
        request: For each metric its `name`, which is the label, and its `func`, one of the above. One that is none
            of them is left out, with a warning.
    """
    return labelled(request, PERFORMANCE_METRICS, "performance")


@pyplugs.register
def get_performance_metric(func: str) -> PerformanceMetric:
    """Return the performance metric of that name, one of those that `get_performance_metric_list` has.

    Raises:
        UnknownPerformanceMetricError: There is none.
    """
    try:
        return PERFORMANCE_METRICS[func]
    except KeyError:
        raise UnknownPerformanceMetricError(unknown(func, PERFORMANCE_METRICS, "performance")) from None


@pyplugs.register
def accuracy(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, **kwargs: Any) -> float:
    """Return the share of samples whose predicted label, or set of labels, is the true one.

    Args:
        y_true: True labels, shape (n,), or indicators of shape (n, labels).
        y_pred: Predicted labels, of the same shape.
        **kwargs: Further arguments of `sklearn.metrics.accuracy_score`.
    """
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(y_true, y_pred, **kwargs))


@pyplugs.register
def roc_auc(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, **kwargs: Any) -> float:
    """Return the area under the receiver operating characteristic curve, from 0 to 1.

    Args:
        y_true: True labels, shape (n,), or indicators of shape (n, classes).
        y_pred: Scores of the positive class, shape (n,), or of each class, shape (n, classes).
        **kwargs: Further arguments of `sklearn.metrics.roc_auc_score`, which needs `multi_class` for labels of more
            than two classes.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y_true, y_pred, **kwargs))


@pyplugs.register
def categorical_accuracy(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> float:
    """Return the share of samples whose most likely class is the true one.

    Args:
        y_true: Indicators of the true class, shape (n, classes), or labels of shape (n,).
        y_pred: Scores of each class, shape (n, classes), or labels of shape (n,).
    """
    truth, predictions = np.asarray(y_true), np.asarray(y_pred)
    if truth.ndim > 1 and predictions.ndim > 1:
        truth, predictions = truth.argmax(axis=-1), predictions.argmax(axis=-1)
    return float(np.mean(truth == predictions))


@pyplugs.register
def mcc(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, **kwargs: Any) -> float:
    """Return the Matthews correlation coefficient: 1 for all right, 0 for chance, -1 for all wrong.

    Args:
        y_true: True labels, shape (n,).
        y_pred: Predicted labels, shape (n,).
        **kwargs: Further arguments of `sklearn.metrics.matthews_corrcoef`.
    """
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(y_true, y_pred, **kwargs))


@pyplugs.register
def f1(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, **kwargs: Any) -> Any:
    """Return the harmonic mean of precision and recall, from 0 to 1.

    Args:
        y_true: True labels, shape (n,), or indicators of shape (n, labels).
        y_pred: Predicted labels, of the same shape.
        **kwargs: Further arguments of `sklearn.metrics.f1_score`, which needs `average` for more than two classes,
            and returns one value for each class if that is None.
    """
    from sklearn.metrics import f1_score

    return f1_score(y_true, y_pred, **kwargs)


@pyplugs.register
def precision(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, **kwargs: Any) -> Any:
    """Return the share of the samples predicted as positive that are so, from 0 to 1.

    The arguments are those of `f1`, for `sklearn.metrics.precision_score`.
    """
    from sklearn.metrics import precision_score

    return precision_score(y_true, y_pred, **kwargs)


@pyplugs.register
def recall(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, **kwargs: Any) -> Any:
    """Return the share of the positive samples that are predicted as such, from 0 to 1.

    The arguments are those of `f1`, for `sklearn.metrics.recall_score`.
    """
    from sklearn.metrics import recall_score

    return recall_score(y_true, y_pred, **kwargs)


PERFORMANCE_METRICS: dict[str, PerformanceMetric] = {
    "accuracy": accuracy,
    "roc_auc": roc_auc,
    "categorical_accuracy": categorical_accuracy,
    "mcc": mcc,
    "f1": f1,
    "precision": precision,
    "recall": recall,
}
