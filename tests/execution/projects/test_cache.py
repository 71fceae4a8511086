"""Waiting for another that is at work in the cache."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dioptra_cli.execution.projects import cache as module
from dioptra_cli.execution.projects.cache import Place


def test_who_waits_for_long_is_told_once_what_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENCE", 0.1)
    place = Place(str(tmp_path), "git", "x", "git https://host/x")
    held, told, done = threading.Event(), threading.Event(), threading.Event()
    notes: list[str] = []

    def hold() -> None:
        with place.locked(pytest.fail, ""):
            held.set()
            told.wait(30)
            done.wait(0.3)  # time to say it again

    def note(text: str) -> None:
        notes.append(text)
        told.set()

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(30)
    with place.locked(note, "fetching https://host/x"):
        pass
    other.join(30)
    assert notes == ["waiting for another dioptra, which is fetching https://host/x"]
