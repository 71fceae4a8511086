"""Which task plugins an entry point would find, and which of them cannot be imported.

Only a child can tell, in the environment of an entry point: its `dioptra.pyplugs.listing` imports them, and this
module reads what it reports. Imports no plugin itself.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from dioptra_cli.errors import LaunchError, Problem
from dioptra_cli.execution import environment
from dioptra_cli.execution.process import (
    End,
    Grace,
    Interrupted,
    Outcome,
    SignalGuard,
    run_child,
    signal_name,
)

DEFAULT_TIMEOUT = 120.0
"""Seconds for importing all plugins; a module that hangs must not hang the command."""

_MOST_PROCESSES = 20
"""So many processes look at the plugins, each but the last ended by a module: each imports what it needs anew."""

_PROGRAM = os.path.join(environment.CHILD_PATH, "dioptra", "pyplugs", "listing.py")
_GRACE = Grace(interrupt=2.0, terminate=2.0)

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class TaskPlugin:
    """A registered function.

    Attributes:
        package: The package of its module; "" for a module outside of packages.
        plugin: The module, without its package.
        function: The function.
        signature: Its arguments and what it returns, on one line.
        description: The first paragraph of its docstring; "" when there is none.
        nout: How many results it declares.
        file: Where it is defined.
        line: The line there.
        directory: The plugin directory that holds its module.
    """

    package: str
    plugin: str
    function: str
    signature: str
    description: str
    nout: int | None
    file: str
    line: int | None
    directory: str


@dataclass(frozen=True)
class FailedPlugin:
    """A module that cannot be imported.

    Attributes:
        module: Its dotted name.
        file: Its file.
        line: Where in the file it failed, when Python says so.
        directory: The plugin directory that holds it.
        error: The type of the exception; "Timeout" or "Exit" when there was none.
        message: What the exception says.
        missing_package: What is not installed, if that is the reason.
        optional: Whether it is one of dioptra's own, which may do without that package.
    """

    module: str
    file: str
    line: int | None
    directory: str
    error: str
    message: str
    missing_package: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class HiddenModule:
    """A module that cannot be imported, as another has its name: plugin directories are searched in order.

    Attributes:
        module: The name.
        file: The file that is not imported: in a plugin directory, or that of an installed module.
        directory: The plugin directory where this was found.
        by: The file that is imported.
    """

    module: str
    file: str
    directory: str
    by: str


@dataclass(frozen=True)
class PluginListing:
    """What an entry point would find.

    Attributes:
        python: The interpreter that was asked.
        version: Its version.
        tasks: By plugin directory and module, functions in the order in which they are registered.
        failures: The same for modules that cannot be imported.
        hidden: The same for modules whose names are taken.
    """

    python: str
    version: str
    tasks: tuple[TaskPlugin, ...]
    failures: tuple[FailedPlugin, ...]
    hidden: tuple[HiddenModule, ...]


def list_plugins(
    env: Mapping[str, str], *, cwd: str, guard: SignalGuard, timeout: float = DEFAULT_TIMEOUT
) -> PluginListing:
    """Import every task plugin in a child and return what it found.

    Args:
        env: The whole environment of an entry point.
        cwd: Its working directory.
        guard: The entered guard.
        timeout: Seconds for all imports. The module at which they end is a failure, and the last one. A module
            that ends the process is a failure, too; another process goes on behind it.

    Raises:
        LaunchError: There is no Python, or it cannot run the listing.
        Interrupted: A signal asked to stop.
    """
    own = environment.split_directories(env.get(environment.PLUGIN_DIR))
    # The listing sets the import path itself: a plugin named like a standard module must not break it.
    path = [entry for entry in env.get(environment.PYTHONPATH, "").split(os.pathsep) if entry not in own]
    env = {**env, environment.PYTHONPATH: os.pathsep.join(path)}
    lines: list[dict[str, Any]] = []
    behind: list[str] = []
    left = timeout
    for _ in range(_MOST_PROCESSES):
        found, outcome, last_words = _look(env, behind, cwd=cwd, guard=guard, timeout=left)
        if not found and not lines:
            raise LaunchError(_not_listed(outcome, last_words))
        at: dict[str, Any] = next((line for line in reversed(found) if line["kind"] == "importing"), {})
        if lines and not at:  # it did not get as far as a module
            break
        lines += found
        if lines[-1]["kind"] == "end":
            break
        lines.append(_cut_off(at, outcome, timeout))
        left -= outcome.seconds
        if not at or left <= 0 or outcome.end is End.TIMED_OUT:
            break
        behind = [at["file"]]
    if lines[-1]["kind"] != "end":
        lines[-1]["message"] += "; the modules after it were not looked at"
    return PluginListing(
        lines[0]["python"],
        lines[0]["version"],
        tuple(_records(TaskPlugin, "task", lines)),
        tuple(_records(FailedPlugin, "failure", lines)),
        tuple(_records(HiddenModule, "hidden", lines)),
    )


def _look(
    env: Mapping[str, str], behind: list[str], *, cwd: str, guard: SignalGuard, timeout: float
) -> tuple[list[dict[str, Any]], Outcome, str]:
    """Run the program once, on what comes after the module of the file `behind`, if there is one.

    Returns:
        Its lines, its end, and what it said on standard error.

    Raises:
        Interrupted: A signal asked to stop.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        outcome = run_child(
            ["python", _PROGRAM, *behind],
            cwd=cwd,
            env=env,
            guard=guard,
            stdout_to=out.fileno(),
            stderr_to=err.fileno(),
            timeout=timeout,
            grace=_GRACE,
        )
        if outcome.interrupted_by is not None:
            raise Interrupted(outcome.interrupted_by)
        out.seek(0)
        err.seek(0)
        # A line without its end was cut off when the child was killed.
        lines = [json.loads(line) for line in out if line.endswith(b"\n")]
        return lines, outcome, err.read().decode("utf-8", "replace").strip()


def _records(kind: type[_Record], name: str, lines: list[dict[str, Any]]) -> list[_Record]:
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # all are dataclasses
    return [kind(**{key: line[key] for key in known}) for line in lines if line["kind"] == name]


def _cut_off(at: Mapping[str, Any], outcome: Outcome, timeout: float) -> dict[str, Any]:
    """Return the line about the failure of the module at which a process ended."""
    if outcome.end is End.TIMED_OUT:
        error = "Timeout"
        message = f"its import had not ended after the {timeout:g} s that there are for all plugins"
    else:
        error, message = "Exit", f"its import ended the process {_ending(outcome)}"
    failure = FailedPlugin(
        at.get("module", ""), at.get("file", ""), None, at.get("directory", ""), error, message
    )
    return {"kind": "failure", **asdict(failure)}


def _ending(outcome: Outcome) -> str:
    code = outcome.returncode
    return f"with exit code {code}" if code is None or code >= 0 else f"by {signal_name(-code)}"


def _not_listed(outcome: Outcome, last_words: str) -> Problem:
    if outcome.error is not None:
        return Problem(
            "no-python",
            f"cannot run 'python', which would import the task plugins: {outcome.error.strerror}",
            hint="activate the environment of the entry points, or put its 'python' on the PATH",
        )
    ended = "took too long to start" if outcome.end is End.TIMED_OUT else f"ended {_ending(outcome)}"
    said = f": {last_words.splitlines()[-1]}" if last_words else ""
    return Problem(
        "no-plugin-listing",
        f"the 'python' of the entry points cannot list the task plugins: it {ended}{said}",
        hint="it has to be Python 3.9 or newer",
    )
