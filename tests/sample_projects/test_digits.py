"""The entry points of `sample_projects/digits`, run as their users run them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sample_projects.conftest import Lab

PROJECTS = Path(__file__).parents[2] / "sample_projects"
SMALL = "8,8,1"

# MLflow uses a part of SQLAlchemy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_train_logs_parameters_metrics_pictures_and_a_model(lab: Lab, trained: str) -> None:
    assert lab.params(trained) == {
        "data_dir": "sklearn://digits",
        "image_size": SMALL,
        "hidden_sizes": "64",
        "epochs": "10",
        "batch_size": "32",
        "learning_rate": "0.001",
        "seed": "0",
    }
    metrics = lab.metrics(trained)
    assert set(metrics) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    assert metrics["test_accuracy"] > 0.9
    losses = lab.client.get_metric_history(trained, "train_loss")
    assert [metric.step for metric in losses] == list(range(1, 11))
    assert losses[-1].value < losses[0].value / 3
    pictures = lab.artifacts(trained)
    assert set(pictures) == {"learning_curves.png", "confusion_matrix.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.values())
    [model] = lab.client.search_logged_models([lab.experiment_id], f"source_run_id = '{trained}'")
    assert model.name == "model"


def test_the_attack_lowers_the_accuracy_and_infer_finds_the_same(lab: Lab, trained: str) -> None:
    attack = lab.run("digits", "fgm", run_id=trained, image_size=SMALL, eps=0.1)
    assert attack.exit_code == 0, attack.stderr
    attacked = lab.metrics(attack.run_id)
    assert attacked["accuracy_clean"] == lab.metrics(trained)["test_accuracy"]
    assert attacked["accuracy_adversarial"] < attacked["accuracy_clean"] - 0.3
    assert set(lab.artifacts(attack.run_id)) == {"adversarial.npz", "attack.png"}

    clean = lab.run("digits", "infer", run_id=trained, image_size=SMALL)
    assert clean.exit_code == 0, clean.stderr
    assert lab.metrics(clean.run_id) == {"accuracy": attacked["accuracy_clean"]}
    tables = lab.artifacts(clean.run_id)
    assert set(tables) == {"per_class.txt", "confusion_matrix.png"}
    rows = [line for line in tables["per_class.txt"].read_text().splitlines() if line.strip()]
    assert len(rows) == 14
    assert all(row in clean.stdout for row in rows)

    adversarial = lab.run("digits", "infer", run_id=trained, adversarial_run_id=attack.run_id)
    assert adversarial.exit_code == 0, adversarial.stderr
    assert lab.metrics(adversarial.run_id) == {"accuracy": attacked["accuracy_adversarial"]}


def test_train_on_the_files_of_prepare_gives_the_same_model(lab: Lab, trained: str, tmp_path: Path) -> None:
    folder = tmp_path / "some" / "the digits"
    for earlier in ("training/0/9999.png", "testing/0/9999.png", "prepared.json"):  # these may be replaced
        (folder / earlier).parent.mkdir(parents=True, exist_ok=True)
        (folder / earlier).touch()
    prepared = lab.run("digits", "prepare", data_dir=folder, image_size=SMALL)
    assert prepared.exit_code == 0, prepared.stderr
    assert lab.metrics(prepared.run_id) == {"training_images": 1347, "testing_images": 450}
    assert set(lab.artifacts(prepared.run_id)) == {"prepared.json", "contact_sheet.png"}
    summary = json.loads((folder / "prepared.json").read_text())
    for split in ("training", "testing"):
        counts = [len(list((folder / split / str(label)).glob("*.png"))) for label in range(10)]
        assert counts == summary[split]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    outcome = lab.run(
        "digits", "train", data_dir=folder.as_uri(), image_size=SMALL, hidden_sizes="64", epochs=10
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert lab.metrics(outcome.run_id) == pytest.approx(lab.metrics(trained))
    assert "epoch 10/10: test accuracy" in outcome.stdout
    assert "warning" not in outcome.stderr.lower()


def test_prepare_leaves_a_folder_of_somebody_else_alone(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "training").mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    outcome = lab.run("digits", "prepare", data_dir=folder)
    assert outcome.exit_code == 2
    assert f"{folder} holds something else" in outcome.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["thesis.txt", "training"]


@pytest.mark.parametrize(
    ("entry_point", "parameters", "message"),
    [
        ("fgm", {"run_id": "0123abc"}, "Invalid value for --run-id: Run with id=0123abc not found"),
        ("infer", {"run_id": "{bare}"}, "Invalid value for --run-id: run {bare} has no model"),
        (
            "infer",
            {"run_id": "{trained}"},
            "Invalid value for --image-size: the model of run {trained} takes",
        ),
        (
            "infer",
            {"run_id": "{trained}", "adversarial_run_id": "{bare}"},
            "Invalid value for --adversarial-run-id: run {bare} has no adversarial.npz",
        ),
        ("train", {"image_size": "28,28"}, "'28,28' is not height,width,channels"),
        ("train", {"data_dir": "/no/such"}, "Invalid value for --data-dir: there is no /no/such/training/"),
    ],
)
def test_a_wrong_value_gives_one_clear_line(
    lab: Lab, trained: str, entry_point: str, parameters: dict[str, str], message: str
) -> None:
    ids = {"trained": trained, "bare": lab.client.create_run(lab.experiment_id).info.run_id}
    given = {name: value.format(**ids) for name, value in parameters.items()}
    outcome = lab.run("digits", entry_point, **given)
    assert outcome.exit_code == 2
    assert message.format(**ids) in outcome.stdout.splitlines()[-1]
    assert "Traceback" not in outcome.stdout + outcome.stderr


def test_a_copy_of_a_plugin_wins_and_what_fails_in_it_fails_the_run_but_not_the_other_tasks(
    lab: Lab, trained: str, tmp_path: Path
) -> None:
    own = PROJECTS / "digits" / "task-plugins" / "digits"
    copy = tmp_path / "digits"
    shutil.copytree(own, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in (
        ("network.py", "network.predict(_rows(images))", "np.zeros(len(images), int)"),
        ("pictures.py", "confusion_matrix(labels, predictions,", "no_such_thing(labels, predictions,"),
    ):
        (copy / name).write_text((copy / name).read_text().replace(old, new))
    outcome = lab.run(
        "digits", "infer", options=("--plugin-dir", str(tmp_path)), run_id=trained, image_size=SMALL
    )
    assert outcome.exit_code == 1
    assert lab.client.get_run(outcome.run_id).info.status == "FAILED"
    assert "NameError: name 'no_such_thing' is not defined" in outcome.stderr
    assert lab.metrics(outcome.run_id)["accuracy"] == pytest.approx(0.1, abs=0.01)  # as if all were zeros
    assert set(lab.artifacts(outcome.run_id)) == {"per_class.txt"}


def test_ctrl_c_ends_the_training(lab: Lab) -> None:
    argv = [sys.executable, "-m", "dioptra_cli", "run", str(PROJECTS / "digits"), "-e", "train"]
    argv += ["-P", f"image_size={SMALL}", "-P", "hidden_sizes=512,512", "-P", "epochs=100000"]
    argv += ["--tracking-uri", lab.client.tracking_uri, "--experiment-id", lab.experiment_id]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "epoch 2/" in line:
                break
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=90)
    assert process.returncode == 130, told
    assert "sent SIGINT to the command" in told
    assert "sent SIGTERM to the command" not in told
