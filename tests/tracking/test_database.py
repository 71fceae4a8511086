"""Sqlite stores that are busy, broken, read-only, full, or of another version."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dioptra_cli.errors import TrackingError
from dioptra_cli.tracking import database, open_tracker
from dioptra_cli.tracking.mlflow_client import MlflowTracker
from dioptra_cli.tracking.protocol import RunRequest, RunStatus, Tracker

# MLflow uses a part of SQLAlchemy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with nothing in it, which takes seconds to make."""
    directory = tmp_path_factory.mktemp("store")
    MlflowTracker("sqlite:///empty.db", directory=str(directory), cache_directory=str(directory))
    return directory / "empty.db"


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Path:
    """A store of this test's own."""
    return Path(shutil.copy(empty_store, tmp_path / "store.db"))


def opened(store: Path, timeout: float = 0.3) -> Tracker:
    locks = str(store.parent / "locks")
    return open_tracker(
        f"sqlite:///{store}", environ={}, directory="/", cache_directory=locks, timeout=timeout
    )


@contextmanager
def refused(*words: str, retryable: bool) -> Iterator[None]:
    with pytest.raises(TrackingError) as caught:
        yield
    said = str(caught.value)
    assert [word for word in words if word not in said] == [], said
    assert "\n" not in said
    assert caught.value.retryable is retryable


@contextmanager
def locked(store: Path, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(store, isolation_level=None, check_same_thread=False)) as writer:
        writer.execute(f"BEGIN {kind}")
        yield writer


@contextmanager
def as_nobody() -> Iterator[Path]:
    """Give a directory that everybody may look into, and drop the power to write everywhere."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    user = os.geteuid()
    try:
        yield directory
    finally:
        os.seteuid(user)
        directory.chmod(0o755)
        shutil.rmtree(directory)


def drop_privileges() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_store_that_another_program_writes_to(store: Path, kind: str) -> None:
    tracker = opened(store)
    run = tracker.start(RunRequest())
    words = ("cannot write the store", "database is locked, for 0.", "--tracking-timeout")
    with locked(store, kind):
        with refused(*words, retryable=True):
            opened(store)
        for call in (
            lambda: tracker.start(RunRequest()),
            lambda: tracker.close(run.run_id, RunStatus.FINISHED, 1),
            lambda: tracker.set_tags(run.run_id, {"a": "1"}),
            lambda: tracker.log_parameters(run.run_id, {"a": "1"}),
        ):
            with refused(*words, retryable=True):
                call()
        if kind == "EXCLUSIVE":
            with refused("cannot read the store", "database is locked", retryable=True):
                tracker.find({}, limit=1)
        else:
            assert len(tracker.find({}, limit=2)) == 1
    tracker.close(run.run_id, RunStatus.FINISHED, 1)
    assert tracker.run(run.run_id).ended == 1

    # One that is free in time is waited for.
    with locked(store, kind) as writer:
        timer = threading.Timer(0.5, writer.execute, ["ROLLBACK"])
        timer.start()
        assert opened(store, 30.0).start(RunRequest()).experiment_id == "0"
        timer.join()


def test_a_store_of_another_version_of_mlflow(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        before = store.read_bytes()
        connection.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
        connection.commit()
        with refused(
            "written by a newer MLflow than", "'fedcba987654'", "pip install -U mlflow", retryable=False
        ):
            opened(store)
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")  # MLflow's first
        connection.commit()
    old = store.read_bytes()
    with refused("of an older MLflow than", f"mlflow db upgrade sqlite:///{store}", "copy", retryable=False):
        opened(store)
    assert store.read_bytes() == old
    store.write_bytes(before)
    opened(store)


def test_a_store_whose_maker_was_killed_is_made_anew(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        connection.execute("DELETE FROM experiments")
        connection.execute("DROP TABLE workspaces") if _has(connection, "workspaces") else None
        connection.commit()
    os.utime(store, (1, 1))  # nobody is at it any more
    run = opened(store).start(RunRequest())
    assert run.experiment_id == "0"


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone())


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"SQLite format 3\0" + b"x" * 5000, "store.db: "), (b"no database " * 999, "file is not a database")],
)
def test_what_is_no_database(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "store.db").write_bytes(content)
    with refused("cannot write the store", message, "--tracking-uri", retryable=False):
        opened(tmp_path / "store.db")
    assert (tmp_path / "store.db").read_bytes() == content


def test_a_database_that_cannot_be_opened_is_told_before_mlflow_tries(tmp_path: Path) -> None:
    with refused("cannot write the store /proc/new.db: ", "--tracking-uri", retryable=False):
        open_tracker("sqlite:////proc/new.db", environ={}, directory="/", cache_directory=str(tmp_path))
    (tmp_path / "directory").mkdir()
    for reading, what in ((False, "write"), (True, "read")):
        with refused(f"cannot {what} the store", "Is a directory", retryable=False):
            database.require_database(str(tmp_path / "directory"), reading=reading)


def test_a_store_that_may_only_be_read(store: Path) -> None:
    with as_nobody() as directory:
        copy = Path(shutil.copy(store, directory / "copy.db"))
        copy.chmod(0o444)
        directory.chmod(0o777)
        drop_privileges()
        database.require_database(str(copy), reading=True)
        with refused("cannot write the store", "Permission denied", retryable=False):
            database.require_database(str(copy))
        with refused("cannot write the store", "readonly database", retryable=False):
            database.require_free(str(copy), 1.0)


def test_a_store_in_a_directory_that_may_only_be_read(store: Path) -> None:
    with as_nobody() as directory:
        copy = Path(shutil.copy(store, directory / "copy.db"))
        copy.chmod(0o666)
        directory.chmod(0o555)
        drop_privileges()
        database.require_database(str(copy), reading=True)
        with refused("cannot write the store", "directory must be writable", retryable=False):
            database.require_database(str(copy))


def test_looking_at_a_database_leaves_nothing_behind(tmp_path: Path, store: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "target.db")
    (tmp_path / "old.db").touch()
    before = store.read_bytes()
    for name in ("new.db", "link.db", "old.db", "store.db", "missing/new.db"):
        database.require_database(str(tmp_path / name))
    assert sorted(path.name for path in tmp_path.glob("*.db*")) == ["link.db", "old.db", "store.db"]
    assert (tmp_path / "old.db").read_bytes() == b""
    assert store.read_bytes() == before


GROWS_NO_MORE = """
import resource, sys
from dioptra_cli.errors import TrackingError
from dioptra_cli.execution.environment import prepare_this_process
from dioptra_cli.tracking import open_tracker
from dioptra_cli.tracking.protocol import RunRequest

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def failing(action):
    try:
        action()
    except TrackingError as error:
        print(error.retryable, error)

def opened(name):
    return open_tracker(f"sqlite:///{name}", environ={}, directory=sys.argv[1], cache_directory=sys.argv[1])

prepare_this_process()
limit(100_000)
failing(lambda: opened("new.db"))
limit(resource.RLIM_INFINITY)
tracker = opened("store.db")
run = tracker.start(RunRequest())
limit(int(sys.argv[2]))
parameters = {f"p{i}": "x" * 6000 for i in range(100)}
failing(lambda: tracker.log_parameters(run.run_id, parameters))
limit(resource.RLIM_INFINITY)
tracker.log_parameters(run.run_id, parameters)
print(tracker.logged_parameters(run.run_id) == parameters)
"""


def test_a_store_that_grows_no_more_is_told_in_one_line(tmp_path: Path, store: Path) -> None:
    argv = [sys.executable, "-c", GROWS_NO_MORE, str(tmp_path), str(store.stat().st_size + 20_000)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    failed = f"True tracking at sqlite:///{tmp_path}/%s failed: disk I/O error"
    assert done.stdout.splitlines() == [failed % "new.db", failed % "store.db", "True"]
    assert list(tmp_path.glob("new.db*")) == []


def test_a_store_that_is_removed_is_not_made_again(store: Path) -> None:
    tracker = opened(store)
    run = tracker.start(RunRequest())
    store.unlink()
    with refused("has been removed", retryable=False):
        tracker.close(run.run_id, RunStatus.FINISHED, 1)
    assert not store.exists()
