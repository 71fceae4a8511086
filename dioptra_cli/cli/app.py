"""The `dioptra` command group. Each command's module is imported only when it is asked for."""

from __future__ import annotations

import importlib

import click

from dioptra_cli import __version__

_COMMANDS = {
    "run": "dioptra_cli.cli.run",
    "validate": "dioptra_cli.cli.validate",
    "list-entry-points": "dioptra_cli.cli.list_entry_points",
    "exec": "dioptra_cli.cli.exec",
    "runs": "dioptra_cli.cli.runs",
    "logs": "dioptra_cli.cli.logs",
    "rerun": "dioptra_cli.cli.rerun",
    "sync": "dioptra_cli.cli.sync",
    "plugins": "dioptra_cli.cli.plugins",
    "new": "dioptra_cli.cli.new",
    "schema": "dioptra_cli.cli.schema",
    "completion": "dioptra_cli.cli.completion_scripts",
}
_HIDDEN = {"_complete": "dioptra_cli.cli.complete"}
"""What the scripts of `completion` call: nothing for people, so it is in no list."""


class _LazyGroup(click.Group):
    """A group whose commands live in modules of their own, under the name `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = (_COMMANDS | _HIDDEN).get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command

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
