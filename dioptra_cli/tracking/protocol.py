"""What dioptra needs of a place that records runs. Data, one protocol and its errors; imports no tracking library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple, Protocol

from dioptra_cli.errors import Problem, TrackingError
from dioptra_cli.parameters.secrets import without_credentials

# MLflow's own limits (mlflow.utils.validation), in characters and entries.
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
PARAMETERS_PER_BATCH = 100
PARENT_TAG = "mlflow.parentRunId"


class RunStatus(str, Enum):
    """How a run ended, in MLflow's words."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class RunRequest(NamedTuple):
    """The run to record into.

    Attributes:
        experiment_name: The experiment; it is created when there is none of that name.
        experiment_id: The experiment by id; it must exist. At most one of the two is set.
        run_id: A run to continue instead of creating one.
        parent_run_id: The run that it belongs under; it must exist.
        run_name: A name for it; MLflow makes one up otherwise.
        tags: Tags to set.
    """

    experiment_name: str | None = None
    experiment_id: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None
    run_name: str | None = None
    tags: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class StartedRun:
    """A run that has been created, or taken up again."""

    run_id: str
    experiment_id: str
    run_name: str
    artifact_uri: str


class RecordedRun(NamedTuple):
    """A run as the store has it.

    Attributes:
        run_id: Its id.
        run_name: Its name.
        experiment_id: The experiment that it belongs to.
        status: In MLflow's words: `RUNNING`, `FINISHED`, `FAILED`, `KILLED`, `SCHEDULED`.
        started: When, in milliseconds since 1970; None where the store does not say.
        ended: Likewise.
        artifact_uri: Where its artifacts lie.
        parameters: By name.
        metrics: The last value of each, by name.
        tags: By name.
    """

    run_id: str
    run_name: str
    experiment_id: str
    status: str
    started: int | None
    ended: int | None
    artifact_uri: str
    parameters: Mapping[str, str] = MappingProxyType({})
    metrics: Mapping[str, float] = MappingProxyType({})
    tags: Mapping[str, str] = MappingProxyType({})


class Tracker(Protocol):
    """Records runs, and reads them. Every method raises `TrackingError` when the store cannot do its part."""

    @property
    def uri(self) -> str:
        """The tracking URI, absolute: a child process that gets it writes to the same place."""

    def start(self, request: RunRequest) -> StartedRun:
        """Create the run that is asked for, or take up the one named by `run_id`."""

    def close(self, run_id: str, status: RunStatus, ended: int) -> None:
        """Set the final status and the end time, in milliseconds, also where the script closed the run itself."""

    def logged_parameters(self, run_id: str) -> Mapping[str, str]:
        """Return the parameters that the run has already."""

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Add parameters."""

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""

    def log(self, run_id: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add parameters and set tags, at once where that is possible; one that is refused may keep all out."""

    def log_artifacts(self, run_id: str, directory: str) -> None:
        """Copy everything below `directory` into the run's artifacts."""

    def run(self, run_id: str) -> RecordedRun:
        """Return a run; one that is not there, or is deleted, raises."""

    def find(self, tags: Mapping[str, str], *, limit: int) -> list[RecordedRun]:
        """Return the newest runs of all experiments that have these tags, the newest first; deleted ones not."""

    def fetch(self, run_id: str, path: str, directory: str) -> str | None:
        """Copy one artifact, a file, into a directory; return where it is now, or None if the run has none."""


def not_found(what: str, name: str, uri: str) -> TrackingError:
    """Return the error for a run or an experiment that the store does not have."""
    return TrackingError(
        Problem(f"no-such-{what}", f"there is no {what} '{name}' at {without_credentials(uri)}")
    )


def deleted_experiment(name: str, identity: str) -> TrackingError:
    """Return the error for an experiment in the store's bin."""
    return TrackingError(
        Problem(
            "deleted-experiment",
            f"the experiment '{name}' (id {identity}) is deleted",
            hint=f"restore it with 'mlflow experiments restore -x {identity}', or choose another",
        )
    )


def deleted_run(run_id: str) -> TrackingError:
    """Return the error for a run in the store's bin."""
    return TrackingError(Problem("deleted-run", f"the run '{run_id}' is deleted"))
