"""Reads a command as bash's own parser does, character by character: what `shell` asks where words are not all plain.

Pure: it runs nothing, and never raises.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from itertools import islice, pairwise
from typing import NamedTuple

from dioptra_cli.mlproject.shell import (
    KEYWORDS,
    PLAIN_NAME,
    UNKNOWN,
    Before,
    Context,
    HereDocument,
    Plain,
    ShellReading,
    SimpleCommand,
    Slot,
    Word,
)
from dioptra_cli.mlproject.template import Fault, Literal, Placeholder, Template


def read(template: Template) -> ShellReading:
    """Find out how bash reads a command, character by character."""
    findings = _Findings(template)
    reader = _Reader(findings.text, range(len(findings.text)), findings)
    end, no_end = None, "its shell syntax is not understood"
    place: tuple[int, str, str, str | None] | None
    try:
        reader.commands("")
        end, no_end = reader.end, reader.no_end
        place = None
    except _Unclear as found:
        place = found.index, found.name, found.message, found.hint
    except RecursionError:
        place = 0, "unclear-shell-syntax", "the command is nested too deeply", None
    if place:
        findings.note_fault(*place)
    unclear = findings.faults[place[0]] if place else None
    faults: tuple[Fault, ...] = ()
    slots: tuple[Slot, ...] = ()
    if findings.numbers:
        faults = tuple(fault for _, fault in sorted(findings.faults.items()))
        if not faults:
            slots = tuple(map(findings.slots.__getitem__, findings.numbers))
    return ShellReading(
        slots,
        tuple(findings.documents) if slots else (),
        faults,
        end,
        no_end,
        findings.simple_commands(),
        tuple((findings.offset(start), findings.offset(end)) for start, end in findings.comments),
        unclear,
        findings.doubtful,
    )


_FAULTS = {
    "placeholder-after-backslash": (
        "the backslash would take the value's first character for its own",
        "double the backslash, or take it away",
    ),
    "placeholder-after-dollar": (
        "the shell would take '$' and the value for a variable or a command",
        "write ${{%(name)s}} for a shell variable, or \\${%(name)s} for a dollar and the value",
    ),
    "placeholder-after-tilde": (
        "the value would decide whose home directory '~' stands for",
        "put a slash between them, or quote the '~'",
    ),
    "placeholder-as-descriptor": (
        "the shell expands the word behind '>&' twice, so that a value could run as a command",
        "for a file, write '&>' instead",
    ),
    "placeholder-as-format": (
        "'printf' could take the value for its option -v, which evaluates the next word",
        "write printf '%%s' {%(name)s}",
    ),
    "placeholder-as-name": (
        "%(by)s would take the value for the name of a variable and evaluate it",
        "write the variable's name into the command",
    ),
    "placeholder-as-delimiter": (
        "a value cannot be the delimiter of a here-document",
        "write the delimiter into the command",
    ),
    "placeholder-evaluated": (
        "%(by)s evaluates what it is given, so that a value could run as a command",
        "give the value to another command, or to a plain variable: X={%(name)s}",
    ),
    "placeholder-in-arithmetic": (
        "in arithmetic a value has to stand alone, as a number",
        "take away the quotes and put spaces around the placeholder",
    ),
    "placeholder-in-braces": (
        "the brace expansion could put '$' or '~' directly before the value",
        "quote the '$' or '~'",
    ),
    "placeholder-in-expansion": (
        "the shell offers no way to keep a value as it is in %(by)s",
        'give it to a variable first, X={%(name)s}, and write "$X"',
    ),
    "placeholder-split": (
        "the shell splits what an unquoted ${name:=value} results in",
        "put double quotes around it",
    ),
}

_OPENING = frozenset(("if", "then", "else", "elif", "do", "while", "until", "!", "{", "time"))
_CLOSING = frozenset(("fi", "done", "}"))
_OPERATORS = ("&&", "||", "|&", ";", "&", "|")
_REDIRECTIONS = ("&>>", "&>", ">>", ">&", ">|", "<&", "<>", "<", ">")
_ARITHMETIC_TESTS = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge"))

# Builtins that evaluate an argument as a command, an arithmetic expression or an array subscript.
_EVALUATING_COMMANDS = re.compile(
    r"eval|let|trap|alias|declare|typeset|local|unset|read|mapfile|readarray|wait|getopts|comp(?:gen|lete)|bind|fc"
)
_CHECKED = frozenset(
    ("declare", "typeset", "local", "export", "readonly", "set", "shopt", "printf", "test", "[")
)
_LONGEST_PATH = 4096
_MOVING = frozenset(("cd", "pushd", "popd"))
_LEAVING = frozenset(("exit", "return"))
_DECLARING_COMMANDS = frozenset(("declare", "typeset", "local", "export", "readonly"))
# Variables whose new value bash evaluates, or that change how it reads what follows.
_EVALUATED_VARIABLES = re.compile(r"S?RANDOM|SECONDS|LINENO|HISTCMD|OPTIND|PS4|ENV|BASH_\w+|POSIXLY_CORRECT")
# Options of `set` and `shopt` that leave alone how bash reads a command.
_HARMLESS_OPTIONS = re.compile(
    r"[-+][abefmnptuvxBCEPTo]*|errexit|errtrace|functrace|noclobber|noglob|nounset|pipefail|verbose|xtrace"
    r"|-[sup]+|(?:dot|ext|fail|null)glob|globstar|inherit_errexit|lastpipe|nocase(?:glob|match)"
)

_QUOTE_HINT = "close it, or put a backslash before it where it is a plain character"

_OPAQUE = UNKNOWN  # in the outline of a word: something quoted or substituted
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^]]*\])?\+?=", re.ASCII)
_ASSIGNMENT_TO_VALUE = re.compile(r"\w*\0[\w\0]*(?:\[[^]]*\])?\+?=", re.ASCII)
_DESCRIPTOR = re.compile(r"\d+|\{[A-Za-z_]\w*\}", re.ASCII)
_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
_LITERAL_RUN = re.compile(r"[^ \t\n|&;()<>\\\0'\"`$\[]+")
_PLAIN_WORD = re.compile(r"[\w\0./=:,@%+-]+")
_PLAIN_WORDS = re.compile(rf"(?:(?:[ \t]|\\\n)*{_PLAIN_WORD.pattern}(?=[ \t\n;]|\Z))+")
_EXPANDED = re.compile(r"[*?]|\[[^]]+\]|^~|\{[^{}]*(?:,|\.\.)[^{}]*\}")
_TILDE_PREFIX = re.compile(r"(?:^|[:=])~[^/:=]*$")
_DEFAULT_OPERATOR = re.compile(r"([A-Za-z_]\w*|[0-9]+):?([-=+?])", re.ASCII)
_NUMERIC_ESCAPE = re.compile(
    r"x(?P<x>[0-9A-Fa-f]{0,2})|u(?P<u>[0-9A-Fa-f]{0,4})|U(?P<U>[0-9A-Fa-f]{0,8})|(?P<o>[0-7]{1,3})"
)
_DIGITS_AND_BASE = {"x": (2, 16), "u": (4, 16), "U": (8, 16), "o": (3, 8)}
_INERT = re.compile(r"[\w\s.,:/=-]*")
_IN = re.compile(r"in(?![^\s;|&()<>])")
_ESAC = re.compile(r"esac(?![^\s;|&()<>])")


class _Unclear(Exception):
    """The command cannot be followed any further."""

    def __init__(self, index: int, name: str, message: str, hint: str | None) -> None:
        self.index, self.name, self.message, self.hint = index, name, message, hint


class _Findings:
    """What the readers of a template and of its parts have found. Keys are indices of its text."""

    def __init__(self, template: Template) -> None:
        self.placeholders: list[Placeholder] = []
        self.numbers: dict[int, int] = {}  # of the placeholders
        self.starts: list[int] = []  # for each piece of the template, where it begins in the text,
        self.shifts: list[int] = []  # and how much further on it begins in the source
        texts, passed = [], 0
        for piece in template.pieces:
            text = "\0"
            if isinstance(piece, Literal):
                text = piece.text
            else:
                self.numbers[passed] = len(self.placeholders)
                self.placeholders.append(piece)
            texts.append(text)
            self.starts.append(passed)
            self.shifts.append(piece.offset - passed)
            passed += len(text)
        self.starts.append(passed)
        self.shifts.append(len(template.source) - passed)
        self.text = "".join(texts)
        self.slots: dict[int, Slot] = {}
        self.documents: list[HereDocument] = []
        self.faults: dict[int, Fault] = {}
        self.commands: list[tuple[list[_Word], str | None]] = []
        self.comments: list[tuple[int, int]] = []
        self.directory: str | None = ""  # where what follows runs; None where that is not certain, or whether
        self.doubtful = False

    def offset(self, index: int) -> int:
        """Return where in the template's source the character at `index` of its text begins."""
        return index + self.shifts[bisect_right(self.starts, index) - 1]

    def simple_commands(self) -> tuple[SimpleCommand, ...]:
        """Return the simple commands that were found, in the order of the text."""
        if len(self.commands) > 1:  # those in a substitution are found before the command around it
            self.commands.sort(key=lambda found: found[0][0].start)
        starts, shifts, piece_at = self.starts, self.shifts, bisect_right
        commands = []
        for found, directory in self.commands:
            words = []
            for _, text, _, _, inside, start, end, known in found:
                words.append(
                    Word(
                        text if known is None else known,
                        start + shifts[piece_at(starts, start) - 1],
                        end + shifts[piece_at(starts, end) - 1],
                        tuple([self.placeholder(index).name for index in inside]) if inside else (),
                    )
                )
            commands.append(SimpleCommand(tuple(words), directory == "", directory))
        return tuple(commands)

    def placeholder(self, index: int) -> Placeholder:
        return self.placeholders[self.numbers[index]]

    def note_fault(self, index: int, name: str, message: str, hint: str | None = None) -> None:
        """Note the first fault at `index`."""
        self.faults.setdefault(index, Fault(self.offset(index), name, message, hint))

    def reject(self, indices: Iterable[int], name: str, by: str = "") -> None:
        """Note that the placeholders at `indices` cannot stand there; `by` is what stands in the way."""
        message, hint = _FAULTS[name]
        for index in indices:
            names = {"name": self.placeholder(index).name, "by": by}
            self.note_fault(index, name, message % names, hint % names)

    def restrict(self, indices: Iterable[int], plain: Plain) -> None:
        """Note which bare values may go without quotes at `indices`; two restrictions leave none."""
        for index in indices:
            slot = self.slots.get(index)
            if slot and slot.context is Context.BARE:
                both = plain if slot.plain in (Plain.ANY, plain) else Plain.NONE
                self.slots[index] = slot._replace(plain=both)

    def since(self, known: int) -> list[int]:
        """Return the indices of the slots that were found after the first `known`."""
        return list(islice(reversed(self.slots), len(self.slots) - known))[::-1]

    def mangle(self, indices: Iterable[int], chars: str) -> None:
        """Note that bash does not pass on `chars` from `indices`, however they are quoted."""
        for index in indices:
            self.slots[index] = self.slots[index]._replace(mangled=self.slots[index].mangled + chars)


class _Stage(Enum):
    """How much of a command has been read."""

    START = auto()  # reserved words and assignments would be taken as such
    ARGUMENTS = auto()
    LIST = auto()  # the words of `for name in …`
    CLOSED = auto()  # `fi`, `)` and the like


class _Word(NamedTuple):
    """One word of the shell.

    Attributes:
        outline: Its unquoted text, with NUL for a bare placeholder and `_OPAQUE` for all that is not literal.
        text: Its text without quotes, with NUL for a placeholder and `_OPAQUE` for all that is substituted.
        direct: The indices of its placeholders, those in substituted commands aside.
        split: Those of them in a bare `${name:=word}`, whose result the shell splits whatever the quotes.
        inside: The indices of all its placeholders.
        start, end: The indices of where it begins and ends.
        known: What is known of its text where bash matches it against file names, or expands braces or a tilde.
    """

    outline: str
    text: str
    direct: tuple[int, ...] = ()
    split: tuple[int, ...] = ()
    inside: tuple[int, ...] = ()
    start: int = 0
    end: int = 0
    known: str | None = None

    @property
    def fixed(self) -> str:
        """What of its text does not depend on values and substitutions."""
        return self.text.replace("\0", "").replace(_OPAQUE, "")

    @property
    def is_literal(self) -> bool:
        return self.fixed == self.text


class _Command:
    """The simple command that is being read."""

    def __init__(self, alternative: bool = False) -> None:
        self.alternative = alternative  # whether it follows `||`
        self.stage = _Stage.START
        self.words: list[_Word] = []
        self.passed = 0  # words that come before its name
        self.name = ""
        self.loop_variable = ""

    def add(self, word: _Word) -> None:
        self.stage = _Stage.ARGUMENTS
        self.words.append(word)
        if self.name in ("", "builtin", "command"):
            resolved = self.resolved()
            self.name = resolved[0].fixed if resolved else ""

    def resolved(self) -> list[_Word]:
        """Return the words from the command's name on, as far as it can be known.

        What comes before it may expand to nothing, and `builtin` and `command` run what they are given.
        """
        words, count = self.words, len(self.words)
        while True:
            while 0 < self.passed < count and words[self.passed].text.startswith("-"):
                self.passed += 1
            if self.passed == count or words[self.passed].fixed not in ("", "builtin", "command"):
                return words[self.passed :]
            self.passed += 1


class _Pending(NamedTuple):
    """A here-document whose body has not been reached."""

    delimiter: str
    quoted: bool
    strips_tabs: bool


class _Reader:
    """Reads one text: the template's, or that in backticks, or the body of a here-document.

    Attributes:
        text: The text.
        origins: For each of its characters, the index in the template's text.
        findings: Where to note what is found.
        backticks: As in `Slot`.
        at: The index in `text` of the next character.
        depth: How many lists of commands are being read, one in the other.
        substitutions: How many of them stand in `$(…)`.
        compounds: How many compound commands are open, within the innermost substitution.
        pending: The here-documents that begin on the current line.
        direct, split: As in `_Word`, for the word that is being read.
        brace_blind: Whether brace expansion would misjudge what is quoted in that word.
        end, no_end: As in `ShellReading`.
    """

    def __init__(
        self, text: str, origins: Sequence[int], findings: _Findings, backticks: tuple[str, ...] = ()
    ) -> None:
        self.text = text
        self.origins = origins
        self.findings = findings
        self.backticks = backticks
        self.at = 0
        self.depth = 0
        self.substitutions = 0
        self.compounds = 0
        self.pending: list[_Pending] = []
        self.direct: list[int] = []
        self.split: list[int] = []
        self.brace_blind = False
        self.end: int | None = None
        self.no_end = "it is empty"

    # Characters

    def peek(self) -> str:
        """Return the next character, or "" at the end. A line that ends in a backslash goes on in the next."""
        char = self.text[self.at : self.at + 1]
        while char == "\\":
            following = self.text[self.at + 1 : self.at + 2]
            if following != "\n":
                return char if following else ""
            self.at += 2
            char = self.text[self.at : self.at + 1]
        return char

    def raw(self) -> str:
        """Return the next character as it stands, or "" at the end."""
        return self.text[self.at : self.at + 1]

    def accept(self, expected: str) -> bool:
        """Step over `expected` if it comes next."""
        start = self.at
        for char in expected:
            if self.peek() != char:
                self.at = start
                return False
            self.at += 1
        return True

    def ahead(self, *expected: str) -> bool:
        """Return whether one of `expected` comes next."""
        start = self.at
        found = any(self.accept(text) for text in expected)
        self.at = start
        return found

    def match(self, pattern: re.Pattern[str]) -> bool:
        """Step over a match of `pattern` if one comes next."""
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match is not None

    def blanks(self) -> None:
        self.match(_BLANKS)

    def linebreaks(self) -> None:
        """Step over blanks, ends of lines and comments."""
        while (char := self.peek()) and char in " \t\n#":
            if char == "\n":
                self.newline()
            elif char == "#":
                self.comment()
            else:
                self.at += 1

    def comment(self) -> None:
        start = self.index()
        while (char := self.raw()) not in ("", "\n"):
            if char == "\0":
                self.place(Context.COMMENT)
            else:
                self.at += 1
        self.findings.comments.append((start, self.index()))

    def index(self) -> int:
        """Return the index in the template's text of the next character."""
        if self.at < len(self.origins):
            return self.origins[self.at]
        return self.origins[-1] + 1 if self.origins else 0

    def unclear(self, found: str, hint: str | None = None, at: int | None = None) -> _Unclear:
        """Return what to raise where the text cannot be followed, here or at `at`."""
        self.at = self.at if at is None else at
        message = f"the shell's syntax cannot be followed here: {found}"
        return _Unclear(self.index(), "unclear-shell-syntax", message, hint)

    # Placeholders

    def place(self, context: Context, before: Before = Before.NOTHING) -> None:
        """Note the slot of the placeholder that comes next, and step over it."""
        index = self.index()
        self.findings.slots[index] = Slot(
            self.findings.placeholder(index), context, before=before, backticks=self.backticks
        )
        self.direct.append(index)
        self.at += 1

    def reject(self, name: str) -> None:
        """Note that the placeholder that comes next cannot stand here, and step over it."""
        self.findings.reject([self.index()], name)
        self.at += 1

    # Commands

    def commands(self, until: str) -> bool:
        """Read commands up to the end of the text (""), to a ")", or to the end of a `case` clause ("esac").

        Returns:
            Whether the word `esac` ended them.
        """
        self.depth += 1
        command, opening = _Command(), self.at - 1
        begun = awaited = ended_by_esac = False  # of the command
        while not ended_by_esac:
            if command.stage in (_Stage.START, _Stage.ARGUMENTS) and self.plain_words(command):
                begun = True
            self.blanks()
            char = self.peek()
            if char not in "#\n();&|<>" or (char in ("<", ">") and self.ahead("<(", ">(")):
                begun = True
                ended_by_esac = self.word_of(command)
                if ended_by_esac and until != "esac":
                    raise self.unclear("'esac' without 'case'")
            elif char == "":
                if until == ")":
                    raise self.unclear("a '(' is not closed", at=opening)
                if until:
                    raise self.unclear(f"the command ends before its '{until}'")
                break
            elif char == "#":
                self.comment()
                self.note_no_end("it ends with a comment")
            elif char == "(":
                begun = True
                self.parenthesis(command)
            elif char == ")":
                if until != ")":
                    raise self.unclear("')' without a '('")
                self.at += 1
                break
            elif char in "<>" or (char == "&" and self.ahead("&>")):
                begun = True
                self.redirection()
                self.note_end(command)
            elif char == ";" and self.ahead(";;", ";&"):
                if until != "esac":
                    raise self.unclear("';;' outside of 'case'")
                self.at += 2
                self.accept("&")
                break
            elif char == "\n":
                if begun:
                    self.finish(command)
                    command = _Command()
                    begun = awaited = False
                self.newline()
            else:
                self.finish(command)
                operator = next(operator for operator in _OPERATORS if self.accept(operator))
                self.findings.doubtful |= not begun
                begun, awaited = False, operator not in (";", "&")
                command = _Command(operator == "||" or (awaited and command.alternative))
                self.note_no_end(f"it ends with '{operator}'")
        self.findings.doubtful |= awaited and not begun
        self.finish(command)
        if until == "" and self.pending:
            self.note_no_end("it ends where a here-document should begin")
            if self.backticks:
                raise self.unclear("a here-document is missing")
        self.depth -= 1
        return ended_by_esac

    def note_no_end(self, reason: str) -> None:
        """Note that no arguments can be added to what has been read, unless more follows."""
        if self.depth == 1:
            self.end, self.no_end = None, reason

    def note_end(self, command: _Command) -> None:
        """Note whether `command`, of which a word has just been read, takes further arguments."""
        if command.stage is not _Stage.ARGUMENTS:
            self.note_no_end("it does not end with a command that takes arguments")
        elif _EVALUATING_COMMANDS.fullmatch(command.name):
            self.note_no_end(f"it ends with '{command.name}', which evaluates its arguments")
        elif self.depth == 1:
            self.end, self.no_end = self.at, ""

    def plain_words(self, command: _Command) -> bool:
        """Read the words that come next, as long as they are what most words are: of plain characters.

        Returns:
            Whether there was one.
        """
        run = _PLAIN_WORDS.match(self.text, self.at)
        if run is None:
            return False
        findings, origins = self.findings, self.origins
        for match in _PLAIN_WORD.finditer(self.text, self.at, run.end()):
            text, (start, end) = match[0], match.span()
            if command.stage is _Stage.START and (text in KEYWORDS or not PLAIN_NAME.fullmatch(text)):
                return False
            inside: tuple[int, ...] = ()
            if "\0" in text:
                inside = tuple([origins[at] for at in range(start, end) if self.text[at] == "\0"])
                for index in inside:
                    placeholder = findings.placeholder(index)
                    findings.slots[index] = Slot(placeholder, Context.BARE, backticks=self.backticks)
                self.direct += inside
            command.add(_Word(text, text, inside, (), inside, origins[start], origins[end - 1] + 1))
        self.at = run.end()
        self.note_end(command)
        return True

    def word_of(self, command: _Command) -> bool:
        """Read the next word as part of `command`; return whether it is `esac`, which ends a clause."""
        may_be_keyword = command.stage in (_Stage.START, _Stage.CLOSED)
        word = self.word(assignable=may_be_keyword or command.name in _DECLARING_COMMANDS)
        following = self.peek()
        if following in ("<", ">"):
            # Digits directly before a redirection name its file descriptor, and so does {name}.
            if re.fullmatch(r"[\d\0]+", word.outline):
                self.findings.restrict(word.direct, Plain.DESCRIPTOR)
            elif word.outline.startswith("{"):
                self.findings.restrict(word.direct, Plain.NONE)
            if _DESCRIPTOR.fullmatch(word.outline):
                return False
        names_function = command.stage is _Stage.START and word.is_literal and word.outline == word.text
        if following == "(" and not names_function:
            raise self.unclear("'(' directly behind a word")
        if may_be_keyword:
            if word.outline == "esac":
                return True
            if self.keyword(command, word.outline):
                return False
            if command.stage is _Stage.CLOSED:
                raise self.unclear("a word where the command has ended")
        if command.stage is _Stage.LIST:
            self.assigned(command.loop_variable, word.direct)
        elif command.stage is _Stage.ARGUMENTS or not self.assignment(word):
            if command.stage is _Stage.START:
                only_letters = re.fullmatch(r"[A-Za-z\0]{2,}", word.outline)
                self.findings.restrict(word.direct, Plain.NONE if only_letters else Plain.COMMAND)
            command.add(word)
        if not command.words or command.words[0].outline != ":":
            self.findings.reject(word.split, "placeholder-split")
        self.note_end(command)
        return False

    def assignment(self, word: _Word) -> bool:
        """Return whether the word at the start of a command is an assignment; check it if so."""
        match = _ASSIGNMENT.match(word.outline)
        if match:
            if match[1] == "POSIXLY_CORRECT":
                raise self.unclear("POSIXLY_CORRECT changes how the shell reads what follows")
            self.assigned(match[1], word.direct)
        elif _ASSIGNMENT_TO_VALUE.match(word.outline):
            self.findings.reject(word.direct, "placeholder-as-name", "the shell")
        return match is not None

    def assigned(self, name: str, indices: Iterable[int]) -> None:
        """Check the placeholders in what the variable `name` is assigned."""
        if _EVALUATED_VARIABLES.fullmatch(name):
            self.findings.reject(indices, "placeholder-evaluated", f"the variable {name}")

    def finish(self, command: _Command) -> None:
        """Note a command that has been read whole, and check its arguments."""
        if not command.words:
            return
        name, findings = command.name, self.findings
        is_nested = self.depth > 1 or self.compounds or self.substitutions or command.alternative
        directory = None if is_nested else findings.directory
        findings.commands.append((command.words, directory))
        if name in _MOVING and not self.substitutions:
            findings.directory = None if directory is None else self.entered(command, directory)
        elif name in _LEAVING and not is_nested:
            findings.directory = None
        if name not in _CHECKED and not _EVALUATING_COMMANDS.fullmatch(name):
            return
        arguments = command.resolved()[1:]
        options = "".join(word.text for word in arguments if word.text[:1] in ("-", "+"))
        if name in _DECLARING_COMMANDS and re.search("[inf]", options):
            raise self.unclear(f"'{name} {options}' lets bash evaluate values later on")
        if name in ("set", "shopt"):
            for word in arguments:
                if name == "set" and word.text in ("-", "--"):
                    break
                if not _HARMLESS_OPTIONS.fullmatch(word.text):
                    raise self.unclear(f"'{name}' with options that change how the shell reads what follows")
        elif name in _DECLARING_COMMANDS:
            for word in arguments:
                match = _ASSIGNMENT.match(word.outline)
                if match and "[" not in match[0] and not options:
                    self.assigned(match[1], word.direct)
                    # Where the variable is an array, the elements of a value `(…)` are evaluated.
                    self.findings.mangle(word.direct, "(" if name not in ("export", "readonly") else "")
                else:
                    self.findings.reject(word.inside, "placeholder-as-name", f"'{name}'")
        elif _EVALUATING_COMMANDS.fullmatch(name):
            inside = [index for word in arguments for index in word.inside]
            self.findings.reject(inside, "placeholder-evaluated", f"'{name}'")
        elif name == "printf" and arguments:
            if arguments[0].text.lstrip(_OPAQUE)[:1] in ("", "\0", "-", "{"):
                self.findings.reject(arguments[0].inside, "placeholder-as-format")
            if arguments[0].text == "-v" and len(arguments) > 1:
                self.findings.reject(arguments[1].inside, "placeholder-as-name", "'printf -v'")
        elif name in ("test", "["):
            for operator, operand in pairwise(arguments):
                if operator.direct or operator.fixed in ("-v", "-R", ""):
                    self.findings.reject(operand.inside, "placeholder-as-name", f"'{name} -v'")

    def entered(self, command: _Command, directory: str) -> str | None:
        """Return where the shell is after a `cd`, which has been read whole; None where that is not certain."""
        words = command.words
        if len(words) != 2 or words[0].text != "cd" or not words[1].is_literal or words[1].known is not None:
            return None
        to, before = words[1].text, self.text[: self.at][-_LONGEST_PATH:]
        is_piped = re.search(r"(?:^|[^|])\|&?\s*cd\s[^|;&\n]*$", before)
        goes_on = self.ahead("&&") or self.peek() in ("\n", ";", "")
        if not to or to[0] in "-~" or is_piped or not goes_on:
            return None
        return f"{directory}/{to}" if directory and to[0] != "/" else to

    # Compound commands

    def parenthesis(self, command: _Command) -> None:
        """Read `(…)` or `((…))`, or the parentheses of a function definition."""
        self.findings.doubtful = True
        if command.stage is _Stage.START:
            if self.accept("(("):
                self.double_parenthesis()
            else:
                self.at += 1
                self.compounds += 1
                self.commands(")")
                self.compounds -= 1
            command.stage = _Stage.CLOSED
            self.note_no_end("it ends with ')'")
            return
        self.at += 1
        self.blanks()
        is_definition = (
            command.stage is _Stage.ARGUMENTS and len(command.words) == 1 and command.words[0].is_literal
        )
        if not is_definition or not self.accept(")"):
            raise self.unclear("'(' in the middle of a command")
        command.stage = _Stage.START
        command.words.clear()

    def keyword(self, command: _Command, word: str) -> bool:
        """Read what belongs to a reserved word; return False if `word` is none."""
        if word in _OPENING:
            self.compounds += word in ("if", "while", "until", "{")
            command.stage = _Stage.START
            if word == "time":
                self.blanks()
                while self.accept("-p") or self.accept("--"):
                    self.blanks()
        elif word in _CLOSING:
            self.compounds -= 1
            command.stage = _Stage.CLOSED
        elif command.stage is _Stage.CLOSED:
            return False
        elif word in ("for", "select"):
            self.compounds += 1
            self.loop(command)
        elif word == "case":
            self.compounds += 1
            self.case()
            self.compounds -= 1
            command.stage = _Stage.CLOSED
        elif word == "[[":
            self.condition()
            command.stage = _Stage.CLOSED
        elif word == "function":
            self.blanks()
            is_plain = self.word().is_literal
            self.blanks()
            if not is_plain or (self.accept("(") and not self.accept(")")):
                raise self.unclear("a function whose name is not plain text")
        elif word == "coproc":
            raise self.unclear("'coproc' is not supported together with placeholders")
        else:
            self.findings.doubtful |= word in ("in", "]]")
            return False
        self.findings.doubtful = True
        self.note_no_end(f"it ends with '{word}'")
        return True

    def loop(self, command: _Command) -> None:
        """Read `for` or `select` up to the words of its list."""
        self.blanks()
        if self.accept("(("):
            self.double_parenthesis()
            return
        variable = self.word().outline
        if not _NAME.fullmatch(variable):
            raise self.unclear("a loop whose variable is not a plain name", "write the name into the command")
        self.linebreaks()
        if self.match(_IN):
            command.stage = _Stage.LIST
            command.loop_variable = variable

    def case(self) -> None:
        """Read `case` up to its `esac`."""
        self.blanks()
        self.word()
        self.linebreaks()
        if not self.match(_IN):
            raise self.unclear("'case' without 'in'")
        ended = False
        while not ended:
            self.linebreaks()
            if self.match(_ESAC):
                break
            self.accept("(")
            more = True
            while more:
                self.blanks()
                pattern = self.word()
                self.findings.restrict(pattern.direct, Plain.COMMAND)
                self.blanks()
                more = self.accept("|")
                if not pattern.outline or not (more or self.accept(")")):
                    raise self.unclear("'case' with a pattern that is not understood")
            ended = self.commands("esac")

    def condition(self) -> None:
        """Read `[[` up to its `]]`."""
        words = [_Word("[[", "[[")]
        while words[-1].outline != "]]":
            self.linebreaks()
            char = self.peek()
            if char == "" or self.ahead("<(", ">("):
                raise self.unclear("'[[' that is not understood")
            if char in "()<>&|;":
                self.at += 1
                words.append(_Word(char, char))
            elif words[-1].outline == "=~":
                words.append(self.regular_expression())
            else:
                words.append(self.word())
                self.findings.restrict(words[-1].direct, Plain.TEST)
                if self.peek() == "(":
                    raise self.unclear("'(' directly behind a word")
        for number, word in enumerate(words):
            if word.outline in _ARITHMETIC_TESTS:
                self.compared(words[number - 1])
                self.compared(words[number + 1])
            elif word.outline in ("-v", "-R"):
                self.findings.reject(words[number + 1].direct, "placeholder-as-name", f"'[[ {word.outline}'")

    def compared(self, operand: _Word) -> None:
        """Take an operand of `-eq` and the like as the arithmetic that it is, even in quotes."""
        substituted = [index for index in operand.inside if index not in operand.direct]
        self.findings.reject(substituted, "placeholder-evaluated", "'[[', other than '[',")
        if operand.text == "\0" and len(operand.direct) == 1 and not operand.split:
            slot = self.findings.slots[operand.direct[0]]
            self.findings.slots[operand.direct[0]] = slot._replace(
                context=Context.ARITHMETIC, before=Before.NOTHING
            )
        else:
            self.findings.reject(operand.direct, "placeholder-in-arithmetic")

    def regular_expression(self) -> _Word:
        """Read the operand of `=~`; what is quoted in it stands for itself."""
        parts = [self.word()]
        while self.peek() in ("(", ")", "|"):
            self.at += 1
            parts.append(self.word())
        direct = tuple(index for part in parts for index in part.direct)
        outline = "(".join(part.outline for part in parts)
        self.findings.restrict(direct, Plain.NONE)
        if "[" in outline:
            self.findings.reject(direct, "placeholder-in-expansion", "a regular expression with brackets")
        return _Word(outline, "(".join(part.text for part in parts), direct)

    # Redirections and here-documents

    def redirection(self) -> None:
        if not self.ahead("<<<") and self.accept("<<"):
            strips_tabs = self.accept("-")
            self.blanks()
            self.delimiter(strips_tabs)
            return
        operator = next(operator for operator in ("<<<", *_REDIRECTIONS) if self.accept(operator))
        self.blanks()
        target = self.word()
        if not target.outline:
            raise self.unclear("a redirection without a target")
        self.findings.doubtful |= self.names_descriptor(target.outline)
        self.findings.reject(target.split, "placeholder-split")
        if operator in (">&", "<&"):
            self.findings.reject(target.inside, "placeholder-as-descriptor")

    def names_descriptor(self, text: str) -> bool:
        """Return whether bash takes the word that has been read for the descriptor of the redirection behind it."""
        return _DESCRIPTOR.fullmatch(text) is not None and self.peek() in ("<", ">")

    def delimiter(self, strips_tabs: bool) -> None:
        """Read the word behind `<<`."""
        self.check_compounds()
        start, text, quoted = self.at, "", False
        while (char := self.peek()) and char not in " \t\n|&;()<>":
            self.at += 1
            if char in "'\"\\":
                quoted = True
                end = self.at + 1 if char == "\\" else self.text.find(char, self.at)
                text += self.text[self.at : end]
                self.at = end + (char != "\\")
            else:
                text += char
            if "\0" in text:
                self.at = self.text.index("\0", start)
                raise _Unclear(self.index(), "placeholder-as-delimiter", *_FAULTS["placeholder-as-delimiter"])
            if self.at <= start or re.search(r"[\\$`\n]", text):
                raise self.unclear("a here-document whose delimiter is not plain text")
        if self.at == start or self.text.startswith("#", start):
            raise self.unclear("a here-document without a delimiter")
        self.findings.doubtful |= self.names_descriptor(text)
        self.pending.append(_Pending(text, quoted, strips_tabs))

    def check_compounds(self) -> None:
        """Refuse a here-document of a compound command in `$(…)`: bash 5.2 loses track of where its body is."""
        if self.substitutions and self.compounds:
            raise self.unclear("a here-document in a compound command inside of '$(…)'")

    def newline(self) -> None:
        """Step over the end of a line, and over the here-documents that begin behind it."""
        if self.pending:
            self.check_compounds()
        self.at += 1
        pending, self.pending = self.pending, []
        for document in pending:
            self.here_document(document)
            self.note_no_end("it ends with a here-document")

    def here_document(self, pending: _Pending) -> None:
        """Read the body of a here-document, and the line that ends it."""
        start, delimiter = self.at, pending.delimiter
        lines: list[tuple[str | int, ...]] = []
        while True:
            end = self.at
            if end >= len(self.text):
                if self.depth > 1 or self.backticks:
                    raise self.unclear(f"the here-document's end '{delimiter}' is missing")
                break
            line = self.document_line(pending.quoted)
            literal = "".join(part if isinstance(part, str) else "\0" for part in line)
            stripped = literal.lstrip("\t") if pending.strips_tabs else literal
            if delimiter in (literal, stripped):
                break
            if self.substitutions and stripped.startswith(delimiter) and re.search(r"[)\0]", stripped):
                raise self.unclear(
                    f"a line that begins with '{delimiter}' in a here-document inside of '$(…)'"
                )
            if "\0" in literal:
                lines.append(line)
        if not lines:
            return
        substituted = self.substitutions > 0
        self.findings.documents.append(
            HereDocument(delimiter, pending.strips_tabs, substituted, tuple(lines))
        )
        body = _Reader(self.text[start:end], self.origins[start:end], self.findings, self.backticks)
        known = len(self.findings.slots)
        body.document_body(pending.quoted)
        found = self.findings.since(known)
        if not pending.quoted:
            # Bash joins lines that end in a backslash, and marks control characters, before it looks for commands.
            inner = [
                index for index in found if self.findings.slots[index].context is not Context.HERE_DOCUMENT
            ]
            self.findings.mangle(inner, "\\\x01\x7f")
        elif substituted:
            self.findings.mangle(found, "\x01")  # which bash 5.2 takes for a mark of its own

    def document_line(self, quoted: bool) -> tuple[str | int, ...]:
        """Read one line; where the delimiter is not quoted, lines that end in a backslash go on in the next."""
        parts: list[str | int] = []
        literal = ""
        while (char := self.raw() if quoted else self.peek()) not in ("", "\n"):
            if char == "\0":
                parts += [literal, self.findings.numbers[self.index()]]
                literal = ""
            elif char == "\\" and not quoted and not self.text.startswith("\0", self.at + 1):
                self.at += 1
                literal += char + self.raw()
            else:
                literal += char
            self.at += 1
        self.at += 1
        return (*parts, literal)

    def document_body(self, quoted: bool) -> None:
        before = Before.NOTHING
        while char := self.raw() if quoted else self.peek():
            if char == "\0":
                self.place(Context.QUOTED_HERE_DOCUMENT if quoted else Context.HERE_DOCUMENT, before)
                before = before if before is Before.NAME else Before.NOTHING
            else:
                self.at += 1
                before = Before.NOTHING if quoted else self.special(char, Context.HERE_DOCUMENT)

    # Words

    def word(self, *, assignable: bool = False, element: bool = False) -> _Word:
        """Read one word, which may be empty.

        Args:
            assignable: Whether `name=(…)` and `name[…]=` are assignments here.
            element: Whether it is an element of an array, which may begin with its subscript.
        """
        if self.peek() == "#":
            raise self.unclear("a comment in the middle of a command")
        outer = self.direct, self.split, self.brace_blind
        self.direct, self.split, self.brace_blind = [], [], False
        word_start, start_index, known = self.at, self.index(), len(self.findings.slots)
        end = self.at
        outline = text = ""
        before, has_names = Before.NOTHING, False
        while char := self.peek():
            start = self.at
            if char == "\0":
                if _TILDE_PREFIX.search(outline):
                    self.reject("placeholder-after-tilde")
                else:
                    self.place(Context.BARE, before)
                seen, said = char, char
            elif self.match(_LITERAL_RUN):
                seen = said = self.text[start : self.at]
                before = Before.NOTHING
            elif char == "[" and (_NAME.fullmatch(outline) if assignable else element and not outline):
                self.at += 1
                self.arithmetic("]")
                seen, said, before = f"[{_OPAQUE}]", _OPAQUE, Before.NOTHING
            elif char == "(" and assignable and _ASSIGNMENT.fullmatch(outline):
                self.at += 1
                self.array()
                seen, said, before = _OPAQUE, _OPAQUE, Before.NOTHING
            elif char in "<>" and self.accept(f"{char}("):
                self.substitution()
                seen, said, before = _OPAQUE, _OPAQUE, Before.NOTHING
            elif char in " \t\n|&;()<>":
                break
            else:
                if char == "\\" and element and self.substitutions:
                    raise self.unclear("a backslash in an array inside of '$(…)', which bash 5.2 forgets")
                seen, said, before = self.part(char)
                has_names |= before is Before.NAME
            outline += seen
            text += said
            end = self.at
        if "{" in outline:
            self.check_braces(outline, has_names)
        if "~" in outline and _ASSIGNMENT_TO_VALUE.match(outline):
            # With a plain value, `{x}=~` would look like an assignment, and the tilde be expanded.
            self.findings.restrict(self.direct, Plain.NONE)
        if self.brace_blind:
            # Brace expansion, which needs a brace to start, does not see that backticks have quotes of their own.
            if "{" in self.text[word_start : self.at]:
                raise self.unclear('a brace in a word with "`…`"', "write $(…) instead of backticks")
            self.findings.mangle(self.findings.since(known), "{")
        known_text = None
        if _EXPANDED.search(outline):
            known_text = _EXPANDED.sub(UNKNOWN, text) if text == outline else UNKNOWN
        word = _Word(
            outline,
            text,
            tuple(self.direct),
            tuple(self.split),
            tuple(self.findings.since(known)),
            start_index,
            self.origins[end - 1] + 1 if end > word_start else start_index,
            known_text,
        )
        self.direct, self.split, self.brace_blind = outer[0] + self.direct, outer[1] + self.split, outer[2]
        return word

    def part(self, char: str) -> tuple[str, str, Before]:
        """Read what `char` begins; return what it adds to the word's outline and text, and what it leaves behind."""
        self.at += 1
        start = self.at
        if char == "[":
            return char, char, Before.NOTHING
        if char == "'":
            self.single_quoted()
            return _OPAQUE, self.text[start : self.at - 1], Before.NOTHING
        if char == '"':
            return _OPAQUE, self.double_quoted(), Before.NOTHING
        if char == "\\":
            if self.raw() == "\0":
                self.reject("placeholder-after-backslash")
            else:
                self.at += 1
            return _OPAQUE, self.text[start : self.at], Before.NOTHING
        before = self.special(char, Context.BARE)
        if self.at == start:  # a dollar sign that stands for itself
            return char, char, before
        return _OPAQUE, _OPAQUE, before

    def check_braces(self, outline: str, has_names: bool) -> None:
        """Check a word with a brace expansion, whose parts may make `$NAME` or `~name` of what stands apart."""
        self.findings.restrict(self.direct, Plain.NONE if has_names else Plain.BRACES)
        if "$" in outline or "~" in outline:
            self.findings.reject(self.direct, "placeholder-in-braces")

    def array(self) -> None:
        """Read the elements of `name=(…)` up to the `)`."""
        known = len(self.findings.slots)
        while not self.accept(")"):
            if self.pending:
                raise self.unclear("an array on the line that begins a here-document")
            self.linebreaks()
            if self.peek() != ")" and not self.word(element=True).outline:
                raise self.unclear("an array that is not understood")
            self.linebreaks()
        # Bash marks these two of its own accord, and does not always take the marks off again here.
        self.findings.mangle(self.findings.since(known), "\x01\x7f")

    def special(self, char: str, context: Context) -> Before:
        """Read on behind `char` where `$`, backticks and backslashes are special; return what it leaves behind."""
        if char == "$":
            return self.dollar(context)
        if char == "`":
            self.backquoted(context)
        elif char == "\\":
            if self.raw() == "\0":
                return Before.BACKSLASH
            self.at += 1
        return Before.NOTHING

    def single_quoted(self) -> None:
        opening = self.at - 1
        while (char := self.raw()) != "'":
            if not char:
                raise self.unclear("a single quote is not closed", _QUOTE_HINT, opening)
            if char == "\0":
                self.place(Context.SINGLE_QUOTED)
            else:
                self.at += 1
        self.at += 1

    def double_quoted(self) -> str:
        """Read on behind a double quote, up to the next; return the text between them as in `_Word`."""
        text, before, opening = "", Before.NOTHING, self.at - 1
        while (char := self.peek()) != '"':
            if not char:
                raise self.unclear("a double quote is not closed", _QUOTE_HINT, opening)
            if char == "\0":
                self.place(Context.DOUBLE_QUOTED, before)
                before = before if before is Before.NAME else Before.NOTHING
            else:
                self.at += 1
                before = self.special(char, Context.DOUBLE_QUOTED)
            if char == "\\":
                escaped = self.text[self.at - 1 : self.at]
                text += escaped if escaped in '"$`\\' else char + escaped
            else:
                text += _OPAQUE if char in "$`" else char
        self.at += 1
        return text

    def ansi_c_quoted(self) -> None:
        """Read `$'…'` behind its opening quote."""
        before, swallows, opening = Before.NOTHING, False, self.at - 1
        while (char := self.raw()) != "'":
            if not char:
                raise self.unclear("a single quote is not closed", _QUOTE_HINT, opening)
            if char == "\0":
                if swallows:
                    self.reject("placeholder-after-backslash")
                else:
                    self.place(Context.ANSI_C_QUOTED, before)
                continue
            self.at += 1
            before = Before.NOTHING
            if char != "\\":
                continue
            match = _NUMERIC_ESCAPE.match(self.text, self.at)
            if match and match.lastgroup:
                length, base = _DIGITS_AND_BASE[match.lastgroup]
                digits = match[match.lastgroup]
                # A character of code 0 cuts off the rest of the string.
                swallows = swallows or not digits or int(digits, base) % 256 == 0
                before = Before.ESCAPE if len(digits) < length else Before.NOTHING
                self.at = match.end()
            elif self.raw() in ("c", "\0"):
                swallows = True
            else:
                self.at += 1
        self.at += 1

    def dollar(self, context: Context) -> Before:
        """Read on behind a `$`."""
        char = self.peek()
        if char == "\0":
            self.reject("placeholder-after-dollar")
        elif char == "'" and context is Context.BARE:
            self.at += 1
            self.ansi_c_quoted()
        elif char == '"' and context is Context.BARE:
            self.at += 1
            self.double_quoted()
        elif self.accept("(("):
            self.double_parenthesis()
        elif self.accept("("):
            self.substitution()
        elif self.accept("{"):
            self.parameter(context)
        elif self.accept("["):
            self.arithmetic("]")
        elif _NAME.match(char):
            while (char := self.peek()).isalnum() or char == "_":
                self.at += 1
            return Before.NAME
        elif char and char in "@*#?-$!0123456789":
            self.at += 1
        return Before.NOTHING

    def substitution(self) -> None:
        """Read `$(…)`, `<(…)` or `>(…)` behind the opening parenthesis."""
        start = self.at
        outer = self.pending, self.direct, self.split, self.brace_blind, self.compounds
        self.pending, self.direct, self.split, self.compounds = [], [], [], 0
        self.substitutions += 1
        self.commands(")")
        self.substitutions -= 1
        if self.pending or (outer[0] and "\n" in self.text[start : self.at]):
            raise self.unclear("a here-document that does not end where it began")
        self.pending, self.direct, self.split, self.brace_blind, self.compounds = outer

    def parameter(self, context: Context) -> None:
        """Read `${…}` behind the brace."""
        opening = self.at - 2
        match = _DEFAULT_OPERATOR.match(self.text, self.at)
        self.at = word_start = match.end() if match else self.at
        known = len(self.direct)
        is_bare = context is Context.BARE
        before = Before.NOTHING
        while (char := self.peek()) != "}":
            if not char:
                raise self.unclear("'${' is not closed", at=opening)
            if char == "\0":
                index = self.index()
                if is_bare and re.search(r"~[^/]*$", self.text[word_start : self.at]):
                    self.reject("placeholder-after-tilde")
                    continue
                if match and match[2] == "=":
                    self.assigned(match[1], [index])
                    self.split += [index] if is_bare else []
                self.place(Context.BARE if is_bare else Context.QUOTED_DEFAULT, before)
                if not is_bare:
                    # Even here bash looks for the ends of '…' and <(…), and would keep a backslash.
                    self.findings.mangle([index], "'<>(")
                elif "IFS" in self.findings.text:
                    self.findings.restrict([index], Plain.NONE)
                continue
            self.at += 1
            before = Before.NOTHING
            if char in "'\"" and is_bare:
                if char == "'":
                    self.single_quoted()
                else:
                    self.double_quoted()
            elif char in "'\"":
                end = self.text.find(char, self.at)
                if end < 0 or not _INERT.fullmatch(self.text, self.at, end):
                    raise self.unclear("quotes inside of a quoted '${…}'")
                self.at = end + 1
            elif char == "\\" and self.raw() == "\0":
                self.reject("placeholder-after-backslash")
            elif (char == "`" and not is_bare) or (char == "$" and self.peek() in ("'", '"')):
                raise self.unclear(f"'{char}{self.peek()}' inside of '${{…}}'")
            else:
                before = self.special(char, context)
        self.at += 1
        if not match or context not in (Context.BARE, Context.DOUBLE_QUOTED):
            self.findings.reject(self.direct[known:], "placeholder-in-expansion", "this '${…}'")

    def double_parenthesis(self) -> None:
        """Read the arithmetic behind `((`."""
        self.arithmetic(")")
        if not self.accept(")"):
            raise self.unclear("'((' without '))'", "for a subshell, put a space between the two '('")

    def arithmetic(self, close: str) -> None:
        """Read an arithmetic expression up to `close`, behind the parenthesis or bracket that opened it."""
        opening = "(" if close == ")" else "["
        depth, previous = 0, ""
        known_slots, known_direct = len(self.findings.slots), len(self.direct)
        while (char := self.peek()) != close or depth:
            if not char or char == "\\":
                raise self.unclear(f"an arithmetic expression without '{close}'")
            if char == "\0":
                index = self.index()
                self.place(Context.ARITHMETIC, Before.SIGN if previous in ("+", "-") else Before.NOTHING)
                if re.match(r"[\w\0#$`.@'\"})\]]", previous) or re.match(r"[\w\0#$`.@'\"(\[{]", self.peek()):
                    self.findings.reject([index], "placeholder-in-arithmetic")
            else:
                self.at += 1
                known = len(self.direct)
                if char == "'":
                    self.single_quoted()
                elif char == '"':
                    self.double_quoted()
                elif char in "$`":
                    self.special(char, Context.ARITHMETIC)
                else:
                    depth += (char == opening) - (char == close)
                self.findings.reject(self.direct[known:], "placeholder-in-arithmetic")
            previous = char
        self.at += 1
        direct = self.direct[known_direct:]
        substituted = [index for index in self.findings.since(known_slots) if index not in direct]
        self.findings.reject(substituted, "placeholder-evaluated", "arithmetic")

    def backquoted(self, context: Context) -> None:
        """Read a backtick substitution behind its opening backtick."""
        is_quoted, opening = context is Context.DOUBLE_QUOTED, self.at - 1
        unescaped = '\\`$"' if is_quoted else "\\`$"
        text, origins = "", []
        while (char := self.peek()) != "`":
            if not char:
                raise self.unclear("a backtick is not closed", at=opening)
            if char == "\0" and context is Context.ARITHMETIC:
                raise self.unclear("backticks that are not understood")
            if is_quoted and (char == '"' or self.ahead("$(", "${")):
                self.brace_blind = True
            origins.append(self.index())
            self.at += 1
            if char == "\\" and self.raw() == "\0":
                self.reject("placeholder-after-backslash")
            elif char == "\\":
                if self.raw() not in unescaped:
                    text += char
                    origins.append(self.index())
                char = self.raw()
                self.at += 1
            text += char
        self.at += 1
        inner = _Reader(text, origins, self.findings, (unescaped, *self.backticks))
        inner.depth = 1  # its end is not the command's
        inner.commands("")
