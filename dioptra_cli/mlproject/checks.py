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
from dioptra_cli.mlproject.template import Fault, Unfilled, all_faults, unfilled

_QUOTED = (Context.SINGLE_QUOTED, Context.DOUBLE_QUOTED, Context.ANSI_C_QUOTED)
# Patterns that few commands need are compiled by their first use: all of them would take a millisecond of each start.
_ESCAPED_BLANK = r"(?<!\\)\\(?=[ \t]+(\S|\n))"
_ARGUMENT = r"-{1,2}[A-Za-z\0]|[+~@]{0,2}[\w.@/-]+="
_SHELL_ASSIGNMENT = r"(?a)[A-Za-z_]\w*\+?="
_ASSIGNMENT_LINE = r"(?a)\n[ \t]*([A-Za-z_]\w*\+?=[^\s;&|()<>$`\\]*)[ \t]*(?=\n|\Z)"
_OPTION = r"--?[A-Za-z][\w.-]*"
_CONTINUED = r"(?<!\\)\\\Z"
_CODE = re.compile(r"\b(?:ssh|su)\b|\s-(?:[a-zA-Z]*[ceE]|-eval|-command)\b")
_UNUSABLE_NAME = r"[.:\[!{}]"  # in a placeholder
_YAML_WORDS = frozenset(("True", "False", "None"))  # which a name written as `yes` or `null` becomes
_WRITTEN_NAME = r"\s*[\w.-]+"
_OTHER_JOINERS = ("/", "^")  # what is taken for the backslash at the end of a line
# In the following, the en and em dash, and the curly quotes: double ones (with the low one), and single ones.
_TYPOGRAPHIC_DASH = "(-?[\u2013\u2014]-?|[\u2013\u2014]{2})[A-Za-z]([A-Za-z_-]?)"
_DOUBLE_QUOTES = "\u201c\u201d\u201e"
_SINGLE_QUOTES = "\u2018\u2019"
_TYPOGRAPHIC_QUOTE = rf"(?:[\w.-]+=)?([{_DOUBLE_QUOTES}{_SINGLE_QUOTES}])"
_TYPOGRAPHIC_QUOTED = (
    rf"([{_DOUBLE_QUOTES}])([^{_DOUBLE_QUOTES}\"'`\\$]*)[{_DOUBLE_QUOTES}](?=[\s;&|)]|\Z)"
    rf"|([{_SINGLE_QUOTES}])([^{_SINGLE_QUOTES}'\\]*)[{_SINGLE_QUOTES}](?=[\s;&|)]|\Z)"
)
_NEEDS_NO_QUOTES = r"[\w{}./:=,+@%-]+"
_LONGEST_COMMENT = 10_000  # characters; nobody writes a longer one, and finding its lines takes time
_HIDDEN_BY_COMMENT = r"(?<!\S)--?[A-Za-z]|\{\w+\}"
_BACKSLASH_PATH = (
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
    """

    def __init__(self, entry_point: EntryPoint, command: str, source: str) -> None:
        self.entry_point = entry_point
        self.command = command
        self.source = source
        self.template, self.reading = read_command(command)
        self.comments = self.reading.comments

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong; each check that takes time first looks whether it can apply at all."""
        command, reading = self.command, self.reading
        faults = all_faults(self.template, self.entry_point.parameters)
        wrong = faults or reading.faults  # the shell reads a faulty template wrongly
        if wrong:
            ends = {field.offset: field.offset + len(field.name) + 2 for field in self.template.placeholders}
            for fault in wrong:
                place = self.place(fault.offset, ends.get(fault.offset))
                yield Problem(fault.name, fault.message, place, level_of(fault.name), fault.hint)
        if not command.strip():
            yield self.problem(
                "empty-command",
                f"the command of '{self.entry_point.name}' is empty",
                0,
                hint="it does nothing",
            )
            return
        yield from self.unused_parameters(faults)
        if "\\" in command:
            yield from self.escaped_blanks()
            yield from self.trailing_backslash()
            yield from self.windows_paths()
        if "\n" in command.strip():
            yield from self.options_on_their_own_lines()
        if self.comments:
            yield from self.swallowing_comments()
        if not command.isascii():
            yield from self.typographic_characters()
        if reading.slots and not faults:
            code = list(self.code())
            yield from self.quoted_placeholders(code)
            yield from self.placeholders_in_code(code)

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

    # Checks

    def unused_parameters(self, faults: Sequence[Fault]) -> Iterator[Problem]:
        """Report parameters whose values go nowhere; those that `faults` speak of already are left out."""
        parameters = self.entry_point.parameters
        used = {placeholder.name for placeholder in self.template.placeholders}
        unused = [name for name in parameters if name not in used]
        if not unused:
            return
        written = used.difference(parameters)
        written.update(self.command[fault.offset + 1 : self.end_of_content(fault)] for fault in faults)
        unused = [
            name
            for name in unused
            if not re.search(_UNUSABLE_NAME, name)  # a problem of its own
            and not (self.template.faults and f"{{{name}" in self.command)
            and not (written and (name in _YAML_WORDS or did_you_mean(name, written)))
        ]
        held = [
            form for form in unfilled(self.command) if form.name in unused and not self.in_comment(form.start)
        ]
        unclear = self.reading.unclear
        if unclear:  # a problem of its own
            reported = {form.name for form in held if form.breaks(unclear)}
            held = [form for form in held if form.name not in reported]
            unused = [name for name in unused if name not in reported]
        if held:
            yield self.not_placeholders(held)
            names = {form.name for form in held}
            unused = [name for name in unused if name not in names]
        none_used = len(unused) == len(parameters) > 1
        for name in unused[:1] if none_used else unused:
            message = f"the command does not use the parameter '{name}'"
            if none_used:
                message = f"the command uses none of its {len(parameters)} parameters"
            location = parameters[name].location
            yield Problem("unused-parameter", message, location, level_of("unused-parameter"))

    def not_placeholders(self, held: Sequence[Unfilled]) -> Problem:
        """Return the problem of what stands in the place of placeholders."""
        forms = {form.text: form.name for form in held}
        texts, names = [f"'{text}'" for text in forms], list(dict.fromkeys(forms.values()))
        placeholders = [f"{{{name}}}" for name in names]
        first = held[0]
        return self.problem(
            "unused-parameter",
            f"the command holds {_listed(texts)}, not the placeholder{'s' if len(names) > 1 else ''} "
            + _listed([f"'{placeholder}'" for placeholder in placeholders]),
            first.start,
            first.start + len(first.text),
            hint=f"write {_listed(placeholders)}",
        )

    def in_comment(self, offset: int) -> bool:
        return any(start <= offset < end for start, end in self.comments)

    def end_of_content(self, fault: Fault) -> int:
        """Return where the name ends that a faulty field seems to hold."""
        match = re.compile(_WRITTEN_NAME).match(self.command, fault.offset + 1)
        return match.end() if match else fault.offset + 1

    def escaped_blanks(self) -> Iterator[Problem]:
        """Report backslashes that were to join lines, but escape a blank: one problem for all of them."""
        starts = {word.start for command in self.reading.commands for word in command.words}
        found, at_line_ends = [], []
        for match in re.finditer(_ESCAPED_BLANK, self.command):
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
                "the space behind this '\\' keeps it from joining the lines" + _times(at_line_ends),
                at_line_ends[0],
                at_line_ends[0] + 1,
                hint="end the line with the '\\'",
                fix=self.without_blanks_behind(at_line_ends) if self.entry_point.style == "|" else (),
            )
        if found:
            yield self.problem(
                "escaped-blank",
                "this '\\' makes the space behind it part of an argument" + _times(found),
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
        if self.in_comment(offset):
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
                match = re.fullmatch(_BACKSLASH_PATH, written) if "\\" in written else None
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
            elif head is not None and self.is_stray(head, command, bool(strays)):
                strays.append(_Span(first.start, last.end))
            else:
                yield from self.stray(head, strays)
                head, strays = command, []
        if self.reading.commands and not self.reading.unclear:
            strays += self.assignments(self.reading.commands[-1].words[-1].end)
        yield from self.stray(head, strays)

    def is_stray(self, head: SimpleCommand, command: SimpleCommand, follows_stray: bool) -> bool:
        """Return whether a command at the start of a line is in truth arguments of the one above, `head`."""
        word = command.words[0]
        if re.match(_ARGUMENT, word.text) and not re.match(_SHELL_ASSIGNMENT, word.text):
            above = self.before(word.start)[0]
            return not (
                above[-1:] in (" ", "\t") and above.rstrip(" \t").endswith("\\")
            )  # a problem of its own
        if word.text != "\0":
            return False
        if follows_stray or (self.entry_point.style == ">" and self.command[word.start - 1] in " \t"):
            return True
        begin, end = head.words[0].start, head.words[-1].end
        return (
            all(other.text == "\0" for other in command.words)
            and not self.command[end : word.start].strip(" \t\n")
            and len(self.before(word.start)[1]) > len(_leading(self.before(begin)[1]))
        )

    def assignments(self, start: int) -> Iterator[_Span]:
        """Yield the last lines of the command if they are assignments, which nothing could use."""
        lines = list(re.compile(_ASSIGNMENT_LINE).finditer(self.command, start))
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
            if mark := self.line_joiner(head, strays):
                hint = f"end the lines before it with '\\', not with '{mark}'"
            fix = self.continued(head, strays)
        spans = (_Span(head.words[0].start, head.words[-1].end), *strays)
        if any(self.command[one.end : other.start].strip(" \t\n\\") for one, other in pairwise(spans)):
            fix = []  # something ends a command in between
        if self.before(head.words[0].start)[1].strip(" \t"):
            fix = []  # several commands on the line: which of them the arguments belong to is for a person to say
        option = re.compile(_OPTION).match(self.command, start)
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

    def line_joiner(self, head: SimpleCommand, strays: Sequence[_Span]) -> str | None:
        """Return the character that stands at the ends of all lines where a backslash was meant, if it is one."""
        ends = (head.words[-1].end, *(stray.end for stray in strays[:-1]))
        marks = {self.command[end - 2 : end].lstrip() for end in ends}
        mark = marks.pop()
        if marks or mark not in _OTHER_JOINERS or (mark == "/" and len(ends) == 1):
            return None  # a single '/' may be an argument
        return mark

    def continued(self, head: SimpleCommand, strays: Sequence[_Span]) -> list[Edit]:
        """Return the changes to a literal block that join a command's lines with backslashes."""
        if not self.source or self.reading.unclear:
            return []
        first = self.line(head.words[-1].start)
        block = self.lines()[first : self.line(strays[-1].start)]
        if any(not line.strip() or "#" in line for line in block):
            return []
        mark = self.line_joiner(head, strays)
        edits = []
        for number, line in enumerate(block):
            text = line.rstrip()
            if mark and text.endswith(mark):
                edits.append(Edit(first + number, len(text), len(line) - len(text) + 1, "\\"))
            elif mark or text.endswith(tuple(f" {other}" for other in _OTHER_JOINERS)):
                return []
            elif not text.endswith("\\"):
                edits.append(Edit(first + number, len(text) + 1, len(line) - len(text), " \\"))
        return edits

    def cuts(self, start: int, end: int) -> bool:
        """Return whether a comment ends a command that was to go on in the lines after it."""
        above, before = self.before(start)
        if not before.strip(" \t") and re.search(_CONTINUED, above):
            return re.match(r"\n[ \t]*(?:-{1,2}[A-Za-z]|\{\w+\}|\S+=)", self.command[end:]) is not None
        takes_backslash = self.command[start:end].endswith("\\")
        return takes_backslash and re.match(r"\n[ \t]*-{1,2}[A-Za-z]", self.command[end:]) is not None

    def swallowing_comments(self) -> Iterator[Problem]:
        """Report comments that swallow what was meant to run."""
        for start, end in self.comments:
            message = None
            if self.cuts(start, end):
                message = "this comment ends the command: the lines after it do not belong to it any more"
            elif any(re.search(_HIDDEN_BY_COMMENT, line) for line in self.joined_lines(start, end)):
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

    def quoted_placeholders(self, code: Iterable[tuple[str, Word]]) -> Iterator[Problem]:
        quoted = [slot.placeholder for slot in self.reading.slots if slot.context in _QUOTED]
        in_code = {name for _, word in code for name in word.parameters}
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

    def placeholders_in_code(self, code: Iterable[tuple[str, Word]]) -> Iterator[Problem]:
        for program, word in code:
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

    def typographic_characters(self) -> Iterator[Problem]:
        """Report dashes and quotes that are text to the shell: one problem for all of them."""
        found: list[tuple[_Span, str, str]] = []  # where, what is meant, and what to put there
        certain, quoted = True, 0
        for command in self.reading.commands:
            if command.words[0].text in _TEXT_TOOLS:
                continue
            for word in command.words:
                written = self.command[word.start : word.end]
                if word.start < quoted or written.isascii():
                    continue
                dash = re.match(_TYPOGRAPHIC_DASH, written)
                if dash:
                    meant = "--" if len(dash[1]) > 1 or dash[2] or dash[1] == "\u2014" else "-"
                    found.append((_Span(word.start, word.start + dash.end(1)), meant, meant))
                quote = re.match(_TYPOGRAPHIC_QUOTE, written)
                if quote is None:
                    continue
                start = word.start + quote.start(1)
                meant = '"' if quote[1] in _DOUBLE_QUOTES else "'"
                pair = re.compile(_TYPOGRAPHIC_QUOTED).match(self.command, start)
                if pair is None or not start:
                    certain = False
                    found.append((_Span(start, start + 1), meant, meant))
                    continue
                quoted = pair.end()
                put = "" if re.fullmatch(_NEEDS_NO_QUOTES, pair[2] or pair[4]) else self.in_yaml(meant)
                found.append((_Span(start, start + 1), meant, put))
                found.append((_Span(quoted - 1, quoted), meant, put))
        if not found:
            return
        (start, end), meant, _ = found[0]
        kind = f"the '{meant}' of an option" if meant[0] == "-" else "a quote of the shell"
        count = f" ({len(found)} times in the command)" if len(found) > 1 else ""
        yield self.problem(
            "typographic-character",
            f"'{self.command[start:end]}' is not {kind}, but a character of a text processor{count}",
            start,
            end,
            hint=f"write {meant} in its place",
            fix=self.replaced((span, put) for span, _, put in found) if certain else (),
        )

    def in_yaml(self, char: str) -> str:
        """Return how a quote is written in the YAML of the command."""
        if char == self.entry_point.style:
            return {'"': '\\"', "'": "''"}[char]
        return char

    def replaced(self, parts: Iterable[tuple[_Span, str]]) -> list[Edit]:
        """Return the changes that put texts in the place of parts of the command, which stand in the file as here."""
        edits = []
        lines = self.lines() if self.source else []
        for (start, end), text in parts:
            place, length = self.entry_point.locate(start), end - start
            if not lines or place.line is None or place.column is None:
                return []
            if lines[place.line][place.column - 1 :][:length] != self.command[start:end]:
                return []
            edits.append(Edit(place.line, place.column, length, text))
        return edits


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


def _leading(line: str) -> str:
    """Return the spaces and tabs that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
