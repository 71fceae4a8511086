"""Write the handwritten digits as PNG files into training/<class>/ and testing/<class>/."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import mlflow
import numpy as np
import plots
from digits import ImageSize, Split, load_digits
from options import image_size_option, local_folder
from PIL import Image

SUMMARY = "prepared.json"


@click.command()
@click.option("--data-dir", callback=local_folder, required=True, help="Folder to create")
@image_size_option
def prepare(data_dir: Path, image_size: ImageSize) -> None:
    """Write the handwritten digits as PNG files into training/<class>/ and testing/<class>/."""
    with mlflow.start_run():
        if not is_ours_to_write(data_dir):
            raise click.BadParameter(f"{data_dir} holds something else", param_hint="--data-dir")
        digits = load_digits(None, image_size)
        summary = {
            "image_size": image_size,
            "training": np.bincount(digits.training.labels).tolist(),
            "testing": np.bincount(digits.testing.labels).tolist(),
        }

        # All is written beside the folder and then moved into place, so nobody ever finds half a data set.
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=data_dir.parent, prefix=f".{data_dir.name}-") as aside:
            new = Path(aside, "new")
            write_images(digits.training, new / "training")
            write_images(digits.testing, new / "testing")
            Path(new, SUMMARY).write_text(json.dumps(summary))
            if data_dir.exists():
                data_dir.rename(Path(aside, "old"))
            new.rename(data_dir)

        mlflow.log_metric("training_images", len(digits.training.labels))
        mlflow.log_metric("testing_images", len(digits.testing.labels))
        mlflow.log_dict(summary, SUMMARY)
        mlflow.log_figure(plots.contact_sheet(digits.training), "contact_sheet.png")
        click.echo(f"{len(digits.training.labels)} + {len(digits.testing.labels)} images in {data_dir}")


def is_ours_to_write(folder: Path) -> bool:
    """Tell whether `folder` is missing, empty, or what an earlier run of this script wrote."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    return {path.name for path in folder.iterdir()} in (set(), {SUMMARY, "training", "testing"})


def write_images(split: Split, folder: Path) -> None:
    """Write each image to `folder`/<class>/<number>.png."""
    pixels = np.rint(split.images * 255).astype(np.uint8)
    for number, (image, label) in enumerate(zip(pixels, split.labels, strict=True)):
        path = folder / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image).save(path)


if __name__ == "__main__":
    prepare()
