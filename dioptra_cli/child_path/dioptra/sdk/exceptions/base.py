"""The base classes of the published errors, and how each comes to its default message."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BaseDioptraError",
    "BaseGenericsRegistryError",
    "BaseOptionalDependencyError",
    "BasePyPlugsException",
    "BaseSecuringAIError",
    "BaseTaskEngineError",
    "BaseTaskPluginError",
]


class BaseDioptraError(Exception):
    """Base class of all errors of the SDK; raised without arguments, it says `default_message`."""

    default_message: ClassVar[str] = "An operation of the Dioptra SDK failed."

    def __init__(self, *args: object) -> None:
        super().__init__(*(args or (self.default_message,)))


BaseSecuringAIError = BaseDioptraError
"""The name of the base class until May 2022."""


class BaseGenericsRegistryError(BaseDioptraError):
    """Base class of the errors of `dioptra.sdk.generics`."""

    default_message = "A generic function has nothing that handles these arguments."


class BaseOptionalDependencyError(BaseDioptraError, ImportError):
    """Base class of the errors about a package that is not installed; an ImportError as well."""

    default_message = "A package that this function needs is not installed."


class BasePyPlugsException(BaseDioptraError):
    """Base class of the errors of `dioptra.pyplugs`."""

    default_message = "A task plugin cannot be looked up."


class BaseTaskEngineError(BaseDioptraError):
    """Base class of the errors of a task engine that an installed distribution brings along."""

    default_message = "The task engine failed."


class BaseTaskPluginError(BaseDioptraError):
    """Base class for the errors that task plugins define themselves."""

    default_message = "A task plugin failed."
