"""The checks of a command against the Python script that it calls.

Owns the comparison of the words of a call with what `scripts` read of the script's command line: the words are read
as click or argparse read them. Where a word may be something else than it seems, such as a variable of the shell that
holds any number of options, everything that depends on it is left unsaid.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, NamedTuple

from dioptra_cli.errors import Location, Problem, did_you_mean
from dioptra_cli.mlproject.catalogue import level_of
from dioptra_cli.mlproject.model import EntryPoint, Parameter, Project
from dioptra_cli.mlproject.shell import UNKNOWN, Word
from dioptra_cli.mlproject.usage import ScriptCall

if TYPE_CHECKING:
    from dioptra_cli.validation.scripts.interface import Argument, Interface, Option, ValueType

Cache = MutableMapping[tuple[str, int, int], "Interface | None"]
"""What scripts take, by their path, time of change and size; the caller keeps it as long as it validates."""

_MAX_SIZE = 1_000_000
_PLACEHOLDER = "\0"
_SHOWN_OPTIONS = 8
_NUMBER = re.compile(r"-\.?\d")
_OPTIONS_NAME = r"(?i)(?:.*[_-])?(?:args?|arguments?|extras?|flags?|kwargs|options?|opts?|param(?:eter)?s)"
_INTERPRETER = r"(?:.*/)?(?:python[\d.]*|bash|sh|Rscript)"
_SCRIPTS = (".py", ".sh", ".R")
_FALSE = frozenset(("false", "0", "no", "off", "f", "n", "none"))
_NUMBERS = ("float", "double", "number")
_NEVER_OPTIONS = (*_NUMBERS, "int", "integer", "bool", "boolean", "path", "uri")
_UNCHANGED = (*_NUMBERS, "int", "integer", "bool", "boolean", "string", "str")
"""The types whose values reach the script as they were written."""


def check_script(
    project: Project, entry_point: EntryPoint, call: ScriptCall, cache: Cache
) -> Iterator[Problem]:
    """Yield what is wrong between a call and its script: the checks DIO501 to DIO512.

    Yields nothing where the call may not be made as it stands, the script is none of the project's, or what it takes
    cannot be told.
    """
    if call.language != "python" or not call.certain:
        return
    path = _path(project.directory, call)
    interface = _interface(os.path.join(project.directory, path), cache) if path else None
    if path and interface:
        yield from _Comparison(entry_point, call, path).problems(interface, call.arguments)


def _path(directory: str, call: ScriptCall) -> str | None:
    """Return the path of the called script below the project's directory, if it is there."""
    name = call.script.text
    if not call.module:
        below = not os.path.isabs(name) and os.path.normpath(name).split(os.sep)[0] != os.pardir
        return name if below else None
    path = name.replace(".", "/")
    if not all(part.isidentifier() for part in path.split("/")):
        return None
    if os.path.isdir(os.path.join(directory, path)):
        path += "/__main__"
    return f"{path}.py"


def _interface(path: str, cache: Cache) -> Interface | None:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_SIZE:
            return None
        key = path, status.st_mtime_ns, status.st_size
        if key not in cache:
            # Importing ast takes longer than checking a file that has no script.
            from dioptra_cli.validation.scripts import read_script

            with open(path, encoding="utf-8-sig") as file:
                cache[key] = read_script(file.read())
        return cache[key]
    except (OSError, ValueError):
        return None


class _Unclear(Exception):
    """A call that cannot be read with certainty."""


class _Value(NamedTuple):
    """A text that is passed; a NUL stands for each placeholder."""

    text: str
    word: Word

    @property
    def is_literal(self) -> bool:
        """Whether it is the same in every run."""
        return _PLACEHOLDER not in self.text and UNKNOWN not in self.text

    @property
    def parameter(self) -> str | None:
        """The parameter whose value it is, if it is nothing else."""
        return self.word.parameters[-1] if self.text == _PLACEHOLDER else None


class _Passed(NamedTuple):
    """An option that a call passes."""

    option: Option
    word: Word
    values: tuple[_Value, ...] = ()

    @property
    def name(self) -> str:
        """The option's name, as the call writes it."""
        name = self.word.text.partition("=")[0]
        return name if name in self.option.names else self.option.name


class _Slip(NamedTuple):
    """A space that splits an option: everything else is read as if it were not there."""

    message: str
    hint: str
    word: Word


class _Extra(NamedTuple):
    """A word that is no option, and the flag that it follows, if it does."""

    word: Word
    flag: _Passed | None


class _Reading:
    """The words of a call as the script's parser reads them.

    Attributes:
        interface: What the script, or its subcommand, takes.
        passed: The options.
        extras: The words that are no options and no values of them.
        unknown: The options that the script does not declare, with the words that hold them.
        flags_with_value: The flags with a value behind `=`.
        valueless: The options that lack their value.
        slips: The options that a space splits.
        unknown_subcommand: What stands in the place of a subcommand and is none.
        sure: Whether every word is what it seems, and nothing else is passed.
        rest: Behind the name of a subcommand: the name, its own interface and words.
    """

    def __init__(self, interface: Interface, words: tuple[Word, ...], entry_point: EntryPoint) -> None:
        self.interface = interface
        self.entry_point = entry_point
        self.passed: list[_Passed] = []
        self.extras: list[_Extra] = []
        self.unknown: list[tuple[str, Word]] = []
        self.flags_with_value: list[_Passed] = []
        self.valueless: list[_Passed] = []
        self.slips: list[_Slip] = []
        self.unknown_subcommand: Word | None = None
        self.sure = True
        self.rest: tuple[str, Interface, tuple[Word, ...]] | None = None
        self._words = words
        self._at = 0
        self._by_name = {name: option for option in interface.options for name in option.names}
        self._is_click = interface.syntax.name == "CLICK"
        self._read()

    def _read(self) -> None:
        only_arguments = False
        flag: _Passed | None = None
        while self._at < len(self._words):
            word = self._words[self._at]
            self._at += 1
            if word.text == "--" and not only_arguments:
                if split := self._split_name(word):
                    flag = self._take_option(split)
                    continue
                if not self._is_click:
                    # Versions of Python differ in what becomes of it.
                    raise _Unclear
                only_arguments, flag = True, None
            elif only_arguments or self._is_argument(word):
                if not self._take_argument(word, flag, only_arguments):
                    return
                only_arguments, flag = only_arguments or not self.interface.interspersed, None
            else:
                flag = self._take_option(word)

    def _split_name(self, dashes: Word) -> Word | None:
        """Return the option whose name a space splits after its dashes, where nothing else can be meant."""
        following = self._words[self._at] if self._at < len(self._words) else None
        if following is None or not self._takes_only_options() or f"--{following.text}" not in self._by_name:
            return None
        name = f"--{following.text}"
        self._at += 1
        word = Word(name, dashes.start, following.end, ())
        self.slips.append(
            _Slip(f"'-- {following.text}' is no option, but two words", f"write '{name}'", word)
        )
        return word

    def _is_argument(self, word: Word) -> bool:
        """Return whether a word is no option: one that may be none is, but `sure` no more."""
        text = word.text
        if len(text) < 2 or text[0] != "-":
            return True
        if self._is_click or text.partition("=")[0] in self._by_name:
            return False
        if _NUMBER.match(text):
            if any(_NUMBER.match(name) for name in self._by_name):
                raise _Unclear
            return True
        return " " in text.partition("=")[0] and text.startswith("--")

    def _take_argument(self, word: Word, flag: _Passed | None, surely: bool) -> bool:
        """Take a word that is no option; return False if what follows is not for this parser."""
        if UNKNOWN in word.text or not (surely or self._cannot_be_option(word)):
            self.sure = False
            return self.interface.subcommands is None
        if self.interface.subcommands is not None:
            subcommand = self.interface.subcommands.get(word.text)
            if subcommand:
                self.rest = (word.text, subcommand, self._words[self._at :])
            elif _PLACEHOLDER in word.text or self.interface.arguments != () or self.unknown or not self.sure:
                self.sure = False
            else:
                self.unknown_subcommand = word
            return False
        self.extras.append(_Extra(word, flag))
        return True

    def _cannot_be_option(self, word: Word) -> bool:
        """Return whether no usual value of the placeholder that a word begins with makes it an option."""
        if not word.text.startswith(_PLACEHOLDER):
            return True
        parameter = self.entry_point.parameters.get(word.parameters[0])
        if parameter is None:
            return False
        if parameter.type in _NEVER_OPTIONS:
            return True
        texts = parameter.choices or (() if parameter.default is None else (parameter.default,))
        # An empty text, like such a name, stands for options that are left out.
        if any(not text or text.startswith("-") for text in texts) or re.fullmatch(
            _OPTIONS_NAME, parameter.name
        ):
            return False
        # A placeholder that stands alone is one word, whatever its value. That word could be an option only if
        # somebody gave an option for the value of a parameter.
        return word.text == _PLACEHOLDER or bool(texts)

    def _take_option(self, word: Word) -> _Passed | None:
        """Take an option with its values; return it if it is a flag."""
        text = word.text
        name, equals, value = text.partition("=")
        is_long = text.startswith("--") or (self._is_click and len(name) > 2)
        if name in self._by_name and (is_long or not self._is_click or not equals):
            return self._pass(self._by_name[name], word, value if equals else None)
        if text.startswith("--"):
            if _PLACEHOLDER in name or UNKNOWN in name:
                self.sure = False
                return None
            near = [known for known in self._by_name if known.startswith(name)]
            if self.interface.abbreviations and near:
                if len(near) > 1:
                    raise _Unclear
                return self._pass(self._by_name[near[0]], word, value if equals else None)
            self._note_unknown(name, word)
            return None
        return self._take_short_options(word)

    def _note_unknown(self, name: str, word: Word) -> None:
        may_hold_space = " " in word.text or _PLACEHOLDER in word.text or UNKNOWN in word.text
        if not self._is_click and may_hold_space and self.interface.arguments != ():
            # What holds a space and is no option is an argument.
            raise _Unclear
        self.unknown.append((name, word))

    def _take_short_options(self, word: Word) -> _Passed | None:
        text = word.text
        if not self._is_click:
            longer = [known for known in self._by_name if known.startswith(text)]
            if longer:
                raise _Unclear
        if _NUMBER.match(text) and text[:2] not in self._by_name:
            raise _Unclear
        for at, letter in enumerate(text[1:], start=1):
            option = self._by_name.get(f"-{letter}")
            if option is None:
                if letter in (_PLACEHOLDER, UNKNOWN):
                    self.sure = False
                elif at == 1:
                    self._note_unknown(text if not self._is_click else f"-{letter}", word)
                else:
                    raise _Unclear
                return None
            if not option.is_flag:
                return self._pass(option, word, text[at + 1 :] or None)
            self.passed.append(_Passed(option, word))
        return self.passed[-1]

    def _pass(self, option: Option, word: Word, attached: str | None) -> _Passed | None:
        if option.least is None:
            raise _Unclear
        if UNKNOWN in word.text:
            self.sure = False
        if option.is_flag:
            passed = _Passed(option, word)
            self.passed.append(passed)
            if attached is not None:
                self.flags_with_value.append(passed)
            return passed
        if option.least == option.most == 1 and (value := self._value_after_equals(word, attached)):
            self.passed.append(_Passed(option, word, (value,)))
            return None
        if attached is not None and (not self._is_click or option.most == 1):
            if option.least > 1:
                raise _Unclear
            self.passed.append(_Passed(option, word, (_Value(attached, word),)))
            return None
        values = [] if attached is None else [_Value(attached, word)]
        while self._at < len(self._words) and (option.most is None or len(values) < option.most):
            following = self._words[self._at]
            if not self._is_value(following):
                break
            if UNKNOWN in following.text:
                self.sure = False
            values.append(_Value(following.text, following))
            self._at += 1
        passed = _Passed(option, word, tuple(values))
        if len(values) < option.least:
            following_text = self._words[self._at].text if self._at < len(self._words) else ""
            if not self.sure or any(char in following_text for char in (_PLACEHOLDER, UNKNOWN, " ")):
                raise _Unclear
            self.valueless.append(passed)
        self.passed.append(passed)
        return None

    def _value_after_equals(self, word: Word, attached: str | None) -> _Value | None:
        """Return the value that is meant by `--name = value` or `--name= value`: one word too many for the script."""
        at = self._at
        if attached == "" and word.end - word.start == len(word.text):  # no quotes, which would make it empty
            name, what = (
                word.text[:-1],
                f"the value of '{word.text[:-1]}' is empty, because a space follows the '='",
            )
        elif attached is None and at < len(self._words) and self._words[at].text == "=":
            name, what = (
                word.text,
                f"'=' is taken for the value of '{word.text}', because there are spaces around it",
            )
            at += 1
        else:
            return None
        value = self._words[at] if at < len(self._words) else None
        if value is None or not self._takes_only_options() or not self._cannot_be_option(value):
            return None
        if UNKNOWN in value.text or not self._is_argument(value):
            return None
        place = word if attached == "" else self._words[at - 1]
        self._at = at + 1
        self.slips.append(_Slip(what, f"write '{name}=' and the value without a space between them", place))
        return _Value(value.text, value)

    def _takes_only_options(self) -> bool:
        """Return whether every word that is no option, and no value of one, is surely refused."""
        return self.sure and self.interface.arguments == () and self.interface.subcommands is None

    def _is_value(self, word: Word) -> bool:
        """Return whether the parser takes a word as an option's value: click takes any, argparse no option."""
        if self._is_click:
            if word.text.partition("=")[0] in self._by_name or word.text == "--":
                raise _Unclear
            return True
        return self._is_argument(word)


class _Comparison:
    """Compares one call with what the script takes.

    Attributes:
        entry_point: The entry point whose command makes the call.
        call: The call.
        script: The script's path, with the name of the subcommand that is compared.
        outer: The options that belong before the name of the subcommand.
    """

    def __init__(
        self, entry_point: EntryPoint, call: ScriptCall, script: str, outer: frozenset[str] = frozenset()
    ) -> None:
        self.entry_point = entry_point
        self.call = call
        self.script = script
        self.outer = outer

    def problems(self, interface: Interface, words: tuple[Word, ...]) -> Iterator[Problem]:
        """Yield what is wrong with the words that an interface gets."""
        try:
            second = self._second_command(interface, words)
            reading = _Reading(interface, words, self.entry_point)
        except _Unclear:
            return
        if second is not None:
            yield second
            return
        if any(passed.option.exits for passed in reading.passed):
            return
        for slip in reading.slips:
            yield self._problem("unexpected-argument", slip.message, self._place(slip.word), slip.hint)
        for passed in reading.valueless:
            yield self._problem(
                "missing-value",
                f"{self._described(passed.option, passed.name)} {_lack(passed)}",
                self._place(passed.word),
                f"write it after '{passed.name}', or leave '{passed.name}' out",
            )
        if interface.subcommands and (missing := self._missing_subcommand(reading, interface.subcommands)):
            yield missing
            return
        if (word := reading.unknown_subcommand) is not None and interface.subcommands:
            hint = did_you_mean(word.text, interface.subcommands) or _names(interface.subcommands)
            message = f"{self.script} has no subcommand '{word.text}'"
            yield self._problem("unknown-subcommand", message, self._place(word), hint)
        unknown = list(self._unknown_options(reading))
        yield from unknown
        hints = " ".join(problem.hint or "" for problem in unknown)
        if reading.sure:
            yield from self._missing_options(reading, hints)
        yield from self._repeated_options(reading)
        for passed in reading.flags_with_value:
            yield self._value_for_flag(passed, passed.word)
        yield from self._values(reading)
        if reading.sure and not reading.unknown and interface.subcommands is None:
            yield from self._arguments(reading)
        if reading.rest is not None:
            subcommand, inner, following = reading.rest
            outer = frozenset(name for option in interface.options for name in option.names)
            within = _Comparison(self.entry_point, self.call, f"{self.script} {subcommand}", outer)
            yield from within.problems(inner, following)

    def _second_command(self, interface: Interface, words: tuple[Word, ...]) -> Problem | None:
        """Return the problem if the script surely takes a whole other command for arguments, and refuses them."""
        for at, word in enumerate(words[:-1]):
            following = words[at + 1].text
            is_script = following.endswith(_SCRIPTS)
            if not re.fullmatch(_INTERPRETER, word.text) or not (is_script or following == "-m"):
                continue
            reading = _Reading(interface, words[: at + 1], self.entry_point)
            arguments = interface.arguments
            if not reading.sure or arguments is None or any(argument.most is None for argument in arguments):
                return None
            most = sum(argument.most or 0 for argument in arguments)
            is_extra = any(extra.word is word for extra in reading.extras)
            if (is_extra and len(reading.extras) + is_script > most) or reading.unknown_subcommand is word:
                return self._problem(
                    "unexpected-argument",
                    f"'{word.text} {following}' is passed to {self.script} as arguments, not run",
                    self._place(word),
                    "write '&&' before it; or begin the command with '|' in place of '>', one line for each command",
                )
            return None
        return None

    def _missing_subcommand(self, reading: _Reading, subcommands: Mapping[str, Interface]) -> Problem | None:
        """Return the problem if a subcommand's options are passed before its name, or none where one is needed."""
        if (
            reading.rest is not None
            or reading.unknown_subcommand is not None
            or not reading.interface.complete
        ):
            return None
        for name, word in reading.unknown:
            having = [
                f"'{subcommand}'"
                for subcommand, interface in subcommands.items()
                if any(name in option.names for option in interface.options if not option.exits)
            ]
            if having:
                return self._problem(
                    "missing-argument",
                    f"{self.script} requires a subcommand before '{name}', which belongs to {_listed(having, 'and')}",
                    self._place(word),
                    f"write {_listed(having, 'or')} before '{name}'",
                )
        if reading.interface.subcommand_required and reading.sure and not reading.unknown:
            return self._problem(
                "missing-argument",
                f"{self.script} requires a subcommand, which the command does not pass",
                self._place(self.call.script),
                _names(subcommands),
            )
        return None

    def _unknown_options(self, reading: _Reading) -> Iterator[Problem]:
        if not reading.interface.complete:
            return
        given = {passed.option for passed in reading.passed}
        options = [option for option in reading.interface.options if not option.exits]
        near = [o for o in options if o not in given or (o.repeatable and not o.is_flag)]
        for name, word in reading.unknown:
            hint = did_you_mean(name, [known for option in near for known in option.names])
            names = [known for option in options for known in option.names]
            if name in self.outer:
                hint = f"write it before '{self.script.rpartition(' ')[2]}'"
            elif hint is None and len(names) <= _SHOWN_OPTIONS:
                hint = _names(names) if names else "it has no options"
            yield self._problem(
                "unknown-option", f"{self.script} has no option '{name}'", self._place(word), hint
            )

    def _missing_options(self, reading: _Reading, hints: str) -> Iterator[Problem]:
        given = {passed.option for passed in reading.passed}
        for option in reading.interface.options:
            # A misspelled option is told of already.
            if option.required and option not in given and not any(f"'{n}'" in hints for n in option.names):
                yield self._problem(
                    "missing-option",
                    f"{self.script} requires '{option.name}' (line {option.line}), which the command does not pass",
                    self._place(self.call.script),
                    self._addition(option),
                )
        for group in reading.interface.any_one:
            if given.isdisjoint(group) and not any(
                f"'{n}'" in hints for option in group for n in option.names
            ):
                names = _listed((f"'{option.name}'" for option in group), "or")
                yield self._problem(
                    "missing-option",
                    f"{self.script} requires {names} (line {group[0].line}), and the command passes none of them",
                    self._place(self.call.script),
                    "add one of them to the command",
                )

    def _addition(self, option: Option) -> str:
        name = option.name.lstrip("-").replace("-", "_")
        for parameter in self.entry_point.parameters:
            if parameter.lower() == name.lower():
                return f"add '{option.name} {{{parameter}}}' to the command"
        return f"add '{option.name}' and a value to the command"

    def _repeated_options(self, reading: _Reading) -> Iterator[Problem]:
        seen: set[Option] = set()
        for passed in reading.passed:
            option = passed.option
            if option in seen and not option.repeatable:
                yield self._problem(
                    "repeated-option",
                    f"{self._described(option, passed.name)} is passed twice, and only the last value counts",
                    self._place(passed.word),
                    "pass it once",
                )
            seen.add(option)

    def _value_for_flag(self, flag: _Passed, word: Word) -> Problem:
        return self._problem(
            "value-for-flag",
            f"{self._described(flag.option, flag.name)} is a flag and takes no value",
            self._place(word),
            f"pass '{flag.name}' alone, or leave it out",
        )

    def _arguments(self, reading: _Reading) -> Iterator[Problem]:
        arguments = reading.interface.arguments
        if arguments is None:
            return
        least = sum(argument.least for argument in arguments)
        most = sum(argument.most or 0 for argument in arguments)
        is_limited = all(argument.most is not None for argument in arguments)
        extras = reading.extras
        if is_limited and len(extras) > most:
            if most == 0 and (after_flag := [extra for extra in extras if extra.flag]):
                for word, flag in after_flag:
                    assert flag is not None
                    yield self._value_for_flag(flag, word)
                return
            takes = f"{most} argument{'s' if most > 1 else ''}" if most else "no arguments"
            passes = f", and the command passes {len(extras)}" if most else ""
            yield self._problem(
                "unexpected-argument",
                f"{self.script} takes {takes} besides its options{passes}",
                self._place(extras[most].word),
                "remove it, or write the name of its option before it",
            )
        elif len(extras) < least:
            missing = _first_missing(arguments, len(extras))
            yield self._problem(
                "missing-argument",
                f"{self.script} requires the argument '{missing.name}' (line {missing.line}), which the command does "
                "not pass",
                self._place(self.call.script),
                "add it to the command",
            )

    def _values(self, reading: _Reading) -> Iterator[Problem]:
        """Yield what is wrong with the values that options and arguments get, and with the parameters of these."""
        taken: list[tuple[_Value, ValueType, str]] = []
        last = {passed.option: passed for passed in reading.passed}
        for passed in reading.passed:
            if not passed.option.repeatable and last[passed.option] is not passed:
                continue
            described = self._described(passed.option, passed.name)
            taken += [(value, passed.option.type, described) for value in passed.values]
        if reading.sure and not reading.unknown:
            taken += self._argument_values(reading)
        told = set()
        looser: dict[str, tuple[Parameter, str]] = {}
        for value, kind, described in taken:
            parameter = self.entry_point.parameters.get(value.parameter or "")
            if kind.kind.name == "TRUTH":
                if described not in told and self._may_be_false(value, parameter):
                    told.add(described)
                    yield self._bool_of_text(value, described)
            elif value.is_literal:
                if reading.sure and not kind.takes(value.text):
                    message = f"'{value.text}' is refused: {described} takes {kind}"
                    hint = _correction(value.text, kind, "'{}'")
                    yield self._problem("refused-value", message, self._place(value.word), hint)
            elif parameter and parameter.name not in told and parameter.type in _UNCHANGED:
                problem = self._refused(parameter, kind, described)
                if problem:
                    told.add(parameter.name)
                    yield problem
                elif parameter.type in _NUMBERS and kind.kind.name == "INTEGER" and not parameter.choices:
                    looser[parameter.name] = (parameter, f"{described} takes {kind}")
        looser = {name: found for name, found in looser.items() if name not in told}
        if looser:
            yield self._looser(looser)

    @staticmethod
    def _may_be_false(value: _Value, parameter: Parameter | None) -> bool:
        """Return whether a value is, or may well be, a word for false."""
        if value.is_literal:
            return value.text.lower() in _FALSE
        if parameter is None:
            return False
        return not parameter.choices or any(choice.lower() in _FALSE for choice in parameter.choices)

    def _bool_of_text(self, value: _Value, described: str) -> Problem:
        return self._problem(
            "bool-of-text",
            f"{described} takes every text but the empty one for true, also 'False': it has 'type=bool'",
            self._place(value.word),
            "compare the text in the script, type=lambda text: text.lower() == 'true', "
            "or declare a flag, action='store_true', and pass no value",
        )

    def _argument_values(self, reading: _Reading) -> list[tuple[_Value, ValueType, str]]:
        found: list[tuple[_Value, ValueType, str]] = []
        words = [extra.word for extra in reading.extras]
        arguments = reading.interface.arguments or ()
        if all(argument.most is not None for argument in arguments):
            most = sum(argument.most or 0 for argument in arguments)
            if len(words) > most:
                return []  # which of them is the one too many cannot be told
        for argument in arguments:
            if argument.most is None or argument.most != argument.least:
                break
            described = f"the argument '{argument.name}' of {self.script} (line {argument.line})"
            found += [(_Value(word.text, word), argument.type, described) for word in words[: argument.most]]
            del words[: argument.most]
        return found

    def _refused(self, parameter: Parameter, kind: ValueType, described: str) -> Problem | None:
        location = parameter.default_location or parameter.location
        if parameter.default is not None and not kind.takes(parameter.default):
            message = f"the default '{parameter.default}' of '{parameter.name}' is refused: {described} takes {kind}"
            return self._problem(
                "refused-default", message, location, _correction(parameter.default, kind, "'default: {}'")
            )
        refused = [choice for choice in parameter.choices if not kind.takes(choice)]
        if not refused:
            return None
        listed = _listed((f"'{choice}'" for choice in refused), "and")
        which = f"the choice{'s' if len(refused) > 1 else ''} {listed} of '{parameter.name}'"
        verb = "are" if len(refused) > 1 else "is"
        message = f"{which} {verb} refused: {described} takes {kind}"
        return self._problem(
            "refused-default", message, parameter.location, "leave out what the script refuses"
        )

    def _looser(self, looser: Mapping[str, tuple[Parameter, str]]) -> Problem:
        """Return one note for all parameters of the call: the format has no whole numbers, so most files do it."""
        parameter, taken = next(iter(looser.values()))
        message = f"'{parameter.name}' is declared '{parameter.type}', but {taken}"
        if len(looser) > 1:
            names = _listed((f"'{name}'" for name in looser), "and")
            message = (
                f"{names} are declared as numbers of any kind, but {self.script} takes integers for them"
            )
        hint = "'int' is checked before the run, by dioptra alone; under 'float' a value like 0.5 reaches the script"
        return self._problem("looser-type", message, parameter.location, hint)

    def _described(self, option: Option, name: str) -> str:
        return f"'{name}' of {self.script} (line {option.line})"

    def _place(self, word: Word) -> Location:
        start = self.entry_point.locate(word.start)
        last = self.entry_point.locate(max(word.end - 1, word.start))
        if last.line == start.line and last.column is not None:
            return Location(start.path, start.line, start.column, last.column + 1)
        return start

    def _problem(self, name: str, message: str, location: Location, hint: str | None) -> Problem:
        return Problem(name, message, location, level_of(name), hint, self.entry_point.name)


def _first_missing(arguments: Iterable[Argument], count: int) -> Argument:
    """Return the first required argument that `count` words leave without a value."""
    required = [argument for argument in arguments if argument.least]
    for argument in required:
        count -= argument.least
        if count < 0:
            return argument
    return required[-1]


def _lack(passed: _Passed) -> str:
    least = passed.option.least or 1
    return (
        "lacks its value" if least == 1 else f"takes {least} values, and gets {len(passed.values) or 'none'}"
    )


def _correction(text: str, kind: ValueType, written: str) -> str:
    """Return what to write for a value that is refused; `written` is how it is written."""
    near = did_you_mean(text, map(str, kind.choices)) if kind.choices else None
    try:
        whole = str(int(float(text))) if float(text).is_integer() else ""
    except (ValueError, OverflowError):
        whole = ""
    if whole and whole != text and kind.takes(whole):
        return f"write {written.format(whole)}"
    return (
        near
        or f"change {'the default' if 'default' in written else 'it'}, or what the option of the script takes"
    )


def _names(known: Iterable[str]) -> str | None:
    names = [f"'{name}'" for name in known]
    return f"it has {_listed(names, 'and')}" if len(names) <= _SHOWN_OPTIONS else None


def _listed(names: Iterable[str], word: str) -> str:
    shown = list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {word} {shown[-1]}"
