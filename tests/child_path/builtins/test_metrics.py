"""Distances and scores against what their definitions and scikit-learn say."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from dioptra_builtins.metrics import distance, performance
from dioptra_builtins.metrics.exceptions import UnknownDistanceMetricError, UnknownPerformanceMetricError
from scipy.stats import wasserstein_distance
from sklearn.metrics.pairwise import paired_distances

CLEAN, ADVERSARIAL = np.random.default_rng(0).random((2, 5, 4, 3, 1))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l_inf_norm", lambda a, b: np.abs(a - b).max(axis=1)),
        ("l_1_norm", lambda a, b: np.abs(a - b).sum(axis=1)),
        ("l_2_norm", lambda a, b: np.sqrt(((a - b) ** 2).sum(axis=1))),
        ("paired_cosine_similarities", lambda a, b: 1 - paired_distances(a, b, metric="cosine")),
        ("paired_euclidean_distances", lambda a, b: paired_distances(a, b, metric="euclidean")),
        ("paired_manhattan_distances", lambda a, b: paired_distances(a, b, metric="manhattan")),
        ("paired_wasserstein_distances", lambda a, b: [wasserstein_distance(u, v) for u, v in zip(a, b)]),
    ],
)
def test_each_distance_is_the_published_one(name: str, expected: Any) -> None:
    measured = distance.get_distance_metric(func=name)(CLEAN, ADVERSARIAL)
    assert measured.shape == (5,)
    np.testing.assert_allclose(measured, expected(CLEAN.reshape(5, -1), ADVERSARIAL.reshape(5, -1)))


def test_the_values_of_a_wasserstein_distance_may_have_weights() -> None:
    weights = np.arange(1.0, 13.0)
    measured = distance.paired_wasserstein_distances(y_true=CLEAN, y_pred=ADVERSARIAL, u_weights=weights)
    expected = [
        wasserstein_distance(one.ravel(), other.ravel(), u_weights=weights)
        for one, other in zip(CLEAN, ADVERSARIAL)
    ]
    np.testing.assert_allclose(measured, expected)


def test_pictures_of_bytes_do_not_wrap_around() -> None:
    black, white = np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 255, np.uint8)
    assert distance.l_inf_norm(black, white).tolist() == [255]
    assert distance.l_1_norm(black, white).tolist() == [4 * 255]


@pytest.mark.parametrize(
    ("one", "other"),
    [((4, 3, 2, 1), (4, 3, 2, 5)), ((4, 3, 2), (1, 3, 2)), ((4, 3, 2), (3, 2)), ((4, 3, 2, 1), (2, 5))],
)
def test_norms_are_of_differences_that_numpy_broadcasts(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 256, one, np.uint8), generator.random(other)
    differences = np.abs(a - b).reshape(4, -1)
    np.testing.assert_allclose(distance.l_1_norm(a, b), differences.sum(axis=1))
    np.testing.assert_allclose(distance.l_2_norm(a, b), np.sqrt((differences**2).sum(axis=1)))
    np.testing.assert_allclose(distance.l_inf_norm(a, b), differences.max(axis=1))


@pytest.mark.parametrize(("one", "other"), [((3,), (3,)), ((3,), (3, 1)), ((3, 1), (3,))])
def test_numbers_are_samples_of_one_value(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    a, b = np.array([1, 2, 3]).reshape(one), np.array([4, 6, 8]).reshape(other)
    assert distance.l_2_norm(a, b).tolist() == [3, 4, 5]


def test_the_cosine_of_nothing_is_not_a_number() -> None:
    assert np.isnan(distance.paired_cosine_similarities(np.zeros((1, 3)), np.ones((1, 3)))).all()


@pytest.mark.parametrize(
    ("name", "truth", "predicted", "expected"),
    [
        ("accuracy", [0, 1, 1, 1], [0, 1, 0, 1], 0.75),
        ("roc_auc", [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75),
        ("categorical_accuracy", [[0, 1], [1, 0]], [[0.3, 0.7], [0.2, 0.8]], 0.5),
        ("categorical_accuracy", [2, 0, 1], [2, 1, 1], 2 / 3),
        ("mcc", [1, 1, 1, -1], [1, -1, 1, 1], -1 / 3),
        ("f1", [0, 1, 1, 1], [0, 1, 0, 1], 0.8),
        ("precision", [0, 1, 1, 1], [0, 1, 0, 1], 1),
        ("recall", [0, 1, 1, 1], [0, 1, 0, 1], 2 / 3),
    ],
)
def test_each_score_is_the_published_one(
    name: str, truth: list[float], predicted: list[float], expected: float
) -> None:
    metric = performance.get_performance_metric(func=name)
    assert metric(np.array(truth), np.array(predicted)) == pytest.approx(expected)
    assert metric(y_true=np.array(truth), y_pred=np.array(predicted)) == pytest.approx(expected)


def test_a_list_has_the_labels_asked_for_and_leaves_out_what_is_unknown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = [{"name": "largest", "func": "l_inf_norm"}, {"name": "odd", "func": "l_3_norm"}]
    with caplog.at_level(logging.WARNING):
        assert distance.get_distance_metric_list(request=request) == [("largest", distance.l_inf_norm)]
    assert "odd is left out: there is no distance metric 'l_3_norm'; there are l_inf_norm, " in caplog.text
    scores = [{"name": "acc", "func": "accuracy"}, {"name": "odd", "func": "auc"}]
    with caplog.at_level(logging.WARNING):
        assert performance.get_performance_metric_list(request=scores) == [("acc", performance.accuracy)]
    assert "odd is left out: there is no performance metric 'auc'; there are accuracy, " in caplog.text


def test_an_unknown_name_is_an_error_that_tells_the_known_ones() -> None:
    with pytest.raises(UnknownDistanceMetricError, match="'l_3_norm'; there are l_inf_norm, "):
        distance.get_distance_metric(func="l_3_norm")
    with pytest.raises(UnknownPerformanceMetricError, match="'auc'; there are accuracy, "):
        performance.get_performance_metric(func="auc")
