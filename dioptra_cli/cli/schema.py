"""`dioptra schema`: the JSON Schema of MLproject files, for editors."""

from __future__ import annotations

import json

import click

from dioptra_cli.errors import ExitCode
from dioptra_cli.validation.schema import schema


@click.command(name="schema")
def command() -> int:
    """Print the JSON Schema of MLproject files, for editors.

    An editor that has it completes keys and types, explains them, and shows mistakes in the structure of a file while
    it is written. `dioptra validate` finds more.
    """
    click.echo(json.dumps(schema(), indent=2))
    return ExitCode.OK
