"""Task plugins: draw numbers from the generator of `random.rng`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dioptra import pyplugs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HIGH = 2**31 - 1
"""What draws end before by default: the largest seed that every library takes."""


@pyplugs.register
def draw_random_integer(rng: np.random.Generator, low: int = 0, high: int | None = HIGH) -> int:
    """Draw one integer from `low` to `high` - 1, each equally likely; from 0 to `low` - 1 if `high` is None."""
    return int(rng.integers(low=low, high=high))


@pyplugs.register
def draw_random_integers(
    rng: np.random.Generator,
    low: int = 0,
    high: int | None = HIGH,
    size: int | tuple[int, ...] | None = None,
) -> npt.NDArray[np.int64]:
    """Draw an array of integers from `low` to `high` - 1, each equally likely.

    Args:
        rng: The generator to draw from.
        low: Smallest integer that may be drawn.
        high: One above the largest; None draws from 0 to `low` - 1.
        size: Shape of the array; None, 0 and () draw one number, into an array of shape (1,).
    """
    return rng.integers(low=low, high=high, size=size or 1)
