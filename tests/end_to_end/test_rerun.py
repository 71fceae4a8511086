"""`dioptra rerun`, from one recorded run to the next."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

PRINTING = """\
entry_points:
  main:
    parameters:
      alpha: {type: float, default: 5}
      name: {type: string, default: "a b"}
      data: {type: path, default: d.csv}
      mine: path
    command: printf '%s\\n' {alpha} {name} {data} {mine} "$EXTRA" "$MLFLOW_HTTP_REQUEST_TIMEOUT"
"""


def git(directory: Path, *words: str) -> str:
    command = ["git", "-C", str(directory), "-c", "user.name=t", "-c", "user.email=t@t", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_same_again_from_anywhere_with_what_is_new_said(
    dioptra: Any, project: Any, store: Any, tmp_path: Path
) -> None:
    directory = project(PRINTING, d__csv="", name="repo/inner")
    git(tmp_path / "repo", "init", "-q", "-b", "main")
    git(tmp_path / "repo", "add", ".")
    git(tmp_path / "repo", "commit", "-q", "-m", "one")
    (tmp_path / "mine.csv").touch()
    given = ["-P", "name=x  'y", "-P", "mine=mine.csv", "--env", "EXTRA=e", "--timeout", "50"]
    first = dioptra("run", str(directory), *given, "--experiment-name", "own", "--log-level", "DEBUG")
    assert first.out == f"5\nx  'y\n{directory}/d.csv\n{tmp_path}/mine.csv\ne\n\n"
    recorded = store.only
    # The next one is called elsewhere, and the code has moved on.
    (directory / "MLproject").write_text(PRINTING.replace("default: 5", "default: 7"))
    git(tmp_path / "repo", "commit", "-q", "-a", "-m", "two")
    (directory / "new.py").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environ = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    again = dioptra(
        "rerun", recorded.run_id[:6], "-P", "name=z", "--run-name", "second", cwd=elsewhere, env=environ
    )
    assert (again.code, again.out) == (0, first.out.replace("x  'y", "z")), again.err
    for said in (
        "the code is at commit",
        "untracked now: inner/new.py",
        "the default of 'alpha' was '5', and is '7'",
        "'alpha' gets its default of then, '5', which is '7' now",
    ):
        assert said in again.err
    assert "packages" not in again.err
    run = store.runs[1]
    assert (run.name, run.experiment, run.tags["dioptra.rerun_of"]) == ("second", "own", recorded.run_id)
    assert run.parameters == {"alpha": "5", "name": "z", "data": "d.csv", "mine": f"{tmp_path}/mine.csv"}
    options = [json.loads(of.artifact("provenance.json"))["options"] for of in (recorded, run)]
    assert options[0] == options[1]
    assert (options[1]["timeout"], options[1]["log_level"]) == (50, "DEBUG")
    origins = {of["name"]: of["source"] for of in json.loads(run.artifact("parameters.json"))["parameters"]}
    assert origins == {"alpha": "recorded", "name": "-P", "data": "default", "mine": "recorded"}


def test_a_project_that_is_not_what_it_was(dioptra: Any, project: Any, store: Any, tmp_path: Path) -> None:
    text = "entry_points: {main: {parameters: {momentum: {default: 1}, colour: string}, command: echo}}"
    directory = project(text)
    git(directory, "init", "-q")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "one")
    commit = git(directory, "rev-parse", "HEAD")[:12]
    assert dioptra("run", str(directory), "-P", "colour=\x1b[31mred").code == 0
    rerun = ["rerun", store.only.run_id, "--dry-run"]
    (directory / "MLproject").write_text("entry_points: {main: {command: echo}}")
    ((code, said),) = _calls(tmp_path, rerun)
    assert code == 0, said
    assert (
        "'momentum' is left out: it was a default then, '1', and 'main' does not declare it any more" in said
    )
    assert "parameter 'colour' is not declared by 'main'" in said
    assert f"-v {commit} runs the code of then" not in said  # it is at that commit
    assert "\x1b" not in said
    assert "colour     string  recorded  \\x1b[31mred" in said
    assert "echo --colour '\\x1b[31mred'" in said
    (directory / "MLproject").write_text(text.replace("main", "mane"))
    ((code, said),) = _calls(tmp_path, rerun)
    assert code == 2, said
    assert (
        f"has no entry point 'main'\n  hint: did you mean 'mane'?; -v {commit} runs the code of then" in said
    )
    (directory / "MLproject").unlink()
    (code, said), (of_then, _) = _calls(tmp_path, rerun, [*rerun, "-v", commit])
    assert (code, of_then) == (125, 0), said
    assert f"put it back, or name where the project is now with --project; -v {commit} runs" in said
    assert " -e" not in said


def test_what_was_masked_has_to_be_given_again(dioptra: Any, project: Any, store: Any) -> None:
    text = (
        "entry_points: {main: {parameters: {api_token: string, url: string, password: {default: known-pw}, "
        "pwd: {default: k7w}}, command: 'echo {api_token} {url} {password} {pwd} $MY_SECRET'}}"
    )
    directory = project(text)
    secrets = ["-P", "api_token=tok-123", "-P", "url=https://u:pw-123@h/x", "--env", "MY_SECRET=env-123"]
    first = dioptra("run", str(directory), *secrets)
    expected = "tok-123 https://u:pw-123@h/x known-pw k7w env-123\n"
    assert first.out == expected
    run_id = store.only.run_id
    refused = dioptra("rerun", run_id, "-P", "url=https://u:pw-123@h/x")
    assert (refused.code, len(store.runs)) == (2, 1)
    assert "'api_token' is a secret" in refused.err
    assert "'MY_SECRET' is a secret" in refused.err
    assert "-P api_token=… --env MY_SECRET=…" in refused.err
    assert "'url'" not in refused.err
    again = dioptra("rerun", run_id, *secrets, "--verbose")
    assert (again.code, again.out) == (0, expected)
    assert "the default of 'password' is a secret" in again.err
    assert "has changed" not in again.err  # a mask is no change
    assert "$ echo '***' 'https://***@h/x' '***' '***' $MY_SECRET" in again.err
    assert "-123" not in again.err
    assert "k7w" not in again.err  # too short to be looked for in any text


def test_what_a_branch_meant_then_is_run_again(
    dioptra: Any, project: Any, store: Any, tmp_path: Path
) -> None:
    directory = project("entry_points: {main: {command: cat said}}", name="repo", said="old\n")
    git(directory, "init", "-q", "-b", "main")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "one")
    assert dioptra("run", f"file://{directory}/.git").out == "old\n"
    (directory / "said").write_text("new\n")
    git(directory, "commit", "-q", "-a", "-m", "two")
    again = dioptra("rerun", store.only.run_id)
    assert (again.code, again.out) == (0, "old\n")
    assert "warning" not in again.err
    # What moved to another place is found there, at the commit that is named.
    moved = directory.rename(tmp_path / "moved")
    again = dioptra("rerun", store.runs[1].run_id, "--project", str(moved), "-v", "main")
    assert (again.code, again.out) == (0, "new\n")
    assert "the code is at commit" in again.err


GIT = """\
#!/bin/sh
echo "$*" >> "$ASKED"
exec {git} "$@"
"""


def test_git_is_asked_once_for_what_is_needed(
    dioptra: Any, project: Any, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = project("entry_points: {main: {command: 'true'}}", name="repo/inner")
    git(tmp_path / "repo", "init", "-q")
    git(tmp_path / "repo", "add", ".")
    git(tmp_path / "repo", "commit", "-q", "-m", "one")
    (directory / "MLproject").write_text("entry_points: {main: {command: ':'}}")
    asked, programs = tmp_path / "asked", tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(GIT.format(git=shutil.which("git")))
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("ASKED", str(asked))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert dioptra("run", str(directory), "--no-provenance").code == 0
    (call,) = asked.read_text().splitlines()
    assert call.endswith("rev-parse --show-toplevel")
    run = store.only
    assert run.tags["mlflow.source.name"] == f"file://{tmp_path}/repo#inner"
    assert "mlflow.source.git.commit" not in run.tags
    asked.unlink()
    again = dioptra("rerun", run.run_id)
    assert again.code == 0, again.err
    commands = [line.partition(f"-C {directory} ")[2].split()[0] for line in asked.read_text().splitlines()]
    assert commands == ["rev-parse", "config", "status", "diff"]
    assert store.runs[1].tags["dioptra.working_tree"] == "modified"


def _calls(tmp_path: Path, *calls: list[str]) -> list[tuple[int, str]]:
    """Call dioptra several times in one process, which pays once for what it imports; codes and outputs."""
    code = (
        "import json, sys\nfrom dioptra_cli.cli.boundary import run_command_line\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    code = run_command_line(arguments)\n    print(f'== {code}', flush=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(calls)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        timeout=120,
    )
    *outputs, _ = done.stdout.decode().split("== ")
    codes = [part.partition("\n")[0] for part in done.stdout.decode().split("== ")[1:]]
    texts = [outputs[0], *(part.partition("\n")[2] for part in outputs[1:])]
    return [(int(code), text) for code, text in zip(codes, texts, strict=True)]


def _copy(
    database: sqlite3.Connection, of: str, to: str, tags: dict[str, str | None], **columns: str
) -> None:
    """Add a run to the store as another one is, without its artifacts."""
    columns = {"artifact_uri": "/nowhere", **columns, "run_uuid": to}
    database.execute("create temp table copy as select * from runs where run_uuid = ?", (of,))
    for column, text in columns.items():
        database.execute(f"update copy set {column} = ?", (text,))
    database.execute("insert into runs select * from copy")
    database.execute("drop table copy")
    database.execute(
        "insert into tags (key, value, run_uuid) select key, value, ? from tags where run_uuid = ?", (to, of)
    )
    for name, value in tags.items():
        database.execute("delete from tags where run_uuid = ? and key = ?", (to, name))
        if value is not None:
            database.execute("insert into tags (key, value, run_uuid) values (?, ?, ?)", (name, value, to))


def test_runs_that_cannot_be_run_again_and_some_that_just_can(
    dioptra: Any, project: Any, store: Any, tmp_path: Path
) -> None:
    directory = project(PRINTING, d__csv="")
    (directory / "mine.csv").touch()
    first = dioptra(
        "run", str(directory), "-P", "mine=project/mine.csv", "-P", "name=it's", "--no-provenance"
    )
    assert first.code == 0, first.err
    of = store.only.run_id
    bad: dict[str, tuple[dict[str, str | None], dict[str, str], str]] = {
        "a" * 32: ({}, {"status": "RUNNING"}, "is RUNNING on"),
        "b" * 32: ({}, {"lifecycle_stage": "deleted"}, "is deleted"),
        "c" * 32: ({"mlflow.project.entryPoint": None}, {}, "does not say which entry point"),
        "d" * 32: (
            {
                "dioptra.project": "/no/such",
                "mlflow.source.git.commit": "0" * 40,
                "mlflow.source.git.repoURL": "https://h/r",
            },
            {},
            "the run was of the project /no/such on",
        ),
        "e" * 32: (
            {"dioptra.project": "https://h/a.zip?sig=***"},
            {},
            "holds a secret, which is not recorded",
        ),
        "f" * 32: ({"mlflow.project.entryPoint": "gone"}, {}, "has no entry point 'gone'"),
    }
    tags_only, of_mlflow = "1" * 32, "2" * 32
    mlflow_tags = dict.fromkeys(name for name in store.only.tags if name.startswith("dioptra."))
    with closing(sqlite3.connect(store.path)) as database, database:
        for run_id, (tags, columns, _) in bad.items():
            _copy(database, of, run_id, tags, **columns)
        _copy(database, of, tags_only, {})
        _copy(database, of, of_mlflow, {**mlflow_tags, "mlflow.source.name": f"file://{tmp_path}#project"})
        for name, value in {
            "alpha": "5",
            "name": "'it'\"'\"'s'",
            "mine": f"{directory}/mine.csv",
            "own": "1",
        }.items():
            database.execute(
                "insert into params (key, value, run_uuid) values (?, ?, ?)", (name, value, of_mlflow)
            )
    ids = [*bad, of, tags_only, of_mlflow]
    results = dict(
        zip(ids, _calls(tmp_path, *(["rerun", run_id, "--dry-run"] for run_id in ids)), strict=True)
    )
    for run_id, (_, _, said) in bad.items():
        code, text = results[run_id]
        assert said in text
        assert code in (2, 125), text
        assert "Traceback" not in text
    assert "it was in https://h/r at commit 000000000000" in results["d" * 32][1]
    command = f"""printf '%s\\n' 5 'it'"'"'s' {directory}/d.csv {directory}/mine.csv "$EXTRA" """
    for run_id in (of, tags_only, of_mlflow):
        assert results[run_id][0] == 0, results[run_id][1]
        assert command in results[run_id][1]
        assert "nothing was recorded of the code, packages and system of the run" in results[run_id][1]
    assert "taken for what its script recorded: own" in results[of_mlflow][1]
    assert "'mine' is 'project/mine.csv', and where that was is not recorded" in results[tags_only][1]
    assert len(store.runs) == len(ids)
