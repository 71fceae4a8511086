"""The SDK's packages beside those of an installed distribution of the same name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .conftest import CHILD_PATH


def test_an_installed_distribution_keeps_its_other_modules(tmp_path: Path) -> None:
    installed = tmp_path / "dioptra" / "sdk"
    for package in (installed.parent, installed, installed / "utilities", installed / "exceptions"):
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("installed = True\n")
        (package / "other.py").write_text("value = __name__\n")
    (installed / "utilities" / "paths.py").write_text("raise AssertionError('theirs')\n")
    code = """
from dioptra import other
from dioptra.sdk import other
from dioptra.sdk.utilities import other, paths
from dioptra.sdk.exceptions import other
assert other.value == "dioptra.sdk.exceptions.other"
"""
    path = os.pathsep.join([str(CHILD_PATH), str(tmp_path)])
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=True, timeout=60
    )


def test_imports_cost_no_heavy_package() -> None:
    code = """
import sys
import dioptra.sdk.exceptions, dioptra.sdk.generics
from dioptra.sdk.utilities import contexts, decorators, logging, paths
heavy = {"structlog", "numpy", "mlflow", "prefect", "multiprocessing", "typing_extensions", "importlib.metadata"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(CHILD_PATH)}
    subprocess.run([sys.executable, "-S", "-c", code], env=environment, check=True, timeout=60)
