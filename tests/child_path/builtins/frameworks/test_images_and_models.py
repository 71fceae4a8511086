"""Images read, classifiers built and random states set with the real TensorFlow."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("tensorflow") is None:  # importing it here would cost each worker seconds
    pytest.skip("needs tensorflow", allow_module_level=True)

import numpy as np
from dioptra_builtins.backend_configs.tensorflow import init_tensorflow
from dioptra_builtins.data.tensorflow import create_image_dataset, get_n_classes_from_directory_iterator
from dioptra_builtins.estimators.keras_classifiers import init_classifier
from PIL import Image

# Warnings of the frameworks' own making.
pytestmark = pytest.mark.filterwarnings("default")


def write_images(directory: Path, classes: int, each: int) -> Path:
    """Write images of 8 by 8 pixels; those of class `n` are all of red 20 * n, green 100 and blue 200."""
    for number in range(classes):
        (directory / f"class{number}").mkdir(parents=True)
        for index in range(each):
            Image.new("RGB", (8, 8), (20 * number, 100, 200)).save(
                directory / f"class{number}" / f"{index}.png"
            )
    return directory


def test_a_dataset_yields_rescaled_batches_with_one_hot_labels(tmp_path: Path) -> None:
    images = create_image_dataset(
        data_dir=str(write_images(tmp_path / "images", classes=3, each=2)),
        subset=None,
        image_size=(4, 5, 3),
        seed=1,
        validation_split=None,
        batch_size=4,
    )
    assert get_n_classes_from_directory_iterator(ds=images) == 3
    assert [len(images[0][0]), len(images[1][0])] == [4, 2]
    batch, labels = images[0]
    assert batch.shape == (4, 4, 5, 3)
    assert batch.dtype == np.float32
    assert labels.shape == (4, 3)
    expected = np.stack([np.argmax(labels, axis=1) * 20, np.full(4, 100), np.full(4, 200)], axis=1) / 255
    np.testing.assert_allclose(batch[:, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_dataset_has_the_channels_that_were_asked_for(tmp_path: Path, channels: int) -> None:
    images = create_image_dataset(
        data_dir=str(write_images(tmp_path / "images", classes=2, each=1)),
        subset=None,
        image_size=(8, 8, channels),
        seed=1,
        validation_split=None,
    )
    assert images[0][0].shape == (2, 8, 8, channels)


def test_training_and_validation_images_are_apart_and_the_seed_gives_their_order(tmp_path: Path) -> None:
    directory = str(write_images(tmp_path / "images", classes=2, each=10))

    def read(subset: str, seed: int) -> Any:
        return create_image_dataset(directory, subset, (8, 8, 1), seed, validation_split=0.3, batch_size=20)

    training, validation = read("training", 1), read("validation", 1)
    assert (training.n, validation.n) == (14, 6)
    assert not set(training.filenames) & set(validation.filenames)
    np.testing.assert_array_equal(read("training", 1)[0][1], training[0][1])
    assert any((read("training", seed)[0][1] != read("training", 1)[0][1]).any() for seed in (2, 3, 4))


def test_a_dataset_with_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"image_size=\(8, 8, 2\): expected 1, 3 or 4 channels, found 2"):
        create_image_dataset(str(tmp_path), None, (8, 8, 2), seed=1, validation_split=None)


def test_a_directory_without_a_sub_directory_for_each_class_is_refused(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match=r"no images; expected a sub-directory for each class"):
        create_image_dataset(str(tmp_path), None, (8, 8, 1), seed=1, validation_split=None)


def test_too_few_images_for_a_validation_split_are_refused(tmp_path: Path) -> None:
    directory = write_images(tmp_path / "images", classes=2, each=2)
    with pytest.raises(ValueError, match=r"no images in the subset 'validation' of validation_split=0\.2"):
        create_image_dataset(str(directory), "validation", (8, 8, 1), seed=1)


@pytest.mark.parametrize(
    ("architecture", "shape", "parameters"),
    [
        # Counted by hand: 256 inputs to 32 units to 3, with biases.
        ("shallow_net", (16, 16, 1), 257 * 32 + 33 * 3),
        # 32 and 64 filters of 3 x 3, then 6 x 6 x 64 inputs to 128 units to 3.
        ("le_net", (16, 16, 1), 10 * 32 + (9 * 32 + 1) * 64 + (6 * 6 * 64 + 1) * 128 + 129 * 3),
        # 96 of 11 x 11, 256 of 5 x 5, 256, 384 and 384 of 3 x 3, then twice 4096 units; a normalised filter has 4.
        (
            "alex_net",
            (224, 224, 3),
            (363 + 1) * 96
            + (25 * 96 + 1) * 256
            + (9 * 256 + 1) * 256
            + (9 * 256 + 1) * 384
            + (9 * 384 + 1) * 384
            + 4 * (96 + 256 + 384)
            + (384 + 1) * 4096
            + 4097 * 4096
            + 4097 * 3,
        ),
    ],
)
def test_each_architecture_is_built_as_published(
    architecture: str, shape: tuple[int, int, int], parameters: int
) -> None:
    classifier = init_classifier(
        model_architecture=architecture,
        optimizer="adam",
        metrics=["accuracy"],
        input_shape=list(shape),  # type: ignore[arg-type]  # a flow hands lists on as lists
        n_classes=3,
    )
    assert classifier.input_shape == (None, *shape)
    assert classifier.output_shape == (None, 3)
    assert classifier.count_params() == parameters
    assert classifier.loss == "categorical_crossentropy"


def test_an_unknown_architecture_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'res_net'.*expected one of alex_net, le_net, shallow_net"):
        init_classifier("res_net", "adam", [], (8, 8, 1), 3)


@pytest.mark.parametrize("seed", [7, np.int64(7), -1])
def test_after_init_tensorflow_all_draws_repeat_and_eager_execution_stays(seed: int) -> None:
    import tensorflow as tf

    def draw() -> list[Any]:
        init_tensorflow(seed=seed)
        weights = init_classifier("shallow_net", "sgd", [], (4, 4, 1), 2).get_weights()
        return [*weights, tf.random.uniform((3,)).numpy(), np.random.rand(3)]  # the global state is meant

    for first, second in zip(draw(), draw()):
        np.testing.assert_array_equal(first, second)
    assert tf.executing_eagerly()


def test_after_init_tensorflow_task_plugins_for_keras_2_find_what_they_know(tmp_path: Path) -> None:
    import tensorflow as tf

    init_tensorflow(seed=1)
    legacy = importlib.import_module("tensorflow.keras.optimizers.legacy")
    metrics = [tf.keras.metrics.CategoricalAccuracy(name="accuracy"), tf.keras.metrics.AUC(name="auc")]
    classifier = init_classifier("shallow_net", legacy.Adam(0.01), metrics, (4, 4, 1), n_classes=2)
    images, labels = np.zeros((2, 4, 4, 1)), np.eye(2)
    values = classifier.evaluate(images, labels, verbose=0)
    assert classifier.metrics_names == ["loss", "accuracy", "auc"]
    measured = dict(zip(classifier.metrics_names, values))
    assert measured == pytest.approx(classifier.evaluate(images, labels, verbose=0, return_dict=True))
    assert issubclass(legacy.SGD, legacy.Optimizer)
    dataset = create_image_dataset(
        str(write_images(tmp_path / "images", classes=3, each=2)), None, (8, 8, 3), seed=1, batch_size=4
    )
    assert [len(dataset.next()[0]), len(dataset.next()[0])] == [4, 2]
