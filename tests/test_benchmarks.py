"""The benchmarks: what is computed and shown, and that the command works and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
from benchmarks import table  # noqa: E402
from benchmarks.figure import Figure, Sample, Skipped, compare, in_turn, run_child, timed_child  # noqa: E402

sys.path.remove(str(ROOT))

# In the second round the machine was twice as slow; in the third one the job alone was.
SAMPLES = {
    "ours": [Sample(0.1, 0.2), Sample(0.2, 0.2), Sample(0.8, 0.4)],
    "theirs": [Sample(1.0, 0.5), Sample(2.0, 0.4), Sample(1.0, 0.1)],
}


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    made = compare(SAMPLES, "ours", "theirs")
    assert (made.wall, made.cpu, made.peer_wall, made.peer_cpu, made.rounds) == (0.2, 0.2, 1.0, 0.4, 3)
    assert made.ratio == pytest.approx(0.1)
    assert made.cpu_ratio == pytest.approx(0.5)
    assert compare(SAMPLES, "ours", "theirs", kind="times as fast").ratio == pytest.approx(10)


@pytest.mark.parametrize(
    ("settings", "over"),
    [
        ({}, False),
        ({"budget": 0.11}, False),
        ({"budget": 0.09}, True),
        ({"kind": "times as fast", "budget": 9}, False),
        ({"kind": "times as fast", "budget": 11}, True),
        ({"limit": 0.25}, False),
        ({"limit": 0.15}, True),
        ({"budget": 0.11, "limit": 0.15}, False),
    ],
)
def test_what_is_over_its_budget_is_marked(settings: dict[str, Any], over: bool) -> None:
    made = compare(SAMPLES, "ours", "theirs", **settings)
    assert made.over is over
    benchmark = table.Benchmark("speed", "How fast it is", [made])
    assert [line[0] for line in table.lines(benchmark)] == ["s", "!" if over else " "]
    assert ("**over**" in table.section(table.Report({}, benchmarks=[benchmark]))) is over


def test_the_jobs_take_turns_and_the_first_round_does_not_count() -> None:
    called: list[str] = []

    def way(name: str) -> Callable[[], Sample]:
        def measured() -> Sample:
            called.append(name)
            return Sample(len(called), 0)

        return measured

    assert in_turn({"a": way("a"), "b": way("b")}, 2) == {
        "a": [Sample(3, 0), Sample(5, 0)],
        "b": [Sample(4, 0), Sample(6, 0)],
    }
    assert called == ["a", "b"] * 3


def test_the_processor_time_of_children_counts(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    sample = timed_child([sys.executable, "-c", child], tmp_path, os.environ)
    assert sample.cpu >= 0.2
    assert sample.wall > 0


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)bash -c .* ended with 3, not 0:\nnothing there"):
        run_child(["/bin/bash", "-c", "echo nothing there >&2; exit 3"], tmp_path, os.environ)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (12.3456, "12.3 s"),
        (1.0, "1.00 s"),
        (0.08149, "81.5 ms"),
        (0.4, "400 ms"),
        (2.5e-5, "25.0 µs"),
        (None, ""),
    ],
)
def test_a_duration_has_three_digits(seconds: float | None, shown: str) -> None:
    assert table.duration(seconds) == shown


def test_a_report_comes_back_from_json_and_goes_into_a_page_again_and_again() -> None:
    made = compare(SAMPLES, "ours", "theirs", budget=0.05, note="5 MB | 6 MB")
    benchmark = table.Benchmark(
        "speed", "How fast it is", [made], [Skipped("a third", "get it")], "Broken: pipe"
    )
    report = table.Report({"date": "2026-01-02"}, True, [benchmark])
    data = json.loads(json.dumps(report.as_json()))
    assert data["benchmarks"][0]["figures"][0]["over"] is True
    assert table.Report.of_json(data) == report
    page = f"# Before\n\n{table.BEGIN}\nold\n{table.END}\n\nbehind\n"
    once = table.into_page(page, report)
    assert once.startswith("# Before\n\n")
    assert once.endswith("\n\nbehind\n")
    assert "old" not in once
    assert (
        "| ours | 200 ms | 200 ms | theirs | 1.00 s | 400 ms | 0.10 | 0.50 | ≤ 0.05, **over** | 5 MB \\| 6 MB |"
        in once
    )
    assert "date 2026-01-02" in once
    assert table.into_page(once, report) == once
    with pytest.raises(ValueError, match="has no lines"):
        table.into_page("# Nothing\n", report)


def test_the_page_shows_the_kept_results() -> None:
    report = table.Report.of_json(json.loads((ROOT / "benchmarks" / "results.json").read_text()))
    page = (ROOT / "docs" / "performance.md").read_text()
    assert table.into_page(page, report) == page
    assert not report.quick
    assert not any(benchmark.failure for benchmark in report.benchmarks)


def test_the_command_measures_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home, temporary, page = tmp_path / "home", tmp_path / "temporary", tmp_path / "page.md"
    home.mkdir()
    temporary.mkdir()
    page.write_text(f"{table.BEGIN}\n{table.END}\n")
    environ = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
    listed = subprocess.run(
        [sys.executable, ROOT / "benchmarks", "--list"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert listed.returncode == 0
    assert "\nvalidate" in listed.stdout
    argv = ["--only", "validate", "--quick", "--rounds", "1", "--json", "results.json", "--page", "page.md"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks", *argv],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    data = json.loads((tmp_path / "results.json").read_text())
    (written,) = data["benchmarks"]
    (figure,) = (Figure(**{k: v for k, v in fields.items() if k != "over"}) for fields in written["figures"])
    assert figure.job in done.stdout
    assert figure.job in page.read_text()
    assert data["quick"] is True
    assert str(tmp_path) not in json.dumps(data)
    assert not list(home.iterdir())
    assert not list(temporary.iterdir())


def test_a_benchmark_that_fails_is_told_and_checked(tmp_path: Path) -> None:
    argv = ["--only", "flows", "--quick", "--rounds", "1", "--prefect1", "false", "--check"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks", *argv],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(
        r"^flows did not come to its end: RuntimeError: false .* ended with 1", done.stdout, re.M
    )
    assert done.stdout.endswith("0 over budget (!); failed: flows\n")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--only", "output"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/work/log")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) == 130
    assert not list(tmp_path.iterdir())
    assert not [link for link in Path("/proc").glob("[0-9]*/cwd") if str(tmp_path) in target(link)]


def target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # another's, or gone
        return ""
