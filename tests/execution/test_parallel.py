"""Work on many things at once: results in order, failures told, nothing left behind."""

from __future__ import annotations

import os
import signal

import pytest

from dioptra_cli.execution import parallel


@pytest.fixture(autouse=True)
def _several_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_processors", lambda: 3)


def children() -> list[str]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()


def test_results_come_in_order_from_several_processes() -> None:
    results = list(parallel.ordered_map(lambda item: (item * 2, os.getpid()), range(1000)))
    assert [result for result, _ in results] == [item * 2 for item in range(1000)]
    assert len({pid for _, pid in results} - {os.getpid()}) == 3


def test_few_items_stay_here() -> None:
    assert set(parallel.ordered_map(lambda _: os.getpid(), range(5))) == {os.getpid()}


def test_an_exception_is_raised_here() -> None:
    def fail(item: int) -> int:
        if item == 70:
            raise ValueError(f"item {item}")
        return item

    results = parallel.ordered_map(fail, range(1000))
    assert [next(results) for _ in range(70)] == list(range(70))
    with pytest.raises(ValueError, match="item 70"):
        next(results)


@pytest.mark.skipif(not os.path.exists(f"/proc/self/task/{os.getpid()}/children"), reason="needs /proc")
def test_a_dead_process_is_told_and_none_is_left() -> None:
    def die(item: int) -> int:
        if item == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    before = children()
    with pytest.raises(RuntimeError, match="has died"):
        list(parallel.ordered_map(die, range(1000)))
    unfinished = parallel.ordered_map(lambda item: b"x" * (100_000 + item), range(1000))
    next(unfinished)
    unfinished.close()  # type: ignore[attr-defined]  # it is a generator
    assert children() == before
