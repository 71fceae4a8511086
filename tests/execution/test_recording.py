"""What a run has recorded, read back, and compared with what is there now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.errors import UsageError
from dioptra_cli.execution.packages import Installed
from dioptra_cli.execution.recording import (
    Fetch,
    Now,
    RecordedGit,
    RecordedParameter,
    Recording,
    differences,
    read_recording,
)
from dioptra_cli.execution.records import RecordedOptions, git_as_json
from dioptra_cli.execution.source import Source
from dioptra_cli.tracking.protocol import RecordedRun

COMMIT, OTHER = "a" * 40, "b" * 40
MLPROJECT = """\
entry_points:
  main:
    parameters:
      alpha: {type: float, default: 5}
      data: path
    command: python train.py {alpha} {data}
  other:
    command: "true"
"""
DIFF = """\
diff --git a/lib b/x.py b/lib b/x.py
index 1..2 100644
--- a/lib b/x.py
+++ b/lib b/x.py
@@ -1 +1 @@
-a
+b
"""


def of_file(name: str, line: str) -> str:
    return DIFF.replace("lib b/x.py", name).replace("+b", f"+{line}")


def artifacts(directory: Path, **files: Any) -> Fetch:
    """Write artifacts, JSON from what is no text, and return what fetches them."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (directory / name.replace("__", ".")).write_text(text)
    return lambda name: str(directory / name) if (directory / name).exists() else None


def a_run(tags: Mapping[str, str] | None = None, parameters: Mapping[str, str] | None = None) -> RecordedRun:
    return RecordedRun("r1", "name", "0", "FINISHED", 1, 2, "file:///a", parameters or {}, {}, tags or {})


def parameter(name: str, value: str, **more: Any) -> dict[str, Any]:
    defaults = {"type": "string", "resolved": value, "source": "-P", "declared": True, "masked": False}
    return {"name": name, "value": value, **defaults, **more}


PROVENANCE = {
    "dioptra": "0.5",
    "project": "/p",
    "version": "main",
    "directory": "/cache/p",
    "entry_point": "main",
    "command": "x",
    "options": {
        "env": {"A": "1"},
        "plugin_dirs": ["/plugins"],
        "timeout": 60,
        "flow_workers": 2,
        "log_level": "DEBUG",
        "log_as_json": False,
    },
    "environment": {},
    "git": {
        "commit": COMMIT,
        "branch": "main",
        "repository": "https://example.org/r.git",
        "modified": True,
        "untracked": ["new.py"],
        "untracked_omitted": 3,
        "diff": "git.diff",
        "diff_omitted": None,
    },
    "archive": None,
    "python": {"executable": "/bin/python", "version": "3.11.7", "implementation": "cpython"},
    "platform": "Linux-6",
    "host": "here",
}


def test_everything_from_the_artifacts(tmp_path: Path) -> None:
    odd = "a\N{REPLACEMENT CHARACTER}"
    parameters = [
        parameter("alpha", "5", source="default"),
        parameter("data", "d.csv", type="path", resolved="/caller/d.csv"),
        parameter("remote", "s3://b/k", type="path", resolved="/cache/k"),
        parameter("password", "***", masked=True),
        parameter("odd", odd),
        parameter("empty", ""),
    ]
    fetch = artifacts(
        tmp_path,
        provenance__json=PROVENANCE,
        parameters__json={"entry_point": "main", "parameters": parameters},
        MLproject=MLPROJECT,
        requirements__txt="a==1\nb @ file:///b\n",
        git__diff=DIFF,
    )
    found = read_recording(a_run({"mlflow.project.entryPoint": "other"}), fetch)
    secret = "is a secret, or holds one, which is not recorded"
    assert found == Recording(
        "r1",
        "/p",
        "main",
        "main",
        (
            RecordedParameter("alpha", "5", "5", True),
            RecordedParameter("data", "d.csv", "/caller/d.csv", False),
            RecordedParameter("remote", "s3://b/k", "/cache/k", False),
            RecordedParameter("password", "***", "***", False, secret),
            RecordedParameter("odd", odd, odd, False, found.parameters[4].lacking),
            RecordedParameter("empty", "", "", False),
        ),
        False,
        RecordedOptions({"A": "1"}, ("/plugins",), 60.0, 2, "DEBUG", False),
        RecordedGit(COMMIT, "main", "https://example.org/r.git", True, ("new.py",), 3, DIFF),
        None,
        MLPROJECT,
        ("a==1", "b @ file:///b"),
        "3.11.7",
        "Linux-6",
        "here",
        "0.5",
    )
    assert "bytes" in str(found.parameters[4].lacking)
    assert [p.again for p in found.parameters[:3]] == ["5", "/caller/d.csv", "s3://b/k"]


PROJECT_TAGS = {"mlflow.source.type": "PROJECT", "mlflow.project.entryPoint": "main"}


def test_tags_alone(tmp_path: Path) -> None:
    tags = {
        **PROJECT_TAGS,
        "mlflow.source.name": "file:///p#x",
        "mlflow.source.git.commit": COMMIT,
        "dioptra.project": "/p/x",
        "dioptra.project_version": "v1",
        "dioptra.parameters": '{"alpha": "5", "token": "***"}',
        "dioptra.version": "0.5",
        "dioptra.host": "here",
        "dioptra.working_tree": "clean",
    }
    found = read_recording(a_run(tags, {"alpha": "5", "logged": "1"}), artifacts(tmp_path))
    assert (found.project, found.version, found.entry_point) == ("/p/x", "v1", "main")
    assert [(p.name, p.again, bool(p.lacking)) for p in found.parameters] == [
        ("alpha", "5", False),
        ("token", "***", True),
    ]
    assert (found.has_others, found.host, found.dioptra) == (False, "here", "0.5")
    assert found.git == RecordedGit(COMMIT, modified=False, diff="")


def test_a_run_of_mlflow(tmp_path: Path) -> None:
    tags = {**PROJECT_TAGS, "mlflow.source.name": "file:///p#x"}
    parameters = {"a": "'a b'", "b": "''", "c": "it's", "d": "two words", "long": "x" * 6000}
    found = read_recording(a_run(tags, parameters), artifacts(tmp_path))
    assert (found.project, found.has_others) == ("/p/x", True)
    again = {p.name: p.again for p in found.parameters}
    assert again == {**parameters, "a": "a b", "b": ""}
    assert [p.name for p in found.parameters if p.lacking] == ["long"]


@pytest.mark.parametrize(
    ("missing", "said"),
    [("mlflow.project.entryPoint", "which entry point"), ("mlflow.source.name", "which project")],
)
def test_a_run_that_does_not_say_what_it_was(tmp_path: Path, missing: str, said: str) -> None:
    tags = {**PROJECT_TAGS, "mlflow.source.name": "/p"}
    del tags[missing]
    with pytest.raises(UsageError, match=f"'r1' does not say {said}"):
        read_recording(a_run(tags), artifacts(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", '{"git": 1, "options": [], "python": "x", "entry_point": 1}'])
def test_artifacts_that_say_nothing(tmp_path: Path, content: str) -> None:
    fetch = artifacts(tmp_path, provenance__json=content, parameters__json=content)
    tags = {**PROJECT_TAGS, "mlflow.source.name": "/p"}
    assert read_recording(a_run(tags), fetch) == Recording(
        "r1", "/p", None, "main", (), "entry" not in content
    )


THEN = Recording(
    "r1",
    "/p",
    None,
    "main",
    (),
    git=RecordedGit(COMMIT, "main", None, True, ("new.py",), 0, DIFF),
    mlproject=MLPROJECT,
    requirements=("a==1", "b @ file:///b", "c==1"),
    python="3.11.7",
    platform="Linux-6",
    host="here",
    dioptra="0.5",
)
NOW = Now(
    Source("/p", COMMIT, True, DIFF.rstrip("\n"), None, "main", ("mlruns/0/x", "new.py", "a/mlflow.db")),
    MLPROJECT + "# a comment\n",
    None,
    Installed("/bin/python", "3.11.7", "cpython", ("a==1", "b @ file:///b", "c==1")),
    "Linux-6",
    "here",
    "0.5",
)
SOURCE = NOW.source
assert SOURCE is not None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    options = RecordedOptions({"A": "1"}, ("/plugins", "s3://b/k"), 60.0, 2, "DEBUG", log_as_json=False)
    assert SOURCE is not None
    source = replace(SOURCE, repository="https://example.org/r.git", untracked_omitted=3)
    provenance = {"project": "/p", "options": asdict(options), "git": git_as_json(source)}
    fetch = artifacts(tmp_path, provenance__json=provenance, git__diff=source.diff)
    found = read_recording(a_run(PROJECT_TAGS), fetch)
    assert found.options == options
    assert found.git == RecordedGit(
        source.commit, source.branch, source.repository, source.dirty, source.untracked, 3, source.diff
    )


def test_no_differences() -> None:
    assert differences(THEN, NOW) == []


def entry_point(*changes: tuple[str, str]) -> Now:
    text = MLPROJECT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return replace(NOW, mlproject=text)


DIFFERENT: dict[str, tuple[Recording, Now, str]] = {
    "commit": (
        THEN,
        # The same local change on another commit: only the ids of the contents differ.
        replace(NOW, source=replace(SOURCE, commit=OTHER, branch=None, diff=DIFF.replace("1..2", "3..4"))),
        (
            f"the code is at commit {OTHER[:12]}, the run was at commit {COMMIT[:12]} of main; "
            f"-v {COMMIT[:12]} runs the code of then"
        ),
    ),
    "no git": (
        THEN,
        replace(NOW, source=None),
        f"the project is in no git work tree; the run was at commit {COMMIT[:12]} of main",
    ),
    "local changes": (
        replace(THEN, git=RecordedGit(COMMIT, "main", None, True, ("was.py",), 0, DIFF + of_file("y", "1"))),
        replace(NOW, source=replace(SOURCE, diff=of_file("y", "2") + of_file("z", "2"))),
        (
            "the local changes are not those of the run; changed now: z; changed then: lib b/x.py; "
            "changed in other ways: y; untracked now: new.py; untracked then: was.py; "
            "'git apply' of the run's artifact git.diff makes those of then"
        ),
    ),
    "many untracked": (
        replace(THEN, git=RecordedGit(COMMIT, "main", None, True, ("new.py",), 7, DIFF)),
        NOW,
        "the local changes are not those of the run; untracked: 3 files, 8 then",
    ),
    "a long diff": (
        replace(THEN, git=RecordedGit(COMMIT, "main", None, True, ("new.py",), 0, None)),
        NOW,
        "whether there are other local changes is not known: the difference from the commit was not kept",
    ),
    "slow git": (
        THEN,
        replace(NOW, source=replace(SOURCE, dirty=None, diff="", missing=("the diff: slow",))),
        "whether there are other local changes is not known: the diff: slow",
    ),
    "archive": (
        replace(THEN, archive="00", git=None),
        replace(NOW, archive="11", source=None),
        "the archive has changed: its SHA-256 is 11, and was 00",
    ),
    "command and parameters": (
        THEN,
        entry_point(
            ("default: 5", "default: 7"),
            ("data: path", "more: {type: int}"),
            ("py {alpha} {data}", "py {more}"),
        ),
        (
            "the entry point 'main' has changed: its command was 'python train.py {alpha} {data}', and is "
            "'python train.py {more}'; the default of 'alpha' was '5', and is '7'; it has no parameter 'data' any "
            "more; its parameter 'more' is new"
        ),
    ),
    "type and choices": (
        THEN,
        entry_point(("float, default: 5", "int, choices: [1]"), ("data: path", "data: uri")),
        (
            "the entry point 'main' has changed: 'alpha' was of type float, and is of type int; the default of "
            "'alpha' was '5', and is required; 'alpha' has other choices; 'data' was of type path, and is of type uri"
        ),
    ),
    "python": (
        replace(THEN, python="3.12.0"),
        NOW,
        "the command's Python is 3.11.7, and was 3.12.0",
    ),
    "packages": (
        replace(THEN, requirements=("a==2", *(f"p{n}==1" for n in range(7)), "b @ file:///x")),
        NOW,
        (
            "the packages are others: 2 changed (a 2 -> 1, b file:///x -> file:///b); 1 new (c 1); "
            "7 missing (p0 1, p1 1, p2 1, p3 1, p4 1 and 2 more)"
        ),
    ),
    "nothing recorded": (
        Recording("r1", "/p", None, "main", ()),
        NOW,
        "nothing was recorded of the code, packages and system of the run: they are not compared",
    ),
    "packages not recorded": (
        replace(THEN, python=None, platform=None, requirements=None),
        NOW,
        "nothing was recorded of the packages and system of the run: they are not compared",
    ),
    "machine": (replace(THEN, host="there"), NOW, "this machine is 'here', the run was on 'there'"),
    "platform": (THEN, replace(NOW, platform="Linux-7"), "the system is Linux-7, and was Linux-6"),
    "dioptra": (THEN, replace(NOW, dioptra="0.6"), "dioptra is 0.6, and was 0.5"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_differences_in_words(case: str) -> None:
    then, now, said = DIFFERENT[case]
    assert differences(then, now) == [said]


def test_what_has_changed_of_other_entry_points_does_not_matter() -> None:
    assert differences(THEN, replace(NOW, mlproject=MLPROJECT.replace('"true"', "ls"))) == []
    assert differences(THEN, replace(NOW, mlproject="entry_points: [")) == []
