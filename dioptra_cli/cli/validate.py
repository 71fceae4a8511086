"""`dioptra validate`: every problem of MLproject files, each with its place, and the repair of the plain ones."""

from __future__ import annotations

import click

from dioptra_cli.cli import completion
from dioptra_cli.errors import ExitCode

_FORMS = ("text", "json", "sarif", "github")


def _codes(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Split the values of an option at commas."""
    codes = tuple(text for value in values for text in value.replace(",", " ").split())
    if values and not codes:
        raise click.BadParameter("it names no check", ctx, param)
    return codes


@click.command(name="validate", short_help="Check MLproject files, and mend slips.")
@click.argument("targets", metavar="[FILE or PROJECT]...", nargs=-1, shell_complete=completion.projects)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMS),
    default="text",
    show_default=True,
    help="How to print the problems.",
)
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option(
    "--select",
    metavar="CODES",
    multiple=True,
    callback=_codes,
    shell_complete=completion.checks,
    help="Report these checks only: codes such as DIO108, beginnings such as DIO4, or names; repeatable.",
)
@click.option(
    "--ignore",
    metavar="CODES",
    multiple=True,
    callback=_codes,
    shell_complete=completion.checks,
    help="Leave these checks out; repeatable.",
)
@click.option(
    "--explain",
    metavar="CODE",
    shell_complete=completion.checks,
    help="Say what a check finds and why, with examples, and exit; 'all' lists the checks.",
)
@click.option("--fix", is_flag=True, help="Mend what has exactly one meaning, and report the rest.")
@click.option("--diff", is_flag=True, help="Show what --fix would change; change nothing.")
@click.option(
    "--stdin-filename", metavar="FILE", help="The file that '-' stands for, in messages and to find scripts."
)
def command(
    targets: tuple[str, ...],
    form: str,
    strict: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    explain: str | None,
    fix: bool,
    diff: bool,
    stdin_filename: str | None,
) -> int:
    """Check MLproject files: structure, types, defaults, placeholders, quoting, scripts.

    Each argument is an MLproject file, a project directory, a directory with projects in it, a git URL, an archive,
    or - for standard input; the current directory by default. Exits with 0 if nothing is wrong, with 1 if there are
    errors, with 2 if the call itself is wrong.
    """
    if explain is not None:
        from dioptra_cli.cli import explanation

        explanation.show(explain)
        return ExitCode.OK
    from dioptra_cli.cli import validating  # completion and `--help` need nothing of it

    return validating.validate(
        targets or (".",),
        form=form,
        strict=strict,
        select=select,
        ignore=ignore,
        fix=fix,
        diff=diff,
        stdin_filename=stdin_filename,
    )
