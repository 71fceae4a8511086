"""Work on many things at once, in processes that share what is loaded already."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCH = 16
"""Items that a process works on in turn: few enough that the first results come soon."""


def ordered_map(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order.

    One process for each processor takes every n-th batch. Each waits while nobody takes its results, so that they do
    not pile up. With a single processor, or a single batch, everything happens here.

    Args:
        function: What to do. It must not write to shared files, and its results must be picklable.
        items: What to do it for.

    Raises:
        RuntimeError: A process has died. What `function` raises is raised here.
    """
    batches = [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]
    count = min(_processors(), len(batches))
    if count < 2:
        yield from map(function, items)
        return
    workers = [_start(function, batches[number::count]) for number in range(count)]
    try:
        for number in range(len(batches)):
            pid, results = workers[number % count]
            try:
                outcomes: list[Result | Exception] = pickle.load(results)
            except (EOFError, pickle.UnpicklingError):
                raise RuntimeError(f"process {pid} has died") from None
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
    finally:
        for _, results in workers:
            results.close()  # whoever still writes is told so
        for pid, _ in workers:
            os.waitpid(pid, 0)


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(function: Callable[[Item], Result], batches: Sequence[Sequence[Item]]) -> tuple[int, IO[bytes]]:
    """Start a process that works on `batches`; return its id, and where its results can be read."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, os.fdopen(ours, "rb")
    try:
        gc.freeze()  # what the parent has made is no garbage
        os.close(ours)
        with os.fdopen(theirs, "wb") as results:
            for batch in batches:
                outcomes = [_outcome(function, item) for item in batch]
                pickle.dump(outcomes, results, pickle.HIGHEST_PROTOCOL)
                results.flush()
    finally:  # nothing of the parent's may happen twice: no messages, no exit handlers
        os._exit(0)


def _outcome(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    try:
        return function(item)
    except Exception as error:
        return error
