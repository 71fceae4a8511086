"""The generated scripts: valid Python for any name and text, laid out as the formatter leaves it."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra_cli.errors import Location
from dioptra_cli.mlproject.model import EntryPoint, Parameter
from dioptra_cli.scaffold import commands, names, project, script

NOWHERE = Location("MLproject")
LONG = "a-very-long-parameter-name-that-alone-takes-more-than-half-of-a-line"
ODD_NAMES = (
    "data-dir",
    "data_dir",
    "class",
    "lambda",
    "print",
    "l",
    "O",
    "I",
    "flow",
    "state",
    "rng",
    "dict",
    "os",
    "__debug__",
    "3d",
    "日本",
    "ﬁt",
    "é",
    "e\u0301",
    "self",
    "_",
    "entry_point_seed",
)
ODD_TEXTS = (
    'say "hi"',
    "it's",
    """both ' and " """,
    "back\\slash",
    'ends in "',
    '"""',
    "tab\there",
    "line\nbreak",
    "日本",
    "{x} %s ${y}",
    "bell \x07, del \x7f, bidi \u202e, \udc80",
    "word " * 40,
)


def entry_point(name: str, *parameters: Parameter, command: str | None = None, about: str = "") -> EntryPoint:
    declared = {parameter.name: parameter for parameter in parameters}
    return EntryPoint(name, declared, command, NOWHERE, lambda _: NOWHERE, about or None)


def parameter(name: str, declared: str = "string", default: str | None = None, **more: Any) -> Parameter:
    return Parameter(name, declared, default, NOWHERE, **more)


def decorators(entry: EntryPoint) -> dict[str, str]:
    """Return the decorator of each parameter of the generated script, as one line."""
    tree = ast.parse(script.render(entry))
    (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.decorator_list)
    found = [ast.unparse(node) for node in function.decorator_list[1:]]
    return dict(zip([a.arg for a in function.args.args], found, strict=True))


def click_command(text: str, name: str) -> click.Command:
    """Return the command of a script, without the imports that only a child has."""
    tree = ast.parse(text)
    tree.body = [
        node
        for node in tree.body
        if not isinstance(node, ast.If | ast.Assign | ast.AnnAssign)
        and not (isinstance(node, ast.ImportFrom) and node.module != "typing")
        and not (isinstance(node, ast.Import) and node.names[0].name not in ("os", "click"))
    ]
    space: dict[str, Any] = {"Flow": object, "mlflow": None}
    exec(compile(tree, "script", "exec"), space)
    found = space[name]
    assert isinstance(found, click.Command)
    return found


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (
            parameter("data_dir", "path", "/nfs/data"),
            (
                "type=click.Path(exists=True, file_okay=False, dir_okay=True, resolve_path=True, readable=True), "
                "default='/nfs/data', show_default=True"
            ),
        ),
        (
            parameter("weights", "path"),
            "type=click.Path(exists=True, resolve_path=True, readable=True), required=True",
        ),
        (parameter("seed", "float", "-1"), "type=click.INT, default=-1, show_default=True"),
        (parameter("seed", "float"), "type=click.INT, required=True"),
        (parameter("epochs", "float", "030"), "type=click.INT, default=30, show_default=True"),
        (parameter("rate", "float", ".5"), "type=click.FLOAT, default=0.5, show_default=True"),
        (parameter("rate", "float", "1e-3"), "type=click.FLOAT, default=0.001, show_default=True"),
        (parameter("rate", "float", "-inf"), "type=click.FLOAT, default='-inf', show_default=True"),
        (parameter("rate", "float"), "type=click.FLOAT, required=True"),
        (parameter("n", "int", "+5"), "type=click.INT, default=5, show_default=True"),
        (parameter("n", "integer"), "type=click.INT, required=True"),
        (parameter("x", "double", "0.5"), "type=click.FLOAT, default=0.5, show_default=True"),
        (parameter("on", "bool", "False"), "type=click.BOOL, default=False, show_default=True"),
        (parameter("on", "boolean", "yes"), "type=click.BOOL, default=True, show_default=True"),
        (parameter("s", "str", ""), "type=click.STRING, default='', show_default=True"),
        (parameter("u", "uri", "s3://b/k"), "type=click.STRING, default='s3://b/k', show_default=True"),
        (
            parameter("size", "string", "28, 28,1"),
            "type=click.STRING, callback=_coerce_comma_separated_ints, default='28, 28,1', show_default=True",
        ),
        (
            parameter("opt", "string", "sgd", choices=("adam", "sgd"), description="Which"),
            "type=click.Choice(['adam', 'sgd']), default='sgd', show_default=True, help='Which'",
        ),
        (
            parameter("n", "float", "16", choices=("16", "32")),
            "type=click.Choice(['16', '32']), callback=_coerce_int, default='16', show_default=True",
        ),
    ],
    ids=lambda value: f"{value.name}-{value.type}-{value.default}" if isinstance(value, Parameter) else "",
)
def test_a_parameter_becomes_a_fitting_option(declared: Parameter, expected: str) -> None:
    flag = "-" * 2 + declared.name.replace("_", "-")
    assert decorators(entry_point("train", declared))[declared.name] == f"click.option('{flag}', {expected})"


def test_options_are_called_as_the_command_calls_them() -> None:
    command = (
        "PYTHONPATH=src python -u src/train.py {data} --learning_rate={rate} -n {epochs} --fast --mode slow "
        "--tag run#{tag} | tee {log}"
    )
    entry = entry_point(
        "train", *(parameter(n) for n in ("rate", "epochs", "tag", "data", "log")), command=command
    )
    found = decorators(entry)
    assert [line.split(", type")[0] for line in found.values()] == [
        "click.option('--learning_rate', 'rate'",
        "click.option('-n', 'epochs'",
        "click.option('--tag'",
        "click.option('--log'",
        "click.argument('data'",
    ]
    assert commands.read(command).others == ("--fast", "--mode")


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("python src/train.py --a {a}", "src/train.py"),
        ("python3.11 -u train.py", "train.py"),
        ("./train.py {a}", "./train.py"),
        ("mkdir -p out && python 'my script.py'", "my script.py"),
        ("cd src && python train.py", None),
        ("python -m package.train", None),
        ("python {a}.py", None),
        ("cat train.py", None),
        ("bash train.sh", None),
        ("python 'unbalanced.py", None),
    ],
)
def test_the_script_of_a_command(command: str, file: str | None) -> None:
    assert commands.read(command).script == file


def test_the_values_arrive_as_python_values() -> None:
    entry = entry_point(
        "train",
        parameter("size", default="28,28,1"),
        parameter("n", "float", "16", choices=("16", "32")),
        parameter("rate", "float", "1e400"),
        parameter("on", "bool", "no"),
    )
    text = script.render(entry).replace(
        "with mlflow.start_run() as active_run:", "if True:\n        return locals()"
    )
    command = click_command(text, "train")
    result = CliRunner().invoke(command, ["--n", "32", "--size", "1,2"], standalone_mode=False)
    assert result.return_value == {"size": (1, 2), "n": 32, "rate": float("inf"), "on": False}


def test_two_names_that_would_be_one_identifier_stay_apart() -> None:
    entry = entry_point("train", parameter("data-dir"), parameter("data_dir"), parameter("data dir"))
    found = decorators(entry)
    assert list(found) == ["data_dir", "data_dir_2", "data_dir_3"]
    flags = [line.split("'")[1] for line in found.values()]
    assert flags == ["--data-dir", "--data_dir", "--data_dir_3"]


def _odd_entry_points() -> list[EntryPoint]:
    odd = [parameter(name, description=text) for name, text in zip(ODD_NAMES, ODD_TEXTS * 2, strict=False)]
    return [
        entry_point("fgm-attack v2", *odd, about=ODD_TEXTS[0]),
        entry_point("class"),
        entry_point("print", parameter("print")),
        entry_point("", parameter("seed", "float", "0"), parameter("entry_point_seed")),
        entry_point(LONG, parameter(LONG, "path"), parameter(LONG + "-dir", "path", LONG)),
        entry_point(
            "choices",
            *(parameter(n, choices=c) for n, c in (("a", ("x", "y")), (LONG, ODD_TEXTS), ("j", ("日本",)))),
        ),
        *(entry_point(text, parameter("a", default=text), about=text) for text in ODD_TEXTS),
        *(entry_point(name, parameter(name)) for name in (*keyword.kwlist, *keyword.softkwlist)),
        *(entry_point(name, parameter(name, "float", "1")) for name in sorted(names.IN_USE)),
    ]


def test_ruff_has_nothing_to_say_with_its_own_settings(tmp_path: Path) -> None:
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    for number, entry in enumerate(_odd_entry_points()):
        (tmp_path / f"script_{number}.py").write_text(script.render(entry))
    for name in ("digits", "日本", LONG, "import"):
        for path, text in project.render(name).items():
            if path.endswith(".py"):
                file = tmp_path / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    for arguments in (
        ["check", "--target-version", "py39"],
        ["check", "--select", "E4,E7,E9,F"],  # what older releases check
        ["format", "--check", "--diff"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--isolated", "--no-cache", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


TEXT = st.text(max_size=12)


@given(
    name=TEXT,
    parameters=st.dictionaries(TEXT, st.tuples(TEXT, TEXT, st.lists(TEXT, max_size=3)), max_size=5),
    about=TEXT,
)
@settings(max_examples=150, deadline=None)
def test_any_text_gives_a_valid_script(
    name: str, parameters: dict[str, tuple[str, str, list[str]]], about: str
) -> None:
    declared = [
        parameter(key, default=default, description=text, choices=tuple(choices))
        for key, (default, text, choices) in parameters.items()
    ]
    tree = ast.parse(script.render(entry_point(name, *declared, about=about)), feature_version=(3, 9))
    compile(tree, "script", "exec")
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for one in declared:
        assert one.default in texts or script._INTEGERS.fullmatch(one.default or "")
        assert not one.description or one.description in texts
    (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.decorator_list)
    assert len({argument.arg for argument in function.args.args}) == len(declared)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_a_literal_reads_as_the_text(text: str) -> None:
    assert ast.literal_eval(names.literal(text)) == text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("data-dir", "data_dir"),
        ("fgm-attack v2", "fgm_attack_v2"),
        ("class", "class_"),
        ("__debug__", "__debug___"),
        ("3d", "_3d"),
        ("l", "l_"),
        ("mlflow", "mlflow_"),
        ("ﬁt", "fit"),
        ("日本", "日本"),
        ("-", "value"),
        ("", "value"),
        ("__x", "__x"),
        ("a" * 50, "a" * 40),
        ("日" * 50, "日" * 20),
    ],
)
def test_identifiers(name: str, expected: str) -> None:
    assert names.identifier(name) == expected


def test_a_file_hides_no_module() -> None:
    assert [names.file_stem(n) for n in ("train", "random", "click", "prefect", "numpy")] == [
        "train",
        "random_",
        "click_",
        "prefect_",
        "numpy_",
    ]
