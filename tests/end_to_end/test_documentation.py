"""Every command that the documentation shows, run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("sample_projects/*/README.md"))
)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Yield what a reader of the page does, in order: writes a file (its name, its text), or runs a line ("", line).

    A block of Python or YAML is a file if its first line is a comment with a path, such as `# src/train.py`.
    """
    for language, text in re.findall(
        r"^```(sh|python|yaml)\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    ):
        file = re.match(r"# ([\w-]+/[\w./-]+)\n", text)
        if language == "sh":
            yield from (("", line) for line in text.splitlines())
        elif file:
            yield file[1], text


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_the_commands_of_a_page_work(page: str, store: Any, tmp_path: Path) -> None:
    (tmp_path / "sample_projects").symlink_to(ROOT / "sample_projects")
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    (bin_directory / "dioptra").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dioptra_cli "$@"\n')
    (bin_directory / "dioptra").chmod(0o755)
    path = os.pathsep.join([str(bin_directory), os.path.dirname(sys.executable), os.environ["PATH"]])
    known: dict[str, str] = {}
    for file, line in steps(page):
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(line)
            continue
        command = re.sub(r"\b(TRAIN|FGM)_RUN_ID\b", lambda match: known[match[1]], line)
        command = command.replace("/tmp/", f"{tmp_path}/")
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": path,
                "OMP_NUM_THREADS": "1",
                "PREFECT_HOME": str(tmp_path / ".prefect"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        entry_point = re.search(r"-e (\w+)", command)
        run_id = re.search(r"^dioptra: finished after .*\brun (\w{32})\b", done.stderr, re.MULTILINE)
        if entry_point and run_id:
            known[entry_point[1].upper()] = run_id[1]
    assert all(run.status == "FINISHED" for run in store.runs)


@pytest.mark.parametrize("page", [page for page in PAGES if "TRAIN_RUN_ID" in (ROOT / page).read_text()])
def test_a_page_says_where_the_id_of_a_run_stands(page: str) -> None:
    assert "The line `finished after …` of its output has the id of" in (ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert "://" in target or ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_the_project_of_the_readme_is_valid(dioptra: Any, project: Any) -> None:
    (text,) = blocks("README.md", "yaml")
    assert yaml.safe_load(text)["entry_points"]["train"]
    directory = project(text)
    (directory / "src").mkdir()
    (directory / "src" / "train.py").touch()
    called = dioptra("validate", "--strict", str(directory))
    assert called.code == 0, called.out


def test_the_samples_are_valid(dioptra: Any) -> None:
    samples = [str(path.parent) for path in ROOT.glob("sample_projects/*/MLproject")]
    assert len(samples) >= 2
    called = dioptra("validate", "--strict", *samples)
    assert called.code == 0, called.out
