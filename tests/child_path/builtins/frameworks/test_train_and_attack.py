"""From a directory of images to an attacked classifier, with the real TensorFlow, ART and MLflow."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if not all(
    map(importlib.util.find_spec, ("tensorflow", "art"))
):  # importing them here would cost each worker seconds
    pytest.skip("needs tensorflow and adversarial-robustness-toolbox", allow_module_level=True)

import numpy as np
from PIL import Image

# Warnings of the frameworks' own making.
pytestmark = pytest.mark.filterwarnings("default")

SIZE = (16, 16, 1)


def write_images(directory: Path, each: int, classes: tuple[str, ...] = ("cat", "dog", "eel")) -> Path:
    """Write dark noise of 16 by 16 pixels with a bright band whose height on the image is the class."""
    random = np.random.default_rng(each)
    for number, name in enumerate(classes):
        (directory / name).mkdir(parents=True)
        for index in range(each):
            pixels = random.integers(0, 60, SIZE[:2], dtype=np.uint8)
            pixels[number * 5 : (number + 1) * 5] += 190
            Image.fromarray(pixels).save(directory / name / f"{index}.png")
    return directory


@dataclass(frozen=True)
class Trained:
    """A classifier that was fitted, logged and registered through the plugins."""

    testing_dir: Path
    model: Any
    version: Any
    run_id: str


@pytest.fixture(scope="module")
def trained(mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    import mlflow
    from dioptra_builtins.backend_configs.tensorflow import init_tensorflow
    from dioptra_builtins.data.tensorflow import create_image_dataset
    from dioptra_builtins.estimators.keras_classifiers import init_classifier
    from dioptra_builtins.estimators.methods import fit
    from dioptra_builtins.registry.mlflow import add_model_to_registry
    from dioptra_builtins.tracking.mlflow import log_tensorflow_keras_estimator

    directory = tmp_path_factory.mktemp("trained")
    training_dir = write_images(directory / "training", each=16)
    mlflow.set_tracking_uri(mlflow_uri)
    mlflow.set_experiment("builtins")
    init_tensorflow(seed=3)
    training, validation = (
        create_image_dataset(str(training_dir), subset, SIZE, seed=5, validation_split=0.25, batch_size=8)
        for subset in ("training", "validation")
    )
    with mlflow.start_run() as run:
        model = init_classifier("shallow_net", "adam", ["accuracy"], SIZE, n_classes=3)
        history = fit(
            estimator=model,
            x=training,
            fit_kwargs={"nb_epochs": 8, "validation_data": validation, "callbacks": None, "verbose": 0},
        )
        assert len(history.history["val_accuracy"]) == 8
        log_tensorflow_keras_estimator(estimator=model, model_dir="model")
        version = add_model_to_registry(active_run=run, name="bands", model_dir="model")
    mlflow.set_tracking_uri("")
    return Trained(write_images(directory / "testing", each=7), model, version, run.info.run_id)


def images_of(directory: Path) -> Any:
    from dioptra_builtins.data.tensorflow import create_image_dataset

    return create_image_dataset(str(directory), None, SIZE, seed=1, validation_split=None, batch_size=8)


@pytest.mark.usefixtures("active_run")
def test_the_registered_classifier_is_the_one_that_was_trained(trained: Trained) -> None:
    from dioptra_builtins.registry.mlflow import load_tensorflow_keras_classifier

    loaded = load_tensorflow_keras_classifier(name="bands", version=trained.version.version)
    assert int(trained.version.version) == 1
    assert trained.version.run_id == trained.run_id
    for ours, theirs in zip(trained.model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.evaluate(images_of(trained.testing_dir), verbose=0, return_dict=True)["accuracy"] > 0.95


def test_a_classifier_that_only_autologging_logged_is_registered_and_loaded(
    trained: Trained, active_run: Any
) -> None:
    import mlflow.tensorflow
    from dioptra_builtins.estimators.keras_classifiers import init_classifier
    from dioptra_builtins.estimators.methods import fit
    from dioptra_builtins.registry.mlflow import add_model_to_registry, load_tensorflow_keras_classifier

    model = init_classifier("shallow_net", "adam", ["accuracy"], SIZE, n_classes=3)
    mlflow.tensorflow.autolog(log_datasets=False)
    try:
        fit(estimator=model, x=images_of(trained.testing_dir), fit_kwargs={"nb_epochs": 1, "verbose": 0})
    finally:
        mlflow.tensorflow.autolog(disable=True)
    version = add_model_to_registry(active_run=active_run, name="autologged", model_dir="model")
    assert version is not None
    loaded = load_tensorflow_keras_classifier(name="autologged", version=int(version.version))
    for ours, theirs in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("flavor", ["keras", "tensorflow"])
def test_a_classifier_is_loaded_in_whichever_flavour_it_was_logged(
    trained: Trained, active_run: Any, flavor: str
) -> None:
    import mlflow
    from dioptra_builtins.registry.mlflow import add_model_to_registry, load_tensorflow_keras_classifier

    getattr(mlflow, flavor).log_model(trained.model, name="model")
    version = add_model_to_registry(active_run=active_run, name=f"bands in {flavor}", model_dir="model")
    assert version is not None
    loaded = load_tensorflow_keras_classifier(name=f"bands in {flavor}", version=int(version.version))
    for ours, theirs in zip(trained.model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("active_run")
def test_fgm_writes_a_twin_of_each_image_measures_it_and_fools_the_classifier(
    trained: Trained, logged: Any, tmp_path: Path
) -> None:
    from dioptra_builtins.attacks.fgm import create_adversarial_fgm_dataset
    from dioptra_builtins.metrics.distance import get_distance_metric_list
    from dioptra_builtins.registry.art import load_wrapped_tensorflow_keras_classifier

    classifier = load_wrapped_tensorflow_keras_classifier(name="bands", version=1)
    table = create_adversarial_fgm_dataset(
        data_dir=str(trained.testing_dir),
        adv_data_dir=tmp_path / "adversarial",
        keras_classifier=classifier,
        distance_metrics_list=get_distance_metric_list(
            [{"name": "l_infinity_norm", "func": "l_inf_norm"}, {"name": "l_2_norm", "func": "l_2_norm"}]
        ),
        batch_size=8,  # 21 images: the last batch is a smaller one
        image_size=SIZE,
        eps=0.5,
        eps_step=0.1,
        minimal=False,
        norm=np.inf,
    )
    assert list(table.columns) == ["image", "label", "l_infinity_norm", "l_2_norm"]
    assert list(table["label"]) == ["cat"] * 7 + ["dog"] * 7 + ["eel"] * 7
    assert list(table["image"]) == [f"{index}.png" for index in range(7)] * 3
    np.testing.assert_allclose(table["l_infinity_norm"], 0.5, atol=1e-5)
    written = sorted(
        path.relative_to(tmp_path / "adversarial").as_posix() for path in tmp_path.glob("adversarial/*/*")
    )
    assert written == [f"{label}/adv_{index}.png" for label in range(3) for index in range(7)]

    values = table["l_2_norm"]
    assert logged().metrics == pytest.approx(
        {
            "l_2_norm_mean": values.mean(),
            "l_2_norm_median": values.median(),
            "l_2_norm_stdev": values.std(ddof=0),
            "l_2_norm_iqr": values.quantile(0.75) - values.quantile(0.25),
            "l_2_norm_min": values.min(),
            "l_2_norm_max": values.max(),
            **{f"l_infinity_norm_{name}": 0.5 for name in ("mean", "median", "min", "max")},
            **{f"l_infinity_norm_{name}": 0.0 for name in ("stdev", "iqr")},
        },
        abs=1e-4,
    )
    accuracy = classifier.model.evaluate(images_of(tmp_path / "adversarial"), verbose=0, return_dict=True)[
        "accuracy"
    ]
    assert accuracy < 0.5


@pytest.mark.usefixtures("active_run")
@pytest.mark.parametrize("label_mode", ["sparse", "input", None])
def test_fgm_needs_no_labels(trained: Trained, tmp_path: Path, label_mode: Any) -> None:
    from dioptra_builtins.attacks.fgm import create_adversarial_fgm_dataset
    from dioptra_builtins.registry.art import load_wrapped_tensorflow_keras_classifier

    table = create_adversarial_fgm_dataset(
        str(trained.testing_dir),
        str(tmp_path / "adversarial"),
        load_wrapped_tensorflow_keras_classifier("bands", 1, clip_values=(0.0, 1.0)),
        SIZE,
        label_mode=label_mode,
    )
    assert list(table.columns) == ["image", "label"]
    assert len(list(tmp_path.glob("adversarial/*/adv_*.png"))) == 21


@pytest.mark.usefixtures("active_run")
def test_with_more_than_ten_classes_the_adversarial_images_keep_the_order_of_the_classes(
    trained: Trained, tmp_path: Path
) -> None:
    from dioptra_builtins.attacks.fgm import create_adversarial_fgm_dataset
    from dioptra_builtins.registry.art import load_wrapped_tensorflow_keras_classifier

    classes = tuple(f"class {letter}" for letter in "abcdefghijkl")
    create_adversarial_fgm_dataset(
        str(write_images(tmp_path / "clean", 1, classes)),
        tmp_path / "adversarial",
        load_wrapped_tensorflow_keras_classifier("bands", 1),
        SIZE,
    )
    assert sorted(path.name for path in (tmp_path / "adversarial").iterdir()) == [
        f"{n:02}" for n in range(12)
    ]


@pytest.mark.usefixtures("active_run")
def test_fgm_of_a_directory_without_images_is_refused(trained: Trained, tmp_path: Path) -> None:
    from dioptra_builtins.attacks.fgm import create_adversarial_fgm_dataset
    from dioptra_builtins.registry.art import load_wrapped_tensorflow_keras_classifier

    classifier = load_wrapped_tensorflow_keras_classifier("bands", 1)
    with pytest.raises(ValueError, match="no images; expected a sub-directory for each class"):
        create_adversarial_fgm_dataset(str(tmp_path), tmp_path / "adversarial", classifier, SIZE)


@pytest.mark.usefixtures("active_run")
def test_the_wrapper_clips_preprocesses_and_takes_arguments_of_its_own(trained: Trained) -> None:
    from dioptra_builtins.registry.art import load_wrapped_tensorflow_keras_classifier

    plain = load_wrapped_tensorflow_keras_classifier(name="bands", version=1)
    assert (plain.nb_classes, plain.input_shape, plain.clip_values) == (3, SIZE, None)
    clipped = load_wrapped_tensorflow_keras_classifier("bands", 1, clip_values=(0, 255))
    np.testing.assert_array_equal(clipped.clip_values, (0, 255))
    both = load_wrapped_tensorflow_keras_classifier("bands", 1, False, {"clip_values": (0, 1)}, (0, 255))
    np.testing.assert_array_equal(both.clip_values, (0, 1))
    imagenet = load_wrapped_tensorflow_keras_classifier("bands", 1, imagenet_preprocessing=True)
    np.testing.assert_allclose(imagenet.preprocessing.mean, (103.939, 116.779, 123.680))


@pytest.mark.parametrize(
    ("loss", "one_hot"),
    [("categorical_crossentropy", True), ("sparse_categorical_crossentropy", False), ("mse", True)],
)
def test_the_wrapper_computes_the_loss_of_each_image_that_keras_computes(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, loss: str, one_hot: bool
) -> None:
    from dioptra_builtins.registry import art

    trained.model.compile(loss=loss)
    monkeypatch.setattr(art, "load_tensorflow_keras_classifier", lambda **_: trained.model)
    classifier = art.load_wrapped_tensorflow_keras_classifier("bands", 1)
    images, labels = images_of(trained.testing_dir)[0]
    losses = classifier.compute_loss(images, labels, reduction="none")
    targets = labels if one_hot else labels.argmax(axis=1)
    expected = trained.model.evaluate(images, targets, verbose=0, return_dict=True)["loss"]
    assert losses.shape == (8,)
    assert losses.mean() == pytest.approx(expected, rel=1e-4)
    assert classifier.loss_gradient(images, labels).shape == images.shape
    trained.model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
