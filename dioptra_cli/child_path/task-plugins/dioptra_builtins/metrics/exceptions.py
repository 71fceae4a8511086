"""What the plugins of this collection raise."""

from __future__ import annotations

from dioptra.sdk.exceptions.base import BaseTaskPluginError


class UnknownDistanceMetricError(BaseTaskPluginError):
    """There is no distance metric of that name."""


class UnknownPerformanceMetricError(BaseTaskPluginError):
    """There is no performance metric of that name."""
