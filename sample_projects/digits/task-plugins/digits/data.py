"""The handwritten digits as arrays, from scikit-learn or from a folder, and as PNG files.

Images have the shape (count, height, width, channels), from 0 for black to 1 for white; labels are the digits 0 to 9.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from dioptra import pyplugs
from dioptra_builtins.data.images import list_images, load_images
from PIL import Image

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
ImageSize = tuple[int, int, int]
"""Height, width, channels."""

CLASSES = np.arange(10)
SUMMARY = "prepared.json"


@pyplugs.register
@pyplugs.task_nout(2)
def load_digits(data_dir: Path | None, subset: str, image_size: ImageSize) -> tuple[Images, Labels]:
    """Return images and labels of "training" or "testing", from `data_dir` or, when that is None, scikit-learn."""
    if data_dir is None:
        return _from_scikit_learn(subset, image_size)
    images, indices, digits = load_images(data_dir, image_size, subset)
    labels = np.array([int(digit) for digit in digits])[indices]
    names = [path.name for path in list_images(data_dir / subset)]
    order = np.argsort(
        names, kind="stable"
    )  # the order in which `prepare` wrote them, instead of class by class
    return images[order], labels[order]


@pyplugs.register
def write_digits(data_dir: Path, image_size: ImageSize) -> dict[str, Any]:
    """Write scikit-learn's digits to `data_dir`/<subset>/<class>/<number>.png; return the counts of each class.

    All is written beside the folder and then moved into place, so nobody ever finds half a data set.
    """
    summary: dict[str, Any] = {"image_size": image_size}
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=data_dir.parent, prefix=f".{data_dir.name}-") as aside:
        new = Path(aside, "new")
        for subset in ("training", "testing"):
            images, labels = _from_scikit_learn(subset, image_size)
            _write(images, labels, new / subset)
            summary[subset] = np.bincount(labels).tolist()
        Path(new, SUMMARY).write_text(json.dumps(summary))
        if data_dir.exists():
            data_dir.rename(Path(aside, "old"))
        new.rename(data_dir)
    return summary


@pyplugs.register
def count_images(summary: dict[str, Any]) -> dict[str, int]:
    """Return how many images each subset has."""
    return {f"{subset}_images": sum(summary[subset]) for subset in ("training", "testing")}


def _from_scikit_learn(subset: str, image_size: ImageSize) -> tuple[Images, Labels]:
    import sklearn.datasets
    from sklearn.model_selection import train_test_split

    data, labels = sklearn.datasets.load_digits(return_X_y=True)
    pixels = np.rint(data * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)  # 17 grey levels to 256
    parts = train_test_split(pixels, labels, test_size=0.25, random_state=0, stratify=labels)
    pixels, labels = parts[subset == "testing" :: 2]
    return np.stack([_resized(image, image_size) for image in pixels]), labels


def _resized(pixels: npt.NDArray[np.uint8], image_size: ImageSize) -> Images:
    height, width, channels = image_size
    image = Image.fromarray(pixels).convert("L" if channels == 1 else "RGB")
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.float32).reshape(image_size) / np.float32(255)


def _write(images: Images, labels: Labels, folder: Path) -> None:
    pixels = np.rint(images * 255).astype(np.uint8)
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image).save(path)
