"""The task plugins that log to MLflow and read from it, on a real store."""

from __future__ import annotations

import logging
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dioptra.sdk.exceptions import TensorflowDependencyError
from dioptra_builtins.artifacts import mlflow as artifacts
from dioptra_builtins.artifacts.exceptions import UnsupportedDataFrameFileFormatError
from dioptra_builtins.artifacts.utils import extract_tarfile
from dioptra_builtins.estimators import methods
from dioptra_builtins.registry import mlflow as registry
from dioptra_builtins.tracking.mlflow import log_metrics, log_parameters, log_tensorflow_keras_estimator

# MLflow uses a part of SQLAlchemy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_metrics_are_logged_as_numbers(logged: Any) -> None:
    log_metrics(metrics={"accuracy": np.float32(0.5), "images": 3, "loss": np.float64(0.25)})
    log_metrics(metrics={"loss": 0.125}, step=2)
    assert logged().metrics == {"accuracy": 0.5, "images": 3, "loss": 0.125}


@pytest.mark.parametrize("value", [np.array([1.5]), np.array([[1.5]]), np.array(1.5), pd.Series([1.5])])
def test_an_array_of_one_number_is_a_number(value: Any, logged: Any) -> None:
    log_metrics(metrics={"distance": value})
    assert logged().metrics == {"distance": 1.5}


@pytest.mark.parametrize("value", [None, "high", [1, 2], np.array([1, 2]), np.array([]), np.array([None])])
def test_what_is_no_number_is_named(value: Any, logged: Any) -> None:
    with pytest.raises(TypeError, match=r"the metric 'accuracy' is .*, which is not a number"):
        log_metrics(metrics={"loss": 1.0, "accuracy": value})
    assert logged().metrics == {}


def test_parameters_of_any_kind_are_logged(logged: Any) -> None:
    many = {f"many/{number}": number for number in range(250)}
    log_parameters(parameters={"none": None, "long": "x" * 20_000, "size": (28, 28, 1), **many})
    params = logged().params
    assert params["none"] == "None"
    assert params["long"].startswith("x" * 200)
    assert params["size"] == "(28, 28, 1)"
    assert len(params) == 253


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("30", 30),
        ("30", 30.0),
        ("1e-1", 0.1),
        ("28,28,1", (28, 28, 1)),
        ("28, 28, 1", [28, 28, 1]),
        ("true", True),
        ("False", False),
        ("", None),
        ("340282366920938463463374607431768211455", 2**128 - 1),
        ("/data", Path("/data")),
        ("x" * 20_000, "x" * 20_000),
    ],
)
def test_a_parameter_that_the_run_has_already_may_be_logged_again(
    given: str, value: Any, logged: Any
) -> None:
    import mlflow

    mlflow.log_param("p", given)
    before = logged().params["p"]
    log_parameters(parameters={"p": value, "q": 1})
    log_parameters(parameters={"p": value, "q": 1})
    assert logged().params == {"p": before, "q": "1"}


@pytest.mark.parametrize(
    ("given", "value"), [("-1", 12), ("0", False), ("a", "A"), (str(2**128 - 1), 2**128 - 2)]
)
def test_a_parameter_cannot_change(given: str, value: Any, logged: Any, active_run: Any) -> None:
    import mlflow

    mlflow.log_param("seed", given)
    message = f"the parameter 'seed' of run {active_run.info.run_id} is '{given}' already and cannot become '{value}'"
    with pytest.raises(ValueError, match=message):
        log_parameters(parameters={"new": 1, "seed": value})
    assert logged().params == {"seed": given}


@pytest.mark.parametrize(
    ("file_format", "name"),
    [
        ("csv", "table.csv"),
        ("csv.gz", "table.csv.gz"),
        ("csv.bz2", "table.csv.bz2"),
        ("csv.xz", "table.csv.xz"),
        ("json", "table.json"),
        ("pickle", "table.pkl"),
    ],
)
def test_a_data_frame_becomes_an_artifact(
    file_format: str, name: str, logged: Any, active_run: Any, tmp_path: Path
) -> None:
    table = pd.DataFrame({"image": ["a", "b"], "distance": [0.5, 1.5]})
    kwargs = {"index": False} if file_format.startswith("csv") else None
    artifacts.upload_data_frame_artifact(
        data_frame=table,
        file_name="somewhere/table.csv.gz",
        file_format=file_format,
        file_format_kwargs=kwargs,
        working_dir=tmp_path,
    )
    assert logged().artifacts == [name]
    path = artifacts.download_all_artifacts_in_run(
        run_id=active_run.info.run_id, artifact_path=name, destination_path=tmp_path / "new" / "place"
    )
    assert Path(path).parent == tmp_path / "new" / "place"
    read = {"csv": pd.read_csv, "json": pd.read_json, "pickle": pd.read_pickle}[
        file_format[: file_format.find(".")] if "." in file_format else file_format
    ]
    pd.testing.assert_frame_equal(read(path), table)


def test_a_format_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedDataFrameFileFormatError, match="'xlsx'; the formats are csv, "):
        artifacts.upload_data_frame_artifact(pd.DataFrame(), "t", "xlsx", working_dir=tmp_path)


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:xz"])
def test_a_directory_goes_through_a_run_to_another_place(
    mode: str, active_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adv_testing" / "7").mkdir(parents=True)
    (tmp_path / "adv_testing" / "7" / "image.png").write_bytes(b"png")
    artifacts.upload_directory_as_tarball_artifact(
        source_dir="adv_testing", tarball_filename="adv.tar", tarball_write_mode=mode
    )
    archive = artifacts.download_all_artifacts_in_run(run_id=active_run.info.run_id, artifact_path="adv.tar")
    extract_tarfile(
        filepath=archive,
        tarball_read_mode=mode.replace("w", "r") if ":" in mode else "r:",
        output_dir="there",
    )
    assert (tmp_path / "there" / "adv_testing" / "7" / "image.png").read_bytes() == b"png"


@pytest.fixture
def logged_archive(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the list that the paths of uploaded files go to, in the place of a run."""
    paths: list[Path] = []
    monkeypatch.setattr(
        artifacts, "upload_file_as_artifact", lambda *, artifact_path: paths.append(artifact_path)
    )
    return paths


@pytest.mark.parametrize(
    ("given", "cwd", "name"),
    [
        ("latest", ".", "latest"),
        ("latest/", ".", "latest"),
        (".", "7", "7"),
        ("..", "7/sub", "7"),
        ("7", ".", "7"),
    ],
)
def test_an_archive_holds_the_data_under_the_name_that_was_given(
    given: str,
    cwd: str,
    name: str,
    logged_archive: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "7" / "sub").mkdir(parents=True)
    (tmp_path / "7" / "sub" / "image.png").write_bytes(b"png")
    (tmp_path / "latest").symlink_to("7")
    monkeypatch.chdir(tmp_path / cwd)
    # Where the archive lies in the directory, it does not hold itself.
    artifacts.upload_directory_as_tarball_artifact(source_dir=given, tarball_filename="a.tar.gz")
    with tarfile.open(logged_archive[0]) as archive:
        assert archive.getnames() == [name, f"{name}/sub", f"{name}/sub/image.png"]


def test_links_of_a_directory_never_lead_out_of_its_archive(
    logged_archive: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    (data / "a").mkdir(parents=True)
    outside.mkdir()
    (outside / "weights").write_text("heavy")
    (data / "a" / "1.txt").write_text("one")
    links: dict[str, str | Path] = {
        "kept": "a/1.txt",
        "a/up": "../a/1.txt",
        "a/winding": "../a/../a/1.txt",
        "absolute": data / "a" / "1.txt",
        "sideways": "../data/a/1.txt",
        "directory": "a",
        "a/top": "..",
        "file": outside / "weights",
        "a/climbing": "../../outside/weights",
        "through": "elsewhere/weights",
        "elsewhere": outside,
        "dangling": "../nothing",
        "archive": "../a.tar.gz",
    }
    for name, target in links.items():
        (data / name).symlink_to(target)
    os.mkfifo(data / "pipe")
    with caplog.at_level(logging.WARNING):
        artifacts.upload_directory_as_tarball_artifact(data, "a.tar.gz", working_dir=tmp_path)
    assert sorted(record.getMessage().split(" ")[0] for record in caplog.records) == [
        str(data / name) for name in ("dangling", "elsewhere", "pipe")
    ]
    extract_tarfile(filepath=logged_archive[0], output_dir=tmp_path / "out")
    out = tmp_path / "out" / "data"
    for name in ("kept", "a/up", "a/winding", "absolute", "sideways"):
        assert (out / name).is_symlink()
        assert (out / name).resolve() == out / "a" / "1.txt"
    assert (out / "directory").readlink() == Path("a")
    assert (out / "a" / "top").resolve() == out
    for name in ("file", "a/climbing", "through"):
        assert not (out / name).is_symlink()
        assert (out / name).read_text() == "heavy"
    left_out = {"dangling", "elsewhere", "archive"}
    assert {path.name for path in out.iterdir()} == {name for name in links if "/" not in name} - left_out | {
        "a"
    }


def test_a_missing_file_is_not_uploaded_in_silence(active_run: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        artifacts.upload_file_as_artifact(artifact_path=tmp_path / "missing")


@pytest.mark.filterwarnings(
    "ignore:.*Any type hint is inferred as AnyType:UserWarning"
)  # of MLflow's own types
@pytest.mark.filterwarnings(
    "ignore:Saving scikit-learn models in the pickle:FutureWarning"
)  # some versions of MLflow
def test_a_logged_model_is_registered_under_a_name(active_run: Any) -> None:
    import mlflow
    import mlflow.sklearn
    from sklearn.dummy import DummyClassifier

    classifier = DummyClassifier().fit([[0.0], [1.0]], [1, 1])
    mlflow.sklearn.log_model(classifier, name="model", pip_requirements=["scikit-learn"])
    name = f"digits {active_run.info.run_id}"
    versions = [
        registry.add_model_to_registry(active_run=active_run, name=name, model_dir="model") for _ in range(2)
    ]
    assert [int(version.version) for version in versions if version] == [1, 2]
    loaded = mlflow.sklearn.load_model(f"models:/{name}/2")
    assert loaded.predict([[3.0]]).tolist() == [1]


def test_without_a_name_nothing_is_registered(active_run: Any) -> None:
    assert registry.add_model_to_registry(active_run=active_run, name=" ", model_dir="model") is None


def test_a_model_that_the_run_does_not_have_is_an_error(active_run: Any) -> None:
    from mlflow import MlflowException

    with pytest.raises(MlflowException, match="model"):
        registry.add_model_to_registry(active_run=active_run, name="nothing", model_dir="model")


def test_the_name_of_the_experiment(active_run: Any) -> None:
    assert registry.get_experiment_name(active_run=active_run) == "builtins"


def test_keras_plugins_say_that_tensorflow_is_missing() -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(TensorflowDependencyError):
        registry.load_tensorflow_keras_classifier(name="model", version=1)
    with pytest.raises(TensorflowDependencyError):
        log_tensorflow_keras_estimator(estimator=None, model_dir="model")


def test_fit_tells_how_long_it_took_and_predict_predicts(logged: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier

    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([0, 1, 1])
    estimator = DecisionTreeClassifier()
    assert methods.fit(estimator=estimator, x=x, y=y, fit_kwargs={"sample_weight": [1, 1, 1]}) is estimator
    assert 0 < logged().metrics["training_time_in_minutes"] < 1
    assert methods.predict(estimator=estimator, x=x).tolist() == [0, 1, 1]
    assert methods.predict(estimator=estimator, x=x, predict_kwargs={"check_input": True}).tolist() == [
        0,
        1,
        1,
    ]
