"""The JSON Schema says of the structure of a file what `validate` says."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from dioptra_cli.errors import Level
from dioptra_cli.mlproject import parameter_reader, reader
from dioptra_cli.mlproject.catalogue import BY_NAME, code_of, level_of
from dioptra_cli.validation.explanations import explanations
from dioptra_cli.validation.schema import EXPRESSED, schema
from dioptra_cli.validation.validate import Checker

VALIDATOR = Draft7Validator(schema())

GOOD = [
    "entry_points: {main: {command: echo}}",
    "entry_points: {main: {command: echo, parameters: {}}}",
    "{name: 5, description: what for, entry_points: {1: {command: echo, description: what for}}}",
    "entry_points: {main: {command: 'echo {x}', parameters: {x: float}}}",
    "entry_points: {main: {command: 'echo {x}', parameters: {x: {}}}}",
    "entry_points: {main: {command: 'echo {x}', parameters: {x: {type: int, default: 1, description: an x}}}}",
    "entry_points: {main: {command: 'echo {x}', parameters: {x: {default: 2024-01-31, choices: [2024-01-31]}}}}",
    "entry_points: {main: {command: 'echo {x}', parameters: {x: {default: null}}}}",
    "{python_env: python_env.yaml, entry_points: {main: {command: echo}}}",
    "{conda_env: conda.yaml, entry_points: {main: {command: echo}}}",
    "{conda_env: null, entry_points: {main: {command: echo}}}",
    "{docker_env: {image: i, volumes: ['/a:/b'], environment: [A, [B, c]]}, entry_points: {main: {command: echo}}}",
    "databricks_spark_job: {python_file: job.py, parameters: [a], python_libraries: [b]}",
    "{databricks_spark_job: {}, entry_points: {main: {command: 'echo {x}', parameters: {x: float}}}}",
]
"""Files in which no expressed check finds anything."""

_ENTRY = "entry_points: {main: {command: echo, %s}}"
_PARAMETER = "entry_points: {main: {command: 'echo {x}', parameters: {x: %s}}}"
_AND_ENTRY = "{%s, entry_points: {main: {command: echo}}}"

_JOB = "{databricks_spark_job: {}, entry_points: {main: {command: 'echo {x}', parameters: {x: %s}}}}"

BAD = [
    ("empty-file", "# nothing"),
    ("not-a-mapping", "[main]"),
    ("entry-points-not-a-mapping", "entry_points: [main]"),
    ("entry-point-not-a-mapping", "entry_points: {main: echo}"),
    ("parameters-not-a-mapping", _ENTRY % "parameters: [x]"),
    ("parameter-not-a-type", _PARAMETER % "[float]"),
    ("parameter-not-a-type", _PARAMETER % "null"),
    ("command-not-text", "entry_points: {main: {command: [echo]}}"),
    ("missing-command", "entry_points: {main: {parameters: {x: float}}}"),
    ("empty-command", "entry_points: {main: {command: ' '}}"),
    ("no-entry-points", "name: project"),
    ("no-entry-points", "entry_points: {}"),
    ("unknown-key", _AND_ENTRY % "entrypoints: {}"),
    ("unknown-key", _ENTRY % "image: x"),
    ("unknown-key", _PARAMETER % "{defualt: 1}"),
    ("nested-entry-point", _ENTRY % "test: {command: echo}"),
    ("misplaced-command", "entry_points: {command: echo}"),
    ("description-not-text", _AND_ENTRY % "description: [a]"),
    ("description-not-text", _ENTRY % "description: [a]"),
    ("description-not-text", _PARAMETER % "{description: [a]}"),
    ("choices-not-a-list", _PARAMETER % "{choices: a}"),
    ("choices-not-a-list", _PARAMETER % "{choices: []}"),
    ("choices-not-a-list", _PARAMETER % "{choices: [[a]]}"),
    ("lost-key", _ENTRY % "description:hello"),
    ("several-environments", _AND_ENTRY % "conda_env: conda.yaml, python_env: python_env.yaml"),
    ("environment-not-a-file", _AND_ENTRY % "conda_env: {name: x}"),
    ("environment-not-a-file", _AND_ENTRY % "python_env: [x]"),
    ("docker-not-a-mapping", _AND_ENTRY % "docker_env: python"),
    ("docker-without-image", _AND_ENTRY % "docker_env: {volumes: []}"),
    ("docker-without-image", _AND_ENTRY % "docker_env: {image: ''}"),
    ("docker-settings", _AND_ENTRY % "docker_env: {image: i, volumes: '/a:/b'}"),
    ("docker-settings", _AND_ENTRY % "docker_env: {image: i, volumes: [1]}"),
    ("docker-settings", _AND_ENTRY % "docker_env: {image: i, environment: {A: b}}"),
    ("docker-settings", _AND_ENTRY % "docker_env: {image: i, environment: [1]}"),
    ("databricks-settings", "databricks_spark_job: job.py"),
    ("databricks-settings", "databricks_spark_job: {}"),
    ("databricks-settings", _AND_ENTRY % "databricks_spark_job: {python_file: job.py}"),
    ("databricks-settings", _AND_ENTRY % "databricks_spark_job: {}, conda_env: conda.yaml"),
    ("databricks-settings", _JOB % "path"),
    ("databricks-settings", _JOB % "{type: path}"),
    ("unknown-type", _PARAMETER % "flaot"),
    ("unknown-type", _PARAMETER % "{type: flaot}"),
    ("lost-type", _PARAMETER % "{type:float}"),
    ("lost-type", _PARAMETER % "{float}"),
    ("lost-default", _PARAMETER % "{type: float, default:0.1}"),
    ("lost-default", _PARAMETER % "{type: float, 0.1}"),
    ("lost-default", _PARAMETER % "float 0.1"),
    ("compound-default", _PARAMETER % "{default: [1, 2]}"),
]
"""For each expressed check files in which it finds something."""


class Loader(yaml.SafeLoader):
    """Reads YAML as MLflow does, in the terms of JSON.

    JSON has no dates and no bytes: true stands for them, a single value that is no text either.
    """


Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda *_: True)
Loader.add_constructor("tag:yaml.org,2002:binary", lambda *_: True)


def instance(text: str) -> Any:
    """Return what a schema sees of a file."""
    return yaml.load(text, Loader)


def found(text: str) -> set[str]:
    """Return the names of what `validate` finds in a file; the files of the environments that it names exist."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "MLproject")
        file.write_text(text)
        for name in re.findall(r"(?:python|conda)_env\W+(\w[\w.-]*)", text):
            Path(directory, name).touch()
        return {problem.name for problem in Checker().check(str(file)).problems}


def disagreement(text: str) -> str | None:
    """Say how the schema and `validate` differ over a file; None if they agree, or if it cannot be read as YAML."""
    names = found(text)
    if any(
        code_of(name).startswith("DIO1") and level_of(name) is Level.ERROR for name in names - set(EXPRESSED)
    ):
        return None
    names &= set(EXPRESSED)
    errors = [error.message for error in VALIDATOR.iter_errors(instance(text))]
    if bool(names) == bool(errors):
        return None
    return f"validate finds {sorted(names)}, the schema {errors}"


def test_the_schema_is_one_of_its_draft() -> None:
    Draft7Validator.check_schema(schema())


def test_the_command_prints_it(dioptra: Any) -> None:
    called = dioptra("schema")
    assert (called.code, called.err) == (0, "")
    assert called.json == schema()


def test_it_has_the_keys_of_the_format() -> None:
    of = schema()
    assert set(of["properties"]) == set(reader.PROJECT_KEYS)
    assert set(of["definitions"]["entry_point"]["properties"]) == set(reader.ENTRY_POINT_KEYS)
    assert set(of["definitions"]["parameter"]["properties"]) == set(parameter_reader.PARAMETER_KEYS)


def test_each_expressed_check_has_an_example() -> None:
    assert {name for name, _ in BAD} == set(EXPRESSED)
    assert set(EXPRESSED) <= set(BY_NAME)


@pytest.mark.parametrize("text", GOOD)
def test_it_accepts_what_validate_accepts(text: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(instance(text))] == []
    assert found(text) & set(EXPRESSED) == set()


@pytest.mark.parametrize(("name", "text"), BAD)
def test_it_refuses_what_validate_finds(name: str, text: str) -> None:
    assert not VALIDATOR.is_valid(instance(text))
    assert name in found(text)


@pytest.mark.parametrize(
    "text",
    [text for explanation in explanations().values() for text in (explanation.bad, explanation.good)],
)
def test_it_agrees_over_the_explanations(text: str) -> None:
    assert disagreement(text) is None


VALUES = st.sampled_from(
    [None, "", " ", "float", "path", "text", True, False, 0, 1.5, [], ["a"], {}, {"a": 1}]
)
PARAMETER = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("type", "default", "description", "choices", "defualt"), VALUES)
)
ENTRY_POINT = st.fixed_dictionaries(
    {"command": st.just("echo") | VALUES},
    optional={
        "parameters": VALUES | st.dictionaries(st.just("x"), VALUES | PARAMETER),
        "description": VALUES,
        "test": VALUES,
    },
)
# MLflow passes over whatever Python takes for false here; the schema, over null and an empty text alone.
FILE = st.sampled_from([None, "", "text", True, 1.5, ["a"], {"a": 1}])
SETTING = st.sampled_from([None, "text", True, [], ["a"], [["a", "b"]], [1], {"a": 1}])
DOCKER = st.fixed_dictionaries(
    {}, optional={"image": st.sampled_from([None, "", "text"]), "volumes": SETTING, "environment": SETTING}
).filter(bool)
JOB = st.fixed_dictionaries({}, optional={"python_file": VALUES})
PROJECT = VALUES | st.fixed_dictionaries(
    {"entry_points": VALUES | st.dictionaries(st.sampled_from(["main", "command"]), VALUES | ENTRY_POINT)},
    optional={
        "name": VALUES,
        "conda_env": FILE,
        "python_env": FILE,
        "docker_env": st.sampled_from([None, "text", True, ["a"], {"a": 1}]) | DOCKER,
        "databricks_spark_job": VALUES | JOB,
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROJECT)
def test_it_agrees_over_any_file(project: Any) -> None:
    text = yaml.safe_dump(project)
    assert disagreement(text) is None, text
