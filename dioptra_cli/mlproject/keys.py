"""What an unknown key was meant to be: a known one that is misspelled, or one that lost its colon or space.

Pure. Works on the text of a key alone; where it has exactly one meaning it also says how to mend it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from dioptra_cli.errors import did_you_mean

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SYNONYMS = {
    "help": "description",
    "desc": "description",
    "doc": "description",
    "about": "description",
    "options": "choices",
    "values": "choices",
    "enum": "choices",
    "allowed": "choices",
    "one_of": "choices",
    "value": "default",
    "dtype": "type",
    "params": "parameters",
    "args": "parameters",
    "arguments": "parameters",
    "inputs": "parameters",
    "cmd": "command",
    "run": "command",
    "script": "command",
    "exec": "command",
    "steps": "entry_points",
    "scripts": "entry_points",
    "commands": "entry_points",
    "env": "conda_env",
    "environment": "conda_env",
    "virtualenv": "python_env",
    "docker": "docker_env",
    "title": "name",
}
"""Words that other tools use for the same thing. A hint only: none is sure enough to be mended."""


_OTHER_WORDS = frozenset(("comment", "comments", "typo"))
"""Words near a key that mean something else."""


class Meant(NamedTuple):
    """What a key was meant to be.

    Attributes:
        key: The known key.
        problem: `unknown-key`, or `lost-key` where a value was swallowed by the key.
        hint: What to write.
        replaced: The part of the key, from its start, that is to be replaced; None where it is not certain.
        by: What replaces it.
    """

    key: str | None
    problem: str
    hint: str | None
    replaced: str | None = None
    by: str = ""


def meaning(name: str, known: Collection[str], present: Collection[str], *, empty: bool) -> Meant:
    """Return what was meant by a key that is not among `known`.

    Args:
        name: The key as YAML reads it.
        known: The keys that may stand here.
        present: The keys that do stand here.
        empty: Whether the key has no value, so that one may have become a part of it.
    """
    match = re.match(r"(\w+)(?:[\s:=]|->)+(?=[^\s:=])", name)
    if match and empty:
        first = match[1] if match[1] in known else _misspelled(match[1], known)
        if first is not None:
            rest = name[match.end() :]
            certain = first not in present
            return Meant(
                first,
                "lost-key",
                f"write '{first}: {rest}'",
                match[0] if certain else None,
                f"{first}: ",
            )
    near = _misspelled(name, known)
    if near is not None:
        certain = near not in present
        return Meant(near, "unknown-key", f"did you mean '{near}'?", name if certain else None, near)
    synonym = _SYNONYMS.get(name.lower())
    if synonym in known:
        return Meant(synonym, "unknown-key", f"did you mean '{synonym}'?")
    return Meant(None, "unknown-key", None if name.lower() in _OTHER_WORDS else did_you_mean(name, known))


def is_number(text: str) -> bool:
    """Return whether a text is a plain decimal number."""
    return bool(_NUMBER.fullmatch(text))


def _misspelled(name: str, known: Collection[str]) -> str | None:
    """Return the one known word that `name` is a slip of: one edit away, two in a longer word."""
    plain = name.lower().replace("-", "_")
    if plain in _OTHER_WORDS:
        return None
    near = [
        word
        for word in known
        if plain == word or _distance(plain, word, allowed := 1 + (len(word) > 6)) <= allowed
    ]
    return near[0] if len(near) == 1 and len(name) > 2 else None


def slip_of(name: str, known: Collection[str]) -> str | None:
    """Return the one of `known` that `name` misspells beyond doubt, or None."""
    return _misspelled(name, known)


def _distance(left: str, right: str, limit: int) -> int:
    """Return how many letters were added, dropped, changed or swapped with a neighbour; above `limit`, any more."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, char in enumerate(left, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != other))
            if i > 1 and j > 1 and char == right[j - 2] and left[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
