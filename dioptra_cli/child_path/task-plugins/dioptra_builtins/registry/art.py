"""Task plugin: registered models in the wrappers of the Adversarial Robustness Toolbox (ART).

Owns the wrapping; finding and reading the model is `registry.mlflow`'s work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dioptra import pyplugs
from dioptra.sdk.exceptions import ARTDependencyError, TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

from .mlflow import load_tensorflow_keras_classifier

if TYPE_CHECKING:
    from art.estimators.classification import TensorFlowV2Classifier

__all__ = ["load_wrapped_tensorflow_keras_classifier"]

_IMAGENET_MEAN = (103.939, 116.779, 123.680)
"""Mean of the blue, green and red of ImageNet, which `tf.keras.applications` subtracts in its mode "caffe"."""


@pyplugs.register
@require_package("art", exc_type=ARTDependencyError)
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def load_wrapped_tensorflow_keras_classifier(
    name: str,
    version: int,
    imagenet_preprocessing: bool = False,
    classifier_kwargs: dict[str, Any] | None = None,
    clip_values: tuple[float, float] | None = None,
) -> TensorFlowV2Classifier:
    """Load a registered Keras classifier and wrap it for ART.

    Args:
        name: The name of the registered model.
        version: Its version in the registry.
        imagenet_preprocessing: Subtract ImageNet's mean of each channel from the images, which then must have three
            channels, blue first, of values from 0 to 255.
        classifier_kwargs: Further arguments for `TensorFlowV2Classifier`; they win over what is set here.
        clip_values: The least and the greatest value of a pixel, for attacks to stay between; `None` lets them leave
            any range.

    Returns:
        An `art.estimators.classification.TensorFlowV2Classifier`: it runs in eager mode with every Keras, which
        ART's `KerasClassifier` does from ART 1.20 on alone.
    """
    import numpy as np
    from art.estimators.classification import TensorFlowV2Classifier

    model = load_tensorflow_keras_classifier(name=name, version=version)
    preprocessing = (np.array(_IMAGENET_MEAN), np.ones(3)) if imagenet_preprocessing else None
    arguments = {
        "nb_classes": model.output_shape[-1],
        "input_shape": tuple(model.input_shape[1:]),
        "loss_object": _loss_object(model.loss),
        "preprocessing": preprocessing,
        "clip_values": clip_values,
        **(classifier_kwargs or {}),
    }
    return TensorFlowV2Classifier(model=model, **arguments)


def _loss_object(loss: Any) -> Any:
    """Turn a Keras loss, by name or as a function, into an instance of its class where there is one.

    ART sets the `reduction` of the loss, and tells sparse labels by the class; a plain function has neither.
    """
    from tensorflow.keras import losses

    loss = losses.get(loss)
    class_name = "".join(word.capitalize() for word in getattr(loss, "__name__", "").split("_"))
    loss_class = getattr(losses, class_name, None) if class_name else None
    return loss if loss_class is None else loss_class()
