"""The checks of the structure of a file."""

from __future__ import annotations

from dioptra_cli.validation.explanations import Explanation

EXPLANATIONS: dict[str, Explanation] = {}
