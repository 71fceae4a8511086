"""The checks of files and of YAML."""

from __future__ import annotations

from dioptra_cli.validation.explanations import Explanation

EXPLANATIONS: dict[str, Explanation] = {}
