"""The errors of the SDK and of `dioptra.pyplugs`, under their published names; their bases are in `.base`.

An installed distribution may hold other modules under the same name. They stay importable, but what is here wins.
"""

from pkgutil import extend_path

from dioptra.sdk.exceptions.generics import EstimatorPredictGenericPredTypeError
from dioptra.sdk.exceptions.optional_dependencies import (
    ARTDependencyError,
    CryptographyDependencyError,
    PrefectDependencyError,
    TensorflowDependencyError,
)
from dioptra.sdk.exceptions.pyplugs import UnknownPackageError, UnknownPluginError, UnknownPluginFunctionError

__all__ = [
    "ARTDependencyError",
    "CryptographyDependencyError",
    "EstimatorPredictGenericPredTypeError",
    "PrefectDependencyError",
    "TensorflowDependencyError",
    "UnknownPackageError",
    "UnknownPluginError",
    "UnknownPluginFunctionError",
]

__path__ = extend_path(__path__, __name__)
