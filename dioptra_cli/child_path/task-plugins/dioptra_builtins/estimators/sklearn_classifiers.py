"""Task plugins: scikit-learn's classifiers for flat samples, and the gradient that attacks on them need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from dioptra import pyplugs

if TYPE_CHECKING:
    import numpy.typing as npt

ARCHITECTURES = {
    "gradient_boosting": ("sklearn.ensemble", "HistGradientBoostingClassifier"),
    "k_neighbors": ("sklearn.neighbors", "KNeighborsClassifier"),
    "logistic_regression": ("sklearn.linear_model", "LogisticRegression"),
    "mlp": ("sklearn.neural_network", "MLPClassifier"),
    "random_forest": ("sklearn.ensemble", "RandomForestClassifier"),
    "svm": ("sklearn.svm", "SVC"),
}
"""Module and class of each architecture."""


@pyplugs.register
def init_classifier(model_architecture: str = "mlp", seed: int | None = None, **hyperparameters: Any) -> Any:
    """Make an untrained classifier.

    Args:
        model_architecture: "gradient_boosting", "k_neighbors", "logistic_regression", "mlp" (a neural network of
            dense layers), "random_forest" or "svm".
        seed: Seed of what is random in it, from 0 to 2³² - 1; None for a fresh one.
        **hyperparameters: Arguments of the class, such as `hidden_layer_sizes` of an "mlp".

    Raises:
        ValueError: There is no such architecture.
        TypeError: It has no such hyperparameter.
    """
    import importlib

    try:
        module, name = ARCHITECTURES[model_architecture]
    except KeyError:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"there is no architecture {model_architecture!r}; there are {known}") from None
    estimator = getattr(importlib.import_module(module), name)(**hyperparameters)
    if seed is not None and "random_state" in estimator.get_params():
        # A generator, since with a bare number every call of partial_fit would shuffle alike.
        estimator.set_params(random_state=np.random.RandomState(seed))
    return estimator


@pyplugs.register
def loss_gradient(
    classifier: Any, x: npt.NDArray[np.floating[Any]], y: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the gradient of the cross-entropy loss of each sample by its values.

    A network is linear layers with an activation between them and a softmax, or logistic function, at the end; a
    logistic regression is one of no hidden layer. The gradient is one pass forward and one back.

    Args:
        classifier: A fitted `MLPClassifier` or `LogisticRegression`.
        x: Samples, shape (n, features).
        y: Their true labels, shape (n,), all among the classifier's classes.

    Returns:
        Shape (n, features), in loss (nats) per unit of `x`.

    Raises:
        TypeError: The classifier is of another class, which has no gradient or whose gradient is not known here.
        ValueError: A label is none of the classifier's classes.
    """
    layers = [np.asarray(x, dtype=np.float64)]
    weights, biases, activation = _network(classifier)
    for matrix, bias in zip(weights[:-1], biases[:-1]):
        layers.append(_ACTIVATIONS[activation](layers[-1] @ matrix + bias))

    probabilities = classifier.predict_proba(layers[0])
    gradient = probabilities - _indicators(classifier, np.asarray(y))
    if weights[-1].shape[1] == 1:  # of two classes, the last layer has the second one only
        gradient = gradient[:, 1:]
    for matrix, layer in zip(weights[:0:-1], layers[:0:-1]):
        gradient = (gradient @ matrix.T) * _SLOPES[activation](layer)
    inputs_gradient: npt.NDArray[np.float64] = gradient @ weights[0].T
    return inputs_gradient


# The logistic function by way of tanh is the same as 1 / (1 + exp(-x)), without overflow.
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda values: values,
    "logistic": lambda values: (1 + np.tanh(values / 2)) / 2,
    "relu": lambda values: np.maximum(values, 0),
    "tanh": np.tanh,
}
# The slope of each, by its value instead of by its argument.
_SLOPES: dict[str, Callable[[Any], Any]] = {
    "identity": lambda _values: 1.0,
    "logistic": lambda values: values * (1 - values),
    "relu": lambda values: values > 0,
    "tanh": lambda values: 1 - values**2,
}


def _network(
    classifier: Any,
) -> tuple[list[npt.NDArray[np.float64]], list[npt.NDArray[np.float64]], str]:
    """Return the weights, shape (inputs, outputs), and the biases of each layer, and the activation between them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    if isinstance(classifier, MLPClassifier) and classifier.out_activation_ in {"softmax", "logistic"}:
        return classifier.coefs_, classifier.intercepts_, classifier.activation
    if isinstance(classifier, LogisticRegression):
        return [classifier.coef_.T], [classifier.intercept_], "identity"
    raise TypeError(
        f"the gradient of a {type(classifier).__name__} is not known; use an MLPClassifier or LogisticRegression"
    )


def _indicators(classifier: Any, labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return 1 for the class of each sample and 0 for the others, shape (n, classes)."""
    indicators: npt.NDArray[np.float64] = np.equal.outer(labels, classifier.classes_).astype(np.float64)
    strange = sorted(set(labels[indicators.sum(axis=1) == 0].tolist()))
    if strange:
        raise ValueError(f"the classifier knows the classes {classifier.classes_.tolist()}, not {strange}")
    return indicators
