"""Looks at a sqlite store before MLflow does, which tries for long and says much where one line is enough.

Uses the standard library's sqlite3, imported when there is a file to look at. Changes nothing in a store.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import shlex
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dioptra_cli.errors import Problem, TrackingError
from dioptra_cli.tracking.reading import PASSING_ERRORS

if TYPE_CHECKING:
    from sqlite3 import Connection

_CREATION_SECONDS = 180.0
"""So long a process waits for another one that makes the store: over a second on a free machine, and twenty processes
that start at once share its processors."""
_POLL_SECONDS = 0.05
_QUIET_SECONDS = 5.0
"""A store that is being made changes more often than this."""
_PASSING = re.compile(r"database (?:table )?is locked|database or disk is full|disk I/O error|busy", re.I)
_LINK = re.compile(r"^(?:down_)?revision\b[^=\n]*=\s*(.+)$", re.MULTILINE)
_QUOTED = re.compile(r"""["']([^"']+)["']""")
_OTHER_HINT = "name another with --tracking-uri, such as sqlite:////path/to/mlflow.db, or MLFLOW_TRACKING_URI"
_PERMISSION_HINT = (
    "sqlite writes the file, and makes another one beside it: the directory must be writable, too"
)
_HINTS = {
    "locked": "another program is writing to it; end that one, or wait longer with --tracking-timeout",
    "full": "make room, or name another store with --tracking-uri",
    # Newer versions of sqlite say the first, older ones the second, of a directory that takes no journal.
    "readonly": _PERMISSION_HINT,
    "unable to open": _PERMISSION_HINT,
}


def is_passing(message: str) -> bool:
    """Return whether what sqlite says may be otherwise in a moment."""
    return bool(_PASSING.search(message))


def require_database(file: str, *, reading: bool = False, timeout: float = 10.0) -> None:
    """Look whether a sqlite database can be opened, or be made.

    A missing directory is left to MLflow, which makes it. Nothing else may make the database at the same time.

    Args:
        file: Its absolute path.
        reading: Whether it is enough to read one that is there.
        timeout: Seconds to wait while another program writes to it.

    Raises:
        TrackingError: It cannot.
    """
    is_there = os.path.exists(file)
    if not is_there and not os.path.isdir(os.path.dirname(file)):
        return
    only_read = reading and is_there
    try:
        open(file, "rb" if only_read else "ab+").close()
        if not is_there:
            os.unlink(os.path.realpath(file))
        elif os.path.getsize(file):
            _try(file, timeout, reading=only_read)
    except OSError as error:
        raise TrackingError(
            Problem(
                "unusable-store",
                f"cannot {'read' if only_read else 'write'} the store {file}: {error.strerror or error}",
                hint=_OTHER_HINT,
            ),
            retryable=error.errno in PASSING_ERRORS,
        ) from error


def require_free(file: str, timeout: float, *, reading: bool = False) -> None:
    """Look whether a store that has been opened can be written now, or at least be read.

    Raises:
        TrackingError: It cannot, so many seconds long, or it is gone.
    """
    if not os.path.exists(file):
        raise TrackingError(Problem("unusable-store", f"the store {file} has been removed"))
    _try(file, timeout, reading=reading)


def require_schema(file: str, uri: str, migrations: str, installed: str) -> None:
    """Look whether a store has the schema of the installed MLflow, which would change an older one unasked.

    Args:
        file: The absolute path of the database.
        uri: Its tracking URI, for the message.
        migrations: The directory that holds MLflow's migrations, each of which names its revision and the one
            before: https://alembic.sqlalchemy.org/en/latest/tutorial.html#create-a-migration-script
        installed: The version of MLflow.

    Raises:
        TrackingError: It is newer, or older.
    """
    found = revision(file)
    if found is None:
        return
    known: set[str] = set()
    followed: set[str] = set()
    for path in glob.iglob(os.path.join(glob.escape(migrations), "*.py")):
        with open(path, encoding="utf-8") as script:
            names = [set(_QUOTED.findall(value)) for value in _LINK.findall(script.read())]
        if len(names) == 2:
            known |= names[0]
            followed |= names[1]
    if not known or known - followed == {found}:
        return
    if found not in known:
        raise TrackingError(
            Problem(
                "newer-store",
                f"the store {file} was written by a newer MLflow than the installed {installed}: "
                f"its schema '{found}' is not known here",
                hint="pip install -U mlflow, or name another store with --tracking-uri",
            )
        )
    raise TrackingError(
        Problem(
            "older-store",
            f"the store {file} has the schema '{found}' of an older MLflow than the installed {installed}",
            hint=f"copy the file to be safe, then run: mlflow db upgrade {shlex.quote(uri)}",
        )
    )


def revision(file: str, timeout: float = 1.0) -> str | None:
    """Return the revision of the schema of a store; None where there is no store yet, or an empty one.

    Raises:
        TrackingError: The file cannot be read.
    """
    import sqlite3

    if not os.path.exists(file) or not os.path.getsize(file):
        return None
    try:
        with _connected(file, timeout) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if found is None else str(found[0])
    except sqlite3.Error as error:
        if "no such table" in str(error):
            return None
        raise TrackingError(
            Problem("unusable-store", f"cannot read the store {file}: {error}", hint=_OTHER_HINT),
            retryable=is_passing(str(error)),
        ) from error


@contextlib.contextmanager
def opening(file: str, lock_directory: str) -> Iterator[None]:
    """Let a block open a store. Where it has to be made, only one process at a time does: two break each other's.

    What was made only in part, because the disk is full or its maker was killed, is removed.

    Raises:
        TrackingError: Another process goes on making it for minutes.
    """
    import fcntl

    os.makedirs(lock_directory, exist_ok=True)
    name = hashlib.sha256(os.path.realpath(file).encode()).hexdigest()[:32]
    with open(os.path.join(lock_directory, f"{name}.lock"), "w") as lock:
        _wait_for(lock, fcntl.LOCK_SH, file)  # while another process makes it
        if not _is_new(file):
            yield
            return
        _wait_for(lock, fcntl.LOCK_EX, file)
        _remove_half_made(file)
        was_there = os.path.exists(file)
        try:
            yield
        except BaseException:
            if not was_there and not _holds_experiments(file):
                for leftover in (file, f"{file}-journal"):
                    with contextlib.suppress(OSError):
                        os.unlink(leftover)
            raise


def _is_new(file: str) -> bool:
    try:
        return revision(file, 0.0) is None or _is_half_made(file)
    except TrackingError:  # there is something; what is wrong with it comes out when it is used
        return False


def _is_half_made(file: str) -> bool:
    """Return whether somebody was killed while making a store: it has a schema, and nothing in it.

    A store that is whole has an experiment, the last that MLflow puts into a new one.
    """
    import sqlite3

    try:
        with _connected(file, 0.0) as connection:
            tables = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            return not any(
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
                for table in ("experiments", "runs", "registered_models")
                if table in tables
            )
    except sqlite3.Error:  # somebody uses it, or it is something else
        return False


def _remove_half_made(file: str) -> None:
    """Remove what is left of a store that was never made whole, once nobody goes on making it."""
    if os.path.exists(file) and revision(file) is not None:
        while _is_half_made(file):
            quiet = time.time() - os.stat(file).st_mtime
            if 0 <= quiet < _QUIET_SECONDS:  # a program that knows nothing of our lock may be at it
                time.sleep(_POLL_SECONDS)
                continue
            for leftover in (file, f"{file}-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(leftover)
            return


def _holds_experiments(file: str) -> bool:
    """Return whether a store is complete: the last that MLflow puts into a new one is an experiment."""
    import sqlite3

    try:
        with _connected(file, 1.0) as connection:
            return connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
    except sqlite3.Error as error:
        return is_passing(str(error))  # somebody uses it


@contextlib.contextmanager
def _connected(file: str, timeout: float) -> Iterator[Connection]:
    import sqlite3

    connection = sqlite3.connect(file, timeout=timeout, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def _try(file: str, timeout: float, *, reading: bool) -> None:
    """Read a database, or change a page and take it back: that needs the lock, the journal, and room for it."""
    import sqlite3

    deadline = time.monotonic() + timeout
    while True:
        try:
            # sqlite itself would wait where no signal reaches us.
            _probe(file, min(_POLL_SECONDS, timeout), reading=reading)
            return
        except sqlite3.Error as error:  # closing the connection takes back what was begun
            reason = str(error)
            if "locked" in reason:
                if time.monotonic() < deadline:
                    continue
                reason += f", for {round(timeout, 1):g} s"
            raise TrackingError(
                Problem(
                    "unusable-store",
                    f"cannot {'read' if reading else 'write'} the store {file}: {reason}",
                    hint=next((hint for word, hint in _HINTS.items() if word in reason), _OTHER_HINT),
                ),
                retryable=is_passing(reason),
            ) from error


def _probe(file: str, timeout: float, *, reading: bool) -> None:
    with _connected(file, timeout) as connection:
        if reading:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {int(version)}")
        connection.execute("ROLLBACK")


def _wait_for(lock: Any, kind: int, file: str) -> None:
    import fcntl

    deadline = time.monotonic() + _CREATION_SECONDS
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TrackingError(
                    Problem(
                        "unusable-store",
                        f"another process has been making the store {file} for {_CREATION_SECONDS:g} s",
                        hint="end it, or name another store with --tracking-uri",
                    ),
                    retryable=True,
                ) from None
            time.sleep(_POLL_SECONDS)
