"""What can be known to be wrong before a flow starts, told in one line instead of by a task that fails."""

from __future__ import annotations

from pathlib import Path

import click
import mlflow
from mlflow.exceptions import MlflowException

MODEL = "model"
ADVERSARIAL = "adversarial.npz"
PREPARED = {"prepared.json", "training", "testing"}


def require_images(data_dir: Path | None) -> None:
    """See that a folder holds what `prepare` writes.

    Raises:
        click.BadParameter: It does not.
    """
    for subset in ("training", "testing"):
        if data_dir is not None and not any((data_dir / subset).glob("[0-9]/*.png")):
            message = f"there is no {data_dir / subset}/<class>/*.png"
            raise click.BadParameter(message, param_hint="--data-dir")


def require_free(folder: Path) -> None:
    """See that a folder is missing, empty, or what an earlier run of `prepare` wrote.

    Raises:
        click.BadParameter: It is somebody else's.
    """
    if folder.exists() and not (
        folder.is_dir() and {path.name for path in folder.iterdir()} in (set(), PREPARED)
    ):
        raise click.BadParameter(f"{folder} holds something else", param_hint="--data-dir")


def require_model(run_id: str, image_size: tuple[int, int, int] | None) -> None:
    """See that a run has a network, and that it takes images of that size; of any size if it is None.

    Raises:
        click.BadParameter: There is no such run, it has no network, or one for images of another size.
    """
    _require_run(run_id, "--run-id")
    try:
        information = mlflow.models.get_model_info(f"runs:/{run_id}/{MODEL}")
    except MlflowException:
        message = f"run {run_id} has no model; give a run of train"
        raise click.BadParameter(message, param_hint="--run-id") from None
    wanted = information.signature.inputs.inputs[0].shape[1]
    given = wanted if image_size is None else image_size[0] * image_size[1] * image_size[2]
    if given != wanted:
        message = f"the model of run {run_id} takes {wanted} values for an image, not {given}"
        raise click.BadParameter(message, param_hint="--image-size")


def require_adversarial(run_id: str) -> None:
    """See that a run has adversarial images.

    Raises:
        click.BadParameter: There is no such run, or it has none.
    """
    hint = "--adversarial-run-id"
    _require_run(run_id, hint)
    if not any(file.path == ADVERSARIAL for file in mlflow.artifacts.list_artifacts(run_id=run_id)):
        raise click.BadParameter(f"run {run_id} has no {ADVERSARIAL}; give a run of fgm", param_hint=hint)


def _require_run(run_id: str, option: str) -> None:
    try:
        mlflow.get_run(run_id)
    except MlflowException as error:
        raise click.BadParameter(error.message, param_hint=option) from None
