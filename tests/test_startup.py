"""What each call imports: a command starts as fast as what it needs, and nothing that one call needs slows another.

Looks at `sys.modules` of a fresh interpreter, and at no clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = """\
entry_points:
  main:
    parameters: {rate: float}
    command: python -c 'print({rate})'
  other:
    command: echo hi
"""

# Each costs more than all that a quick call needs.
HEAVY = {
    "mlflow",
    "prefect",
    "rich",
    "structlog",
    "urllib",
    "asyncio",
    "concurrent",
    "multiprocessing",
    "logging",
}
HEAVY |= {
    "obstore",
    "fsspec",
    "boto3",
    "numpy",
    "http",
    "ssl",
    "sqlite3",
    "email",
    "xml",
    "ctypes",
    "platformdirs",
}
RUNNING = frozenset(["subprocess", "signal", "socket", "tempfile", "random", "getpass", "fcntl"])
READING = frozenset(("yaml", "dioptra_cli.mlproject", "dioptra_cli.parameters"))
FORMATS = frozenset(["json", "shlex"])
# What click itself wraps the text of `--help` and of refusals with.
WRAPPING = frozenset(["textwrap", "shutil", "zlib", "difflib"])


class Call(NamedTuple):
    """A call, and what it may import.

    Attributes:
        arguments: The words behind `dioptra`.
        code: Its exit code.
        own: How many modules of dioptra it needs at most.
        unneeded: Further modules that it has no use for.
    """

    arguments: str
    code: int
    own: int
    unneeded: frozenset[str]


CALLS = [
    Call("--version", 0, 8, RUNNING | READING | FORMATS | WRAPPING),
    Call("--help", 0, 8, RUNNING | READING | FORMATS),
    Call("nonsense", 2, 8, RUNNING | READING | FORMATS),
    Call("--nonsense", 2, 8, RUNNING | READING | FORMATS),
    Call("validate --help", 0, 10, RUNNING | READING | FORMATS),
    Call("validate --nonsense", 2, 10, RUNNING | READING | FORMATS),
    Call("validate", 0, 38, RUNNING | FORMATS | WRAPPING),
    Call("validate --format json", 0, 38, RUNNING | WRAPPING),
    Call("validate nowhere", 2, 42, RUNNING | FORMATS),
    Call("list-entry-points", 0, 28, RUNNING | FORMATS | WRAPPING),
    Call("list-entry-points --json", 0, 28, RUNNING | WRAPPING),
    Call("list-entry-points nowhere", 2, 31, RUNNING | FORMATS | WRAPPING),
    Call("list-entry-points -e mian", 2, 28, RUNNING | FORMATS),
    Call("_complete zsh 1 -- dioptra va", 0, 11, RUNNING | READING | FORMATS | WRAPPING),
    Call("_complete zsh 3 -- dioptra run -e ma", 0, 28, RUNNING | FORMATS | WRAPPING),
    Call("run --help", 0, 28, RUNNING),
    Call("run --nonsense", 2, 28, RUNNING),
    Call("run nowhere", 2, 44, RUNNING - {"signal"} | FORMATS - {"shlex"}),
    Call("run . -e mian", 2, 44, RUNNING - {"signal"} | FORMATS - {"shlex"}),
    Call("run . -P rate=fast", 2, 44, RUNNING - {"signal"} | FORMATS - {"shlex"}),
    Call("run .", 2, 44, RUNNING - {"signal"} | FORMATS - {"shlex"}),  # without the value that it needs
    Call("run . -P rate=1 --dry-run", 0, 48, RUNNING - {"signal"} | FORMATS - {"shlex"}),
    Call("runs", 0, 50, frozenset()),  # where nothing was ever recorded
    Call("schema", 0, 21, RUNNING),
    Call("completion bash", 0, 9, RUNNING | READING | FORMATS | WRAPPING),
]


def modules_after(arguments: list[str], directory: Path) -> tuple[int, set[str], str]:
    """Make a call in a fresh interpreter; return its exit code, what it has imported, and what it printed."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "from dioptra_cli.cli.boundary import run_command_line\n"
        f"code = run_command_line({arguments!r})\n"
        "sys.stdout.flush()\n"
        "imported = sorted(set(sys.modules) - before)\n"
        "import json; open('imported', 'w').write(json.dumps([code, imported]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=True, timeout=120
    )
    exit_code, imported = json.loads((directory / "imported").read_text())
    return exit_code, set(imported), done.stdout + done.stderr


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.arguments)
def test_a_call_imports_what_it_needs(tmp_path: Path, call: Call) -> None:
    (tmp_path / "MLproject").write_text(PROJECT)
    code, imported, printed = modules_after(call.arguments.split(), tmp_path)
    assert code == call.code, printed
    assert printed or call.code == 0  # a refusal says why
    assert sorted((HEAVY | call.unneeded) & imported) == []
    own = sorted(name for name in imported if name.partition(".")[0] == "dioptra_cli")
    assert len(own) <= call.own, f"{len(own)} modules: {', '.join(own)}"


def test_the_list_of_commands_says_what_each_command_says_of_itself(tmp_path: Path) -> None:
    """The list is kept apart from the commands, so that printing it imports none of them."""
    from dioptra_cli.cli.app import _COMMANDS, app

    context = app.make_context("dioptra", ["validate"], resilient_parsing=True)
    for name, (_, summary) in _COMMANDS.items():
        command = app.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(1000) == summary or not command.short_help
    _, _, printed = modules_after(["--help"], tmp_path)
    assert [line.split()[0] for line in printed.partition("Commands:\n")[2].splitlines()] == list(_COMMANDS)
