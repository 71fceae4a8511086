"""The picture of a flow: well-formed, true to the graph, and bounded."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra_cli.flows.layout import lay_out
from dioptra_cli.flows.picture import svg
from dioptra_cli.flows.report import FlowReport, TaskReport, Upstream

SVG = "{http://www.w3.org/2000/svg}"


def node(
    number: int, name: str, *upstream: tuple[int, str | None], kind: str = "task", **more: Any
) -> TaskReport:
    edges = tuple(Upstream(*edge) for edge in upstream)
    given = {"state": "Success", "seconds": 0.5, "attempts": 1, **more}
    return TaskReport(number, name, f"{name}-{number}", kind, upstream=edges, **given)


def flow(*tasks: TaskReport, **more: Any) -> FlowReport:
    return FlowReport(**{"name": "Image Resizer", "state": "Success", "seconds": 12.3, **more}, tasks=tasks)


def drawn(report: FlowReport) -> ElementTree.Element:
    return ElementTree.fromstring(svg(report))


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def edges(root: ElementTree.Element, style: str) -> int:
    return sum(element.get("class") == style for element in root.iter(f"{SVG}path"))


def pills(root: ElementTree.Element) -> list[str]:
    return [e.text or "" for e in root.iter(f"{SVG}text") if (e.get("class") or "").startswith("pt")]


RESIZER = flow(
    node(0, "data_dir", kind="parameter"),
    node(1, "seed", kind="parameter"),
    node(2, "resize", (0, "data_dir"), plugin="dioptra_builtins.data.images.resize"),
    node(3, "rotate", (0, "data_dir")),
    node(4, "seed + 1", (1, "x"), kind="operator"),
    node(5, "List", (2, "0"), (3, "1"), (4, "2"), kind="structure"),
    node(6, "Dict", (5, "values"), kind="structure"),
    node(7, "train", (6, "data"), (3, None)),
    node(8, "log_metrics", (7, None)),
)


def test_the_graph_is_contracted_to_its_tasks() -> None:
    root = drawn(RESIZER)
    shown = texts(root)
    assert {"resize", "rotate", "train", "log_metrics"} <= set(shown)
    assert not {"List", "Dict", "seed + 1"} & set(shown)
    assert "data.images" in shown
    assert sorted(pills(root)) == ["data_dir", "data_dir", "seed"]
    assert shown.count("data") == 1  # two edges that arrive as one
    assert (edges(root, "e"), edges(root, "e o")) == (2, 1 + 1)  # one of them is the sample in the legend
    assert shown[:2] == ["Image Resizer", "Success · 4 tasks · 12.3 s"]


def test_states_differ_in_more_than_colour() -> None:
    states = [
        "Success",
        "Failed",
        "TriggerFailed",
        "Skipped",
        "Interrupted",
        "Pending",
        "Retrying",
        "Surprise",
    ]
    glyphs = set()
    for state in states:
        root = drawn(flow(node(0, "a", state=state)))
        titles = [element.text or "" for element in root.iter(f"{SVG}title")]
        assert any(title.startswith(f"a-0: {state}") for title in titles)
        (mark,) = [e for e in root.iter(f"{SVG}g") if e.find(f"{SVG}circle") is not None][1:]
        glyph = mark.find(f"{SVG}path")
        glyphs.add(None if glyph is None else glyph.get("d"))
    assert len(glyphs) == len(states)


def test_a_failed_task_says_why() -> None:
    failed = node(0, "train", state="Failed", error="ValueError: image_size has 2 entries")
    assert any(text.startswith("ValueError: image") for text in texts(drawn(flow(failed, state="Failed"))))


def test_names_are_escaped_and_shortened() -> None:
    wild = '<script>&"\x00\x1b[31m\ufffe' + "long_" * 50
    task = node(0, wild, plugin=wild, message=wild, error=wild, state="Failed")
    root = drawn(flow(task, node(1, wild, (0, wild)), name=wild))
    assert not list(root.iter("script"))
    assert max(map(len, texts(root))) <= 60
    assert float(root.get("width", "0")) < 1000


def test_many_parameters_are_cut_to_two_rows() -> None:
    names = [f"parameter_{number}" for number in range(40)]
    parameters = [node(i, name, kind="parameter") for i, name in enumerate(names)]
    root = drawn(flow(*parameters, node(40, "train", *((i, name) for i, name in enumerate(names)))))
    shown = pills(root)
    assert shown[:-1] == names[: len(shown) - 1]
    assert shown[-1] == f"+{40 - len(shown) + 1}"
    assert float(root.get("height", "0")) < 300


def test_empty_flows() -> None:
    assert "no tasks" in svg(flow())
    assert "no tasks" in svg(flow(node(0, "x", kind="parameter"), state="Interrupted", seconds=None))


def test_a_file_with_edges_to_what_comes_later_is_drawn() -> None:
    drawn(flow(node(0, "a", (1, "x"), (0, "x")), node(1, "b", (0, "x"))))
    drawn(flow(node(0, "List", (1, "x"), (0, "x"), kind="structure"), node(1, "b", (0, "x"))))


def test_large_flows_are_bounded() -> None:
    chain = [node(i, "inc", *([(i - 1, "x")] if i else [])) for i in range(1000)]
    fan = [node(0, "start"), *(node(i, "work", (0, "x")) for i in range(1, 999))]
    fan += [node(999, "all", *((i, str(i)) for i in range(1, 999)))]
    dense = [node(i, "work", *((j, "x") for j in range(i))) for i in range(140)]
    long = [node(i, "work", *((j, "x") for j in {0, i // 2, i - 1} if i)) for i in range(150)]
    lists = [
        node(i, "work", (i - 1, "x"), kind="task" if i % 9 == 0 else "structure") for i in range(1, 5000)
    ]
    started = time.process_time()
    for tasks in (chain, fan, dense, long, lists, chain * 10):
        text = svg(flow(*tasks))
        assert len(text) < 1_000_000
        root = ElementTree.fromstring(text)
        assert float(root.get("width", "0")) < 6000
    assert time.process_time() - started < 12


def test_a_board_names_what_failed() -> None:
    tasks = [node(i, "work") for i in range(300)]
    tasks[250] = replace(tasks[250], state="Failed", error="ValueError: boom")
    shown = texts(drawn(flow(*tasks, state="Failed")))
    assert "work-250 ValueError: boom" in shown
    assert "Failed · 299 Success, 1 Failed · 12.3 s" in shown


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[float], dict[tuple[int, int], str]]:
    widths = draw(st.lists(st.floats(20, 300), min_size=1, max_size=25))
    pairs = [(a, b) for b in range(len(widths)) for a in range(b)]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=50, unique=True)) if pairs else []
    return widths, {edge: draw(st.sampled_from("xy")) for edge in chosen}


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 6))
def test_boxes_do_not_overlap_and_edges_lead_down(
    graph: tuple[list[float], dict[tuple[int, int], str]], widest: int
) -> None:
    widths, edges = graph
    layout = lay_out(widths, edges, widest)
    assert layout is not None
    assert set(layout.routes) == set(edges)
    rows: dict[int, list[int]] = {}
    for box, layer in enumerate(layout.layer):
        rows.setdefault(layer, []).append(box)
    assert sorted(rows) == list(range(len(rows)))
    for row in rows.values():
        assert len(row) <= widest
        row.sort(key=layout.x.__getitem__)
        for left, right in pairwise(row):
            assert layout.x[right] - layout.x[left] >= (widths[left] + widths[right]) / 2 + 10
    for box, width in enumerate(widths):
        assert layout.x[box] - width / 2 >= -0.01
        assert layout.x[box] + width / 2 <= layout.width + 0.01
    for (start, end), route in layout.routes.items():
        assert [layer for _, layer in route.passes] == list(range(layout.layer[start] + 1, layout.layer[end]))
        assert abs(route.start - layout.x[start]) <= widths[start] / 2
        assert abs(route.end - layout.x[end]) <= widths[end] / 2
