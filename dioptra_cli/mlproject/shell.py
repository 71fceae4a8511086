"""How bash reads a command: its simple commands, and the place of each placeholder, whatever its value.

Owns what is said of bash's syntax, and reads the plain commands, as most are, itself; the others are read by
`shell_reader`, which is imported for them alone. A reading says for each placeholder what a value has to withstand
there. It errs on the side of refusing: a place where no value can be made safe is a fault, and so is a construct that
is not followed. It trusts the command's author and nobody else: what a program, or a later `eval "$X"`, makes of a
value that it was given is the author's choice.

Pure: it runs nothing. Writing values so that they withstand is `dioptra_cli.execution.command`'s business.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from dioptra_cli.mlproject.template import Fault, Placeholder, Template, parse_template


class Context(Enum):
    """What the shell takes the text around a placeholder for."""

    BARE = auto()
    SINGLE_QUOTED = auto()
    DOUBLE_QUOTED = auto()
    ANSI_C_QUOTED = auto()  # $'…'
    QUOTED_DEFAULT = auto()  # the word of "${name:-word}"
    HERE_DOCUMENT = auto()
    QUOTED_HERE_DOCUMENT = auto()  # <<'EOF', which takes every character as it is
    ARITHMETIC = auto()
    COMMENT = auto()


class Plain(Enum):
    """Which bare values may go without quotes, provided that all their characters are harmless."""

    ANY = auto()
    COMMAND = auto()  # not `time`, `if` or `X=1`
    BRACES = auto()  # not what a brace expansion would split, such as `a,b`
    DESCRIPTOR = auto()  # not a number, since a redirection follows
    TEST = auto()  # not an operator of [[ … ]], such as `-f`
    NONE = auto()


class Before(Enum):
    """What stands directly before a placeholder and would take the first characters of a value for its own."""

    NOTHING = auto()
    NAME = auto()  # $NAME
    BACKSLASH = auto()
    ESCAPE = auto()  # \x4 in $'…', which takes further digits
    SIGN = auto()  # + or - in arithmetic


class Slot(NamedTuple):
    """The place of one placeholder, as the shell sees it.

    Attributes:
        placeholder: The placeholder.
        context: What the shell takes the text around it for.
        plain: Which values may go without quotes, where the context is bare.
        before: What stands directly before it.
        backticks: For each backtick substitution around it, from within, the characters that lose a backslash.
        mangled: The characters that bash would not pass on from here, however they are quoted.
    """

    placeholder: Placeholder
    context: Context
    plain: Plain = Plain.ANY
    before: Before = Before.NOTHING
    backticks: tuple[str, ...] = ()
    mangled: str = ""


class HereDocument(NamedTuple):
    """The body of a here-document that holds placeholders.

    Attributes:
        delimiter: The line that ends it.
        strips_tabs: Whether tabs at the start of a line are dropped (`<<-`).
        substituted: Whether it stands in `$(…)`, where bash also ends it at a line with `delimiter` and then a `)`.
        lines: The lines with placeholders: literal text, and the numbers of placeholders.
    """

    delimiter: str
    strips_tabs: bool
    substituted: bool
    lines: tuple[tuple[str | int, ...], ...]


class Word(NamedTuple):
    """A word of a simple command.

    Attributes:
        text: Its text without quotes; NUL for each placeholder, `UNKNOWN` for what is substituted, matched against
            file names or otherwise not told by the command itself.
        start: Where it begins in `Template.source`.
        end: Where it ends there.
        parameters: The names of the placeholders in it, in order.
    """

    text: str
    start: int
    end: int
    parameters: tuple[str, ...]


class SimpleCommand(NamedTuple):
    """A program, builtin or function that is called, with its arguments.

    Attributes:
        words: From its name on, at least one; without the assignments before it and without redirections.
        certain: Whether it runs, unless what comes before it fails, and in the project's directory. False in a
            loop, `if`, `case`, function, group or substitution, after `||`, and behind `cd`, `exit` and the like.
        directory: The directory that it runs in, as `cd` names it, from the project's on; None where it is not
            certain that it runs, or where.
    """

    words: tuple[Word, ...]
    certain: bool
    directory: str | None = None


class ShellReading(NamedTuple):
    """A command as the shell reads it.

    Attributes:
        slots: One for each placeholder, in order; empty where there are faults.
        documents: The here-documents with placeholders.
        faults: The placeholders, or the constructs, with which no value is safe.
        end: The index in `Template.text` where further arguments of the last command belong, if it takes any.
        no_end: Why no arguments can be added, where `end` is None.
        commands: The simple commands, in the order of the text, as far as it could be followed.
        comments: Where each comment begins and ends in `Template.source`.
        unclear: Where the text could not be followed any further, if so. Without placeholders that is no fault.
        doubtful: Whether it was followed, but with syntax whose correctness is for bash to judge.
    """

    slots: tuple[Slot, ...]
    documents: tuple[HereDocument, ...]
    faults: tuple[Fault, ...]
    end: int | None
    no_end: str = ""
    commands: tuple[SimpleCommand, ...] = ()
    comments: tuple[tuple[int, int], ...] = ()
    unclear: Fault | None = None
    doubtful: bool = False


@lru_cache(maxsize=64)
def read_command(command: str) -> tuple[Template, ShellReading]:
    """Return a command's template and how bash reads it; several checks ask for the same one in turn."""
    template = parse_template(command)
    return template, read_shell(template)


def read_shell(template: Template) -> ShellReading:
    """Find out how bash reads a command. Never raises."""
    plain = _read_plain(template)
    if plain is not None:
        return plain
    from dioptra_cli.mlproject.shell_reader import read  # most commands do without

    return read(template)


def _read_plain(template: Template) -> ShellReading | None:
    """Return the reading of one program with plain words, as most commands are; None where it takes a closer look."""
    source = template.source.rstrip("\n")
    if "\n" in source and not _JOINED_WORDS.search(source):
        source = source.replace("\\\n", "  ")  # a line that goes on in the next, blanks between them
    if template.faults or _NOT_PLAIN.search(source):
        return None
    found = list(_SOURCE_WORD.finditer(source))
    if (
        not found
        or not PLAIN_NAME.fullmatch(found[0][0])
        or found[0][0] in KEYWORDS
        or found[0][0] in _BUILTINS
    ):
        return None
    words = []
    for word in found:
        text = word[0]
        if "{" not in text:
            words.append(Word(text, word.start(), word.end(), ()))
        else:
            parameters = _PLACEHOLDER_IN_WORD.findall(text)
            words.append(
                Word(_PLACEHOLDER_IN_WORD.sub("\0", text), word.start(), word.end(), tuple(parameters))
            )
    placeholders = template.placeholders
    shorter = sum([len(placeholder.name) + 1 for placeholder in placeholders])  # than the source is the text
    return ShellReading(
        tuple([Slot(placeholder, Context.BARE) for placeholder in placeholders]),
        (),
        (),
        found[-1].end() - shorter,
        commands=(SimpleCommand(tuple(words), True, ""),),
    )


KEYWORDS = frozenset(
    word
    for words in ("if then else elif fi case esac for select while until do done in", "function time coproc")
    for word in words.split()
)
"""The reserved words of letters only."""

UNKNOWN = "\x01"
"""In the text of a word: what the command itself does not tell."""

PLAIN_NAME = re.compile(r"[\w./-]+")
"""A program's name that stands for itself."""

# Anything but plain words and placeholders: doubled braces, and placeholders with blanks in their names, too.
_NOT_PLAIN = re.compile(r"[^\w./=:,+@%{} \t-]|\{\{|\}\}|\{[^{}]*[ \t]", re.ASCII)
_JOINED_WORDS = re.compile(r"\S\\\n\S")
_SOURCE_WORD = re.compile(r"[^ \t]+")
_PLACEHOLDER_IN_WORD = re.compile(r"\{([^}]*)\}")
_BUILTINS = frozenset((
    ".", ":", "[", "alias", "bg", "bind", "break", "builtin", "caller", "cd", "command", "compgen", "complete",
    "compopt", "continue", "declare", "dirs", "disown", "enable", "eval", "exec", "exit", "export",
    "fc", "fg", "getopts", "hash", "help", "history", "jobs", "kill", "let", "local", "logout",
    "mapfile", "popd", "printf", "pushd", "pwd", "read", "readarray", "readonly", "return", "set", "shift",
    "shopt", "source", "suspend", "test", "times", "trap", "type", "typeset", "ulimit", "umask",
    "unalias", "unset", "wait",
))  # fmt: skip
"""Those that may do more with a word than look at it: `echo`, `true` and `false` are not among them."""
