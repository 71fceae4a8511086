"""`dioptra _complete`: what the scripts of `dioptra completion` ask for each time that somebody presses Tab.

Finds the option or argument that is being typed and asks its own hook (`completion`); knows how each shell hands over
a line and takes an answer. It never fails: where there is nothing to say it says nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence

import click
from click.shell_completion import CompletionItem

from dioptra_cli.cli import completion


@click.command(name="_complete", hidden=True)
@click.argument("shell")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, shell: str, words: tuple[str, ...]) -> None:
    """Print what may be completed, one candidate a line.

    WORDS are, for bash, the line before the cursor, the line behind it, and the text that bash will replace; for zsh
    and fish, the index of the word that is being typed, and all words, without quotes (but fish's own typed one).
    """
    root = ctx.find_root().command
    # Whatever goes wrong here: a message in the middle of somebody's line helps nobody.
    with contextlib.suppress(Exception):
        if shell == "bash":
            left, right, replaced = words
            (*line, typed), quote = _bash_words(left)
            # Assignments may stand before the program: `NAME=value dioptra …`.
            program = next(i for i, word in enumerate(line) if "=" not in word)
            after = _bash_words(f"…{right}")[0][1:]
            lines = _bash_replies(candidates(root, line[program + 1 :], typed, after), typed, replaced, quote)
        else:
            index = int(words[0])
            before, typed, after = words[2 : index + 1], words[index + 1], [*words[index + 2 :]]
            if shell == "fish":  # which has no way to take the quotes off half a word
                typed = _bash_words(typed)[0][-1]
            lines = [_with_description(item) for item in candidates(root, before, typed, after)]
        click.echo("\n".join(lines), nl=bool(lines))


def candidates(
    root: click.Command, before: Sequence[str], typed: str, after: Sequence[str] = ()
) -> list[CompletionItem]:
    """Return what may stand in the place of the word `typed`.

    Args:
        root: The command line's outermost command.
        before: The words between the program and `typed`.
        typed: What there is of the word, up to the cursor.
        after: The words behind it, which may say what is meant: `run -P <Tab> -e train`.
    """
    words, current = list(before), root
    context = click.Context(current, info_name="dioptra", resilient_parsing=True)
    while isinstance(current, click.Group):
        name = next((word for word in words if not word.startswith("-")), None)
        if name is None:
            return _printable(current.shell_complete(context, typed))
        found = current.get_command(context, name)
        if found is None:
            return []
        words = words[words.index(name) + 1 :]
        current = found
        context = click.Context(current, parent=context, info_name=name, resilient_parsing=True)
    complete, kept, parameter = _parameter_at(current, context, words, typed)
    context = current.make_context(
        context.info_name, [*complete, *after], parent=context.parent, resilient_parsing=True
    )
    if parameter is None:
        if "--" in complete:  # the words of another command: `exec . -- python train.py`
            return _printable(completion.paths(typed))
        return _printable(current.shell_complete(context, typed) if typed.startswith("-") else [])
    items = parameter.shell_complete(context, typed[len(kept) :])
    if items and items[0].type in ("file", "dir") and items[0].value == typed[len(kept) :]:
        items = completion.paths(typed[len(kept) :])  # click leaves paths to the shell
    return _printable(CompletionItem(kept + item.value, type=item.type, help=item.help) for item in items)


def _parameter_at(
    current: click.Command, context: click.Context, words: list[str], typed: str
) -> tuple[list[str], str, click.Parameter | None]:
    """Find what `typed`, the word behind `words`, is a value of.

    Returns:
        The words without an option that has no value yet, the part of `typed` that stands before the value, such as
        `-P` in `-Plr=` or `--entry-point=`, and the parameter: None for the name of an option, and for nothing.
    """
    parameters = current.get_params(context)
    options = {
        name: p for p in parameters if isinstance(p, click.Option) for name in (*p.opts, *p.secondary_opts)
    }
    arguments = [p for p in parameters if isinstance(p, click.Argument)]
    waiting: click.Option | None = None
    positions, literal = 0, False
    for word in words:
        if waiting is not None:
            waiting = None
        elif literal or not word.startswith("-") or word == "-":
            positions += 1
        elif word == "--":
            literal = True
        else:
            kept, option = _option_of(word, options)
            waiting = option if kept == word and not word.endswith("=") else None
    if waiting is not None:
        return words[:-1], "", waiting
    if typed.startswith("-") and not literal:
        kept, option = _option_of(typed, options)
        has_value = len(kept) < len(typed) or kept.endswith("=")
        return words, kept, option if has_value else None
    for argument in arguments:
        if argument.nargs == -1 or positions < argument.nargs:
            return words, "", argument
        positions -= argument.nargs
    return words, "", None


def _option_of(word: str, options: dict[str, click.Option]) -> tuple[str, click.Option | None]:
    """Return the option in `word` that takes a value, and the part of the word before that value."""
    if word.startswith("--"):
        name, equals, _ = word.partition("=")
        option = options.get(name)
        return (name + equals, option) if option and not (option.is_flag or option.count) else (word, None)
    for position, letter in enumerate(word[1:], start=1):
        option = options.get(f"-{letter}")
        if option is None:
            break
        if not (option.is_flag or option.count):
            return word[: position + 1], option
    return word, None


def _printable(items: Iterable[CompletionItem]) -> list[CompletionItem]:
    """Leave out what no line of a shell can hold."""
    return [item for item in items if item.value.isprintable()]


def _is_open(item: CompletionItem) -> bool:
    """Return whether more of the word follows: a value behind `NAME=`, a file in a directory."""
    return str(item.value).endswith(("=", "/"))


def _with_description(item: CompletionItem) -> str:
    """Return a candidate for zsh and fish: `+` where more of the word follows, the value, a tab, a description."""
    about = " ".join((item.help or "").split())
    return f"{'+' if _is_open(item) else ' '}{item.value}\t{about}"


def _bash_words(line: str) -> tuple[list[str], str]:
    """Read a part of a line of bash, as far as quotes go.

    Returns:
        The words without quotes, the last of them being the one that is typed at the end of the line, and the quote
        that is open there: `'`, `"` or none.
    """
    words, between, quote, position = [""], True, "", 0
    while position < len(line):
        char = line[position]
        position += 1
        if not quote and char.isspace():
            if not between:
                words.append("")
            between = True
            continue
        between = False
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == "\\" and quote != "'" and position < len(line):
            escaped = line[position]
            position += 1
            words[-1] += escaped if not quote or escaped in '"\\$`' else char + escaped
        else:
            words[-1] += char
    return words, quote


def _bash_replies(items: Sequence[CompletionItem], typed: str, replaced: str, quote: str) -> list[str]:
    """Return what bash is to put in the place of `replaced`, behind a line that says whether a blank follows.

    Bash cuts words at `=` and `:`, so `replaced` may be but the end of `typed`; what is added goes on in the quotes
    that are open.
    """
    values = [item.value for item in items if item.value.startswith(typed)]
    if not values:
        return []
    nospace = any(_is_open(item) for item in items)
    return ["nospace" if nospace else "", *(replaced + _quoted(v[len(typed) :], quote) for v in values)]


def _quoted(text: str, quote: str) -> str:
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return re.sub(r'(["\\$`])', r"\\\1", text)
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", text)
