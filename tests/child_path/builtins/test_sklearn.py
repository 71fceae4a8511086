"""Classifiers of scikit-learn, and the gradient that the fast gradient method goes by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dioptra_builtins.attacks.numpy_fgm import create_adversarial_images
from dioptra_builtins.estimators.sklearn_classifiers import ARCHITECTURES, init_classifier, loss_gradient

RNG = np.random.default_rng(0)
IMAGES = RNG.random((60, 3, 2, 1))
ROWS = IMAGES.reshape(60, -1)
THREE = np.array(["a", "b", "c"])[(ROWS[:, 0] + ROWS[:, 1] > 1).astype(int) + (ROWS[:, 2] > 0.5)]
TWO = THREE == "a"


def network(classes: Any, **hyperparameters: Any) -> Any:
    classifier = init_classifier(model_architecture="mlp", seed=0, **hyperparameters)
    for _ in range(30):
        classifier.partial_fit(ROWS, classes, classes=np.unique(classes))
    return classifier


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_each_architecture_can_be_made_and_fitted(architecture: str) -> None:
    classifier = init_classifier(model_architecture=architecture, seed=1)
    if architecture == "mlp":
        classifier.set_params(solver="lbfgs")
    assert classifier.fit(ROWS, THREE).score(ROWS, THREE) > 0.6


def test_hyperparameters_and_seed_are_those_of_the_class() -> None:
    classifier = init_classifier("mlp", seed=3, hidden_layer_sizes=(4,), alpha=0.5)
    assert (classifier.hidden_layer_sizes, classifier.alpha) == ((4,), 0.5)
    one, other = (init_classifier("mlp", seed=3, max_iter=250) for _ in range(2))
    one.set_params(solver="lbfgs").fit(ROWS, THREE)
    other.set_params(solver="lbfgs").fit(ROWS, THREE)
    assert np.array_equal(one.coefs_[0], other.coefs_[0])
    with pytest.raises(TypeError, match="depth"):
        init_classifier("mlp", depth=3)
    with pytest.raises(
        ValueError, match="no architecture 'le_net'; there are gradient_boosting, k_neighbors, "
    ):
        init_classifier("le_net")


@pytest.mark.parametrize(
    ("classifier", "classes"),
    [
        *(
            (network(THREE, hidden_layer_sizes=(7, 5), activation=activation), THREE)
            for activation in ("relu", "tanh", "logistic", "identity")
        ),
        (network(TWO, hidden_layer_sizes=(7,)), TWO),
        (network(THREE, hidden_layer_sizes=()), THREE),
        (init_classifier("logistic_regression").fit(ROWS, THREE), THREE),
        (init_classifier("logistic_regression").fit(ROWS, TWO), TWO),
    ],
)
def test_the_gradient_is_the_slope_of_the_loss(classifier: Any, classes: Any) -> None:
    samples, labels = ROWS[:5], classes[:5]
    columns = np.searchsorted(classifier.classes_, labels)

    def losses(samples: Any) -> Any:
        return -np.log(classifier.predict_proba(samples)[np.arange(5), columns])

    found = loss_gradient(classifier, samples, labels)
    assert found.shape == (5, 6)
    for feature in range(6):
        change = 1e-6 * (np.arange(6) == feature)
        slopes = (losses(samples + change) - losses(samples - change)) / 2e-6
        np.testing.assert_allclose(found[:, feature], slopes, rtol=1e-4, atol=1e-7)


def test_what_has_no_gradient_says_so() -> None:
    with pytest.raises(TypeError, match="the gradient of a SVC is not known"):
        loss_gradient(init_classifier("svm").fit(ROWS, THREE), ROWS, THREE)
    with pytest.raises(ValueError, match=r"knows the classes \['a', 'b', 'c'\], not \['d'\]"):
        loss_gradient(init_classifier("logistic_regression").fit(ROWS, THREE), ROWS[:1], ["d"])


@pytest.mark.parametrize(("norm", "order"), [("inf", np.inf), (np.inf, np.inf), (1, 1), (2, 2), ("2", 2)])
def test_the_attack_changes_as_much_as_it_may_and_raises_the_loss(norm: Any, order: float) -> None:
    classifier = network(THREE, hidden_layer_sizes=(7,))
    adversarial = create_adversarial_images(
        classifier=classifier, images=IMAGES, labels=THREE, eps=0.05, norm=norm, clip_values=(-9, 9)
    )
    assert adversarial.shape == IMAGES.shape
    change = (adversarial - IMAGES).reshape(60, -1)
    np.testing.assert_allclose(np.linalg.norm(change, ord=order, axis=1), 0.05)
    columns = np.searchsorted(classifier.classes_, THREE)
    before, after = (
        classifier.predict_proba(images.reshape(60, -1))[np.arange(60), columns]
        for images in (IMAGES, adversarial)
    )
    assert (after < before).all()


def test_pixels_stay_in_their_range_and_type() -> None:
    classifier = network(THREE)
    images = IMAGES.astype(np.float32)
    adversarial = create_adversarial_images(classifier, images, THREE, eps=0.5)
    assert adversarial.dtype == np.float32
    assert (adversarial.min(), adversarial.max()) == (0, 1)
    assert np.array_equal(images, IMAGES.astype(np.float32))


def test_a_model_with_a_gradient_of_its_own_is_asked_for_it() -> None:
    class Model:
        def loss_gradient(self, x: Any, _y: Any) -> Any:
            assert x.shape == (2, 1, 1, 2)
            return np.array([[1.0, -3.0], [0.0, 0.0]]).reshape(x.shape)

    images = np.full((2, 1, 1, 2), 0.5)
    adversarial = create_adversarial_images(Model(), images, [0, 1], eps=0.25)
    assert adversarial.ravel().tolist() == [0.75, 0.25, 0.5, 0.5]
    shared = create_adversarial_images(Model(), images, [0, 1], eps=0.4, norm=1)
    np.testing.assert_allclose(shared.ravel(), [0.6, 0.2, 0.5, 0.5])
    with pytest.raises(ValueError, match="the norm 3 is none of inf, 1 and 2"):
        create_adversarial_images(Model(), images, [0, 1], norm=3)
