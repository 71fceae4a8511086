"""What this process takes from its environment, and what it adds to it for MLflow."""

from __future__ import annotations

import os

import pytest

from dioptra_cli.execution import environment

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", os.environ.copy())
    monkeypatch.setattr(environment, "_added", {})


def test_what_is_added_for_mlflow_is_no_word_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.pop(TIMEOUT, None)
    before = environment.snapshot()
    environment.prepare_this_process(5)
    assert os.environ[TIMEOUT] == "4"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "3"
    assert environment.snapshot() == before
    os.environ[TIMEOUT] = "7"  # now somebody else has
    assert environment.snapshot()[TIMEOUT] == "7"


@pytest.mark.parametrize(
    ("said", "seconds"), [(None, 10.0), ("", 10.0), ("3", 3.0), ("0", 10.0), ("long", 10.0)]
)
def test_the_usual_timeout(said: str | None, seconds: float) -> None:
    os.environ.pop(TIMEOUT, None)
    if said is not None:
        os.environ[TIMEOUT] = said
    assert environment.tracking_timeout() == seconds
    environment.prepare_this_process(2)
    assert environment.tracking_timeout() == seconds
