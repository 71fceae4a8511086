"""Task plugin: makes the random number generator of an entry point. Draws nothing from it."""

from __future__ import annotations

import logging

import numpy as np
from dioptra import pyplugs

LOGGER = logging.getLogger(__name__)


@pyplugs.register
@pyplugs.task_nout(2)
def init_rng(seed: int = -1) -> tuple[int, np.random.Generator]:
    """Make a random number generator, and tell its seed so that the run can be repeated.

    Args:
        seed: Seed of the generator; a negative one draws a fresh seed of 128 bits from the operating system.

    Returns:
        The seed that was used, which gives the same generator again, and the generator.
    """
    # default_rng(seed) seeds itself through SeedSequence, so the drawn entropy is as good as the generator's own.
    used = int(seed) if seed >= 0 else int(np.random.SeedSequence().entropy)  # type: ignore[arg-type]  # an int when drawn
    LOGGER.info("Random number generator with the seed %d", used)
    return used, np.random.default_rng(used)
