"""What the command line of a script takes: its options, arguments and subcommands, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

LAUNCHERS_OPTIONS = frozenset(("--local_rank", "--local-rank"))
"""What torch.distributed.launch and deepspeed add to the command line of the script that they start."""


class Syntax(Enum):
    """The library that reads the command line."""

    CLICK = auto()
    ARGPARSE = auto()


class Kind(Enum):
    """What a text has to be so that an option takes it."""

    ANY = auto()
    INTEGER = auto()
    FLOAT = auto()
    BOOLEAN = auto()
    CHOICE = auto()
    TRUTH = auto()
    """Any text, of which all but the empty one count as true."""


_TRUE_OR_FALSE = frozenset({"1", "0", "yes", "no", "true", "false", "on", "off", "t", "f", "y", "n", ""})


@dataclass(frozen=True)
class ValueType:
    """What values an option or an argument takes; whatever is not known allows everything.

    Attributes:
        kind: What a text has to be.
        low: The smallest number, if there is one.
        high: The largest number, if there is one.
        low_open: Whether `low` itself is refused.
        high_open: Whether `high` itself is refused.
        choices: The values of a choice, as the script compares them.
        converts_to: What a text is converted to before it is compared with the choices.
        folds_case: Whether a choice may be written in any case.
    """

    kind: Kind = Kind.ANY
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    choices: tuple[object, ...] = ()
    converts_to: Kind = Kind.ANY
    folds_case: bool = False

    def takes(self, text: str) -> bool:
        """Return whether a text is accepted, as far as that is known."""
        try:
            if self.kind is Kind.INTEGER:
                return self._in_range(int(text))
            if self.kind is Kind.FLOAT:
                return self._in_range(float(text))
            if self.kind is Kind.CHOICE:
                return self._is_choice(text)
        except ValueError:
            return False
        return self.kind is not Kind.BOOLEAN or text.strip().lower() in _TRUE_OR_FALSE

    def __str__(self) -> str:
        if self.kind is Kind.CHOICE:
            shown = [repr(choice) for choice in self.choices[:8]]
            return f"one of {', '.join(shown)}{', …' if len(self.choices) > 8 else ''}"
        words = {Kind.INTEGER: "an integer", Kind.FLOAT: "a number", Kind.BOOLEAN: "true or false"}
        bounds = []
        if self.low is not None:
            bounds.append(f"{'above' if self.low_open else 'from'} {self.low}")
        if self.high is not None:
            bounds.append(f"{'below' if self.high_open else 'up to'} {self.high}")
        return " ".join([words.get(self.kind, "any text"), *bounds])

    def _in_range(self, number: float) -> bool:
        too_low = self.low is not None and (number <= self.low if self.low_open else number < self.low)
        too_high = self.high is not None and (number >= self.high if self.high_open else number > self.high)
        return not too_low and not too_high

    def _is_choice(self, text: str) -> bool:
        if self.folds_case:
            return text.casefold() in {str(choice).casefold() for choice in self.choices}
        converters: dict[Kind, Any] = {Kind.INTEGER: int, Kind.FLOAT: float}
        return converters.get(self.converts_to, str)(text) in self.choices


ANY_VALUE = ValueType()


@dataclass(frozen=True)
class Option:
    """An option of a script.

    Attributes:
        names: All its names, such as `--data-dir` and `-d`.
        line: Where the script declares it.
        least: The number of values that it takes at least; None where that is not known.
        most: The number of values that it takes at most; None means any number.
        required: Whether it surely has to be passed.
        repeatable: Whether it may have a meaning to pass it twice.
        exits: Whether the script ends at once where it is passed, as `--help` does.
        type: What values it takes.
    """

    names: tuple[str, ...]
    line: int
    least: int | None = 1
    most: int | None = 1
    required: bool = False
    repeatable: bool = False
    exits: bool = False
    type: ValueType = ANY_VALUE

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.least == self.most == 0

    @property
    def name(self) -> str:
        """Its first long name, or its first if there is none."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])


@dataclass(frozen=True)
class Argument:
    """A positional argument of a script: how many words it takes at least and at most (None: any number)."""

    name: str
    line: int
    least: int = 1
    most: int | None = 1
    type: ValueType = ANY_VALUE


@dataclass(frozen=True)
class Interface:
    """What the command line of a script takes.

    Attributes:
        syntax: The library that reads it.
        options: The options that are known.
        arguments: The positional arguments; None where they are not all known.
        complete: Whether any other option is surely refused.
        abbreviations: Whether a long option may be cut short where that is clear.
        interspersed: Whether options may follow arguments.
        any_one: Groups of options of which one is required.
        subcommands: What each subcommand takes, by name; its name is then the first argument.
        subcommand_required: Whether the script refuses to run without one.
    """

    syntax: Syntax
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...] | None = ()
    complete: bool = True
    abbreviations: bool = False
    interspersed: bool = True
    any_one: tuple[tuple[Option, ...], ...] = ()
    subcommands: Mapping[str, Interface] | None = None
    subcommand_required: bool = False
