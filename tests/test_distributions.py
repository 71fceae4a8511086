"""What is installed, read from metadata and kept for as long as a directory is as it was."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dioptra_cli.distributions import Distribution, distributions, plugins_of_mlflow


def install(place: Path, name: str, version: str, entry_points: str = "") -> Path:
    directory = place / f"{name}-{version}.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no\n"
    )
    if entry_points:
        (directory / "entry_points.txt").write_text(entry_points)
    return directory


def settle(place: Path, seconds: float = 60) -> None:
    """Make a directory look as if it had been changed so long ago."""
    before = time.time() - seconds
    os.utime(place, (before, before))


def named(place: Path, cache: Path) -> list[str]:
    return [f"{each.name} {each.version}" for each in distributions(str(place), str(cache))]


def test_an_answer_is_kept_until_the_directory_changes(tmp_path: Path) -> None:
    place, cache = tmp_path / "site", tmp_path / "cache"
    one = install(place, "one", "1", "[mlflow.tracking_store]\nx = y\n[console_scripts]\nz = z\n")
    settle(place)
    expected = [Distribution("one", "1", None, ("mlflow.tracking_store",))]
    assert distributions(str(place), str(cache)) == expected
    # Not read again: nobody changes metadata where they are.
    (one / "METADATA").write_text("Name: other\nVersion: 2\n")
    assert distributions(str(place), str(cache)) == expected
    install(place, "two", "2")
    assert named(place, cache) == ["other 2", "two 2"]
    settle(place, 50)
    assert named(place, cache) == ["other 2", "two 2"]
    assert len(list((cache / "packages").iterdir())) == 1


def test_what_changes_just_now_or_where_it_is_is_not_kept(tmp_path: Path) -> None:
    fresh, cache = tmp_path / "fresh", tmp_path / "cache"
    install(fresh, "one", "1")
    assert named(fresh, cache) == ["one 1"]
    develop = tmp_path / "develop"
    info = develop / "mine.egg-info"
    info.mkdir(parents=True)
    settle(develop)
    for version in ("1", "2"):
        (info / "PKG-INFO").write_text(f"Name: mine\nVersion: {version}\n")
        assert named(develop, cache) == [f"mine {version}"]
    assert not cache.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"key": KEY, "distributions": [1]}'])
def test_a_broken_answer_is_made_anew(tmp_path: Path, content: str) -> None:
    place, cache = tmp_path / "site", tmp_path / "cache"
    install(place, "one", "1")
    settle(place)
    assert named(place, cache) == ["one 1"]
    (file,) = (cache / "packages").iterdir()
    whole = file.read_text()
    key = whole[whole.index("[") : whole.index("]") + 1]
    file.write_text(content.replace("KEY", key))
    assert named(place, cache) == ["one 1"]
    assert file.read_text() == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    place = tmp_path / "site"
    install(place, "one", "1")
    settle(place)
    (tmp_path / "file").touch()
    assert named(place, tmp_path / "file") == ["one 1"]
    assert distributions(str(place), None) == [Distribution("one", "1", None, ())]
    assert distributions(str(tmp_path / "gone"), str(tmp_path)) == []
    assert distributions(str(tmp_path / "file"), str(tmp_path)) == []


def test_plugins_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    install(tmp_path, "mlflow", "3", "[mlflow.deployments]\nx = y\n")
    assert not plugins_of_mlflow(None)
    install(tmp_path, "theirs", "1", "[ mlflow.artifact_repository ]\nx = y\n")
    assert plugins_of_mlflow(None) == {"mlflow.artifact_repository"}
