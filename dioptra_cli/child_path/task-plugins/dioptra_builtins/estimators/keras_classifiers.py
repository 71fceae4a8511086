"""Task plugin: untrained image classifiers in Keras.

Owns the architectures and their names; training and evaluating them is the work of other plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dioptra import pyplugs
from dioptra.sdk.exceptions import TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorflow.keras.models import Sequential
    from tensorflow.keras.optimizers import Optimizer

__all__ = ["KERAS_CLASSIFIERS_REGISTRY", "alex_net", "init_classifier", "le_net", "shallow_net"]


@pyplugs.register
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def init_classifier(
    model_architecture: str,
    optimizer: Optimizer,
    metrics: list[Any],
    input_shape: tuple[int, int, int],
    n_classes: int,
    loss: str = "categorical_crossentropy",
) -> Sequential:
    """Build and compile an untrained image classifier.

    Args:
        model_architecture: `"shallow_net"`, `"le_net"` or `"alex_net"`.
        optimizer: A Keras optimizer, or its name.
        metrics: Keras metrics, or their names, to compute while training and testing.
        input_shape: `(height, width, channels)` of an image.
        n_classes: How many labels there are.
        loss: The name of a loss of `tf.keras.losses`.

    Returns:
        A compiled `tf.keras.Sequential` that maps `(batch, height, width, channels)` to probabilities of shape
        `(batch, n_classes)`.

    Raises:
        ValueError: There is no architecture of that name, or the images are too small for it.
    """
    if model_architecture not in KERAS_CLASSIFIERS_REGISTRY:
        known = ", ".join(sorted(KERAS_CLASSIFIERS_REGISTRY))
        raise ValueError(
            f"model_architecture={model_architecture!r}: no such architecture; expected one of {known}"
        )
    classifier = KERAS_CLASSIFIERS_REGISTRY[model_architecture](input_shape, n_classes)
    classifier.compile(loss=loss, optimizer=optimizer, metrics=metrics)
    return classifier


def shallow_net(input_shape: tuple[int, int, int], n_classes: int) -> Sequential:
    """Build a network with a single hidden layer of 32 sigmoid units."""
    from tensorflow.keras import Input, Sequential, layers

    return Sequential(
        [
            Input(shape=tuple(input_shape)),
            layers.Flatten(),
            layers.Dense(32, activation="sigmoid"),
            layers.Dense(n_classes, activation="softmax"),
        ]
    )


def le_net(input_shape: tuple[int, int, int], n_classes: int) -> Sequential:
    """Build a convolutional network in the manner of LeNet-5, with ReLU units and dropout."""
    from tensorflow.keras import Input, Sequential, layers

    return Sequential(
        [
            Input(shape=tuple(input_shape)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(n_classes, activation="softmax"),
        ]
    )


def alex_net(input_shape: tuple[int, int, int], n_classes: int) -> Sequential:
    """Build a convolutional network in the manner of AlexNet, for images of about 224 by 224 pixels."""
    from tensorflow.keras import Input, Sequential, layers

    return Sequential(
        [
            Input(shape=tuple(input_shape)),
            layers.Conv2D(96, kernel_size=(11, 11), strides=(4, 4), activation="relu"),
            layers.MaxPooling2D(pool_size=(3, 3), strides=(2, 2)),
            layers.BatchNormalization(),
            layers.Conv2D(256, kernel_size=(5, 5), activation="relu"),
            layers.MaxPooling2D(pool_size=(3, 3), strides=(2, 2)),
            layers.BatchNormalization(),
            layers.Conv2D(256, kernel_size=(3, 3), activation="relu"),
            layers.Conv2D(384, kernel_size=(3, 3), activation="relu"),
            layers.Conv2D(384, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(3, 3), strides=(2, 2)),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(4096, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(4096, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(n_classes, activation="softmax"),
        ]
    )


KERAS_CLASSIFIERS_REGISTRY: dict[str, Callable[[tuple[int, int, int], int], Sequential]] = {
    "shallow_net": shallow_net,
    "le_net": le_net,
    "alex_net": alex_net,
}
