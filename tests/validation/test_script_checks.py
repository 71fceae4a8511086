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
        ("-d x --verbose {v}", {"v": ("string", None)}, ["value-for-flag"]),
        ("-d x --verbose {v}", {"v": ("string", "--quiet")}, []),
        ("-d x --verbose=1", {}, ["value-for-flag"]),
        ("-d x y", {}, ["unexpected-argument"]),
        ("-d x -d y", {}, ["repeated-option"]),
        ("$OPTIONS", {}, []),
        ("-d x $MORE y", {}, []),
        ("-d x --data* y", {}, []),
        ("{all}", {"all": ("string", None)}, ["missing-option", "unexpected-argument"]),
        ("{all}", {"all": ("string", "")}, []),
        ("{more_args}", {"more_args": ("string", None)}, []),
        ("{all}y", {"all": ("string", None)}, []),
        ("{all}", {"all": ("string", "-d")}, []),
        ("--{name} x", {"name": ("string", None)}, []),
        ("-d x --epochs 1e3", {}, ["refused-value"]),
        ("-d x --epochs=ten --layer 10", {}, ["refused-value", "refused-value"]),
        ("-d x --epochs 10$ZEROS --model *", {}, []),
        ("$OPTIONS -d x --epochs ten", {}, []),
        ("-d x --epochs", {}, ["missing-value"]),
        ("--epochs -d x", {}, ["missing-value"]),
        ("$OPTIONS --epochs", {}, []),
        ("-d x -- epochs 3", {}, ["unexpected-argument"]),
        ("-d x -- epoch 3", {}, None),
        ("-d = x", {}, ["unexpected-argument"]),
        ("$OPTIONS -d = x", {}, []),
        ("--data-dir= {d}", {"d": ("path", None)}, ["unexpected-argument"]),
        ("--data-dir='' {d}", {"d": ("path", None)}, ["unexpected-argument"]),
        ("--data-dir = --epochs 3", {}, []),
        ("python eval.py --lr 3", {}, ["unexpected-argument"]),
        ("--epochs x python3 -m evaluate -d 4", {}, ["unexpected-argument"]),
        ("-d python eval.py", {}, ["unexpected-argument"]),
        ("-d x $MORE python eval.py", {}, []),
    ],
)
def test_a_call_is_compared_with_its_script(
    tmp_path: Path,
    script: str,
    arguments: str,
    parameters: Mapping[str, tuple[str, str | None]],
    names: list[str] | None,
) -> None:
    (tmp_path / "train.py").write_text(script)
    found = check(tmp_path, entry_point(f"python train.py {arguments}", parameters))
    if names is None:  # what '--' does depends on the version of Python
        names = ["unexpected-argument"] if script is CLICK else []
    elif "--epochs -d" in arguments and script is CLICK:
        names = []  # click takes an option for the value
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
            "-d x --model larg",
            {},
            (3, 30, 34),
            "'larg' is refused: '--model' of train.py (line 6) takes one of 'small', 'large'",
            "did you mean 'large'?",
        ),
        (
            "-d x --epochs=1e3",
            {},
            (3, 22, 34),
            "'1e3' is refused: '--epochs' of train.py (line 5) takes an integer",
            "write '1000'",
        ),
        (
            "-d x --epochs",
            {},
            (3, 22, 30),
            "'--epochs' of train.py (line 5) lacks its value",
            "write it after '--epochs', or leave '--epochs' out",
        ),
        (
            "-d x --epochs = 3",
            {},
            (3, 31, 32),
            "'=' is taken for the value of '--epochs', because there are spaces around it",
            "write '--epochs=' and the value without a space between them",
        ),
        (
            "--data-dir= x",
            {},
            (3, 17, 28),
            "the value of '--data-dir' is empty, because a space follows the '='",
            "write '--data-dir=' and the value without a space between them",
        ),
        (
            "-- data-dir x",
            {},
            (3, 17, 28),
            "'-- data-dir' is no option, but two words",
            "write '--data-dir'",
        ),
        (
            "python eval.py --lr 1 --x 2",
            {},
            (3, 17, 23),
            "'python eval.py' is passed to train.py as arguments, not run",
            "write '&&' before it; or begin the command with '|' in place of '>', one line for each command",
        ),
        (
            "-d x --model large --modell small",
            {},
            (3, 36, 44),
            "train.py has no option '--modell'",
            None,
        ),
        (
            "-d x --hlp",
            {},
            (3, 22, 27),
            "train.py has no option '--hlp'",
            None,
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
    hint: str | None,
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


GROUP = """\
import click

@click.group()
@click.option("--seed", type=int)
def cli(seed):
    pass

@cli.command()
@click.option("--rate", type=float, required=True)
def train(rate):
    pass

@cli.command()
@click.argument("file")
def show(file):
    pass

cli()
"""

SUBPARSERS = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
sub = parser.add_subparsers(dest="command", required=True)
p = sub.add_parser("train")
p.add_argument("--rate", type=float, required=True)
p = sub.add_parser("show")
p.add_argument("file")
parser.parse_args()
"""


@pytest.mark.parametrize("script", [GROUP, SUBPARSERS], ids=["click", "argparse"])
@pytest.mark.parametrize(
    ("arguments", "name", "message", "hint"),
    [
        (
            "trian --rate 1",
            "unknown-subcommand",
            "train.py has no subcommand 'trian'",
            "did you mean 'train'?",
        ),
        ("--seed 1 x", "unknown-subcommand", "train.py has no subcommand 'x'", "it has 'train' and 'show'"),
        (
            "--rate 1",
            "missing-argument",
            "train.py requires a subcommand before '--rate', which belongs to 'train'",
            "write 'train' before '--rate'",
        ),
        (
            "train --rate 1 --seed 3",
            "unknown-option",
            "train.py train has no option '--seed'",
            "write it before 'train'",
        ),
        (
            "train --rat-e 1 --rate 2",
            "unknown-option",
            "train.py train has no option '--rat-e'",
            "it has '--rate'",
        ),
        ("train --rate x", "refused-value", "'x' is refused: '--rate' of train.py train", None),
        ("--seed x show y", "refused-value", "'x' is refused: '--seed' of train.py (", None),
        ("train", "missing-option", "train.py train requires '--rate'", None),
        ("show", "missing-argument", "train.py show requires the argument 'file'", None),
        ("show a b", "unexpected-argument", "train.py show takes 1 argument besides its options", None),
        ("python show.py --rate 1", "unexpected-argument", "'python show.py' is passed to train.py", None),
        ("show a python show.py", "unexpected-argument", "'python show.py' is passed to train.py show", None),
        ("--seed 1 train --rate 1", None, "", None),
        ("show --help", None, "", None),
    ],
)
def test_subcommands_are_compared(
    tmp_path: Path, script: str, arguments: str, name: str | None, message: str, hint: str | None
) -> None:
    (tmp_path / "train.py").write_text(script)
    found = check(tmp_path, entry_point(f"python train.py {arguments}"))
    assert [problem.name for problem in found] == ([name] if name else [])
    for problem in found:
        assert problem.message.startswith(message)
        assert hint in (None, problem.hint)
    assert bool(_run(script, arguments.split())) is bool(name)


@pytest.mark.parametrize("script", [GROUP, SUBPARSERS], ids=["click", "argparse"])
@pytest.mark.parametrize(
    "arguments", ["{name} --x 1", "$NAME --x 1", "$MORE trian", "train $MORE", "--help trian"]
)
def test_what_may_be_a_subcommand_is_let_be(tmp_path: Path, script: str, arguments: str) -> None:
    (tmp_path / "train.py").write_text(script)
    assert not check(tmp_path, entry_point(f"python train.py {arguments}", {"name": ("string", None)}))


def test_a_subcommand_is_missed_where_it_is_required(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SUBPARSERS)
    (problem,) = check(tmp_path, entry_point("python train.py --seed 1"))
    assert problem.message == "train.py requires a subcommand, which the command does not pass"
    assert _run(SUBPARSERS, ["--seed", "1"])
    for optional in (")", ", required=needed())", ", required=True)\nsub.required = needed()"):
        (tmp_path / "train.py").write_text(SUBPARSERS.replace(", required=True)\np =", f"{optional}\np ="))
        assert not check(tmp_path, entry_point("python train.py --seed 1"))


@pytest.mark.parametrize(
    ("arguments", "kind", "is_told"),
    [
        ("--shuffle False", ("string", None), True),
        ("--shuffle=0", ("string", None), True),
        ("--shuffle True", ("string", None), False),
        ("--shuffle ''", ("string", None), False),
        ("--shuffle {v} --shuffle {v}", ("bool", "False"), True),
        ("--shuffle {v}", ("string", None), True),
        ("--shuffle $V", ("string", None), False),
        ("--shuffle", ("string", None), False),
    ],
)
def test_a_text_is_no_bool(
    tmp_path: Path, arguments: str, kind: tuple[str, str | None], is_told: bool
) -> None:
    declared = "parser.add_argument('--shuffle', type=bool, nargs='?', const=True, action='append')"
    (tmp_path / "train.py").write_text(
        f"import argparse\nparser = argparse.ArgumentParser()\n{declared}\nparser.parse_args()\n"
    )
    found = check(tmp_path, entry_point(f"python train.py {arguments}", {"v": kind}))
    assert [problem.name for problem in found] == ["bool-of-text"] * is_told


@pytest.mark.parametrize("is_click", [True, False], ids=["click", "argparse"])
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("{data}", "missing-argument"),
        ("{data} a b", "unexpected-argument"),
        ("{data} x", "refused-value"),
        ("{data} 3", None),
        ("{data} $MORE", None),
    ],
)
def test_a_placeholder_alone_is_one_argument(
    tmp_path: Path, is_click: bool, arguments: str, name: str | None
) -> None:
    (tmp_path / "train.py").write_text(
        "import click\n@click.command()\n@click.argument('data')\n@click.argument('n', type=int)\n"
        "def main(data, n): pass\nmain()\n"
        if is_click
        else "import argparse\nif __name__ == '__main__':\n    p = argparse.ArgumentParser()\n"
        "    p.add_argument('data')\n    p.add_argument('n', type=int)\n    p.parse_args()\n"
    )
    found = check(tmp_path, entry_point(f"python train.py {arguments}", {"data": ("string", None)}))
    assert [problem.name for problem in found] == ([name] if name else [])
    assert name != "missing-argument" or "'n'" in found[0].message


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
    "--alpha=",
    "alpha",
    "=",
    "=",
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
    "refused-value": ("Invalid value", "invalid int", "invalid float", "invalid choice"),
    "missing-value": ("requires an argument", "requires 2 arguments", "expected"),
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
        matching = {p.name for p in problems if any(part in complaint for part in _COMPLAINTS[p.name])}
        for name in matching:
            told[name] += 1
        if len(problems) == 1 and not problems[0].name.startswith("refused"):
            # Some of what else is wrong is not told, and a script complains of one thing only.
            assert matching or any(part in complaint for part in _UNTOLD), shown
    assert all(told.values()), told
