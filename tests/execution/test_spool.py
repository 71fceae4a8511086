from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dioptra_cli.errors import DioptraError
from dioptra_cli.execution import spool
from dioptra_cli.execution.spool import Ending, Spool
from dioptra_cli.tracking.protocol import RunStatus, StartedRun

HOLD = """\
import sys
from dioptra_cli.execution.spool import Spool
held = Spool.create(sys.argv[1], project="/p", entry_point="main", tracking_uri="sqlite:////s.db",
                    parameters={"a": "1"}, has_secrets=False)
print(held.entry.directory, flush=True)
sys.stdin.read()
"""


def make(place: Path) -> Spool:
    return Spool.create(
        str(place),
        project="/p",
        entry_point="main",
        tracking_uri="sqlite:////s.db",
        parameters={"a": "ä"},
        has_secrets=True,
    )


def test_what_is_written_down_is_read_back(tmp_path: Path) -> None:
    made = make(tmp_path)
    (entry,) = spool.entries([str(tmp_path)])
    assert entry == made.entry
    made.note(run=StartedRun("r1", "0", "bold-shark", "/a"))
    made.note(ending=Ending(RunStatus.KILLED, 5, {"dioptra.end": "timed out"}))
    made.note(failed=("tags", "artifacts"))
    (entry,) = spool.entries([str(tmp_path)])
    assert entry == made.entry
    assert entry.journal.ending is not None
    assert entry.journal.ending.status is RunStatus.KILLED
    made.close(keep=True)
    assert spool.entries([str(tmp_path)]) == [entry]
    entry.remove()
    assert os.listdir(tmp_path) == []


def test_a_run_is_running_while_its_process_lives(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    (entry,) = spool.entries([str(tmp_path)])
    assert entry.is_running
    with entry.claimed() as mine:
        assert mine is None
    process.kill()
    process.communicate()
    assert not entry.is_running
    with entry.claimed() as mine:
        assert mine == entry
        assert entry.is_running  # for everybody else
        with entry.claimed() as other:
            assert other is None
    assert not entry.is_running


def test_a_run_of_another_machine_is_not_judged(tmp_path: Path) -> None:
    made = make(tmp_path)
    made.close(keep=True)
    journal = Path(made.entry.directory) / "run.json"
    journal.write_text(journal.read_text().replace(made.entry.journal.host, "elsewhere.test"))
    (entry,) = spool.entries([str(tmp_path)])
    assert entry.is_running


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run": 1, "ending": 2}', "\x00"])
def test_what_is_no_journal_is_no_run(tmp_path: Path, content: str) -> None:
    made = make(tmp_path)
    made.close(keep=True)
    (Path(made.entry.directory) / "run.json").write_text(content)
    assert spool.entries([str(tmp_path)]) == []
    with made.entry.claimed() as mine:
        assert mine is None


def test_only_what_is_abandoned_is_tidied_up(tmp_path: Path) -> None:
    kept, new, old, held = make(tmp_path), make(tmp_path), make(tmp_path), make(tmp_path)
    for one in (kept, new, old):
        one.close(keep=True)
    for one in (new, old, held):
        (Path(one.entry.directory) / "run.json").unlink()
    for one in (kept, old, held):
        os.utime(one.entry.directory, (1, 1))
    (tmp_path / "other").mkdir()
    spool.tidy([str(tmp_path)])
    there = {os.path.join(tmp_path, name) for name in os.listdir(tmp_path)}
    assert there == {str(tmp_path / "other"), *(one.entry.directory for one in (kept, new, held))}
    held.close(keep=False)


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DioptraError, match="the files of the run cannot be written"):
        make(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_the_files_of_a_run_are_its_users_alone(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert os.stat(made.entry.directory).st_mode & 0o077 == 0
    made.close(keep=False)
