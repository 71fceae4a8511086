"""Options and arguments that several commands share, and the reading of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from dioptra_cli.cli import completion
from dioptra_cli.errors import Problem, UsageError
from dioptra_cli.execution.environment import LOG_LEVELS

Command = TypeVar("Command", bound=Callable[..., Any])

project_argument = click.argument("project", default=".", shell_complete=completion.projects)


def job_options(command: Command) -> Command:
    """Add the options that shape a child's environment: `run` and `exec` have them in common."""
    for option in reversed(
        (
            click.option(
                "--tracking-uri",
                metavar="URI",
                help="Where runs are recorded. [default: MLFLOW_TRACKING_URI, or a local store here]",
            ),
            click.option(
                "--plugin-dir",
                "plugin_dirs",
                metavar="DIR",
                multiple=True,
                help="A directory of task plugins; repeatable, first found first.",
            ),
            click.option(
                "--env",
                "env",
                metavar="K=V",
                multiple=True,
                help="Set a variable for the command; repeatable.",
            ),
            click.option(
                "--log-level",
                type=click.Choice(LOG_LEVELS, case_sensitive=False),
                help="The job's log level (DIOPTRA_JOB_LOG_LEVEL).",
            ),
            click.option(
                "--log-as-json/--log-as-text",
                "log_as_json",
                default=None,
                help="The job's log format (DIOPTRA_JOB_LOG_AS_JSON).",
            ),
            click.option(
                "--flow-workers",
                type=click.IntRange(min=1),
                metavar="N",
                help="How many tasks of a flow may run side by side (DIOPTRA_FLOW_WORKERS). [default: 1]",
            ),
            click.option(
                "--storage-dir",
                metavar="DIR",
                help="Where downloads are kept. [default: the user's cache directory]",
            ),
        )
    ):
        command = option(command)
    return command


def name_value_pairs(option: str, given: Iterable[str]) -> tuple[dict[str, str], list[Problem]]:
    """Split `NAME=VALUE` texts at the first `=`.

    Returns:
        The values by name, and a problem for each text without a name or `=`, and for each repeated name.
    """
    values: dict[str, str] = {}
    problems = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            problems.append(Problem("malformed-option", f"{option} {text!r} is not of the form NAME=VALUE"))
        elif name in values:
            problems.append(
                Problem(
                    "repeated-option",
                    f"{option} gives '{name}' twice: {values[name]!r} and {value!r}",
                    hint="give each name once",
                )
            )
        else:
            values[name] = value
    return values, problems


def require_pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """Split `NAME=VALUE` texts.

    Raises:
        UsageError: Some are malformed or repeated.
    """
    values, problems = name_value_pairs(option, given)
    if problems:
        raise UsageError(problems)
    return values
