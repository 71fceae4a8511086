"""Completion: what is offered where, what real shells make of it, and that it never gets in the way."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.cli.app import app
from dioptra_cli.cli.complete import candidates

PROJECT = """\
entry_points:
  train:
    description: "Train: it's a \\"model\\""
    parameters:
      lr: {type: float, default: 0.1, description: "Step size: small"}
      data: path
      optimizer: {default: adam, choices: [adam, sgd, "a b", "x:y", "x:z"]}
      shuffle: {type: bool, default: true}
    command: echo {lr} {data} {optimizer} {shuffle}
  my entry: {command: echo}
  data:prep: {command: echo}
  it's: {command: echo}
"""

TRAIN = ["data=", "lr=", "optimizer=", "shuffle="]


@pytest.fixture
def directory(project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caller's directory: a project, with another one in a directory whose name has a blank."""
    scripts = project(PROJECT, name="play/my project") / "scripts"
    scripts.mkdir()
    (scripts / "run.sh").touch()
    (scripts / "notes").touch()
    directory = project(PROJECT, name="play")
    (directory / "images").mkdir()
    (directory / ".git").mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("HOME", str(directory))
    return directory


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("before", "typed", "expected"),
    [
        ("", "ru", ["run", "runs"]),
        ("", "_", []),
        ("nothing", "", []),
        ("run -e", "", ["train", "my entry", "data:prep", "it's"]),
        ("run . -e", "d", ["data:prep"]),
        ("run ./my*project -e", "t", ["train"]),
        ("run ~/my*project -e", "t", ["train"]),
        ("run $HOME/my*project -e", "t", ["train"]),
        ("run", "--entry-point=t", ["--entry-point=train"]),
        ("run", "-et", ["-etrain"]),
        ("list-entry-points -e", "m", ["my entry"]),
        ("run -e train -P", "", TRAIN),
        ("run . -e train -P", "l", ["lr="]),
        ("run -e train", "-Pl", ["-Plr="]),
        ("run -e train", "--param-list=l", ["--param-list=lr="]),
        ("run -q -etrain -P", "l", ["lr="]),
        ("run --entry-point=train -P lr=1 -Pdata=x -P", "", ["optimizer=", "shuffle="]),
        ("run -e train -P", "optimizer=", [f"optimizer={c}" for c in ("adam", "sgd", "a b", "x:y", "x:z")]),
        ("run -e train", "-Poptimizer=s", ["-Poptimizer=sgd"]),
        ("run -e train -P", "shuffle=", ["shuffle=true", "shuffle=false"]),
        ("run -e train -P", "data=", ["data=MLproject", "data=images/", "data=my project/"]),
        ("run -e train -P", "data=~/i", ["data=~/images/"]),
        ("run -e train -P", "lr=", []),
        ("run -e train -P", "none=", []),
        ("run -e trian -P", "", []),
        ("run -P", "", []),
        ("run -v", "", []),
        ("run -e train", "--dr", ["--dry-run"]),
        ("run -e train", "--dry-run=", []),
        ("validate --format", "sa", ["sarif"]),
        ("run --params-file", "M", ["MLproject"]),
        ("run", "my", ["my project/"]),
        ("run", ".", [".git/"]),
        ("run", "~/my*project/M", ["~/my project/MLproject"]),
        ("run . --", "-", []),
        ("run -e", "im", ["images/"]),
        ("run ./my*project -e", "sc", ["scripts/"]),
        ("run ./my*project -e", "scripts/", ["scripts/run.sh"]),
        ("list-entry-points ./my*project -e", "sc", []),
        ("exec . -- python", "M", ["MLproject"]),
        ("run . my", "", []),
        ("validate", "", ["MLproject", "images/", "my project/"]),
        ("validate MLproject", "i", ["images/"]),
        ("validate --select", "DIO10", [f"DIO10{n}" for n in range(1, 10)]),
        ("validate --ignore", "DIO101,unknown-t", ["DIO101,unknown-type", "DIO101,unknown-tag"]),
        ("validate --explain", "duplicate", ["duplicate-key"]),
        ("new", "e", ["entry-point"]),
        ("completion", "", ["bash", "zsh", "fish"]),
    ],
)
def test_candidates(before: str, typed: str, expected: list[str]) -> None:
    words = [word.replace("*", " ") for word in before.split()]
    found = [item.value for item in candidates(app, words, typed.replace("*", " "))]
    assert sorted(found) == sorted(expected)


@pytest.mark.usefixtures("directory")
def test_words_behind_the_cursor_count() -> None:
    found = candidates(app, ["run", "-P"], "", ["-P", "lr=1", "-e", "train"])
    assert [item.value for item in found] == ["data=", "optimizer=", "shuffle="]


@pytest.mark.usefixtures("directory")
def test_candidates_say_what_they_are() -> None:
    entry_point, *_ = candidates(app, ["run", "-e"], "")
    assert entry_point.help == 'Train: it\'s a "model"'
    helps = [item.help for item in candidates(app, ["run", "-e", "train", "-P"], "")]
    assert helps == [
        "path, required",
        "Step size: small (float, default 0.1)",
        "string, default adam",
        "bool, default True",
    ]
    check, *_ = candidates(app, ["validate", "--explain"], "DIO101")
    assert check.help == "invalid YAML"


def program(directory: Path) -> dict[str, str]:
    """Put a `dioptra` on the PATH that completes, and else only notes its arguments, in the file `called`."""
    file = directory / "bin" / "dioptra"
    file.parent.mkdir()
    file.write_text(
        f'#!/bin/sh\ncase $1 in\n_complete|completion) exec "{sys.executable}" -m dioptra_cli "$@";;\nesac\n'
        f'printf "%s\\n" "$@" > "{directory}/noting" && mv "{directory}/noting" "{directory}/called"\n'
    )
    file.chmod(0o755)
    return {**os.environ, "PATH": os.pathsep.join([str(file.parent), os.environ["PATH"]]), "TERM": "xterm"}


@pytest.mark.parametrize(
    ("line", "behind", "replaced", "expected"),
    [
        ("dioptra run -e t", "", "t", ["train"]),
        ("A=1 dioptra run -e t", "", "t", ["train"]),
        ("dioptra run -e ", "", "", ["train", r"my\ entry", "data:prep", r"it\'s"]),
        ("dioptra run -e data:p", "", "p", ["prep"]),
        ("dioptra run -e 'my", "", "my", ["my entry"]),
        ("dioptra run -e 'it", "", "it", [r"it'\''s"]),
        ('dioptra run -e "it', "", "it", ["it's"]),
        (r"dioptra run my\ project -e my\ e", "", r"my\ e", [r"my\ entry"]),
        ("dioptra run -e train -P l", "", "l", ["+lr="]),
        ("dioptra run -P l", " -e train", "l", ["+lr="]),
        ("dioptra run -e train -P optimizer=", "", "", ["adam", "sgd", r"a\ b", "x:y", "x:z"]),
        ("dioptra run -e train -P optimizer=x:", "", "", ["y", "z"]),
        ("dioptra run -e train -P 'optimizer=a ", "", "optimizer=a ", ["optimizer=a b"]),
        ("dioptra run -e train -Pshuffle=t", "", "t", ["true"]),
        ("dioptra run --entry-point=tr", "", "tr", ["train"]),
        ("dioptra run ~/my", "", "~/my", [r"+~/my\ project/"]),
    ],
)
def test_bash_is_told_what_to_put_in_the_place_of_what_it_replaces(
    directory: Path, line: str, behind: str, replaced: str, expected: list[str]
) -> None:
    script = """
        eval "$(dioptra completion bash)"
        compopt() { [[ $* == "-o nospace" ]] && prefix=+; }
        COMP_LINE=$1$2 COMP_POINT=${#1}
        _dioptra dioptra "$3"
        printf "$prefix%s\\n" "${COMPREPLY[@]}"
    """
    called = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", line, behind, replaced],
        env=program(directory),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (called.stdout.splitlines(), called.stderr) == (expected, "")


SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SET_UP = {
    "bash": 'eval "$(dioptra completion bash)"',
    "zsh": 'autoload -Uz compinit; compinit -D -u; eval "$(dioptra completion zsh)"',
    "fish": "dioptra completion fish | source",
}
INSTALLED = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason="not installed"))
    for name in SHELLS
]


class Terminal:
    """A shell on a terminal of its own, at which somebody types."""

    def __init__(self, argv: list[str], directory: Path, env: dict[str, str]) -> None:
        self.directory = directory
        self.keys, terminal = pty.openpty()
        self.process = subprocess.Popen(
            argv,
            cwd=directory,
            env=env,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
        )
        os.close(terminal)

    def type(self, line: str, until: str) -> list[str]:
        """Type a line; return the lines of the file `until`, as soon as there is one, and remove it."""
        file = self.directory / until
        os.write(self.keys, f"{line}\r".encode())
        deadline = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < deadline, f"nothing came of {line!r}"
            if select.select([self.keys], [], [], 0.02)[0]:
                os.read(self.keys, 65536)
        lines = file.read_text().splitlines()
        file.unlink()
        return lines

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.keys)


@pytest.mark.parametrize("shell", INSTALLED)
def test_a_real_shell_completes_what_is_typed(shell: str, directory: Path) -> None:
    cases = {
        "run -e tr\t": ["run", "-e", "train"],
        "run -e my\t": ["run", "-e", "my entry"],
        "run -e 'my\t": ["run", "-e", "my entry"],
        'run -e "it\t': ["run", "-e", "it's"],
        "run -e data:p\t": ["run", "-e", "data:prep"],
        "run --entry-point=tr\t": ["run", "--entry-point=train"],
        "run -e train -P l\t0.5": ["run", "-e", "train", "-P", "lr=0.5"],
        "run -e train -P o\ts\t": ["run", "-e", "train", "-P", "optimizer=sgd"],
        "run -e train -P optimizer=a\\ \t": ["run", "-e", "train", "-P", "optimizer=a b"],
        "run -e train -Po\ts\t": ["run", "-e", "train", "-Poptimizer=sgd"],
        "run -e train -P data=im\t": ["run", "-e", "train", "-P", "data=images/"],
        "run my\t -e tr\t": ["run", "my project/", "-e", "train"],
        "run ~/my\tML\t -e tr\t": ["run", f"{directory}/my project/MLproject", "-e", "train"],
        "val\t --sel\tDIO101\t": ["validate", "--select", "DIO101"],
    }
    terminal = Terminal(SHELLS[shell], directory, program(directory))
    try:
        terminal.type(f"{SET_UP[shell]}; touch ready", until="ready")
        typed = {line: terminal.type(f"dioptra {line}", until="called") for line in cases}
    finally:
        terminal.close()
    assert typed == cases


@pytest.mark.skipif(shutil.which("fish") is None, reason="not installed")
def test_fish_shows_descriptions(directory: Path) -> None:
    commands = "dioptra completion fish | source; complete -C 'dioptra run -e train -P '"
    called = subprocess.run(
        ["fish", "--no-config", "-c", commands],
        env=program(directory),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (called.stdout.splitlines()[:2], called.stderr) == (
        ["data=\tpath, required", "lr=\tStep size: small (float, default 0.1)"],
        "",
    )


@pytest.mark.parametrize(
    "text",
    ["{", "", "- a", "\0", "entry_points: {a: " * 500, "x" * 300_000, "a: !!x y"],
    ids=[
        "brace",
        "empty",
        "list",
        "NUL",
        "deep",
        "long",
        "tag",
    ],  # a long name is too long for the environment
)
def test_a_broken_project_completes_nothing(dioptra: Any, project: Any, text: str) -> None:
    for words in (["-e", ""], ["-P", ""]):
        called = dioptra("_complete", "zsh", "--", "3", "dioptra", "run", *words, cwd=project(text))
        assert (called.code, called.out, called.err) == (0, "", "")


def test_what_cannot_be_read_completes_nothing(dioptra: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "MLproject")
    (tmp_path / "MLproject.d").mkdir()
    asked: Iterable[tuple[str, ...]] = (
        ("zsh", "--", "3", "dioptra", "run", "-e", ""),
        ("zsh", "--", "4", "dioptra", "run", "none", "-e", ""),
        ("zsh", "--", "9", "dioptra"),
        ("zsh", "--", "one"),
        ("bash", "--", "dioptra run -e '", "", ""),
        ("bash", "--", "", "", ""),
        ("bash",),
    )
    for words in asked:
        called = dioptra("_complete", *words)
        assert (called.code, called.out, called.err) == (0, "", "")


def test_no_output_where_nobody_listens(directory: Path) -> None:
    command = f'"{sys.executable}" -m dioptra_cli _complete zsh -- 3 dioptra run -e "" <&- '
    for closed, expected in ((">&-", b""), ("2>&-", b" train\tTrain")):
        done = subprocess.run(
            ["bash", "-c", command + closed], cwd=directory, capture_output=True, check=False, timeout=60
        )
        assert done.stdout.startswith(expected)
        assert done.stderr == b""


def test_completion_imports_nothing_heavy(directory: Path) -> None:
    code = """if True:
        import sys
        from dioptra_cli.cli.boundary import run_command_line
        run_command_line(sys.argv[1:])
        heavy = {"mlflow", "rich", "structlog", "urllib", "asyncio", "ssl", "subprocess", "socket"}
        loaded = heavy & {name.split(".")[0] for name in sys.modules}
        loaded |= {name for name in sys.modules if name.startswith("dioptra_cli.execution.r")}
        sys.exit(" ".join(loaded) or None)
    """
    for words in (["run", "-e", ""], ["run", "-e", "train", "-P", ""], ["list-entry-points", "-e", ""]):
        asked = ["_complete", "zsh", "--", str(len(words)), "dioptra", *words]
        done = subprocess.run(
            [sys.executable, "-c", code, *asked], cwd=directory, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout


def test_there_are_scripts_for_three_shells(dioptra: Any) -> None:
    called = dioptra("completion", "tcsh")
    assert (called.code, "'bash', 'zsh', 'fish'" in called.err) == (2, True)
    assert "_complete" not in dioptra("--help").out
