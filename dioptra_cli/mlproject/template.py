"""The command template: text with `{name}` placeholders, split exactly as `str.format` would split it.

Owns the syntax of placeholders and nothing else: what a placeholder means to the shell is `shell`'s business, and
what is put in its place is `dioptra_cli.execution.command`'s. Pure: no I/O, and parsing never raises.

The data are named tuples because every command of dioptra imports them, and a dataclass takes ten times as long to
make.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
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


class Unfilled(NamedTuple):
    """What stands in a command in the place of a placeholder, and is left as it is.

    Attributes:
        name: The name that it holds.
        text: What is written.
        start: Where it begins.
    """

    name: str
    text: str
    start: int

    def breaks(self, fault: Fault) -> bool:
        """Return whether a fault is that this is no shell syntax."""
        return self.text[0] in "%<" and self.start <= fault.offset <= self.start + len(self.text)


class Template(NamedTuple):
    """A parsed command. A field that is at fault stands among the pieces as the literal text it was written as.

    `placeholders` are those among the pieces, in order.
    """

    source: str
    pieces: tuple[Literal | Placeholder, ...]
    faults: tuple[Fault, ...]
    placeholders: tuple[Placeholder, ...]

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
_KINDS = {
    ".": ("placeholder-attribute", "an attribute"),
    "[": ("placeholder-index", "an index"),
    "!": ("placeholder-conversion", "a conversion"),
    ":": ("placeholder-format-spec", "a format specification"),
}
_ASKING_FOR_MORE = frozenset(check for check, _ in _KINDS.values())
_MOST_LISTED = 5


def parse_template(text: str) -> Template:
    """Split `text` into literals and placeholders, and report every field that is not a plain `{name}`."""
    pieces: list[Literal | Placeholder] = []
    placeholders: list[Placeholder] = []
    faults: list[Fault] = []
    start = position = 0

    parts = _PLAIN_FIELD.split(text)
    if not _BRACE_OR_NUL.search(" ".join(parts[::2])):  # nearly always: nothing but names between braces
        for number, part in enumerate(parts):
            if number % 2:
                placeholders.append(Placeholder(part, start))
                pieces.append(placeholders[-1])
                start += len(part) + 2
            elif part:
                pieces.append(Literal(part, start))
                start += len(part)
        return Template(text, tuple(pieces), (), tuple(placeholders))

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
            placeholders.append(Placeholder(text[at + 1 : end - 1], at))
            pieces.append(placeholders[-1])
            start = position = end
    close_literal(len(text))
    return Template(text, tuple(pieces), tuple(faults), tuple(placeholders))


def all_faults(template: Template, declared: Collection[str]) -> list[Fault]:
    """Return what is wrong with a template's fields, given the names of the parameters that are `declared`."""
    if not template.faults:
        return undeclared_placeholders(template, declared)
    return [
        *(_with_names(template.source, fault, declared) for fault in template.faults),
        *undeclared_placeholders(template, declared),
    ]


def undeclared_placeholders(template: Template, declared: Collection[str]) -> list[Fault]:
    """Return the faults of the placeholders whose names are not among `declared`.

    There is one for each name of which more can be said than that it is not declared, and one for all others.
    """
    faults: list[Fault] = []
    others: list[Placeholder] = []
    seen: set[str] = set()
    for placeholder in template.placeholders:
        name, offset = placeholder.name, placeholder.offset
        if name in declared or name in seen:
            continue
        seen.add(name)
        if offset and template.source[offset - 1] == "$":
            faults.append(_shell_variable(template.source, offset, name))
            continue
        if name.strip() in declared:
            hint: str | None = f"write {{{name.strip()}}}, without spaces"
        elif f"{{{name}}}" in declared:
            hint = "leave the braces out of the parameter's name"
        else:
            hint = _literal_text_hint(template.source, offset, name) or did_you_mean(name, declared)
        if hint:
            faults.append(_undeclared(offset, [name], hint))
        else:
            others.append(placeholder)
    if others:
        names = [placeholder.name for placeholder in others]
        it = "it" if len(names) == 1 else "them"
        hint = f"declare {it}, or double the braces to keep them: {{{{{names[0]}}}}}"
        faults.append(_undeclared(others[0].offset, names, hint))
    return faults


def unfilled(command: str) -> list[Unfilled]:
    """Return what may have been meant as placeholders: `{{x}}`, `${{x}}`, `$x`, `<x>`, `[x]`, `%(x)s`, `--x x`."""
    found = []
    # Compiled when it is needed, which is hardly ever.
    for match in re.finditer(
        r"\$?\{\{ *(?P<braces>[\w-]+) *\}\}|(?<![\\$])\$(?P<variable>\w+)|<(?P<angles>[\w-]+)>"
        r"|(?<![^\s=])\[(?P<brackets>[\w-]+)\](?!\S)|%\((?P<percent>[\w-]+)\)[a-z]|%(?P<windows>\w+)%"
        r"|(?<!\S)--?(?P<option>[\w-]+)[ =](?P<literal>(?P=option))(?!\S)",
        command,
    ):
        kind = match.lastgroup or ""
        name = match[kind]
        if match[0][0] == "$" and re.search(rf"\b(?:{name}=|(?:for|read|select) {name}\b)", command):
            continue  # a variable of the command's own
        start = match.start(kind) if kind == "literal" else match.start()
        found.append(Unfilled(name, command[start : match.end()], start))
    return found


def _undeclared(offset: int, names: Sequence[str], hint: str) -> Fault:
    listed = [f"'{name}'" for name in names[:_MOST_LISTED]]
    if len(names) > _MOST_LISTED:
        listed.append(f"{len(names) - _MOST_LISTED} more")
    message = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"
    return Fault(offset, "undeclared-placeholder", f"no parameter is named {message}", hint)


def _with_names(source: str, fault: Fault, declared: Collection[str]) -> Fault:
    """Return the fault of a field that asks for more than a value, with a hint that fits the parameters."""
    if fault.name not in _ASKING_FOR_MORE:
        return fault
    content = source[fault.offset + 1 : _closing(source, fault.offset) - 1]
    name = _field_name(content)
    if name in declared:
        return fault
    if content in declared:
        usable = re.sub(r"[^\w-]+", "_", content).strip("_") or "x"
        hint = f"such a name cannot stand in a placeholder: rename the parameter, to '{usable}' for example"
        return fault._replace(hint=hint)
    near = did_you_mean(content, declared) or did_you_mean(name, declared)
    literal = _literal_text_hint(source, fault.offset, name or content)
    declare = f"declare '{name}' and write {{{name}}}, or double the braces to keep them"
    return fault._replace(hint=literal or near or declare)


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
    name = _field_name(content)
    if content == "":
        hint = "name a parameter; for literal braces write '{{}}'"
        return Fault(offset, "empty-placeholder", "'{}' names no parameter", hint)
    if name == content:
        return None
    if offset and text[offset - 1] == "$":
        return _shell_variable(text, offset, content)
    check, kind = _KINDS[content[len(name)]]
    message = f"'{{{content}}}' asks for {kind} ('{content[len(name) :]}'); a placeholder is a name only"
    plain = f"write {{{name}}}" if name else "name a parameter"
    return Fault(offset, check, message, _literal_text_hint(text, offset, name or content) or plain)


def _field_name(content: str) -> str:
    """Return what `str.format` takes for the name in the content of a field."""
    return re.split(r"[.\[:!]", content, maxsplit=1)[0]


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
