"""The process: `python -m dioptra_cli` and the `dioptra` script. The one place that turns errors into exits."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from dioptra_cli.cli.boundary import run_command_line

    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
