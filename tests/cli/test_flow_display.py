"""The list of tasks below the output, and what is said of flows at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click
import pytest

from dioptra_cli.cli.flow_display import FlowList, conclusion, contradictions
from dioptra_cli.cli.output import shortened, width_of
from dioptra_cli.flows.report import FlowReport, TaskReport

NOW = 1000.0


def task(number: int, name: str, state: str = "Pending", **more: Any) -> TaskReport:
    return TaskReport(number, name, f"{name}-{number}", state=state, **more)


RUNNING = FlowReport(
    "Image Resizer",
    started=NOW - 12.3,
    tasks=(
        task(0, "data_dir", "Success", kind="parameter"),
        task(1, "resize", "Success", seconds=0.52),
        task(2, "rotate", "Failed", seconds=1.0, error="ValueError: boom"),
        task(3, "train", "Running", started=NOW - 75, attempts=2),
        task(4, "log", "TriggerFailed", seconds=0.0),
        task(5, "skip", "Skipped", seconds=0.0),
        task(6, "upload"),
        task(7, "upload"),
    ),
)


def shown(
    *reports: FlowReport, width: int = 80, height: int = 12, encoding: str = "utf-8", colors: bool = False
) -> list[str]:
    display = FlowList(lambda: reports, encoding=encoding, colors=colors, clock=lambda: NOW)
    return [line.decode(encoding) for line in display.lines(width, height)]


def test_the_list() -> None:
    assert shown(RUNNING) == [
        "Image Resizer  4/7 tasks · 1 failed · 12.3 s",
        " ✓ resize      520 ms",
        " ✗ rotate       1.0 s  ValueError: boom",
        " ● train    1 min 15 s  attempt 2",
        " ⊘ log",
        " » skip",
        " · upload-6",
        " · upload-7",
    ]


def test_colours_are_asked_for() -> None:
    assert "\x1b[" in "".join(shown(RUNNING, colors=True))
    assert [click.unstyle(line) for line in shown(RUNNING, colors=True)] == shown(RUNNING)


def test_a_terminal_that_has_no_such_characters() -> None:
    lines = shown(replace(RUNNING, name="Größe"), encoding="ascii")
    assert lines[0] == "Gr??e  4/7 tasks - 1 failed - 12.3 s"
    assert [line[1] for line in lines[1:]] == ["+", "x", "*", "!", ">", ".", "."]


def test_only_a_flow_that_runs_is_shown_the_youngest_of_them() -> None:
    ended = replace(RUNNING, state="Success", seconds=1.0)
    assert shown() == []
    assert shown(ended) == []
    assert shown(RUNNING, replace(RUNNING, name="Second"), ended)[0].startswith("Second")


@pytest.mark.parametrize("running", [0, 1, 40, 98, 99])
def test_a_window_around_what_runs(running: int) -> None:
    states = ["Success"] * running + ["Running"] + ["Pending"] * (99 - running)
    report = FlowReport("Long", tasks=tuple(task(i, "step", state) for i, state in enumerate(states)))
    lines = shown(report, height=8)
    numbers = [int(line.split()[1].removeprefix("step-")) for line in lines[1:]]
    assert len(numbers) == 7
    assert numbers == list(range(numbers[0], numbers[0] + 7))
    assert running in numbers
    assert running in (0, 1) or numbers[0] < running


def test_tasks_that_run_side_by_side_are_all_shown() -> None:
    states = {3: "Running", 50: "Running", 97: "Retrying"}
    report = FlowReport("Wide", tasks=tuple(task(i, "step", states.get(i, "Pending")) for i in range(100)))
    lines = shown(report, height=6)
    assert len(lines) == 6
    assert {"step-3", "step-50", "step-97"} <= {line.split()[1] for line in lines[1:]}


@pytest.mark.parametrize("width", [30, 31, 40, 57, 200])
@pytest.mark.parametrize(
    "name", ["x" * 300, "日本" * 40, "\x1b[2Jred\r\n\x07\x9b5A" + "y" * 60, "e\u0301" * 90]
)
def test_lines_fit_and_obey_nobody(width: int, name: str) -> None:
    report = replace(
        RUNNING,
        name=name,
        tasks=(
            task(0, name, "Failed", error=name, seconds=1.0),
            task(1, name, "Running", started=NOW - 4000),
            task(2, "a", "Retrying", message=name, seconds=100000.0),
        ),
    )
    for height in range(1, 6):
        lines = shown(report, width=width, height=height)
        assert 1 <= len(lines) <= height
        for line in lines:
            assert line.isprintable()
            assert width_of(line) <= width


def test_what_is_said_at_the_end() -> None:
    failed = replace(RUNNING, state="Failed", seconds=12.34)
    lines = [click.unstyle(line) for line in conclusion([failed], "utf-8")]
    assert lines == [
        "✗ Image Resizer: Failed, 1 of 7 tasks succeeded in 12.3 s",
        "  ✗ rotate: ValueError: boom",
    ]
    assert click.unstyle(conclusion([failed], "ascii")[0]).startswith("x Image")
    assert conclusion([], "utf-8") == []


def test_many_flows_and_failures_are_not_all_told() -> None:
    many = tuple(task(i, "step", "Failed", error="\x1b[2J" + "long " * 500) for i in range(30))
    lines = [click.unstyle(line) for line in conclusion([FlowReport("Bad", tasks=many)] * 13, "utf-8")]
    assert lines[0] == "3 flows before these"
    assert lines.count("  and 20 more") == 10
    assert len(lines) == 1 + 10 * 12
    assert max(map(len, lines)) < 350
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("abc", 0, ""),
        ("a b", 2, "a…"),
    ],
)
def test_shortened(text: str, width: int, expected: str) -> None:
    assert shortened(text, width) == expected


def test_tasks_that_share_a_name_are_told_apart() -> None:
    tasks = (
        task(1, "nap", "Failed", error="x"),
        task(2, "nap", "Success"),
        task(3, "eat", "Failed", error="y"),
    )
    lines = [
        click.unstyle(line) for line in conclusion([FlowReport("f", state="Failed", tasks=tasks)], "utf-8")
    ]
    assert [line.split(":")[0].split()[-1] for line in lines[1:]] == ["nap-1", "eat"]


def test_a_flow_that_failed_unheard() -> None:
    reports = [FlowReport(name, state=name) for name in ("Success", "Failed", "Interrupted", "Running")]
    assert contradictions(reports) == [
        "the flow 'Failed' failed, and yet the command ended with exit code 0",
        "the flow 'Interrupted' was interrupted, and yet the command ended with exit code 0",
    ]
