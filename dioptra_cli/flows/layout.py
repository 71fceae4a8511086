"""Where the boxes and edges of a layered drawing go. Numbers only; knows nothing of flows or of SVG.

The usual steps: layers by longest path, an invisible point where an edge passes a layer, order within a layer by
barycentres, then positions as near to the neighbours as the neighbours in the layer allow.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Edge = tuple[int, int]

MOST_POINTS = 3000
"""Beyond so many passings of edges through layers there is nothing to be seen, and it takes long."""

_GAP = 26.0
_LANE = 14.0
_ORDER_SWEEPS = 12
_POSITION_SWEEPS = 16


@dataclass(frozen=True)
class Route:
    """The way of an edge: the x it leaves its box at, those where it passes layers, and the x it arrives at.

    Attributes:
        start: x at the lower side of the upper box.
        passes: x and layer of each layer between.
        end: x at the upper side of the lower box.
        room: How wide a label may be where it arrives.
    """

    start: float
    passes: tuple[tuple[float, int], ...]
    end: float
    room: float


@dataclass(frozen=True)
class Layout:
    """A drawing, from 0 to `width`.

    Attributes:
        width: Of the whole.
        layer: The layer of each box, from the top.
        x: The middle of each box.
        routes: The way of each edge.
    """

    width: float
    layer: list[int]
    x: list[float]
    routes: dict[Edge, Route]


@dataclass
class _Graph:
    """Boxes and passing points: the first `len(boxes)` nodes are the boxes."""

    width: list[float]
    layer: list[int]
    rows: list[list[int]]
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    is_point: list[bool] = field(default_factory=list)


def lay_out(widths: Sequence[float], edges: Mapping[Edge, Hashable], widest: int) -> Layout | None:
    """Lay out boxes in layers.

    Args:
        widths: Of the boxes.
        edges: Pairs of boxes, each from a lower to a higher index, and what kind of an edge it is: those of one
            kind arrive at a box as one.
        widest: How many boxes to put into a layer; more go to a layer below.

    Returns:
        The layout; None if the edges are too many to draw.
    """
    layer = _layers(len(widths), edges, widest)
    if sum(layer[end] - layer[start] - 1 for start, end in edges) > MOST_POINTS:
        return None
    graph, chains = _graph(widths, edges, layer)
    _order(graph)
    x = _positions(graph)
    left = min((x[n] - graph.width[n] / 2 for n in range(len(x))), default=0.0)
    x = [value - left for value in x]
    width = max((x[n] + graph.width[n] / 2 for n in range(len(x))), default=0.0)
    return Layout(width, layer, x[: len(widths)], _routes(graph, chains, edges, x))


def _layers(count: int, edges: Iterable[Edge], widest: int) -> list[int]:
    """Return the layer of each box: below all that it depends on, and no higher than what it leads to needs."""
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for start, end in edges:
        above[end].append(start)
        below[start].append(end)
    layer = [0] * count
    for node in range(count):
        layer[node] = max((layer[other] + 1 for other in above[node]), default=0)
    for node in reversed(range(count)):
        if below[node] and len(above[node]) < len(below[node]):  # fewer long edges if it goes down
            layer[node] = min(layer[other] for other in below[node]) - 1
    rows: dict[int, list[int]] = {}
    for node in range(count):
        rows.setdefault(layer[node], []).append(node)
    offset = 0
    for number in sorted(rows):
        row = rows[number]
        # In equal parts: five boxes in rows of four are three and two.
        parts = -(-len(row) // widest)
        share = -(-len(row) // parts)
        for position, node in enumerate(row):
            layer[node] = offset + position // share
        offset += parts
    return layer


def _graph(
    widths: Sequence[float], edges: Mapping[Edge, Hashable], layer: Sequence[int]
) -> tuple[_Graph, dict[Edge, list[int]]]:
    """Return the graph with a point wherever edges pass a layer, and the nodes along each edge.

    Edges from the same box, or of one kind to the same box, pass a layer at the same point: whichever unites more.
    """
    count = len(widths)
    graph = _Graph(list(widths), list(layer), [[] for _ in range(max(layer, default=-1) + 1)])
    graph.above, graph.below = [[] for _ in range(count)], [[] for _ in range(count)]
    graph.is_point = [False] * count
    for node in range(count):
        graph.rows[layer[node]].append(node)
    leaving = Counter(start for start, _ in edges)
    arriving = Counter((end, kind) for (_, end), kind in edges.items())
    points: dict[Hashable, int] = {}
    chains: dict[Edge, list[int]] = {}
    for (start, end), kind in edges.items():
        together: Hashable = start if leaving[start] >= arriving[end, kind] else (end, kind)
        chain = [start]
        for level in range(layer[start] + 1, layer[end]):
            point = points.get((together, level))
            if point is None:
                point = points[together, level] = len(graph.width)
                graph.width.append(_LANE)
                graph.layer.append(level)
                graph.is_point.append(True)
                graph.above.append([])
                graph.below.append([])
                graph.rows[level].append(point)
            chain.append(point)
        chain.append(end)
        for upper, lower in pairwise(chain):
            if lower not in graph.below[upper]:
                graph.below[upper].append(lower)
                graph.above[lower].append(upper)
        chains[start, end] = chain
    return graph, chains


def _order(graph: _Graph) -> None:
    """Order each row so that few edges cross: by the mean place of the neighbours, down and up; keep the best."""
    place = [0.0] * len(graph.width)

    def settle(row: Iterable[int]) -> None:
        for position, node in enumerate(row):
            place[node] = position

    for row in graph.rows:
        settle(row)
    best, fewest = [row[:] for row in graph.rows], _crossings(graph, place)
    for sweep in range(_ORDER_SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        neighbours = graph.above if down else graph.below
        for row in graph.rows if down else reversed(graph.rows):
            mean = {n: _mean([place[o] for o in neighbours[n]], place[n]) for n in row}
            row.sort(key=mean.__getitem__)
            settle(row)
        crossings = _crossings(graph, place)
        if crossings < fewest:
            best, fewest = [row[:] for row in graph.rows], crossings
    graph.rows[:] = best


def _crossings(graph: _Graph, place: Sequence[float]) -> int:
    """Count the pairs of edges between neighbouring rows that cross."""
    total = 0
    for row in graph.rows:
        passed: list[float] = []
        for node in sorted(row, key=place.__getitem__):
            ends = sorted(place[other] for other in graph.below[node])
            total += sum(len(passed) - bisect.bisect_right(passed, end) for end in ends)
            for end in ends:
                bisect.insort(passed, end)
    return total


def _positions(graph: _Graph) -> list[float]:
    """Return the middle of each node: near its neighbours, without overlap, in the order of its row."""
    x = [0.0] * len(graph.width)
    for row in graph.rows:
        steps = _steps(graph, row)
        for node, step in zip(row, steps, strict=True):
            x[node] = step - steps[-1] / 2
    for sweep in range(_POSITION_SWEEPS):
        down = sweep % 2 == 0
        last = sweep >= _POSITION_SWEEPS - 2
        for row in graph.rows if down else reversed(graph.rows):
            wanted, weights = [], []
            for node in row:
                near = (
                    graph.above[node] + graph.below[node]
                    if last
                    else (graph.above if down else graph.below)[node]
                )
                wanted.append(_mean([x[other] for other in near], x[node]))
                weights.append(
                    6.0 if graph.is_point[node] else 1.0 if near else 0.2
                )  # long edges are straight
            steps = _steps(graph, row)
            free = _monotone([w - step for w, step in zip(wanted, steps, strict=True)], weights)
            for node, value, step in zip(row, free, steps, strict=True):
                x[node] = value + step
    return x


def _steps(graph: _Graph, row: Sequence[int]) -> list[float]:
    """Return the least distance of each node of a row from the first."""
    steps = [0.0]
    for left, right in pairwise(row):
        gap = _GAP if not (graph.is_point[left] and graph.is_point[right]) else 2.0
        steps.append(steps[-1] + (graph.width[left] + graph.width[right]) / 2 + gap)
    return steps


def _monotone(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the rising numbers next to `values` by weighted least squares (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, size
    for value, weight in zip(values, weights, strict=True):
        mean, total, size = value, weight, 1
        while pools and pools[-1][0] > mean:
            before, heavy, many = pools.pop()
            mean = (before * heavy + mean * total) / (heavy + total)
            total, size = heavy + total, many + size
        pools.append((mean, total, size))
    return [mean for mean, _, size in pools for _ in range(size)]


def _routes(
    graph: _Graph, chains: dict[Edge, list[int]], edges: Mapping[Edge, Hashable], x: Sequence[float]
) -> dict[Edge, Route]:
    """Return the way of each edge. Those of one box leave and arrive side by side, in the order they come from."""
    leaving: dict[int, dict[int, float]] = {}
    arriving: dict[int, dict[Hashable, list[float]]] = {}
    for edge, chain in chains.items():
        leaving.setdefault(edge[0], {})[chain[1]] = x[chain[1]]
        arriving.setdefault(edge[1], {}).setdefault(edges[edge], []).append(x[chain[-2]])
    starts: dict[tuple[int, int], float] = {}
    ends: dict[tuple[int, Hashable], tuple[float, float]] = {}
    for node, nexts in leaving.items():
        step = min(18.0, graph.width[node] * 0.7 / len(nexts))
        for position, after in enumerate(sorted(nexts, key=nexts.__getitem__)):
            starts[node, after] = x[node] + (position - (len(nexts) - 1) / 2) * step
    for node, kinds in arriving.items():
        step = graph.width[node] / len(kinds)
        means = {kind: _mean(values, 0.0) for kind, values in kinds.items()}
        for position, kind in enumerate(sorted(means, key=means.__getitem__)):
            ends[node, kind] = x[node] + (position - (len(kinds) - 1) / 2) * step, step
    return {
        edge: Route(
            starts[edge[0], chain[1]],
            tuple((x[node], graph.layer[node]) for node in chain[1:-1]),
            *ends[edge[1], edges[edge]],
        )
        for edge, chain in chains.items()
    }


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
