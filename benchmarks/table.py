"""What was measured, and how it is shown: as text, as JSON, and in a page between two marks."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.figure import Figure, Skipped

BEGIN, END = "<!-- the figures: made by `python benchmarks` -->", "<!-- end of the figures -->"
COLUMNS = ("job", "wall", "cpu", "peer", "wall", "cpu", "ratio", "of cpu", "budget", "note")
WIDTHS = (39, 8, 8, 27, 8, 8, 11, 6, 15, 0)
LEFT = (0, 3, 9)
"""The columns with names; those with numbers stand right."""
QUICK = "Quick form: fewer rounds, less data; the ratios are rough."


@dataclass
class Benchmark:
    """What one benchmark yielded.

    Attributes:
        name: Its name, as `--only` takes it.
        about: What it measures, in a sentence.
        figures: What was measured.
        skipped: What could not be.
        failure: What went wrong, where it did not come to its end.
    """

    name: str
    about: str = ""
    figures: list[Figure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failure: str | None = None


@dataclass
class Report:
    """All that one call measured.

    Attributes:
        machine: What it was measured on and with: words for a reader, by what they describe.
        quick: Whether it was the quick form.
        benchmarks: One for each benchmark that ran.
    """

    machine: dict[str, str]
    quick: bool = False
    benchmarks: list[Benchmark] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return what `json` can write, with `over` in each figure."""
        data = asdict(self)
        for benchmark, written in zip(self.benchmarks, data["benchmarks"], strict=True):
            for figure, fields in zip(benchmark.figures, written["figures"], strict=True):
                fields["over"] = figure.over
        return data

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Report:
        """Return what `as_json` was made of."""
        report = cls(data["machine"], data["quick"])
        for written in data["benchmarks"]:
            figures = [{k: v for k, v in fields.items() if k != "over"} for fields in written["figures"]]
            report.benchmarks.append(
                Benchmark(
                    written["name"],
                    written["about"],
                    [Figure(**fields) for fields in figures],
                    [Skipped(**fields) for fields in written["skipped"]],
                    written["failure"],
                )
            )
        return report

    @property
    def over(self) -> list[Figure]:
        """The figures over their budget."""
        return [figure for benchmark in self.benchmarks for figure in benchmark.figures if figure.over]


def describe_machine() -> dict[str, str]:
    """Return what one has to know of this machine to compare figures, and nothing that names it."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "processor": f"{_processor()}, {_cores()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "load before": load(),
        "Python": platform.python_version(),
        **{name: _version(name) for name in ("mlflow", "click", "PyYAML", "obstore")},
    }


def load() -> str:
    """Return how many processes have been waiting for a processor, in the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has none
        return os.cpu_count() or 1


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def duration(seconds: float | None) -> str:
    """Return seconds in the unit that fits, with three digits."""
    if seconds is None:
        return ""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= scale:
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{_three_digits(seconds / 1e-6)} µs"


def _three_digits(number: float) -> str:
    magnitude = abs(number)
    return f"{number:.{0 if magnitude >= 99.95 else 1 if magnitude >= 9.995 else 2}f}"


def cells(figure: Figure) -> list[str]:
    """Return what stands in the columns of a figure."""
    budgets = []
    if figure.budget is not None:
        budgets.append(f"{'≤' if figure.kind == 'times as long' else '≥'} {figure.budget:g}")
    if figure.limit is not None:
        budgets.append(f"≤ {figure.limit * 1e3:g} ms")
    return [
        figure.job,
        duration(figure.wall),
        duration(figure.cpu),
        figure.peer or "",
        duration(figure.peer_wall),
        duration(figure.peer_cpu),
        f"speed {_ratio(figure.ratio)}" if figure.kind == "times as fast" else _ratio(figure.ratio),
        _ratio(figure.cpu_ratio),
        ", ".join(budgets),
        figure.note,
    ]


def _ratio(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:.3f}" if number < 0.1 else f"{number:.2f}"


def head() -> str:
    """Return the line above the figures, as text."""
    return f"  {_columns(COLUMNS)}"


def lines(benchmark: Benchmark) -> Iterator[str]:
    """Yield the figures of a benchmark, as text."""
    yield f"{benchmark.name}: {benchmark.about}"
    for figure in benchmark.figures:
        mark = "!" if figure.over else " "
        yield f"{mark} {_columns(cells(figure))}"
    for skipped in benchmark.skipped:
        yield f"{skipped.job}: skipped; {skipped.hint}"
    if benchmark.failure:
        yield f"{benchmark.name} did not come to its end: {benchmark.failure}"


def _columns(texts: Sequence[str]) -> str:
    placed = [
        text.ljust(width) if position in LEFT else text.rjust(width)
        for position, (text, width) in enumerate(zip(texts, WIDTHS, strict=True))
    ]
    return " ".join(placed).rstrip()


def section(report: Report) -> str:
    """Return the part of the page that stands between the marks."""
    told = [f"{what} {text}" if what != "processor" else text for what, text in report.machine.items()]
    parts = [BEGIN, "", "; ".join(told) + ".", ""]
    if report.quick:
        parts += [f"**{QUICK}**", ""]
    for benchmark in report.benchmarks:
        parts += [f"### {benchmark.about}", ""]
        if benchmark.figures:
            parts += [
                _row(COLUMNS),
                _row(["---" if position in LEFT else "--:" for position in range(len(COLUMNS))]),
            ]
            parts += [_row(_marked(figure)) for figure in benchmark.figures]
            parts.append("")
        for skipped in benchmark.skipped:
            parts += [f"Not measured: {skipped.job}.", ""]
        if benchmark.failure:
            parts += ["It did not come to its end.", ""]
    return "\n".join([*parts, END])


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"


def _marked(figure: Figure) -> list[str]:
    *others, budget, note = cells(figure)
    return [*others, f"{budget}, **over**" if figure.over else budget, note]


def into_page(page: str, report: Report) -> str:
    """Return a page with the figures of a report in the place of those that it has.

    Raises:
        ValueError: The page has no marks between which they could stand.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"the page has no lines {BEGIN!r} and {END!r}: write them where the figures are to stand"
        )
    return f"{before}{section(report)}{after}"
