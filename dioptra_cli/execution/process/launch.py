"""Why a command could not be started, in the words and exit codes of dioptra."""

from __future__ import annotations

import errno

from dioptra_cli.errors import ExitCode, LaunchError, Problem


def launch_exit_code(error: OSError) -> ExitCode:
    """Return what a shell returns for a command that it could not start."""
    return ExitCode.NOT_FOUND if error.errno == errno.ENOENT else ExitCode.NOT_EXECUTABLE


def unusable_directory(cwd: str, error: OSError) -> LaunchError:
    """Return the error for a working directory that cannot be entered."""
    return LaunchError(Problem("bad-working-directory", f"cannot run in '{cwd}': {error.strerror}"))


def unpassable(error: ValueError) -> LaunchError:
    """Return the error for an argument or variable with a NUL byte, or with text that has no encoding."""
    return LaunchError(Problem("bad-command", f"the command cannot be passed to the system: {error}"))
