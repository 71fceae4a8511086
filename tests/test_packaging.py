"""What the wheel holds."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    code = f"import hatchling.build as b; print(b.build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        headers = email.message_from_bytes(wheel.read(metadata))
        (scripts,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "dioptra = dioptra_cli.__main__:main" in wheel.read(scripts).decode()
    packaged = {name for name in names if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "dioptra_cli"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    source = {p.relative_to(ROOT).as_posix() for p in (ROOT / "dioptra_cli").rglob("*") if p.is_file()}
    source = {name for name in source if "__pycache__" not in name}
    assert packaged == source
    assert set(tracked) <= packaged
    assert "dioptra_cli/py.typed" in packaged
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert headers["Requires-Python"] == ">=3.10"
    required = headers.get_all("Requires-Dist") or []
    for name in ("click", "pyyaml", "rich", "mlflow", "prefect", "obstore", "platformdirs", "structlog"):
        assert any(line.startswith(name) for line in required), name
