"""Reading MLproject files: what is accepted, what it is read to, and how each defect is reported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dioptra_cli.errors import Level, Problem, UsageError
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.model import Project


def write(directory: Path, text: str | bytes, name: str = "MLproject") -> str:
    data = text if isinstance(text, bytes) else text.encode()
    (directory / name).write_bytes(data)
    return str(directory)


def load(directory: Path, text: str | bytes) -> Project:
    loaded = loader.load(write(directory, text))
    assert loaded.project is not None, [str(p) for p in loaded.problems]
    return loaded.project


def problems(directory: Path, text: str | bytes) -> list[Problem]:
    return list(loader.load(write(directory, text)).problems)


def only(found: list[Problem], code: str) -> Problem:
    matching = [p for p in found if p.name == code]
    assert len(matching) == 1, [str(p) for p in found]
    return matching[0]


EXAMPLE = """\
name: My Project
entry_points:
  train:
    description: Trains
      a model
    parameters:
      data_dir: { type: path, default: "/nfs/data" }
      image_size: { type: string, default: "28,28,1" }
      epochs: float
      seed:
        type: float
        default: -1
      optimizer: {type: string, default: adam, choices: [adam, sgd], description: How to descend}
    command: >
      python src/train.py --data-dir {data_dir} --image-size {image_size}
      --epochs {epochs} --seed {seed}
  infer:
    command: "python infer.py"
"""


def test_both_syntaxes_are_read(tmp_path: Path) -> None:
    project = load(tmp_path, EXAMPLE)
    assert project.name == "My Project"
    assert list(project.entry_points) == ["train", "infer"]
    train = project.entry_points["train"]
    read = [(p.name, p.type, p.default, p.required) for p in train.parameters.values()]
    assert read == [
        ("data_dir", "path", "/nfs/data", False),
        ("image_size", "string", "28,28,1", False),
        ("epochs", "float", None, True),
        ("seed", "float", "-1", False),
        ("optimizer", "string", "adam", False),
    ]
    assert train.parameters["optimizer"].choices == ("adam", "sgd")
    assert train.parameters["optimizer"].description == "How to descend"
    assert train.description == "Trains a model"
    assert train.command == (
        "python src/train.py --data-dir {data_dir} --image-size {image_size} --epochs {epochs} --seed {seed}\n"
    )
    location = train.parameters["seed"].location
    assert (location.line, location.column) == (10, 7)
    default = train.parameters["seed"].default_location
    assert default is not None
    assert (default.line, default.column) == (12, 18)
    assert not project.entry_points["infer"].parameters


@pytest.mark.parametrize(
    ("yaml_value", "text"),
    [
        ("-1", "-1"),
        ("0.10", "0.1"),
        ("yes", "True"),
        ("010", "8"),
        ("12:30", "750"),
        ("1e-3", "1e-3"),
        ("''", ""),
        ("'null'", "null"),
        ("[1, 2]", "[1, 2]"),
        ("{a: 1}", "{'a': 1}"),
        ("2020-01-02", "2020-01-02"),
        (".inf", "inf"),
        ('"a\\nb"', "a\nb"),
    ],
)
def test_a_default_is_rendered_as_mlflow_does(tmp_path: Path, yaml_value: str, text: str) -> None:
    declared = f"a: {{type: string, default: {yaml_value}}}"
    source = f"entry_points:\n  main:\n    parameters:\n      {declared}\n    command: x {{a}}\n"
    assert load(tmp_path, source).entry_points["main"].parameters["a"].default == text
    assert str(yaml.safe_load(source)["entry_points"]["main"]["parameters"]["a"]["default"]) == text


@pytest.mark.parametrize("value", ["null", "~", ""])
def test_a_null_default_means_required(tmp_path: Path, value: str) -> None:
    source = f"entry_points:\n  main:\n    parameters:\n      a:\n        default: {value}\n    command: x\n"
    parameter = load(tmp_path, source).entry_points["main"].parameters["a"]
    assert parameter.required
    assert parameter.type == "string"


REJECTED: dict[str, tuple[str | bytes, int]] = {
    "unclosed brace": ("entry_points: {main: {command: x}\n", 2),
    "tabs": ("entry_points:\n\tmain:\n", 2),
    "entry points a list": ("entry_points:\n  - main\n", 2),
    "entry points null": ("name: x\nentry_points:\n", 2),
    "entry point a text": ("entry_points:\n  main: echo\n", 2),
    "entry point null": ("entry_points:\n  main:\n", 2),
    "parameters a list": ("entry_points:\n  main:\n    parameters: [a]\n    command: x\n", 3),
    "parameters null": ("entry_points:\n  main:\n    parameters:\n    command: x\n", 3),
    "parameter null": ("entry_points:\n  main:\n    parameters:\n      a:\n    command: x\n", 4),
    "parameter a number": ("entry_points:\n  main:\n    parameters:\n      a: 5\n    command: x\n", 4),
    "empty": ("", 1),
    "comments only": ("# nothing\n", 1),
    "a list": ("- a\n", 1),
    "a scalar": ("hello\n", 1),
    "two documents": ("a: 1\n---\nb: 2\n", 2),
    "a python tag": ("entry_points:\n  main: {command: x}\nz: !!python/object/apply:os.getcwd []\n", 3),
    "two environments": ("conda_env: c.yaml\npython_env: p.yaml\nentry_points: {}\n", 2),
    "missing environment file": ("python_env: none.yaml\nentry_points: {}\n", 1),
    "docker without image": ("docker_env: {volumes: [a]}\nentry_points: {}\n", 1),
    "docker volumes a text": ("docker_env: {image: i, volumes: a}\nentry_points: {}\n", 1),
    "no such date": ("entry_points:\n  main: {parameters: {a: {default: 2021-02-30}}, command: x}\n", 2),
    "no integer": ("entry_points: {}\nx: !!int abc\n", 2),
    "comment behind a block sign": ("entry_points: {}\nx: >#c\n  a\n", 2),
    "unhashable key": ("? [a]\n: b\nentry_points: {}\n", 1),
    "latin-1": ("entry_points: {}\nname: caf\xe9\n".encode("latin-1"), 2),
    "databricks a text": ("databricks_spark_job: x\nentry_points: {}\n", 1),
    "databricks with both": (
        "databricks_spark_job: {python_file: x}\nentry_points: {main: {command: x}}\n",
        1,
    ),
}


@pytest.mark.parametrize("defect", REJECTED)
def test_what_mlflow_rejects_is_an_error_with_its_line(tmp_path: Path, defect: str) -> None:
    source, line = REJECTED[defect]
    loaded = loader.load(write(tmp_path, source))
    assert loaded.project is None
    errors = [p for p in loaded.problems if p.level is Level.ERROR]
    assert errors
    location = errors[-1].location
    assert location is not None
    assert location.path == str(tmp_path / "MLproject")
    assert location.line is not None
    assert abs(location.line - line) <= 1, str(errors[-1])


ACCEPTED: dict[str, str | bytes] = {
    "bom": b"\xef\xbb\xbfentry_points:\n  main: {command: x}\n",
    "crlf": b"entry_points:\r\n  main:\r\n    command: x\r\n",
    "anchors": "x: &p {a: {type: float, default: 1}}\nentry_points:\n  main: {parameters: *p, command: x}\n",
    "merge keys": "x: &p {a: float}\nentry_points:\n  main:\n    parameters:\n      <<: *p\n      b: string\n"
    "    command: x\n",
    "no entry points": "name: x\n",
    "command a list": "entry_points:\n  main: {command: [a, b]}\n",
    "no command": "entry_points:\n  main: {parameters: {a: float}}\n",
    "unknown type": "entry_points:\n  main: {parameters: {a: flaot}, command: x}\n",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_mlflow_accepts_is_read(tmp_path: Path, case: str) -> None:
    load(tmp_path, ACCEPTED[case])


def test_merged_parameters_are_there(tmp_path: Path) -> None:
    project = load(tmp_path, ACCEPTED["merge keys"])
    assert set(project.entry_points["main"].parameters) == {"a", "b"}


@pytest.mark.parametrize(
    ("source", "code", "place", "hint"),
    [
        ("entry_point:\n  main: {command: x}\n", "unknown-key", (1, 1), "'entry_points'"),
        (
            "entry_points:\n  main:\n    paramters: {}\n    command: x\n",
            "unknown-key",
            (3, 5),
            "'parameters'",
        ),
        ("entry_points:\n  main:\n    comand: x\n", "missing-command", (3, 5), "'command'"),
        ("entry_points:\n  main:\n    description: x\n", "missing-command", (2, 3), "add"),
        ("entrypoints:\n  main: {command: x}\n", "unknown-key", (1, 1), "'entry_points'"),
        ("entry_points:\nmain: {command: x}\n", "entry-points-not-a-mapping", (1, 1), "indent 'main'"),
        ("main: {command: x}\n", "unknown-key", (1, 1), "below 'entry_points'"),
        (
            "entry_points:\n  main:\n    parameters:\n      a: float\n      command: echo {a}\n",
            "misplaced-command",
            (5, 7),
            "like 'parameters'",
        ),
        (
            "entry_points:\n  main:\n    parameters:\n      a:\n      type: float\n      default: 1\n",
            "parameter-not-a-type",
            (5, 7),
            "'type' and 'default' deeper than 'a'",
        ),
        (
            "entry_points:\n  main: {parameters: {a: {float: 1}}, command: x}\n",
            "lost-type",
            (2, 27),
            "type: float",
        ),
        (
            "entry_points:\n  main:\n    parameters:\n      a {type: float}\n    command: x\n",
            "lost-key",
            (4, 7),
            "a: {",
        ),
        (
            "docker_env: {image: x, volume: [y]}\nentry_points: {m: {command: x}}\n",
            "unknown-key",
            (1, 24),
            "volumes",
        ),
        (
            "entry_points:\n  main:\n    parameters:\n      a: {type: float, defualt: 1}\n    command: x\n",
            "unknown-key",
            (4, 24),
            "'default'",
        ),
        (
            "entry_points:\n  main:\n    parameters:\n      a: {type: float, default:0.1}\n    command: x\n",
            "lost-default",
            (4, 24),
            "'default: 0.1'",
        ),
        (
            "entry_points:\n  main:\n    parameters:\n      a: {type: float, default 1}\n    command: x\n",
            "lost-default",
            (4, 24),
            "'default: 1'",
        ),
        ("entry_points:\n  main: {parameters: {a: flaot}, command: x}\n", "unknown-type", (2, 26), "'float'"),
        ("entry_points:\n  main: {parameters: {a: int}, command: x}\n", "non-portable-type", (2, 26), None),
        ("entry_points:\n  main: {command: 5}\n", "command-not-text", (2, 19), "quotes"),
        ("entry_points:\n  main: {command: x}\n  main: {command: y}\n", "duplicate-key", (3, 3), None),
        (
            "entry_points:\n  main:\n    parameters:\n      a: {default: yes}\n    command: x\n",
            "yaml-changes-value",
            (4, 20),
            "quotes",
        ),
        ("entry_points:\n  on: {command: x}\n", "key-is-not-text", (2, 3), "quotes"),
    ],
)
def test_defects_that_mlflow_accepts_are_reported(
    tmp_path: Path, source: str, code: str, place: tuple[int, int], hint: str | None
) -> None:
    problem = only(problems(tmp_path, source), code)
    assert problem.location is not None
    assert (problem.location.line, problem.location.column) == place
    if hint is not None:
        assert hint in (problem.hint or "")


def test_a_billion_laughs_default_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    lines += ["entry_points:", "  main:", "    parameters:", "      p: {default: *a11}", "    command: x"]
    assert only(problems(tmp_path, "\n".join(lines)), "value-too-large")


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000, "? " * 100_000])
def test_deep_nesting_is_reported_and_does_not_crash(tmp_path: Path, text: str) -> None:
    assert only(problems(tmp_path, text), "nested-too-deeply")


def test_the_file_is_found_in_any_letter_case(tmp_path: Path) -> None:
    write(tmp_path, EXAMPLE, name="mlPROJECT")
    assert loader.find_file(str(tmp_path)) == "mlPROJECT"
    write(tmp_path, EXAMPLE, name="MLproject")
    assert loader.find_file(str(tmp_path)) == "MLproject"


def test_the_file_itself_is_a_target(tmp_path: Path) -> None:
    loaded = loader.load(os.path.join(write(tmp_path, EXAMPLE), "MLproject"))
    assert loaded.project is not None
    assert loaded.project.directory == str(tmp_path)


def test_a_directory_without_a_file_says_so_and_names_the_near_miss(tmp_path: Path) -> None:
    write(tmp_path, EXAMPLE, name="MLproject.yaml")
    found = list(loader.load(str(tmp_path)).problems)
    assert "'MLproject.yaml' is not read" in (only(found, "no-mlproject-file").hint or "")


def test_a_missing_directory_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no project directory or file"):
        loader.load(str(tmp_path / "none"))


def test_a_script_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "a project" / "src"
    inner.mkdir(parents=True)
    (inner / "train.py").touch()
    monkeypatch.chdir(tmp_path)

    def hint(target: str) -> str | None:
        with pytest.raises(UsageError, match=f"'{target}' is a script, and no MLproject file") as caught:
            loader.load(target)
        return caught.value.problems[0].hint

    assert hint("a project/src/train.py") == "to run it: dioptra run 'a project/src' -e train.py"
    (inner.parent / "MLproject").touch()
    assert hint("a project/src/train.py") == "to run it: dioptra run 'a project' -e src/train.py"
    monkeypatch.chdir(inner.parent)
    (inner.parent / "go.sh").touch()
    assert hint("go.sh") == "to run it: dioptra run . -e go.sh"


@pytest.mark.parametrize(
    "command",
    [
        '"python a.py\n        --x {x}  {bad}"',
        "'it''s\n        {x}  {bad}'",
        "python a.py\n        --x {x} {bad}",
        ">-\n      python a.py\n      --x {x}\n\n        {bad}",
        "|2\n      python a.py \\\n        --x {x} {bad}",
        '"\\x41\\ttab\\n \\u00e9 {x} {bad}"',
    ],
)
def test_offsets_in_commands_map_to_places_in_the_file(tmp_path: Path, command: str) -> None:
    source = f"entry_points:\n  main:\n    command: {command}\n"
    entry_point = load(tmp_path, source).entry_points["main"]
    assert entry_point.command is not None
    place = entry_point.locate(entry_point.command.index("{bad}"))
    before = source[: source.index("{bad}")]
    assert (place.line, place.column) == (before.count("\n") + 1, len(before) - before.rfind("\n"))


YAMLISH = st.lists(
    st.sampled_from(
        [
            "entry_points:",
            "\n",
            "  ",
            "main:",
            " ",
            "command: ",
            "parameters:",
            "a",
            ":",
            "{",
            "}",
            "[",
            "]",
            ",",
        ]
        + [
            "'",
            '"',
            "|",
            ">",
            "-",
            "#",
            "&x",
            "*x",
            "!!str",
            "!!int ",
            "2021-02-30",
            "<<",
            "null",
            "type: ",
            "default: ",
            "float",
            "?",
        ]
        + ["\t", "\\", "é", "yes", "1", "0.10", "docker_env: ", "image: ", "%", "@", "`", "---", "..."]
    ),
    max_size=40,
).map("".join)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(source=YAMLISH | st.text(max_size=60))
def test_any_text_is_read_or_reported_and_never_more_is_accepted_than_yaml(
    tmp_path: Path, source: str
) -> None:
    loaded = loader.load(write(tmp_path, source.encode("utf-8", "surrogatepass")))
    if loaded.project is None:
        assert any(p.level is Level.ERROR for p in loaded.problems)
        assert all(str(p) for p in loaded.problems)
    else:
        assert isinstance(yaml.safe_load(source.removeprefix("\ufeff")), dict)


def test_values_of_a_parameters_file_are_taken_as_written(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("lr: 0.10\nflag: yes\nname: 'a b'\nnothing: null\nempty: ''\n")
    values, found = loader.load_values(str(path))
    assert not found
    assert {name: text for name, (text, _) in values.items()} == {
        "lr": "0.10",
        "flag": "yes",
        "name": "a b",
        "empty": "",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1]\n", "single value"),
        ("a: 1\na: 2\n", "twice"),
        ("- a\n", "mapping"),
        ("a: {", "is not closed"),
    ],
)
def test_a_bad_parameters_file_is_reported(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(text)
    _, found = loader.load_values(str(path))
    assert expected in str(found[0])
    assert str(path) in str(found[0])


def test_a_missing_parameters_file_is_reported(tmp_path: Path) -> None:
    _, found = loader.load_values(str(tmp_path / "none.yaml"))
    assert "No such file" in str(found[0])
