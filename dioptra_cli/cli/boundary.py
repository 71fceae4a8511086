"""The error boundary: everything that ends a command early becomes a message and an exit code here."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from dioptra_cli.cli import output
from dioptra_cli.cli.app import app
from dioptra_cli.errors import DioptraError, ExitCode
from dioptra_cli.execution import environment

_SIGINT = 2


def run_command_line(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows `dioptra`; None for the arguments of this process.

    Returns:
        The exit code of the process.
    """
    try:
        code = _invoke(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except DioptraError as error:
        output.problems(error.problems, sys.stderr)
        return int(error.exit_code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as interrupt:
        output.note("interrupted")
        return ExitCode.SIGNAL_BASE + _signal_of(interrupt)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        # Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:  # whoever read our output has left
            return ExitCode.SIGNAL_BASE + 13
        output.warning(f"the output cannot be written: {error.strerror}")
        return ExitCode.FAILED
    return code if isinstance(code, int) else int(ExitCode.OK)


def _invoke(arguments: list[str]) -> object:
    """Do what `app.main` does, but for turning a closed pipe into exit code 1 before anybody else sees it."""
    if environment.asks_click_to_complete():
        return app.main(args=arguments, prog_name="dioptra", standalone_mode=False)
    try:
        with app.make_context("dioptra", arguments) as context:
            return app.invoke(context)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code


def _signal_of(interrupt: BaseException) -> int:
    """Return the signal behind an interrupt; click raises `Abort` in the place of what it caught."""
    for error in (interrupt, interrupt.__cause__, interrupt.__context__):
        signum = getattr(error, "signum", None)
        if signum is not None:
            return int(signum)
    return _SIGINT
