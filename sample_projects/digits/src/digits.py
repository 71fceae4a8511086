"""The handwritten digits as arrays, from scikit-learn or from a folder that `prepare` wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import sklearn.datasets
from PIL import Image
from sklearn.model_selection import train_test_split

ImageSize = tuple[int, int, int]
"""Height, width, channels."""

CLASSES = np.arange(10)


@dataclass(frozen=True)
class Split:
    """Images of shape (count, height, width, channels), from 0 for black to 1 for white, and their class."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    @property
    def inputs(self) -> npt.NDArray[np.float32]:
        """The images as the network takes them: one row of values for each."""
        return self.images.reshape(len(self.images), -1)


@dataclass(frozen=True)
class Digits:
    """The data set, which is always split in the same way."""

    training: Split
    testing: Split


def load_digits(data_dir: Path | None, image_size: ImageSize) -> Digits:
    """Read the images below `data_dir`, or take those of scikit-learn when it is None.

    Raises:
        click.BadParameter: `data_dir` has no images where `prepare` puts them.
    """
    if data_dir is None:
        return _from_scikit_learn(image_size)
    return Digits(*(_from_folder(data_dir / split, image_size) for split in ("training", "testing")))


def _from_scikit_learn(image_size: ImageSize) -> Digits:
    data, labels = sklearn.datasets.load_digits(return_X_y=True)
    pixels = np.rint(data * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)  # 17 grey levels to 256
    images = np.stack([_to_array(Image.fromarray(image), image_size) for image in pixels])
    parts = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    training_images, testing_images, training_labels, testing_labels = parts
    return Digits(Split(training_images, training_labels), Split(testing_images, testing_labels))


def _from_folder(folder: Path, image_size: ImageSize) -> Split:
    paths = sorted(folder.glob("[0-9]/*.png"), key=lambda path: path.name)
    if not paths:
        raise click.BadParameter(f"there is no {folder}/<class>/*.png", param_hint="--data-dir")
    images = np.stack([_to_array(Image.open(path), image_size) for path in paths])
    return Split(images, np.array([int(path.parent.name) for path in paths]))


def _to_array(image: Image.Image, image_size: ImageSize) -> npt.NDArray[np.float32]:
    height, width, channels = image_size
    resized = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BICUBIC)
    pixels: npt.NDArray[np.float32] = np.asarray(resized, dtype=np.float32).reshape(image_size)
    return np.divide(pixels, 255, dtype=np.float32)
