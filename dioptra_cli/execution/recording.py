"""What a run has recorded about itself, read back, and in what things are different now.

`records` writes the files that are read here.
Starts nothing, and talks to no store: artifacts come through a function.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dioptra_cli.errors import Problem, UsageError
from dioptra_cli.execution.records import RecordedOptions
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.model import EntryPoint, Parameter
from dioptra_cli.parameters.secrets import MASK
from dioptra_cli.parameters.uris import REMOTE_SCHEMES, scheme_of
from dioptra_cli.tracking.protocol import LONGEST_PARAMETER, RecordedRun

if TYPE_CHECKING:
    from dioptra_cli.execution.packages import Installed
    from dioptra_cli.execution.source import Source

_REPLACED = "\N{REPLACEMENT CHARACTER}"
_MOST_NAMED = 5
_LONGEST_SHOWN = 100
_FILE_OF_DIFF = re.compile(r"^diff --git ", re.MULTILINE)
_INDEX_LINE = re.compile(r"^index .*\n", re.MULTILINE)
_PACKAGE = re.compile(r"(?P<name>.+?)(?:==| @ )(?P<version>.+)")
_LEFT_BY_RUNS = re.compile(r"(?:.*/)?(?:mlruns/.*|mlartifacts/.*|mlflow\.db.*|__pycache__/.*)")
"""Untracked files that a run itself leaves behind: no run would be like the one before."""

Fetch = Callable[[str], "str | None"]
"""Takes the name of an artifact, a file, and returns where a copy of it lies; None if the run has none."""


@dataclass(frozen=True)
class RecordedParameter:
    """A parameter of a recorded run.

    Attributes:
        name: Its name.
        value: As it was given, or as the MLproject file had it.
        resolved: What the command got: an absolute path. None where it is not recorded.
        is_default: Whether nobody gave it; None where it is not recorded.
        lacking: Why the recorded value is not the one that the run had; None as a rule.
    """

    name: str
    value: str
    resolved: str | None = None
    is_default: bool | None = None
    lacking: str | None = None

    @property
    def again(self) -> str:
        """What means the same in any directory: the resolved path, or the URI, of which the command got a copy."""
        if self.resolved is None or scheme_of(self.value) in REMOTE_SCHEMES:
            return self.value
        return self.resolved


@dataclass(frozen=True)
class RecordedGit:
    """The work tree of a recorded run; see `Source`.

    Attributes:
        commit: The full id.
        branch: Its branch.
        repository: The URL of `origin`.
        modified: Whether there were local changes; None where it is not known.
        untracked: The untracked files that are named.
        untracked_omitted: How many more there were.
        diff: The local changes; None where there were some that are not recorded.
    """

    commit: str | None
    branch: str | None = None
    repository: str | None = None
    modified: bool | None = None
    untracked: tuple[str, ...] = ()
    untracked_omitted: int = 0
    diff: str | None = None


@dataclass(frozen=True)
class Recording:
    """What a run did. Everything that is not recorded is None or empty.

    Attributes:
        run_id: The run.
        project: A directory, or what names the project in `dioptra run`.
        version: The git revision that was asked for.
        entry_point: Its name.
        parameters: Its parameters.
        has_others: Whether there may be some among them that the script has recorded itself.
        options: What else was asked for.
        git: The state of the work tree.
        archive: The SHA-256 of the archive that the project came in.
        mlproject: The text of the MLproject file.
        requirements: The packages of the command's Python.
        python: The version of the command's Python.
        platform: The operating system, as `platform.platform()` has it.
        host: The machine.
        dioptra: The version of dioptra.
    """

    run_id: str
    project: str
    version: str | None
    entry_point: str
    parameters: tuple[RecordedParameter, ...]
    has_others: bool = False
    options: RecordedOptions = field(default_factory=RecordedOptions)
    git: RecordedGit | None = None
    archive: str | None = None
    mlproject: str | None = None
    requirements: tuple[str, ...] | None = None
    python: str | None = None
    platform: str | None = None
    host: str | None = None
    dioptra: str | None = None


@dataclass(frozen=True)
class Now:
    """What `differences` compares a recording with. Secrets are masked, as they are in a recording."""

    source: Source | None
    mlproject: str
    archive: str | None
    installed: Installed
    platform: str
    host: str
    dioptra: str


def read_recording(run: RecordedRun, fetch: Fetch) -> Recording:
    """Return what a run did, from its artifacts, and from its tags alone where there are none.

    A run of `mlflow run` can be read too: it has no artifacts of its own, and quotes its parameters for the shell.

    Raises:
        UsageError: The run is none of an MLproject file, or does not say of which.
    """
    tags = run.tags
    provenance, resolved = _json(fetch, "provenance.json"), _json(fetch, "parameters.json")
    project = _text(provenance.get("project")) or tags.get("dioptra.project")
    project = project or _from_mlflow(tags.get("mlflow.source.name", ""))
    entry_point = _text(resolved.get("entry_point")) or tags.get("mlflow.project.entryPoint")
    if not project or not entry_point:
        lacks = "entry point" if project else "project"
        raise UsageError(
            Problem(
                "not-a-project-run",
                f"the run '{run.run_id}' does not say which {lacks} it was a run of",
                hint="only runs of 'dioptra run' and 'mlflow run' can be run again",
            )
        )
    parameters, has_others = _parameters(run, resolved)
    python = _mapping(provenance.get("python"))
    requirements = _file(fetch, "requirements.txt") if provenance else None
    return Recording(
        run.run_id,
        project,
        _text(provenance.get("version")) or tags.get("dioptra.project_version"),
        entry_point,
        parameters,
        has_others,
        _options(_mapping(provenance.get("options"))),
        _git(_mapping(provenance.get("git")), tags, fetch),
        _text(_mapping(provenance.get("archive")).get("sha256")),
        _file(fetch, "MLproject") if resolved else None,
        None if requirements is None else tuple(requirements.splitlines()),
        _text(python.get("version")),
        _text(provenance.get("platform")),
        _text(provenance.get("host")) or tags.get("dioptra.host"),
        _text(provenance.get("dioptra")) or tags.get("dioptra.version"),
    )


def _parameters(run: RecordedRun, resolved: Mapping[str, Any]) -> tuple[tuple[RecordedParameter, ...], bool]:
    """Return the parameters, and whether there may be some among them that the script has recorded itself."""
    if resolved:
        entries = map(_mapping, _list(resolved.get("parameters")))
        return tuple(_from_artifact(entry) for entry in entries if _text(entry.get("name"))), False
    given = _mapping(_loads(run.tags.get("dioptra.parameters", "")))
    if given or "dioptra.parameters" in run.tags:
        return tuple(_parameter(name, str(value)) for name, value in given.items()), False
    quoted = "dioptra.version" not in run.tags
    found = []
    for name, value in sorted(run.parameters.items()):
        lacking = "was too long to be recorded" if len(value) >= LONGEST_PARAMETER else None
        found.append(_parameter(name, _unquoted(value) if quoted else value, lacking=lacking))
    return tuple(found), True


def _from_artifact(entry: Mapping[str, Any]) -> RecordedParameter:
    return _parameter(
        str(entry["name"]),
        _text(entry.get("value")) or "",
        resolved=_text(entry.get("resolved")),
        is_default=entry.get("source") == "default",
        masked=entry.get("masked") is True,
    )


def _parameter(name: str, value: str, *, masked: bool = False, **more: Any) -> RecordedParameter:
    lacking = more.pop("lacking", None)
    if masked or MASK in value:
        lacking = "is a secret, or holds one, which is not recorded"
    elif _REPLACED in value:
        lacking = "had bytes that are no text, which cannot be recorded"
    return RecordedParameter(name, value, lacking=lacking, **more)


def _unquoted(value: str) -> str:
    """Return what MLflow has quoted for the shell, `'a b'`; anything else as it is."""
    try:
        words = shlex.split(value)
    except ValueError:
        return value
    return words[0] if len(words) == 1 and shlex.quote(words[0]) == value else value


def _from_mlflow(source: str) -> str:
    """Return the project that MLflow means by `file://TREE#DIRECTORY`; anything else as it is."""
    if not source.startswith("file://"):
        return source
    root, _, inside = source.removeprefix("file://").partition("#")
    return os.path.normpath(os.path.join(root, inside))


def _options(recorded: Mapping[str, Any]) -> RecordedOptions:
    timeout, workers = recorded.get("timeout"), recorded.get("flow_workers")
    as_json = recorded.get("log_as_json")
    return RecordedOptions(
        {str(name): str(value) for name, value in _mapping(recorded.get("env")).items()},
        tuple(map(str, _list(recorded.get("plugin_dirs")))),
        float(timeout) if isinstance(timeout, int | float) else None,
        workers if isinstance(workers, int) else None,
        _text(recorded.get("log_level")),
        as_json if isinstance(as_json, bool) else None,
    )


def _git(recorded: Mapping[str, Any], tags: Mapping[str, str], fetch: Fetch) -> RecordedGit | None:
    commit = _text(recorded.get("commit")) or tags.get("mlflow.source.git.commit")
    if not recorded:
        state = {"clean": False, "modified": True}.get(tags.get("dioptra.working_tree", ""))
        url = tags.get("mlflow.source.git.repoURL") or tags.get("mlflow.gitRepoURL")
        return RecordedGit(commit, None, url, state, diff="" if state is False else None) if commit else None
    modified, omitted = recorded.get("modified"), recorded.get("untracked_omitted")
    diff: str | None = ""
    if recorded.get("diff_omitted") is not None:
        diff = None
    elif recorded.get("diff") is not None:
        diff = _file(fetch, "git.diff")
    return RecordedGit(
        commit,
        _text(recorded.get("branch")),
        _text(recorded.get("repository")),
        modified if isinstance(modified, bool) else None,
        tuple(map(str, _list(recorded.get("untracked")))),
        omitted if isinstance(omitted, int) else 0,
        diff,
    )


def differences(recording: Recording, now: Now) -> list[str]:
    """Return in what the code and the environment differ from the recorded ones, in words; each is one line."""
    return [
        *_unrecorded(recording),
        *_code(recording, now),
        *_entry_point(recording, now.mlproject),
        *_python(recording, now.installed),
        *_machine(recording, now),
    ]


def _unrecorded(recording: Recording) -> Iterator[str]:
    """Yield what cannot be compared of a run that was asked to record nothing, or that dioptra has not run."""
    if recording.platform is None and recording.python is None and recording.requirements is None:
        code = "code, " if recording.git is None and recording.archive is None else ""
        yield f"nothing was recorded of the {code}packages and system of the run: they are not compared"


def _code(recording: Recording, now: Now) -> Iterator[str]:
    then, source = recording.git, now.source
    if recording.archive is not None and now.archive is not None and recording.archive != now.archive:
        yield f"the archive has changed: its SHA-256 is {now.archive}, and was {recording.archive}"
    if then is None:
        return
    if source is None:
        yield f"the project is in no git work tree; the run was at {_commit(then.commit, then.branch)}"
        return
    if source.commit != then.commit:
        way_back = f"; -v {then.commit[:12]} runs the code of then" if then.commit else ""
        yield (
            f"the code is at {_commit(source.commit, source.branch)}, the run was at "
            f"{_commit(then.commit, then.branch)}{way_back}"
        )
    if source.missing:
        yield f"whether there are other local changes is not known: {source.missing[0]}"
    elif then.modified is not None and (then.diff is None or source.diff_omitted is not None):
        yield "whether there are other local changes is not known: the difference from the commit was not kept"
    elif then.modified is not None:
        yield from _local_changes(then, source)


def _commit(commit: str | None, branch: str | None) -> str:
    return f"commit {commit[:12]}{f' of {branch}' if branch else ''}" if commit else "no commit"


def _local_changes(then: RecordedGit, source: Source) -> Iterator[str]:
    changes_then, changes = _by_file(then.diff or ""), _by_file(source.diff)
    differing = {
        "changed now": changes.keys() - changes_then.keys(),
        "changed then": changes_then.keys() - changes.keys(),
        "changed in other ways": {n for n in changes_then if n in changes and changes_then[n] != changes[n]},
    }
    if then.untracked_omitted or source.untracked_omitted:
        counts = [len(of.untracked) + of.untracked_omitted for of in (then, source)]
        if counts[0] != counts[1]:
            differing["untracked"] = {f"{counts[1]} files, {counts[0]} then"}
    else:
        untracked_then, untracked = (
            {name for name in of.untracked if not _LEFT_BY_RUNS.fullmatch(name)} for of in (then, source)
        )
        differing["untracked now"] = untracked - untracked_then
        differing["untracked then"] = untracked_then - untracked
    told = [f"{what}: {_listed(sorted(names))}" for what, names in differing.items() if names]
    if told:
        if differing["changed then"] or differing["changed in other ways"]:
            told.append("'git apply' of the run's artifact git.diff makes those of then")
        yield "the local changes are not those of the run; " + "; ".join(told)


def _by_file(diff: str) -> dict[str, str]:
    """Return the part of a diff for each file, without the ids of its contents, by how git names the file."""
    parts = [_INDEX_LINE.sub("", part).rstrip("\n") for part in _FILE_OF_DIFF.split(diff)[1:]]
    # `a/NAME b/NAME`: the two are the same, as no renames are looked for. Odd names stand in quotes.
    named = {part.partition("\n")[0]: part for part in parts}
    return {head[: (len(head) - 1) // 2].replace("a/", "", 1): part for head, part in named.items()}


def _entry_point(recording: Recording, text: str) -> Iterator[str]:
    """Yield how the entry point has changed. What has changed of others does not concern this run."""
    if recording.mlproject is None or recording.mlproject == text:
        return
    name = recording.entry_point
    then, now = (_declared(source, name) for source in (recording.mlproject, text))
    if then is None or now is None:
        return  # a script, or what cannot be run is told anyway
    changes = []
    if then.command != now.command:
        changes.append(f"its command was {_shown(then.command)}, and is {_shown(now.command)}")
    for parameter in {**then.parameters, **now.parameters}:
        changes.extend(_of_parameter(then.parameters.get(parameter), now.parameters.get(parameter)))
    if changes:
        yield f"the entry point '{name}' has changed: {'; '.join(changes)}"


def _declared(text: str, name: str) -> EntryPoint | None:
    loaded = loader.load(loader.FILE_NAME, text.encode("utf-8", "surrogateescape"))
    project = loaded.project or loaded.partial
    return project.entry_points.get(name) if project is not None else None


def _of_parameter(then: Parameter | None, now: Parameter | None) -> Iterator[str]:
    if then is None and now is not None:
        yield f"its parameter '{now.name}' is new"
    elif then is not None and now is None:
        yield f"it has no parameter '{then.name}' any more"
    elif then is not None and now is not None:
        if then.type != now.type:
            yield f"'{now.name}' was of type {then.type}, and is of type {now.type}"
        if then.default != now.default:
            was, is_now = ("required" if p.default is None else f"{_shown(p.default)}" for p in (then, now))
            yield f"the default of '{now.name}' was {was}, and is {is_now}"
        if then.choices != now.choices:
            yield f"'{now.name}' has other choices"


def _python(recording: Recording, installed: Installed) -> Iterator[str]:
    if recording.python is not None and recording.python != installed.version:
        now = installed.version or f"silent ({installed.executable})"
        yield f"the command's Python is {now}, and was {recording.python}"
    if recording.requirements is None or installed.version is None:
        return
    then, now_there = _versions(recording.requirements), _versions(installed.packages)
    changed = [
        f"{name} {then[name]} -> {version}"
        for name, version in now_there.items()
        if name in then and then[name] != version
    ]
    added = [f"{name} {version}" for name, version in now_there.items() if name not in then]
    removed = [f"{name} {version}" for name, version in then.items() if name not in now_there]
    told = [
        f"{len(packages)} {what} ({_listed(packages)})"
        for what, packages in (("changed", changed), ("new", added), ("missing", removed))
        if packages
    ]
    if told:
        yield f"the packages are others: {'; '.join(told)}"


def _versions(lines: Iterable[str]) -> dict[str, str]:
    found = (_PACKAGE.fullmatch(line) for line in lines)
    return {match["name"]: match["version"] for match in found if match}


def _machine(recording: Recording, now: Now) -> Iterator[str]:
    if recording.host is not None and recording.host != now.host:
        yield f"this machine is '{now.host}', the run was on '{recording.host}'"
    if recording.platform is not None and recording.platform != now.platform:
        yield f"the system is {now.platform}, and was {recording.platform}"
    if recording.dioptra is not None and recording.dioptra != now.dioptra:
        yield f"dioptra is {now.dioptra}, and was {recording.dioptra}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _shown(text: str | None) -> str:
    line = " ".join((text or "").split())
    return f"'{line}'" if len(line) <= _LONGEST_SHOWN else f"'{line[:_LONGEST_SHOWN]}…'"


def _file(fetch: Fetch, name: str) -> str | None:
    path = fetch(name)
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError:  # it lies where nobody can read it: as good as none
        return None


def _json(fetch: Fetch, name: str) -> Mapping[str, Any]:
    return _mapping(_loads(_file(fetch, name) or ""))


def _loads(text: str) -> Any:
    import json

    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
