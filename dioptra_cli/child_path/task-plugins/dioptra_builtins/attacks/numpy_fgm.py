"""Task plugin: the fast gradient method on arrays in memory, for any model whose gradient is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from dioptra import pyplugs

if TYPE_CHECKING:
    import numpy.typing as npt

    Images = npt.NDArray[np.floating[Any]]


@pyplugs.register
def create_adversarial_images(
    classifier: Any,
    images: Images,
    labels: npt.ArrayLike,
    eps: float = 0.3,
    norm: float | str = "inf",
    clip_values: tuple[float, float] = (0.0, 1.0),
) -> Images:
    """Add to each image the change of a given size that raises the classifier's loss most, to first order.

    For the infinity norm that is the sign of the gradient (Goodfellow et al., https://arxiv.org/abs/1412.6572), for
    the others the gradient divided by its norm (Miyato et al., https://arxiv.org/abs/1605.07725).

    Args:
        classifier: What has a method `loss_gradient(x, y)` for a batch of the images' shape, as the estimators of the
            Adversarial Robustness Toolbox have, or what `estimators.sklearn_classifiers.loss_gradient` takes.
        images: Shape (n, …), in the range of `clip_values`.
        labels: True class of each image, shape (n,).
        eps: Norm of the change, in the unit of a pixel; before clipping.
        norm: "inf", 1 or 2.
        clip_values: Smallest and largest value of a pixel.

    Returns:
        The adversarial images, of the shape and type of `images`.

    Raises:
        ValueError: There is no such norm.
    """
    if float(norm) not in _DIRECTIONS:
        raise ValueError(f"the norm {norm!r} is none of inf, 1 and 2")
    rows = images.reshape(len(images), -1)
    if hasattr(classifier, "loss_gradient"):
        gradient = classifier.loss_gradient(images, labels).reshape(rows.shape)
    else:
        from dioptra_builtins.estimators.sklearn_classifiers import loss_gradient

        gradient = loss_gradient(classifier, rows, labels)
    step = eps * _DIRECTIONS[float(norm)](gradient).reshape(images.shape)
    adversarial: Images = np.clip(images + step, *clip_values).astype(images.dtype)
    return adversarial


def _unit(order: int) -> Any:
    def direction(gradient: Images) -> Images:
        norms = np.linalg.norm(gradient, ord=order, axis=1, keepdims=True)
        unit: Images = gradient / np.where(norms == 0, 1, norms)
        return unit

    return direction


_DIRECTIONS = {np.inf: np.sign, 1.0: _unit(1), 2.0: _unit(2)}
