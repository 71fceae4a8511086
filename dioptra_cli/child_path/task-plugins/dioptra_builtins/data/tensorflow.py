"""Task plugins: directories of images as Keras iterators.

Owns the reading alone: where the images come from, and what is done with the batches, are other plugins' work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dioptra import pyplugs
from dioptra.sdk.exceptions import TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

if TYPE_CHECKING:
    from tensorflow.keras.preprocessing.image import DirectoryIterator

__all__ = ["create_image_dataset", "get_n_classes_from_directory_iterator"]

_COLOR_MODES = {1: "grayscale", 3: "rgb", 4: "rgba"}


@pyplugs.register
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def create_image_dataset(
    data_dir: str,
    subset: str | None,
    image_size: tuple[int, int, int],
    seed: int,
    rescale: float = 1.0 / 255,
    validation_split: float | None = 0.2,
    batch_size: int = 32,
    label_mode: str = "categorical",
) -> DirectoryIterator:
    """Make an iterator over the images of a directory that has one sub-directory for each class.

    Args:
        data_dir: The directory of the images.
        subset: `"training"` or `"validation"`, the part that `validation_split` makes; `None` for all images, and
            then `validation_split` must be `None` too.
        image_size: `(height, width, channels)` in pixels, to which the images are resized and converted; 1 channel
            is gray, 3 are RGB, 4 are RGBA.
        seed: Seeds the shuffling.
        rescale: What each value from 0 to 255 is multiplied with; `None` or `0` leaves the values as they are.
        validation_split: The part of the images kept for validation, between 0 and 1, or `None`.
        batch_size: Images in a batch.
        label_mode: `"categorical"` (one-hot), `"binary"`, `"sparse"`, `"input"`, or `None` for no labels.

    Returns:
        A `DirectoryIterator` that yields `(images, labels)`, images as float32 of shape
        `(batch, height, width, channels)`, labels as `label_mode` says. It does not end; its `len` is an epoch.

    Raises:
        ValueError: The number of channels is not 1, 3 or 4, or there are no images.
    """
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    height, width, channels = image_size
    if channels not in _COLOR_MODES:
        raise ValueError(f"image_size={tuple(image_size)!r}: expected 1, 3 or 4 channels, found {channels!r}")
    images = ImageDataGenerator(rescale=rescale, validation_split=validation_split).flow_from_directory(
        directory=str(data_dir),
        target_size=(height, width),
        color_mode=_COLOR_MODES[channels],
        class_mode=label_mode,
        batch_size=batch_size,
        seed=seed,
        subset=subset,
    )
    if not images.n:
        part = f" in the subset {subset!r} of validation_split={validation_split}" if subset else ""
        raise ValueError(
            f"{str(data_dir)!r}: no images{part}; expected a sub-directory for each class with its images inside"
        )
    return images


@pyplugs.register
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def get_n_classes_from_directory_iterator(ds: DirectoryIterator) -> int:
    """Count the classes, that is the sub-directories, that `create_image_dataset` found."""
    return len(ds.class_indices)
