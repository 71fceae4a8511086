"""The progress of downloads: a bar for each on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dioptra_cli.execution.downloads import NoProgress, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Display


@contextmanager
def download_progress(quiet: bool = False) -> Iterator[Progress]:
    """Show the progress of downloads on standard error for a block, and wipe it away at its end."""
    if quiet or not sys.stderr.isatty():
        yield NoProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Display(*columns, console=Console(stderr=True), transient=True) as display:
        yield _Bars(display)


class _Bars:
    """One bar for each download. rich locks its own state, so threads may call."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def add(self, name: str, total: int | None) -> int:
        """Add a bar; it pulses while the total is unknown."""
        return self._display.add_task(name, total=total)

    def advance(self, task: int, size: int) -> None:
        """Move a bar on."""
        self._display.advance(task, size)  # type: ignore[arg-type]  # rich's TaskID is an int

    def finish(self, task: int) -> None:
        """Take a bar away."""
        self._display.remove_task(task)  # type: ignore[arg-type]  # rich's TaskID is an int
