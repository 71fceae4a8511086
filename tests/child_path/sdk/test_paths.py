"""set_path_ext."""

from __future__ import annotations

from pathlib import Path

import pytest
from dioptra.sdk.utilities.paths import set_path_ext


@pytest.mark.parametrize(
    ("path", "extension", "expected"),
    [
        ("image.png", "npy", "image.npy"),
        ("image.png", ".npy", "image.npy"),
        (Path("/data/v1.2/adv_a.b.tar.gz"), "npy", "/data/v1.2/adv_a.npy"),
        ("archive", "tar.gz", "archive.tar.gz"),
        (".hidden", "txt", ".hidden.txt"),
        ("a/b c.d", "e", "a/b c.e"),
    ],
)
def test_set_path_ext(path: str | Path, extension: str, expected: str) -> None:
    assert set_path_ext(path, extension) == Path(expected)


def test_empty_extension() -> None:
    with pytest.raises(ValueError, match=r"'\.' is no extension for 'a\.png'"):
        set_path_ext("a.png", ".")


def test_no_file_name() -> None:
    with pytest.raises(ValueError, match="name"):
        set_path_ext("/", "png")
