"""Environment variables: the only reader of `os.environ`, and the owner of every variable name.

Builds the environment that a child gets. Starts nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

PLUGIN_DIR = "DIOPTRA_PLUGIN_DIR"
LOG_LEVEL = "DIOPTRA_JOB_LOG_LEVEL"
LOG_AS_JSON = "DIOPTRA_JOB_LOG_AS_JSON"
FLOW_WORKERS = "DIOPTRA_FLOW_WORKERS"
FLOW_EVENTS = "DIOPTRA_FLOW_EVENTS"
COLLECTIONS = ("DIOPTRA_CUSTOM_PLUGINS_S3_URI", "DIOPTRA_PLUGINS_S3_URI")
"""Each holds where one collection of plugins lies, `s3://plugins/dioptra_custom`: the last part of the URI is the
name of the package. A testbed sets them for its workers."""
PYTHONPATH = "PYTHONPATH"
PYTHONUNBUFFERED = "PYTHONUNBUFFERED"
TRACKING_URI = "MLFLOW_TRACKING_URI"
RUN_ID = "MLFLOW_RUN_ID"
EXPERIMENT_ID = "MLFLOW_EXPERIMENT_ID"
EXPERIMENT_NAME = "MLFLOW_EXPERIMENT_NAME"
NO_COLOR = "NO_COLOR"

OLDER_NAMES = {
    PLUGIN_DIR: "AI_PLUGIN_DIR",
    LOG_LEVEL: "AI_JOB_LOG_LEVEL",
    LOG_AS_JSON: "AI_JOB_LOG_AS_JSON",
    **{name: name.replace("DIOPTRA_", "AI_") for name in COLLECTIONS},
}
"""The names that entry points published before May 2022 read; they get the same values."""

CHILD_PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "child_path")
"""What a child imports from: the SDK, the flows and the import hook. First on its `PYTHONPATH`."""

BUILTIN_PLUGINS = os.path.join(CHILD_PATH, "task-plugins")
"""The built-in task plugins: the last of the plugin directories, so that the user's own win."""

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_QUIET_MLFLOW = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to the child
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what fails becomes an error of one line
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
_added: dict[str, str] = {}
"""What `prepare_this_process` has set, which is no word of the user's."""
_SHARE_OF_ONE_REQUEST = 0.8
"""Of the time that a server has until a run is started; importing MLflow and the connection take their part."""


@dataclass(frozen=True)
class JobSettings:
    """What the options say about a child's environment; None leaves what is there.

    Attributes:
        plugin_directories: Absolute, first found first.
        collections: Those of them that are a collection themselves, instead of holding some.
        log_level: For `DIOPTRA_JOB_LOG_LEVEL`.
        log_as_json: For `DIOPTRA_JOB_LOG_AS_JSON`: the variable counts as set when it is not empty.
        flow_workers: For `DIOPTRA_FLOW_WORKERS`: how many tasks of a flow may run side by side.
        extra: Variables that the user adds; they win over everything but the run's own.
    """

    plugin_directories: tuple[str, ...] = ()
    collections: frozenset[str] = frozenset()
    log_level: str | None = None
    log_as_json: bool | None = None
    flow_workers: int | None = None
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def remote(self) -> list[str]:
        """The plugin directories that have to be downloaded."""
        return [directory for directory in self.plugin_directories if _is_remote(directory)]

    def with_downloads(self, copies: Mapping[str, str]) -> JobSettings:
        """Return the settings with local copies in place of remote plugin directories.

        A collection is imported from the directory that it lies in. That of a copy holds nothing else.
        """

        def local(directory: str) -> str:
            copy = copies.get(directory, directory)
            return os.path.dirname(copy) if directory in self.collections else copy

        return replace(self, plugin_directories=tuple(map(local, self.plugin_directories)))


def _is_remote(directory: str) -> bool:
    from dioptra_cli.parameters.uris import (  # calls that start nothing have no use for it
        REMOTE_SCHEMES,
        scheme_of,
    )

    return scheme_of(directory) in REMOTE_SCHEMES


def snapshot() -> dict[str, str]:
    """Return a copy of the environment of this process, as its caller made it."""
    return {name: value for name, value in os.environ.items() if _added.get(name) != value}


def colors_wanted() -> bool | None:
    """Return whether the user asks for colours or against them; None leaves it to the terminal."""
    if os.environ.get(NO_COLOR) or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def columns() -> int | None:
    """Return how many columns a terminal is said to have; None where nothing is said."""
    said = os.environ.get("COLUMNS", "")
    return int(said) or None if said.isdecimal() else None


def asks_click_to_complete() -> bool:
    """Return whether a shell calls by click's own way of completion."""
    return "_DIOPTRA_COMPLETE" in os.environ


def tracking_timeout() -> float:
    """Return how many seconds the user lets a tracking server take: `MLFLOW_HTTP_REQUEST_TIMEOUT`, else 10."""
    said = snapshot().get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
    return float(said) if said.isdecimal() and int(said) else 10.0


def prepare_this_process(tracking_timeout: float = 10.0) -> None:
    """Set up this process for calling MLflow: quiet, and not waiting for minutes. The user's settings win.

    Args:
        tracking_timeout: Seconds to wait for a tracking server. MLflow's own defaults, seven repetitions of two
            minutes each, are not for the start of a run; what may be repeated is repeated by the tracker.
    """
    patience = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, int(tracking_timeout * _SHARE_OF_ONE_REQUEST))),
    }
    for name, value in {**_QUIET_MLFLOW, **patience}.items():
        if name not in os.environ:
            os.environ[name] = _added[name] = value


def split_directories(value: str | None) -> list[str]:
    """Return the pieces of a search path such as `DIOPTRA_PLUGIN_DIR`, without empty ones.

    A remote directory is one piece although it holds a colon.
    """
    if not value:
        return []
    pieces = value.split(os.pathsep)
    joined: list[str] = []
    for piece in pieces:
        if joined and os.pathsep == ":" and piece.startswith("//") and joined[-1].isalnum():
            joined[-1] = f"{joined[-1]}:{piece}"
        else:
            joined.append(piece)
    return [piece for piece in joined if piece]


def additions(
    base: Mapping[str, str],
    settings: JobSettings,
    *,
    tracking_uri: str | None = None,
    run_id: str | None = None,
    experiment_id: str | None = None,
    flow_events: str | None = None,
) -> dict[str, str]:
    """Return the variables that a child gets beside, or instead of, those of `base`.

    Args:
        base: The environment of the caller.
        settings: What the options say.
        tracking_uri: Absolute, so that the child writes to the same place.
        run_id: The run that a bare `mlflow.start_run()` joins.
        experiment_id: The experiment of that run.
        flow_events: The directory into which flows report what they do.
    """
    added: dict[str, str] = {}
    if PYTHONUNBUFFERED not in base:
        added[PYTHONUNBUFFERED] = "1"
    path = _path_with_python(base)
    if path is not None:
        added["PATH"] = path
    plugins = [*(d for d in settings.plugin_directories if d != BUILTIN_PLUGINS), BUILTIN_PLUGINS]
    added[PLUGIN_DIR] = os.pathsep.join(plugins)
    ours = [CHILD_PATH, *plugins]
    before = [d for d in base.get(PYTHONPATH, "").split(os.pathsep) if d and d not in ours]
    added[PYTHONPATH] = os.pathsep.join([*ours, *before])
    if settings.log_level is not None:
        added[LOG_LEVEL] = settings.log_level
    if settings.log_as_json is not None:
        added[LOG_AS_JSON] = "1" if settings.log_as_json else ""
    if settings.flow_workers is not None:
        added[FLOW_WORKERS] = str(settings.flow_workers)
    for name, older in OLDER_NAMES.items():
        value = added.get(name, base.get(name))
        if value is not None:
            added[older] = value
    added.update(settings.extra)
    joined = {
        TRACKING_URI: tracking_uri,
        RUN_ID: run_id,
        EXPERIMENT_ID: experiment_id,
        FLOW_EVENTS: flow_events,
    }
    added.update({name: value for name, value in joined.items() if value is not None})
    return added


def merged(base: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a child that joins a run.

    An experiment name of the caller's is left out: the run decides the experiment, and MLflow in the child would
    look for the name first.
    """
    whole = {**base, **added}
    if RUN_ID in added:
        whole.pop(EXPERIMENT_NAME, None)
    return whole


def _path_with_python(base: Mapping[str, str]) -> str | None:
    """Return a PATH on which `python` is the one that runs dioptra, where the caller's has no say in it.

    An activated environment decides by itself. Without one, `/some/venv/bin/dioptra` called by its path means
    that environment, whose `python` would not be found otherwise.
    """
    if base.get("VIRTUAL_ENV") or base.get("CONDA_PREFIX"):
        return None
    directory = os.path.dirname(sys.executable)
    pieces = base.get("PATH", os.defpath).split(os.pathsep)
    return None if not directory or directory in pieces else os.pathsep.join([directory, *pieces])


def plugin_directories(
    options: Sequence[str], base: Mapping[str, str], project: str, caller: str
) -> Iterable[tuple[str, str]]:
    """Yield the plugin directories, first found first, each with where it was named; remote ones as their URI.

    `--plugin-dir`, then `DIOPTRA_PLUGIN_DIR`, then what `COLLECTIONS` name, then `task-plugins/` in the project;
    `additions` puts the built-in ones last. Relative ones belong to the caller's directory. Whether they exist is
    not looked up, but for the project's.
    """

    def named(name: str) -> str | None:
        return base.get(name) or base.get(OLDER_NAMES[name])

    for directory, where in [
        *((directory, "--plugin-dir") for directory in options),
        *((directory, PLUGIN_DIR) for directory in split_directories(named(PLUGIN_DIR))),
        *((directory, name) for name in COLLECTIONS if (directory := named(name))),
    ]:
        if "://" in directory and not directory.startswith("file:"):
            yield directory, where
        else:
            yield os.path.abspath(os.path.join(caller, os.path.expanduser(directory))), where
    own = os.path.join(project, "task-plugins")
    if os.path.isdir(own):
        yield own, "the project"


class PluginDirectories(NamedTuple):
    """The plugin directories of a run.

    Attributes:
        directories: Those that there are, and remote ones as their URI; first found first.
        collections: Those of them that are a collection themselves; see `COLLECTIONS`.
        missing: Those that an option names and that do not exist, each with the option.
        left_out: The same of a variable.
    """

    directories: tuple[str, ...]
    collections: frozenset[str]
    missing: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]


def find_plugin_directories(
    options: Sequence[str], base: Mapping[str, str], project: str, caller: str
) -> PluginDirectories:
    """Look which of `plugin_directories` exist."""
    directories: list[str] = []
    collections: set[str] = set()
    missing: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for directory, where in plugin_directories(options, base, project, caller):
        if _is_remote(directory) or os.path.isdir(directory):
            if directory not in directories:
                directories.append(directory)
                if where in COLLECTIONS:
                    collections.add(directory)
        else:
            missing[where.startswith("DIOPTRA_")].append((directory, where))
    return PluginDirectories(
        tuple(directories), frozenset(collections), tuple(missing[False]), tuple(missing[True])
    )
