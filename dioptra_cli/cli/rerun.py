"""`dioptra rerun`: runs again what a recorded run did, and says what is different now.

What was recorded is `recording`'s business, and how a project is run that of `running`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

import click

from dioptra_cli.cli import output
from dioptra_cli.cli.options import recording_options, require_pairs
from dioptra_cli.errors import DioptraError, Problem, ProjectError, UsageError, printable

if TYPE_CHECKING:
    from dioptra_cli.cli.running import Options, Prepared
    from dioptra_cli.execution.recording import RecordedParameter, Recording
    from dioptra_cli.mlproject.selection import Selected
    from dioptra_cli.tracking.protocol import RecordedRun, Tracker

RERUN_TAG = "dioptra.rerun_of"
_UNFINISHED = ("RUNNING", "SCHEDULED")


@click.command(name="rerun", short_help="Run again what a recorded run did.")
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
    metavar="REF",
    help="A git branch, tag or commit; for a git URL, the default is the recorded commit.",
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
    from dataclasses import replace

    from dioptra_cli.cli import recorded, running
    from dioptra_cli.execution import environment
    from dioptra_cli.execution.process import interruptible
    from dioptra_cli.parameters.resolve import Given, Origin

    with interruptible():
        base = environment.snapshot()
        tracker = recorded.open_store(options["tracking_uri"], options["tracking_timeout"])
        run, recording = _recorded(tracker, run_id)
        chosen = _options(recording, run, project, options)
        try:
            prepared = running.prepare(chosen, base)
        except (ProjectError, UsageError) as error:
            raise _with_way_back(error, recording, chosen) from error
        if prepared.malformed:
            raise UsageError(prepared.malformed)
        again, notes = _values(recording, prepared.selected, prepared.values)
        _require_all(recording, again, prepared.options.env)
        values = {parameter.name: Given(parameter.again, Origin.RECORDED) for parameter in again}
        prepared = replace(prepared, values={**values, **prepared.values})
        if not prepared.options.quiet:
            output.hide(prepared.masker)
            output.note(printable(f"{recording.entry_point} of run {run.run_id} ({run.run_name}) again"))
            for text in (*_differences(recording, prepared), *notes):
                output.warning(printable(text))
    return running.launch(prepared, tracker=tracker, extra_tags={RERUN_TAG: recording.run_id})


def _recorded(tracker: Tracker, text: str) -> tuple[RecordedRun, Recording]:
    """Return the run that is meant, and what it recorded, also where its store does not have all of it yet.

    Raises:
        UsageError: Several runs may be meant, or the run has not ended, or is none of a project.
        TrackingError: There is no such run, or the store cannot be reached.
    """
    from dioptra_cli.cli import recorded
    from dioptra_cli.execution.recording import read_recording

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


def _options(
    recording: Recording, run: RecordedRun, moved_to: str | None, given: Mapping[str, Any]
) -> Options:
    """Return the options of the new run: those that are given, else those of the recording.

    Raises:
        UsageError: The project is not there any more, or `--env` is malformed.
    """
    from dioptra_cli.cli.running import Options

    recorded = recording.options
    project = moved_to or _project(recording)
    env = {**recorded.env, **require_pairs("--env", given["env"])}
    chosen = dict(given)
    for name in ("timeout", "flow_workers", "log_level", "log_as_json"):
        if given[name] is None:
            chosen[name] = getattr(recorded, name)
    if given["experiment_name"] is None and given["experiment_id"] is None:
        chosen["experiment_id"] = run.experiment_id
    chosen |= {
        "version": given["version"] or _version(recording, project),
        "env": tuple(f"{name}={value}" for name, value in env.items()),
        "plugin_dirs": given["plugin_dirs"] or recorded.plugin_dirs,
    }
    return Options(
        project=project, entry_point=recording.entry_point, params_file=None, run_id=None, **chosen
    )


def _with_way_back(error: DioptraError, recording: Recording, options: Options) -> DioptraError:
    """Return the error of a project that is not what it was, with the way to run the code of then."""
    from dataclasses import replace

    commit = recording.git.commit if recording.git else None
    then = f"; -v {commit[:12]} runs the code of then" if commit and options.version is None else ""

    def told(problem: Problem) -> Problem:
        if problem.name == "no-entry-point":
            return replace(problem, hint=f"{problem.hint or ''}{then}".removeprefix("; ") or None)
        if problem.name == "no-mlproject-file":  # the hint of `run` offers -e, which does not exist here
            return replace(
                problem, hint=f"put it back, or name where the project is now with --project{then}"
            )
        return problem

    return type(error)(map(told, error.problems))


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
    recording: Recording, selected: Selected, given: Container[str]
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
        elif declared is None and recorded.is_default:
            notes.append(
                f"'{name}' is left out: it was a default then, '{recorded.value}', and "
                f"'{entry_point.name}' does not declare it any more"
            )
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


def _require_all(recording: Recording, values: list[RecordedParameter], env: tuple[str, ...]) -> None:
    """Refuse to go on without what was not recorded.

    Raises:
        UsageError: Something is missing; it names all of it.
    """
    from dioptra_cli.parameters.secrets import MASK

    lacking = {p.name: p.lacking for p in values if p.lacking}
    again = [f"-P {name}=…" for name in lacking]
    for name, value in require_pairs("--env", env).items():
        if MASK in value:
            lacking[name] = "is a secret, or holds one, which is not recorded"
            again.append(f"--env {name}=…")
    if lacking:
        reasons = "; ".join(f"'{name}' {why}" for name, why in lacking.items())
        message = f"the run '{recording.run_id}' cannot be repeated as recorded: {reasons}"
        raise UsageError(Problem("not-recorded", message, hint=f"give it again: {' '.join(again)}"))


def _differences(recording: Recording, prepared: Prepared) -> list[str]:
    """Return in what code and environment are not those of the recording, in words."""
    from dataclasses import replace

    from dioptra_cli import __version__
    from dioptra_cli.execution import environment
    from dioptra_cli.execution.packages import installed
    from dioptra_cli.execution.recording import Now, differences
    from dioptra_cli.execution.records import machine

    base, masker, project = prepared.base, prepared.masker, prepared.project
    source, archive = prepared.source, prepared.place.archive
    if source is not None:
        source = replace(source, diff=masker(source.diff), untracked=tuple(map(masker, source.untracked)))
    settings = prepared.settings.with_downloads({})
    now = Now(
        source,
        masker(project.source),
        archive.sha256 if archive else None,
        installed(environment.merged(base, environment.additions(base, settings)), project.directory),
        machine(),
        os.uname().nodename,
        __version__,
    )
    return differences(recording, now)
