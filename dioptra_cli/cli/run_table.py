"""How recorded runs are shown as a table: as wide as the terminal, or whole. Pure."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from dioptra_cli.cli import output, recorded
from dioptra_cli.errors import printable
from dioptra_cli.tracking.protocol import RecordedRun

_COLORS = {"RUNNING": "cyan", "FINISHED": "green", "FAILED": "red", "KILLED": "yellow"}
_WIDEST = 24
"""Cells of a terminal that a value, a name, a project takes at most."""
_NARROWEST = 14
"""Cells below which a column of parameters or metrics says too little."""
_SHORTEST_NAME = 3
"""Cells of a name that tell something."""
_MADE_UP_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")
"""What MLflow calls a run that nobody has given a name."""

_Items = Sequence[tuple[str, str]]
"""Names and values."""


@dataclass(frozen=True)
class Shown:
    """A run, and what this machine knows of it.

    Attributes:
        run: As the store has it, with the end that the store may not have.
        is_abandoned: Whether its dioptra was killed, so that the store takes it to be running for ever.
        is_delivered: Whether the store has everything, or will get it when the run ends.
    """

    run: RecordedRun
    is_abandoned: bool = False
    is_delivered: bool = True


def parameters_of(run: RecordedRun) -> dict[str, str]:
    """Return a run's parameters without secrets, in the order of the MLproject file where it is known.

    Until the end of a run they stand in a tag.
    """
    from dioptra_cli.parameters.secrets import shown

    try:
        tagged = json.loads(run.tags.get("dioptra.parameters", "{}"))
    except ValueError:
        tagged = None
    whole = {**tagged, **run.parameters} if isinstance(tagged, dict) else run.parameters
    return {name: shown(name, str(value)) for name, value in whole.items()}


def metrics_of(run: RecordedRun) -> dict[str, float]:
    """Return a run's metrics by name, those of the machine last."""
    return dict(sorted(run.metrics.items(), key=lambda item: (item[0].startswith("system/"), item[0])))


def exit_code_of(run: RecordedRun) -> int | None:
    """Return what the command of a run returned, None where it has not, or nobody wrote it down."""
    text = run.tags.get(recorded.EXIT_CODE, "")
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else None


def table(shown: Sequence[Shown], width: int | None, *, now: float, with_project: bool) -> list[str]:
    """Lay out runs in columns.

    Where parameters and metrics have no room beside the rest, they stand below it, and so does a project.

    Args:
        shown: The runs, at least one.
        width: Of the terminal in cells; None for a table with nothing cut.
        now: In seconds since 1970.
        with_project: Whether to show the project of each run.

    Returns:
        The lines, the header first.
    """
    columns = _columns(shown, now, is_cut=width is not None, with_project=with_project)
    lists = _lists([each.run for each in shown], is_cut=width is not None)
    wanted = _wanted(lists)
    sizes = {title: _widest(title, cells) for title, cells in columns.items()}
    below = [""] * len(shown)
    room = None if width is None else width - sum(size + 2 for size in sizes.values())
    if (
        width is None
        or room is None
        or room >= sum(min(size, _NARROWEST) + 2 for size in wanted.values()) - 2
    ):
        for title, cells in _side_by_side(lists, room, between=2).items():
            columns[title] = cells
            sizes[title] = _widest(title, cells)
    else:
        projects = columns.pop("PROJECT", below)
        room = width - sizes["ID"] - 2
        below = [
            _below(project, items, room) for project, *items in zip(projects, *lists.values(), strict=True)
        ]
    lines = [click.style(_line({title: title for title in columns}, sizes), bold=True)]
    for position, each in enumerate(shown):
        color = "yellow" if each.is_abandoned else _COLORS.get(each.run.status)
        lines.append(_line({title: cells[position] for title, cells in columns.items()}, sizes, color))
        if below[position]:
            lines.append(" " * (sizes["ID"] + 2) + below[position])
    return lines


def _columns(shown: Sequence[Shown], now: float, *, is_cut: bool, with_project: bool) -> dict[str, list[str]]:
    """Return the cells of the columns that do not depend on the width of the table, without empty columns."""
    runs = [each.run for each in shown]
    short = recorded.short_ids(run.run_id for run in runs)
    names = ["" if _MADE_UP_NAME.fullmatch(run.run_name) else run.run_name for run in runs]
    entry_points = [run.tags.get(recorded.ENTRY_POINT, "") for run in runs]
    columns = {
        "ID": [short[run.run_id] if is_cut else run.run_id for run in runs],
        "STATUS": [f"{each.run.status} {_detail(each)}".rstrip() for each in shown],
        "NAME": [_cut(name, is_cut=is_cut) for name in names],
        "ENTRY": [_cut(name, is_cut=is_cut) for name in entry_points],
        "STARTED": [recorded.ago(run.started, now) if is_cut else _local(run.started) for run in runs],
        "DURATION": [_duration(run, now) for run in runs],
        "PROJECT": [_project(run, is_cut=is_cut) if with_project else "" for run in runs],
    }
    return {title: cells for title, cells in columns.items() if any(cells)}


def _lists(runs: Sequence[RecordedRun], *, is_cut: bool) -> dict[str, list[_Items]]:
    """Return the parameters and metrics of each run, without empty columns."""
    lists: dict[str, list[_Items]] = {
        "PARAMETERS": [
            [
                (printable(name), _word(_cut(value, is_cut=is_cut and not _is_number(value))))
                for name, value in items
            ]
            for items in _telling_first(runs)
        ],
        "METRICS": [
            [(printable(name), f"{value:.4g}") for name, value in metrics_of(run).items()] for run in runs
        ],
    }
    return {title: rows for title, rows in lists.items() if any(rows)}


def _line(cells: Mapping[str, str], sizes: Mapping[str, int], color: str | None = None) -> str:
    padded = {title: cell + " " * (sizes[title] - output.width_of(cell)) for title, cell in cells.items()}
    if color is not None:
        padded["STATUS"] = click.style(padded["STATUS"], fg=color)
    return "  ".join(padded.values()).rstrip()


def _below(project: str, lists: Sequence[_Items], room: int) -> str:
    """Return a line with what has no room beside the rest."""
    parts = [items for items in lists if items]
    if project:
        room -= output.width_of(project) + 3
    fitted = _side_by_side({str(number): [items] for number, items in enumerate(parts)}, room, between=3)
    return " · ".join(filter(None, [project, *(text for (text,) in fitted.values())]))


def _detail(shown: Shown) -> str:
    """Return what says more about the end of a run than its status: the exit code, the signal."""
    run = shown.run
    if shown.is_abandoned:
        return "abandoned"
    end = run.tags.get(recorded.END, "")
    signal = re.fullmatch(r"(?:interrupted|ended) by (\w+)", end)
    if signal:
        detail = signal[1]
    elif end and end != "finished" and not end.startswith("failed with"):
        detail = output.shortened(printable(end), _WIDEST)
    else:
        detail = str(exit_code_of(run) or "")
    return detail if shown.is_delivered else f"{detail} not delivered".lstrip()


def _cut(text: str, *, is_cut: bool) -> str:
    return output.shortened(printable(text), _WIDEST) if is_cut else printable(text)


def _word(text: str) -> str:
    """Return a value so that one sees where it begins and ends."""
    return text if text and not re.search(r"\s", text) else shlex.quote(text)


def _duration(run: RecordedRun, now: float) -> str:
    from dioptra_cli.flows.report import duration

    seconds = recorded.seconds_of(run, now)
    return "" if seconds is None else duration(seconds)


def _local(milliseconds: int | None) -> str:
    return (
        ""
        if milliseconds is None
        else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))
    )


def _project(run: RecordedRun, *, is_cut: bool) -> str:
    """Return the project of a run without credentials; to be cut, the end of it, which tells projects apart."""
    from dioptra_cli.parameters.secrets import without_credentials

    name = printable(without_credentials(recorded.project_of(run)))
    home = os.path.expanduser("~")
    if not is_cut:
        return name
    if name.startswith(f"{home}/"):
        name = "~" + name.removeprefix(home)
    if output.width_of(name) <= _WIDEST:
        return name
    return "…" + output.shortened(name[::-1], _WIDEST - 1, "")[::-1]


def _telling_first(runs: Sequence[RecordedRun]) -> list[_Items]:
    """Return the parameters of each run, first those in which the runs of one entry point differ."""
    whole = [(run.tags.get(recorded.ENTRY_POINT), parameters_of(run)) for run in runs]
    values: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for entry_point, parameters in whole:
        for name, value in parameters.items():
            values[entry_point, name].add(value)

    def telling_first(entry_point: str | None, parameters: Mapping[str, str]) -> _Items:
        return sorted(parameters.items(), key=lambda item: len(values[entry_point, item[0]]) == 1)

    return [telling_first(entry_point, parameters) for entry_point, parameters in whole]


def _natural(items: _Items) -> int:
    return output.width_of(_fitted(items, None))


def _wanted(lists: Mapping[str, Sequence[_Items]]) -> dict[str, int]:
    return {title: max(len(title), *map(_natural, rows)) for title, rows in lists.items()}


def _widest(title: str, cells: Sequence[str]) -> int:
    return max(map(output.width_of, (title, *cells)))


def _side_by_side(
    lists: Mapping[str, Sequence[_Items]], room: int | None, *, between: int
) -> dict[str, list[str]]:
    """Return the cells of columns that share `room` cells. What one leaves free, the others get."""
    shares = _shares(_wanted(lists), room, between=between)
    columns = {title: [_fitted(items, shares[title]) for items in rows] for title, rows in lists.items()}
    if room is not None:
        for title, rows in lists.items():
            taken = sum(_widest(other, cells) + between for other, cells in columns.items() if other != title)
            columns[title] = [_fitted(items, room - taken) for items in rows]
    return columns


def _shares(wanted: Mapping[str, int], room: int | None, *, between: int) -> dict[str, int]:
    """Divide `room` cells among columns: one that wants little leaves the rest to the others."""
    if room is None:
        return dict(wanted)
    shares = {}
    room -= between * (len(wanted) - 1)
    for position, title in enumerate(sorted(wanted, key=lambda title: wanted[title])):
        shares[title] = max(min(wanted[title], room // (len(wanted) - position)), 1)
        room -= shares[title]
    return {title: shares[title] for title in wanted}


def _fitted(items: _Items, width: int | None) -> str:
    """Return as many items as fit `width` cells, and how many more there are."""
    words = [f"{name}={value}" for name, value in items]
    for count in range(len(words), 0, -1):
        more = f" +{len(words) - count}" if count < len(words) else ""
        text = " ".join(words[:count]) + more
        if width is None or output.width_of(text) <= width:
            return text
    if not items:
        return ""
    assert width is not None
    more = f" +{len(items) - 1}" if len(items) > 1 else ""
    cut = (_cut_item(name, value, width - len(more)) for name, value in items)
    text = next(filter(None, cut), "")
    return text + more if text else f"+{len(items)}"


def _cut_item(name: str, value: str, width: int) -> str:
    """Return an item in `width` cells: its name is cut before its value is, and a number never. Else nothing."""
    room = width - 1
    left = room - output.width_of(value)
    if not _is_number(value):
        left = max(left, room // 2)
    if left < min(output.width_of(name), _SHORTEST_NAME):
        return ""
    name = output.shortened(name, left)
    return f"{name}={output.shortened(value, room - output.width_of(name))}"


def _is_number(text: str) -> bool:
    """Return whether a part of a value would be another value."""
    try:
        float(text)
    except ValueError:
        return False
    return True
