"""Task plugins: functions that measure how far two batches of data are apart, by name.

Each takes two batches of the same shape (n, …), such as images before and after an attack, and returns the distances
of the pairs, shape (n,), in the unit of the data. The norms also take shapes that NumPy broadcasts, such as
(n, h, w, 1) and (n, h, w, 3). None logs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from dioptra import pyplugs

from ._lookup import labelled, unknown
from .exceptions import UnknownDistanceMetricError

if TYPE_CHECKING:
    import numpy.typing as npt

    Batch = npt.NDArray[Any]
    DistanceMetric = Callable[..., Batch]


@pyplugs.register
def get_distance_metric_list(request: Iterable[Mapping[str, str]]) -> list[tuple[str, DistanceMetric]]:
    """Return distance metrics, each with the label that it shall have.

    The metrics are `l_inf_norm`, `l_1_norm`, `l_2_norm`, `paired_cosine_similarities`, `paired_euclidean_distances`,
    `paired_manhattan_distances` and `paired_wasserstein_distances`.

    Args:
        request: For each metric its `name`, which is the label, and its `func`, one of the above. One that is none
            of them is left out, with a warning.
    """
    return labelled(request, DISTANCE_METRICS, "distance")


@pyplugs.register
def get_distance_metric(func: str) -> DistanceMetric:
    """Return the distance metric of that name, one of those that `get_distance_metric_list` has.

    Raises:
        UnknownDistanceMetricError: There is none.
    """
    try:
        return DISTANCE_METRICS[func]
    except KeyError:
        raise UnknownDistanceMetricError(unknown(func, DISTANCE_METRICS, "distance")) from None


@pyplugs.register
def l_inf_norm(y_true: Batch, y_pred: Batch) -> Batch:
    """Return the largest difference between any two values of each pair."""
    return _norms(_differences(y_true, y_pred), np.inf)


@pyplugs.register
def l_1_norm(y_true: Batch, y_pred: Batch) -> Batch:
    """Return the sum of the differences, without their sign, of each pair."""
    return _norms(_differences(y_true, y_pred), 1)


@pyplugs.register
def l_2_norm(y_true: Batch, y_pred: Batch) -> Batch:
    """Return the root of the sum of the squared differences of each pair."""
    return _norms(_differences(y_true, y_pred), 2)


@pyplugs.register
def paired_cosine_similarities(y_true: Batch, y_pred: Batch) -> Batch:
    """Return the cosine of the angle of each pair, from -1 to 1; NaN where one of the two is all zeros."""
    one, other = _rows(y_true), _rows(y_pred)
    with np.errstate(invalid="ignore"):
        cosines: Batch = np.sum(one * other, axis=1) / (_norms(one, 2) * _norms(other, 2))
    return cosines


@pyplugs.register
def paired_wasserstein_distances(y_true: Batch, y_pred: Batch, **kwargs: Any) -> Batch:
    """Return how far the values of each pair lie apart as distributions, wherever in the data they stand.

    This is the first Wasserstein distance. Of two samples of the same size it is the mean difference of their sorted
    values (Ramdas et al., https://arxiv.org/abs/1509.02237, section 3.1).

    Args:
        y_true: One batch.
        y_pred: The other one.
        **kwargs: `u_weights` and `v_weights`, the weight of each value, for `scipy.stats.wasserstein_distance`.
    """
    one, other = _rows(y_true), _rows(y_pred)
    if not kwargs:
        distances: Batch = np.abs(np.sort(one, axis=1) - np.sort(other, axis=1)).mean(axis=1)
        return distances
    from scipy.stats import wasserstein_distance

    return np.array([wasserstein_distance(u, v, **kwargs) for u, v in zip(one, other)])


DISTANCE_METRICS: dict[str, DistanceMetric] = {
    "l_inf_norm": l_inf_norm,
    "l_1_norm": l_1_norm,
    "l_2_norm": l_2_norm,
    "paired_cosine_similarities": paired_cosine_similarities,
    "paired_euclidean_distances": l_2_norm,
    "paired_manhattan_distances": l_1_norm,
    "paired_wasserstein_distances": paired_wasserstein_distances,
}


def _differences(y_true: Batch, y_pred: Batch) -> Batch:
    """Return the differences of two batches that NumPy can broadcast, shape (n, values of each)."""
    one, other = _floats(y_true), _floats(y_pred)
    if one.ndim != other.ndim and len(one) == len(other) and one.size == other.size:
        other = other.reshape(one.shape)  # (n,) and (n, 1) would become (n, n)
    return _rows(one - other)


def _rows(batch: Batch) -> Batch:
    """Return a batch of shape (n, …) as floating point numbers of shape (n, values of each)."""
    floats = _floats(batch)
    return floats.reshape(len(floats), int(np.prod(floats.shape[1:])))


def _floats(batch: Batch) -> Batch:
    """Return a batch as floating point numbers, which images of bytes have to be before they are subtracted."""
    array = np.asarray(batch)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def _norms(rows: Batch, order: float) -> Batch:
    norms: Batch = np.linalg.norm(rows, ord=order, axis=1)
    return norms
