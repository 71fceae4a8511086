"""What is said of a command and its script is what the script itself would say."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.errors import Level, Location, Problem
from dioptra_cli.mlproject.model import EntryPoint, Parameter, Project
from dioptra_cli.mlproject.shell import read_shell
from dioptra_cli.mlproject.template import parse_template
from dioptra_cli.mlproject.usage import script_calls
from dioptra_cli.validation.script_checks import Cache, check_script

CLICK = """\
import click

@click.command()
@click.option("--data-dir", "-d", required=True, type=click.Path())
@click.option("--epochs", type=int, default=3)
@click.option("--model", type=click.Choice(["small", "large"]))
@click.option("--verbose/--quiet", "-v/-q")
@click.option("--layer", multiple=True, type=click.IntRange(1, 9))
def main(**options):
    pass

if __name__ == "__main__":
    main()
"""

ARGPARSE = """\
import argparse

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", "-d", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--model", choices=["small", "large"])
    parser.add_argument("--verbose", "-v", action="store_true")
    parser.add_argument("--layer", action="append", type=int, choices=range(1, 10))
    return parser.parse_args()

if __name__ == "__main__":
    main()
"""


def entry_point(command: str, parameters: Mapping[str, tuple[str, str | None]] = {}) -> EntryPoint:
    declared = {
        name: Parameter(name, kind, default, Location("MLproject", 2, 1), Location("MLproject", 2, 9))
        for name, (kind, default) in parameters.items()
    }
    return EntryPoint(
        "main", declared, command, Location("MLproject", 1), lambda at: Location("MLproject", 3, at + 1)
    )


def check(directory: Path, entry: EntryPoint, cache: Cache | None = None) -> list[Problem]:
    project = Project(str(directory), "MLproject", "project", {"main": entry})
    calls = script_calls(read_shell(parse_template(entry.command or "")))
    return [p for call in calls for p in check_script(project, entry, call, {} if cache is None else cache)]


@pytest.mark.parametrize("script", [CLICK, ARGPARSE], ids=["click", "argparse"])
@pytest.mark.parametrize(
    ("arguments", "parameters", "names"),
    [
        ("-d x --epochs 5 --model small -v", {}, []),
        ("-dx", {}, []),
        ("--data-dir=x --layer 1 --layer 2", {}, []),
        ("", {}, ["missing-option"]),
        ("--help", {}, []),
        ("-d x --epoch-s 3", {}, ["unknown-option"]),
        ("--data-dri x", {}, ["unknown-option"]),
        ("-d x -z", {}, ["unknown-option"]),
        ("-d {d} --epochs {e}", {"d": ("path", None), "e": ("float", "3")}, ["looser-type"]),
        ("-d {d} --epochs={e}", {"d": ("path", None), "e": ("double", None)}, ["looser-type"]),
        ("-d x --epochs {e}", {"e": ("int", None)}, []),
        ("-d x --epochs {e}", {"e": ("string", None)}, []),
        ("-d x --epochs {e}", {"e": ("float", "0.5")}, ["refused-default"]),
        ("-d x --epochs {e} --layer {e}", {"e": ("float", "0.5")}, ["refused-default"]),
        ("-d x --model {m}", {"m": ("string", "huge")}, ["refused-default"]),
        ("-d x --model {m}", {"m": ("string", "large")}, []),
        ("-d x --layer {n}", {"n": ("int", "10")}, ["refused-default"]),
        ("-d x --verbose {v}", {"v": ("bool", None)}, ["value-for-flag"]),
        ("-d x --verbose {v}", {"v": ("string", "True")}, ["value-for-flag"]),
        ("-d x --verbose {v}", {"v": ("string", None)}, []),
        ("-d x --verbose=1", {}, ["value-for-flag"]),
        ("-d x y", {}, ["unexpected-argument"]),
        ("-d x -d y", {}, ["repeated-option"]),
        ("$OPTIONS", {}, []),
        ("-d x $MORE y", {}, []),
        ("-d x --data* y", {}, []),
        ("{all}", {"all": ("string", None)}, []),
        ("--{name} x", {"name": ("string", None)}, []),
        ("-d --epochs 3", {}, []),
    ],
)
def test_a_call_is_compared_with_its_script(
    tmp_path: Path,
    script: str,
    arguments: str,
    parameters: Mapping[str, tuple[str, str | None]],
    names: list[str],
) -> None:
    (tmp_path / "train.py").write_text(script)
    found = check(tmp_path, entry_point(f"python train.py {arguments}", parameters))
    assert [problem.name for problem in found] == names
    assert all(problem.entry_point == "main" for problem in found)


@pytest.mark.parametrize(
    ("arguments", "parameters", "where", "message", "hint"),
    [
        (
            "--epochs 1",
            {"data_dir": ("path", None)},
            (3, 8, 16),
            "train.py requires '--data-dir' (line 4), which the command does not pass",
            "add '--data-dir {data_dir}' to the command",
        ),
        (
            "-d x --epoch 1",
            {},
            (3, 22, 29),
            "train.py has no option '--epoch'",
            "did you mean '--epochs'?",
        ),
        (
            "-d x --epochs {e}",
            {"e": ("float", "1e2")},
            (2, 9, None),
            "the default '1e2' of 'e' is refused: '--epochs' of train.py (line 5) takes an integer",
            "write 'default: 100'",
        ),
        (
            "-d x --quiet {e}",
            {"e": ("int", None)},
            (3, 30, 33),
            "'--quiet' of train.py (line 7) is a flag and takes no value",
            "pass '--quiet' alone, or leave it out",
        ),
        (
            "-d x y",
            {},
            (3, 22, 23),
            "train.py takes no arguments besides its options",
            "remove it, or write the name of its option before it",
        ),
    ],
)
def test_messages_point_at_the_word(
    tmp_path: Path,
    arguments: str,
    parameters: Mapping[str, tuple[str, str | None]],
    where: tuple[int, int, int | None],
    message: str,
    hint: str,
) -> None:
    (tmp_path / "train.py").write_text(CLICK)
    (problem,) = check(tmp_path, entry_point(f"python train.py {arguments}", parameters))
    location = problem.location
    assert location is not None
    assert (location.line, location.column, location.end) == where
    assert (problem.message, problem.hint) == (message, hint)


def test_only_certain_calls_of_scripts_of_the_project_are_compared(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(CLICK)
    outside = tmp_path / "project"
    outside.mkdir()
    assert check(tmp_path, entry_point("python train.py"))
    assert not check(tmp_path, entry_point("test -e x || python train.py"))
    assert not check(tmp_path, entry_point("cd src && python train.py"))
    assert not check(tmp_path, entry_point("python other.py"))
    assert not check(tmp_path, entry_point("bash train.py"))
    assert not check(outside, entry_point("python ../train.py"))
    assert not check(tmp_path.parent, entry_point(f"python {tmp_path.name}"))


def test_modules_are_found_as_python_finds_them(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "train.py").write_text(CLICK)
    (package / "__main__.py").write_text(ARGPARSE)
    assert "package/train.py" in check(tmp_path, entry_point("python -m package.train"))[0].message
    assert "package/__main__.py" in check(tmp_path, entry_point("python -m package"))[0].message
    assert not check(tmp_path, entry_point("python -m package.test"))


def test_a_script_is_read_once(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(CLICK)
    cache: Cache = {}
    entry = entry_point("python train.py; python train.py")
    assert len(check(tmp_path, entry, cache)) == 2
    assert len(cache) == 1
    script.write_text(CLICK.replace("required=True", "required=False"))
    assert not check(tmp_path, entry, cache)


def test_unreadable_scripts_are_passed_over(tmp_path: Path) -> None:
    for content in (b"\xff\xfe", b"import click\0", b"import click\nprint 'x'", CLICK.encode("utf-16")):
        (tmp_path / "train.py").write_bytes(content)
        assert not check(tmp_path, entry_point("python train.py"))
    os.remove(tmp_path / "train.py")
    (tmp_path / "train.py").mkdir()
    assert not check(tmp_path, entry_point("python train.py"))


def test_levels_are_the_catalogue_s(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(CLICK)
    entry = entry_point("python train.py -d x --epochs {e} -z", {"e": ("float", None)})
    assert {p.name: p.level for p in check(tmp_path, entry)} == {
        "unknown-option": Level.WARNING,
        "looser-type": Level.NOTE,
    }


# What is said is compared with what the scripts say themselves, for scripts and commands at random.

_NAMES = ("--alpha", "--alpine", "--beta", "--beta-max", "-b", "-x", "--gamma")
_VALUES = (
    "1",
    "0.5",
    "a",
    "-1",
    "True",
    "",
    "b c",
    "x=y",
    "-",
    "--",
    "--help",
    "-b",
    "-x1",
    "-bx",
    "--alp",
    "--alpha",
    "--alpha=2",
)


def _script(rng: random.Random, is_click: bool) -> str:
    kinds = (
        [
            "type=int",
            "type=float",
            "default=5",
            "default=0.5",
            "is_flag=True",
            "count=True",
            "multiple=True",
            "nargs=2",
        ]
        + [
            "type=click.Choice(['a', 'b'])",
            "type=click.IntRange(0, 1)",
            "required=True",
            "",
            "default=True",
            "type=bool",
        ]
        if is_click
        else [
            "type=int",
            "type=float",
            "default=5",
            "action='store_true'",
            "action='count'",
            "action='append'",
            "nargs=2",
        ]
        + [
            "nargs='?'",
            "nargs='*'",
            "nargs='+'",
            "choices=['a', 'b']",
            "required=True",
            "",
            "type=int, choices=(0, 1)",
        ]
    )
    names = rng.sample(_NAMES, rng.randint(1, 5))
    declared = []
    for name in names:
        kind = rng.choice(kinds)
        pair = (
            f"'{name}/--no-{name[2:]}'"
            if is_click and kind == "is_flag=True" and len(name) > 2
            else f"'{name}'"
        )
        declared.append(("option", f"{pair}, {kind}"))
    counts = (
        ["", "nargs=2", "required=False", "type=int"]
        if is_click
        else ["", "nargs='?'", "nargs=2", "type=int"]
    )
    for name in ["one", "two"][: rng.choice([0, 0, 1, 2])]:
        declared.append(("argument", f"'{name}', {rng.choice(counts)}"))
    if rng.random() < 0.2:
        declared.append(("argument", "'rest', nargs=-1" if is_click else "'rest', nargs='*'"))
    if is_click:
        lines = [f"@click.{what}({how})" for what, how in declared]
        return "\n".join(["import click", "@click.command()", *lines, "def main(**k): pass", "main()", ""])
    lines = [f"parser.add_argument({how})" for _, how in declared]
    opening = ["import argparse", f"parser = argparse.ArgumentParser(allow_abbrev={rng.random() < 0.7})"]
    return "\n".join([*opening, *lines, "parser.parse_args()", ""])


def _run(script: str, words: list[str]) -> str | None:
    """Return what the script complains of, or None if it takes the words."""
    output = io.StringIO()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    before = sys.argv
    sys.argv = ["train.py", *words]
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            exec(compile(script, "train.py", "exec"), namespace)
    except SystemExit as stop:
        return output.getvalue() if stop.code else None
    finally:
        sys.argv = before
    return None


_COMPLAINTS = {
    "missing-option": ("Missing option", "arguments are required"),
    "unknown-option": ("No such option", "unrecognized arguments", "arguments are required"),
    "missing-argument": ("Missing argument", "takes 2 values", "arguments are required"),
    "unexpected-argument": ("unexpected extra argument", "unrecognized arguments"),
    "value-for-flag": (
        "does not take a value",
        "unexpected extra",
        "unrecognized arguments",
        "ignored explicit argument",
    ),
    "refused-default": ("Invalid value", "invalid int", "invalid float", "invalid choice"),
}
_UNTOLD = ("nvalid", "takes 2 values", "Missing argument", "argument -", "requires")


@pytest.mark.parametrize("is_click", [True, False], ids=["click", "argparse"])
def test_whatever_is_said_is_true(tmp_path: Path, is_click: bool) -> None:
    told = dict.fromkeys(_COMPLAINTS, 0)
    for seed in range(int(os.environ.get("ROUNDS", "1200"))):
        rng = random.Random(seed)
        script = _script(rng, is_click)
        defaults = {"p": rng.choice(["1", "0.5", "a", "x y", "True"]), "q": "7"}
        words = [
            rng.choice(
                [*_NAMES, "--gama", "--no-gamma", *_VALUES, "{p}", "{q}", "--alpha={p}", "-x{p}", "-b={q}"]
            )
            for _ in range(rng.randint(0, 6))
        ]
        values = [word.format(**defaults) for word in words]
        quoted = [word if "{" in word else shlex.quote(word) for word in words]
        (tmp_path / "train.py").write_text(script)
        entry = entry_point(
            " ".join(["python", "train.py", *quoted]),
            {name: ("string", text) for name, text in defaults.items()},
        )
        problems = [p for p in check(tmp_path, entry, {}) if p.name in _COMPLAINTS]
        if not problems:
            continue
        complaint = _run(script, values)
        shown = f"seed {seed}: {[str(p) for p in problems]}\n{script}\n{values}\n{complaint}"
        assert complaint is not None, shown
        if len(problems) == 1:
            name = problems[0].name
            matches = any(part in complaint for part in _COMPLAINTS[name])
            told[name] += matches
            # Some of what else is wrong is not told, and a script complains of one thing only.
            assert matches or name == "refused-default" or any(p in complaint for p in _UNTOLD), shown
    assert all(told.values()), told
