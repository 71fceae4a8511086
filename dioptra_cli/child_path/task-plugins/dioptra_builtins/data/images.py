"""Task plugins: data sets that are a directory of image files with one subdirectory for each class.

Whatever lies above the image files is a class only to `load_images`; `resize` and `rotate` write the same tree again,
so they take a whole data set, with its training and testing parts, as well as one part. None changes its input.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from dioptra import pyplugs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

LOGGER = logging.getLogger(__name__)

EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
"""Extensions of image files; other files are passed over."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode for each number of channels."""


@pyplugs.register
def list_images(data_dir: str | os.PathLike[str]) -> list[Path]:
    """Return the paths of all image files below a directory, in the order of their names.

    Raises:
        FileNotFoundError: There is no such directory, or no image in it.
    """
    root = Path(data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no directory {root}")
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
    if not paths:
        raise FileNotFoundError(f"there is no image ({', '.join(sorted(EXTENSIONS))}) below {root}")
    return paths


@pyplugs.register
@pyplugs.task_nout(3)
def load_images(
    data_dir: str | os.PathLike[str],
    image_size: tuple[int, int, int] | None = None,
    subset: str | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], list[str]]:
    """Read the images of a directory that has one subdirectory for each class.

    Args:
        data_dir: The directory.
        image_size: Height, width and channels (1, 3 or 4) to convert each image to; None for those of the first one.
        subset: Part of the data set, such as "training": a directory below `data_dir` that has the classes.

    Returns:
        The images, shape (n, height, width, channels), from 0 for none of a colour to 1 for all of it; the class of
        each as an index, shape (n,); and the names of the classes, sorted. The images are in the order of
        `list_images`.

    Raises:
        FileNotFoundError: There is no such directory, or no image in it.
        ValueError: An image lies beside the subdirectories, or `image_size` is none.
    """
    import numpy as np

    root = Path(data_dir, subset or "")
    paths = list_images(root)
    names = [path.relative_to(root).parts[0] for path in paths]
    beside = [path for path in paths if path.parent == root]
    if beside:
        raise ValueError(f"{beside[0]} is in no subdirectory, so it has no class")
    classes = sorted(set(names))
    if image_size is None:
        image_size = _size_of(paths[0])
    images = np.stack([_read(path, image_size) for path in paths])
    LOGGER.info("%d images of %d classes read from %s", len(images), len(classes), root)
    return images, np.array([classes.index(name) for name in names], dtype=np.int64), classes


@pyplugs.register
def flatten(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return images of shape (n, height, width, channels) as rows of values, shape (n, values), for scikit-learn."""
    return images.reshape(len(images), -1)


@pyplugs.register
def resize(
    data_dir: str | os.PathLike[str],
    image_size: tuple[int, int, int],
    output_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Write each image of a directory again in another size, as a PNG file.

    Args:
        data_dir: The directory, with images at any depth.
        image_size: Height and width in pixels, and channels: 1 for grey, 3 for red, green and blue, 4 with opacity.
        output_dir: Directory to write the same tree to; None for a temporary one, called `images`, that goes when the
            process ends.

    Returns:
        The directory that was written to.

    Raises:
        FileNotFoundError: There is no such directory, or no image in it.
        ValueError: `image_size` is not that, or `output_dir` is `data_dir` or below it.
    """
    height, width, channels = _checked(image_size)

    def change(image: Image.Image) -> Image.Image:
        from PIL.Image import Resampling

        return image.convert(MODES[channels]).resize((width, height), Resampling.BICUBIC)

    return _rewrite(data_dir, output_dir, change)


@pyplugs.register
def rotate(
    data_dir: str | os.PathLike[str], angle: float, output_dir: str | os.PathLike[str] | None = None
) -> Path:
    """Write each image of a directory again, turned about its centre, as a PNG file of the same size.

    Args:
        data_dir: The directory, with images at any depth.
        angle: Degrees, counter-clockwise. What comes into the picture from outside is black.
        output_dir: Directory to write the same tree to; None for a temporary one, called `images`, that goes when the
            process ends.

    Returns:
        The directory that was written to.

    Raises:
        FileNotFoundError: There is no such directory, or no image in it.
        ValueError: `output_dir` is `data_dir` or below it.
    """

    def change(image: Image.Image) -> Image.Image:
        from PIL.Image import Resampling

        # A palette has no colours between its own ones, and turning has to mix them.
        straight = image.convert("RGB") if image.mode == "P" else image
        return straight.rotate(angle, Resampling.BICUBIC)

    return _rewrite(data_dir, output_dir, change)


def _rewrite(
    data_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None,
    change: Callable[[Image.Image], Image.Image],
) -> Path:
    from PIL import Image

    root = Path(data_dir)
    output = _temporary_directory() if output_dir is None else Path(output_dir)
    if root.resolve() in (output.resolve(), *output.resolve().parents):
        raise ValueError(f"the output directory {output} is inside of the data directory {root}")
    paths = list_images(root)
    for path in paths:
        # The whole name stays before .png, so that one.jpg and one.png do not become one file.
        name = path.name if path.suffix == ".png" else f"{path.name}.png"
        target = output / path.relative_to(root).parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            change(image).save(target)
    LOGGER.info("%d images of %s written to %s", len(paths), root, output)
    return output


def _read(path: Path, image_size: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    import numpy as np
    from PIL import Image

    height, width, channels = _checked(image_size)
    with Image.open(path) as image:
        converted = image.convert(MODES[channels])
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BICUBIC)
    pixels: npt.NDArray[np.float32] = np.asarray(converted, dtype=np.float32).reshape(
        image_size
    ) / np.float32(255)
    return pixels


def _size_of(path: Path) -> tuple[int, int, int]:
    from PIL import Image

    with Image.open(path) as image:
        grey = image.mode in {"1", "L", "I", "F"} or image.mode.startswith("I;")
        return image.height, image.width, 1 if grey else 3


def _checked(image_size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return an image size.

    Raises:
        ValueError: It is none.
    """
    if len(image_size) != 3 or min(image_size) < 1 or image_size[2] not in MODES:
        raise ValueError(f"{image_size} is not height, width and channels (1, 3 or 4)")
    height, width, channels = image_size
    return height, width, channels


def _temporary_directory() -> Path:
    directory = tempfile.mkdtemp(prefix="images-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory, "images")  # the same name for every run, for archives of it have the name
