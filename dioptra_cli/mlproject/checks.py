"""What is wrong with an entry point's command: placeholders, quoting that cannot be safe, YAML's traps.

Pure: works on the model and the file's text, and says nothing of values nor of what is on the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from dioptra_cli.errors import Edit, Location, Problem, did_you_mean
from dioptra_cli.mlproject.catalogue import level_of
from dioptra_cli.mlproject.model import EntryPoint
from dioptra_cli.mlproject.shell import Context, SimpleCommand, Word, read_command
from dioptra_cli.mlproject.template import Fault, undeclared_placeholders

_QUOTED = (Context.SINGLE_QUOTED, Context.DOUBLE_QUOTED, Context.ANSI_C_QUOTED)
_ESCAPED_BLANK = re.compile(r"(?<!\\)\\(?=[ \t]+(\S|\n))")
_ARGUMENT = re.compile(r"-{1,2}[A-Za-z\0]|[+~@]{0,2}[\w.@/-]+=")
_SHELL_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_ASSIGNMENT_LINE = re.compile(r"\n[ \t]*([A-Za-z_]\w*\+?=[^\s;&|()<>$`\\]*)[ \t]*(?=\n|\Z)", re.ASCII)
_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")
_CONTINUED = re.compile(r"(?<!\\)\\\Z")
_CODE = re.compile(r"\b(?:ssh|su)\b|\s-(?:[a-zA-Z]*[ceE]|-eval|-command)\b")
_LONGEST_COMMENT = 10_000  # characters; nobody writes a longer one, and finding its lines takes time
_HIDDEN_BY_COMMENT = re.compile(r"(?<!\S)--?[A-Za-z]|\{\w+\}")
_BACKSLASH_PATH = re.compile(
    r"(?:--?[\w-]+=)?((?:[A-Za-z]:|\.{1,2}|[\w{}.-]*[\w}])(?:\\[\w{}.-]+)*\\[A-Za-z][\w{}.-]*)\\?"
)
# Programs whose arguments hold backslashes that are no path.
_TEXT_TOOLS = frozenset(("awk", "echo", "find", "grep", "egrep", "perl", "printf", "rg", "sed", "tr"))


def check_entry_point(entry_point: EntryPoint, source: str = "") -> list[Problem]:
    """Return everything that is wrong with the command of an entry point and its use of the parameters.

    Args:
        entry_point: The entry point.
        source: The text of the file; without it no problem comes with a fix.
    """
    if entry_point.command is None:
        return []
    checker = _Checker(entry_point, entry_point.command, source)
    return [replace(problem, entry_point=entry_point.name) for problem in checker.problems()]


class _Span(NamedTuple):
    """A part of the command."""

    start: int
    end: int


class _Checker:
    """The checks of one command.

    Attributes:
        entry_point: The entry point.
        command: Its command.
        source: The text of the file, if known.
        template: The command's template.
        reading: How bash reads it.
        comments: As in the reading.
        fields: The names of the placeholders by offset.
    """

    def __init__(self, entry_point: EntryPoint, command: str, source: str) -> None:
        self.entry_point = entry_point
        self.command = command
        self.source = source
        self.template, self.reading = read_command(command)
        self.comments = self.reading.comments
        self.fields = {placeholder.offset: placeholder.name for placeholder in self.template.placeholders}

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong; each check that takes time first looks whether it can apply at all."""
        command, reading = self.command, self.reading
        faults = [*self.template.faults, *undeclared_placeholders(self.template, self.entry_point.parameters)]
        for fault in faults or reading.faults:  # the shell reads a faulty template wrongly
            yield Problem(
                fault.name,
                fault.message,
                self.place(fault.offset, self.end_of_field(fault)),
                level_of(fault.name),
                fault.hint,
            )
        yield from self.unused_parameters()
        if not command.strip():
            yield self.problem(
                "empty-command",
                f"the command of '{self.entry_point.name}' is empty",
                0,
                hint="it does nothing",
            )
            return
        if "\\" in command:
            yield from self.escaped_blanks()
            yield from self.trailing_backslash()
            yield from self.windows_paths()
        if "\n" in command.strip():
            yield from self.options_on_their_own_lines()
        if self.comments:
            yield from self.swallowing_comments()
        if reading.slots and not faults:
            yield from self.quoted_placeholders()
            yield from self.placeholders_in_code()

    # Places

    def place(self, start: int, end: int | None = None) -> Location:
        """Return the place of a part of the command."""
        location = self.entry_point.locate(start)
        part = self.command[start:end]
        escaped = {"'": "'", '"': '"\\'}.get(self.entry_point.style, "")
        if (
            end is None
            or location.column is None
            or re.search(r"\s", part)
            or any(c in part for c in escaped)
        ):
            return location  # it may not stand in the file as it stands here
        return location._replace(end=location.column + len(part))

    def problem(
        self,
        name: str,
        message: str,
        start: int,
        end: int | None = None,
        *,
        hint: str | None = None,
        fix: Iterable[Edit] = (),
    ) -> Problem:
        return Problem(name, message, self.place(start, end), level_of(name), hint, fix=tuple(fix))

    def before(self, offset: int) -> tuple[str, str]:
        """Return the line of the command above the one of `offset`, and what stands before that in its own."""
        start = self.command.rfind("\n", 0, offset) + 1
        above = self.command[self.command.rfind("\n", 0, max(start - 1, 0)) + 1 : max(start - 1, 0)]
        return above, self.command[start:offset]

    def line(self, offset: int) -> int:
        """Return the line of the file in which a part of the command begins."""
        return self.entry_point.locate(offset).line or 0

    def lines(self) -> list[str]:
        """Return the lines of the file, the first one empty, so that they count from 1."""
        return ["", *self.source.split("\n")]

    def end_of_field(self, fault: Fault) -> int | None:
        """Return where the placeholder ends that a fault is about."""
        name = self.fields.get(fault.offset)
        return None if name is None else fault.offset + len(name) + 2

    # Checks

    def unused_parameters(self) -> Iterator[Problem]:
        used = {placeholder.name for placeholder in self.template.placeholders}
        parameters = self.entry_point.parameters
        unused = [parameter for parameter in parameters.values() if parameter.name not in used]
        if not unused:
            return
        undeclared = used.difference(parameters)
        for parameter in unused:
            if self.template.faults and f"{{{parameter.name}" in self.command:
                continue
            if undeclared and did_you_mean(parameter.name, undeclared):
                continue  # the placeholder has been reported with this parameter's name
            yield Problem(
                "unused-parameter",
                f"the command does not use the parameter '{parameter.name}'",
                parameter.location,
                level_of("unused-parameter"),
            )

    def escaped_blanks(self) -> Iterator[Problem]:
        """Report backslashes that were to join lines, but escape a blank: one problem for all of them."""
        starts = {word.start for command in self.reading.commands for word in command.words}
        found, at_line_ends = [], []
        for match in _ESCAPED_BLANK.finditer(self.command):
            offset, following = match.start(), match.start(1)
            if offset not in starts:
                continue
            if match[1] == "\n":
                at_line_ends.append(offset)
            elif match[1] == "-" or self.line(offset) != self.line(following):
                found.append(offset)
        if at_line_ends:
            yield self.problem(
                "escaped-blank",
                "the blank behind this '\\' keeps it from joining the lines" + _times(at_line_ends),
                at_line_ends[0],
                at_line_ends[0] + 1,
                hint="end the line with the '\\'",
                fix=self.without_blanks_behind(at_line_ends) if self.entry_point.style == "|" else (),
            )
        if found:
            yield self.problem(
                "escaped-blank",
                "this '\\' makes the blank behind it part of an argument" + _times(found),
                found[0],
                found[0] + 1,
                hint="YAML has joined the lines already: remove the '\\', or write the command after '|'",
                fix=self.without_backslashes(found),
            )

    def without_blanks_behind(self, offsets: Iterable[int]) -> Iterator[Edit]:
        lines = self.lines() if self.source else []
        for offset in offsets:
            place = self.entry_point.locate(offset)
            if lines and place.line and place.column:
                yield Edit(place.line, place.column + 1, len(lines[place.line]) - place.column, "")

    def without_backslashes(self, offsets: Iterable[int]) -> list[Edit]:
        """Return the changes that take away backslashes, with the blanks before them, if all are at ends of lines."""
        lines, edits = self.lines() if self.source else [], []
        for offset in offsets:
            place = self.entry_point.locate(offset)
            if not lines or place.line is None or place.column is None:
                return []
            line = lines[place.line]
            kept = line[: place.column - 1].rstrip()
            if not kept or kept.endswith(":") or line[place.column - 1 :].rstrip() != "\\":
                return []  # an empty line would not be joined
            edits.append(Edit(place.line, len(kept) + 1, len(line) - len(kept), ""))
        return edits

    def trailing_backslash(self) -> Iterator[Problem]:
        text = self.command.rstrip()
        backslashes = len(text) - len(text.rstrip("\\"))
        if backslashes % 2 == 0 or self.reading.unclear:
            return
        offset = len(text) - 1
        if any(start <= offset < end for start, end in self.reading.comments):
            return
        yield self.problem(
            "trailing-backslash",
            "the command ends in '\\'",
            offset,
            offset + 1,
            hint="remove it: there is no next line to join",
            fix=self.without_backslashes([offset]),
        )

    def windows_paths(self) -> Iterator[Problem]:
        refused = [fault.offset for fault in self.reading.faults]
        for command in self.reading.commands:
            if command.words[0].text in _TEXT_TOOLS:
                continue
            for word in command.words:
                written = self.command[word.start : word.end]
                match = _BACKSLASH_PATH.fullmatch(written) if "\\" in written else None
                if match and not any(word.start <= offset < word.end for offset in refused):
                    path = match[1]
                    yield self.problem(
                        "windows-path",
                        f"the shell takes the backslashes away from '{path}'",
                        word.start + match.start(1),
                        word.start + match.end(1),
                        hint=f"write '{path.replace(chr(92), '/')}'",
                    )

    def options_on_their_own_lines(self) -> Iterator[Problem]:
        """Report the arguments that run as commands, since their lines are not joined: one problem for each command.

        A line that begins with an option is surely none of its own; one that begins with `{name}` or `name=value`
        belongs to those around it.
        """
        head: SimpleCommand | None = None
        strays: list[_Span] = []
        for command in self.reading.commands:
            first, last = command.words[0], command.words[-1]
            if self.before(first.start)[1].strip(" \t"):
                if not strays:
                    head = command
            elif head is not None and self.is_stray(first, bool(strays)):
                strays.append(_Span(first.start, last.end))
            else:
                yield from self.stray(head, strays)
                head, strays = command, []
        if self.reading.commands and not self.reading.unclear:
            strays += self.assignments(self.reading.commands[-1].words[-1].end)
        yield from self.stray(head, strays)

    def is_stray(self, word: Word, follows_stray: bool) -> bool:
        """Return whether a word at the start of a line is an argument of the command above."""
        if _ARGUMENT.match(word.text) and not _SHELL_ASSIGNMENT.match(word.text):
            above = self.before(word.start)[0]
            return not (
                above[-1:] in (" ", "\t") and above.rstrip(" \t").endswith("\\")
            )  # a problem of its own
        if word.text != "\0":
            return False
        return follows_stray or (self.entry_point.style == ">" and self.command[word.start - 1] in " \t")

    def assignments(self, start: int) -> Iterator[_Span]:
        """Yield the last lines of the command if they are assignments, which nothing could use."""
        lines = list(_ASSIGNMENT_LINE.finditer(self.command, start))
        if lines and "".join(line[0] for line in lines) == self.command[start:].rstrip():
            for line in lines:
                yield _Span(line.start(1), line.end(1))

    def stray(self, head: SimpleCommand | None, strays: Sequence[_Span]) -> Iterator[Problem]:
        if head is None or not strays:
            return
        start = strays[0].start
        between = head.words[-1].end, start
        if any(
            between[0] <= comment < between[1] and self.cuts(comment, end) for comment, end in self.comments
        ):
            return  # a problem of its own
        message = "this line runs as a command of its own"
        if len(strays) > 1:
            message = f"this line and {len(strays) - 1} more run as commands of their own"
        hint = "end the line before it with '\\'"
        fix: list[Edit] = []
        if self.entry_point.style != "|" and self.source and not self.lines()[self.line(start) - 1].strip():
            hint = "take away the empty line before it"
        elif self.entry_point.style == ">":
            hint = "YAML keeps the end of a line next to a deeper one: indent all lines alike"
            fix = self.dedented(head, strays[-1].end)
        elif self.entry_point.style == "|":
            fix = self.continued(head, strays[-1].start)
        spans = (_Span(head.words[0].start, head.words[-1].end), *strays)
        if any(self.command[one.end : other.start].strip(" \t\n\\") for one, other in pairwise(spans)):
            fix = []  # something ends a command in between
        option = _OPTION.match(self.command, start)
        end = option.end() if option else strays[0].end
        yield self.problem("option-on-its-own-line", message, start, end, hint=hint, fix=fix)

    def dedented(self, head: SimpleCommand, end: int) -> list[Edit]:
        """Return the changes to a folded block that indent a command's lines alike; none where more would join."""
        start = head.words[0].start
        if not self.source or self.command[end:].strip() or self.before(start)[1][:1] in (" ", "\t"):
            return []
        first, last = self.line(start), self.line(end - 1)
        block = self.lines()[first : last + 1]
        base = _indentation(block[0])
        if any(not line.strip() or line.rstrip().endswith("\\") or "#" in line for line in block):
            return []
        return [
            Edit(first + number, base + 1, _indentation(line) - base, "")
            for number, line in enumerate(block)
            if _indentation(line) > base
        ]

    def continued(self, head: SimpleCommand, end: int) -> list[Edit]:
        """Return the changes to a literal block that join a command's lines with backslashes."""
        if not self.source or self.reading.unclear:
            return []
        first = self.line(head.words[-1].start)
        block = self.lines()[first : self.line(end)]
        if any(not line.strip() or "#" in line for line in block):
            return []
        return [
            Edit(first + number, len(line.rstrip()) + 1, len(line) - len(line.rstrip()), " \\")
            for number, line in enumerate(block)
            if not line.rstrip().endswith("\\")
        ]

    def cuts(self, start: int, end: int) -> bool:
        """Return whether a comment ends a command that was to go on in the lines after it."""
        above, before = self.before(start)
        if not before.strip(" \t") and _CONTINUED.search(above):
            return re.match(r"\n[ \t]*(?:-{1,2}[A-Za-z]|\{\w+\}|\S+=)", self.command[end:]) is not None
        takes_backslash = self.command[start:end].endswith("\\")
        return takes_backslash and re.match(r"\n[ \t]*-{1,2}[A-Za-z]", self.command[end:]) is not None

    def swallowing_comments(self) -> Iterator[Problem]:
        """Report comments that swallow what was meant to run."""
        for start, end in self.comments:
            message = None
            if self.cuts(start, end):
                message = "this comment ends the command: the lines after it do not belong to it any more"
            elif any(_HIDDEN_BY_COMMENT.search(line) for line in self.joined_lines(start, end)):
                message = "this comment goes on to the end of the joined lines, and takes the options after it along"
            if message:
                hint = "move it before the command, or delete it"
                yield self.problem("commented-out-options", message, start, hint=hint)

    def joined_lines(self, start: int, end: int) -> Iterator[str]:
        """Yield the lines of the file that YAML joined to a comment and that are none themselves."""
        if self.entry_point.style == "|" or end - start > _LONGEST_COMMENT:
            return
        lines: dict[int, int] = {}
        for match in re.finditer(r"\S+", self.command[start:end]):
            lines.setdefault(self.line(start + match.start()), start + match.start())
        bounds = [*lines.values(), end]
        for begin, stop in pairwise(bounds[1:]):
            if self.command[begin] != "#":
                yield self.command[begin:stop]

    def quoted_placeholders(self) -> Iterator[Problem]:
        quoted = [slot.placeholder for slot in self.reading.slots if slot.context in _QUOTED]
        in_code = {name for _, word in self.code() for name in word.parameters}
        quoted = [placeholder for placeholder in quoted if placeholder.name not in in_code]
        if quoted:
            names = list(dict.fromkeys(f"{{{placeholder.name}}}" for placeholder in quoted))
            first = quoted[0]
            several = len(names) > 1
            yield self.problem(
                "quoted-placeholder",
                f"{_listed(names)} {'stand' if several else 'stands'} in quotes, to which MLflow adds its own",
                first.offset,
                first.offset + len(first.name) + 2,
                hint=self.unquoting_hint(first.offset),
            )

    def unquoting_hint(self, offset: int) -> str:
        """Return how to write the word with the placeholder at `offset` without quotes around that."""
        words = [w for c in self.reading.commands for w in c.words if w.start <= offset < w.end]
        if words and re.search(r"[\s;&|<>()*?#~$`'\"\\]", words[0].text):
            return "leave it outside of the quotes: a value is always one word"
        return "leave the quotes away: a value is always one word"

    def code(self) -> Iterator[tuple[str, Word]]:
        """Yield the words that another interpreter runs, each with that interpreter's name."""
        if not _CODE.search(self.command):
            return
        from dioptra_cli.mlproject.usage import code_words  # hardly any command needs it

        for command in self.reading.commands:
            if len(command.words) > 1:
                yield from code_words(command)

    def placeholders_in_code(self) -> Iterator[Problem]:
        for program, word in self.code():
            if "\0" not in word.text or word.text == "\0":  # which is code by intention
                continue
            inside = [p for p in self.template.placeholders if word.start <= p.offset < word.end]
            names = list(dict.fromkeys(f"{{{placeholder.name}}}" for placeholder in inside))
            yield self.problem(
                "placeholder-in-code",
                f"'{program}' runs what it is given as code, and the value of {_listed(names)} becomes part of it",
                inside[0].offset,
                inside[0].offset + len(inside[0].name) + 2,
                hint=_CODE_HINTS.get(program, "pass it as an argument").replace("{x}", names[0]),
            )


_CODE_HINTS = {
    **{
        shell: f"pass it as an argument: {shell} -c '… \"$1\"' _ {{x}}"
        for shell in ("bash", "sh", "zsh", "dash")
    },
    **dict.fromkeys(("ssh", "su"), 'quote it for the other shell: "… $(printf %q {x})"'),
    **dict.fromkeys(("python", "python3"), "pass it as an argument, which the code finds in sys.argv[1]"),
}


def _times(offsets: Sequence[int]) -> str:
    return f" ({len(offsets)} times)" if len(offsets) > 1 else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
