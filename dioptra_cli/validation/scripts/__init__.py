"""What the command line of a Python script takes, read from its source with `ast`: nothing is imported or run.

What is not followed to the letter is left out or reported as unsure: a script that another library serves, that
builds its parser in a roundabout way, or that may not even reach it, is not read at all. What a command passes to a
script is `script_checks`' business, which imports this package only where there is a script: `ast` costs more than
checking a file.
"""

from __future__ import annotations

import ast
import warnings

from dioptra_cli.validation.scripts.argparse_reader import ArgparseReader
from dioptra_cli.validation.scripts.click_reader import ClickReader
from dioptra_cli.validation.scripts.interface import Interface
from dioptra_cli.validation.scripts.module import Module

_MAX_SIZE = 1_000_000


def read_script(text: str) -> Interface | None:
    """Return what the command line of a script takes, or None where it cannot be told.

    The rules are those of click 7 to 8.5 and of argparse in Python 3.9 to 3.13. Where versions differ, nothing is
    sure.
    """
    if len(text) > _MAX_SIZE or ("click" not in text and "argparse" not in text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = Module(ast.parse(text))
            libraries = {origin.partition(".")[0] for origin in module.imports.values()}
            if module.is_unusual() or {"click", "argparse"} <= libraries:
                return None
            return ClickReader(module).read() if "click" in libraries else ArgparseReader(module).read()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
