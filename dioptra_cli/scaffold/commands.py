"""What the command of an entry point says about its script: the file, and the option of each parameter.

Pure, and a reader of the plain case: `python FILE --option {name} …`. Of any other command it says nothing.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from dioptra_cli.mlproject.template import Placeholder, parse_template

_PLACEHOLDER = re.compile("\0([^\0]*)\0")
_OPTION = re.compile(r"-{1,2}[^\W\d][\w.-]*")
_PYTHON = re.compile(r"(python|pypy)[\d.]*")
_OPERATORS = frozenset("();<>|&")


@dataclass(frozen=True)
class Usage:
    """How a command calls its script.

    Attributes:
        script: The file as the command names it; None if it runs none that could be told.
        options: The option before each parameter's placeholder; None for one that stands alone, as an argument.
        others: Options that the command passes without a parameter.
    """

    script: str | None = None
    options: Mapping[str, str | None] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def read(command: str) -> Usage:
    """Return how `command`, a template with placeholders, calls a Python script."""
    words = _words(command)
    position = next((i for i in range(len(words)) if _is_script(words, i)), None)
    if position is None:
        return Usage()
    options: dict[str, str | None] = {}
    others: list[str] = []
    waiting: str | None = None  # an option whose value may come next
    for word in words[position + 1 :]:
        if word[0] in _OPERATORS:
            break
        names = _PLACEHOLDER.findall(word)
        option, equals, _ = word.partition("=")
        if not names:
            if _OPTION.fullmatch(option):
                others.append(option)
                waiting = None if equals else option
            else:
                waiting = None
            continue
        if equals and _OPTION.fullmatch(option):
            used: str | None = option
        else:
            used, waiting = waiting, None
            if used is not None:
                others.pop()
        if len(names) == 1 and names[0] not in options and (used is None or used not in options.values()):
            options[names[0]] = used
    script = None if "cd" in words[:position] else words[position]
    return Usage(script, options, tuple(others))


def _words(command: str) -> list[str]:
    """Split a command as a shell does, the name of each placeholder between two NULs; nothing if it is unbalanced."""
    pieces = parse_template(command).pieces
    text = "".join(f"\0{p.name}\0" if isinstance(p, Placeholder) else p.text for p in pieces)
    # A blank in a placeholder's name would end the word.
    names = _PLACEHOLDER.findall(text)
    numbered = iter(range(len(names)))
    text = _PLACEHOLDER.sub(lambda _: f"\0{next(numbered)}\0", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return []
    return [_PLACEHOLDER.sub(lambda m: f"\0{names[int(m[1])]}\0", word) for word in words if word]


def _is_script(words: list[str], position: int) -> bool:
    word = words[position]
    if not word.endswith(".py") or "\0" in word or word.startswith("-"):
        return False
    before = words[:position]
    while before and before[-1].startswith("-"):
        if before.pop() in ("-m", "-c"):
            return False
    if len(before) > 2 and before[-2] in ("-W", "-X"):
        return _is_script([*before[:-2], word], len(before) - 2)
    return not before or bool(_PYTHON.fullmatch(os.path.basename(before[-1])))
