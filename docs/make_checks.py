"""Writes the page of all checks from the catalogue and the explanations: `python docs/make_checks.py`.

The messages and the column `--fix` are what the checks themselves say of the examples.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from dioptra_cli.cli import output
from dioptra_cli.mlproject.catalogue import CHECKS, GROUPS, Check
from dioptra_cli.validation.explanations import Explanation, explanations
from dioptra_cli.validation.validate import Checker

PAGE = Path(__file__).resolve().parent / "checks.md"
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".sh": "bash"}
HEAD = """\
# Checks

What `dioptra validate` looks for in MLproject files. Each check has a code that never changes its meaning, and a
name; wherever a check is asked for, either will do, and the beginning of a code stands for a group: `DIO4`. In a
terminal, `dioptra validate --explain DIO304` shows what is written here.

An **error** keeps the entry point, or the whole file, from running as it is written; a **warning** is a slip that
changes or loses something in silence, and fails `dioptra validate --strict`; a **note** is good to know.

A comment silences a check for the line that it is on, and on a line of its own for the next one; a command on several
lines is covered as a whole. What makes MLflow refuse the file cannot be silenced: such a file does not run.

```yaml
# dioptra: ignore-file[DIO302]
entry_points:
  main:
    parameters:
      epochs: {type: int, default: 10}
      note: {type: string, default: ""}  # dioptra: ignore[unused-parameter]
    command: python train.py --epochs {epochs}
```

For a single call, `--ignore DIO302` leaves checks out, and `--select DIO1` leaves all others out.

## All checks

A ✓ stands where `--fix` mends what has exactly one meaning, keeping comments and layout; `--diff` shows it first.
"""


class Found(NamedTuple):
    """What the check of an explanation finds in its bad example.

    Attributes:
        shown: The messages, as `dioptra validate` shows them.
        fixable: Whether `--fix` mends it.
    """

    shown: str
    fixable: bool


def find(check: Check, explanation: Explanation) -> Found | None:
    """Return what a check finds in its bad example, None where that is no file."""
    if explanation.language != "yaml":
        return None
    with tempfile.TemporaryDirectory() as directory:
        for name, content in {"MLproject": explanation.bad, **explanation.files}.items():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        checked = Checker().check(str(Path(directory, "MLproject")))
    problems = [problem for problem in checked.problems if problem.name == check.name]
    shown = click.unstyle("\n".join(output.diagnostics(problems, checked.text, io.StringIO())))
    return Found(shown.replace(f"{directory}/", ""), any(problem.fix for problem in problems))


def render() -> str:
    """Return the page."""
    explained = explanations()
    found = {check: find(check, explained[check.name]) for check in CHECKS}
    lines = [HEAD]
    for beginning, title in GROUPS.items():
        lines += [f"### {title}", "", "| code | level | finds | `--fix` |", "|---|---|---|---|"]
        for check, what in found.items():
            if check.code.startswith(beginning):
                link = f"[{check.code}](#{check.code.lower()}-{check.name})"
                mark = "✓" if what and what.fixable else ""
                lines.append(f"| {link} | {check.level.value} | {check.summary} | {mark} |")
        lines.append("")
    for check, what in found.items():
        lines += section(check, explained[check.name], what)
    return "\n".join(lines)


def section(check: Check, explanation: Explanation, found: Found | None) -> Iterator[str]:
    """Yield what the page says of one check."""
    mended = ", mended by `--fix`" if found and found.fixable else ""
    yield f"## {check.code} {check.name}\n\n*{check.level.value}*{mended}: {check.summary}\n"
    yield f"{explanation.why.strip()}\n"
    for name, text in explanation.files.items():
        if text.strip():
            yield f"With `{name}`\n\n{fence(text, LANGUAGES.get(Path(name).suffix, 'text'))}\n"
    yield f"Instead of\n\n{fence(explanation.bad, explanation.language)}\n"
    if found:
        yield f"{fence(found.shown, 'text')}\n"
    yield f"write\n\n{fence(explanation.good, explanation.language)}\n"


def fence(text: str, language: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


if __name__ == "__main__":
    PAGE.write_text(render())
