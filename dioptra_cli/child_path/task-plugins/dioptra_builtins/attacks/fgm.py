"""Task plugin: adversarial images by the Fast Gradient Method (FGM).

The method is that of I. Goodfellow, J. Shlens and C. Szegedy, "Explaining and Harnessing Adversarial Examples",
ICLR 2015 (arXiv:1412.6572), as the Adversarial Robustness Toolbox (ART) implements it. Owns the images that it
writes and the metrics that it logs; training and evaluating the classifier is the work of other plugins.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from dioptra import pyplugs
from dioptra.sdk.exceptions import ARTDependencyError, TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from art.estimators.classification import TensorFlowV2Classifier

__all__ = ["create_adversarial_fgm_dataset"]

LOGGER = logging.getLogger(__name__)

_COLOR_MODES = {1: "grayscale", 3: "rgb", 4: "rgba"}


@pyplugs.register
@require_package("art", exc_type=ARTDependencyError)
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def create_adversarial_fgm_dataset(
    data_dir: str,
    adv_data_dir: str | Path,
    keras_classifier: TensorFlowV2Classifier,
    image_size: tuple[int, int, int],
    distance_metrics_list: list[tuple[str, Callable[..., np.ndarray]]] | None = None,
    rescale: float = 1.0 / 255,
    batch_size: int = 32,
    label_mode: str = "categorical",
    eps: float = 0.3,
    eps_step: float = 0.1,
    minimal: bool = False,
    norm: int | float | str = math.inf,
) -> pd.DataFrame:
    """Write an adversarial twin of every image of a directory, and measure how far they are apart.

    The twin of `<class>/<name>` is `<adv_data_dir>/<index of the class>/adv_<name>`. The index has leading zeros
    where there are more than ten classes, so that the directories sort as the classes do. Keras stretches the values
    of each written image to the whole range of a pixel.

    For each metric `<m>` the active MLflow run gets `<m>_mean`, `<m>_median`, `<m>_stdev`, `<m>_iqr`, `<m>_min` and
    `<m>_max` over all images.

    Args:
        data_dir: The directory of the clean images, with a sub-directory for each class.
        adv_data_dir: The directory to write to; it is made if missing.
        keras_classifier: A trained classifier, wrapped for ART, such as
            `registry.art.load_wrapped_tensorflow_keras_classifier` returns.
        image_size: `(height, width, channels)` in pixels, to which the images are resized and converted; 1 channel
            is gray, 3 are RGB, 4 are RGBA.
        distance_metrics_list: Pairs of a name and a function of a clean and an adversarial batch that returns one
            number for each image, such as `metrics.distance.get_distance_metric_list` returns.
        rescale: What each value from 0 to 255 is multiplied with; `None` or `0` leaves the values as they are.
        batch_size: Images in a batch.
        label_mode: How the labels are read: `"categorical"`, `"binary"`, `"sparse"`, `"input"` or `None`. The attack
            does not use them.
        eps: The size of the perturbation, in the units of the rescaled images.
        eps_step: The step by which it grows if `minimal`.
        minimal: Look for the smallest perturbation up to `eps` that changes the class.
        norm: The norm that `eps` is measured in: `"inf"`, `numpy.inf`, `1` or `2`.

    Returns:
        A table with a row for each image: `image` (its file's name), `label` (its class), and a column for each
        metric.

    Raises:
        ValueError: The number of channels is not 1, 3 or 4, or there are no images.
    """
    import pandas as pd
    from art.attacks.evasion import FastGradientMethod
    from tensorflow.keras.preprocessing.image import ImageDataGenerator, save_img

    height, width, channels = image_size
    if channels not in _COLOR_MODES:
        raise ValueError(f"image_size={tuple(image_size)!r}: expected 1, 3 or 4 channels, found {channels!r}")
    attack = FastGradientMethod(
        estimator=keras_classifier,
        batch_size=batch_size,
        eps=eps,
        eps_step=eps_step,
        minimal=minimal,
        norm=norm,
    )
    images = ImageDataGenerator(rescale=rescale).flow_from_directory(
        directory=str(data_dir),
        target_size=(height, width),
        color_mode=_COLOR_MODES[channels],
        class_mode=label_mode,
        batch_size=batch_size,
        shuffle=False,
    )
    if not images.n:
        raise ValueError(
            f"{str(data_dir)!r}: no images; expected a sub-directory for each class with its images inside"
        )

    classes = [str(index).zfill(len(str(images.num_classes - 1))) for index in images.classes]
    for name in sorted(set(classes)):
        (Path(adv_data_dir) / name).mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[object]] = {"image": [], "label": []}
    distances: dict[str, list[float]] = {name: [] for name, _ in distance_metrics_list or []}

    for batch in range(len(images)):  # the iterator itself does not end
        LOGGER.info("FGM: batch %d of %d", batch + 1, len(images))
        clean = images[batch] if label_mode is None else images[batch][0]
        adversarial = attack.generate(x=clean)
        for offset, image in enumerate(adversarial):
            index = batch * batch_size + offset
            source = PurePath(images.filenames[index])
            name = "_".join(source.parts[1:])  # images may lie deeper than their class's directory
            save_img(str(Path(adv_data_dir) / classes[index] / f"adv_{name}"), image)
            columns["image"].append(name)
            columns["label"].append(source.parts[0])
        for metric, distance in distance_metrics_list or []:
            distances[metric].extend(distance(clean, adversarial))

    _log_distances(distances)
    return pd.DataFrame({**columns, **distances})


def _log_distances(distances: dict[str, list[float]]) -> None:
    """Log the distribution of each metric to the active MLflow run, in six numbers."""
    import mlflow
    import numpy as np

    for name, values in distances.items():
        quarter, median, three_quarters = np.percentile(values, [25, 50, 75])
        mlflow.log_metrics(
            {
                f"{name}_mean": float(np.mean(values)),
                f"{name}_median": float(median),
                f"{name}_stdev": float(np.std(values)),
                f"{name}_iqr": float(three_quarters - quarter),
                f"{name}_min": float(np.min(values)),
                f"{name}_max": float(np.max(values)),
            }
        )
