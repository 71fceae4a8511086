"""The command line options that several scripts share, and how their text becomes a value."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click

BUILT_IN = "sklearn://digits"


def coerce_comma_separated_ints(
    _context: click.Context, _parameter: click.Parameter, value: str
) -> tuple[int, ...]:
    """Turn "128,64" into (128, 64)."""
    try:
        numbers = tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not a list of integers such as 128,64") from None
    if min(numbers) < 1:
        raise click.BadParameter(f"'{value}' has a number below 1")
    return numbers


def coerce_image_size(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int, int]:
    """Turn "28,28,1" into (28, 28, 1)."""
    numbers = coerce_comma_separated_ints(context, parameter, value)
    if len(numbers) != 3 or numbers[2] not in {1, 3}:
        raise click.BadParameter(f"'{value}' is not height,width,channels with 1 or 3 channels")
    return numbers[0], numbers[1], numbers[2]


def coerce_folder(_context: click.Context, _parameter: click.Parameter, value: str) -> Path:
    """Turn a path or a file: URI into a path."""
    uri = urlsplit(value)
    if uri.scheme not in {"", "file"}:
        raise click.BadParameter(f"'{value}' is not a folder on this machine")
    return Path(url2pathname(uri.path)) if uri.scheme else Path(value)


def coerce_data_dir(context: click.Context, parameter: click.Parameter, value: str) -> Path | None:
    """Turn the name of the built-in digits into None, anything else into a path."""
    return None if value == BUILT_IN else coerce_folder(context, parameter, value)


data_dir_option = click.option(
    "--data-dir",
    callback=coerce_data_dir,
    default=BUILT_IN,
    show_default=True,
    help="Folder from `prepare`, or the digits of scikit-learn",
)
image_size_option = click.option(
    "--image-size",
    callback=coerce_image_size,
    default="28,28,1",
    show_default=True,
    help="Height, width and channels (1 or 3) of the images",
)
run_id_option = click.option("--run-id", required=True, help="Run of `train` whose network to use")
