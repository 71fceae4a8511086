"""Options and arguments that several commands share, and the reading of their values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from dioptra_cli.cli import completion
from dioptra_cli.errors import Problem, UsageError
from dioptra_cli.execution import environment
from dioptra_cli.execution.environment import LOG_LEVELS

Command = TypeVar("Command", bound=Callable[..., Any])

project_argument = click.argument("project", default=".", shell_complete=completion.projects)


tracking_uri_option = click.option(
    "--tracking-uri",
    metavar="URI",
    help="Where runs are recorded. [default: MLFLOW_TRACKING_URI, or a local store here]",
)


def _finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse `nan`, which is in every range, and `inf`."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of seconds", ctx, param)
    return value


def seconds_option(name: str, **settings: Any) -> Callable[[Command], Command]:
    """Return an option that takes a positive number of seconds."""
    return click.option(
        name,
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        callback=_finite,
        **settings,
    )


tracking_timeout_option = seconds_option(
    "--tracking-timeout",
    default=environment.tracking_timeout,
    show_default="10.0, or MLFLOW_HTTP_REQUEST_TIMEOUT",
    help="How long to wait for the tracking store.",
)


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds options, which help shows in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


job_options = _together(
    tracking_uri_option,
    click.option(
        "--plugin-dir",
        "plugin_dirs",
        metavar="DIR",
        multiple=True,
        help="A directory of task plugins; repeatable, first found first.",
    ),
    click.option(
        "--env", "env", metavar="K=V", multiple=True, help="Set a variable for the command; repeatable."
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
"""What shapes a child's environment: `run`, `rerun` and `exec` have it in common."""

recording_options = _together(
    click.option(
        "--experiment-name", metavar="NAME", help="The experiment; created if there is none of that name."
    ),
    click.option("--experiment-id", metavar="ID", help="The experiment by id."),
    click.option("--run-name", metavar="NAME", help="A name for the run."),
    click.option("--parent-run-id", metavar="ID", help="The run that this one belongs under."),
    click.option("--tag", "tags", metavar="K=V", multiple=True, help="A tag for the run; repeatable."),
    seconds_option("--timeout", help="Stop it after this."),
    job_options,
    tracking_timeout_option,
    click.option(
        "--capture/--no-capture",
        default=True,
        help="Whether to keep what the command writes. Without, it has dioptra's own streams.",
    ),
    click.option(
        "--provenance/--no-provenance",
        default=True,
        help="Whether to record the state of code, packages and machine.",
    ),
    click.option("--dry-run", is_flag=True, help="Show what would run; create, download and start nothing."),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print one JSON object about the run on standard output at the end. The command's own output goes to "
        "standard error then.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option("--verbose", is_flag=True, help="Say more: the command, the environment, the downloads."),
)
"""What `run` and `rerun` have in common."""


def name_value_pairs(option: str, given: Iterable[str]) -> tuple[dict[str, str], list[Problem]]:
    """Split `NAME=VALUE` texts at the first `=`.

    Returns:
        The values by name, and a problem for each text without a name or `=`, and for each repeated name.
    """
    from dioptra_cli.parameters.secrets import is_secret, shown  # not for commands without such options

    values: dict[str, str] = {}
    problems = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            quoted = repr(text)
            word = re.split(r"[^\w.\-]", text, maxsplit=1)[0]
            if word != text and is_secret(word, "value"):  # `password:x`
                quoted = f"'{word}…'"
            problems.append(Problem("malformed-option", f"{option} {quoted} is not of the form NAME=VALUE"))
        elif name in values:
            problems.append(
                Problem(
                    "repeated-option",
                    f"{option} gives '{name}' twice: {shown(name, values[name])!r} and {shown(name, value)!r}",
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
