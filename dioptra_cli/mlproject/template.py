"""The command template: text with `{name}` placeholders, split exactly as `str.format` would split it.

Owns the syntax of placeholders and nothing else: what a placeholder means to the shell is `shell`'s business, and
what is put in its place is `dioptra_cli.execution.command`'s. Pure: no I/O, and parsing never raises.

The data are named tuples because every command of dioptra imports them, and a dataclass takes ten times as long to
make.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from dioptra_cli.errors import did_you_mean


class Literal(NamedTuple):
    """Text that goes into the command as it is, doubled braces already undone.

    Attributes:
        text: The text.
        offset: Where it starts in the template's source. A literal ends after each doubled brace, so the character
            at `text[i]` stands at `offset + i` in the source.
    """

    text: str
    offset: int


class Placeholder(NamedTuple):
    """A `{name}`; `offset` is where its `{` stands in the template's source."""

    name: str
    offset: int


class Fault(NamedTuple):
    """One thing that is wrong at one place of a template; `offset` counts from the start of its source."""

    offset: int
    name: str
    message: str
    hint: str | None = None


class Template(NamedTuple):
    """A parsed command. A field that is at fault stands among the pieces as the literal text it was written as."""

    source: str
    pieces: tuple[Literal | Placeholder, ...]
    faults: tuple[Fault, ...]

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """The placeholders, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Placeholder))

    @property
    def text(self) -> str:
        """The literal text with a NUL, which no command can contain, in the place of each placeholder."""
        return "".join("\0" if isinstance(piece, Placeholder) else piece.text for piece in self.pieces)

    def offset(self, index: int) -> int:
        """Return where in the source the character at `index` of `text` begins."""
        passed = 0
        for piece in self.pieces:
            length = 1 if isinstance(piece, Placeholder) else len(piece.text)
            if index < passed + length:
                return piece.offset + index - passed
            passed += length
        return len(self.source)


_PLAIN_FIELD = re.compile(r"\{([^{}.\[\]:!\0]+)\}")
_BRACE = re.compile(r"[{}]")
_BRACE_OR_NUL = re.compile(r"[{}\0]")
_FIELD_NAME_END = re.compile(r"[{}:!]|\[[^\]]*\]?")


def parse_template(text: str) -> Template:
    """Split `text` into literals and placeholders, and report every field that is not a plain `{name}`."""
    pieces: list[Literal | Placeholder] = []
    faults: list[Fault] = []
    start = position = 0

    parts = _PLAIN_FIELD.split(text)
    if not _BRACE_OR_NUL.search(" ".join(parts[::2])):  # nearly always: nothing but names between braces
        for number, part in enumerate(parts):
            if number % 2:
                pieces.append(Placeholder(part, start))
                start += len(part) + 2
            elif part:
                pieces.append(Literal(part, start))
                start += len(part)
        return Template(text, tuple(pieces), ())

    def close_literal(end: int) -> None:
        if end > start:
            pieces.append(Literal(text[start:end], start))

    while match := _BRACE_OR_NUL.search(text, position):
        at = match.start()
        position = at + 1
        if match[0] == "\0":
            faults.append(Fault(at, "nul-character", "a command cannot contain a NUL character"))
            close_literal(at)
            start = position
        elif text.startswith(match[0], position):
            close_literal(position)
            start = position = position + 1
        elif match[0] == "}":
            faults.append(
                Fault(at, "unbalanced-brace", "'}' without a '{'", "for a brace of its own write '}}'")
            )
        elif (end := _field_end(text, position)) is None:
            faults.append(
                Fault(at, "unbalanced-brace", "'{' without a '}'", "for a brace of its own write '{{'")
            )
        elif fault := _field_fault(text, at, end):
            faults.append(fault)
            position = end
        else:
            close_literal(at)
            pieces.append(Placeholder(text[at + 1 : end - 1], at))
            start = position = end
    close_literal(len(text))
    return Template(text, tuple(pieces), tuple(faults))


def undeclared_placeholders(template: Template, declared: Collection[str]) -> list[Fault]:
    """Return a fault for every placeholder whose name is not among `declared`."""
    faults = []
    for placeholder in template.placeholders:
        name, offset = placeholder.name, placeholder.offset
        if name in declared:
            continue
        if offset and template.source[offset - 1] == "$":
            faults.append(_shell_variable(template.source, offset, name))
            continue
        if name.strip() in declared:
            hint = f"write {{{name.strip()}}}, without blanks"
        else:
            hint = (
                _literal_text_hint(template.source, offset, name)
                or did_you_mean(name, declared)
                or f"declare it, or double the braces to keep them: {{{{{name}}}}}"
            )
        faults.append(Fault(offset, "undeclared-placeholder", f"no parameter is named '{name}'", hint))
    return faults


def _field_end(text: str, position: int) -> int | None:
    """Return where the field ends whose content starts at `position`, or None if `str.format` finds no end."""
    stop = _FIELD_NAME_END.search(text, position)
    while stop and stop[0].startswith("["):
        stop = _FIELD_NAME_END.search(text, stop.end())
    if stop is None or stop[0] == "{":
        return None
    depth = 1
    for brace in _BRACE.finditer(text, stop.start()):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    return None


def _field_fault(text: str, offset: int, end: int) -> Fault | None:
    """Return what is wrong with the field `text[offset:end]`, or None if it is a plain name."""
    content = text[offset + 1 : end - 1]
    name = re.split(r"[.\[:!]", content, maxsplit=1)[0]
    if content == "":
        hint = "name a parameter; for literal braces write '{{}}'"
        return Fault(offset, "empty-placeholder", "'{}' names no parameter", hint)
    if name == content:
        return None
    kinds = {
        ".": ("placeholder-attribute", "an attribute"),
        "[": ("placeholder-index", "an index"),
        "!": ("placeholder-conversion", "a conversion"),
        ":": ("placeholder-format-spec", "a format specification"),
    }
    if offset and text[offset - 1] == "$":
        return _shell_variable(text, offset, content)
    check, kind = kinds[content[len(name)]]
    message = f"'{{{content}}}' asks for {kind} ('{content[len(name) :]}'); a placeholder is a name only"
    plain = f"write {{{name}}}" if name else "name a parameter"
    return Fault(offset, check, message, _literal_text_hint(text, offset, name or content) or plain)


def _shell_variable(source: str, offset: int, content: str) -> Fault:
    """Return the fault of a `${…}` that `str.format` takes for a placeholder."""
    hint = f"write ${{{source[offset : _closing(source, offset)]}}} for a shell variable"
    message = f"'${{{content}}}' is read as the placeholder {{{content}}}"
    return Fault(offset, "shell-variable-in-braces", message, hint)


def _literal_text_hint(source: str, offset: int, name: str) -> str | None:
    """Return a hint if braces at `offset` that hold `name` look like text of the shell, awk or JSON."""
    if re.fullmatch(r"\w[\w -]*", name) and not re.fullmatch(r"[\d, ]*", name):
        return None
    return f"to keep the braces, double them: {{{source[offset : _closing(source, offset)]}}}"


def _closing(source: str, offset: int) -> int:
    end = _field_end(source, offset + 1)
    return len(source) if end is None else end
