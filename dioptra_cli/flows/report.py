"""What the flow engine in a child reports about its flows, as frozen data: the reading side of the event files.

A file is one run of a flow, one JSON object per line: the graph first, then what becomes of each task, then the
end. It is written by a process that may be killed at any moment, and read while it grows; so a line that is torn
or makes no sense is skipped, and nothing in here fails because of what a file holds.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, TypeVar

_T = TypeVar("_T")

PENDING = "Pending"
RUNNING = "Running"
SUCCESS = "Success"
FAILED = "Failed"
TRIGGER_FAILED = "TriggerFailed"
SKIPPED = "Skipped"
MAPPED = "Mapped"
RETRYING = "Retrying"
INTERRUPTED = "Interrupted"
"""The word of the kept record for what had begun and did not come to its end, because its process did."""

UNFINISHED = frozenset({PENDING, RUNNING, RETRYING})

TASK = "task"
PARAMETER = "parameter"
CONDITION = "condition"
PLUMBING = frozenset({"structure", "operator"})
"""Kinds of tasks that only carry results from one task to another."""


@dataclass(frozen=True)
class Upstream:
    """An edge of the graph, as the task at its end sees it.

    Attributes:
        id: The task that has to end first.
        key: The argument that its result goes to; None when it only has to come first.
    """

    id: int
    key: str | None = None


@dataclass(frozen=True)
class TaskReport:
    """One task of a flow.

    Attributes:
        id: Its number within the flow.
        name: The name of its function, or of the parameter.
        slug: The name that is unique within the flow.
        kind: `task`, `parameter`, `structure`, `operator` or `condition`.
        plugin: Module and name of the task plugin; None for what is none.
        upstream: What it waits for.
        state: One of the states above.
        message: What the engine says about the state.
        error: The exception that it failed with, on one line.
        started: When it was last started, in seconds since 1970.
        seconds: How long it ran the last time; None while it has not ended.
        attempts: How many times it was started.
    """

    id: int
    name: str
    slug: str
    kind: str = TASK
    plugin: str | None = None
    upstream: tuple[Upstream, ...] = ()
    state: str = PENDING
    message: str | None = None
    error: str | None = None
    started: float | None = None
    seconds: float | None = None
    attempts: int = 0


@dataclass(frozen=True)
class FlowReport:
    """One run of a flow.

    Attributes:
        name: The flow's name.
        engine: What ran it.
        workers: How many tasks could run side by side.
        started: When it began, in seconds since 1970.
        state: `Running` until it ends, then `Success`, `Failed`, or another state of a task.
        message: What the engine says about the state.
        seconds: How long it took; None while it has not ended.
        tasks: In the order in which they run if nothing fails.
    """

    name: str
    engine: str | None = None
    workers: int | None = None
    started: float | None = None
    state: str = RUNNING
    message: str | None = None
    seconds: float | None = None
    tasks: tuple[TaskReport, ...] = ()

    @property
    def work(self) -> list[TaskReport]:
        """The tasks that somebody wrote, without parameters and plumbing."""
        return [task for task in self.tasks if task.kind == TASK]


class FlowEvents:
    """The event files in a directory, read bit by bit.

    Attributes:
        directory: Where the engine writes them.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._files: dict[str, _EventFile] = {}
        self._seen = -1

    def poll(self) -> list[FlowReport]:
        """Read what is new, and return every flow as it stands, the oldest first."""
        self._look_for_files()
        for file in self._files.values():
            file.read()
        return [file.report for file in self._files.values() if file.report is not None]

    def finish(self) -> list[FlowReport]:
        """Read the rest, and return every flow as it ended: nothing runs any more."""
        self._seen = -1
        self.poll()
        for file in self._files.values():
            file.close()
        return [_settled(file.report) for file in self._files.values() if file.report is not None]

    def _look_for_files(self) -> None:
        try:
            changed = os.stat(self.directory).st_mtime_ns
            if changed == self._seen:
                return
            with os.scandir(self.directory) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(".jsonl"))
        except OSError:
            return
        new = [name for name in names if name not in self._files]
        if not new:  # two files within one tick of the clock: only a look that finds nothing new is the last
            self._seen = changed
        for name in new:
            self._files[name] = _EventFile(os.path.join(self.directory, name))


class _EventFile:
    """One file, as far as it was read."""

    def __init__(self, path: str) -> None:
        self.report: FlowReport | None = None
        self._path = path
        self._position = 0
        self._torn = b""
        self._tasks: dict[int, TaskReport] = {}

    def read(self) -> None:
        """Take in what was added since the last time."""
        if self.report is not None and self.report.state != RUNNING:
            return
        try:
            # O_NONBLOCK: whatever else the child may put there, such as a named pipe, does not hold us up.
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size <= self._position:
                return
            data = os.pread(fd, status.st_size - self._position, self._position)
        except OSError:
            return
        finally:
            os.close(fd)
        self._position += len(data)
        *lines, self._torn = (self._torn + data).split(b"\n")
        self._take(lines)

    def close(self) -> None:
        """Take in the last line although nothing ends it, if it is whole."""
        self._take([self._torn])
        self._torn = b""

    def _take(self, lines: Iterable[bytes]) -> None:
        report = self.report
        for line in lines:
            event = _parse(line)
            kind = event.get("event")
            if kind == "flow" and report is None:
                report = _flow(event)
                self._tasks = {task.id: task for task in report.tasks}
            elif kind == "task" and (task := self._tasks.get(_whole(event.get("id"), -1))) is not None:
                self._tasks[task.id] = _after(task, event)
            elif kind == "end" and report is not None:
                report = replace(
                    report,
                    state=_text(event.get("state")) or INTERRUPTED,
                    message=_text(event.get("message")),
                    seconds=_number(event.get("seconds")),
                )
        if report is not None:
            self.report = replace(report, tasks=tuple(self._tasks.values()))


def as_json(report: FlowReport) -> dict[str, Any]:
    """Return the content of `flow.json`.

    | key | value |
    |---|---|
    | `name`, `state`, `message` | of the flow |
    | `started` | UTC, ISO 8601 |
    | `seconds` | from its start to its end; null if it did not come to its end |
    | `engine`, `workers` | what ran it, and how many tasks could run side by side |
    | `tasks` | in the order in which they run if nothing fails |

    A task has `name`, `slug` (unique), `kind` (`task`, `parameter`, `structure`, `operator`, `condition`), `plugin`,
    `state`, `message`, `error`, `started`, `seconds`, `attempts`, and `upstream`: a list of `task` (a slug) and `key`
    (the argument that the result goes to; null for an order without a result). What is not known is null.
    """
    slugs = {task.id: task.slug for task in report.tasks}
    return {
        "name": report.name,
        "state": report.state,
        "message": report.message,
        "started": _moment(report.started),
        "seconds": _rounded(report.seconds),
        "engine": report.engine,
        "workers": report.workers,
        "tasks": [
            {
                "name": task.name,
                "slug": task.slug,
                "kind": task.kind,
                "plugin": task.plugin,
                "state": task.state,
                "message": task.message,
                "error": task.error,
                "started": _moment(task.started),
                "seconds": _rounded(task.seconds),
                "attempts": task.attempts,
                "upstream": [{"task": slugs[edge.id], "key": edge.key} for edge in task.upstream],
            }
            for task in report.tasks
        ],
    }


def failures(report: FlowReport) -> Sequence[TaskReport]:
    """Return the tasks that failed by themselves, not because of others."""
    return [task for task in report.work if task.state == FAILED]


def labelled(report: FlowReport) -> FlowReport:
    """Return a flow in which tasks that share a name are called by their slugs, which no two share."""
    counts = Counter(task.name for task in report.work)
    tasks = (
        replace(task, name=task.slug) if task.kind == TASK and counts[task.name] > 1 else task
        for task in report.tasks
    )
    return replace(report, tasks=tuple(tasks))


def summary(report: FlowReport) -> str:
    """Return a flow in a few words, such as `Image Resizer: Failed, 5 of 8 tasks succeeded`."""
    work = report.work
    succeeded = sum(task.state in (SUCCESS, MAPPED) for task in work)
    count = f"{len(work)} task{'' if len(work) == 1 else 's'}"
    how_many = count if succeeded == len(work) else f"{succeeded} of {count} succeeded"
    return f"{report.name}: {report.state}, {how_many}"


def _settled(report: FlowReport) -> FlowReport:
    """Return a flow whose process is gone: what still seems to run was interrupted."""
    if report.state != RUNNING:
        return report
    tasks = (
        replace(task, state=INTERRUPTED) if task.state in (RUNNING, RETRYING) else task
        for task in report.tasks
    )
    return replace(report, state=INTERRUPTED, tasks=tuple(tasks))


def _flow(event: dict[str, Any]) -> FlowReport:
    tasks: dict[int, TaskReport] = {}
    listed = event.get("tasks")
    for number, item in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(item, dict):
            task = _task(item, number)
            tasks.setdefault(task.id, task)
    return FlowReport(
        name=_text(event.get("name")) or "flow",
        engine=_text(event.get("engine")),
        workers=_whole(event.get("workers"), None),
        started=_number(event.get("at")),
        tasks=tuple(
            replace(task, upstream=tuple(edge for edge in task.upstream if edge.id in tasks))
            for task in tasks.values()
        ),
    )


def _task(item: dict[str, Any], number: int) -> TaskReport:
    name = _text(item.get("name")) or "task"
    edges = item.get("upstream")
    return TaskReport(
        id=_whole(item.get("id"), number),
        name=name,
        slug=_text(item.get("slug")) or f"{name}-{number}",
        kind=_text(item.get("kind")) or TASK,
        plugin=_text(item.get("plugin")),
        upstream=tuple(
            Upstream(_whole(edge.get("id"), -1), _text(edge.get("key")))
            for edge in (edges if isinstance(edges, list) else [])
            if isinstance(edge, dict)
        ),
    )


def _after(task: TaskReport, event: dict[str, Any]) -> TaskReport:
    """Return a task after one more event."""
    state = _text(event.get("state"))
    if state is None:
        return task
    if state == RUNNING:
        return replace(
            task,
            state=RUNNING,
            message=None,
            error=None,
            started=_number(event.get("at")),
            seconds=None,
            attempts=task.attempts + 1,
        )
    return replace(
        task,
        state=state,
        message=_text(event.get("message")),
        error=_text(event.get("error")),
        seconds=_number(event.get("seconds")),
    )


def _parse(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _text(value: Any) -> str | None:
    """Return a text that every file and terminal can hold: JSON can name halves of characters, which none can."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode("utf-8")


def _number(value: Any) -> float | None:
    # 1e15 seconds are 30 million years: more is no time, and neither is NaN.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15:
        return float(value)
    return None


def _whole(value: Any, otherwise: _T) -> int | _T:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _moment(at: float | None) -> str | None:
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # a year beyond 9999
        return None


def duration(seconds: float) -> str:
    """Return a time as people say it, such as `520 ms`, `12.3 s` or `1 min 15 s`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "<1 ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
