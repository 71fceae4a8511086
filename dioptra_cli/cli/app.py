"""The `dioptra` command group. Each command's module is imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import click

from dioptra_cli import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMMANDS = {
    "run": ("dioptra_cli.cli.run", "Run one entry point of PROJECT under an MLflow run."),
    "validate": ("dioptra_cli.cli.validate", "Check MLproject files, and mend slips."),
    "list-entry-points": (
        "dioptra_cli.cli.list_entry_points",
        "List the entry points of PROJECT with their parameters.",
    ),
    "exec": ("dioptra_cli.cli.exec", "Run a command as an entry point would run."),
    "runs": ("dioptra_cli.cli.runs", "List the newest runs of PROJECT."),
    "logs": ("dioptra_cli.cli.logs", "Print or follow what a run wrote."),
    "rerun": ("dioptra_cli.cli.rerun", "Run again what a recorded run did."),
    "sync": ("dioptra_cli.cli.sync", "Deliver what is kept of runs to their tracking stores."),
    "server": ("dioptra_cli.cli.server", "Run an MLflow server here, so that runs start at once."),
    "plugins": ("dioptra_cli.cli.plugins", "Look at task plugins."),
    "new": ("dioptra_cli.cli.new", "Write an entry point or a whole project to start from."),
    "schema": ("dioptra_cli.cli.schema", "Print the JSON Schema of MLproject files, for editors."),
    "completion": ("dioptra_cli.cli.completion_scripts", "Print the completion script of a shell."),
}
"""The module of each command, and what the list of commands says of it."""
_HIDDEN = {"_complete": "dioptra_cli.cli.complete"}
"""What the scripts of `completion` call: nothing for people, so it is in no list."""


class _LazyGroup(click.Group):
    """A group whose commands live in modules of their own, under the name `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = _COMMANDS[cmd_name][0] if cmd_name in _COMMANDS else _HIDDEN.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=summary)
            for name, (_, summary) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from dioptra_cli.errors import did_you_mean

            near = did_you_mean(args[0], _COMMANDS)
            if near is None:
                raise
            raise click.UsageError(f"{error.message} ({near})", ctx) from error


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dioptra", message="%(prog)s %(version)s")
def app() -> None:
    """Run the entry points of an MLproject file on this machine, each under an MLflow run."""
