"""Files are written whole, all or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dioptra_cli.errors import DioptraError, UsageError
from dioptra_cli.scaffold import files


def everything(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))


def test_directories_are_made(tmp_path: Path) -> None:
    files.write({str(tmp_path / "a/b/c.txt"): "c\n", str(tmp_path / "a/d.txt"): "é"})
    assert everything(tmp_path) == ["a", "a/b", "a/b/c.txt", "a/d.txt"]
    assert (tmp_path / "a/d.txt").read_bytes() == "é".encode()
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a/d.txt").stat().st_mode & 0o777 == 0o666 & ~mask


def test_what_is_there_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text("old")
    script.chmod(0o755)
    with pytest.raises(UsageError, match=r"a\.py' is there already \(--force"):
        files.write({str(tmp_path / "new.py"): "x", str(script): "new"})
    assert (everything(tmp_path), script.read_text()) == (["a.py"], "old")
    (tmp_path / "link.py").symlink_to("a.py")
    files.write({str(tmp_path / "link.py"): "new"}, [str(tmp_path / "link.py")])
    assert (script.read_text(), (tmp_path / "link.py").is_symlink()) == ("new", True)
    assert script.stat().st_mode & 0o777 == 0o755
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsageError):
        files.write({str(tmp_path / "dangling"): "x"})


@pytest.mark.parametrize("obstacle", ["a file for a directory", "a directory for a file", "no text"])
def test_a_failure_leaves_nothing(tmp_path: Path, obstacle: str) -> None:
    (tmp_path / "taken").touch()
    (tmp_path / "full").mkdir()
    before = everything(tmp_path)
    last = {
        "a file for a directory": (tmp_path / "taken/x.py", "x"),
        "a directory for a file": (tmp_path / "full", "x"),
        "no text": (tmp_path / "x.py", "\udc80"),
    }[obstacle]
    with pytest.raises((DioptraError, UnicodeEncodeError)):
        files.write({str(tmp_path / "src/new/a.py"): "a", str(last[0]): last[1]}, [str(last[0])])
    assert everything(tmp_path) == before
