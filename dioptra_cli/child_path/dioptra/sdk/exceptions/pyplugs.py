"""The errors of `dioptra.pyplugs`."""

from __future__ import annotations

from dioptra.sdk.exceptions.base import BasePyPlugsException

__all__ = ["UnknownPackageError", "UnknownPluginError", "UnknownPluginFunctionError"]


class UnknownPackageError(BasePyPlugsException):
    """The package of task plugins cannot be found."""

    default_message = (
        "The package of task plugins cannot be found: check its name and the plugin directories."
    )


class UnknownPluginError(BasePyPlugsException):
    """The package holds no such task plugin."""

    default_message = (
        "The package holds no such task plugin: check the module's name and that it registers a function."
    )


class UnknownPluginFunctionError(BasePyPlugsException):
    """The task plugin registers no such function."""

    default_message = (
        "The task plugin registers no such function: check its name and that it is decorated with register."
    )
