"""`set_path_ext`: give a file name another extension."""

from __future__ import annotations

from pathlib import Path

__all__ = ["set_path_ext"]


def set_path_ext(filepath: str | Path, ext: str) -> Path:
    """Return the path with all its extensions (`data.tar.gz` has two) replaced by `ext`, with or without its dot.

    Raises:
        ValueError: The path ends in no file name, or the extension is empty.
    """
    path = Path(filepath)
    extension = ext.lstrip(".")
    if not extension:
        raise ValueError(
            f"{ext!r} is no extension for {str(filepath)!r}: expected one like 'csv' or '.tar.gz'."
        )
    stem = path.name
    while Path(stem).suffix:
        stem = Path(stem).stem
    return path.with_name(f"{stem}.{extension}")
