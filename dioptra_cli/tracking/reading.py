"""What both trackers share: the filter for tags, files that appear whole or not at all, and failures that pass.

Imports no tracking library, and knows nothing of connections.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from dioptra_cli.errors import Problem, TrackingError
from dioptra_cli.parameters.uris import UnreadableUri, local_path, scheme_of
from dioptra_cli.tracking.protocol import RecordedRun

PAGE = 1000
"""So many entries are asked for at once: more than most stores hold, and what every version of MLflow allows."""
NEWEST_FIRST = "attributes.start_time DESC"
CREDENTIALS_HINT = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
PASSING_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EBUSY, errno.ENFILE, errno.EMFILE}
    | {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT}
    | {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)
"""What the operating system says of a disk that is full or a host that is away, and may not say any more later."""

_Entry = TypeVar("_Entry")

_UPLOADING = ".artifact.uploading."
"""The beginning of a name that MLflow's client does not list among the artifacts."""

_PLAIN_NAME = re.compile(r"[\w./: -]+")
_UNQUOTABLE = re.compile(r"""['"`\\\[]|[^\S ]""")
"""In a value of MLflow's filter language no quote can be escaped."""


def tag_filter(tags: Mapping[str, str]) -> str:
    """Return a filter that finds every run with these tags, and possibly more: see `has_tags`.

    The language is that of `runs/search`, https://mlflow.org/docs/latest/ml/search/search-runs. A value that
    cannot be written in it becomes a pattern; a name that cannot is left out.
    """
    clauses = []
    for name, value in tags.items():
        if _PLAIN_NAME.fullmatch(name):
            pattern, found = _UNQUOTABLE.subn("_", value)
            clauses.append(f"tags.`{name}` {'LIKE' if found else '='} '{pattern}'")
    return " AND ".join(clauses)


def newest(pages: Iterable[Iterable[RecordedRun]], tags: Mapping[str, str], limit: int) -> list[RecordedRun]:
    """Return the first `limit` runs of an answer that comes in pages that have exactly these tags."""
    found: list[RecordedRun] = []
    for page in pages:
        found.extend(run for run in page if tags.items() <= run.tags.items())
        if len(found) >= limit:
            break
    return found[:limit]


def paged(ask: Callable[[str | None], tuple[list[_Entry], str | None]]) -> Iterator[list[_Entry]]:
    """Yield page after page of what `ask` answers for a token: a page, and the token of the next one."""
    token: str | None = None
    while True:
        page, token = ask(token)
        yield page
        if not token:
            return


def inside(path: str) -> bool:
    """Return whether an artifact's path stays below the run's artifacts."""
    parts = path.split("/")
    return bool(path) and not path.startswith("/") and ".." not in parts and "\0" not in path


def is_on_this_machine(artifact_uri: str) -> bool:
    """Return whether artifacts lie in a directory of this machine."""
    with contextlib.suppress(UnreadableUri):
        return scheme_of(artifact_uri) in (None, "file") and bool(local_path(artifact_uri))
    return False


def fetch_local(artifact_uri: str, path: str, directory: str) -> str | None:
    """Copy an artifact that is on this machine; see `Tracker.fetch`.

    Raises:
        TrackingError: It cannot be read, or not be written there.
    """
    import shutil

    source = os.path.join(local_path(artifact_uri), path)
    if not os.path.isfile(source):
        return None
    with arriving(path, directory) as aside:
        shutil.copyfile(source, aside)
    return os.path.join(directory, os.path.basename(path))


def copy_local(directory: str, artifact_uri: str) -> None:
    """Copy everything below a directory to artifacts that are on this machine, as MLflow's own client does.

    With empty directories, and each file with its permissions and times, whole or not at all; it takes the place of
    one that has its name. The directory of the artifacts is made if there is none.

    Raises:
        TrackingError: Something cannot be read, or not be written there.
    """
    import shutil  # with what it imports, it costs as much as copying some files

    root = local_path(artifact_uri)
    for folder, folders, names in os.walk(directory):
        place = os.path.normpath(os.path.join(root, os.path.relpath(folder, directory)))
        aside = os.path.join(place, f"{_UPLOADING}{os.getpid()}")
        source = folder
        try:
            for each in ("", *folders):
                os.makedirs(os.path.join(place, each), exist_ok=True)
            for name in sorted(names):
                source = os.path.join(folder, name)
                try:
                    shutil.copy2(source, aside)
                    os.replace(aside, os.path.join(place, name))
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(aside)
                    raise
        except OSError as error:
            raise file_error(f"cannot copy {source} to {place}", error) from error


@contextlib.contextmanager
def arriving(path: str, directory: str) -> Iterator[str]:
    """Give a place to write an artifact to, in an empty directory; it moves to its own name at the end.

    On any failure nothing is left behind.

    Raises:
        TrackingError: The file system does not take it.
    """
    import tempfile

    try:
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".arriving-", dir=directory) as folder:
            aside = os.path.join(folder, os.path.basename(path))
            yield aside
            os.replace(aside, os.path.join(directory, os.path.basename(path)))
    except OSError as error:
        raise file_error(f"cannot copy the artifact '{path}' to {directory}", error) from error


def file_error(what: str, error: OSError) -> TrackingError:
    """Return the error for a file of this machine that could not be read or written."""
    reason = error.strerror or str(error)
    return TrackingError(
        Problem("tracking-failed", f"{what}: {reason}"), retryable=error.errno in PASSING_ERRORS
    )
