"""What PyYAML refuses, in plain words: one sentence, the place of the slip itself, and what to do.

Pure. Imported only where a file is not YAML.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, NamedTuple

import yaml

from dioptra_cli.errors import Edit, Location
from dioptra_cli.mlproject.keys import slip_of
from dioptra_cli.mlproject.positions import Source

_KEYS = (
    r"type|default|description|choices|command|parameters|name|entry_points|conda_env|python_env|docker_env"
)
_GLUED_KEY = re.compile(rf"({_KEYS}):(?=[^\s:/])")
_KEY_WITHOUT_COLON = re.compile(rf"({_KEYS})([ \t]*(?:=|->|:=)[ \t]*|[ \t]+)(?![ \t:#])")
_TYPES = r"string|float|path|uri|int|integer|str|bool|boolean|number|double"
_ANY_GLUED = re.compile(r"[ \t]*([\w.-]+):(?=[^\s:/])(\S.*)")
_WITH_BRACE = re.compile(
    r"[ \t]*([\w.-]+)([ \t]*:?[ \t]*)\{[ \t]*(?:type|default|description|choices)[ \t]*:"
)
_NAME_AND_TYPE = re.compile(rf"[ \t]*([\w.-]+)([ \t]+)(?:{_TYPES})[ \t]*")
_LONGEST_SHOWN = 40


class Refusal(NamedTuple):
    """Why a file is not YAML; the fields are those of a `Problem`."""

    name: str
    message: str
    location: Location
    hint: str | None = None
    fix: tuple[Edit, ...] = ()


def explain(error: Any, source: Source) -> Refusal:
    """Return what a `yaml.YAMLError` means."""
    if hasattr(error, "position") and hasattr(error, "character"):
        return _unprintable(error, source)
    return _Explanation(error, source).refusal()


def _unprintable(error: Any, source: Source) -> Refusal:
    character = error.character if isinstance(error.character, str) else chr(error.character)
    return Refusal(
        "invalid-yaml",
        f"the character {character!a} is not allowed in YAML",
        source.at_index(error.position),
        "remove it, or write it as an escape in double quotes",
    )


class _Explanation:
    """One error, with the lines that it points at."""

    def __init__(self, error: Any, source: Source) -> None:
        self.source = source
        self.problem: str = getattr(error, "problem", None) or str(error)
        self.context: str = getattr(error, "context", None) or ""
        self.context_mark: Any = getattr(error, "context_mark", None)
        self.mark: Any = getattr(error, "problem_mark", None) or self.context_mark
        self.lines = source.text.split("\n")

    def refusal(self) -> Refusal:
        """Return the first explanation that fits, from the most telling slip to PyYAML's own words."""
        if self.mark is None:
            return Refusal("invalid-yaml", f"invalid YAML: {self.problem}", Location(self.source.path))
        for explanation in (
            self._merge_conflict,
            self._open_quote,
            self._template,
            self._tab,
            self._several_documents,
            self._tag,
            self._glued_key,
            self._character,
            self._quotes,
            self._reference,
            self._colon,
            self._block_header,
            self._missing_value,
            self._flow,
            self._indentation,
        ):
            found = explanation()
            if found is not None:
                return found
        detail = f", {self.context}" if self.context else ""
        return self._at("invalid-yaml", f"invalid YAML: {self.problem}{detail}")

    def _line(self, number: int) -> str:
        return self.lines[number] if 0 <= number < len(self.lines) else ""

    def _at(
        self,
        name: str,
        message: str,
        hint: str | None = None,
        *,
        line: int | None = None,
        column: int | None = None,
        fix: tuple[Edit, ...] = (),
    ) -> Refusal:
        """Return a refusal at the error's mark, or at `line` and `column` (from 0)."""
        line = self.mark.line if line is None else line
        column = self.mark.column if column is None else column
        # Behind the last line: show the last.
        if line >= len(self.lines) - 1 and not self._line(line) and line:
            line = max(i for i in range(line + 1) if self._line(i).strip() or i == 0)
            column = len(self._line(line))
        return Refusal(name, message, Location(self.source.path, line + 1, column + 1), hint, fix)

    def _merge_conflict(self) -> Refusal | None:
        for number, line in enumerate(self.lines):
            if line.startswith(("<<<<<<< ", ">>>>>>> ")):
                return self._at(
                    "invalid-yaml",
                    "a merge conflict is not resolved",
                    "keep one of the two versions, and remove the lines with '<<<<<<<', '=======' and '>>>>>>>'",
                    line=number,
                    column=0,
                )
        return None

    def _open_quote(self) -> Refusal | None:
        """A quote that is not closed ends at the next one, lines below, and what follows that makes no sense."""
        if not re.search(r"""['"]""", self._line(self.mark.line)):
            return None
        opened = None
        with contextlib.suppress(yaml.YAMLError, RecursionError):
            for token in yaml.scan(self.source.text, yaml.SafeLoader):
                if token.start_mark.index >= self.mark.index:
                    break
                if isinstance(token, yaml.ScalarToken):
                    opened = token
        if opened is None or opened.style not in ("'", '"') or opened.end_mark.line != self.mark.line:
            return None
        if opened.start_mark.line == opened.end_mark.line:
            return None
        return self._at(
            "unquoted-text",
            f"the quote {opened.style} that opens here is closed on line {opened.end_mark.line + 1} only",
            "close it where the text ends",
            line=opened.start_mark.line,
            column=opened.start_mark.column,
        )

    def _template(self) -> Refusal | None:
        for number in dict.fromkeys((self.mark.line, getattr(self.context_mark, "line", self.mark.line))):
            line = self._line(number)
            found = re.search(r"\{[%#]", line)
            expression = line.find("{{")
            if found and (found[0] == "{%" or "#}" in line):
                return self._at(
                    "template-syntax",
                    f"'{found[0]}' belongs to a template language; an MLproject file is plain YAML",
                    "render the template first, or choose in the command itself, which bash runs",
                    line=number,
                    column=found.start(),
                )
            before = line[:expression].rstrip() if expression >= 0 else ""
            if expression >= 0 and (not before or before.endswith((":", "-", "{", "[", ","))):
                return self._at(
                    "template-syntax",
                    "a value cannot begin with '{{', which belongs to a template language",
                    "render the template first, or write the value in quotes; a placeholder has single braces",
                    line=number,
                    column=expression,
                )
        return None

    def _tab(self) -> Refusal | None:
        context = self.context_mark.line if self.context_mark else self.mark.line
        for number in dict.fromkeys((self.mark.line, context, self.mark.line + 1, self.mark.line - 1)):
            line = self._line(number)
            indentation = line[: len(line) - len(line.lstrip())]
            if "\t" in indentation:
                return self._at(
                    "tab-character",
                    "the line is indented with a tab; YAML allows spaces only",
                    "replace each tab by spaces (most editors can: 'convert indentation to spaces')",
                    line=number,
                    column=indentation.index("\t"),
                )
        if "'\\t'" in self.problem:
            return self._at(
                "tab-character", "a tab stands where YAML allows spaces only", "replace it by a space"
            )
        return None

    def _several_documents(self) -> Refusal | None:
        if "another document" not in self.problem:
            return None
        return self._at(
            "several-documents",
            "a second YAML document begins here",
            "an MLproject file is one document: remove the '---', or move the rest to a project of its own",
        )

    def _tag(self) -> Refusal | None:
        match = re.search(r"could not determine a constructor for the tag '(.*)'", self.problem)
        if match is None:
            return None
        shown = match[1].replace("tag:yaml.org,2002:", "!!")
        return self._at(
            "unknown-tag",
            f"the YAML tag '{shown}' is not allowed here",
            "remove it; to keep a text that begins with '!', write it in quotes",
        )

    def _glued_key(self) -> Refusal | None:
        """A key whose colon has no space behind it, or that has no colon, and so is no key."""
        told = ("could not find expected ':'", "expected ',' or", "mapping values are not allowed")
        if not any(words in self.problem for words in told):
            return None
        numbers = [mark.line for mark in (self.context_mark, self.mark) if mark]
        if "mapping values" in self.problem:
            numbers.append(self._above())
        for number in dict.fromkeys(numbers):
            for slip in (self._without_space, self._without_colon):
                found = slip(number, self._line(number))
                if found is not None:
                    return found
        return None

    def _without_space(self, number: int, line: str) -> Refusal | None:
        if "mapping values" in self.problem and (match := _WITH_BRACE.match(line)):
            if match[2].endswith((": ", ":\t")):
                return None
            what = "space" if ":" in match[2] else "colon"
            return self._broken(
                number,
                match.start(1),
                f"there is no {what} between '{match[1]}' and its brace",
                f"write '{match[1]}: {{…}}'",
                Edit(number + 1, match.start(2) + 1, len(match[2]), ": "),
            )
        match = _GLUED_KEY.search(line)
        if match and not re.search(r"[\w-]$", line[: match.start()]):
            return self._broken(
                number,
                match.start(),
                f"there is no space after the colon of '{match[0]}'",
                f"write '{match[1]}: {_rest(line, match.end())}'",
                Edit(number + 1, match.end() + 1, 0, " "),
            )
        match = _ANY_GLUED.match(line)
        if match is None:
            return None
        meant = slip_of(match[1], _KEYS.split("|"))
        if meant is None and not re.fullmatch(_TYPES, match[2].strip()):
            return None
        return self._broken(
            number,
            match.start(1),
            f"there is no space after the colon of '{match[1]}:'",
            f"write '{meant or match[1]}: {_rest(line, match.start(2))}'",
            Edit(number + 1, match.start(1) + 1, len(match[1]) + 1, f"{meant or match[1]}: "),
        )

    def _without_colon(self, number: int, line: str) -> Refusal | None:
        if "expected ',' or" in self.problem:
            return None
        indentation = _indentation_of(line)
        match = _KEY_WITHOUT_COLON.match(line, indentation) or (
            _NAME_AND_TYPE.fullmatch(line) if number == self._above() or "could not" in self.problem else None
        )
        if match:
            return self._broken(
                number,
                match.start(1),
                f"there is no colon after '{match[1]}'",
                f"write '{match[1]}: {_rest(line, match.end(2))}'",
                Edit(number + 1, match.start(2) + 1, len(match[2]), ": "),
            )
        bare = re.fullmatch(r"[ \t]*([A-Za-z_][\w.-]*)[ \t]*", line)
        if bare and self._deeper_below(number):
            return self._broken(
                number,
                bare.start(1),
                f"there is no colon after '{bare[1]}'",
                f"write '{bare[1]}:'",
                Edit(number + 1, bare.end(1) + 1, 0, ":"),
            )
        return None

    def _broken(self, number: int, column: int, message: str, hint: str, edit: Edit) -> Refusal:
        return self._at("broken-key", message, hint, line=number, column=column, fix=(edit,))

    def _deeper_below(self, number: int) -> bool:
        """Return whether the next line that is not empty is indented deeper."""
        below = next((line for line in self.lines[number + 1 :] if line.strip()), "")
        return _indentation_of(below) > _indentation_of(self._line(number))

    def _above(self) -> int:
        """Return the last line before the mark's that is neither empty nor a comment."""
        number: int = self.mark.line - 1
        while number > 0 and (not self._line(number).strip() or self._line(number).lstrip().startswith("#")):
            number -= 1
        return max(number, 0)

    def _character(self) -> Refusal | None:
        match = re.match(r"found character '(.*)' that cannot start any token", self.problem)
        if match is None:
            return None
        return self._at(
            "unquoted-text", f"a text cannot begin with '{match[1]}' in YAML", "write the text in quotes"
        )

    def _quotes(self) -> Refusal | None:
        if "quoted scalar" not in self.context:
            return None
        escape = re.search(r"unknown escape character '(.)'", self.problem)
        if escape:
            return self._at(
                "unquoted-text",
                f"'\\{escape[1]}' means nothing in double quotes",
                "double the backslash, or write the text in single quotes",
                column=max(self.mark.column - 1, 0),
            )
        if "end of stream" in self.problem or "document separator" in self.problem:
            line, column = self.context_mark.line, self.context_mark.column
            quote = self._line(line)[column : column + 1]
            return self._at(
                "unquoted-text",
                f"the quote {quote} that opens here is never closed",
                f"close it, or, where it is part of the text, write the text in {_other(quote)} quotes",
                line=line,
                column=column,
            )
        return None

    def _reference(self) -> Refusal | None:
        undefined = re.match(r"found undefined alias '?(.*?)'?$", self.problem)
        if undefined is None and not ("alias" in self.context or "anchor" in self.context):
            return None
        mark = self.context_mark if undefined is None and self.context_mark else self.mark
        if self._line(mark.line)[: mark.column].rstrip().endswith(("'", '"')):
            quote = self._line(mark.line)[: mark.column].rstrip()[-1]
            return self._at(
                "unquoted-text",
                "there is text after the closing quote",
                f"write the whole value in {_other(quote)} quotes",
                line=mark.line,
                column=mark.column,
            )
        sign = self._line(mark.line)[mark.column : mark.column + 1]
        what = f"refers to '&{undefined[1]}', which does not exist" if undefined else "is no name"
        return self._at(
            "unquoted-text",
            f"YAML takes '{sign}' at the beginning of a text for a reference; this one {what}",
            "write the text in quotes",
            line=mark.line,
            column=mark.column,
        )

    def _colon(self) -> Refusal | None:
        if "mapping values are not allowed" not in self.problem:
            return None
        line, column = self._line(self.mark.line), self.mark.column
        before = line[:column]
        if re.search(r"[^\s:'\"][ \t]*:[ \t]+\S", before) or before.lstrip().startswith("- "):
            value = re.search(r":[ \t]+(\S.*)", before)
            written = line[value.start(1) :].strip() if value else ""
            braced = written.strip("(){} ")
            if short := re.match(
                r"(string|float|path|uri|int|str|bool)\b[\s,:]*(?:default:)?[ \t]*(.*)", braced
            ):
                hint = f"write '{{type: {short[1]}, default: {short[2]}}}'"
            elif re.match(rf"({_KEYS}):", braced):
                hint = f"write '{{{braced}}}', or the key on a line of its own, indented deeper"
            else:
                hint = "write the text in quotes"
            return self._at("unquoted-text", "a second ': ' on the line makes the text a mapping", hint)
        return self._at(
            "bad-indentation",
            "the line is indented below one that has a value already",
            "indent it like its neighbours, or remove the value above it",
            column=len(line) - len(line.lstrip()),
        )

    def _block_header(self) -> Refusal | None:
        if "block scalar" not in self.context:
            return None
        line = self._line(self.mark.line)
        sign = next((char for char in reversed(line[: self.mark.column]) if char in "|>"), ">")
        if line[self.mark.column :].startswith("#"):
            return self._at(
                "unquoted-text", f"a comment behind '{sign}' needs a space before it", "add a space"
            )
        return self._at(
            "unquoted-text",
            f"the text after '{sign}' has to begin on the next line",
            f"begin a new line after '{sign}', indented deeper than the key",
        )

    def _flow(self) -> Refusal | None:
        if "flow" not in self.context:
            return None
        opened = self.context_mark or self.mark
        bracket = self._line(opened.line)[opened.column : opened.column + 1]
        if bracket not in ("{", "["):
            return None
        closing = "}" if bracket == "{" else "]"
        here = self._line(self.mark.line)[self.mark.column : self.mark.column + 1]
        if self.mark.line == opened.line and here == ":":
            line = self._line(self.mark.line)
            word = re.search(rf"(?<=[^:;\s])(;?[ \t]+)({_KEYS})$", line[: self.mark.column])
            if word:
                return self._at(
                    "broken-key",
                    f"there is no comma before '{word[2]}'",
                    f"write ', {word[2]}: …'",
                    column=word.start(2),
                    fix=(Edit(self.mark.line + 1, word.start() + 1, len(word[1]), ", "),),
                )
            return self._at(
                "unquoted-text",
                "a second ': ' makes the text a mapping, which cannot stand here",
                "write the text in quotes",
            )
        if self.mark.line == opened.line and here in ("{", "["):
            what = "brace begins a mapping" if here == "{" else "bracket begins a list"
            return self._at(
                "unquoted-text",
                f"a {what} in the middle of a text",
                f"write the text that holds '{here}' in quotes",
            )
        comment = re.search(r"\s#", self._line(opened.line)[opened.column :])
        if comment and self.mark.line > opened.line:
            return self._at(
                "unquoted-text",
                f"a '#' after a space begins a comment, and takes the '{closing}' with it",
                "write the text that holds the '#' in quotes",
                line=opened.line,
                column=opened.column + comment.start() + 1,
            )
        behind = self._line(self.mark.line)[self.mark.column :]
        if closing in behind and re.match(r"""['"\w]""", here):
            word = re.match(r"""'[^']*'|"[^"]*"|[\w.-]+""", behind)
            before = word[0] if word else here
            return self._at("broken-key", f"there is no comma before {before}", f"write ', {before}'")
        return self._at(
            "invalid-yaml",
            f"the '{bracket}' that opens here is not closed by a '{closing}'",
            f"close it with '{closing}' on its line, or write a text that begins with '{bracket}' in quotes",
            line=opened.line,
            column=opened.column,
        )

    def _missing_value(self) -> Refusal | None:
        if "expected the node content" not in self.problem:
            return None
        before = self.source.text[: self.mark.index]
        for index in range(len(before) - 1, -1, -1):
            if before[index] in "[{":
                place = self.source.at_index(index)
                closing = "]" if before[index] == "[" else "}"
                return self._at(
                    "invalid-yaml",
                    f"the '{before[index]}' that opens here is not closed by a '{closing}'",
                    f"close it with '{closing}', or write a text that begins with '{before[index]}' in quotes",
                    line=(place.line or 1) - 1,
                    column=(place.column or 1) - 1,
                )
        return self._at("invalid-yaml", "a value is missing here", "write it, or remove the sign before it")

    def _indentation(self) -> Refusal | None:
        line = self._line(self.mark.line)
        text = line.strip()
        for above in {mark.line - 1 for mark in (self.mark, self.context_mark) if mark}:
            if self._line(above).lstrip().startswith("#") and not re.match(r"[\w.-]+:(\s|$)", text):
                return self._at(
                    "unquoted-text",
                    "a comment ends an unquoted text: the line below it belongs to nothing",
                    "remove the comment, or write the text after '>', without the comment",
                    line=above,
                    column=_indentation_of(self._line(above)),
                )
        if "could not find expected ':'" in self.problem:
            mark = self.context_mark or self.mark
            text = self._line(mark.line).strip()
            return self._at(
                "bad-indentation",
                f"'{_short(text)}' has no ': ' and is no key",
                "indent it deeper than the key whose text it goes on with"
                + ("" if text.startswith("-") else "; or, where it is a key, add the colon"),
                line=mark.line,
                column=mark.column,
            )
        if "expected <block end>" not in self.problem and "expected '<document start>'" not in self.problem:
            return None
        before = line[: self.mark.column].rstrip()
        if before.endswith(("}", "]", "'", '"')):
            closing = before[-1]
            rest = line[self.mark.column :]
            if rest and not rest.strip("}],; \t"):
                return self._at(
                    "unquoted-text",
                    f"the '{rest[0]}' behind the end of the value is one too many",
                    "remove it",
                )
            what = "quote" if closing in "'\"" else "brace" if closing == "}" else "bracket"
            other = f"{_other(closing)} quotes" if what == "quote" else "quotes"
            return self._at(
                "unquoted-text",
                f"there is text after the closing {what}",
                f"write the whole value in {other}",
            )
        if text.startswith(("}", "]")):
            return self._at(
                "unquoted-text", f"this '{text[0]}' closes nothing", "remove it, or write the text in quotes"
            )
        return self._at(
            "bad-indentation",
            f"the line '{_short(text)}' is indented unlike those that it belongs to",
            self._neighbours(),
            column=len(line) - len(line.lstrip()),
        )

    def _neighbours(self) -> str:
        """Return the keys above the mark's line that it may have been meant to stand beside."""
        here = _indentation_of(self._line(self.mark.line))
        deepest, deeper, shallower = here + 1000, "", ""
        for number in range(self.mark.line - 1, -1, -1):
            key = re.match(r"[ \t]*(?:- )?['\"]?([\w.-]+)['\"]?[ \t]*:(?:[ \t]|$)", self._line(number))
            indentation = _indentation_of(self._line(number))
            if key is None or indentation >= deepest:
                continue
            deepest = indentation
            place = f"'{_short(key[1])}' on line {number + 1} (column {indentation + 1})"
            if indentation > here:
                deeper = place
            elif not shallower:
                shallower = place
        places = [place for place in (deeper, shallower) if place]
        return (
            f"indent it like {' or like '.join(places)}" if places else "begin it in column 1, or remove it"
        )


def _indentation_of(line: str) -> int:
    return len(line) - len(line.lstrip())


def _rest(line: str, start: int) -> str:
    quoted = re.match(r"""'[^']*'|"[^"]*\"""", line[start:])
    return _short(quoted[0] if quoted else re.split(r"[,}#]", line[start:])[0].strip())


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _other(quote: str) -> str:
    return "single" if quote == '"' else "double"
