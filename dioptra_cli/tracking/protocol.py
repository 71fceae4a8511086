"""What dioptra needs of a place that records runs. Pure data and one protocol; imports no tracking library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class RunStatus(str, Enum):
    """How a run ended, in MLflow's words."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True)
class RunRequest:
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
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StartedRun:
    """A run that has been created, or taken up again."""

    run_id: str
    experiment_id: str
    run_name: str
    artifact_uri: str


class Tracker(Protocol):
    """Records one run at a time. Every method raises `TrackingError` when the store cannot do its part."""

    @property
    def uri(self) -> str:
        """The tracking URI, absolute: a child process that gets it writes to the same place."""

    def start(self, request: RunRequest) -> StartedRun:
        """Create the run that is asked for, or take up the one named by `run_id`."""

    def close(self, run_id: str, status: RunStatus) -> None:
        """Set the final status and the end time, also where the script closed the run itself."""

    def logged_parameters(self, run_id: str) -> Mapping[str, str]:
        """Return the parameters that the run has already."""

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Add parameters."""

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""

    def log_artifacts(self, run_id: str, directory: str) -> None:
        """Copy everything below `directory` into the run's artifacts."""
