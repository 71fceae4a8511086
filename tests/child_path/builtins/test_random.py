"""The seeds and numbers that entry points draw."""

from __future__ import annotations

import numpy as np
import pytest
from dioptra_builtins.random.rng import init_rng
from dioptra_builtins.random.sample import draw_random_integer, draw_random_integers


def test_a_seed_gives_the_generator_of_that_seed() -> None:
    seed, rng = init_rng(seed=7)
    assert seed == 7
    assert rng.random(3).tolist() == np.random.default_rng(7).random(3).tolist()


def test_a_drawn_seed_is_told_and_gives_the_same_generator() -> None:
    seed, rng = init_rng(seed=-1)
    assert type(seed) is int
    assert seed >= 0
    assert rng.random(3).tolist() == init_rng(seed=seed)[1].random(3).tolist()
    assert init_rng()[0] != seed


def test_both_results_can_be_unpacked_in_a_flow() -> None:
    from dioptra import pyplugs

    assert pyplugs.get_task("dioptra_builtins.random", "rng", "init_rng").nout == 2


def test_integers_are_drawn_from_low_to_below_high() -> None:
    rng = np.random.default_rng(0)
    assert {draw_random_integer(rng=rng, low=3, high=6) for _ in range(60)} == {3, 4, 5}
    assert {draw_random_integer(rng=rng, low=2, high=None) for _ in range(40)} == {0, 1}
    assert type(draw_random_integer(rng=rng)) is int
    assert 0 <= draw_random_integer(rng=rng) < 2**31 - 1


@pytest.mark.parametrize(
    ("size", "shape"), [(None, (1,)), (4, (4,)), ((2, 3), (2, 3)), (0, (1,)), ((), (1,))]
)
def test_the_size_is_the_shape_and_nothing_means_one(
    size: int | tuple[int, ...] | None, shape: tuple[int, ...]
) -> None:
    numbers = draw_random_integers(rng=np.random.default_rng(0), low=5, high=7, size=size)
    assert numbers.shape == shape
    assert set(numbers.flat) <= {5, 6}
