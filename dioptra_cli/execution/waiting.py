"""Says something where a wait takes longer than one would think nothing of."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

_SILENCE = 2.0
"""Seconds before the user is told what we wait for."""


@contextlib.contextmanager
def told_if_slow(say: Callable[[], object]) -> Iterator[None]:
    """Call `say` once, from another thread, where the block takes longer than two seconds."""
    timer = threading.Timer(_SILENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
