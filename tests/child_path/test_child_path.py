"""What stands on a child's import path: its own code only, old Pythons understood, nothing heavy at import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "dioptra_cli"
CHILD_PATH = PACKAGE / "child_path"
FILES = sorted(CHILD_PATH.rglob("*.py"))
SDK = [path for path in FILES if "task-plugins" not in path.parts]
OWN = {"dioptra", "_dioptra_imports", "sitecustomize"}


def place(path: Path) -> str:
    return path.relative_to(CHILD_PATH).as_posix()


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield what is imported when the statements run, but for type checkers."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "dioptra"
        elif isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
            yield from imported([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from imported([*node.body, *node.orelse, *node.finalbody])


@pytest.mark.parametrize("path", FILES, ids=place)
def test_python_3_9_understands_it(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    annotations = [
        annotation
        for node in ast.walk(tree)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if annotation is not None
    ]
    # Python 3.9 would evaluate `int | None`, and fail.
    if any(isinstance(node, ast.BinOp) for annotation in annotations for node in ast.walk(annotation)):
        assert "from __future__ import annotations" in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=place)
def test_the_two_halves_do_not_know_each_other(path: Path) -> None:
    names = imported(ast.walk(ast.parse(path.read_text())))
    assert "dioptra_cli" not in {name.split(".")[0] for name in names}


def test_the_command_line_does_not_import_the_child_path() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if CHILD_PATH not in path.parents:
            names = imported(ast.walk(ast.parse(path.read_text())))
            assert "dioptra" not in {name.split(".")[0] for name in names}, path


@pytest.mark.parametrize("path", SDK, ids=place)
def test_the_sdk_imports_only_the_standard_library_at_once(path: Path) -> None:
    outside = {name.split(".")[0] for name in imported(ast.parse(path.read_text()).body)} - OWN
    assert outside <= sys.stdlib_module_names, path


@pytest.mark.parametrize(
    "code", ["pass", "from prefect import Flow, Parameter, task", "from dioptra import pyplugs"]
)
def test_a_child_pays_only_for_what_it_uses(code: str) -> None:
    look = (
        f"{code}\nimport sys\n"
        "print(sorted(sys.modules.keys() & {'prefect.flows', 'pydantic', 'mlflow', 'structlog', 'asyncio', 'numpy'}))"
    )
    env = {"PYTHONPATH": str(CHILD_PATH), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", look], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_child_that_uses_nothing_imports_nothing_more() -> None:
    def modules(**env: str) -> set[str]:
        code = "import sys; print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    more = modules(PYTHONPATH=str(CHILD_PATH)) - modules()
    assert more <= {"sitecustomize", "_dioptra_imports", "atexit"}
