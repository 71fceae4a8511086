"""The checks of commands against their scripts."""

from __future__ import annotations

from dioptra_cli.validation.explanations import Explanation

EXPLANATIONS: dict[str, Explanation] = {}
