"""The process: `python -m dioptra_cli` and the `dioptra` script. The one place that exits."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        code = _run()
    except KeyboardInterrupt as interrupt:  # where nobody else can hear it, such as during imports
        code = getattr(interrupt, "exit_code", 130)
    sys.exit(code)


def _run() -> int:
    _open_standard_streams()
    # Importing makes many objects, and no garbage: a tenth of the time of `validate`.
    gc.set_threshold(100_000)
    from dioptra_cli.cli.boundary import run_command_line

    code = run_command_line()
    # The collector would look at every object once more on the way out: 0.7 s for those of MLflow.
    gc.freeze()
    return code


def _open_standard_streams() -> None:
    """Open what the caller has closed (`>&-`), or a file of ours would become the command's standard output."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", closefd=False))


if __name__ == "__main__":
    main()
