"""The event files of flows: whole, growing, torn, and full of what does not belong there."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.flows.report import FlowEvents, FlowReport, as_json, duration, failures, summary

GRAPH: dict[str, Any] = {
    "event": "flow",
    "name": "Image Resizer",
    "engine": "dioptra",
    "workers": 2,
    "at": 1700000000.5,
    "tasks": [
        {
            "id": 0,
            "name": "data_dir",
            "slug": "data_dir",
            "kind": "parameter",
            "plugin": None,
            "upstream": [],
        },
        {
            "id": 1,
            "name": "resize",
            "slug": "resize-1",
            "kind": "task",
            "plugin": "dioptra_builtins.data.images.resize",
            "upstream": [{"id": 0, "key": "data_dir"}],
        },
        {
            "id": 2,
            "name": "train",
            "slug": "train-1",
            "kind": "task",
            "plugin": None,
            "upstream": [{"id": 1, "key": "data"}, {"id": 0, "key": None}],
        },
    ],
}
NAME = "01700000000500000000-17.jsonl"


def ended(number: int, state: str, seconds: float = 0.25, **more: Any) -> dict[str, Any]:
    return {"event": "task", "id": number, "state": state, "message": state, "seconds": seconds, **more}


def begun(number: int, at: float) -> dict[str, Any]:
    return {"event": "task", "id": number, "state": "Running", "at": at}


END = {
    "event": "end",
    "state": "Failed",
    "message": "Some reference tasks failed.",
    "at": 1.0,
    "seconds": 2.5,
}
WHOLE = [
    GRAPH,
    ended(0, "Success", 0.0),
    begun(1, 1700000001.0),
    ended(1, "Success", 0.52),
    begun(2, 1700000002.0),
    ended(2, "Failed", 1.0, error="ValueError: boom"),
    END,
]


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def only(events: FlowEvents) -> FlowReport:
    (report,) = events.poll()
    return report


def states_of(report: FlowReport) -> list[str]:
    return [task.state for task in report.tasks]


def test_a_flow_from_its_start_to_its_end(tmp_path: Path) -> None:
    events = FlowEvents(str(tmp_path))
    assert events.poll() == []
    with (tmp_path / NAME).open("wb", buffering=0) as file:
        file.write(lines(GRAPH))
        report = only(events)
        assert (report.name, report.engine, report.workers, report.state) == (
            "Image Resizer",
            "dioptra",
            2,
            "Running",
        )
        assert states_of(report) == ["Pending"] * 3
        assert [task.name for task in report.work] == ["resize", "train"]
        file.write(lines(*WHOLE[1:3]))
        report = only(events)
        assert states_of(report) == ["Success", "Running", "Pending"]
        assert (report.tasks[1].started, report.tasks[1].seconds) == (1700000001.0, None)
        file.write(lines(*WHOLE[3:]))
    report = only(events)
    assert states_of(report) == ["Success", "Success", "Failed"]
    assert (report.state, report.message, report.seconds) == ("Failed", END["message"], 2.5)
    assert [task.slug for task in failures(report)] == ["train-1"]
    assert events.finish() == [report]
    assert summary(report) == "Image Resizer: Failed, 1 of 2 tasks succeeded"


def test_a_line_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    data = lines(*WHOLE)
    events = FlowEvents(str(tmp_path))
    seen = []
    with (tmp_path / NAME).open("wb", buffering=0) as file:
        for start in range(0, len(data), 7):
            file.write(data[start : start + 7])
            seen.extend(events.poll()[:1])
    at_once = FlowEvents(str(tmp_path))
    assert seen[-1] == only(at_once)
    assert len({report.tasks[1].state for report in seen}) == 3


def test_a_killed_process_leaves_what_ran_interrupted(tmp_path: Path) -> None:
    torn = lines(ended(1, "Success"))[:-9]
    (tmp_path / NAME).write_bytes(lines(GRAPH, ended(0, "Success"), begun(1, 1.0)) + torn)
    events = FlowEvents(str(tmp_path))
    assert states_of(only(events)) == ["Success", "Running", "Pending"]
    (report,) = events.finish()
    assert (report.state, states_of(report)) == ("Interrupted", ["Success", "Interrupted", "Pending"])


def test_a_last_line_without_an_end_counts_at_the_end(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(lines(*WHOLE)[:-1])
    events = FlowEvents(str(tmp_path))
    assert only(events).state == "Running"
    assert events.finish()[0].state == "Failed"


def test_a_task_that_is_tried_again(tmp_path: Path) -> None:
    retrying = ended(1, "Retrying", 0.1, error="OSError: gone")
    (tmp_path / NAME).write_bytes(
        lines(GRAPH, begun(1, 1.0), retrying, begun(1, 2.0), ended(1, "Success", 0.3))
    )
    task = only(FlowEvents(str(tmp_path))).tasks[1]
    assert (task.state, task.attempts, task.started, task.seconds, task.error) == (
        "Success",
        2,
        2.0,
        0.3,
        None,
    )


def test_several_flows_come_in_the_order_of_their_start(tmp_path: Path) -> None:
    events = FlowEvents(str(tmp_path))
    for number in (2, 1, 11):
        (tmp_path / f"{number:020d}-5.jsonl").write_bytes(lines({**GRAPH, "name": f"flow {number}"}, END))
    assert sorted(report.name for report in events.poll()) == ["flow 1", "flow 11", "flow 2"]
    (tmp_path / f"{12:020d}-5.jsonl").write_bytes(lines({**GRAPH, "name": "flow 12"}))
    assert [report.name for report in FlowEvents(str(tmp_path)).poll()] == [
        "flow 1",
        "flow 2",
        "flow 11",
        "flow 12",
    ]
    assert [report.name for report in events.finish()][-1] == "flow 12"


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\n\n\n",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"null\n12\n[]\n{}\n",
        lines({"event": "task", "id": 0, "state": "Failed"}, END),
        lines({"event": "flow"}),
        lines(
            {"event": "flow", "tasks": [1, {"id": "x", "upstream": [3, {"id": 99}]}, {"id": 1, "name": 3}]}
        ),
        lines(
            {**GRAPH, "name": 5, "at": float("nan"), "workers": "two"},
            ended(77, "Failed"),
            begun(1, float("inf")),
        ),
        lines({**GRAPH, "at": 1e14, "tasks": [GRAPH["tasks"][1]] * 3}, {"event": "end"}),
        lines({**GRAPH, "name": "\ud800 half"}, ended(1, "?", -1.0, error=["x"])),
    ],
    ids=range(11),
)
def test_nothing_in_a_file_is_an_error(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / NAME).write_bytes(junk)
    events = FlowEvents(str(tmp_path))
    events.poll()
    for report in events.finish():
        assert report.state == "Interrupted"
        json.dumps(as_json(report), allow_nan=False, ensure_ascii=False).encode()
        slugs = {task["slug"] for task in as_json(report)["tasks"]}
        assert all(edge["task"] in slugs for task in as_json(report)["tasks"] for edge in task["upstream"])


def test_bytes_at_random_are_no_error(tmp_path: Path) -> None:
    draw = random.Random(4)
    whole = lines(*WHOLE)
    for number in range(200):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 40)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / f"{number:020d}-1.jsonl").write_bytes(data)
    for report in FlowEvents(str(tmp_path)).finish():
        json.dumps(as_json(report), allow_nan=False)


def test_what_is_no_file_does_not_hold_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    (tmp_path / "1.jsonl").mkdir()
    (tmp_path / "other").write_bytes(lines(GRAPH))
    (tmp_path / "2.jsonl").symlink_to("nowhere")
    assert FlowEvents(str(tmp_path)).finish() == []
    assert FlowEvents(str(tmp_path / "missing")).finish() == []


def test_the_record(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(lines(*WHOLE))
    record = as_json(only(FlowEvents(str(tmp_path))))
    tasks = record.pop("tasks")
    assert record == {
        "name": "Image Resizer",
        "state": "Failed",
        "message": "Some reference tasks failed.",
        "started": "2023-11-14T22:13:20.500+00:00",
        "seconds": 2.5,
        "engine": "dioptra",
        "workers": 2,
    }
    assert tasks[2] == {
        "name": "train",
        "slug": "train-1",
        "kind": "task",
        "plugin": None,
        "state": "Failed",
        "message": "Failed",
        "error": "ValueError: boom",
        "started": "2023-11-14T22:13:22.000+00:00",
        "seconds": 1.0,
        "attempts": 1,
        "upstream": [{"task": "resize-1", "key": "data"}, {"task": "data_dir", "key": None}],
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "<1 ms"),
        (0.0523, "52 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 0 s"),
        (75.2, "1 min 15 s"),
        (3725.0, "1 h 2 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
