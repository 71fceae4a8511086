"""The published error classes: their names, their bases, what they say."""

from __future__ import annotations

import pickle

import pytest
from dioptra.sdk import exceptions
from dioptra.sdk.exceptions import base
from dioptra.sdk.exceptions.base import BaseDioptraError

PUBLISHED = {
    "ARTDependencyError": "BaseOptionalDependencyError",
    "CryptographyDependencyError": "BaseOptionalDependencyError",
    "EstimatorPredictGenericPredTypeError": "BaseGenericsRegistryError",
    "PrefectDependencyError": "BaseOptionalDependencyError",
    "TensorflowDependencyError": "BaseOptionalDependencyError",
    "UnknownPackageError": "BasePyPlugsException",
    "UnknownPluginError": "BasePyPlugsException",
    "UnknownPluginFunctionError": "BasePyPlugsException",
}


def test_published_names() -> None:
    assert {
        "BaseDioptraError",
        "BaseGenericsRegistryError",
        "BaseOptionalDependencyError",
        "BasePyPlugsException",
        "BaseSecuringAIError",
        "BaseTaskPluginError",
    } <= set(base.__all__)
    assert set(exceptions.__all__) == set(PUBLISHED)


@pytest.mark.parametrize(("name", "parent"), PUBLISHED.items())
def test_error(name: str, parent: str) -> None:
    cls = getattr(exceptions, name)
    assert cls.__bases__ == (getattr(base, parent),)
    assert issubclass(cls, BaseDioptraError)
    assert str(cls("what was wrong")) == "what was wrong"
    assert str(cls()) == cls.default_message
    copy = pickle.loads(pickle.dumps(cls("a", 2)))
    assert type(copy) is cls
    assert copy.args == ("a", 2)


def test_every_error_says_something_of_its_own() -> None:
    classes = [getattr(exceptions, name) for name in PUBLISHED]
    assert len({cls.default_message for cls in classes}) == len(classes)


def test_a_missing_package_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="pip install adversarial-robustness-toolbox"):
        raise exceptions.ARTDependencyError


def test_plugins_define_their_own_errors() -> None:
    class OddInput(base.BaseTaskPluginError):
        pass

    assert str(OddInput()) == base.BaseTaskPluginError.default_message
    assert isinstance(OddInput(), base.BaseSecuringAIError)
