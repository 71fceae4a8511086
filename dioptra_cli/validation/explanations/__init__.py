"""Why each check exists, with an example that has the problem and one that has not.

Read by `dioptra validate --explain` and by the page of all checks; nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Explanation(NamedTuple):
    """What there is to know of one check.

    Attributes:
        why: What goes wrong, and why it is a mistake: one or two short paragraphs in Markdown.
        bad: A whole, small MLproject file that has the problem.
        good: The same file without it.
        files: Other files of the project, for checks that look at them; the same for both examples.
        language: What the examples are written in: `yaml`, or `console` where the problem is no text of a file. Such
            an example is a few calls, each behind a `$`; `good` goes on where `bad` ended.
    """

    why: str
    bad: str
    good: str
    files: Mapping[str, str] = {}
    language: str = "yaml"


TRAIN_SCRIPT: Mapping[str, str] = {"train.py": ""}
"""The files of an example whose command calls `train.py`, whatever that does."""


def explanations() -> dict[str, Explanation]:
    """Return the explanations of all checks by the checks' names."""
    from dioptra_cli.validation.explanations import commands, document, parameters, scripts, structure

    return {
        name: explanation
        for module in (document, structure, parameters, commands, scripts)
        for name, explanation in module.EXPLANATIONS.items()
    }
