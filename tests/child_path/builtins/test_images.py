"""Directories of image files: read as arrays, and written again in another size or turned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dioptra_builtins.data.images import flatten, list_images, load_images, resize, rotate
from PIL import Image


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data set of two classes, with images of several kinds and a file that is none."""
    root = tmp_path / "data set"
    for name, image in {
        "dog/2.png": Image.new("L", (4, 2), 0),
        "cat/1.png": Image.new("L", (4, 2), 255),
        "cat/deep/3.JPG": Image.new("RGB", (8, 4), (255, 0, 0)),
        "dog/4.gif": Image.new("P", (4, 2), 0),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / name)
    (root / "README.txt").write_text("not an image")
    return root


def names(directory: Path) -> list[str]:
    return [path.relative_to(directory).as_posix() for path in list_images(directory)]


def test_images_are_listed_in_order(data_dir: Path) -> None:
    assert names(data_dir) == ["cat/1.png", "cat/deep/3.JPG", "dog/2.png", "dog/4.gif"]


def test_images_become_arrays_with_their_class(data_dir: Path) -> None:
    images, labels, classes = load_images(data_dir=data_dir, image_size=(2, 4, 1))
    assert images.shape == (4, 2, 4, 1)
    assert images.dtype == np.float32
    assert images[0].min() == 1
    assert images[2].max() == 0
    assert images[1].mean() == pytest.approx(0.299, abs=0.02)  # how bright red is
    assert labels.tolist() == [0, 0, 1, 1]
    assert classes == ["cat", "dog"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_number_of_channels_that_a_picture_may_have(channels: int, data_dir: Path) -> None:
    images, _, _ = load_images(data_dir=data_dir, image_size=(3, 5, channels))
    assert images.shape == (4, 3, 5, channels)


def test_the_first_image_gives_the_size_by_default(data_dir: Path) -> None:
    assert load_images(data_dir=data_dir)[0].shape == (4, 2, 4, 1)


def test_a_subset_is_a_directory_of_its_own(data_dir: Path) -> None:
    images, _, classes = load_images(data_dir=data_dir.parent, subset="data set", image_size=(2, 4, 1))
    assert (len(images), classes) == (4, ["cat", "dog"])
    assert flatten(images=images).shape == (4, 8)
    assert flatten(images=images)[0].tolist() == images[0].ravel().tolist()


def test_resize_writes_the_tree_again(data_dir: Path, tmp_path: Path) -> None:
    output = resize(data_dir=data_dir, image_size=(6, 3, 3), output_dir=tmp_path / "out" / "small")
    assert output == tmp_path / "out" / "small"
    assert names(output) == ["cat/1.png", "cat/deep/3.JPG.png", "dog/2.png", "dog/4.gif.png"]
    for path in list_images(output):
        with Image.open(path) as image:
            assert (image.format, image.size, image.mode) == ("PNG", (3, 6), "RGB")
    assert len(names(data_dir)) == 4


def test_rotate_turns_counter_clockwise(tmp_path: Path) -> None:
    (tmp_path / "in" / "x").mkdir(parents=True)
    pixels = np.zeros((4, 4), np.uint8)
    pixels[0, 3] = 255  # top right
    Image.fromarray(pixels).save(tmp_path / "in" / "x" / "1.png")
    images, _, _ = load_images(
        data_dir=rotate(data_dir=tmp_path / "in", angle=90, output_dir=tmp_path / "out")
    )
    assert np.argwhere(images[0, :, :, 0] > 0.5).tolist() == [[0, 0]]  # top left


def test_rotate_takes_pictures_with_a_palette(data_dir: Path, tmp_path: Path) -> None:
    output = rotate(data_dir=data_dir, angle=30, output_dir=tmp_path / "out")
    assert load_images(data_dir=output, image_size=(2, 4, 3))[0].shape == (4, 2, 4, 3)


def test_a_temporary_directory_goes_when_the_process_ends(data_dir: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from dioptra_builtins.data.images import list_images, resize\n"
        "output = resize(data_dir=sys.argv[1], image_size=(2, 2, 1)); print(output, len(list_images(output)))"
    )
    root = Path(__file__).parents[3] / "dioptra_cli" / "child_path"
    path = os.pathsep.join([str(root), str(root / "task-plugins")])
    done = subprocess.run(
        [sys.executable, "-c", script, str(data_dir)],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    output, count = done.stdout.split()
    assert count == "4"
    assert Path(output).name == "images"
    assert Path(output).parents[1] == tmp_path
    assert list(tmp_path.glob("images-*")) == []


@pytest.mark.parametrize("output", ["", "resized"])
def test_the_data_are_not_mixed_with_their_copies(output: str, data_dir: Path) -> None:
    with pytest.raises(ValueError, match="is inside of the data directory"):
        resize(data_dir=data_dir, image_size=(2, 2, 1), output_dir=data_dir / output)


@pytest.mark.parametrize("size", [(2, 2), (0, 2, 1), (2, 2, 2)])
def test_a_size_that_is_none_is_refused(size: tuple[int, int, int], data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not height, width and channels"):
        resize(data_dir=data_dir, image_size=size, output_dir=tmp_path / "out")
    with pytest.raises(ValueError, match="is not height, width and channels"):
        load_images(data_dir=data_dir, image_size=size)


def test_a_directory_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no directory"):
        load_images(data_dir=tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no image"):
        resize(data_dir=tmp_path / "empty", image_size=(2, 2, 1), output_dir=tmp_path / "out")


def test_an_image_without_a_class_is_an_error(data_dir: Path) -> None:
    Image.new("L", (2, 2)).save(data_dir / "stray.png")
    with pytest.raises(ValueError, match=r"stray\.png is in no subdirectory"):
        load_images(data_dir=data_dir)
