"""How metrics are found by name, which both kinds of them have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Callable, TypeVar

__all__ = ["labelled", "unknown"]

Metric = TypeVar("Metric", bound=Callable[..., Any])

LOGGER = logging.getLogger(__name__)


def labelled(
    request: Iterable[Mapping[str, str]], metrics: Mapping[str, Metric], kind: str
) -> list[tuple[str, Metric]]:
    """Return metrics with the labels that they shall have.

    Args:
        request: For each metric its `name`, which is the label, and its `func`. One that is none of `metrics` is left
            out, with a warning.
        metrics: What there is, by name.
        kind: What they are called in the warning.
    """
    found = []
    for wanted in request:
        metric = metrics.get(wanted["func"])
        if metric is None:
            LOGGER.warning("%s is left out: %s", wanted["name"], unknown(wanted["func"], metrics, kind))
        else:
            found.append((wanted["name"], metric))
    return found


def unknown(func: str, metrics: Mapping[str, Any], kind: str) -> str:
    """Return what to say of a name that is none of `metrics`."""
    return f"there is no {kind} metric {func!r}; there are {', '.join(metrics)}"
