"""The checks of commands against their scripts."""

from __future__ import annotations

from dioptra_cli.validation.explanations import Explanation

_OPTIONS = """\
import click


@click.command()
@click.option("--data-dir", required=True)
@click.option("--epochs", type=int, default=10)
@click.option("--optimizer", type=click.Choice(["adam", "sgd"]), default="adam")
@click.option("--verbose", is_flag=True)
def train(data_dir, epochs, optimizer, verbose):
    print(data_dir, epochs, optimizer, verbose)


if __name__ == "__main__":
    train()
"""

_SUBCOMMANDS = """\
import click


@click.group()
def main():
    pass


@main.command()
@click.option("--epochs", type=int, default=10)
def train(epochs):
    print(epochs)


@main.command()
def evaluate():
    print("evaluated")


if __name__ == "__main__":
    main()
"""

_BOOL = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--order", choices=["size", "date"])
parser.add_argument("--shuffle", type=bool, default=False)
print(parser.parse_args())
"""

_ARGUMENTS = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("data_dir")
parser.add_argument("--epochs", type=int, default=10)
print(parser.parse_args())
"""


def _project(parameter: str, command: str) -> str:
    return f"""\
name: Digits
entry_points:
  train:
    parameters:
      {parameter}
    command: python train.py {command}
"""


EXPLANATIONS: dict[str, Explanation] = {
    "missing-option": Explanation(
        why=(
            "The script declares the option with click or argparse as required, and the command does not pass it. "
            "The script stops before it does anything, whatever the values of the parameters are.\n\n"
            "Scripts are read, never imported or run. Nothing is said where an option may come from elsewhere, such "
            "as a variable of the shell, an environment variable or a decorator of your own."
        ),
        bad=_project("optimizer: {type: string, default: sgd}", "--optimizer {optimizer}"),
        good=_project("optimizer: {type: string, default: sgd}", "--data-dir data --optimizer {optimizer}"),
        files={"train.py": _OPTIONS},
    ),
    "unknown-option": Explanation(
        why=(
            "The command passes an option that the script does not declare: a slip of the pen, or an option that was "
            "renamed in the script only. click and argparse refuse it, and the run fails at once.\n\n"
            "Options that argparse allows to be cut short are known, and nothing is said where the script takes "
            "unknown options, or gets some of its options from elsewhere."
        ),
        bad=_project("data: {type: uri, default: data}", "--data-dri {data}"),
        good=_project("data: {type: uri, default: data}", "--data-dir {data}"),
        files={"train.py": _OPTIONS},
    ),
    "looser-type": Explanation(
        why=(
            "The parameter may be any number, but the script's option takes whole numbers only: `-P epochs=0.5` "
            "passes the check of the parameter and fails in the script, perhaps after long downloads.\n\n"
            "Declare the parameter `int`, and dioptra refuses such a value before anything starts. The format itself "
            "has no such type, so other tools take it for a text; keep `float` where that matters more."
        ),
        bad=_project("epochs: {type: float, default: 10}", "--data-dir data --epochs {epochs}"),
        good=_project("optimizer: {type: string, default: sgd}", "--data-dir data --optimizer {optimizer}"),
        files={"train.py": _OPTIONS},
    ),
    "refused-default": Explanation(
        why=(
            "The default of the parameter, or one of its choices, is nothing that the script's option takes: no "
            "number, a number out of range, or none of the option's choices. A run without a value for the parameter "
            "fails in the script.\n\n"
            "Mind that click compares choices letter by letter unless told otherwise: `Adam` is not `adam`."
        ),
        bad=_project("optimizer: {type: string, default: Adam}", "--data-dir data --optimizer {optimizer}"),
        good=_project("optimizer: {type: string, default: adam}", "--data-dir data --optimizer {optimizer}"),
        files={"train.py": _OPTIONS},
    ),
    "value-for-flag": Explanation(
        why=(
            "The script declares the option as a flag, which is on where it is passed and takes no value. What "
            "follows it is an argument of its own, and the script refuses it.\n\n"
            "Pass the flag alone, or declare it in the script as an option that takes `true` or `false`: "
            "`type=bool` with click."
        ),
        bad=_project('verbose: {type: string, default: "True"}', "--data-dir data --verbose {verbose}"),
        good=_project("data_dir: {type: uri, default: data}", "--data-dir {data_dir} --verbose"),
        files={"train.py": _OPTIONS},
    ),
    "unexpected-argument": Explanation(
        why=(
            "The command passes more arguments than the script declares, and the script refuses the rest. Mostly the "
            "name of an option is missing before a value, or a value with a space was not quoted."
        ),
        bad=_project("data_dir: {type: uri, default: data}", "--epochs 5 {data_dir} 32"),
        good=_project("data_dir: {type: uri, default: data}", "--epochs 5 {data_dir}"),
        files={"train.py": _ARGUMENTS},
    ),
    "missing-argument": Explanation(
        why=(
            "The script declares an argument without which it stops, and the command passes fewer arguments than "
            "that. An option of the same name is no argument: it is passed by its place alone."
        ),
        bad=_project('epochs: {type: string, default: "5"}', "--epochs {epochs}"),
        good=_project('epochs: {type: string, default: "5"}', "--epochs {epochs} data"),
        files={"train.py": _ARGUMENTS},
    ),
    "repeated-option": Explanation(
        why=(
            "The command passes the same option twice, and the script takes the last value only: the first one has "
            "no effect, also where it is the value of a parameter. Nothing is said of options that may be passed "
            "several times, such as those with `multiple=True` or `action='append'`."
        ),
        bad=_project("data_dir: {type: uri, default: data}", "--data-dir {data_dir} --data-dir other"),
        good=_project("data_dir: {type: uri, default: data}", "--data-dir {data_dir}"),
        files={"train.py": _OPTIONS},
    ),
    "refused-value": Explanation(
        why=(
            "A value that stands in the command itself is nothing that the script's option takes: no number, a "
            "number out of range, or none of the option's choices. Every run fails in the script.\n\n"
            "Whole numbers are written without a point or an exponent: `1e3` is a `float` for Python."
        ),
        bad=_project("data: {type: uri, default: data}", "--data-dir {data} --epochs 1e3"),
        good=_project("data: {type: uri, default: data}", "--data-dir {data} --epochs 1000"),
        files={"train.py": _OPTIONS},
    ),
    "missing-value": Explanation(
        why=(
            "The option takes a value, and nothing follows it that could be one: the command ends, or argparse finds "
            "another option there. click takes even an option for the value, so that is not told of its scripts."
        ),
        bad=_project("data: {type: uri, default: data}", "--data-dir {data} --epochs"),
        good=_project("data: {type: uri, default: data}", "--data-dir {data} --epochs 10"),
        files={"train.py": _OPTIONS},
    ),
    "unknown-subcommand": Explanation(
        why=(
            "The script is a click group, or has subparsers of argparse, and the first argument names the subcommand "
            "that runs. The command names one that the script does not have."
        ),
        bad=_project('epochs: {type: string, default: "5"}', "trian --epochs {epochs}"),
        good=_project('epochs: {type: string, default: "5"}', "train --epochs {epochs}"),
        files={"train.py": _SUBCOMMANDS},
    ),
    "bool-of-text": Explanation(
        why=(
            "With `type=bool`, argparse calls `bool()` on the text that it gets, and every text is true except for "
            "the empty one: `--shuffle False` turns shuffling on. The script runs, with another setting than the run "
            "records.\n\n"
            'Declare a flag in the script (`action="store_true"` or `argparse.BooleanOptionalAction`) or compare the '
            'text there: `type=lambda text: text.lower() == "true"`. click\'s `type=bool` reads the text as it is '
            "meant."
        ),
        bad=_project("order: {type: string, default: size}", "--order {order} --shuffle False"),
        good=_project("order: {type: string, default: size}", "--order {order}"),
        files={"train.py": _BOOL},
    ),
}
