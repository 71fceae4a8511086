"""What the plugins of this collection raise."""

from __future__ import annotations

from dioptra.sdk.exceptions.base import BaseTaskPluginError


class UnsupportedDataFrameFileFormatError(BaseTaskPluginError):
    """A data frame cannot be written in the format that was asked for."""


class UnsafeArchiveError(BaseTaskPluginError):
    """An archive cannot be extracted as it is.

    It would write outside of its directory, or more than the limit, or what is no file, or a file over a directory.
    """
