"""The checks of commands."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent

from dioptra_cli.validation.explanations import Explanation


def _file(command: str, parameter: str) -> str:
    """Return an MLproject file with one entry point; a command of several lines begins with `|` or `>`."""
    style, _, lines = command.partition("\n")
    text = "entry_points:\n  main:\n"
    if parameter:
        text += f"    parameters:\n      {parameter}\n"
    return f"{text}    command: {style}\n{indent(lines, '      ')}"


def _explain(
    why: str, bad: str, good: str, parameter: str = "x: string", files: Mapping[str, str] | None = None
) -> Explanation:
    return Explanation(why, _file(bad, parameter), _file(good, parameter), files or {})


_PLACEHOLDER_IS_A_NAME = (
    "A placeholder is `{name}` and nothing else. `mlflow run` fills it in with Python's `str.format`, which "
    "knows more: "
)

EXPLANATIONS: dict[str, Explanation] = {
    "undeclared-placeholder": _explain(
        "The command asks for a value that no parameter gives. `mlflow run` ends with a `KeyError`, and dioptra "
        "does not start.\n\nWhere braces belong to the text, as in awk or JSON, write them twice.",
        "echo {epoch}",
        "echo {epochs}",
        "epochs: float",
    ),
    "shell-variable-in-braces": _explain(
        "Single braces are placeholders, also behind a `$`: for `${HOME}` both `mlflow run` and dioptra look for a "
        "parameter of the name `HOME`. Written twice, the braces reach the shell. `$HOME` needs none.",
        "echo ${HOME} {x}",
        "echo ${{HOME}} {x}",
    ),
    "placeholder-attribute": _explain(
        _PLACEHOLDER_IS_A_NAME
        + "`{x.name}` asks for an attribute of the value. Values are texts, so that `mlflow run` "
        "ends with an `AttributeError`, or puts in what Python shows of a method. Dioptra refuses it.",
        "echo {x.name}",
        "echo {x}",
    ),
    "placeholder-index": _explain(
        _PLACEHOLDER_IS_A_NAME
        + "`{x[0]}` is the first character of the value. Dioptra refuses it; let the script, or "
        "the shell, take the value apart.",
        "echo {x[0]}",
        "echo {x}",
    ),
    "placeholder-conversion": _explain(
        _PLACEHOLDER_IS_A_NAME
        + "`{x!r}` puts Python's quotes around a value, which are not the shell's. Dioptra "
        "refuses it: it quotes the value itself.",
        "echo {x!r}",
        "echo {x}",
    ),
    "placeholder-format-spec": _explain(
        _PLACEHOLDER_IS_A_NAME
        + "`{x:.2f}` formats a number. Values are texts, so that `mlflow run` ends with a "
        "`ValueError`. Dioptra refuses it; let the script, or `printf`, format the value.",
        "echo {x:.2f}",
        "echo {x}",
        "x: float",
    ),
    "empty-placeholder": _explain(
        "`{}` names no parameter: `mlflow run` ends with an `IndexError`, and dioptra does not start. Where xargs "
        "or find should see `{}`, write the braces twice.",
        "ls | xargs -I {} cp {} {x}",
        "ls | xargs -I {{}} cp {{}} {x}",
    ),
    "unbalanced-brace": _explain(
        "A placeholder that does not end, or ends without a beginning: `mlflow run` ends with a `ValueError`, and "
        "dioptra does not start. Write a brace that belongs to the text twice.",
        "echo {x",
        "echo {x}",
    ),
    "nul-character": _explain(
        "YAML can write the character NUL, as `\\0` in double quotes, but no program can be given it: the command "
        "cannot be started.",
        '"echo {x}\\0"',
        '"echo {x}"',
    ),
    "placeholder-after-backslash": _explain(
        "The backslash takes the first character of the value for its own, and with it the quote that keeps the "
        "value together: a value could run as a command. Under `mlflow run` it can; dioptra refuses the command.",
        "cat data\\{x}",
        "cat data/{x}",
    ),
    "placeholder-after-dollar": _explain(
        "With the value put in, the shell sees `$value`: a variable, or with `$(…)` even a command. `{x}` alone is "
        "the value already.",
        "echo ${x}",
        "echo {x}",
    ),
    "placeholder-after-tilde": _explain(
        "`~name` is the home directory of a user, so that the value would decide whose directory it is.",
        "ls ~{x}",
        "ls ~/{x}",
    ),
    "placeholder-as-descriptor": _explain(
        "The shell expands the word behind `>&` twice, and so would run a `$(…)` in the value, quoted or not.",
        "echo done >&{x}",
        "echo done >{x}",
    ),
    "placeholder-as-format": _explain(
        "`printf` takes its first argument for options, too. With the value `-v` it assigns to the variable that "
        "the next word names, and evaluates that word.",
        "printf {x}",
        "printf '%s\\n' {x}",
    ),
    "placeholder-as-name": _explain(
        "Where the shell expects the name of a variable it evaluates it, so that a value could run as a command. "
        "The name belongs into the command, and the value behind the `=`.",
        "export {x}=1",
        "export NAME={x}",
    ),
    "placeholder-as-delimiter": _explain(
        "The word behind `<<` says where the text ends, and whether the shell replaces variables in it. It has to "
        "stand in the command itself.",
        "|\ncat <<{x}\nhello\nEOF\n",
        "|\ncat <<EOF\nhello {x}\nEOF\n",
    ),
    "placeholder-evaluated": _explain(
        "`eval` and the like run what they are given, so that the value could be any command. Under `mlflow run` "
        "it can; dioptra refuses it.",
        "eval ls {x}",
        "ls {x}",
    ),
    "placeholder-in-arithmetic": _explain(
        "In `$((…))` the shell evaluates what is not a number, quoted or not. Dioptra can put in a number, and "
        "refuses every other value, if the placeholder stands alone between operators.",
        'echo $(("{x}" + 1))',
        "echo $(({x} + 1))",
        "x: float",
    ),
    "placeholder-in-braces": _explain(
        "The shell makes several words of `a{b,c}` before it looks at `~` and `$`, which could then stand directly "
        "before the value.",
        "ls {{~,{x}}}/data",
        "ls ~/data {x}/data",
    ),
    "placeholder-in-expansion": _explain(
        "Within `${name#…}` and its relatives the shell takes the value for a pattern, and no quotes keep every "
        "value as it is. A variable in double quotes is taken as it is.",
        "echo ${{HOME#{x}}}",
        'X={x}; echo ${{HOME#"$X"}}',
    ),
    "placeholder-split": _explain(
        "Without quotes around it, the shell splits what `${name:=value}` results in at blanks, whatever quotes "
        "the value has.",
        "echo ${{NAME:={x}}}",
        'echo "${{NAME:={x}}}"',
    ),
    "unclear-shell-syntax": _explain(
        "To put a value in so that it stays one word, dioptra has to know how the shell reads its place. Here it "
        "does not, and refuses the command rather than to let a value run as one. Move what is unusual into a "
        "script, and give the value to that.",
        "coproc cat {x}",
        "cat {x} &",
    ),
    "shell-syntax": _explain(
        "The shell cannot read the command, so that nothing of it runs: mostly a quote, a bracket or an `if` that "
        "is not closed. An apostrophe is a quote, too. Where dioptra is not sure itself it asks `bash -n`, which "
        "reads a command without running it.",
        "echo it's {x}",
        'echo "it\'s" {x}',
    ),
    "option-on-its-own-line": _explain(
        "A new line begins a new command. Behind `>` YAML joins lines, but keeps the end of a line where a deeper "
        "one follows; behind `|` it keeps all. So the program runs without its options, and then `--rate` is run "
        "as a program, which does not exist.\n\nBehind `>` indent all lines alike; behind `|` end each line but "
        "the last with a backslash.",
        ">\necho training\n  --rate {x}\n",
        ">\necho training\n--rate {x}\n",
    ),
    "escaped-blank": _explain(
        "A backslash joins lines only where it is the last character of a line. Behind `>` YAML has joined them "
        "already, so that the backslash stands before a blank, and the program is given the argument ` --rate`, "
        "which begins with that blank. The same comes of a blank behind the backslash in a block that begins with "
        "`|`.",
        ">\necho training \\\n--rate {x}\n",
        ">\necho training\n--rate {x}\n",
    ),
    "trailing-backslash": _explain(
        "A backslash at the end of a line joins it with the next, but none follows. Where the text ends with it, "
        "the program is given the backslash as an argument.",
        "echo {x} \\",
        "echo {x}",
    ),
    "commented-out-options": _explain(
        "For the shell a comment goes on to the end of the line. Behind `>` YAML has joined the lines, so that it "
        "swallows everything after it. Between lines that end in a backslash it ends the command, and the lines "
        "after it run as commands of their own.",
        ">\necho training\n# --verbose\n--rate {x}\n",
        ">\necho training\n--rate {x}\n",
    ),
    "windows-path": _explain(
        "A command is run by bash, also on Windows, and bash takes a backslash for a quote: `src\\train.py` "
        "becomes `srctrain.py`. Python and most programs take slashes on every system.",
        "cat data\\raw.txt {x}",
        "cat data/raw.txt {x}",
    ),
    "quoted-placeholder": _explain(
        "Dioptra puts in every value as one word and minds the quotes around it. MLflow adds quotes without "
        'looking: it makes `"\'a b\'"` of `"{x}"`, so that the program sees the inner quotes, and it runs a '
        "`$(…)` in the value. Without quotes both do the same.",
        'echo "{x}"',
        "echo {x}",
    ),
    "placeholder-in-code": _explain(
        "What `bash -c`, `python -c`, `ssh` and the like are given is code, and the value becomes part of it: one "
        "with a quote breaks it, and one with a `;` runs as a command. The code can take the value as an argument.",
        'bash -c "echo {x}"',
        "bash -c 'echo \"$1\"' _ {x}",
    ),
    "missing-script": _explain(
        "The command runs a file that does not exist, or that cannot be run as the command says: a directory "
        "without a `__main__.py`, a module that is not there, a file that is not executable. Commands run in the "
        "directory of the MLproject file, and paths start there, or where a `cd` before them leads. Nothing is said "
        "where an earlier command could make the file, or where the path depends on values.",
        "python src/train.py",
        "python train.py",
        "",
        {"train.py": ""},
    ),
    "typographic-character": _explain(
        'Text processors and web pages make long dashes and curly quotes of `--` and `"`. For the shell, and for the '
        "program that it starts, these are letters like any other: `\u2013rate` is no option, and `“a b”` two words. "
        "`echo` and the like may print them.",
        "cat \u2013n {x}",
        "cat -n {x}",
    ),
}
