"""What a user sees of the flows of a run: a list of tasks while they run, a few lines at the end.

Plain text and colours; rich would cost a run without flows its import, and wants the terminal for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click

from dioptra_cli.cli import output
from dioptra_cli.flows import report as states
from dioptra_cli.flows.report import FlowReport, TaskReport, duration

_MOST_FLOWS, _MOST_FAILURES = 10, 10  # at the end
_LONGEST_ERROR = 300

_SYMBOLS = {  # with the one for terminals that are not up to it, and the colour
    states.SUCCESS: ("✓", "+", "green"),
    states.MAPPED: ("✓", "+", "green"),
    states.FAILED: ("✗", "x", "red"),
    states.TRIGGER_FAILED: ("⊘", "!", "yellow"),
    states.SKIPPED: ("»", ">", "bright_black"),
    states.RUNNING: ("●", "*", "cyan"),
    states.RETRYING: ("↻", "~", "yellow"),
    states.INTERRUPTED: ("!", "!", "magenta"),
    states.PENDING: ("·", ".", "bright_black"),
}
_OTHER = ("?", "?", "bright_black")


class FlowList:
    """The tasks of the flow that runs, to be shown below the output of its process.

    Args:
        poll: Returns the flows as they stand, the oldest first.
        encoding: Of the terminal.
        colors: Whether to use them.
        clock: The time in seconds since 1970.
    """

    def __init__(
        self,
        poll: Callable[[], Sequence[FlowReport]],
        *,
        encoding: str,
        colors: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._poll = poll
        self._encoding = encoding
        self._colors = colors
        self._clock = clock
        self._symbols = _Symbols(encoding)

    def lines(self, width: int, height: int) -> list[bytes]:
        """Return the youngest flow that has not ended: a line about it, and some of its tasks."""
        running = [report for report in self._poll() if report.state == states.RUNNING]
        if not running or height < 1:
            return []
        lines = self._symbols.list_of(running[-1], width, height, self._clock())
        if not self._colors:
            lines = [click.unstyle(line) for line in lines]
        return [line.encode(self._encoding, "replace") for line in lines]


def conclusion(reports: Sequence[FlowReport], encoding: str) -> list[str]:
    """Return what to say of flows at the end: a line for each, and one for each task that failed."""
    symbols = _Symbols(encoding)
    lines = []
    left_out = len(reports) - _MOST_FLOWS
    if left_out > 0:
        lines.append(f"{left_out} flow{'' if left_out == 1 else 's'} before these")
    for report in reports[-_MOST_FLOWS:]:
        time_taken = "" if report.seconds is None else f" in {duration(report.seconds)}"
        lines.append(f"{symbols.of(report.state)} {_clean(states.summary(report))}{time_taken}")
        failed = states.failures(states.labelled(report))
        for task in failed[:_MOST_FAILURES]:
            error = output.shortened(
                _clean(task.error or task.message or "failed"), _LONGEST_ERROR, symbols.more
            )
            lines.append(f"  {symbols.of(task.state)} {_clean(task.name)}: {error}")
        if len(failed) > _MOST_FAILURES:
            lines.append(f"  and {len(failed) - _MOST_FAILURES} more")
    return lines


def contradictions(reports: Sequence[FlowReport]) -> list[str]:
    """Return what to say of flows that did not succeed although their command did."""
    how = {states.FAILED: "failed", states.INTERRUPTED: "was interrupted"}
    return [
        f"the flow '{_clean(report.name)}' {how[report.state]}, and yet the command ended with exit code 0"
        for report in reports
        if report.state in how
    ]


class _Symbols:
    """How things look in an encoding."""

    def __init__(self, encoding: str) -> None:
        try:
            "".join(["…", *(symbol for symbol, _, _ in _SYMBOLS.values())]).encode(encoding)
            self._is_plain = False
        except (UnicodeEncodeError, LookupError):
            self._is_plain = True
        self.more = "..." if self._is_plain else "…"
        self.dot = "-" if self._is_plain else "·"

    def of(self, state: str) -> str:
        """Return the symbol of a state, coloured."""
        symbol, plain, color = _SYMBOLS.get(state, _OTHER)
        return click.style(plain if self._is_plain else symbol, fg=color, bold=True)

    def list_of(self, report: FlowReport, width: int, height: int, now: float) -> list[str]:
        """Return at most `height` lines about a flow that runs."""
        work = states.labelled(report).work
        ended = sum(task.state not in states.UNFINISHED for task in work)
        pieces = [f"{ended}/{len(work)} tasks"]
        for state, word in ((states.FAILED, "failed"), (states.RETRYING, "to be tried again")):
            count = sum(task.state == state for task in work)
            if count:
                pieces.append(f"{count} {word}")
        if report.started is not None:
            pieces.append(_so_far(report.started, now))
        facts = f" {self.dot} ".join(pieces)
        name = output.shortened(_clean(report.name), max(width - len(facts) - 2, 8), self.more)
        facts = output.shortened(facts, width - output.width_of(name) - 2, self.more)
        lines = [f"{click.style(name, bold=True)}  {facts}"]
        shown = _window(work, height - 1)
        labels = [_clean(task.name) for task in shown]
        room = min(max(map(output.width_of, labels), default=0), max(12, width // 2))
        return lines + [
            self._task(task, label, room, width, now) for task, label in zip(shown, labels, strict=True)
        ]

    def _task(self, task: TaskReport, label: str, room: int, width: int, now: float) -> str:
        name = output.shortened(label, room, self.more)
        name += " " * (room - output.width_of(name))
        taken = ""
        if task.state == states.RUNNING and task.started is not None:
            taken = _so_far(task.started, now)
        elif task.seconds is not None and task.state not in (states.TRIGGER_FAILED, states.SKIPPED):
            taken = duration(task.seconds)
        taken = f"{taken:>9}"
        left = width - 4 - room - len(taken) - 2
        more, color = "", ""
        if task.state in (states.FAILED, states.RETRYING):
            more, color = task.error or task.message or "", "red"
        elif task.attempts > 1:
            more, color = f"attempt {task.attempts}", "yellow"
        more = output.shortened(_clean(more), left, self.more) if left >= 8 else ""
        line = f" {self.of(task.state)} {name} {output.shortened(taken, width - 4 - room, self.more)}"
        return f"{line}  {click.style(more, fg=color)}" if more else line.rstrip()


def _so_far(started: float, now: float) -> str:
    """Return a time that goes on; milliseconds would only flicker."""
    seconds = max(0.0, now - started)
    return duration(seconds) if seconds >= 1 else f"{seconds:.1f} s"


def _window(work: Sequence[TaskReport], height: int) -> list[TaskReport]:
    """Return as many tasks as there is room for: what runs, and what is next to it."""
    if len(work) <= height:
        return list(work)
    if height <= 0:
        return []
    running = [i for i, task in enumerate(work) if task.state in (states.RUNNING, states.RETRYING)]
    unfinished = (i for i, task in enumerate(work) if task.state in states.UNFINISHED)
    centre = running[0] if running else next(unfinished, len(work) - 1)
    chosen = set(running[:height])
    start = min(max(centre - height // 3, 0), len(work) - height)
    nearby = sorted(range(start, start + height), key=lambda i: abs(i - centre))
    for index in nearby:
        if len(chosen) < height:
            chosen.add(index)
    return [work[index] for index in sorted(chosen)]


def _clean(text: str) -> str:
    """Return a text on one line, without anything that a terminal would obey."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
