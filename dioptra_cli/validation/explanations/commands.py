"""The checks of commands."""

from __future__ import annotations

from dioptra_cli.validation.explanations import Explanation

EXPLANATIONS: dict[str, Explanation] = {}
