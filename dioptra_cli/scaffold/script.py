"""The script of an entry point, in the style of the published ones: click options, a flow, logging.

Pure: from the model of an entry point to the text of a Python file. The text is laid out as ruff's formatter leaves
it, so every call that could become too long for one line has a line for each argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from dioptra_cli.mlproject.model import EntryPoint, Parameter
from dioptra_cli.scaffold import commands, names

_INTEGERS = re.compile(r"\s*-?\d+(\s*,\s*-?\d+)+\s*", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_DIRECTORY = re.compile(r"(.*[\W_])?(dir|directory|folder)", re.IGNORECASE)
_TRUE = frozenset({"true", "yes", "on", "t", "y", "1"})
_FLOATS = ("float", "double", "number")
_INTS = ("int", "integer")
_BOOLS = ("bool", "boolean")

_COERCE = {
    "_coerce_comma_separated_ints": (
        "tuple[int, ...]",
        'tuple(int(number) for number in value.split(","))',
    ),
    "_coerce_float": ("float", "float(value)"),
    "_coerce_int": ("int", "int(value)"),
}
"""The callbacks that a script may need: what each returns, and how."""


@dataclass(frozen=True)
class Option:
    """A parameter as the script takes it.

    Attributes:
        parameter: The declared parameter.
        variable: Its identifier in the script.
        flag: Its option on the command line; None for an argument without one.
        type: The click type, an expression.
        annotation: The Python type of its value.
        default: The default, an expression; None when a value is required.
        callback: The name of the function that converts the value, if one does.
    """

    parameter: Parameter
    variable: str
    flag: str | None
    type: str
    annotation: str
    default: str | None
    callback: str | None = None

    @property
    def is_seed(self) -> bool:
        """Whether it seeds random numbers."""
        return self.annotation == "int" and re.fullmatch(r"(.*_)?seed", self.variable) is not None


Flow = Callable[[Sequence[Option]], list[str]]
"""Writes the lines inside `with Flow(…) as flow:`; gets the options, whose variables are the flow's parameters."""


def flags_of(entry_point: EntryPoint) -> dict[str, str | None]:
    """Return the option of each parameter on the script's command line, as the entry point's command calls it.

    None stands for an argument without an option. Those come last, in the order of the command.
    """
    usage = commands.read(entry_point.command or "")
    flags: dict[str, str | None] = {}
    for name, variable in names.identifiers(entry_point.parameters).items():
        if name not in usage.options:
            flags[name] = _flag(name, variable, {*flags.values(), *usage.options.values()})
        elif usage.options[name] is not None:
            flags[name] = usage.options[name]
    arguments = [
        name for name, flag in usage.options.items() if flag is None and name in entry_point.parameters
    ]
    return {**flags, **dict.fromkeys(arguments)}


def options_of(entry_point: EntryPoint) -> list[Option]:
    """Return the options and arguments of the script, in the order in which it declares them."""
    variables = names.identifiers(entry_point.parameters)
    return [
        _option(entry_point.parameters[name], variables[name], flag)
        for name, flag in flags_of(entry_point).items()
    ]


def _flag(name: str, variable: str, taken: Container[str | None]) -> str:
    for text in (name.replace("_", "-"), name, variable):
        flag = "--" + re.sub(r"[^\w.]+", "-", text).strip("-.")
        if flag != "--" and flag not in taken:
            return flag
    return f"--{variable.replace('_', '-')}-value"


def _option(parameter: Parameter, variable: str, flag: str | None) -> Option:
    declared, default = parameter.type, parameter.default
    click_type, annotation, callback = "click.STRING", "str", None
    shown = None if default is None else names.literal(default)
    if declared in _BOOLS:
        click_type, annotation = "click.BOOL", "bool"
        shown = None if default is None else str(default.lower() in _TRUE)
    elif declared in _FLOATS or declared in _INTS:
        whole = declared in _INTS or _is_whole(default, variable)
        click_type, annotation = ("click.INT", "int") if whole else ("click.FLOAT", "float")
        callback = ("_coerce_int" if whole else "_coerce_float") if parameter.choices else None
        shown = shown if parameter.choices else _number(default, whole)
    elif declared == "path":
        kind = ", file_okay=False, dir_okay=True" if _DIRECTORY.fullmatch(parameter.name) else ""
        click_type = f"click.Path(exists=True{kind}, resolve_path=True, readable=True)"
    elif default is not None and _INTEGERS.fullmatch(default) and not parameter.choices:
        annotation, callback = "tuple[int, ...]", "_coerce_comma_separated_ints"
    if parameter.choices and declared not in _BOOLS and declared != "path":
        click_type = "click.Choice"
    return Option(parameter, variable, flag, click_type, annotation, shown, callback)


def _is_whole(default: str | None, variable: str) -> bool:
    """Return whether a `float` means whole numbers: there is no type for them among the portable ones."""
    if default is None:
        return re.fullmatch(r"(.*_)?seed", variable) is not None
    return _INTEGER.fullmatch(default) is not None


def _number(default: str | None, whole: bool) -> str | None:
    if default is None:
        return None
    text = repr(int(default)) if whole else repr(float(default))
    return names.literal(default) if text.strip("-") in ("inf", "nan") else text


def _decorator(option: Option) -> list[str]:
    arguments: list[str | list[str]] = []
    flag = option.flag or ""
    if flag:
        arguments.append(names.literal(flag))
    if flag.lstrip("-").replace("-", "_").lower() != option.variable:
        arguments.append(names.literal(option.variable))
    arguments.append(_type(option))
    if option.callback is not None:
        arguments.append(f"callback={option.callback}")
    if option.default is not None:
        arguments.append(f"default={option.default}")
    if flag:
        arguments.append("required=True" if option.default is None else "show_default=True")
    if flag and option.parameter.description:
        arguments.append(f"help={names.literal(option.parameter.description)}")
    return names.exploded("@click.option(" if flag else "@click.argument(", arguments, ")")


def _type(option: Option) -> list[str]:
    if option.type == "click.Choice":
        choices = [names.literal(choice) for choice in dict.fromkeys(option.parameter.choices)]
        line = f"type=click.Choice([{', '.join(choices)}])"
        if len(line) + 5 <= names.LINE_LENGTH and line.isascii():
            return [line]
        return ["type=click.Choice(", *names.indented(names.exploded("[", choices, "]")), ")"]
    name, bracket, arguments = option.type.partition("(")
    if not bracket:
        return [f"type={name}"]
    return names.call(f"type={name}", arguments.rstrip(")").split(", "), indent=5)


def _callback(name: str) -> list[str]:
    annotation, expression = _COERCE[name]
    arguments = ["ctx: click.Context", "param: click.Parameter", "value: str"]
    return [*names.exploded(f"def {name}(", arguments, f") -> {annotation}:"), f"    return {expression}"]


def _main_function(function: str, entry_point: EntryPoint, options: Sequence[Option]) -> list[str]:
    signature, run = [f"def {function}() -> Any:"], ["state = flow.run()"]
    if options:
        arguments = [f"{option.variable}: {option.annotation}" for option in options]
        signature = names.exploded(f"def {function}(", arguments, ") -> Any:")
        values = names.exploded("parameters={", [f'"{o.variable}": {o.variable}' for o in options], "}")
        run = names.exploded("state = flow.run(", [values], ")")
    started = [
        '"Entry point started"',
        f"entry_point={names.literal(entry_point.name)}",
        "run_id=active_run.info.run_id",
    ]
    body = [*names.exploded("LOGGER.info(", started, ")"), "flow = init_flow()", *run]
    return [
        "@click.command()",
        *(line for option in options for line in _decorator(option)),
        *signature,
        *([f"    {names.docstring(entry_point.description)}"] if entry_point.description else []),
        "    with mlflow.start_run() as active_run:",
        *names.indented(body, 2),
        "",
        "    return state",
    ]


def _init_flow(entry_point: EntryPoint, options: Sequence[Option], tasks: Sequence[str]) -> list[str]:
    body: list[str] = []
    for option in options:
        body += names.call(f"{option.variable} = Parameter", [f'"{option.variable}"'], indent=8)
    return [
        "def init_flow() -> Flow:",
        *names.indented(
            names.call("with Flow", [names.literal(names.title(entry_point.name))], " as flow:", indent=4)
        ),
        *names.indented([*body, *([""] if body else []), *tasks], 2),
        "",
        "    return flow",
    ]


def first_tasks(options: Sequence[Option]) -> list[str]:
    """Write the tasks of a new flow: random numbers, if there is a seed, and the parameters into the run."""
    logged = {option.parameter.name: option.variable for option in options}
    seed = next((option.variable for option in options if option.is_seed), None)
    lines: list[str] = []
    if seed is not None:
        lines = [
            "# A negative seed draws one. Tasks that draw numbers of their own take rng=rng.",
            *call_task("random", "rng", "init_rng", [f"seed={seed}"], result="entry_point_seed, rng"),
            *call_task("random", "sample", "draw_random_integer", ["rng=rng"], result="data_seed"),
        ]
        for drawn in ("entry_point_seed", "data_seed"):
            logged[f"drawn_{drawn}" if drawn in logged else drawn] = drawn
    pairs = [f"{names.literal(name)}: {variable}" for name, variable in logged.items()]
    parameters = names.exploded("parameters={", pairs, "}") if pairs else ["parameters={}"]
    return [*lines, *call_task("tracking", "mlflow", "log_parameters", [parameters])]


def call_task(
    package: str,
    module: str,
    function: str,
    arguments: Sequence[str | list[str]],
    *,
    result: str | None = None,
) -> list[str]:
    """Return the lines of a `pyplugs.call_task`.

    Args:
        package: Below `dioptra_builtins`, or the name of a constant that holds the whole package.
        module: The plugin.
        function: The task.
        arguments: Its arguments.
        result: What the result is assigned to, if anything.
    """
    root = package if package.isupper() else f'f"{{_PLUGINS_IMPORT_PATH}}.{package}"'
    opening = f"{result} = pyplugs.call_task(" if result else "pyplugs.call_task("
    return names.exploded(opening, [root, f'"{module}"', f'"{function}"', *arguments], ")")


def render(entry_point: EntryPoint, flow: Flow = first_tasks, constants: Sequence[str] = ()) -> str:
    """Return the script of an entry point.

    Args:
        entry_point: The entry point; its command, if it has one, decides what the options are called.
        flow: Writes the tasks.
        constants: Lines to stand beside the script's own constants.
    """
    options = options_of(entry_point)
    function = names.function_name(entry_point.name, {option.variable for option in options})
    about = entry_point.description or f"The entry point '{entry_point.name}'"
    imports = _IMPORTS.format(prefect="Flow, Parameter" if options else "Flow")
    blocks = [
        [names.docstring(about), "", imports],
        ['_PLUGINS_IMPORT_PATH: str = "dioptra_builtins"', *constants, "", _LOGGER],
        *(_callback(name) for name in sorted({o.callback for o in options if o.callback})),
        _main_function(function, entry_point, options),
        _init_flow(entry_point, options, flow(options)),
        _main_block(function),
    ]
    text = "\n".join(blocks[0]) + "\n" + "\n\n\n".join("\n".join(block) for block in blocks[1:])
    return text + "\n"


_IMPORTS = """\
import os
from typing import Any

import click
import mlflow
import structlog
from dioptra import pyplugs
from dioptra.sdk.utilities.contexts import plugin_dirs
from dioptra.sdk.utilities.logging import (
    StderrLogStream,
    StdoutLogStream,
    attach_stdout_stream_handler,
    clear_logger_handlers,
    configure_structlog,
    set_logging_level,
)
from prefect import {prefect}
from prefect.utilities.logging import get_logger as get_prefect_logger
"""

_LOGGER = "LOGGER = structlog.stdlib.get_logger()"


def _main_block(function: str) -> list[str]:
    return f"""\
if __name__ == "__main__":
    log_level = os.getenv("DIOPTRA_JOB_LOG_LEVEL", default="INFO")
    as_json = bool(os.getenv("DIOPTRA_JOB_LOG_AS_JSON"))

    clear_logger_handlers(get_prefect_logger())
    attach_stdout_stream_handler(as_json)
    set_logging_level(log_level)
    configure_structlog()

    with plugin_dirs(), StdoutLogStream(as_json), StderrLogStream(as_json):
        _ = {function}()
""".splitlines()
