"""The entry points of `sample_projects/image_resizer`, run as their users run them."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sample_projects.conftest import Lab

# MLflow uses a part of SQLAlchemy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_infer_measures_what_train_resized_and_learned(lab: Lab, tmp_path: Path) -> None:
    data = tmp_path / "the shapes"
    prepared = lab.run("image_resizer", "prepare", data_dir=data, images=16, seed=-1)
    assert prepared.exit_code == 0, prepared.stderr
    assert len(list(data.glob("training/*/*.png"))) == 48
    assert len(list(data.glob("testing/*/*.png"))) == 12
    drawn = int(lab.params(prepared.run_id)["entry_point_seed"])
    assert drawn > 2**31

    train = lab.run("image_resizer", "train", options=("--log-as-json",), data_dir=data, image_size="16,16,1")
    assert train.exit_code == 0, train.stderr
    records = [json.loads(line) for line in train.stdout.splitlines()]
    assert any("Beginning Flow run for 'Image Resizer'" in record["event"] for record in records)
    assert lab.metrics(train.run_id)["training_time_in_minutes"] > 0
    assert "training_accuracy_score" in lab.metrics(train.run_id)  # of MLflow's autologging
    with tarfile.open(lab.artifacts(train.run_id)["images.tar.gz"]) as archive:
        assert len([name for name in archive.getnames() if name.endswith(".png")]) == 60
        assert "images/testing/circle/000.png" in archive.getnames()

    infer = lab.run("image_resizer", "infer", run_id=train.run_id, image_size="16,16,1")
    assert infer.exit_code == 0, infer.stderr
    measured = lab.metrics(infer.run_id)
    assert set(measured) == {"accuracy", "mcc"}
    assert measured["accuracy"] > 1 / 3  # by chance; the shapes are drawn at random, and there are twelve
