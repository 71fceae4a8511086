"""From template and values to the text that `bash -c` runs.

Owns how a value is written so that bash passes on exactly that value, wherever its placeholder stands. How bash reads
the place is `dioptra_cli.mlproject.shell`'s knowledge. Pure: it runs nothing, and it knows no parameter types.

A value is written as MLflow would write it (`shlex.quote`) wherever that is safe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote

from dioptra_cli.mlproject.shell import (
    KEYWORDS,
    Before,
    Context,
    HereDocument,
    Plain,
    ShellReading,
    Slot,
    read_shell,
)
from dioptra_cli.mlproject.template import Template


@dataclass(frozen=True)
class Refusal:
    """A value that cannot be passed on unchanged.

    Attributes:
        parameter: The parameter's name; None where the command itself is at fault.
        value: Its value; None where the command itself is at fault.
        offset: Where in the template's source it would go; None for an undeclared parameter.
        reason: Why it cannot go there.
        hint: What to do.
    """

    parameter: str | None
    value: str | None
    offset: int | None
    reason: str
    hint: str | None = None


class RefusedValuesError(Exception):
    """Values, or places in the command, that no quoting makes safe. Carries every refusal."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("; ".join(refusal.reason for refusal in self.refusals))


def render_command(
    template: Template, values: Mapping[str, str], extra: Sequence[tuple[str, str]] = ()
) -> str:
    """Return the command with every value in its place.

    Args:
        template: A template without syntax faults.
        values: The value of each placeholder. Lone surrogates stand for bytes, as `os.fsdecode` makes them.
        extra: Names and values of undeclared parameters, to append as `--name value`.

    Raises:
        RefusedValuesError: At least one value cannot be passed on unchanged.
    """
    reading = read_shell(template)
    names = {placeholder.offset: placeholder.name for placeholder in template.placeholders}
    refusals = [
        Refusal(name, None if name is None else values[name], fault.offset, fault.message, fault.hint)
        for fault in reading.faults
        for name in [names.get(fault.offset)]
    ]
    written: list[str] = []
    for slot in reading.slots:
        try:
            written.append(_write(slot, values[slot.placeholder.name]))
        except _Unwritable as unwritable:
            written.append("")
            refusals.append(_refusal(slot, values, unwritable))
    refusals += _protect_documents(reading, values, written)
    for name, value in extra:
        if "\0" in name + value:
            refusals.append(Refusal(name, value, None, _NUL))
        elif reading.end is None:
            reason = f"'{name}' is not declared, and nothing can be added to the command: {reading.no_end}"
            hint = f"declare '{name}' and put {{{name}}} where it belongs"
            refusals.append(Refusal(name, value, None, reason, hint))
    if refusals:
        raise RefusedValuesError(refusals)

    literals = (template.text[: reading.end] if extra else template.text).split("\0")
    parts = [literals[0]]
    for slot, text, literal in zip(reading.slots, written, literals[1:], strict=True):
        for special in slot.backticks:
            text = _escape(text, special)  # noqa: PLW2901 - one layer more
        parts += [text, literal]
    parts += [f" --{quote(name)} {quote(value)}" for name, value in extra]
    return "".join(parts)


_NUL = "a command cannot contain a NUL character"


class _Unwritable(Exception):
    """A value that its slot cannot hold."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        self.reason, self.hint = reason, hint


def _refusal(slot: Slot, values: Mapping[str, str], unwritable: _Unwritable) -> Refusal:
    name = slot.placeholder.name
    return Refusal(name, values[name], slot.placeholder.offset, unwritable.reason, unwritable.hint)


def _write(slot: Slot, value: str) -> str:
    """Return `value` as it has to be written in its slot, backticks around it aside."""
    if "\0" in value:
        raise _Unwritable(_NUL)
    if mangled := [char for char in slot.mangled if char in value]:
        raise _Unwritable(
            f"bash would not pass on {mangled[0]!r} here in spite of all quotes",
            f'give the value to a variable first, X={{{slot.placeholder.name}}}, and write "$X"',
        )
    match slot.context:
        case Context.BARE:
            return f"'{value}'" if _is_misread(slot, value) else quote(value)
        case Context.SINGLE_QUOTED:
            return value.replace("'", "'\"'\"'")
        case Context.DOUBLE_QUOTED:
            return _write_escaped(slot, value, '\\$`"')
        case Context.QUOTED_DEFAULT:
            return _write_escaped(slot, value, '\\$`"}')
        case Context.HERE_DOCUMENT:
            return _write_escaped(slot, value, "\\$`")
        case Context.ANSI_C_QUOTED:
            return _write_ansi_c(slot, value)
        case Context.ARITHMETIC:
            return _write_number(slot, value)
        case Context.COMMENT if "\n" in value:
            raise _Unwritable("a comment cannot hold a line break", "take the placeholder out of the comment")
        case Context.COMMENT:
            return quote(value)
        case Context.QUOTED_HERE_DOCUMENT:
            return value


def _is_plain(value: str) -> bool:
    return quote(value) == value


def _is_misread(slot: Slot, value: str) -> bool:
    """Return whether bash would take a value of harmless characters for more than text where it stands."""
    if not _is_plain(value):
        return False
    if slot.before is Before.NAME and _extends_name(value):
        return True
    match slot.plain:
        case Plain.ANY:
            return False
        case Plain.COMMAND:
            return value in KEYWORDS or "=" in value or value.startswith(("-", "+"))
        case Plain.BRACES:
            return "," in value or ".." in value or value.startswith(".") or value.endswith(".")
        case Plain.DESCRIPTOR:
            return value.isdigit()
        case Plain.TEST:
            return re.match(r"[\w/.,:@%]", value) is None
        case Plain.NONE:
            return True


def _extends_name(value: str) -> bool:
    return value[:1].isalnum() or value[:1] == "_" or not value[:1].isascii()


def _escape(value: str, special: str) -> str:
    return "".join(f"\\{char}" if char in special else char for char in value)


def _write_escaped(slot: Slot, value: str, special: str) -> str:
    """Write a value where a backslash quotes the characters of `special`, a line break and nothing else."""
    text = _escape(value, special)
    if slot.before is Before.NAME and _extends_name(value):
        return ('""' if slot.context is Context.DOUBLE_QUOTED else _guard(slot)) + text
    if slot.before is Before.BACKSLASH and (not value or value[0] in special + "\n\x01\x7f"):
        return "\\" + text  # so that the backslash in the command stands for itself
    return text


def _guard(slot: Slot) -> str:
    """Return what keeps the value off the text before it, in a place where it cannot have quotes of its own."""
    if "{" in slot.mangled:
        raise _Unwritable(
            "bash would take the value's first character for its own", "write $(…) instead of backticks"
        )
    return "${_+}"  # expands to nothing, whatever $_ is


def _write_ansi_c(slot: Slot, value: str) -> str:
    text = _escape(value, "\\'")
    if slot.before is Before.ESCAPE and re.match(r"[0-9A-Fa-f]", value):
        return f"\\{ord(value[0]):03o}{text[1:]}"
    return text


def _write_number(slot: Slot, value: str) -> str:
    if not re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,18})", value) or not -(2**63) <= int(value) < 2**63:
        raise _Unwritable(
            f"'{value}' is not a whole number, and the shell would evaluate it",
            "the shell computes with whole numbers only, written without leading zeros",
        )
    return f"({value})" if slot.before is Before.SIGN and value[0] in "+-" else value


def _protect_documents(reading: ShellReading, values: Mapping[str, str], written: list[str]) -> list[Refusal]:
    """Keep values from ending a here-document or losing tabs: guard them in `written`, or refuse them."""
    refusals = {}
    for document in reading.documents:
        for line in document.lines:
            if not _breaks_document(document, line, written):
                continue
            for number in [part for part in line if isinstance(part, int)]:
                slot = reading.slots[number]
                try:
                    written[number] = _write_guarded(slot, values[slot.placeholder.name], document.delimiter)
                except _Unwritable as unwritable:
                    refusals[number] = _refusal(slot, values, unwritable)
    return list(refusals.values())


def _write_guarded(slot: Slot, value: str, delimiter: str) -> str:
    """Return a value for a here-document with no line that bash could take for the delimiter, or strip of tabs."""
    if slot.context is not Context.HERE_DOCUMENT:
        raise _Unwritable(
            f"a line of it would end the here-document at '{delimiter}', or lose its tabs",
            "choose another delimiter, and '<<' instead of '<<-'",
        )
    guard = _guard(slot)
    text = guard + _escape(value, "\\$`").replace("\n", "\n" + guard)
    return "\\" + text if slot.before is Before.BACKSLASH else text


def _breaks_document(document: HereDocument, line: Sequence[str | int], written: Sequence[str]) -> bool:
    text = "".join(part if isinstance(part, str) else written[part] for part in line)
    own_tabs = len(str(line[0])) - len(str(line[0]).lstrip("\t"))
    for row in text.split("\n"):
        stripped = row.lstrip("\t") if document.strips_tabs else row
        if document.delimiter in (row, stripped) or len(row) - len(stripped) > own_tabs:
            return True
        if document.substituted and stripped.startswith(document.delimiter) and ")" in stripped:
            return True
        own_tabs = 0
    return False
