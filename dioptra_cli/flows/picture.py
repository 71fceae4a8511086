"""A flow as a picture, in SVG: the graph of its tasks with what became of each; a board of squares if it is large.

Parameters are pills in the boxes that take them, and what only carries results is part of the edges. Colours follow
the viewer's light or dark mode; the symbols say the same without them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dioptra_cli.flows import report as states
from dioptra_cli.flows.layout import Edge, Layout, lay_out
from dioptra_cli.flows.report import FlowReport, TaskReport, duration

MOST_BOXES = 150
MOST_EDGES = 600
MOST_SQUARES = 5000
"""What is beyond these limits stands in `flow.json` alone."""

_MARGIN = 28.0
_HEADER = 76.0
_LAYER_GAP = 62.0
_LEAST_WIDTH, _MOST_WIDTH = 148.0, 272.0
_TEXT_X = 38.0
"""Where the text of a box begins, right of the symbol."""
_EM = 0.602
"""The width of a character of the usual monospaced fonts, in sizes of the font; none of them is wider."""
_MOST_PILL_ROWS = 2

# The glyphs stand in a disc of radius 8 around 0, 0.
_CHECK, _CROSS, _BAR = "M-3.6 .4l2.5 2.6l4.8-5.6", "M-3 -3l6 6m0-6l-6 6", "M-3.6 0h7.2"
_GLYPHS = {
    states.SUCCESS: ("ok", _CHECK),
    states.MAPPED: ("ok", _CHECK),
    states.FAILED: ("bad", _CROSS),
    states.TRIGGER_FAILED: ("blocked", _BAR),
    states.SKIPPED: ("idle", "M-3.8 -3l3 3l-3 3m4-6l3 3l-3 3"),
    states.RUNNING: ("busy", "M-.8 -2.8l3.2 2.8l-3.2 2.8z"),
    states.RETRYING: ("busy", "M3.4 -1.2a3.6 3.6 0 1 0 .2 2.4m.2-5.2v2.8h-2.8"),
    states.INTERRUPTED: ("broken", "M0 -4v4.6m0 3v.4"),
    states.PENDING: ("none", ""),
}
_OTHER = ("idle", "M0 0h.01")

_STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#0f172a}
.m{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace}
.bg{fill:#fff}.box{fill:#f8fafc;stroke:#cbd5e1;stroke-width:1}.h{font-size:20px;font-weight:700}
.n{font-size:13px;font-weight:600}.s{font-size:10.5px;fill:#64748b}.sub{font-size:12.5px;fill:#475569}
.e{fill:none;stroke:#94a3b8;stroke-width:1.4}.o{stroke-dasharray:4 4}.a{fill:#94a3b8}
.k{font-size:10px;fill:#475569;stroke:#fff;stroke-width:4;paint-order:stroke;stroke-linejoin:round}
.p{fill:#eef2ff;stroke:#c7d2fe}.pt{font-size:10px;fill:#3730a3}
.g{fill:none;stroke:#fff;stroke-width:1.9;stroke-linecap:round;stroke-linejoin:round}
.ok{fill:#15803d}.bad{fill:#b91c1c}.blocked{fill:#b45309}.idle{fill:#64748b}.busy{fill:#1d4ed8}
.broken{fill:#7e22ce}.none{fill:none;stroke:#94a3b8;stroke-width:1.6;stroke-dasharray:3 2.6}
@media (prefers-color-scheme:dark){text{fill:#e2e8f0}.bg{fill:#0f172a}.box{fill:#1e293b;stroke:#475569}
.s{fill:#94a3b8}.sub{fill:#a9b6c8}.e{stroke:#64748b}.a{fill:#64748b}.k{fill:#a9b6c8;stroke:#0f172a}
.p{fill:#312e81;stroke:#4f46e5}.pt{fill:#c7d2fe}.g{stroke:#0f172a}.ok{fill:#4ade80}.bad{fill:#f87171}
.blocked{fill:#fbbf24}.idle{fill:#94a3b8}.busy{fill:#60a5fa}.broken{fill:#c084fc}.none{fill:none;stroke:#94a3b8}}
""".strip()


@dataclass
class _Box:
    """A task as it is drawn."""

    task: TaskReport
    width: float = _LEAST_WIDTH
    height: float = 46.0
    parameters: list[str] = field(default_factory=list)
    pills: list[tuple[float, float, float, str]] = field(default_factory=list)  # x, y, width, text


def svg(report: FlowReport) -> str:
    """Return a picture of a flow, as the text of an SVG file."""
    report = states.labelled(report)
    boxes = [_Box(task) for task in report.tasks if task.kind in (states.TASK, states.CONDITION)]
    if 0 < len(boxes) <= MOST_BOXES:
        edges = _contract(report, boxes)
        if len(edges) <= MOST_EDGES:
            for box in boxes:
                _measure(box)
            widest = max(4, min(8, round(len(boxes) ** 0.5) + 1))
            layout = lay_out([box.width for box in boxes], edges, widest)
            if layout is not None:
                return _graph(report, boxes, edges, layout)
    return _board(report, boxes)


def _contract(report: FlowReport, boxes: Sequence[_Box]) -> dict[Edge, tuple[str, ...]]:
    """Return the edges between boxes, each with the arguments it serves, and note the parameters in the boxes.

    What only carries results is contracted: `fit(data=[a, b])` has edges from `a` and from `b`.
    """
    index = {box.task.id: number for number, box in enumerate(boxes)}
    origins: dict[int, dict[int, None]] = {}  # of what carries results: where they come from, in order
    kinds = {task.id: task for task in report.tasks}
    for task in report.tasks:  # in an order in which whatever is upstream stands before
        if task.kind in states.PLUMBING:
            mine = origins.setdefault(task.id, {})
            for edge in task.upstream:
                mine.update(
                    origins.get(edge.id, {}) if kinds[edge.id].kind in states.PLUMBING else {edge.id: None}
                )
    edges: dict[Edge, list[str]] = {}
    for number, box in enumerate(boxes):
        for edge in box.task.upstream:
            for origin in origins.get(edge.id, {edge.id: None}):
                start = index.get(origin)
                if start is None:
                    name = kinds[origin].name
                    if name not in box.parameters:
                        box.parameters.append(name)
                elif start < number:  # the file may hold anything; what is drawn has no cycle
                    keys = edges.setdefault((start, number), [])
                    if edge.key is not None and edge.key not in keys:
                        keys.append(edge.key)
    return {edge: tuple(keys) for edge, keys in edges.items()}


def _measure(box: _Box) -> None:
    """Set the size of a box, and the places of the pills in it."""
    task = box.task
    below = len(_module(task)) + len(_time(task)) + 2
    wanted = max(
        _text_width(task.name, 13), _text_width(" " * below, 10.5), _text_width(task.error or "", 10.5)
    )
    box.width = min(max(_TEXT_X + wanted + 14, _LEAST_WIDTH), _MOST_WIDTH)
    if task.error:
        box.height += 15
    x, y, row = 12.0, box.height + 2, 1
    for position, name in enumerate(box.parameters):
        rest = len(box.parameters) - position
        text = _shortened(name, int((box.width - 36) / (10 * _EM)))
        width = _text_width(text, 10) + 12
        if x + width > box.width - 12 and x > 12:
            x, y, row = 12.0, y + 20, row + 1
        last_row = row == _MOST_PILL_ROWS
        if row > _MOST_PILL_ROWS or (last_row and rest > 1 and x + width + 34 > box.width - 12):
            text = f"+{rest}"
            if row > _MOST_PILL_ROWS:  # it was wrapped: there is room for this at the end of the row before
                x, y = box.pills[-1][0] + box.pills[-1][2] + 5, y - 20
            box.pills.append((x, y, _text_width(text, 10) + 12, text))
            break
        box.pills.append((x, y, width, text))
        x += width + 5
    if box.pills:
        box.height = box.pills[-1][1] + 16 + 10


def _graph(
    report: FlowReport, boxes: Sequence[_Box], edges: dict[Edge, tuple[str, ...]], layout: Layout
) -> str:
    tops: list[float] = []
    bottoms: list[float] = []
    y = _HEADER
    for layer in range(max(layout.layer) + 1):
        tops.append(y)
        y += max(box.height for box, mine in zip(boxes, layout.layer, strict=True) if mine == layer)
        bottoms.append(y)
        y += _LAYER_GAP
    width = max(layout.width, _header_width(report)) + 2 * _MARGIN
    left = (width - layout.width) / 2
    lines, drawn = [], []
    heads: dict[str, str] = {}  # by their path; edges may arrive as one
    for (start, end), route in layout.routes.items():
        x, at = left + route.start, tops[layout.layer[start]] + boxes[start].height
        path = f"M{x:.1f} {at:.1f}"
        for passing, layer in route.passes:
            path += _curve(x, at, left + passing, tops[layer]) + f"V{bottoms[layer]:.1f}"
            x, at = left + passing, bottoms[layer]
        tip, top = left + route.end, tops[layout.layer[end]]
        path += _curve(x, at, tip, top - 6)
        keys = edges[start, end]
        lines.append(f'<path class="{"e" if keys else "e o"}" d="{path}"/>')
        room = int((route.room - 4) / (10 * _EM))
        label = _shortened(", ".join(keys), room)
        fits = len(label) > 4 or "…" not in label
        heads[f"M{tip:.1f} {top:.1f}l-4-7.5h8z"] = (
            _text(tip, top - 13, "k m", label, "middle") if fits else ""
        )
    for box, x, layer in zip(boxes, layout.x, layout.layer, strict=True):
        drawn.append(_box(box, left + x - box.width / 2, tops[layer]))
    has_order = not all(edges.values())
    has_pills = any(box.pills for box in boxes)
    parts = [*lines, f'<path class="a" d="{"".join(heads)}"/>', *drawn, *heads.values()]
    height = y - _LAYER_GAP + 24
    if has_order or has_pills:
        parts.append(_legend(_MARGIN, height + 6, has_pills, has_order))
        height += 24
    return _document(report, width, height + 8, parts)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    """Continue a path from a point to another one, leaving and arriving straight down."""
    if abs(x - to_x) < 0.05:
        return f"V{to_y:.1f}"
    middle = (y + to_y) / 2
    return f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"


def _box(box: _Box, x: float, y: float) -> str:
    task = box.task
    radius = 22 if task.kind == states.CONDITION else 8
    inner = box.width - _TEXT_X - 12
    module, time = _module(task), _time(task)
    room = int((inner - _text_width(time, 10.5) - 8) / (10.5 * _EM))
    size = min(max(inner / _text_width(task.name, 1), 10.5), 13.0)  # a long name in smaller letters, then cut
    name = _shortened(task.name, int(inner / (size * _EM)))
    parts = [
        f'<g transform="translate({x:.1f} {y:.1f})"><title>{_escape(_told(task))}</title>',
        f'<rect class="box" width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius}"/>',
        _symbol(22, 23, task.state),
        _text(_TEXT_X, 20, "n m", name, size=size),
        _text(_TEXT_X, 35, "s m", _shortened(module, room)),
        _text(box.width - 12, 35, "s m", time, "end") if module else _text(_TEXT_X, 35, "s m", time),
    ]
    if task.error:
        error = _shortened(task.error, int(inner / (10.5 * _EM)))
        style = _GLYPHS.get(task.state, _OTHER)[0]
        parts.append(f'<text class="s m {style}" x="{_TEXT_X:.0f}" y="50">{_escape(error)}</text>')
    for left, top, width, text in box.pills:
        parts.append(f'<rect class="p" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="16" rx="8"/>')
        parts.append(_text(left + width / 2, top + 11.5, "pt m", text, "middle"))
    return "".join([*parts, "</g>"])


def _board(report: FlowReport, boxes: Sequence[_Box]) -> str:
    """Draw one square for each task, in the order in which they run, and name those that matter."""
    shown = [box.task for box in boxes[:MOST_SQUARES]]
    columns = max(12, min(60, round((len(shown) * 2.2) ** 0.5)))
    size, parts = 20.0, []
    for position, task in enumerate(shown):
        x, y = _MARGIN + position % columns * size + 9, _HEADER + position // columns * size + 9
        parts.append(f"<g><title>{_escape(_told(task))}</title>{_symbol(x, y, task.state)}</g>")
    y = _HEADER + -(-len(shown) // columns) * size + 22
    notes: list[tuple[str, str]] = []
    if len(boxes) > len(shown):
        notes.append(("sub", f"and {len(boxes) - len(shown)} more tasks"))
    failed = states.failures(report)
    notes.extend(("s m bad", f"{task.slug}  {task.error or task.message or ''}") for task in failed[:8])
    if len(failed) > 8:
        notes.append(("sub", f"and {len(failed) - 8} more failed"))
    slowest = sorted((t for t in report.work if t.seconds), key=lambda t: t.seconds or 0.0, reverse=True)[:5]
    if slowest:
        notes.append(
            ("sub", "slowest: " + ", ".join(f"{t.slug} {duration(t.seconds or 0.0)}" for t in slowest))
        )
    width = max(2 * _MARGIN + columns * size, _header_width(report) + 2 * _MARGIN, 640.0)
    room = int((width - 2 * _MARGIN) / (12.5 * _EM))
    for style, text in notes:
        parts.append(_text(_MARGIN, y, style, _shortened(text, room)))
        y += 18
    return _document(report, width, y + 10, parts)


def _document(report: FlowReport, width: float, height: float, parts: Iterable[str]) -> str:
    style = _GLYPHS.get(report.state, _OTHER)[0]
    x = _MARGIN
    header = [_text(x, 34, "h", _shortened(report.name, 60))]
    header.append(_symbol(x + 8, 54, report.state))
    header.append(_text(x + 23, 58, "sub", _subtitle(report)))
    text = "".join([*header, *parts])
    described = _escape(f"{report.name}: {_subtitle(report)}")
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" class="{style}-flow">'
        f"<title>{described}</title><style>{_STYLE}</style>"
        f'<rect class="bg" width="100%" height="100%"/>{text}</svg>\n'
    )


def _subtitle(report: FlowReport) -> str:
    """Say how a flow ended, and how many of its tasks did how."""
    counts = Counter(task.state for task in report.work)
    pieces = [report.state]
    if len(counts) == 1:
        (only,) = counts
        number = counts[only]
        pieces.append(
            f"{number} task{'' if number == 1 else 's'}" + ("" if only == report.state else f" {only}")
        )
    else:
        pieces.append(", ".join(f"{number} {state}" for state, number in counts.items()) or "no tasks")
    if report.seconds is not None:
        pieces.append(duration(report.seconds))
    if report.workers and report.workers > 1:
        pieces.append(f"{report.workers} workers")
    return " · ".join(pieces)


def _header_width(report: FlowReport) -> float:
    return max(_text_width(_shortened(report.name, 60), 20), 23 + _text_width(_subtitle(report), 12.5), 220.0)


def _legend(x: float, y: float, has_pills: bool, has_order: bool) -> str:
    parts = []
    if has_pills:
        parts.append(f'<rect class="p" x="{x:.1f}" y="{y - 11:.1f}" width="26" height="14" rx="7"/>')
        parts.append(_text(x + 33, y, "s", "parameter"))
        x += 104
    if has_order:
        parts.append(f'<path class="e o" d="M{x:.1f} {y - 4:.1f}h30"/>')
        parts.append(_text(x + 37, y, "s", "order only"))
    return "".join(parts)


def _symbol(x: float, y: float, state: str) -> str:
    style, glyph = _GLYPHS.get(state, _OTHER)
    radius = 7.2 if style == "none" else 8
    disc = f'<circle class="{style}" r="{radius}"/>'
    mark = f'<path class="g" d="{glyph}"/>' if glyph else ""
    return f'<g transform="translate({x:.1f} {y:.1f})">{disc}{mark}</g>'


def _text(x: float, y: float, style: str, text: str, anchor: str = "", size: float = 13.0) -> str:
    if not text:
        return ""
    smaller = f' style="font-size:{size:.1f}px"' if size < 13 else ""
    where = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}"{where}{smaller}>{_escape(text)}</text>'


def _module(task: TaskReport) -> str:
    """Return where a task plugin comes from, as the last two parts of its module: the first ones are all alike."""
    return ".".join((task.plugin or "").split(".")[:-1][-2:])


def _time(task: TaskReport) -> str:
    """Return how long a task took, or the state of one that did not run to its end."""
    if task.seconds is None or task.state in (states.TRIGGER_FAILED, states.SKIPPED):
        return "" if task.state == states.SUCCESS else task.state
    return duration(task.seconds) + (f", try {task.attempts}" if task.attempts > 1 else "")


def _told(task: TaskReport) -> str:
    """Return all there is to say of a task, for those who point at it."""
    first = f"{task.slug}: {task.state}"
    if task.seconds is not None:
        first += f", {duration(task.seconds)}"
    return "\n".join([line for line in (first, task.plugin, task.error or task.message) if line])


def _text_width(text: str, size: float) -> float:
    """Return how wide a text is at most in a monospaced font; characters of East Asia take two places."""
    return sum(1 if ord(char) < 0x1100 else 2 for char in text) * size * _EM


def _shortened(text: str, most: int) -> str:
    """Cut a text to so many places."""
    text = " ".join(text.split())
    if _text_width(text, 1) <= most * _EM:
        return text
    kept, places = [], 1
    for char in text:
        places += 1 if ord(char) < 0x1100 else 2
        if places > most:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def _escape(text: str) -> str:
    """Return a text for XML, which has no place at all for control characters."""
    printable = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in text if c not in "\ufffe\uffff")
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
