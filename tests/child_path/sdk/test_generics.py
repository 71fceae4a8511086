"""fit_estimator and estimator_predict: which arguments reach which kind of estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dioptra.sdk.exceptions import EstimatorPredictGenericPredTypeError
from dioptra.sdk.exceptions.base import BaseGenericsRegistryError
from dioptra.sdk.generics import estimator_predict, fit_estimator


class Recording:
    """An estimator that keeps what it is called with."""

    scores = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])

    def fit(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        return (*args, kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        self.called = (*args, kwargs)
        return self.scores


def made_by(module: str, **members: Any) -> Any:
    """An object of a class that a user derived from one of a library."""
    library = type("Model", (Recording,), {"__module__": module})
    return type("Mine", (library,), {"__module__": "__main__", **members})()


KERAS = ["keras.src.models.model", "tensorflow.python.keras.engine.training", "tf_keras.src.engine.training"]


@pytest.mark.parametrize("module", KERAS)
def test_keras_fit(module: str) -> None:
    model = made_by(module)
    validation = ("vx", "vy")
    assert fit_estimator(model, "x", "y", nb_epochs=3, batch_size=None, validation_data=validation) == (
        {"x": "x", "y": "y", "epochs": 3, "validation_data": validation},
    )
    assert fit_estimator(model, "dataset") == ({"x": "dataset"},)
    assert fit_estimator(estimator=model, x="dataset", epochs=0) == ({"x": "dataset", "epochs": 0},)
    assert fit_estimator(model, "dataset", None, nb_epochs=0) == ({"x": "dataset", "epochs": 0},)
    with pytest.raises(TypeError, match="nb_epochs and epochs mean the same"):
        fit_estimator(model, "x", nb_epochs=1, epochs=1)


@pytest.mark.parametrize("module", [*KERAS, "art.estimators.classification.pytorch"])
def test_predict_scores_and_labels(module: str) -> None:
    model = made_by(module)
    assert estimator_predict(model, "x", batch_size=8) is model.scores
    assert model.called == ("x", {"batch_size": 8})
    assert estimator_predict(model, "x", pred_type="prob") is model.scores
    assert estimator_predict(model, "x", "label").tolist() == [1, 0]
    model.scores = np.array([[0.4], [0.5]])
    assert estimator_predict(model, x="x", pred_type="label").tolist() == [0, 1]


def test_keras_predict_leaves_out_none() -> None:
    model = made_by(KERAS[0])
    estimator_predict(model, "x", batch_size=None)
    assert model.called == ("x", {})


def test_art_fit() -> None:
    estimator = made_by("art.estimators.classification.keras")
    assert fit_estimator(estimator, "x", "y", nb_epochs=3) == ("x", "y", {"nb_epochs": 3})


def test_scikit_learn() -> None:
    tree = pytest.importorskip("sklearn.tree")
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["a", "a", "b", "b"])
    estimator = tree.DecisionTreeClassifier()
    assert fit_estimator(estimator, x, y) is estimator
    assert estimator_predict(estimator, x).tolist() == ["a", "a", "b", "b"]
    assert estimator_predict(estimator, x, pred_type="label").tolist() == ["a", "a", "b", "b"]
    assert estimator_predict(estimator, x, "prob").tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    cluster = pytest.importorskip("sklearn.cluster")
    assert fit_estimator(cluster.KMeans(2, n_init=1), x).cluster_centers_.shape == (2, 1)


def test_an_estimator_without_labels() -> None:
    class Own:
        def fit(self, samples: Any) -> Any:
            return samples

    assert fit_estimator(Own(), "x") == "x"


def test_unknown_kind() -> None:
    with pytest.raises(
        BaseGenericsRegistryError, match=r"builtins\.int has no method 'fit': expected a Keras model"
    ):
        fit_estimator(3, "x", "y")
    with pytest.raises(BaseGenericsRegistryError, match=r"has no method 'predict_proba'"):
        estimator_predict(made_by("somewhere"), "x", pred_type="prob")


def test_torch_module() -> None:
    module = made_by("torch.nn.modules.module", fit=None, predict=lambda self, x: (self, x))
    with pytest.raises(
        BaseGenericsRegistryError, match=r"Mine has no method 'fit': wrap it, .*PyTorchClassifier"
    ):
        fit_estimator(module, "x", "y")
    assert estimator_predict(module, "x") == (module, "x")


def test_unknown_pred_type() -> None:
    with pytest.raises(
        EstimatorPredictGenericPredTypeError, match=r"Unknown pred_type 'logits' for __main__\.Mine"
    ):
        estimator_predict(made_by(KERAS[0]), "x", pred_type="logits")


def test_errors_inside_the_estimator_stay_what_they_are() -> None:
    class Broken:
        def fit(self, x: Any) -> Any:
            raise AttributeError("inside") from x

    with pytest.raises(AttributeError, match=r"^inside$"):
        fit_estimator(Broken(), None)


class Registered:
    """A class with functions of its own."""


class Derived(Registered):
    """And one that inherits them."""


def test_register() -> None:
    fit: Any = fit_estimator
    predict: Any = estimator_predict

    def without_labels(estimator: Registered, x: Any, **kwargs: Any) -> Any:
        return type(estimator), x, kwargs

    def with_labels(estimator: Registered, x: Any, y: Any, **kwargs: Any) -> Any:
        return type(estimator), x, y, kwargs

    def predicted(estimator: Any, x: Any, pred_type: str, device: str = "cpu") -> Any:
        return type(estimator), x, pred_type, device

    assert fit.register(without_labels) is without_labels
    assert fit_estimator(Derived(), "x", None, nb_epochs=2) == (Derived, "x", {"nb_epochs": 2})
    fit.register(with_labels)
    assert fit_estimator(Derived(), "x") == (Derived, "x", None, {})
    assert fit_estimator(Registered(), x="x", y="y", a=1) == (Registered, "x", "y", {"a": 1})
    predict.register(Registered)(predicted)
    assert estimator_predict(Derived(), "x", "prob", device="gpu") == (Derived, "x", "prob", "gpu")
