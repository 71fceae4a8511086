"""plugin_dirs and sys_path_dirs: what is on sys.path, in which order, and for how long."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

import pytest
from dioptra.sdk.utilities.contexts import plugin_dirs, sys_path_dirs


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("first", "second", "script", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    others = [directory for directory in dict.fromkeys(sys.path) if directory]
    monkeypatch.setattr(sys, "path", [str(tmp_path / "script"), "/usr/lib/python", *others])


def joined(*directories: object) -> str:
    return os.pathsep.join(map(str, directories))


@pytest.mark.parametrize("variable", ["DIOPTRA_PLUGIN_DIR", "AI_PLUGIN_DIR"])
def test_order(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, joined(tmp_path / "first", tmp_path / "second", ""))
    before = sys.path.copy()
    with plugin_dirs():
        assert sys.path == [
            before[0],
            str(tmp_path / "first"),
            str(tmp_path / "second"),
            str(tmp_path / "here"),
            *before[1:],
        ]
    assert sys.path == before


def test_directories_that_are_there_already_move_to_the_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIOPTRA_PLUGIN_DIR", joined(tmp_path / "first", tmp_path / "script"))
    sys.path.append(str(tmp_path / "first"))
    with plugin_dirs(dirs=()):
        assert sys.path[:3] == [str(tmp_path / "script"), str(tmp_path / "first"), "/usr/lib/python"]
        assert sys.path.count(str(tmp_path / "first")) == 1


def test_relative_and_missing_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DIOPTRA_PLUGIN_DIR", joined("../first", tmp_path / "missing", tmp_path / "second"))
    before = sys.path.copy()
    with caplog.at_level(logging.DEBUG), plugin_dirs(["../first", "not there"]):
        assert sys.path == [before[0], str(tmp_path / "second"), str(tmp_path / "first"), *before[1:]]
    assert "not absolute: ['../first']" in caplog.text
    assert str(tmp_path / "missing") in caplog.text
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_restored_after_an_error_and_when_nested(tmp_path: Path) -> None:
    before = sys.path.copy()
    same = sys.path
    with sys_path_dirs([str(tmp_path / "first")]):
        outer = sys.path.copy()
        with sys_path_dirs([str(tmp_path / "second")]):
            assert sys.path[1:3] == [str(tmp_path / "second"), str(tmp_path / "first")]
            sys.path.append("lost with the block")
        assert sys.path == outer
        with pytest.raises(ZeroDivisionError), sys_path_dirs([str(tmp_path / "second")]):
            raise ZeroDivisionError
        assert sys.path == outer
    assert sys.path == before
    assert sys.path is same


def test_modules_that_were_just_written_are_found(tmp_path: Path) -> None:
    name = f"written_now_{os.getpid()}"
    directory = tmp_path / "first"
    with sys_path_dirs([str(directory)]):
        with pytest.raises(ImportError):
            importlib.import_module(name)
        looked_at = directory.stat().st_mtime_ns
        (directory / f"{name}.py").write_text("value = 1\n")
        # As if written within the resolution of the file system's clock.
        os.utime(directory, ns=(looked_at, looked_at))
        with plugin_dirs():
            assert importlib.import_module(name).value == 1
    del sys.modules[name]
