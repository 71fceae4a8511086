"""`dioptra exec`: any command in the environment that an entry point would get, without a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dioptra_cli.cli.options import job_options, project_argument
from dioptra_cli.errors import Problem, UsageError

if TYPE_CHECKING:
    from dioptra_cli.cli.job import JobOptions

_COMMAND = "dioptra.exec.command"


class _ExecCommand(click.Command):
    """Takes what follows the first `--` as it is: click would not tell the project from the command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        split = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = args[split + 1 :]
        return super().parse_args(ctx, args[:split])

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] [PROJECT] -- COMMAND...")


@click.command(name="exec", short_help="Run a command as an entry point would run.", cls=_ExecCommand)
@project_argument
@job_options
@click.pass_context
def command(ctx: click.Context, /, project: str, **options: Any) -> None:
    """Run any command in the environment that an entry point of PROJECT would get.

    PROJECT is a directory with an MLproject file, the file itself, a git URL or an archive.
    The working directory is the project's, the plugin directories are on the import path, and the tracking URI is
    set, but no run is created: for debugging a script by hand. The exit code is the command's own.
    """
    from dioptra_cli.cli.job import (
        JobOptions,
    )  # what it needs takes time that `--help` and completion have not

    _exec(project, JobOptions(**options), ctx.meta[_COMMAND])


def _exec(target: str, options: JobOptions, words: list[str]) -> None:
    import os

    from dioptra_cli.cli import job
    from dioptra_cli.cli.projects import located, require_valid
    from dioptra_cli.execution import environment
    from dioptra_cli.execution.process import interruptible, replace_process
    from dioptra_cli.mlproject import loader
    from dioptra_cli.tracking import uris

    if not words:
        raise UsageError(
            Problem(
                "no-command",
                f"there is no command to run in '{target}'",
                hint="put it after two dashes: dioptra exec . -- python train.py",
            )
        )
    caller = os.getcwd()
    base = environment.snapshot()
    with interruptible():
        found = located(target, storage_dir=options.storage_dir)
        if found.is_fetched:
            require_valid(found.directory)
        project, _ = loader.require(found.directory)
        settings = job.job_settings(options, base, project.directory, caller)
        named = options.tracking_uri or base.get(environment.TRACKING_URI)
        tracking_uri = uris.resolved(named, caller)
        remote = settings.remote
        with job.downloaded(
            remote,
            storage_directory=options.storage_dir,
            tracking_uri=tracking_uri,
            base=base,
            caller=caller,
        ) as copies:
            settings = settings.with_downloads(copies)
    added = environment.additions(base, settings, tracking_uri=tracking_uri)
    replace_process(words, cwd=project.directory, env=environment.merged(base, added))
