"""Which Python a command gets, and what is installed in it, with a real virtual environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from dioptra_cli.execution import environment
from dioptra_cli.execution.packages import Installed, installed

BACKEND = """\
import zipfile
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "Editable_Thing-3.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.writestr("editable.pth", "/nowhere")
        info = "Editable_Thing-3.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: Editable.Thing\\nVersion: 3.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


def wheel(directory: Path, name: str, version: str) -> Path:
    """Write a wheel that holds nothing but its metadata."""
    file = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: none\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


def metadata(place: Path, entry: str, name: str, version: str, **files: str) -> None:
    """Write what an installer leaves behind."""
    directory = place / entry
    directory.mkdir(parents=True)
    file = "METADATA" if entry.endswith(".dist-info") else "PKG-INFO"
    (directory / file).write_text(f"Metadata-Version: 2.1\r\nName: {name} \r\nVersion: {version}\r\n")
    for other, text in files.items():
        (directory / other.replace("__", ".")).write_text(text)


def listed(*places: Path) -> list[str]:
    """Return what our own Python finds more with these on its import path than without them."""
    environ = {**os.environ, "PATH": os.path.dirname(sys.executable)}
    before = set(installed(environ, "/").packages)
    path = os.pathsep.join(["", *map(str, places)])
    return [line for line in installed({**environ, "PYTHONPATH": path}, "/").packages if line not in before]


def test_another_python_tells_what_pip_would(tmp_path: Path) -> None:
    venv, wheels, editable = tmp_path / "venv", tmp_path / "wheels", tmp_path / "ed it"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=120)
    wheels.mkdir()
    wheel(wheels, "Normal", "1.0")
    direct = wheel(tmp_path, "direct", "2.0")
    editable.mkdir()
    (editable / "backend.py").write_text(BACKEND)
    (editable / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    what = ["--no-index", "--find-links", str(wheels), "Normal", str(direct), "-e", str(editable)]
    subprocess.run([*pip, "install", "-q", "--no-build-isolation", *what], check=True, timeout=120)
    frozen = subprocess.run([*pip, "freeze", "--all"], check=True, capture_output=True, text=True).stdout
    expected = re.sub(r"(?m)^# Editable.*\n-e .*$", f"Editable.Thing @ {editable.as_uri()}", frozen)
    assert expected.count("@") == 2
    assert "Normal==1.0" in expected
    # The environment's own `bin` is all that PATH names, relative to where the command runs.
    child_path = os.pathsep.join([environment.CHILD_PATH, str(tmp_path)])
    (tmp_path / "sitecustomize.py").write_text("print('hello', flush=True)")
    for name in ("python", "python3"):
        environ = {**os.environ, "PATH": "venv/bin", "PYTHONPATH": child_path}
        found = installed(environ, str(tmp_path))
        assert found == Installed(
            str(venv / "bin" / name), sys.version.split()[0], "cpython", tuple(expected.splitlines())
        )
        # Now for `python3` alone; which of the two names is a link to the other depends on how we were called.
        base = (venv / "bin" / name).resolve()
        for each in ("python", "python3"):
            (venv / "bin" / each).unlink(missing_ok=True)
        (venv / "bin" / "python3").symlink_to(base)


def test_our_own_python_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dioptra_cli.execution.packages.capture", None)
    found = installed({**os.environ, "PATH": os.path.dirname(sys.executable)}, str(tmp_path))
    assert (found.version, found.implementation) == (sys.version.split()[0], sys.implementation.name)
    names = [re.split("==| @ ", line)[0].lower() for line in found.packages]
    assert {"click", "pyyaml", "mlflow"} <= set(names)
    assert names == sorted(set(names))
    # Where there is no Python, it is ours too.
    assert installed({**os.environ, "PATH": str(tmp_path)}, str(tmp_path)) == Installed(
        sys.executable, found.version, found.implementation, found.packages
    )


def test_one_environment_that_changes_the_path_gives_other_packages(tmp_path: Path) -> None:
    user = tmp_path / "user"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    metadata(user / "lib" / version / "site-packages", "mine-1.dist-info", "mine", "1")
    ask = {"PATH": os.path.dirname(os.path.realpath(sys.executable)), "PYTHONUSERBASE": str(user)}
    assert "mine==1" in installed(ask, str(tmp_path)).packages
    assert "mine==1" not in installed({**ask, "PYTHONNOUSERSITE": "1"}, str(tmp_path)).packages


DIRECT = {
    "git": (
        {"url": "https://u:pw@h/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}, "subdirectory": "s"},
        "thing @ git+https://***@h/r.git@abc#subdirectory=s",
    ),
    "archive": (
        {"url": "https://h/a.zip", "archive_info": {"hashes": {"sha256": "00"}}},
        "thing @ https://h/a.zip#sha256=00",
    ),
    "directory": ({"url": "file:///src/thing", "dir_info": {}}, "thing @ file:///src/thing"),
    "no URL": ({"dir_info": {}}, "thing==1"),
    "no mapping": ([1], "thing==1"),
}


@pytest.mark.parametrize("case", DIRECT)
def test_where_a_package_comes_from(tmp_path: Path, case: str) -> None:
    content, expected = DIRECT[case]
    metadata(tmp_path, "thing-1.dist-info", "thing", "1", direct_url__json=json.dumps(content))
    assert listed(tmp_path) == [expected]


def test_broken_metadata_are_left_out(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    metadata(first, "good_thing-1.dist-info", "good.thing", "1", direct_url__json="{")
    metadata(first, "old.egg-info", "old", "2")
    (first / "single-3.egg-info").write_text("Name: single\nVersion: 3\n")
    metadata(first, "~ood-1.dist-info", "left-behind", "1")
    metadata(first, "nameless.dist-info", "", "1")
    (first / "empty-1.dist-info").mkdir()
    (first / "text.dist-info").write_text("x")
    (first / "binary.dist-info").mkdir()
    (first / "binary.dist-info" / "METADATA").write_bytes(b"\xff\x00")
    metadata(second, "good_thing-2.dist-info", "Good-Thing", "2")  # is not the one imported
    zipped = tmp_path / "z.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("z-1.dist-info/METADATA", "Name: z\nVersion: 1\n")
    found = listed(first, tmp_path / "none", zipped, second)
    assert found == ["good.thing==1", "old==2", "single==3"]


@pytest.mark.parametrize("script", ["exit 3", "echo hello", "exec sleep 60"])
def test_a_python_that_says_nothing(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dioptra_cli.execution.packages._SECONDS", 0.5)
    python = tmp_path / "python"
    python.write_text(textwrap.dedent(f"#!/bin/sh\n{script}\n"))
    python.chmod(0o755)
    environ = {"PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]])}
    assert installed(environ, "/") == Installed(str(python), None, None, ())
