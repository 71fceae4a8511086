"""The JSON Schema of MLproject files, for editors: what `validate` says of the structure, while one types.

It covers the checks of `EXPRESSED` and says what `validate` says of them; a schema cannot know the rest. Nothing but
`dioptra schema` imports it.
"""

from __future__ import annotations

from typing import Any

from dioptra_cli.mlproject.environment_reader import ENVIRONMENTS
from dioptra_cli.mlproject.model import EXTRA_TYPES, STANDARD_TYPES

EXPRESSED = (
    "empty-file",
    "not-a-mapping",
    "entry-points-not-a-mapping",
    "entry-point-not-a-mapping",
    "parameters-not-a-mapping",
    "parameter-not-a-type",
    "command-not-text",
    "missing-command",
    "empty-command",
    "no-entry-points",
    "unknown-key",
    "nested-entry-point",
    "misplaced-command",
    "description-not-text",
    "choices-not-a-list",
    "lost-key",
    "several-environments",
    "environment-not-a-file",
    "docker-not-a-mapping",
    "docker-without-image",
    "docker-settings",
    "databricks-settings",
    "unknown-type",
    "lost-type",
    "lost-default",
    "compound-default",
)
"""The names of the checks that the schema expresses.

A file that YAML can read violates the schema exactly if `validate` finds one of these in it. Not among them is what
asks for another file (`no-environment-file`), for more than the shape of a value (`wrong-default`), for the text
behind it (`duplicate-key`), or what a command means; nor is what `validate` only remarks on (`non-portable-type`).

One difference is deliberate: in the place of an environment, or of its settings, MLflow passes over whatever Python
takes for false (`conda_env: []`, `docker_env: {}`), and so does `validate`; the schema takes null, or a file, only.
"""

_Schema = dict[str, Any]

_MEANINGS = {
    "string": "Any text; it reaches the command as it is.",
    "float": "A number, such as 32, 0.5 or 1e-3; it reaches the command as it is written.",
    "path": "A file or directory that exists; the command gets its absolute path. A remote one is downloaded first.",
    "uri": "A URI, which reaches the command as it is, or a path, which becomes absolute and need not exist.",
}

_TYPES = f"The types are {', '.join(STANDARD_TYPES[:-1])} and {STANDARD_TYPES[-1]}."
_WITH_ENTRY_POINTS = {"required": ["entry_points"], "properties": {"entry_points": {"minProperties": 1}}}
_SCALAR = ["string", "number", "boolean", "null"]


def schema() -> _Schema:
    """Return the schema, of draft 7: the latest that YAML language servers read throughout.

    Beside the keywords of the draft it has those that editors know: `errorMessage`, `patternErrorMessage`,
    `enumDescriptions` and `defaultSnippets`. Other programs pass over them.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "MLproject",
        "description": "An MLflow project: entry points, which are commands with parameters, and their environment.",
        "type": "object",
        "properties": {
            "name": {
                "type": _SCALAR,
                "description": "The name of the project; that of its directory by default.",
                "examples": ["My Project"],
            },
            "description": _text("What the project is for."),
            "entry_points": _entry_points(),
            "python_env": _file(
                "The file of a virtual environment and its Python version.", "python_env.yaml"
            ),
            "conda_env": _file("The file of a conda environment.", "conda.yaml"),
            "docker_env": _docker_env(),
            "databricks_spark_job": _databricks_spark_job(),
        },
        "additionalProperties": False,
        "dependencies": {kind: _without_other_environments(kind) for kind in ENVIRONMENTS},
        "if": {"required": ["databricks_spark_job"]},
        "then": _with_databricks_spark_job(),
        "else": _WITH_ENTRY_POINTS,
        "definitions": {"entry_point": _entry_point(), "parameter": _parameter()},
    }


def _text(description: str) -> _Schema:
    return {"description": description, "type": _SCALAR}


def _entry_points() -> _Schema:
    return {
        "description": "The commands that can be run, by name. main is run where no name is given.",
        "type": "object",
        "additionalProperties": {"$ref": "#/definitions/entry_point"},
        "defaultSnippets": [
            {
                "label": "entry point",
                "description": "A command with one parameter",
                "body": {
                    "${1:main}": {
                        "parameters": {"${2:epochs}": "${3:float}"},
                        "command": "${4:python train.py --epochs {epochs\\}}",
                    }
                },
            }
        ],
    }


def _entry_point() -> _Schema:
    return {
        "title": "entry point",
        "description": "A command and its parameters.",
        "type": "object",
        "properties": {
            "description": _text("What the entry point does, for listings and help."),
            "parameters": {
                "description": "The parameters by name: each a type, or a mapping with a default and more.",
                "type": "object",
                "additionalProperties": {"$ref": "#/definitions/parameter"},
                "defaultSnippets": [
                    {"label": "a required parameter", "body": {"${1:epochs}": "${2:float}"}},
                    {
                        "label": "a parameter with a default",
                        "body": {"${1:epochs}": {"type": "${2:float}", "default": "${3:10}"}},
                    },
                ],
            },
            "command": {
                "description": (
                    "What bash runs in the directory of the project. {name} stands for the value of a parameter, one "
                    "word wherever it is written; literal braces are written twice."
                ),
                "type": "string",
                "pattern": r"\S",
                "patternErrorMessage": "The command is empty.",
                "examples": ["python train.py --epochs {epochs}"],
            },
        },
        "required": ["command"],
        "additionalProperties": False,
    }


def _type() -> _Schema:
    others = "Not one of the four types of the format: other tools take it as text."
    return {
        "description": "The type of the parameter.",
        "enum": [*STANDARD_TYPES, *EXTRA_TYPES],
        "errorMessage": _TYPES,
        "enumDescriptions": [*(_MEANINGS[name] for name in STANDARD_TYPES), *(others for _ in EXTRA_TYPES)],
    }


def _parameter() -> _Schema:
    return {
        "title": "parameter",
        "description": "A type, or a mapping of type, default, description and choices.",
        # Not the keys as a third branch: an editor would have to guess whose errors to show.
        "anyOf": [_type(), {"type": "object", "errorMessage": _TYPES}],
        "properties": {
            "type": _type(),
            "default": {
                "description": "The value where none is given; without one, or with null, a value is required.",
                "type": _SCALAR,
            },
            "description": _text("What the parameter is for, for listings and help."),
            "choices": {
                "description": "The values that are allowed.",
                "type": "array",
                "items": {"type": _SCALAR},
                "minItems": 1,
                "examples": [["adam", "sgd"]],
            },
        },
        "additionalProperties": False,
        # Language servers pass over an unknown key without a value, which is what `{default:0.1}` and `{float}` are.
        "propertyNames": {
            "type": "string",
            "pattern": f"^(?!({'|'.join((*STANDARD_TYPES, *EXTRA_TYPES))})$)[a-z<]+$",
            "errorMessage": "This is no key: write 'default: 0.1', with the key, a colon and a blank.",
        },
    }


def _file(description: str, name: str) -> _Schema:
    return {"description": description, "type": ["string", "null"], "examples": [name]}


def _docker_env() -> _Schema:
    return {
        "description": "The container that the project asks for.",
        "type": ["object", "null"],
        "properties": {
            "image": {
                "description": "The name of the image.",
                "type": "string",
                "minLength": 1,
                "examples": ["python:3.12"],
            },
            "volumes": {
                "description": "Directories of the host, as docker run -v takes them.",
                "type": ["array", "null"],
                "items": {"type": "string"},
                "examples": [["/host:/container"]],
            },
            "environment": {
                "description": "Environment variables: names, copied from the host, and [name, value] pairs.",
                "type": ["array", "null"],
                "items": {"type": ["string", "array"]},
                "examples": [["HOME", ["SEED", "0"]]],
            },
        },
        "required": ["image"],
    }


def _databricks_spark_job() -> _Schema:
    return {
        "description": "A job that runs on Databricks only: a Python file, or the entry points of the project.",
        "type": ["object", "null"],
        "properties": {
            "python_file": {"description": "The file that the job runs."},
            "parameters": {"description": "The arguments of the file."},
            "python_libraries": {"description": "The packages that are installed first."},
        },
    }


def _without_other_environments(kind: str) -> _Schema:
    others = [other for other in ENVIRONMENTS if other != kind]
    return {
        "properties": dict.fromkeys(others, False),
        "errorMessage": f"Only one environment is allowed, and there is '{kind}' already.",
    }


def _with_databricks_spark_job() -> _Schema:
    """Return what a job demands of the rest of the file; a job that is null demands nothing."""
    no_environment = {
        "properties": dict.fromkeys(ENVIRONMENTS, False),
        "errorMessage": "A Databricks job allows no environment.",
    }
    no_path = {
        "enum": [name for name in (*STANDARD_TYPES, *EXTRA_TYPES) if name != "path"],
        "errorMessage": "A Databricks job allows no parameters of type path.",
    }
    parameter = {"if": {"type": "object"}, "then": {"properties": {"type": no_path}}, "else": no_path}
    entry_point = {"properties": {"parameters": {"additionalProperties": parameter}}}
    no_entry_points = {
        "const": {},
        "errorMessage": "A Databricks job runs its 'python_file' or entry points, not both.",
    }
    has_a_file = {"properties": {"python_file": {"not": {"type": "null"}}}, "required": ["python_file"]}
    return {
        "if": {"properties": {"databricks_spark_job": {"type": "object"}}},
        "then": {
            "allOf": [
                no_environment,
                {"properties": {"entry_points": {"additionalProperties": entry_point}}},
            ],
            "if": {"properties": {"databricks_spark_job": has_a_file}},
            "then": {"properties": {"entry_points": no_entry_points}},
            "else": _WITH_ENTRY_POINTS,
        },
    }
