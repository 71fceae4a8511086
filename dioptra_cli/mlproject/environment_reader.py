"""Reads the software environment that a project asks for, and refuses what MLflow's loader refuses in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import yaml

from dioptra_cli.errors import did_you_mean
from dioptra_cli.mlproject import keys
from dioptra_cli.mlproject.document import NULL, Entries, is_mapping, kind_of
from dioptra_cli.mlproject.mappings import MappingReader
from dioptra_cli.mlproject.model import EntryPoint, Environment

ENVIRONMENTS = ("docker_env", "conda_env", "python_env")
DOCKER_KEYS = ("image", "volumes", "environment")

_MOST_COMPARED = 100
"""Names that a misspelled one is compared with: a hint is not worth more time."""
_USUAL_FILES = {"python_env": "python_env.yaml", "conda_env": "conda.yaml"}
"""The environment files that MLflow takes even where no key names them, in the order in which it looks."""


def default_environment(directory: str) -> Environment | None:
    """Return the environment that a project asks for by the mere presence of a file, as MLflow sees it."""
    for kind, name in _USUAL_FILES.items():
        if os.path.exists(os.path.join(directory, name)):
            return Environment(kind, name)
    return None


class EnvironmentReader:
    """Reads the keys of a project that are about its environment.

    Args:
        reader: The reader of the file.
        directory: The absolute directory of the project.
    """

    def __init__(self, reader: MappingReader, directory: str) -> None:
        self.reader = reader
        self.directory = directory

    def read(self, top: Entries) -> Environment | None:
        """Return the environment of the project whose keys are `top`."""
        present = [kind for kind in ENVIRONMENTS if kind in top]
        if len(present) > 1:
            written = sorted(present, key=lambda kind: top[kind][0].start_mark.index)
            self.reader.refuse(
                "several-environments",
                f"only one environment is allowed, not {' and '.join(written)}",
                self.reader.source.at(top[written[1]][0]),
                "remove all but one",
            )
        if not present or not self.reader.value(top[present[0]][1]):
            return default_environment(self.directory)
        kind, (key, node) = present[0], top[present[0]]
        if kind == "docker_env":
            return self._docker(key, node)
        reference = self.reader.value(node)
        location = self.reader.source.at(node)
        if not isinstance(reference, str):
            self.reader.refuse(
                "environment-not-a-file",
                f"'{kind}' must name a file, not {kind_of(node)}",
                self.reader.source.at(key),
                f"write the environment to a file, and its name here: '{kind}: {_USUAL_FILES[kind]}'",
            )
            return None
        if not os.path.exists(os.path.join(self.directory, reference)):
            self.reader.refuse(
                "no-environment-file",
                f"the {kind} file '{reference}' does not exist",
                location,
                self._near_file(reference) or f"create it, or remove '{kind}'",
            )
        return Environment(kind, reference)

    def _near_file(self, reference: str) -> str | None:
        directory, name = os.path.split(os.path.join(self.directory, reference))
        try:
            names = os.listdir(directory)
        except OSError:
            return None
        return did_you_mean(name, names) if len(names) <= _MOST_COMPARED else None

    def _docker(self, key: Any, node: Any) -> Environment | None:
        """Return the image of a `docker_env`. Refuses what MLflow's loader refuses."""
        if not is_mapping(node):
            self.reader.refuse(
                "docker-not-a-mapping",
                f"'docker_env' must be a mapping, not {kind_of(node)}",
                self.reader.source.at(node),
                "write 'docker_env: {image: …}'",
            )
            return None
        entries = self.reader.mapping(node)
        image = self.reader.value(entries["image"][1]) if "image" in entries else None
        misspelled = None
        if not image:
            misspelled = next((name for name in entries if keys.slip_of(name, DOCKER_KEYS) == "image"), None)
            place = entries["image"][0] if "image" in entries else key
            self.reader.refuse(
                "docker-without-image",
                "'docker_env' names no image" + (f", but a key '{misspelled}'" if misspelled else ""),
                self.reader.source.at(entries[misspelled][0] if misspelled else place),
                "did you mean 'image'?" if misspelled else "write its name behind 'image:'",
            )
        others = {name: pair for name, pair in entries.items() if name != misspelled}
        self.reader.unknown_keys(others, DOCKER_KEYS, "'docker_env'")
        if "environment" in entries and isinstance(entries["environment"][1], yaml.SequenceNode):
            self._check_variables(entries["environment"][1])
        for setting, kinds, expected in (
            ("volumes", (str,), "a list of texts, such as ['/host:/container']"),
            ("environment", (str, list), "a list of names and [name, value] pairs"),
        ):
            listed = self.reader.value(entries[setting][1]) if setting in entries else None
            if listed and not (isinstance(listed, list) and all(isinstance(i, kinds) for i in listed)):
                self.reader.refuse(
                    "docker-settings",
                    f"'{setting}' of 'docker_env' must be a list, not {kind_of(entries[setting][1])}"
                    if not isinstance(listed, list)
                    else f"'{setting}' of 'docker_env' holds something else than "
                    f"{expected.removeprefix('a list of ')}",
                    self.reader.source.at(entries[setting][0]),
                    f"write {expected}",
                )
        return Environment("docker_env", self.reader.text_of(entries["image"][1]) or "") if image else None

    def _check_variables(self, node: Any) -> None:
        """Note the variables that MLflow reads without a word, and that Docker or it then stumbles over."""
        for item in node.value:
            if isinstance(item, yaml.SequenceNode):
                fine = len(item.value) == 2 and all(isinstance(part, yaml.ScalarNode) for part in item.value)
            else:
                fine = not isinstance(item, yaml.ScalarNode) or not re.search("[=:\\s]", item.value)
            if not fine:
                shown = f"'{item.value}'" if isinstance(item, yaml.ScalarNode) else "this list"
                self.reader.note(
                    "docker-variable",
                    f"{shown} is neither the name of a variable nor a pair of name and value",
                    self.reader.source.at(item),
                    "write NAME to pass a variable on, or [NAME, value] to set one",
                )

    def check_databricks(self, top: Entries, entry_points: Mapping[str, EntryPoint]) -> None:
        """Refuse what MLflow's loader refuses in a `databricks_spark_job`, and warn: it needs Databricks."""
        key, node = top["databricks_spark_job"]
        location = self.reader.source.at(key)
        if node.tag == NULL:
            return
        complaints = []
        if not is_mapping(node):
            complaints.append(f"'databricks_spark_job' must be a mapping, not {kind_of(node)}")
        elif _is_absent(self.reader.mapping(node), "python_file") == (not entry_points):
            complaints.append(
                "a 'databricks_spark_job' needs either its 'python_file' or 'entry_points', and not both"
            )
        if any(p.type == "path" for entry in entry_points.values() for p in entry.parameters.values()):
            complaints.append("a 'databricks_spark_job' allows no parameters of type path")
        complaints += [f"a 'databricks_spark_job' allows no '{kind}'" for kind in ENVIRONMENTS if kind in top]
        for complaint in complaints:
            self.reader.refuse("databricks-settings", complaint, location, "remove one of the two")
        if not complaints:
            self.reader.note(
                "needs-databricks",
                "a 'databricks_spark_job' runs on Databricks only; here its commands run on this machine",
                location,
                "to run its 'python_file' here, make it an entry point",
            )


def _is_absent(entries: Entries, key: str) -> bool:
    return key not in entries or entries[key][1].tag == NULL
