"""`dioptra rerun`: runs again what a recorded run did, and says what is different now.

What was recorded is `recording`'s business, and how a project is run that of `running`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from dioptra_cli.cli import output
from dioptra_cli.cli.options import recording_options, require_pairs
from dioptra_cli.errors import Problem, UsageError

if TYPE_CHECKING:
    from dioptra_cli.cli.projects import Located
    from dioptra_cli.cli.running import Options
    from dioptra_cli.execution.recording import RecordedParameter, Recording
    from dioptra_cli.mlproject.model import Project
    from dioptra_cli.mlproject.selection import Selected
    from dioptra_cli.parameters.secrets import Masker
    from dioptra_cli.tracking.protocol import RecordedRun

RERUN_TAG = "dioptra.rerun_of"
_UNFINISHED = ("RUNNING", "SCHEDULED")


@click.command(name="rerun")
@click.argument("run_id")
@click.option(
    "-P",
    "--param-list",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    help="A parameter with another value than the recorded one; repeatable.",
)
@click.option(
    "-v",
    "--version",
    metavar="COMMIT",
    help="The git commit or branch to run. [default: the recorded one where the project is not just a directory]",
)
@click.option("--project", metavar="PROJECT", help="Where the project is now. [default: where it was]")
@recording_options
def command(run_id: str, project: str | None, **options: Any) -> int:
    """Run again what a recorded run did: the same project, entry point, parameters and options.

    RUN_ID is the id of a run, its first characters (four at least), or its name. Options given here win over the
    recorded ones, and the experiment is that of the recorded run; of the environment, only what --env set is
    recorded. Where the code, the packages or the machine are not those of the recorded run, it says so before it
    starts. Secrets are not recorded: give them again.
    """
    from dioptra_cli.cli import running
    from dioptra_cli.execution.process import interruptible

    given = running.Options(project="", entry_point=None, params_file=None, run_id=None, **options)
    with interruptible():
        run, recording = _recorded(run_id, given)
        again = _again(given, run, recording, project)
    return running.run(again, extra_tags={RERUN_TAG: recording.run_id})


def _recorded(text: str, options: Options) -> tuple[RecordedRun, Recording]:
    """Return the run that is meant, and what it recorded, also where its store does not have all of it yet.

    Raises:
        UsageError: Several runs may be meant, or the run has not ended, or is none of a project.
        TrackingError: There is no such run, or the store cannot be reached.
    """
    from dioptra_cli.cli import recorded
    from dioptra_cli.execution.recording import read_recording

    tracker = recorded.open_store(options.tracking_uri, options.tracking_timeout)
    run = recorded.find_run(tracker, text)
    kept = recorded.find_kept(recorded.kept_entries(), run.run_id)
    is_unfinished = kept.is_running if kept else run.status in _UNFINISHED
    if is_unfinished:
        host = run.tags.get(recorded.HOST)
        raise UsageError(
            Problem(
                "run-not-ended",
                f"the run '{run.run_id}' is {run.status}{f' on {host}' if host else ''}; what it did is known when "
                "it has ended",
                hint="if its dioptra was killed, 'dioptra sync' on that machine closes it",
            )
        )
    with tempfile.TemporaryDirectory(prefix="dioptra-") as scratch:

        def fetch(name: str) -> str | None:
            here = os.path.join(kept.artifacts, name) if kept else ""
            return here if os.path.isfile(here) else tracker.fetch(run.run_id, name, scratch)

        return run, read_recording(run, fetch)


def _again(given: Options, run: RecordedRun, recording: Recording, moved_to: str | None) -> Options:
    """Return the options of the new run, and say in what it will differ from the recorded one.

    Raises:
        UsageError: The project is not there, or something that was not recorded is not given.
    """
    from dataclasses import replace

    from dioptra_cli.cli.projects import located, require_valid
    from dioptra_cli.execution import environment
    from dioptra_cli.mlproject import loader
    from dioptra_cli.mlproject.selection import select
    from dioptra_cli.parameters.secrets import Masker

    base = environment.snapshot()
    parameters = require_pairs("-P", given.parameters)
    env = {**recording.options.env, **require_pairs("--env", given.env)}
    output.hide(Masker(base, parameters, env))
    project = moved_to or _project(recording)
    version = given.version or _version(recording, project)
    found = located(
        project,
        version,
        base=base,
        storage_dir=given.storage_dir,
        tracking_uri=given.tracking_uri,
        quiet=given.quiet,
    )
    if found.is_fetched:
        require_valid(found.directory)  # before its Python is looked for
    loaded, _problems = loader.require(found.directory)
    selected = select(loaded, recording.entry_point, python=sys.executable)
    values, notes = _values(recording, selected, parameters)
    _require_all(recording, values, env)
    options = recording.options
    again = replace(
        given,
        project=project,
        version=version,
        entry_point=recording.entry_point,
        parameters=(*(f"{p.name}={p.again}" for p in values), *given.parameters),
        env=tuple(f"{name}={value}" for name, value in env.items()),
        plugin_dirs=given.plugin_dirs or options.plugin_dirs,
        timeout=given.timeout if given.timeout is not None else options.timeout,
        flow_workers=given.flow_workers or options.flow_workers,
        log_level=given.log_level or options.log_level,
        log_as_json=given.log_as_json if given.log_as_json is not None else options.log_as_json,
    )
    if given.experiment_name is None and given.experiment_id is None:
        again = replace(again, experiment_id=run.experiment_id)
    if not given.quiet:
        output.note(f"{recording.entry_point} of run {run.run_id} ({run.run_name}) again")
        masker = Masker(base, parameters, env, *_defaults(loaded))
        for text in (*_differences(recording, found, loaded, again, base, masker), *notes):
            output.warning(text)
    return again


def _project(recording: Recording) -> str:
    """Return the project of a recorded run as `run` takes it.

    Raises:
        UsageError: It is not there any more, or its address is not recorded as a whole.
    """
    from dioptra_cli.execution.projects.addresses import is_elsewhere, local_subdirectory
    from dioptra_cli.parameters.secrets import MASK

    project = recording.project
    if MASK in project:
        message = f"the address of the run's project holds a secret, which is not recorded: {project}"
        raise UsageError(Problem("not-recorded", message, hint="give it again with --project"))
    if is_elsewhere(project) or os.path.exists(project) or local_subdirectory(project):
        return project
    where = f" on {recording.host}" if recording.host else ""
    hint = "name where it is now with --project"
    git = recording.git
    if git and git.repository and git.commit:
        hint += f"; it was in {git.repository} at commit {git.commit[:12]}"
    raise UsageError(
        Problem(
            "no-such-project", f"the run was of the project {project}{where}, which is not there", hint=hint
        )
    )


def _version(recording: Recording, project: str) -> str | None:
    """Return the commit to run where the project is not just a directory as it is: what a branch meant then."""
    from dioptra_cli.execution.projects.addresses import is_elsewhere

    if recording.version is None and (recording.archive is not None or not is_elsewhere(project)):
        return None
    return recording.git.commit if recording.git and recording.git.commit else recording.version


def _values(
    recording: Recording, selected: Selected, given: Mapping[str, str]
) -> tuple[list[RecordedParameter], list[str]]:
    """Return the recorded parameters to be given again, and what the user should know of the others.

    A default that is still the default is not given: a relative path in it belongs to the project.
    """
    entry_point = selected.entry_point
    values, notes, others = [], [], []
    for recorded in recording.parameters:
        name = recorded.name
        declared = entry_point.parameters.get(name)
        default = declared.default if declared else None
        if name in given:
            continue
        if recording.has_others and declared is None:
            others.append(name)
        elif recorded.lacking and recorded.is_default and default is not None:
            notes.append(f"the default of '{name}' {recorded.lacking}; it gets that of now")
        elif default == recorded.value and recorded.is_default is not False:
            continue
        else:
            if recorded.is_default and default is not None:
                notes.append(
                    f"'{name}' gets its default of then, '{recorded.value}', which is '{default}' now"
                )
            is_path = declared is not None and declared.type in ("path", "uri")
            if is_path and recorded.resolved is None and not _is_whole(recorded.value):
                notes.append(
                    f"'{name}' is '{recorded.value}', and where that was is not recorded: it is looked for here"
                )
            values.append(recorded)
    if others:
        listed = ", ".join(others)
        notes.append(f"not declared by '{entry_point.name}', so taken for what its script recorded: {listed}")
    return values, notes


def _is_whole(path: str) -> bool:
    """Return whether a path or URI means the same in any directory."""
    from dioptra_cli.parameters.uris import scheme_of

    return os.path.isabs(path) or scheme_of(path) is not None


def _require_all(recording: Recording, values: list[RecordedParameter], env: Mapping[str, str]) -> None:
    """Refuse to go on without what was not recorded.

    Raises:
        UsageError: Something is missing; it names all of it.
    """
    from dioptra_cli.parameters.secrets import MASK

    lacking = {p.name: p.lacking for p in values if p.lacking}
    again = [f"-P {name}=…" for name in lacking]
    for name, value in env.items():
        if MASK in value:
            lacking[name] = "is a secret, or holds one, which is not recorded"
            again.append(f"--env {name}=…")
    if lacking:
        reasons = "; ".join(f"'{name}' {why}" for name, why in lacking.items())
        message = f"the run '{recording.run_id}' cannot be repeated as recorded: {reasons}"
        raise UsageError(Problem("not-recorded", message, hint=f"give it again: {' '.join(again)}"))


def _defaults(project: Project) -> list[dict[str, str]]:
    return [
        {name: parameter.default or "" for name, parameter in entry_point.parameters.items()}
        for entry_point in project.entry_points.values()
    ]


def _differences(
    recording: Recording,
    found: Located,
    project: Project,
    options: Options,
    base: Mapping[str, str],
    masker: Masker,
) -> list[str]:
    """Return in what code and environment are not those of the recording, in words."""
    import platform
    import socket
    from dataclasses import replace

    from dioptra_cli import __version__
    from dioptra_cli.execution import environment
    from dioptra_cli.execution.environment import JobSettings
    from dioptra_cli.execution.packages import installed
    from dioptra_cli.execution.recording import Now, differences
    from dioptra_cli.execution.source import read_source

    source = read_source(project.directory) if found.is_work_tree else found.source
    if source is not None:
        source = replace(source, diff=masker(source.diff), untracked=tuple(map(masker, source.untracked)))
    directories = environment.plugin_directories(options.plugin_dirs, base, project.directory, os.getcwd())
    settings = JobSettings(
        tuple(directory for directory, _ in directories if "://" not in directory),
        extra=tuple(require_pairs("--env", options.env).items()),
    )
    environ = environment.merged(base, environment.additions(base, settings))
    now = Now(
        source,
        masker(project.source),
        found.archive.sha256 if found.archive else None,
        installed(environ, project.directory),
        platform.platform(),
        socket.gethostname(),
        __version__,
    )
    return differences(recording, now)
