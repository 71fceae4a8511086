"""The errors about packages that are not installed."""

from __future__ import annotations

from dioptra.sdk.exceptions.base import BaseOptionalDependencyError

__all__ = [
    "ARTDependencyError",
    "CryptographyDependencyError",
    "PrefectDependencyError",
    "TensorflowDependencyError",
]


class ARTDependencyError(BaseOptionalDependencyError):
    """A function needs the package `art`, the Adversarial Robustness Toolbox."""

    default_message = (
        "The package 'art' is required and not installed. "
        "Install it with: pip install adversarial-robustness-toolbox"
    )


class CryptographyDependencyError(BaseOptionalDependencyError):
    """A function needs the package `cryptography`."""

    default_message = (
        "The package 'cryptography' is required and not installed. Install it with: pip install cryptography"
    )


class PrefectDependencyError(BaseOptionalDependencyError):
    """A function needs the package `prefect`."""

    default_message = (
        "The package 'prefect' is required and not installed. Install it with: pip install prefect"
    )


class TensorflowDependencyError(BaseOptionalDependencyError):
    """A function needs the package `tensorflow`."""

    default_message = (
        "The package 'tensorflow' is required and not installed. Install it with: pip install tensorflow"
    )
