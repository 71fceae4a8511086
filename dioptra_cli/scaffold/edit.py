"""Adds an entry point to the text of an MLproject file, and makes sure that everything else in it stays.

Changes no file; writes one aside for the loader to read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from dioptra_cli.errors import DioptraError, Level, Problem
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.model import EntryPoint, Project
from dioptra_cli.scaffold import declare


def added(project: Project, new: EntryPoint) -> str | None:
    """Return the text of the project's file with another entry point: its comments and layout as they are.

    Returns:
        The text; None where the loader would not read the old entry points and the new one from it.

    Raises:
        DioptraError: The file cannot be read, or nothing can be written beside it.
    """
    assert project.file is not None
    try:
        with open(project.file, encoding="utf-8", newline="") as file:
            text = file.read()
        ending = "\r\n" if "\r\n" in text else "\n"
        lines = text.split(ending)
        if any("\r" in line or "\n" in line for line in lines):
            return None  # line ends of several kinds
        edited = declare.insert("\n".join(lines), list(project.entry_points.values()), new)
        if edited is None:
            return None
        edited = edited.replace("\n", ending)
        return edited if _means(edited, project, new) else None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DioptraError(Problem("unwritable-file", f"cannot add to '{project.file}': {reason}")) from error


def _means(text: str, project: Project, new: EntryPoint) -> bool:
    """Return whether the loader reads the entry points of `project` and the new one from `text`, and nothing else."""
    handle, aside = tempfile.mkstemp(prefix=".dioptra-new-", dir=project.directory)
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        before, after = loader.load(project.file or project.directory), loader.load(aside)
    finally:
        os.unlink(aside)
    if after.project is None or before.project is None:
        return False
    complaints = [
        [problem.name for problem in loaded.problems if problem.level is not Level.NOTE]
        for loaded in (before, after)
    ]
    return (
        complaints[0] == complaints[1]
        and after.project.environment == project.environment
        and _contents(after.project.entry_points) == _contents({**project.entry_points, new.name: new})
    )


def _contents(entry_points: Mapping[str, EntryPoint]) -> list[Any]:
    """Return what entry points say, without their places."""
    return [
        (
            name,
            e.description,
            e.command,
            [(p.name, p.type, p.default, p.description, p.choices) for p in e.parameters.values()],
        )
        for name, e in entry_points.items()
    ]
