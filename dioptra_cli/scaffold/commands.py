"""What the command of an entry point says about its script: the file, and the option of each parameter.

Pure, and a reader of the plain case: the first Python script that the command runs. Of any other command it says
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dioptra_cli.mlproject.shell import read_shell
from dioptra_cli.mlproject.template import parse_template
from dioptra_cli.mlproject.usage import script_calls

_OPTION = re.compile(r"-{1,2}[^\W\d][\w.-]*")


@dataclass(frozen=True)
class Usage:
    """How a command calls its script.

    Attributes:
        script: The file as the command names it; None if it runs none that could be told.
        options: The option before each parameter's placeholder; None for one that stands alone, as an argument.
        others: Options that the command passes without a parameter.
    """

    script: str | None = None
    options: Mapping[str, str | None] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def read(command: str) -> Usage:
    """Return how `command`, a template with placeholders, calls a Python script."""
    reading = read_shell(parse_template(command))
    calls = (call for call in script_calls(reading) if call.language == "python" and not call.module)
    call = next(calls, None)
    if call is None:
        return Usage()
    options: dict[str, str | None] = {}
    others: list[str] = []
    waiting: str | None = None  # an option whose value may come next
    for word in call.arguments:
        option, equals, _ = word.text.partition("=")
        if not word.parameters:
            if _OPTION.fullmatch(option):
                others.append(option)
                waiting = None if equals else option
            else:
                waiting = None
            continue
        if equals and _OPTION.fullmatch(option):
            used: str | None = option
        else:
            used, waiting = waiting, None
            if used is not None:
                others.pop()
        name = word.parameters[0]
        if (
            len(word.parameters) == 1
            and name not in options
            and (used is None or used not in options.values())
        ):
            options[name] = used
    return Usage(call.script.text if call.certain else None, options, tuple(others))
