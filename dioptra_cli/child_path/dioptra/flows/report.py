"""Tells the process that started this one what a flow does: a line of JSON for each event, in a file of its own.

`DIOPTRA_FLOW_EVENTS` names the directory. Reporting never changes what the flow does: once a line cannot be
written, there are no more.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from dioptra.flows import graph, states

__all__ = ["Report"]

_VARIABLE = "DIOPTRA_FLOW_EVENTS"


class Report:
    """The events of one run of a flow.

    Args:
        flow: The flow.
        order: Its tasks, in the order in which they run.
        engine: What runs it: `dioptra` or `prefect`.
        workers: How many tasks may run side by side.
    """

    def __init__(self, flow: graph.Flow, order: tuple[graph.Task, ...], engine: str, workers: int) -> None:
        self._file: int | None = None
        self._ids = {task: index for index, task in enumerate(order)}
        directory = os.environ.get(_VARIABLE)
        if not directory:
            return
        path = os.path.join(directory, f"{time.time_ns():020d}-{os.getpid()}.jsonl")
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        except OSError:
            return
        tasks = [
            {
                "id": index,
                "name": task.name,
                "slug": flow.slugs[task],
                "kind": task.kind,
                "plugin": task.plugin,
                "upstream": [
                    {"id": self._ids[edge.upstream_task], "key": edge.key} for edge in flow._incoming[task]
                ],
            }
            for task, index in self._ids.items()
        ]
        self._write(event="flow", name=flow.name, engine=engine, workers=workers, at=time.time(), tasks=tasks)

    def started(self, task: graph.Task) -> None:
        """Tell that a task begins."""
        if self._file is not None:
            self._write(event="task", id=self._ids[task], state="Running", at=time.time())

    def ended(self, task: graph.Task, state: states.State, seconds: float) -> None:
        """Tell how a task ended."""
        if self._file is None:
            return
        name, message, failed = type(state).__name__, state._message, {}
        if isinstance(state, states.Mapped) and (elements := state.failed()):
            # The state of the task itself stays Mapped, as in Prefect; who looks at a report wants the failure.
            index, first = elements[0]
            name, message = type(first).__name__, f"{len(elements)} of {len(state.map_states)} failed"
            failed["error"] = f"{task.name}[{index}]: {_error(first)}"
        elif type(state) is states.Failed:
            failed["error"] = _error(state)
        self._write(
            event="task",
            id=self._ids[task],
            state=name,
            message=_text(message),
            at=time.time(),
            seconds=round(seconds, 6),
            **failed,
        )

    def close(self, state: states.State | None, seconds: float) -> None:
        """Tell how the flow ended; None if it was interrupted."""
        if self._file is None:
            return
        if state is not None:
            self._write(
                event="end",
                state=type(state).__name__,
                message=_text(state._message),
                at=time.time(),
                seconds=round(seconds, 6),
            )
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, **event: Any) -> None:
        assert self._file is not None
        try:
            os.write(self._file, json.dumps(event).encode() + b"\n")
        except Exception:  # a full disk, a name that cannot be encoded: the flow goes on
            os.close(self._file)
            self._file = None


def _error(state: states.State) -> str:
    """Return what a failed task raised, or why it failed."""
    if isinstance(state._result, BaseException) and type(state) is states.Failed:
        return f"{type(state._result).__name__}: {states.worded(state._result, str)}"
    return _text(state._message) or type(state).__name__


def _text(message: object) -> str | None:
    """Return a message as text; a signal may carry any object."""
    return None if message is None else states.worded(message, str)
