"""`require_package`: a clear error where a function needs a package that is not there."""

from __future__ import annotations

import importlib
import sys
from functools import wraps
from typing import Any, Callable, TypeVar, cast

from dioptra.sdk.exceptions.base import BaseOptionalDependencyError

__all__ = ["require_package"]

F = TypeVar("F", bound=Callable[..., Any])

_DISTRIBUTIONS = {
    "PIL": "Pillow",
    "art": "adversarial-robustness-toolbox",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""The distributions that do not have the name of the package that they install."""


def require_package(
    name: str,
    exc_message: str | None = None,
    exc_type: type[BaseOptionalDependencyError] = BaseOptionalDependencyError,
) -> Callable[[F], F]:
    """Return a decorator for functions that need a package, looked up when the function is called.

    The package is imported, not just looked for: one that is installed but broken counts as missing, with the reason.

    Args:
        name: The package or module, as it is imported.
        exc_message: What the error says, instead of its own text.
        exc_type: The error to raise; it takes a message.
    """

    def decorator(function: F) -> F:
        needed_by = getattr(function, "__name__", repr(function))

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            # A None in sys.modules says that there is no such module.
            if sys.modules.get(name) is None:
                try:
                    importlib.import_module(name)
                except ImportError as error:
                    raise exc_type(exc_message or _message(name, needed_by, error)) from error
            return function(*args, **kwargs)

        return cast(F, checked)

    return decorator


def _message(name: str, needed_by: str, error: ImportError) -> str:
    package = name.partition(".")[0]
    distribution = _DISTRIBUTIONS.get(package, package)
    missing = isinstance(error, ModuleNotFoundError) and error.name in (None, package, name)
    state = "is not installed" if missing else f"cannot be imported ({error})"
    return (
        f"{needed_by} needs the package {name!r}, which {state} in the environment of {sys.executable}. "
        f"Install it with: pip install {distribution}"
    )
