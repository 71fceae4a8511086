"""How bash reads the place of each placeholder in a command, found without looking at any value.

Owns the knowledge of bash's syntax. It reads a command the way bash's own parser does, one character after the
other, and notes for each placeholder what a value has to withstand there. It errs on the side of refusing: a place
where no value can be made safe, and a construct that it does not follow, are faults. It trusts the command's author
and nobody else: what a program, or a later `eval "$X"`, makes of a value that it was given is the author's choice.

Pure: it runs nothing. Writing values so that they withstand is `dioptra_cli.execution.command`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import pairwise

from dioptra_cli.mlproject.template import Fault, Literal, Placeholder, Template


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
    TEST = auto()  # not an operator of [[ … ]], such as `-f`
    NONE = auto()


class Before(Enum):
    """What stands directly before a placeholder and would take the first characters of a value for its own."""

    NOTHING = auto()
    NAME = auto()  # $NAME
    BACKSLASH = auto()
    ESCAPE = auto()  # \x4 in $'…', which takes further digits
    SIGN = auto()  # + or - in arithmetic


@dataclass(frozen=True)
class HereDocument:
    """The body of a here-document that holds placeholders.

    Attributes:
        delimiter: The line that ends it.
        strips_tabs: Whether tabs at the start of a line are dropped (`<<-`).
        substituted: Whether it stands in `$(…)`, where bash ends it also at `delimiter` and a `)` on one line.
        lines: The lines with placeholders: literal text, and the number of a placeholder in the template.
    """

    delimiter: str
    strips_tabs: bool
    substituted: bool
    lines: tuple[tuple[str | int, ...], ...]


@dataclass(frozen=True)
class Slot:
    """The place of one placeholder, as the shell sees it.

    Attributes:
        placeholder: The placeholder.
        context: What the shell takes the text around it for.
        plain: Which values may go without quotes, where the context is bare.
        before: What stands directly before it.
        backticks: For each backtick substitution it stands in, from within, the characters that lose a backslash.
        mangled: The characters that bash would not pass on here, however they are quoted.
    """

    placeholder: Placeholder
    context: Context
    plain: Plain = Plain.ANY
    before: Before = Before.NOTHING
    backticks: tuple[str, ...] = ()
    mangled: str = ""


@dataclass(frozen=True)
class ShellReading:
    """A command as the shell reads it.

    Attributes:
        slots: One for each placeholder, in order; empty where there are faults.
        documents: The here-documents with placeholders, also those in a command that is substituted in them.
        faults: The placeholders, or the constructs, with which no value is safe.
        end: The index in `Template.text` at which further arguments of the last command can be put, if any.
        no_end: Why no further arguments can be put anywhere, when `end` is None.
    """

    slots: tuple[Slot, ...]
    documents: tuple[HereDocument, ...]
    faults: tuple[Fault, ...]
    end: int | None
    no_end: str = ""


KEYWORDS = frozenset(
    (
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "case",
        "esac",
        "for",
        "select",
        "while",
        "until",
        "do",
        "done",
        "in",
    )
    + ("function", "time", "coproc")
)
"""The reserved words that have no character which quoting would catch."""

# Builtins that evaluate an argument once more, as a command, an arithmetic expression or an array subscript.
_EVALUATING = frozenset(
    (
        "eval",
        "let",
        "trap",
        "alias",
        "declare",
        "typeset",
        "local",
        "unset",
        "read",
        "mapfile",
        "readarray",
        "wait",
    )
    + ("getopts", "compgen", "complete", "bind", "fc", "set", "shopt")
)
_DECLARING = frozenset(("declare", "typeset", "local", "export", "readonly"))
# Variables whose new value bash evaluates, or lets change how it reads what follows.
_EVALUATED_VARIABLES = frozenset(
    ("RANDOM", "SRANDOM", "SECONDS", "LINENO", "HISTCMD", "OPTIND", "PS4", "BASH_COMPAT", "POSIXLY_CORRECT")
)
_HARMLESS_OPTIONS = re.compile(
    r"--?|[-+][abefmnptuvxBCEPTo]+|errexit|nounset|xtrace|verbose|pipefail|noglob|noclobber"
)
_HARMLESS_SHOPTS = re.compile(
    r"-[sup]+|(?:null|dot|fail|ext)glob|globstar|nocase(?:glob|match)|lastpipe|inherit_errexit"
)

_OPAQUE = "\x01"  # stands in the outline of a word for anything quoted or substituted
_LITERAL_RUN = re.compile(r"[^ \t\n|&;()<>\\\0'\"`$\[]+")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]]*\])?\+?=", re.ASCII)
_ASSIGNMENT_TO_VALUE = re.compile(r"[\w\0]*\0[\w\0]*(?:\[[^\]]*\])?\+?=", re.ASCII)
_ARRAY_OPENING = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=", re.ASCII)
_DESCRIPTOR = re.compile(r"\d+|\{[A-Za-z_]\w*\}", re.ASCII)
_TILDE_PREFIX = re.compile(r"(?:^|[:=])~[^/:=]*$")
_DEFAULT_OPERATOR = re.compile(r"([A-Za-z_]\w*|[0-9]+):?([-=+?])", re.ASCII)
_NUMERIC_ESCAPE = re.compile(
    r"x(?P<x>[0-9A-Fa-f]{0,2})|u(?P<u>[0-9A-Fa-f]{0,4})|U(?P<U>[0-9A-Fa-f]{0,8})|(?P<o>[0-7]{1,3})"
)
_INERT = re.compile(r"[\w\s.,:/=-]*")
_WORD_END = r"(?![^\s;|&()<>])"
_IN, _ESAC = re.compile("in" + _WORD_END), re.compile("esac" + _WORD_END)
_OPENING_KEYWORDS = frozenset(("if", "then", "else", "elif", "do", "while", "until", "!", "{", "time"))
_CLOSING_KEYWORDS = frozenset(("fi", "done", "}"))
_ARITHMETIC_TESTS = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge"))
_REDIRECTIONS = ("&>>", "&>", ">>", ">&", ">|", "<&", "<>", "<", ">")


def read_shell(template: Template) -> ShellReading:
    """Find out how bash reads each placeholder's place. Never raises."""
    findings = _Findings(template)
    reader = _Reader(template.text, range(len(template.text)), findings)
    end: int | None = None
    no_end = "the command's shell syntax is not understood"
    try:
        reader.commands("")
        findings.reject_evaluated_assignments()
        end, no_end = reader.end, reader.no_end
    except _Unclear as unclear:
        findings.faults[unclear.index] = Fault(
            findings.source_offset(unclear.index), unclear.code, unclear.message, unclear.hint
        )
    except RecursionError:
        findings.faults[0] = Fault(0, "unclear-shell-syntax", "the command is nested too deeply")
    if not findings.numbers:
        return ShellReading((), (), (), end, no_end)
    if findings.faults:
        return ShellReading((), (), tuple(fault for _, fault in sorted(findings.faults.items())), end, no_end)
    slots = tuple(findings.slots[index] for index in findings.numbers)
    return ShellReading(slots, tuple(findings.documents), (), end, no_end)


class _Unclear(Exception):
    """The reader cannot follow the command any further."""

    def __init__(
        self, index: int, message: str, hint: str | None = None, code: str = "unclear-shell-syntax"
    ) -> None:
        self.index, self.message, self.hint, self.code = index, message, hint, code


class _Findings:
    """What the reader of a template, and those of its parts, have found so far. Keys are indices of its text."""

    def __init__(self, template: Template) -> None:
        self.template = template
        indices = [index for index, char in enumerate(template.text) if char == "\0"]
        self.numbers = {index: number for number, index in enumerate(indices)}
        self.slots: dict[int, Slot] = {}
        self.faults: dict[int, Fault] = {}
        self.documents: list[HereDocument] = []
        self.assigned: list[int] = []
        self.has_typed_variables = False

    def update(self, indices: Iterable[int], plain: Plain) -> None:
        for index in indices:
            slot = self.slots.get(index)
            if slot and slot.context is Context.BARE:
                self.slots[index] = replace(
                    slot, plain=plain if slot.plain in (Plain.ANY, plain) else Plain.NONE
                )

    def mangle(self, known: int, chars: str) -> None:
        """Note that bash mangles `chars` in the placeholders that were found after the first `known`."""
        for index in list(self.slots)[known:]:
            self.slots[index] = replace(self.slots[index], mangled=self.slots[index].mangled + chars)

    def reject(self, indices: Iterable[int], code: str, message: str, hint: str | None = None) -> None:
        for index in indices:
            self.faults.setdefault(index, Fault(self.source_offset(index), code, message, hint))

    def reject_evaluated_assignments(self) -> None:
        if self.has_typed_variables:
            self.reject(
                self.assigned,
                "placeholder-evaluated",
                "bash evaluates what is assigned to a variable declared with -i or -n",
                "declare the variables without an attribute",
            )

    def placeholder(self, index: int) -> Placeholder:
        return self.template.placeholders[self.numbers[index]]

    def source_offset(self, index: int) -> int:
        """Return where the character at `index` of the template's text stands in its source."""
        passed = 0
        for piece in self.template.pieces:
            length = len(piece.text) if isinstance(piece, Literal) else 1
            if index < passed + length:
                return piece.offset + (index - passed)
            passed += length
        return len(self.template.source)


class _Position(Enum):
    """Where in a command the reader is."""

    START = auto()  # a reserved word or an assignment would be taken as such
    ARGUMENTS = auto()
    LIST = auto()  # the words of `for name in …`
    CLOSED = auto()  # behind `fi`, `)` and the like


@dataclass(frozen=True)
class _Word:
    """One word of the shell.

    Attributes:
        outline: Its unquoted text: NUL for a bare placeholder, `_OPAQUE` for whatever is quoted or substituted.
        text: Its text without quotes: NUL for a placeholder, `_OPAQUE` for whatever is substituted.
        direct: The indices of its placeholders, but for those in a substituted command.
        split: Those in a bare `${name:=word}`, whose result the shell splits in spite of quotes.
    """

    outline: str
    text: str
    direct: tuple[int, ...]
    split: tuple[int, ...]

    @property
    def is_literal(self) -> bool:
        return "\0" not in self.text and _OPAQUE not in self.text


@dataclass
class _Command:
    """The simple command that is being read."""

    position: _Position = _Position.START
    words: list[_Word] = field(default_factory=list)
    loop_variable: str = ""

    @property
    def arguments(self) -> list[_Word]:
        """The words from the command's name on; `builtin` and `command` run what they are given."""
        words = self.words
        while words and words[0].text in ("builtin", "command"):
            words = words[1:]
            while words and words[0].text.startswith("-"):
                words = words[1:]
        return words

    @property
    def name(self) -> str:
        words = self.arguments
        return words[0].text if words and words[0].is_literal else ""


@dataclass
class _Pending:
    """A here-document whose body has not been read yet."""

    delimiter: str
    quoted: bool
    strips_tabs: bool


class _Reader:
    """Reads one text: the template's, or the inside of backticks or of a here-document.

    Args:
        text: What to read.
        origins: For each character, its index in the template's text.
        findings: Where to note what is found.
        backticks: As in `Slot`.
    """

    def __init__(
        self, text: str, origins: Sequence[int], findings: _Findings, backticks: tuple[str, ...] = ()
    ) -> None:
        self.text = text
        self.origins = origins
        self.findings = findings
        self.backticks = backticks
        self.position = 0
        self.pending: list[_Pending] = []
        self.direct: list[int] = []
        self.split: list[int] = []
        self.depth = 0
        self.substitutions = 0
        self.compounds = 0
        self.brace_blind = False
        self.end: int | None = None
        self.no_end = "the command is empty"

    # Characters

    def peek(self) -> str:
        """Return the next character, or "" at the end; lines continued by a backslash are one."""
        while self.text.startswith("\\\n", self.position):
            self.position += 2
        char = self.text[self.position : self.position + 1]
        return "" if char == "\\" and self.position + 1 == len(self.text) else char

    def accept(self, expected: str) -> bool:
        """Step over `expected` if it comes next."""
        start = self.position
        for char in expected:
            if self.peek() != char:
                self.position = start
                return False
            self.position += 1
        return True

    def blanks(self) -> None:
        while self.peek() in (" ", "\t"):
            self.position += 1

    def linebreaks(self) -> None:
        """Step over blanks, ends of lines and comments."""
        while (char := self.peek()) and char in " \t\n#":
            if char == "\n":
                self.newline()
            elif char == "#":
                self.comment()
            else:
                self.position += 1

    def unclear(self, message: str, hint: str | None = None) -> _Unclear:
        return _Unclear(self.index(), message, hint)

    def index(self) -> int:
        """Return the index in the template's text of the next character."""
        if self.position < len(self.text):
            return self.origins[self.position]
        return self.origins[-1] + 1 if self.origins else 0

    # Placeholders

    def place(self, context: Context, before: Before = Before.NOTHING) -> None:
        """Note the placeholder that comes next, and step over it."""
        index = self.index()
        placeholder = self.findings.placeholder(index)
        self.findings.slots[index] = Slot(placeholder, context, before=before, backticks=self.backticks)
        self.direct.append(index)
        self.position += 1

    def reject(self, code: str, message: str, hint: str | None = None) -> None:
        """Note that the placeholder that comes next is at fault, and step over it."""
        self.findings.reject([self.index()], code, message, hint)
        self.position += 1

    def reject_after_backslash(self) -> None:
        self.reject(
            "placeholder-after-backslash",
            "the backslash before the placeholder would quote the value's first character",
            "double the backslash, or leave it out",
        )

    # Commands

    def commands(self, until: str) -> bool:
        """Read commands up to the end of the text (""), to a `)`, or to the end of a `case` clause ("esac").

        Returns:
            Whether the word `esac` ended them.
        """
        self.depth += 1
        command = _Command()
        while True:
            self.blanks()
            char = self.peek()
            if char == "":
                if until:
                    raise self.unclear(f"the command ends where '{until}' is missing")
                break
            if char == "#":
                self.comment()
                self.note_end("it ends with a comment")
            elif char == "\n":
                self.finish(command)
                command = _Command()
                self.newline()
            elif char in "<>" or (char == "&" and self.ahead("&>")):
                if self.ahead("<(") or self.ahead(">("):
                    self.read_word(command)
                else:
                    self.redirection()
                    self.note_command_end(command)
            elif char in ";&|":
                self.finish(command)
                command = _Command()
                if self.accept(";;&") or self.accept(";;") or self.accept(";&"):
                    if until != "esac":
                        raise self.unclear("';;' outside of 'case'")
                    break
                operator = next(op for op in ("&&", "||", "|&", ";", "&", "|") if self.accept(op))
                self.note_end(f"it ends with '{operator}'")
            elif char == "(":
                self.parenthesis(command)
            elif char == ")":
                if until != ")":
                    raise self.unclear("')' without a '('")
                self.position += 1
                break
            elif self.read_word(command):
                if until != "esac":
                    raise self.unclear("'esac' without a 'case'")
                self.finish(command)
                self.depth -= 1
                return True
        self.finish(command)
        if until == "" and self.pending:
            self.note_end("it ends where a here-document is missing")
            if self.backticks:
                raise self.unclear("a here-document is missing")
        self.depth -= 1
        return False

    def ahead(self, expected: str) -> bool:
        start = self.position
        found = self.accept(expected)
        self.position = start
        return found

    def note_end(self, reason: str) -> None:
        """Note that arguments cannot be added here."""
        if self.depth == 1:
            self.end, self.no_end = None, reason

    def note_command_end(self, command: _Command) -> None:
        """Note that arguments can be added here if there is a command to take them."""
        if self.depth > 1:
            return
        if command.position is not _Position.ARGUMENTS:
            self.note_end("it ends without a command that takes arguments")
        elif command.name in _EVALUATING:
            self.note_end(f"it ends with '{command.name}', which evaluates its arguments")
        else:
            self.end, self.no_end = self.position, ""

    def read_word(self, command: _Command) -> bool:
        """Read the next word as part of `command`; return whether it is `esac`, which ends a clause."""
        in_command = command.position in (_Position.START, _Position.CLOSED)
        word = self.word(assignable=in_command or command.name in _DECLARING)
        following = self.peek()
        if following in ("<", ">"):
            # A word of digits here would name the file descriptor to redirect, and so would {name}.
            if re.fullmatch(r"[\d\0]+|\{[\w\0]+\}", word.outline):
                self.findings.update(word.direct, Plain.NONE)
            if _DESCRIPTOR.fullmatch(word.outline):
                return False
        if following == "(" and not (
            command.position is _Position.START and word.outline == word.text.strip("\0")
        ):
            raise self.unclear("'(' directly behind a word")
        if in_command:
            if word.outline == "esac":
                return True
            if self.keyword(command, word):
                return False
            if command.position is _Position.CLOSED:
                raise self.unclear("a word where the command has ended")
            if not self.assignment(word):
                self.first_word(word)
                command.position = _Position.ARGUMENTS
                command.words.append(word)
        elif command.position is _Position.LIST:
            self.assigned(command.loop_variable, word.direct)
        else:
            command.words.append(word)
        self.note_command_end(command)
        if command.name != ":":
            self.reject_split(word)
        return False

    def reject_split(self, word: _Word) -> None:
        self.findings.reject(
            word.split,
            "placeholder-split",
            "the shell splits what an unquoted ${name:=value} results in",
            'put it in double quotes: "${{name:={value}}}"',
        )

    def assignment(self, word: _Word) -> bool:
        """Return whether the word at the start of a command is an assignment, and check it if so."""
        if match := _ASSIGNMENT.match(word.outline):
            if match[1] == "POSIXLY_CORRECT":
                raise self.unclear("POSIXLY_CORRECT changes how the shell reads what follows")
            self.assigned(match[1], word.direct)
            return True
        if _ASSIGNMENT_TO_VALUE.match(word.outline):
            self.findings.reject(
                word.direct,
                "placeholder-as-name",
                "a value cannot name a variable",
                "write the variable's name into the command",
            )
        return False

    def assigned(self, name: str, indices: Sequence[int]) -> None:
        """Note that the placeholders at `indices` are part of what is assigned to the variable `name`."""
        self.findings.assigned.extend(indices)
        if name in _EVALUATED_VARIABLES:
            self.findings.reject(
                indices,
                "placeholder-evaluated",
                f"bash evaluates what is assigned to {name}",
                "use another variable",
            )

    def first_word(self, word: _Word) -> None:
        """Restrict which values go unquoted in the word that names the command."""
        glued = len(word.outline) > 1
        letters_only = re.fullmatch(r"[A-Za-z\0]*", word.outline) is not None
        self.findings.update(word.direct, Plain.NONE if glued and letters_only else Plain.COMMAND)

    def parenthesis(self, command: _Command) -> None:
        if command.position is _Position.START:
            if self.accept("(("):
                self.arithmetic(")")
                if not self.accept(")"):
                    raise self.unclear("'((' that is not closed by '))'", "put a blank between the two '('")
            else:
                self.position += 1
                self.compounds += 1
                self.commands(")")
                self.compounds -= 1
            command.position = _Position.CLOSED
            self.note_end("it ends with ')'")
            return
        is_name = (
            command.position is _Position.ARGUMENTS
            and len(command.words) == 1
            and command.words[0].is_literal
        )
        self.position += 1
        self.blanks()
        if not is_name or not self.accept(")"):
            raise self.unclear("'(' in the middle of a command")
        command.position = _Position.START
        command.words.clear()

    def keyword(self, command: _Command, word: _Word) -> bool:
        """Read what belongs to a reserved word; return False if `word` is none."""
        outline = word.outline
        if outline in _OPENING_KEYWORDS:
            self.compounds += outline in ("if", "while", "until", "{")
            command.position = _Position.START
            if outline == "time":
                self.blanks()
                while self.accept("-p") or self.accept("--"):
                    self.blanks()
        elif outline in _CLOSING_KEYWORDS:
            self.compounds -= 1
            command.position = _Position.CLOSED
        elif command.position is _Position.CLOSED:
            return False
        elif outline in ("for", "select"):
            self.compounds += 1
            self.loop(command)
        elif outline == "case":
            self.compounds += 1
            self.case()
            self.compounds -= 1
            command.position = _Position.CLOSED
        elif outline == "[[":
            self.condition()
            command.position = _Position.CLOSED
        elif outline == "function":
            self.blanks()
            if not self.word().is_literal:
                raise self.unclear("a function whose name is not plain text")
            self.blanks()
            if self.accept("("):
                self.blanks()
                if not self.accept(")"):
                    raise self.unclear("'(' in the name of a function")
        elif outline == "coproc":
            raise self.unclear("'coproc' is not supported in a command with placeholders")
        else:
            return False
        self.note_end(f"it ends with '{outline}'")
        return True

    def loop(self, command: _Command) -> None:
        """Read `for` or `select` up to its list."""
        self.blanks()
        if self.accept("(("):
            self.arithmetic(")")
            if not self.accept(")"):
                raise self.unclear("'((' that is not closed by '))'")
            return
        variable = self.word()
        if not _NAME.fullmatch(variable.outline) or variable.outline in _EVALUATED_VARIABLES:
            raise self.unclear("a loop whose variable is not a plain name", "write its name into the command")
        self.linebreaks()
        if match := _IN.match(self.text, self.position):
            self.position = match.end()
            command.position = _Position.LIST
            command.loop_variable = variable.outline

    def case(self) -> None:
        """Read `case` up to its `esac`."""
        self.blanks()
        self.word()
        self.linebreaks()
        if not (match := _IN.match(self.text, self.position)):
            raise self.unclear("'case' without 'in'")
        self.position = match.end()
        while True:
            self.linebreaks()
            if match := _ESAC.match(self.text, self.position):
                self.position = match.end()
                return
            self.accept("(")
            while True:
                self.blanks()
                pattern = self.word()
                self.findings.update(pattern.direct, Plain.COMMAND)
                self.blanks()
                if not pattern.outline or self.peek() not in ("|", ")"):
                    raise self.unclear("'case' with a pattern that is not understood")
                self.position += 1
                if self.text[self.position - 1] == ")":
                    break
            if self.commands("esac"):
                return

    def condition(self) -> None:
        """Read `[[` up to its `]]`."""
        words: list[_Word] = []
        while True:
            self.linebreaks()
            char = self.peek()
            if char == "" or self.ahead("<(") or self.ahead(">("):
                raise self.unclear("'[[' that is not understood")
            if char in "()<>&|;":
                self.position += 1
                words.append(_Word(char, char, (), ()))
                continue
            if words and words[-1].outline == "=~":
                word = self.regular_expression()
            else:
                word = self.word()
                self.findings.update(word.direct, Plain.TEST)
                if self.peek() == "(":
                    raise self.unclear("'(' directly behind a word")
            if word.outline == "]]":
                break
            words.append(word)
        for number, word in enumerate(words):
            if word.outline in _ARITHMETIC_TESTS:
                self.compare(words[max(number - 1, 0) : number] + words[number + 1 : number + 2])
            elif word.outline in ("-v", "-R"):
                self.findings.reject(
                    [index for operand in words[number + 1 : number + 2] for index in operand.direct],
                    "placeholder-as-name",
                    f"{word.outline} evaluates the name of a variable",
                )

    def compare(self, operands: Iterable[_Word]) -> None:
        """Take the operands of `-eq` and the like as the arithmetic that they are, even in quotes."""
        for operand in operands:
            if operand.text == "\0" and len(operand.direct) == 1:
                (index,) = operand.direct
                slot = Slot(self.findings.placeholder(index), Context.ARITHMETIC, backticks=self.backticks)
                self.findings.slots[index] = slot
            else:
                self.reject_glued(operand.direct)

    def regular_expression(self) -> _Word:
        """Read the operand of `=~`; a value in it stands for itself."""
        word = self.word()
        while self.peek() in ("(", ")", "|"):
            self.position += 1
            further = self.word()
            word = _Word(
                word.outline + "(" + further.outline,
                word.text + "(" + further.text,
                word.direct + further.direct,
                word.split + further.split,
            )
        self.findings.update(word.direct, Plain.NONE)
        if "[" in word.outline:
            self.findings.reject(
                word.direct,
                "placeholder-in-expansion",
                "a value cannot be part of a regular expression with brackets",
                "keep the expression in a variable",
            )
        return word

    def finish(self, command: _Command) -> None:
        """Check the arguments of a command whose end has been reached."""
        name, arguments = command.name, command.arguments[1:]
        direct = [index for word in arguments for index in word.direct]
        if name in _DECLARING:
            self.declaration(name, arguments)
        if name in ("set", "shopt"):
            harmless = _HARMLESS_OPTIONS if name == "set" else _HARMLESS_SHOPTS
            for word in arguments:
                if name == "set" and word.text in ("-", "--"):
                    return
                if not harmless.fullmatch(word.text):
                    raise _Unclear(
                        (direct or [self.index()])[0],
                        f"'{name} {word.text}' changes how the shell reads what follows".replace("\0", "{…}"),
                    )
        elif name in _EVALUATING:
            self.findings.reject(
                direct,
                "placeholder-evaluated",
                f"'{name}' evaluates its arguments, so that a value could run as a command",
                f"do without '{name}'",
            )
        elif name == "printf" and arguments:
            if arguments[0].text.startswith("-v"):
                self.reject_name(name, [index for word in arguments[:2] for index in word.direct])
            elif arguments[0].text.startswith("\0"):
                self.findings.reject(
                    arguments[0].direct[:1],
                    "placeholder-evaluated",
                    "printf could take the value for its option -v, which evaluates the next word",
                    "print it with printf '%s' or echo",
                )
        elif name in ("test", "["):
            for operator, operand in pairwise(arguments):
                if operator.text in ("-v", "-R") or (operator.text == "\0" and operand.text.startswith("\0")):
                    self.reject_name(name, operand.direct)

    def reject_name(self, command: str, indices: Iterable[int]) -> None:
        self.findings.reject(
            indices,
            "placeholder-as-name",
            f"'{command}' would evaluate the value as the name of a variable",
            "write the variable's name into the command",
        )

    def declaration(self, name: str, arguments: Sequence[_Word]) -> None:
        """Check `export X=…` and its like, which evaluate more than a plain assignment does."""
        for word in arguments:
            options = word.text if word.text[:1] in ("-", "+") else ""
            self.findings.has_typed_variables |= "i" in options or "n" in options
            match = _ASSIGNMENT.match(word.outline)
            if match and "[" not in match[0]:
                self.assigned(match[1], word.direct)
            elif name not in _EVALUATING:
                self.reject_name(name, word.direct)

    # Redirections and here-documents

    def redirection(self) -> None:
        if self.accept("<<<"):
            pass
        elif self.accept("<<"):
            strips_tabs = self.accept("-")
            self.blanks()
            self.delimiter(strips_tabs)
            return
        else:
            next(operator for operator in _REDIRECTIONS if self.accept(operator))
        self.blanks()
        target = self.word()
        if not target.outline:
            raise self.unclear("a redirection without a target")
        self.reject_split(target)

    def delimiter(self, strips_tabs: bool) -> None:
        """Read the word behind `<<`."""
        self.check_compounds()
        start, text, quoted = self.position, "", False
        while (char := self.peek()) and char not in " \t\n|&;()<>":
            if char == "\0":
                raise _Unclear(
                    self.index(),
                    "a value cannot be the delimiter of a here-document",
                    "write the delimiter into the command",
                    "placeholder-in-delimiter",
                )
            self.position += 1
            if char in "'\"":
                quoted = True
                end = self.text.find(char, self.position)
                inner = self.text[self.position : end]
                if end < 0 or re.search(r"[\\$`\n\0]", inner):
                    raise self.unclear("a here-document whose delimiter is not plain text")
                text += inner
                self.position = end + 1
            elif char == "\\":
                quoted = True
                text += self.text[self.position : self.position + 1]
                self.position += 1
            elif char in "$`":
                raise self.unclear("a here-document whose delimiter is not plain text")
            else:
                text += char
        if self.position == start or "\0" in text:
            raise self.unclear("a here-document without a delimiter")
        self.pending.append(_Pending(text, quoted, strips_tabs))

    def newline(self) -> None:
        """Step over the end of a line, and over the here-documents that begin behind it."""
        if self.pending:
            self.check_compounds()
        self.position += 1
        pending, self.pending = self.pending, []
        for document in pending:
            self.here_document(document)
            self.note_end("it ends with a here-document")

    def check_compounds(self) -> None:
        """Refuse a here-document of a compound command in `$(…)`: bash 5.2 loses track of where its body is."""
        if self.substitutions and self.compounds:
            raise self.unclear("a here-document in a compound command inside of '$(…)'")

    def here_document(self, pending: _Pending) -> None:
        """Read the body of a here-document, up to and with the line that ends it."""
        start, delimiter = self.position, pending.delimiter
        substituted = self.substitutions > 0
        lines: list[tuple[str | int, ...]] = []
        while True:
            if self.position >= len(self.text):
                if self.depth > 1 or self.backticks:
                    raise self.unclear(f"the here-document's end '{delimiter}' is missing")
                body_end = self.position
                break
            body_end = self.position
            line = self.document_line(pending.quoted)
            literal = "".join(part if isinstance(part, str) else "\0" for part in line)
            stripped = literal.lstrip("\t") if pending.strips_tabs else literal
            if delimiter in (literal, stripped):
                break
            if substituted and stripped.startswith(delimiter) and re.search(r"[)\0]", stripped):
                raise self.unclear(f"a line that begins with '{delimiter}' in a here-document inside of $(…)")
            if "\0" in literal:
                lines.append(line)
        document = HereDocument(delimiter, pending.strips_tabs, substituted, tuple(lines))
        self.findings.documents += [document] if lines else []
        body = _Reader(self.text[start:body_end], self.origins[start:body_end], self.findings, self.backticks)
        body.document_body(pending.quoted)

    def document_line(self, quoted: bool) -> tuple[str | int, ...]:
        """Read one line of a here-document; where its delimiter is not quoted, continued lines are one."""
        parts: list[str | int] = [""]
        while self.position < len(self.text):
            char = self.text[self.position] if quoted else self.peek()
            if char == "\0":
                parts += [self.findings.numbers[self.index()], ""]
            elif char not in ("\n", ""):
                parts[-1] = f"{parts[-1]}{char}"
            self.position += 1
            if char in ("\n", ""):
                break
            if char == "\\" and not quoted and self.text[self.position : self.position + 1] not in ("", "\0"):
                parts[-1] = f"{parts[-1]}{self.text[self.position]}"
                self.position += 1
        return tuple(parts)

    def document_body(self, quoted: bool) -> None:
        before = Before.NOTHING
        if quoted:
            for match in re.finditer("\0", self.text):
                self.position = match.start()
                self.place(Context.QUOTED_HERE_DOCUMENT)
            return
        while char := self.peek():
            if char == "\0":
                self.place(Context.HERE_DOCUMENT, before)
                if before is Before.BACKSLASH:
                    before = Before.NOTHING
                continue
            self.position += 1
            before = self.substituting(char, Context.HERE_DOCUMENT)

    # Words

    def word(self, *, assignable: bool = False, element: bool = False) -> _Word:
        """Read one word, which may be empty.

        Args:
            assignable: Whether `name=(…)` and `name[…]=` are assignments here.
            element: Whether it is an element of an array, which may begin with its subscript.
        """
        outline, text = "", ""
        outer_direct, self.direct = self.direct, []
        outer_split, self.split = self.split, []
        outer_blind, self.brace_blind = self.brace_blind, False
        word_start, known = self.position, len(self.findings.slots)
        before, has_names = Before.NOTHING, False
        while char := self.peek():
            start = self.position
            if char == "\0":
                if _TILDE_PREFIX.search(outline):
                    self.reject_after_tilde()
                else:
                    self.place(Context.BARE, before)
                outline += "\0"
                text += "\0"
                continue
            before = Before.NOTHING
            if match := _LITERAL_RUN.match(self.text, self.position):
                self.position = match.end()
                outline += match[0]
                text += match[0]
                continue
            if char == "[":
                self.position += 1
                if (assignable and _NAME.fullmatch(outline)) or (element and not outline):
                    self.arithmetic("]")
                    outline += f"[{_OPAQUE}]"
                else:
                    outline += "["
                text += "["
                continue
            if char == "(" and assignable and _ARRAY_OPENING.fullmatch(outline):
                self.position += 1
                self.array()
            elif char in "<>" and self.accept(char + "("):
                self.substitution()
            elif char in " \t\n|&;()<>":
                break
            else:
                self.position += 1
                if char == "\\":
                    if element and self.substitutions:
                        raise self.unclear("a backslash in an array inside of '$(…)', which bash 5.2 forgets")
                    escaped = self.text[self.position : self.position + 1]
                    if escaped == "\0":
                        self.reject_after_backslash()
                    else:
                        self.position += 1
                    text += escaped
                elif char == "'":
                    self.single_quoted()
                elif char == '"':
                    self.double_quoted()
                else:
                    before = self.substituting(char, Context.BARE)
                    has_names |= before is Before.NAME
                    if self.position == start + 1:  # a dollar that stands for itself, so far
                        outline += char
                        text += char
                        continue
            if char in "'\"":
                text += self.text[start + 1 : self.position - 1]
            elif char != "\\":
                text += _OPAQUE
            outline += _OPAQUE
            if self.pending and "\n" in self.text[start : self.position]:
                raise self.unclear("a line break inside of the line that begins a here-document")
        if "{" in outline:
            # The parts that a brace expansion puts together may make `$NAME`, `$'…'` or `~name` of what stood apart.
            self.findings.update(self.direct, Plain.NONE if has_names else Plain.BRACES)
            if re.search(r"[$~]", outline):
                self.findings.reject(
                    self.direct,
                    "placeholder-in-braces",
                    "the brace expansion could put '$' or '~' directly before the value",
                    "quote the '$' or '~'",
                )
        if self.brace_blind:
            # Brace expansion does not see that backticks in quotes have quotes of their own. It needs a brace to start.
            if "{" in self.text[word_start : self.position]:
                raise self.unclear('braces and quotes inside of "`…`"', "write $(…) instead of backticks")
            self.findings.mangle(known, "{")
        self.brace_blind = outer_blind
        result = _Word(outline, text, tuple(self.direct), tuple(self.split))
        self.direct, self.split = outer_direct + self.direct, outer_split + self.split
        return result

    def reject_after_tilde(self) -> None:
        self.reject(
            "placeholder-after-tilde",
            "the value would decide whose home directory '~' stands for",
            "put a slash between them, or quote the '~'",
        )

    def array(self) -> None:
        """Read the elements of `name=(…)` up to the `)`."""
        known = len(self.findings.slots)
        while True:
            if self.pending:
                raise self.unclear("an array on the line that begins a here-document")
            self.linebreaks()
            if self.accept(")"):
                # Bash marks these two of its own accord, and here it does not always take the marks off again.
                self.findings.mangle(known, "\x01\x7f")
                return
            if not self.word(element=True).outline:
                raise self.unclear("an array that is not understood")

    def substituting(self, char: str, context: Context) -> Before:
        """Read what follows `char` where `$`, backticks and backslashes are special; return what it leads to."""
        if char == "$":
            return self.dollar(context)
        if char == "`":
            self.backquoted(context)
        elif char == "\\":
            if self.text[self.position : self.position + 1] == "\0":
                return Before.BACKSLASH
            self.position += 1
        return Before.NOTHING

    def single_quoted(self) -> None:
        while (char := self.text[self.position : self.position + 1]) != "'":
            if not char:
                raise self.unclear("a single quote is not closed")
            if char == "\0":
                self.place(Context.SINGLE_QUOTED)
            else:
                self.position += 1
        self.position += 1

    def double_quoted(self) -> None:
        before = Before.NOTHING
        while (char := self.peek()) != '"':
            if not char:
                raise self.unclear("a double quote is not closed")
            if char == "\0":
                self.place(Context.DOUBLE_QUOTED, before)
                if before is Before.BACKSLASH:
                    before = Before.NOTHING
                continue
            self.position += 1
            before = self.substituting(char, Context.DOUBLE_QUOTED)
        self.position += 1

    def ansi_c_quoted(self) -> None:
        """Read `$'…'` behind its opening quote."""
        before, cut = Before.NOTHING, False
        while (char := self.text[self.position : self.position + 1]) != "'":
            if not char:
                raise self.unclear("a single quote is not closed")
            if char == "\0":
                if cut or before is Before.BACKSLASH:
                    self.reject(
                        "placeholder-after-backslash",
                        "the escape sequence before the placeholder would swallow the value",
                        "close the quotes and put the placeholder behind them",
                    )
                else:
                    self.place(Context.ANSI_C_QUOTED, before)
                continue
            self.position += 1
            before = Before.NOTHING
            if char != "\\":
                continue
            if match := _NUMERIC_ESCAPE.match(self.text, self.position):
                digits = match[match.lastgroup or 0]
                full = {"x": 2, "u": 4, "U": 8, "o": 3}[match.lastgroup or "o"]
                # A character of code 0 ends the string, and so does whatever \x{…} makes of it.
                cut = cut or not digits or int(digits, 8 if match.lastgroup == "o" else 16) % 256 == 0
                before = Before.ESCAPE if len(digits) < full else Before.NOTHING
                self.position = match.end()
            elif self.text[self.position : self.position + 1] == "\0":
                before = Before.BACKSLASH
            else:
                cut = cut or self.text[self.position : self.position + 1] == "c"
                self.position += 1
        self.position += 1

    def dollar(self, context: Context) -> Before:
        """Read what follows a `$`."""
        char = self.peek()
        if char == "\0":
            name = self.findings.placeholder(self.index()).name
            self.reject(
                "placeholder-after-dollar",
                "the shell would take '$' and the value for a variable or a command",
                f"write ${{{{{name}}}}} for a shell variable, or \\${{{name}}} for a dollar and the value",
            )
        elif char == "'" and context is Context.BARE:
            self.position += 1
            self.ansi_c_quoted()
        elif char == '"' and context is Context.BARE:
            self.position += 1
            self.double_quoted()
        elif self.accept("(("):
            self.arithmetic(")")
            if not self.accept(")"):
                raise self.unclear("'$((' that is not closed by '))'", "put a blank between the two '('")
        elif self.accept("("):
            self.substitution()
        elif self.accept("{"):
            self.parameter(context)
        elif self.accept("["):
            self.arithmetic("]")
        elif _NAME.match(char):
            while (char := self.peek()).isalnum() or char == "_":
                self.position += 1
            return Before.NAME
        elif char and char in "@*#?-$!0123456789":
            self.position += 1
        return Before.NOTHING

    def substitution(self) -> None:
        """Read `$(…)`, `<(…)` or `>(…)` behind the opening parenthesis."""
        start = self.position
        outer_pending, self.pending = self.pending, []
        outer_direct, self.direct = self.direct, []
        outer_split, self.split = self.split, []
        outer_compounds, self.compounds = self.compounds, 0
        self.substitutions += 1
        self.commands(")")
        self.substitutions -= 1
        self.compounds = outer_compounds
        if self.pending or (outer_pending and "\n" in self.text[start : self.position]):
            raise self.unclear("a here-document that does not end where it began")
        self.pending, self.direct, self.split = outer_pending, outer_direct, outer_split

    def parameter(self, context: Context) -> None:
        """Read `${…}` behind the brace."""
        match = _DEFAULT_OPERATOR.match(self.text, self.position)
        word_start = self.position = match.end() if match else self.position
        known = len(self.direct)
        is_bare = context is Context.BARE
        before = Before.NOTHING
        while (char := self.peek()) != "}":
            if not char:
                raise self.unclear("'${' is not closed")
            if char == "\0":
                if is_bare and re.search(r"~[^/]*$", self.text[word_start : self.position]):
                    self.reject_after_tilde()
                    continue
                if match and match[2] == "=":
                    self.assigned(match[1], [self.index()])
                    if is_bare:
                        self.split.append(self.index())
                self.place(Context.BARE if is_bare else Context.QUOTED_DEFAULT, before)
                if not is_bare:
                    # Even here bash looks for the end of '…' and <(…), and a backslash would stay.
                    self.findings.mangle(len(self.findings.slots) - 1, "'<>(")
                continue
            self.position += 1
            before = Before.NOTHING
            if char == "'" and is_bare:
                self.single_quoted()
            elif char == '"' and is_bare:
                self.double_quoted()
            elif char in "'\"":
                end = self.text.find(char, self.position)
                if end < 0 or not _INERT.fullmatch(self.text, self.position, end):
                    raise self.unclear("quotes inside of a quoted '${…}'")
                self.position = end + 1
            elif char == "\\" and self.text[self.position : self.position + 1] == "\0":
                self.reject_after_backslash()
            elif char == "`" and not is_bare:
                raise self.unclear("backticks inside of a quoted '${…}'")
            elif char == "$" and self.peek() in ("'", '"'):
                raise self.unclear(f"'${self.peek()}' inside of '${{…}}'")
            else:
                before = self.substituting(char, context)
        self.position += 1
        if not match or context not in (Context.BARE, Context.DOUBLE_QUOTED):
            self.findings.reject(
                self.direct[known:],
                "placeholder-in-expansion",
                "a value cannot be part of this '${…}'",
                "give the value to a variable first, and use that",
            )

    def arithmetic(self, close: str) -> None:
        """Read an arithmetic expression up to `close`, behind the parenthesis or bracket that opened it."""
        opening = "(" if close == ")" else "["
        depth, previous = 0, ""
        while (char := self.peek()) != close or depth:
            if not char:
                raise self.unclear(f"the command ends where '{close}' is missing")
            if char == "\0":
                self.number(previous)
            else:
                self.position += 1
                if char in "'\"":
                    quoted = len(self.direct)
                    if char == "'":
                        self.single_quoted()
                    else:
                        self.double_quoted()
                    self.reject_glued(self.direct[quoted:])
                elif char == "\\":
                    raise self.unclear("a backslash in an arithmetic expression")
                elif char in "$`":
                    self.substituting(char, Context.ARITHMETIC)
                else:
                    depth += (char == opening) - (char == close)
            previous = char
        self.position += 1

    def number(self, previous: str) -> None:
        """Note the placeholder that comes next in an arithmetic expression."""
        index = self.index()
        before = Before.SIGN if previous in ("+", "-") else Before.NOTHING
        self.place(Context.ARITHMETIC, before)
        glue = r"[\w\0#$`.@'\"]"
        if re.match(glue + r"|[})\]]", previous) or re.match(glue + r"|[(\[{]", self.peek()):
            self.reject_glued([index])

    def reject_glued(self, indices: Iterable[int]) -> None:
        self.findings.reject(
            indices,
            "placeholder-in-arithmetic",
            "in arithmetic a value has to stand alone, as a number",
            "put blanks around the placeholder, and no quotes",
        )

    def backquoted(self, context: Context) -> None:
        """Read a backtick substitution behind its opening backtick."""
        is_quoted = context is Context.DOUBLE_QUOTED
        text, origins = "", []
        while (char := self.peek()) != "`":
            if not char:
                raise self.unclear("a backtick is not closed")
            origins.append(self.index())
            self.position += 1
            if char == "\\":
                escaped = self.text[self.position : self.position + 1]
                if escaped == "\0":
                    self.reject_after_backslash()
                    text += char
                    continue
                if escaped and escaped in '\\`$"':
                    if context is Context.ARITHMETIC:
                        raise self.unclear("a backslash in backticks inside of arithmetic")
                    if escaped != '"' or is_quoted:
                        char = ""
                if char:
                    origins.append(self.index())
                char += escaped
                self.position += 1
            elif is_quoted and (char == '"' or (char == "$" and self.peek() in ("(", "{"))):
                self.brace_blind = True
            text += char
        self.position += 1
        inner = _Reader(text, origins, self.findings, ('\\`$"' if is_quoted else "\\`$", *self.backticks))
        inner.depth = 1  # what ends here does not end the command
        inner.commands("")

    def comment(self) -> None:
        """Step over a comment, up to the end of its line."""
        while (char := self.text[self.position : self.position + 1]) and char != "\n":
            if char == "\0":
                self.place(Context.COMMENT)
            else:
                self.position += 1
