from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from dioptra_cli.errors import DioptraError
from dioptra_cli.execution import directories


@pytest.fixture(autouse=True)
def _no_other_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(directories, "_PLACES_INSTEAD", (str(tmp_path),))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place for runs where the state directory cannot be written, which is so here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    return tmp_path / f"dioptra-{os.getuid()}" / "runs"


def test_runs_are_kept_in_the_state_directory_of_the_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "new"))
    assert directories.all_runs() == []
    place = directories.runs()
    assert place == str(tmp_path / "new" / "dioptra" / "runs")
    assert os.stat(place).st_mode & 0o777 == 0o700
    assert directories.all_runs() == [place]


def test_another_place_is_taken_and_looked_into(
    instead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert directories.runs() == str(instead)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mended"))
    assert directories.runs() == str(tmp_path / "mended" / "dioptra" / "runs")
    assert directories.all_runs() == [directories.runs(), str(instead)]


@pytest.mark.parametrize("trap", ["link", "open to all", "no directory"])
def test_a_place_that_somebody_else_has_prepared_is_not_taken(
    instead: Path, tmp_path: Path, trap: str
) -> None:
    if trap == "link":
        (tmp_path / "theirs").mkdir()
        instead.parent.symlink_to(tmp_path / "theirs")
    elif trap == "open to all":
        instead.parent.mkdir()
        instead.parent.chmod(0o777)
    else:
        instead.parent.touch()
    with pytest.raises(DioptraError, match="XDG_STATE_HOME"):
        directories.runs()
