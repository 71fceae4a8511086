"""Which part may import what: imports run one way, and heavy or dangerous modules have one home each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dioptra_cli"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "child_path" not in p.parts)

# Each part may import itself, and the parts that stand before it.
ALLOWED = {
    "errors": (),
    "mlproject": ("errors",),
    "parameters": ("errors", "mlproject"),
    "distributions": ("parameters",),
    "tracking": ("errors", "mlproject", "parameters", "distributions"),
    "flows": ("errors",),
    "execution": ("errors", "mlproject", "parameters", "distributions", "flows"),
    "scaffold": ("errors", "mlproject", "parameters"),
    "validation": ("errors", "mlproject", "parameters", "execution"),
    "stores": ("errors", "tracking", "execution"),
    "session": ("errors", "mlproject", "parameters", "tracking", "execution", "stores"),
    "cli": (
        "stores",
        "errors",
        "mlproject",
        "parameters",
        "tracking",
        "flows",
        "execution",
        "scaffold",
        "validation",
    ),
}
EXCEPTIONS = {
    (f"execution/{module}.py", "tracking.protocol") for module in ("runner", "spool", "delivery", "recording")
}  # pure data, and the protocol that runs need

HOMES = {
    "click": "cli/",
    "rich": "cli/",
    "yaml": "mlproject/",
    "mlflow": "tracking/",
    "subprocess": "execution/process/",
    "signal": "execution/process/",
    "obstore": "execution/downloads/",
    "fsspec": "execution/downloads/",
}
LATE = ("mlflow", "boto3", "fsspec", "platformdirs", "prefect")


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each imported module, and whether it is imported when the file itself is."""
    tree = ast.parse(path.read_text())
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module, id(node) not in inner
            yield from ((f"{node.module}.{alias.name}", id(node) not in inner) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports_run_one_way(path: Path) -> None:
    part = place(path).removesuffix(".py").split("/")[0]
    if part in ("__init__", "__main__"):
        return
    for module, _ in imports(path):
        if not module.startswith("dioptra_cli."):
            continue
        target = module.removeprefix("dioptra_cli.")
        if any(place(path) == file and target.startswith(allowed) for file, allowed in EXCEPTIONS):
            continue
        other = target.split(".")[0]
        if (PACKAGE / other).exists() or (PACKAGE / f"{other}.py").exists():
            assert other in (part, *ALLOWED[part]), f"{place(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_modules_with_a_home_stay_there(path: Path) -> None:
    for module, at_import in imports(path):
        name = module.split(".")[0]
        if name in HOMES:
            assert place(path).startswith(HOMES[name]), f"{place(path)} imports {module}"
        assert not (name in LATE and at_import), f"{place(path)} imports {module} before it is needed"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    if place(path) == "execution/environment.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("environ", "getenv", "putenv") or ast.unparse(node.value) != "os", place(
                path
            )


@pytest.mark.parametrize("path", FILES, ids=place)
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    if place(path).startswith("cli/") or place(path) == "__main__.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("print", "sys.exit", "exit"), place(path)
