"""Train a scikit-learn network on images, and let it judge some."""

from __future__ import annotations

import logging
import warnings

import mlflow
import numpy as np
from dioptra import pyplugs
from sklearn.metrics import accuracy_score, classification_report, log_loss
from sklearn.neural_network import MLPClassifier

from digits.data import CLASSES, Images, Labels

LOGGER = logging.getLogger(__name__)

History = list[dict[str, float]]
"""What was measured after each epoch."""


@pyplugs.register
def train(
    network: MLPClassifier,
    training_images: Images,
    training_labels: Labels,
    testing_images: Images,
    testing_labels: Labels,
    epochs: int,
) -> History:
    """Train a network in place; measure it on both subsets after each epoch, and log that."""
    history: History = []
    rows = _rows(training_images)
    for epoch in range(1, epochs + 1):
        _pass_over(network, rows, training_labels)
        measured = {}
        for name, images, labels in (
            ("train", training_images, training_labels),
            ("test", testing_images, testing_labels),
        ):
            probabilities = network.predict_proba(_rows(images))
            measured[f"{name}_loss"] = float(log_loss(labels, probabilities, labels=CLASSES))
            measured[f"{name}_accuracy"] = float(accuracy_score(labels, probabilities.argmax(axis=1)))
        mlflow.log_metrics(measured, step=epoch)
        LOGGER.info("epoch %d/%d: test accuracy %.4f", epoch, epochs, measured["test_accuracy"])
        history.append(measured)
    return history


@pyplugs.register
def predict(network: MLPClassifier, images: Images) -> Labels:
    """Return the class that the network takes each image for."""
    return network.predict(_rows(images))


@pyplugs.register
def log_table(labels: Labels, predictions: Labels) -> None:
    """Print and log precision, recall and F1 of each class."""
    table = classification_report(labels, predictions, labels=CLASSES, digits=4, zero_division=0)
    print(table)
    mlflow.log_text(table, "per_class.txt")


def _pass_over(network: MLPClassifier, rows: Images, labels: Labels) -> None:
    """Train for one epoch. Ctrl-C ends it: scikit-learn would answer with a warning, and go on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Training interrupted by user")
        try:
            network.partial_fit(rows, labels, classes=CLASSES)
        except UserWarning:
            raise KeyboardInterrupt from None


def _rows(images: Images) -> Images:
    """Return images as the network takes them: one row of values for each."""
    return np.reshape(images, (len(images), -1))
