"""The pictures that the entry points log, drawn without pyplot and so without a backend or any global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mlflow
import numpy as np
import numpy.typing as npt
from dioptra import pyplugs
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from digits.data import CLASSES, Images, Labels

TRAIN, TEST = "tab:blue", "tab:orange"
RIGHT, WRONG = "tab:green", "tab:red"


@pyplugs.register
def log_learning_curves(history: Sequence[Mapping[str, float]]) -> None:
    """Log loss and accuracy by epoch."""
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, colour in (("train", TRAIN), ("test", TEST)):
            values = [epoch[f"{split}_{measure}"] for epoch in history]
            axes.plot(epochs, values, colour, linewidth=2, marker=".", label=f"{split} ({values[-1]:.3f})")
        axes.set(xlabel="epoch", title=measure.capitalize())
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    mlflow.log_figure(figure, "learning_curves.png")


@pyplugs.register
def log_confusion_matrix(labels: Labels, predictions: Labels) -> None:
    """Log how often each class was taken for each other one."""
    counts = confusion_matrix(labels, predictions, labels=CLASSES)
    figure = Figure(figsize=(6, 6), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.sqrt(counts), cmap="Blues")  # the root keeps the few mistakes visible beside the many hits
    for (row, column), count in np.ndenumerate(counts):
        if count:
            dark = count > counts.max() / 3
            axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    axes.set(xlabel="predicted", ylabel="true", xticks=CLASSES, yticks=CLASSES)
    axes.set_title(f"{np.trace(counts)} of {counts.sum()} right")
    axes.tick_params(length=0)
    mlflow.log_figure(figure, "confusion_matrix.png")


@pyplugs.register
def log_contact_sheet(images: Images, labels: Labels, columns: int = 20) -> None:
    """Log the first images of each class, one class to a row."""
    rows = [np.hstack([_framed(image) for image in images[labels == label][:columns]]) for label in CLASSES]
    figure = Figure(figsize=(columns / 2, len(CLASSES) / 2), dpi=120)
    _show(figure.add_axes((0, 0, 1, 1)), np.vstack(rows))
    mlflow.log_figure(figure, "contact_sheet.png")


@pyplugs.register
def log_attack(
    labels: Labels,
    clean_images: Images,
    adversarial_images: Images,
    clean_predictions: Labels,
    adversarial_predictions: Labels,
) -> None:
    """Log one image of each class before the attack, what the attack added, and the result."""
    hit = (clean_predictions == labels) & (adversarial_predictions != labels)
    classes = np.unique(labels)
    # argmax finds the first image of the class that the attack turned; without any, the first of the class.
    chosen = [int(np.argmax((labels == label) * (1 + hit))) for label in classes]
    change = adversarial_images - clean_images
    limit = float(np.abs(change).max()) or 1.0

    figure = Figure(figsize=(1.2 + len(classes), 3.9), dpi=120, layout="constrained")
    grid = figure.subplots(3, len(classes), squeeze=False)
    for column, index in zip(grid.T, chosen, strict=True):
        _show(column[0], clean_images[index])
        _show(column[1], 0.5 + change[index] / (2 * limit))
        _show(column[2], adversarial_images[index])
        for axes, predictions in ((column[0], clean_predictions), (column[2], adversarial_predictions)):
            predicted = predictions[index]
            axes.set_title(predicted, color=RIGHT if predicted == labels[index] else WRONG)
    for axes, name in zip(grid[:, 0], ("clean", f"change\n(±{limit:.2g})", "adversarial"), strict=True):
        axes.text(-0.15, 0.5, name, transform=axes.transAxes, ha="right", va="center")
    figure.suptitle("Predictions before and after the attack")
    mlflow.log_figure(figure, "attack.png")


def _framed(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.pad(image, ((1, 1), (1, 1), (0, 0)), constant_values=1)


def _show(axes: Axes, image: npt.NDArray[np.float32]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()
