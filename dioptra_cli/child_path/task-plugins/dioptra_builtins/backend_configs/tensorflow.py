"""Task plugin: TensorFlow set up for a run that can be repeated.

Owns the random state of TensorFlow, Keras, NumPy and Python, and what Keras 3 is given back of Keras 2. Must not
disable eager execution: Keras 3 iterates over a `tf.data.Dataset` in eager mode only, and ART computes its gradients
there.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from dioptra import pyplugs
from dioptra.sdk.exceptions import TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

__all__ = ["init_tensorflow"]


@pyplugs.register
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def init_tensorflow(seed: int) -> None:
    """Seed every random generator that TensorFlow and Keras draw from.

    Call it before anything else of TensorFlow is used. It also lets task plugins for Keras 2 run on Keras 3.

    Args:
        seed: Any integer; the generators see it modulo 2**32, the range that they share.
    """
    import tensorflow as tf

    if hasattr(tf.keras, "ops"):  # Keras 3, and not Keras 2 in its place (TF_USE_LEGACY_KERAS=1)
        with contextlib.suppress(ImportError, AttributeError):  # a later Keras may lack what this mends
            _restore_keras_2(tf.keras)

    # tf.random.set_seed alone does not do: Keras 3 seeds its initial weights from Python's own generator.
    tf.keras.utils.set_random_seed(int(seed) % 2**32)


def _restore_keras_2(keras: Any) -> None:
    """Give Keras 3 back three things that task plugins for Keras 2 rely on.

    `tensorflow.keras.optimizers.legacy` has names that only raise: they become the optimizers of today.
    `metrics_names` lists all metrics that were compiled as one: it names each again, as `evaluate` returns them.
    The iterators over images have no `next()` any more: they get it.
    """
    # By import, which makes another module of it than the attribute of tf.keras is until then.
    legacy = importlib.import_module("tensorflow.keras.optimizers.legacy")
    for name in ("Adagrad", "Adam", "Ftrl", "RMSprop", "SGD", "Optimizer"):
        setattr(legacy, name, getattr(keras.optimizers, name))
    keras.Model.metrics_names = property(
        lambda model: [each.name for metric in model.metrics for each in getattr(metric, "metrics", [metric])]
    )
    iterator = keras.preprocessing.image.Iterator
    iterator.next = iterator.__next__
