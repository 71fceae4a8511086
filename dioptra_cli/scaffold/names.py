"""Names and texts of an MLproject file as Python writes them: identifiers, literals, docstrings.

Pure text. Every result is valid in Python 3.9 and later, and laid out as ruff's formatter leaves it.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
import unicodedata
from collections.abc import Container, Iterable

LINE_LENGTH = 88
"""The formatter's own limit."""

_LONGEST_IDENTIFIER = 40

IN_USE = frozenset(
    {
        "_coerce_comma_separated_ints",
        "_coerce_float",
        "_coerce_int",
        "_PLUGINS_IMPORT_PATH",
        "active_run",
        "Any",
        "as_json",
        "attach_stdout_stream_handler",
        "clear_logger_handlers",
        "click",
        "configure_structlog",
        "data_seed",
        "entry_point_seed",
        "Flow",
        "flow",
        "get_prefect_logger",
        "init_flow",
        "log_level",
        "LOGGER",
        "mlflow",
        "os",
        "Parameter",
        "plugin_dirs",
        "pyplugs",
        "rng",
        "set_logging_level",
        "state",
        "StderrLogStream",
        "StdoutLogStream",
        "structlog",
    }
)
"""The names that a generated script uses itself."""

_REFUSED = frozenset({*keyword.kwlist, "__debug__"})
_AMBIGUOUS = frozenset("lIO")  # linters refuse them: they look like 1 and 0
_MODULES = frozenset(
    {
        "dioptra",
        "dioptra_builtins",
        "dioptra_custom",
        "numpy",
        "pandas",
        "prefect",
        "scipy",
        "sklearn",
        "tensorflow",
        "torch",
        "yaml",
    }
)
_BUILTINS = frozenset(dir(builtins))


def identifier(name: str, taken: Container[str] = ()) -> str:
    """Return an identifier close to `name`: `data-dir` gives `data_dir`, and `class` gives `class_`.

    Args:
        name: Any text.
        taken: Identifiers that are not free; `data_dir` becomes `data_dir_2` then.
    """
    # Python compares identifiers in this normal form, so two that differ only in form would be one.
    text = unicodedata.normalize("NFKC", name)
    cleaned = "".join(char if f"a{char}".isidentifier() else "_" for char in text)
    if cleaned != text:
        cleaned = re.sub("_{2,}", "_", cleaned).strip("_")
    text = _short(cleaned)
    if not text.isidentifier():
        text = f"_{text}" if text else "value"
    if text in _REFUSED or text in _AMBIGUOUS or text in IN_USE:
        text += "_"
    free, number = text, 2
    while free in taken:
        free, number = f"{text}_{number}", number + 1
    return free


def _short(text: str) -> str:
    """Return as much of an identifier as leaves room beside it on a line; wide characters count twice."""
    width = 0
    for position, char in enumerate(text):
        width += 1 if char.isascii() else 2
        if width > _LONGEST_IDENTIFIER:
            return text[:position]
    return text


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Return an identifier for each name, all different."""
    found: dict[str, str] = {}
    for name in names:
        found[name] = identifier(name, found.values())
    return found


def function_name(name: str, taken: Container[str] = ()) -> str:
    """Return an identifier for a function of a module, which must not hide a builtin either."""
    return identifier(f"{name}_" if name in _BUILTINS else name, taken)


def file_stem(name: str) -> str:
    """Return a name for a Python file that hides no module: a script's directory is first on the import path."""
    stem = identifier(name)
    return f"{stem}_" if stem in sys.stdlib_module_names or stem in _MODULES else stem


def title(name: str) -> str:
    """Return `name` as a heading: `resize-images` gives `Resize Images`."""
    words = re.split(r"[\s_\-]+", name)
    return " ".join(word[:1].upper() + word[1:] for word in words if word) or name


def literal(text: str) -> str:
    """Return `text` as a string literal, in the quotes that need fewer escapes and double ones by preference."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(f"\\{char}" if char == quote else _escaped(char) for char in text) + quote


def docstring(text: str) -> str:
    """Return a docstring of one line that reads as `text`, which must not be blank."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    shown = shown.replace("\\", "/").replace('"', "'")
    return f'"""{shown}{"" if shown.endswith((".", "!", "?")) else "."}"""'


def _escaped(char: str) -> str:
    return char if char in "'\"" else repr(char)[1:-1]


def call(before: str, arguments: Iterable[str], after: str = "", *, indent: int = 0) -> list[str]:
    """Return the lines of `before(arguments)after`: one if it fits, else one for each argument.

    Args:
        before: What stands before the opening bracket, such as `x = f`.
        arguments: Each on one line.
        after: What follows the closing bracket.
        indent: How far the lines will be indented by the caller.
    """
    listed = list(arguments)
    line = f"{before}({', '.join(listed)}){after}"
    # Wide characters count twice to a formatter; a line for each argument is right for it in any case.
    if indent + len(line) <= LINE_LENGTH and line.isascii():
        return [line]
    return exploded(f"{before}(", listed, f"){after}")


def exploded(opening: str, items: Iterable[str | list[str]], closing: str) -> list[str]:
    """Return lines with each item, of one line or several, below `opening` and followed by a comma."""
    lines = [opening]
    for item in items:
        *first, last = [item] if isinstance(item, str) else item
        lines += indented([*first, f"{last},"])
    return [*lines, closing]


def indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    """Return lines moved to the right; empty ones stay empty."""
    return [f"{'    ' * depth}{line}" if line else "" for line in lines]
