"""`dioptra run`, from the command line to the store."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.execution.environment import BUILTIN_PLUGINS, CHILD_PATH

ECHO = """\
name: Echo
entry_points:
  main:
    parameters:
      alpha: {type: float, default: 5}
      name: {type: string, default: "a b"}
      data: {type: path, default: d.csv}
    command: printf '%s\\n' {alpha} {name} {data}
"""

LOGGING = """\
import mlflow, sys
with mlflow.start_run() as run:
    mlflow.log_param("alpha", float(sys.argv[1]))
    mlflow.log_metric("m", 1.0)
sys.exit(int(sys.argv[2]))
"""


def test_a_run_is_recorded_with_parameters_tags_and_logs(dioptra: Any, project: Any, store: Any) -> None:
    directory = project(ECHO, d__csv="")
    called = dioptra("run", str(directory), "-P", "alpha=0.10", "--tag", "team=red", "--run-name", "first")
    assert (called.code, called.out) == (0, f"0.10\na b\n{directory}/d.csv\n")
    run = store.only
    assert (run.status, run.ended, run.name, run.experiment) == ("FINISHED", True, "first", "Default")
    assert run.parameters == {"alpha": "0.10", "name": "a b", "data": "d.csv"}
    expected = {
        "mlflow.source.name": str(directory),
        "mlflow.source.type": "PROJECT",
        "mlflow.project.entryPoint": "main",
        "mlflow.project.backend": "local",
        "team": "red",
        "dioptra.exit_code": "0",
        "dioptra.end": "finished",
        "dioptra.command": f"printf '%s\\n' 0.10 'a b' {directory}/d.csv",
    }
    assert {name: run.tags.get(name) for name in expected} == expected
    assert json.loads(run.tags["dioptra.parameters"]) == run.parameters
    assert {"mlflow.user", "dioptra.version", "dioptra.host"} <= set(run.tags)
    assert run.artifact("logs/stdout.log") == called.out
    assert run.artifact("logs/stderr.log") == ""
    assert run.artifact("MLproject") == ECHO
    recorded = {p["name"]: p for p in json.loads(run.artifact("parameters.json"))["parameters"]}
    assert recorded["data"]["resolved"] == f"{directory}/d.csv"
    assert recorded["alpha"]["source"] == "-P"
    assert not list((Path(os.environ["XDG_STATE_HOME"]) / "dioptra" / "runs").iterdir())


@pytest.mark.parametrize(("script_code", "status"), [(0, "FINISHED"), (3, "FAILED")])
def test_the_child_joins_the_run_and_its_exit_code_decides(
    dioptra: Any, project: Any, store: Any, script_code: int, status: str
) -> None:
    text = "entry_points: {main: {parameters: {alpha: float, code: int}, command: 'python log.py {alpha} {code}'}}"
    directory = project(text, log__py=LOGGING)
    called = dioptra("run", str(directory), "-P", "alpha=5", "-P", f"code={script_code}")
    assert called.code == script_code, called.err
    run = store.only
    assert run.status == status
    assert run.parameters == {"alpha": "5.0", "code": str(script_code)}
    assert run.tags["dioptra.exit_code"] == str(script_code)


REFUSED = {
    "missing": (["-e", "req"], "parameter 'a' (type float) needs a value"),
    "not a float": (["-P", "alpha=abc"], "'abc' is not a float"),
    "no such path": (["-P", "data=none.csv"], "'none.csv' does not exist"),
    "no equals sign": (["-P", "alpha"], "'alpha' is not of the form NAME=VALUE"),
    "no name": (["-P", "=5"], "'=5' is not of the form NAME=VALUE"),
    "repeated": (["-P", "alpha=1", "-P", "alpha=2"], "gives 'alpha' twice"),
    "unknown entry point": (["-e", "mian"], "did you mean 'main'?"),
    "unknown option": (["--dryrun"], "No such option"),
    "both experiments": (["--experiment-name", "a", "--experiment-id", "1"], "exclude each other"),
    "no such plugin dir": (["--plugin-dir", "none"], "there is no directory"),
    "no seconds": (["--timeout", "nan"], "nan is not a number of seconds"),
    "bad tag": (["--tag", "x"], "not of the form"),
    "bad env": (["--env", "x"], "not of the form"),
    "unrecordable name": (["-P", "$(touch x)=1"], "cannot be recorded"),
    "no such params file": (["--params-file", "none.yaml"], "none.yaml"),
    "no such commit": (["-v", "nope"], "not in a git work tree"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_call_exits_2_and_leaves_nothing_behind(
    dioptra: Any, project: Any, tmp_path: Path, case: str
) -> None:
    arguments, message = REFUSED[case]
    text = ECHO + "  req: {parameters: {a: float, b: float}, command: 'touch /x {a} {b}'}\n"
    directory = project(text, d__csv="")
    before = sorted(tmp_path.rglob("*"))
    called = dioptra("run", str(directory), *arguments)
    assert called.code == 2, called
    assert message in called.err
    assert "Traceback" not in called.err
    assert sorted(tmp_path.rglob("*")) == before


def test_all_problems_are_reported_at_once(dioptra: Any, project: Any) -> None:
    directory = project(
        "entry_points:\n  main:\n    parameters:\n      a: float\n      b: {type: float, default: abc}\n"
        "      c: path\n    command: x {a} {b} {c}\n"
    )
    called = dioptra("run", str(directory), "-P", "c=none", "-P", "d")
    assert called.code == 2
    for part in (
        "'a' (type float) needs a value",
        "'abc' is not a float",
        "'none' does not exist",
        "'d' is not of",
    ):
        assert part in called.err
    assert f"{directory}/MLproject:5:33: error: default of parameter 'b'" in called.err


INVALID = {
    "yaml": ("entry_points: {", "is not closed"),
    "structure": ("entry_points:\n  - main\n", "must be a mapping, not a list"),
    "no command": ("entry_points:\n  main: {comand: x}\n", "has no command"),
    "placeholder": ("entry_points:\n  main: {command: 'echo {x}'}\n", "no parameter is named 'x'"),
    "shell variable": ("entry_points:\n  main: {command: 'echo ${HOME}'}\n", "write ${{HOME}}"),
    "attribute": (
        "entry_points:\n  main: {parameters: {a: {default: 1}}, command: 'echo {a.__class__}'}\n",
        "attribute",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_project_exits_125_and_leaves_nothing_behind(
    dioptra: Any, project: Any, tmp_path: Path, case: str
) -> None:
    text, message = INVALID[case]
    directory = project(text)
    called = dioptra("run", str(directory))
    assert called.code == 125, called
    assert message in called.err
    assert f"{directory}/MLproject:" in called.err
    assert "Traceback" not in called.err
    assert not (tmp_path / "mlflow.db").exists()


def test_a_directory_without_an_mlproject_file_says_so(dioptra: Any, tmp_path: Path) -> None:
    called = dioptra("run", ".")
    assert called.code == 125
    assert "there is no MLproject file" in called.err


def test_a_script_needs_no_mlproject_file(dioptra: Any, store: Any, tmp_path: Path) -> None:
    (tmp_path / "hi.sh").write_text("echo hi\n")
    refused = dioptra("run", "hi.sh")
    assert refused.code == 2
    assert "hint: to run it: dioptra run . -e hi.sh\n" in refused.err
    called = dioptra("run", ".", "-e", "hi.sh")
    assert (called.code, called.out) == (0, "hi\n"), called.err


def test_processes_that_the_command_leaves_behind_are_said_to_be_sent_the_signal(
    dioptra: Any, project: Any, store: Any
) -> None:
    called = dioptra("run", str(project("entry_points: {main: {command: sleep 60 & }}")))
    assert called.code == 0
    assert "leftovers: sent SIGTERM to what the command left behind, which has 5 s to end\n" in called.err


def test_an_undeclared_parameter_is_appended_on_the_same_line(dioptra: Any, project: Any, store: Any) -> None:
    directory = project("entry_points:\n  main:\n    command: >\n      printf '%s;'\n      a\n")
    called = dioptra("run", str(directory), "-P", "extra=it's $(touch x)")
    assert called.out == "a;--extra;it's $(touch x);"
    assert "parameter 'extra' is not declared" in called.err
    assert store.only.parameters == {"extra": "it's $(touch x)"}


HOSTILE = [
    "a b  c",
    'it\'s "q"',
    "back\\slash",
    "new\nline",
    "é日本",
    "{alpha}",
    "$(touch x)",
    "; touch x",
    "",
    "-n",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_reach_the_program_and_the_store_unchanged(
    dioptra: Any, project: Any, store: Any, tmp_path: Path, value: str
) -> None:
    script = "import sys; open('seen', 'w').write('\\0'.join(sys.argv[1:]))"
    command = "python show.py {v} '{v}' \"{v}\" --v={v} $(printf %s x){v}\n"
    directory = project(
        f"entry_points:\n  main:\n    parameters: {{v: string}}\n    command: |\n      {command}",
        show__py=script,
    )
    called = dioptra("run", str(directory), "-P", f"v={value}")
    assert called.code == 0, called.err
    assert (directory / "seen").read_text().split("\0") == [value] * 3 + [f"--v={value}", f"x{value}"]
    assert store.only.parameters == {"v": value}
    assert not list(tmp_path.rglob("x"))


def test_a_value_of_bytes_that_are_no_text_reaches_the_program(
    dioptra: Any, project: Any, store: Any
) -> None:
    directory = project(
        "entry_points:\n  main:\n    parameters: {v: string}\n    command: printf %s {v} > seen\n"
    )
    called = dioptra("run", str(directory), "-P", "v=" + os.fsdecode(b"\xff\xfe"))
    assert called.code == 0, called.err
    assert (directory / "seen").read_bytes() == b"\xff\xfe"
    assert store.only.parameters == {"v": "\ufffd\ufffd"}


@pytest.mark.parametrize("place", ["pro ject's", 'say "x"', "$(touch x)", "a;b", "new\nline"])
def test_directories_with_hostile_names(
    dioptra: Any, project: Any, store: Any, tmp_path: Path, place: str
) -> None:
    directory = project(ECHO, name=place, d__csv="")
    caller = tmp_path / "call er's"
    caller.mkdir()
    (caller / "e.csv").touch()
    called = dioptra(
        "run", str(directory), env={"MLFLOW_TRACKING_URI": f"sqlite:///{store.path}"}, cwd=caller
    )
    assert called.out.endswith(f"{directory}/d.csv\n"), called
    called = dioptra(
        *("run", str(directory), "-P", "data=e.csv"),
        env={"MLFLOW_TRACKING_URI": f"sqlite:///{store.path}"},
        cwd=caller,
    )
    assert called.out.endswith(f"{caller}/e.csv\n"), called
    assert [run.status for run in store.runs] == ["FINISHED"] * 2


def test_the_default_store_is_in_the_callers_directory_and_the_child_uses_it(
    dioptra: Any, project: Any, tmp_path: Path
) -> None:
    text = "entry_points: {main: {parameters: {alpha: {default: 1}}, command: 'python log.py {alpha} 0'}}"
    directory = project(text, log__py=LOGGING)
    called = dioptra("run", str(directory), "--json")
    assert called.code == 0, called.err
    record = called.json
    assert record["tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert f"dioptra: making a new store: {tmp_path}/mlflow.db\n" in called.err
    assert (record["status"], record["exit_code"], record["recorded"]) == ("FINISHED", 0, True)
    assert (tmp_path / "mlflow.db").exists()
    assert not (directory / "mlflow.db").exists()
    assert not (directory / "mlruns").exists()


def test_json_is_the_only_thing_on_stdout(dioptra: Any, project: Any, store: Any) -> None:
    called = dioptra("run", str(project("entry_points: {main: {command: echo hello}}")), "--json")
    assert called.json["run_id"] == store.only.run_id
    assert set(called.json) >= {"status", "exit_code", "seconds", "artifact_uri", "experiment_id"}
    assert "hello" in called.err


def test_experiments_by_name_and_id(dioptra: Any, project: Any, store: Any) -> None:
    directory = str(project("entry_points: {main: {command: 'true'}}"))
    first = dioptra("run", directory, "--experiment-name", "new one", "--json").json
    second = dioptra("run", directory, "--experiment-id", first["experiment_id"], "--json").json
    third = dioptra("run", directory, "--json", env={"MLFLOW_EXPERIMENT_NAME": "new one"}).json
    assert {first["experiment_id"], second["experiment_id"], third["experiment_id"]} == {
        first["experiment_id"]
    }
    assert [run.experiment for run in store.runs] == ["new one"] * 3
    called = dioptra("run", directory, "--experiment-id", "999")
    assert called.code == 125
    assert "no experiment '999'" in called.err
    assert len(store.runs) == 3


def test_a_run_is_continued_and_put_under_a_parent(dioptra: Any, project: Any, store: Any) -> None:
    directory = str(project("entry_points: {main: {parameters: {a: string}, command: 'test {a} != bad'}}"))
    first = dioptra("run", directory, "-P", "a=bad", "--json").json
    assert store.only.status == "FAILED"
    again = dioptra("run", directory, "-P", "a=bad", "--run-id", first["run_id"], "--tag", "again=yes")
    assert again.code == 1
    assert store.only.tags["again"] == "yes"
    child = dioptra("run", directory, "-P", "a=x", "--parent-run-id", first["run_id"])
    assert child.code == 0
    assert store.runs[1].tags["mlflow.parentRunId"] == first["run_id"]
    for option in ("--run-id", "--parent-run-id"):
        called = dioptra("run", directory, "-P", "a=x", option, "0" * 32)
        assert called.code == 125
        assert f"there is no run '{'0' * 32}'" in called.err
    assert len(store.runs) == 2


def test_dry_run_shows_the_plan_and_does_nothing(dioptra: Any, project: Any, tmp_path: Path) -> None:
    directory = project(ECHO, d__csv="")
    before = sorted(tmp_path.rglob("*"))
    called = dioptra("run", str(directory), "-P", "name=x y", "--dry-run", "--env", "A=b c")
    assert called.code == 0, called.err
    for part in ("name", "-P", "default", f"printf '%s\\n' 5 'x y' {directory}/d.csv", "A='b c'"):
        assert part in called.out
    planned = dioptra("run", str(directory), "--dry-run", "--json").json
    assert planned["command"] == f"printf '%s\\n' 5 'a b' {directory}/d.csv"
    assert planned["parameters"][2]["resolved"] == f"{directory}/d.csv"
    assert sorted(tmp_path.rglob("*")) == before


def test_parameters_from_a_file(dioptra: Any, project: Any, store: Any, tmp_path: Path) -> None:
    directory = project(ECHO, d__csv="")
    (tmp_path / "values.json").write_text(json.dumps({"alpha": 0.5, "name": "from file"}))
    called = dioptra("run", str(directory), "--params-file", "values.json", "-P", "alpha=7")
    assert called.out.startswith("7\nfrom file\n")
    (tmp_path / "bad.yaml").write_text("alpha: 0.5\nname: [1, 2]\n")
    called = dioptra("run", str(directory), "--params-file", "bad.yaml")
    assert called.code == 2
    assert "bad.yaml:2:7: error: the value of 'name' must be a single value" in called.err


def test_script_files_are_entry_points(dioptra: Any, project: Any, store: Any) -> None:
    directory = project(
        "entry_points: {}",
        show__py="import sys; print(sys.executable, *sys.argv[1:])",
        hi__sh='echo "$@" $0',
    )
    called = dioptra("run", str(directory), "-e", "show.py", "-P", "k=v w")
    assert called.out == f"{sys.executable} --k v w\n"
    assert "not declared" not in called.err
    assert dioptra("run", str(directory), "-e", "hi.sh", "-P", "k=v").out == "--k v hi.sh\n"
    called = dioptra("run", str(directory), "-e", "none.py")
    assert called.code == 2
    assert "none.py" in called.err
    assert len(store.runs) == 2


@pytest.mark.parametrize(
    ("command", "code", "end"),
    [
        ("exit 3", 3, "failed with exit code 3"),
        ("kill -TERM $$", 143, "ended by SIGTERM"),
        ("kill -KILL $$", 137, "ended by SIGKILL"),
        ("nonexistent-program", 127, "failed with exit code 127"),
        ("./not-executable", 126, "failed with exit code 126"),
    ],
)
def test_exit_codes_are_the_childs_own(
    dioptra: Any, project: Any, store: Any, command: str, code: int, end: str
) -> None:
    directory = project(f"entry_points:\n  main:\n    command: {command}\n")
    (directory / "not-executable").touch()
    assert dioptra("run", str(directory)).code == code
    assert store.only.status == "FAILED"
    assert store.only.tags["dioptra.end"] == end


def test_a_timeout_kills_the_run(dioptra: Any, project: Any, store: Any) -> None:
    directory = project("entry_points: {main: {command: sleep 60}}")
    assert dioptra("run", str(directory), "--timeout", "0.5").code == 124
    assert store.only.status == "KILLED"


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits for its parent to ask does not."""
    if not Path("/proc/self/stat").exists():
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return state.stdout.strip()[:1] not in ("", "Z")
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_run_is_killed_and_leaves_no_process(
    project: Any, store: Any, start: Callable[..., Any], tmp_path: Path, signum: int, code: int
) -> None:
    script = (
        "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'ready'); time.sleep(60)"
    )
    directory = project("entry_points: {main: {command: 'python wait.py; echo after'}}", wait__py=script)
    running = start("run", str(directory))
    running.wait_for(directory / "ready")
    running.signal(signum)
    returned, said = running.end()
    assert returned == code, said
    assert 'Traceback (most recent call last):\n  File "<frozen' not in said
    hint = "sent SIGINT to the command, which has 10 s to end; another Ctrl-C sends SIGTERM at once\n"
    assert (hint in said) is (signum == signal.SIGINT)
    assert (store.only.status, store.only.ended) == ("KILLED", True)
    assert not is_running(int((directory / "ready").read_text()))


def test_plugin_directories_and_settings_reach_the_child(
    dioptra: Any, project: Any, store: Any, tmp_path: Path
) -> None:
    text = "entry_points: {main: {command: env}}"
    directory = project(text)
    for name in ("opt ion", "inherited", "project/task-plugins"):
        (tmp_path / name).mkdir()
    called = dioptra(
        *("run", str(directory), "--plugin-dir", "opt ion", "--log-level", "debug", "--log-as-json"),
        *("--env", "EXTRA=a=b"),
        env={"DIOPTRA_PLUGIN_DIR": f"{tmp_path}/inherited:", "PYTHONPATH": f":{Path(__file__).parents[2]}:"},
    )
    seen = dict(line.split("=", 1) for line in called.out.splitlines() if "=" in line)
    plugins = [f"{tmp_path}/opt ion", f"{tmp_path}/inherited", f"{directory}/task-plugins"]
    assert seen["DIOPTRA_PLUGIN_DIR"].split(os.pathsep) == [*plugins, BUILTIN_PLUGINS]
    assert seen["AI_PLUGIN_DIR"] == seen["DIOPTRA_PLUGIN_DIR"]
    own = [CHILD_PATH, *plugins, BUILTIN_PLUGINS]
    assert seen["PYTHONPATH"].split(os.pathsep) == [*own, str(Path(__file__).parents[2])]
    assert seen["DIOPTRA_JOB_LOG_LEVEL"] == "DEBUG"
    assert seen["DIOPTRA_JOB_LOG_AS_JSON"] == "1"
    assert seen["PYTHONUNBUFFERED"] == "1"
    assert seen["EXTRA"] == "a=b"
    assert seen["MLFLOW_RUN_ID"] == store.only.run_id
    assert seen["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert seen["PWD"] == str(directory)


def test_a_git_work_tree_is_recorded_and_an_older_commit_can_be_run(
    dioptra: Any, project: Any, store: Any, tmp_path: Path
) -> None:
    text = "entry_points: {main: {command: cat said}}"
    directory = project(text, name="repo/inner", said="old\n")

    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path / "repo"), "-c", "user.name=t", "-c", "user.email=t@t", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("remote", "add", "origin", "https://user:secret@example.org/r.git")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    first = git("rev-parse", "HEAD")
    (directory / "said").write_text("new\n")
    assert dioptra("run", str(directory)).out == "new\n"
    run = store.only
    assert run.tags["mlflow.source.git.commit"] == first
    assert run.tags["mlflow.source.git.repoURL"] == "https://example.org/r.git"
    assert run.tags["mlflow.source.name"] == f"file://{tmp_path}/repo#inner"
    assert run.tags["dioptra.working_tree"] == "modified"
    assert "-old\n+new" in run.artifact("git.diff")
    git("commit", "-q", "-a", "-m", "two")
    assert dioptra("run", str(directory), "-v", first[:8]).out == "old\n"
    assert store.runs[1].tags["mlflow.source.git.commit"] == first
    assert store.runs[1].tags["dioptra.working_tree"] == "clean"
    assert git("status", "--porcelain") == ""
    assert (directory / "said").read_text() == "new\n"


def test_tracking_out_of_reach_is_said_at_once(dioptra: Any, project: Any) -> None:
    directory = project("entry_points: {main: {command: touch ran}}")
    called = dioptra(
        "run", str(directory), "--tracking-uri", "http://user:secret@127.0.0.1:9", "--tracking-timeout", "1"
    )
    assert called.code == 125
    assert "cannot reach the tracking server http://***@127.0.0.1:9" in called.err
    assert "secret" not in called.err
    assert not (directory / "ran").exists()


def test_an_environment_that_the_project_asks_for_is_mentioned(
    dioptra: Any, project: Any, store: Any
) -> None:
    directory = project("conda_env: c.yaml\nentry_points: {main: {command: 'true'}}", c__yaml="")
    called = dioptra("run", str(directory))
    assert "asks for conda_env 'c.yaml'; it runs in the current environment" in called.err
    assert dioptra("run", str(directory), "--quiet").err == ""


def test_exec_gives_the_environment_without_a_run(dioptra: Any, project: Any, tmp_path: Path) -> None:
    directory = project("entry_points: {main: {command: 'true'}}")
    (directory / "task-plugins").mkdir()
    uri = {"MLFLOW_TRACKING_URI": "sqlite:///x.db"}
    called = dioptra("exec", str(directory), "--", "bash", "-c", "env; exit 5", env=uri)
    assert called.code == 5, called.err
    seen = dict(line.split("=", 1) for line in called.out.splitlines() if "=" in line)
    assert seen["DIOPTRA_PLUGIN_DIR"] == f"{directory}/task-plugins{os.pathsep}{BUILTIN_PLUGINS}"
    assert seen["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/x.db"
    assert seen["PWD"] == str(directory)
    assert "MLFLOW_RUN_ID" not in seen
    assert not (tmp_path / "x.db").exists()
    assert dioptra("exec", str(directory), "--", "no-such-program").code == 127
    called = dioptra("exec", str(directory))
    assert called.code == 2
    assert "after two dashes" in called.err


def test_a_signal_before_the_run_leaves_nothing_and_gives_its_code(
    project: Any, start: Callable[..., Any], tmp_path: Path
) -> None:
    """A server that never answers holds up the download; the signal arrives while it does."""
    listener = socket.create_server(("127.0.0.1", 0))
    directory = project("entry_points: {main: {parameters: {d: path}, command: 'touch ran {d}'}}")
    running = start("run", str(directory), "-P", f"d=http://127.0.0.1:{listener.getsockname()[1]}/x")
    connection, _ = listener.accept()
    running.signal(signal.SIGTERM)
    code, said = running.end()
    connection.close()
    listener.close()
    assert code == 143, said
    assert "Traceback" not in said
    assert not (tmp_path / "mlflow.db").exists()
    assert not (directory / "ran").exists()
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "dioptra" / "downloads"
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_closed_standard_streams_do_no_harm(project: Any, store: Any, tmp_path: Path) -> None:
    directory = project("entry_points: {main: {command: echo hello}}")
    command = f"{sys.executable} -m dioptra_cli run {shlex.quote(str(directory))} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path, check=False).returncode == 0
    assert store.only.status == "FINISHED"
    assert store.only.artifact("logs/stdout.log") == "hello\n"
