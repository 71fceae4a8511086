"""Task plugin: TensorFlow set up for a run that can be repeated.

Owns the random state of TensorFlow, Keras, NumPy and Python. Must not disable eager execution: Keras 3 iterates
over a `tf.data.Dataset` in eager mode only, and ART computes its gradients there.
"""

from __future__ import annotations

from dioptra import pyplugs
from dioptra.sdk.exceptions import TensorflowDependencyError
from dioptra.sdk.utilities.decorators import require_package

__all__ = ["init_tensorflow"]


@pyplugs.register
@require_package("tensorflow", exc_type=TensorflowDependencyError)
def init_tensorflow(seed: int) -> None:
    """Seed every random generator that TensorFlow and Keras draw from.

    Call it before anything else of TensorFlow is used.

    Args:
        seed: Any integer; the generators see it modulo 2**32, the range that they share.
    """
    import tensorflow as tf

    # tf.random.set_seed alone does not do: Keras 3 seeds its initial weights from Python's own generator.
    tf.keras.utils.set_random_seed(int(seed) % 2**32)
