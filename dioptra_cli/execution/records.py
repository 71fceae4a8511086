"""What a run records about itself: its tags, and the files among its artifacts. Without secrets, all of it.

Writes into the directory that it is given; talks to no store.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from dioptra_cli import __version__
from dioptra_cli.execution.plan import Plan
from dioptra_cli.mlproject.model import Project
from dioptra_cli.parameters.secrets import MASK, Masker, is_secret, shown, without_credentials

if TYPE_CHECKING:
    from dioptra_cli.execution.packages import Installed
    from dioptra_cli.execution.source import Source
    from dioptra_cli.flows.report import FlowReport
    from dioptra_cli.parameters.resolve import Value

PROJECT_TAG = "dioptra.project"
TOKEN_TAG = "dioptra.token"

_LONGEST_TAG = 8000
_LISTING_SECONDS = 2.0
"""How long the list of packages is waited for when the command has ended."""
_MOST_FLOWS = 50
"""So many flows of one run are kept as a record and a picture: a script may run one for each of 1000 settings."""


class Origin(NamedTuple):
    """Where the project of a run comes from.

    Attributes:
        name: What names it from any directory: a path, or a URL without credentials.
        source_name: What MLflow calls it.
        source: The state of its work tree, if it lies in one.
        version: The git revision that was asked for.
        archive: The URI and the SHA-256 of the archive that it was unpacked from.
    """

    name: str
    source_name: str
    source: Source | None = None
    version: str | None = None
    archive: tuple[str, str] | None = None


@dataclass(frozen=True)
class RecordedOptions:
    """The options of `run` that shape a run; as JSON, they have these names."""

    env: Mapping[str, str] = field(default_factory=dict)
    plugin_dirs: tuple[str, ...] = ()
    timeout: float | None = None
    flow_workers: int | None = None
    log_level: str | None = None
    log_as_json: bool | None = None

    @classmethod
    def without_secrets(
        cls, env: Mapping[str, str], plugin_dirs: Sequence[str], **others: Any
    ) -> RecordedOptions:
        """Return options as they are recorded: without secrets, plugin directories absolute."""
        directories = tuple(
            without_credentials(each) if "://" in each else os.path.abspath(os.path.expanduser(each))
            for each in plugin_dirs
        )
        return cls({name: shown(name, value) for name, value in env.items()}, directories, **others)


class Recorder:
    """Writes the records of one run into a directory.

    Args:
        plan: What is executed.
        origin: Where the project comes from.
        options: What was asked for beside parameters, as JSON: the options of `run` that `rerun` repeats.
        masker: What must not be seen.
        directory: Where the artifacts are collected. It exists.
        provenance: Whether to record the state of code, environment and machine, beside what the run does.
    """

    def __init__(
        self,
        plan: Plan,
        origin: Origin,
        options: Mapping[str, Any],
        masker: Masker,
        directory: str,
        *,
        provenance: bool = True,
    ) -> None:
        self._plan = plan.masked(masker)
        self._origin = origin
        self._options = options
        self._masker = masker
        self._directory = directory
        self._wants_provenance = provenance
        self._provenance: dict[str, Any] = {}
        self._installed: Installed | None = None
        self._look: threading.Thread | None = None

    def tags(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the tags of the new run: those that the user has given, MLflow's for a project, and dioptra's.

        What names the project is not searched for secrets: a password such as `mlflow` is part of many names.
        """
        plan, origin = self._plan, self._origin
        parameters = json.dumps(recorded_parameters(plan), ensure_ascii=False)
        tags = {
            "mlflow.user": _user(),
            "mlflow.source.name": origin.source_name,
            "mlflow.source.type": "PROJECT",
            "mlflow.project.entryPoint": plan.entry_point.name,
            "mlflow.project.backend": "local",
            PROJECT_TAG: origin.name,
            "dioptra.version": __version__,
            "dioptra.host": os.uname().nodename,
            "dioptra.command": plan.command,
        }
        if len(parameters) <= _LONGEST_TAG:  # else the artifact has them; half of a JSON text is of no use
            tags["dioptra.parameters"] = parameters
        if origin.version is not None:
            tags["dioptra.project_version"] = origin.version
        source = origin.source
        if source is not None and self._wants_provenance:
            if source.dirty is not None:
                tags["dioptra.working_tree"] = "modified" if source.dirty else "clean"
                tags["mlflow.source.git.dirty"] = str(source.dirty).lower()
            if source.commit is not None:
                tags["mlflow.source.git.commit"] = source.commit
            if source.repository is not None:
                tags["mlflow.source.git.repoURL"] = source.repository
                tags["mlflow.gitRepoURL"] = source.repository  # the name that older versions of MLflow read
        tags |= {name: self._masker(shown(name, value)) for name, value in given.items()}
        return {name: recordable(value) for name, value in tags.items()}

    def write_input(self) -> None:
        """Write what is known before the run: the MLproject file, the parameters, the state of the code.

        Raises:
            OSError: It cannot be written.
        """
        plan = self._plan
        content = {
            "entry_point": plan.entry_point.name,
            "command": plan.command,
            "python": sys.version.split()[0],
            "parameters": [{**value_as_json(value), "masked": MASK in value.given} for value in plan.values],
        }
        self._write_json("parameters.json", content)
        if not self._wants_provenance:
            return
        if plan.project.file is not None:
            self._write("MLproject", recorded_source(plan.project, self._masker))
        source, archive = self._origin.source, self._origin.archive
        if source is not None and source.diff:
            self._write("git.diff", source.diff + "\n")
        self._provenance = {
            "dioptra": __version__,
            "project": self._origin.name,
            "version": self._origin.version,
            "directory": plan.project.directory,
            "entry_point": plan.entry_point.name,
            "command": plan.command,
            "options": self._options,
            "git": None if source is None else git_as_json(source),
            "archive": None if archive is None else {"uri": archive[0], "sha256": archive[1]},
            "platform": machine(),
            "host": os.uname().nodename,
            "user": _user(),
        }

    def begin_listing_packages(self, environ: Mapping[str, str], added: Mapping[str, str]) -> None:
        """Begin to find out, beside the command, what is installed in its Python.

        Args:
            environ: The command's whole environment.
            added: What of it dioptra has added.
        """
        if not self._wants_provenance:
            return
        self._provenance["environment"] = {name: shown(name, value) for name, value in added.items()}

        def look() -> None:
            from dioptra_cli.execution.packages import installed

            with contextlib.suppress(Exception):  # what it can stumble over lies on other people's disks
                self._installed = installed(environ, self._plan.project.directory)

        self._look = threading.Thread(target=look, name="dioptra-packages", daemon=True)
        self._look.start()

    def write_end(self, started: float, seconds: float, facts: Mapping[str, Any]) -> None:
        """Write what is known after the run.

        Args:
            started: When the command was started, in seconds since 1970.
            seconds: How long it ran.
            facts: How it ended and what it took; for `provenance.json`.

        Raises:
            OSError: It cannot be written.
        """
        if not self._wants_provenance:
            return
        if self._look is not None:
            self._look.join(_LISTING_SECONDS)
        found = self._installed
        if found is None:
            self._provenance["python"] = None  # it did not answer in time
        else:
            self._provenance["python"] = {
                "executable": found.executable,
                "version": found.version,
                "implementation": found.implementation,
            }
            # Not searched for secrets: a password such as `mlflow` would make another list of it.
            _write(self._directory, "requirements.txt", "".join(f"{line}\n" for line in found.packages))
        self._provenance |= {
            "started": _moment(started),
            "ended": _moment(started + seconds),
            "seconds": round(seconds, 3),
            **facts,
        }
        self._write_json("provenance.json", self._provenance)

    def _write_json(self, name: str, content: Any) -> None:
        # Masked before it is JSON: in there, a secret may look different, and a mask could break it.
        _write(self._directory, name, as_json(_storable(content, self._masker)))

    def _write(self, name: str, text: str) -> None:
        _write(self._directory, name, self._masker(text))


def recorded_source(project: Project, masker: Masker) -> str:
    """Return the MLproject file as it is recorded: without secrets, and, where that is possible, still YAML."""
    from dioptra_cli.mlproject.redaction import redacted

    return masker(redacted(project.source, is_secret, MASK))


def value_as_json(value: Value) -> dict[str, Any]:
    """Return what a recording says of the value of a parameter."""
    return {
        "name": value.name,
        "type": value.type,
        "value": value.given,
        "resolved": value.text,
        "source": value.origin.value,
        "declared": value.declared,
    }


def git_as_json(source: Source) -> dict[str, Any]:
    """Return what a recording says of a work tree. The diff is a file beside it."""
    return {
        "commit": source.commit,
        "branch": source.branch,
        "repository": source.repository,
        "modified": source.dirty,
        "untracked": list(source.untracked),
        "untracked_omitted": source.untracked_omitted,
        "diff": "git.diff" if source.diff else None,
        "diff_omitted": source.diff_omitted,
        "submodules": list(source.submodules),
        "missing": list(source.missing),
    }


def machine() -> str:
    """Return system, release and architecture. `platform.platform()` would start a process for that."""
    system = os.uname()
    return f"{system.sysname}-{system.release}-{system.machine}"


def recorded_parameters(masked: Plan) -> dict[str, str]:
    """Return the parameters of a masked plan as the user wrote them."""
    return {recordable(value.name): recordable(value.given) for value in masked.values}


def read_flows(directory: str) -> tuple[FlowReport, ...]:
    """Return what the flows of a run have reported into a directory, the oldest first."""
    if not (os.path.isdir(directory) and os.listdir(directory)):
        return ()
    from dioptra_cli.flows.report import FlowEvents  # most runs have no flows

    return tuple(FlowEvents(directory).finish())


def write_flows(directory: str, flows: Sequence[FlowReport], masker: Masker) -> int:
    """Write a record and a picture of each flow, up to a number.

    Returns:
        How many flows are beyond that number.

    Raises:
        OSError: It cannot be written.
    """
    if not flows:
        return 0
    from dioptra_cli.flows import picture, report

    for number, reported in enumerate(flows[:_MOST_FLOWS], 1):
        flow = _masked_report(reported, masker)  # not the picture: in XML, a secret may look different
        name = "flow" if number == 1 else f"flow-{number}"
        _write(directory, f"{name}.json", as_json(report.as_json(flow)))
        _write(directory, f"{name}.svg", picture.svg(flow))
    return max(0, len(flows) - _MOST_FLOWS)


def flow_tags(flows: Sequence[FlowReport], masker: Masker) -> dict[str, str]:
    """Return the tag that tells what became of the flows of a run."""
    if not flows:
        return {}
    from dioptra_cli.flows.report import summary

    told = masker("; ".join(map(summary, flows[:_MOST_FLOWS])))
    return {"dioptra.flow": told if len(told) <= _LONGEST_TAG else f"{told[: _LONGEST_TAG - 1]}…"}


def recordable(text: str) -> str:
    """Return `text` as a store can hold it: bytes that are no UTF-8 become replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def as_json(content: Any) -> str:
    """Return JSON for people: indented, not escaped, with a newline at the end."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _masked_report(report: Any, masker: Masker) -> Any:
    """Return the report of a flow, or a part of one, without secrets."""
    if isinstance(report, str):
        return recordable(masker(report))
    if isinstance(report, tuple):
        return tuple(_masked_report(part, masker) for part in report)
    if is_dataclass(report) and not isinstance(report, type):
        parts = {field.name: _masked_report(getattr(report, field.name), masker) for field in fields(report)}
        return replace(report, **parts)
    return report


def _storable(content: Any, masker: Masker) -> Any:
    if isinstance(content, str):
        return recordable(masker(content))
    if isinstance(content, Mapping):
        return {recordable(name): _storable(value, masker) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_storable(value, masker) for value in content]
    return content


def _write(directory: str, name: str, text: str) -> None:
    with open(os.path.join(directory, name), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, as in many containers
        return str(os.getuid())
