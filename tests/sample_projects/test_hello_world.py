"""The entry points of `sample_projects/hello_world`, run as their users run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sample_projects.conftest import Lab

# MLflow uses a part of SQLAlchemy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.mark.parametrize("name", ["world", "Ada O'Neill; $(id)"])
def test_main_greets(lab: Lab, name: str) -> None:
    outcome = lab.run("hello_world", "main", name=name)
    assert (outcome.exit_code, outcome.stdout) == (0, f"Hello, {name}!\n")


def test_tracked_logs_what_it_says(lab: Lab) -> None:
    outcome = lab.run("hello_world", "tracked", name="Ada", times=3)
    assert (outcome.exit_code, outcome.stdout) == (0, "Hello, Ada!\n" * 3)
    assert "warning" not in outcome.stderr.lower()
    assert lab.metrics(outcome.run_id) == {"greetings": 3}
    assert lab.artifacts(outcome.run_id)["greeting.txt"].read_text() == outcome.stdout
