"""Draw a data set, so that none has to be downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dioptra import pyplugs
from PIL import Image, ImageDraw

SIDE = 64
"""Height and width of an image in pixels."""
CORNERS = {"circle": 0, "square": 4, "triangle": 3}


@pyplugs.register
def draw_shapes(data_dir: Path, images: int, rng: np.random.Generator) -> None:
    """Draw `images` images of each shape into `data_dir`/training, a quarter of them into `data_dir`/testing."""
    for subset, count in (("training", images), ("testing", max(1, images // 4))):
        for shape, corners in CORNERS.items():
            folder = data_dir / subset / shape
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                _draw(corners, rng).save(folder / f"{number:03}.png")


def _draw(corners: int, rng: np.random.Generator) -> Image.Image:
    noise = rng.integers(0, 90, (SIDE, SIDE), dtype=np.uint8)
    image = Image.fromarray(noise)
    radius = int(rng.integers(16, 24))
    x, y = (int(place) for place in rng.integers(26, SIDE - 26, 2))
    white = int(rng.integers(150, 256))
    draw = ImageDraw.Draw(image)
    if corners:
        draw.regular_polygon((x, y, radius), corners, rotation=int(rng.integers(-15, 16)), fill=white)
    else:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=white)
    return image
