"""Which scripts a command calls, through everything that only starts them."""

from __future__ import annotations

import pytest

from dioptra_cli.mlproject.shell import read_shell
from dioptra_cli.mlproject.template import parse_template
from dioptra_cli.mlproject.usage import ScriptCall, code_words, script_calls


def calls(command: str) -> tuple[ScriptCall, ...]:
    return script_calls(read_shell(parse_template(command)))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python train.py --lr {lr}", "python train.py | --lr \0"),
        ("/usr/bin/python3.11 -u -W ignore -Xdev 'my train.py' a", "python my train.py | a"),
        ("python -uB -- train.py", "python train.py |"),
        ("python -m pkg.train --lr {lr}", "python module pkg.train | --lr \0"),
        ("python -um pkg.train x", "python module pkg.train | x"),
        ("A=1 env -u D C=2 E={lr} nohup nice -n 5 python train.py", "python train.py |"),
        ("time command exec timeout -k 5 60 python train.py", "python train.py |"),
        ("time -p python train.py", "python train.py |"),
        ("poetry run python train.py", "python train.py |"),
        ("pipenv run ./train.py", "python ./train.py |"),
        ("uv run --with x --frozen train.py --lr 1", "python train.py | --lr 1"),
        ("uv run -m pkg.train", "python module pkg.train |"),
        ("conda run -n env --no-capture-output python train.py", "python train.py |"),
        ("coverage run --source=src -a train.py x", "python train.py | x"),
        ("python -m coverage run -m pkg.train x", "python module pkg.train | x"),
        ("torchrun --standalone --nproc_per_node=2 --nnodes 1 train.py --lr 1", "python train.py | --lr 1"),
        ("python -m torch.distributed.launch --nproc_per_node 2 train.py", "python train.py |"),
        ("accelerate launch --num_processes 2 -m pkg.train", "python module pkg.train |"),
        ("mpirun -n 4 -H a,b python train.py", "python train.py |"),
        ("Rscript --vanilla analyse.R {lr}", "R analyse.R | \0"),
        ("bash -eu -o pipefail run.sh x", "bash run.sh | x"),
        ("sh run.sh > log 2>&1", "bash run.sh |"),
        ("./run.sh a && scripts/b.R", "bash ./run.sh | a; R scripts/b.R |"),
        ("python \\\n  train.py \\\n  --lr \"{lr}\" '$x' $y", "python train.py | --lr \0 $x \x01"),
        # Not certain where the script begins, or none.
        ("python -c 'x' train.py", ""),
        ("python {script} x", ""),
        ("python $DIR/train.py", ""),
        ("python src/*.py", ""),
        ("python --version", ""),
        ("python", ""),
        ("conda activate x", ""),
        ("torchrun --unheard-of x train.py", ""),
        ("python < train.py", ""),
        ("train.py", ""),
        ("echo python train.py", ""),
        ("bash -c 'python train.py'", ""),
        ("$X python train.py", ""),
        ("nice -n", ""),
    ],
)
def test_the_scripts_of_a_command(command: str, expected: str) -> None:
    found = [
        f"{call.language} {'module ' if call.module else ''}{call.script.text} | "
        + " ".join(word.text for word in call.arguments)
        for call in calls(command)
    ]
    assert "; ".join(text.rstrip() for text in found) == expected


def test_words_know_their_place_and_their_parameters() -> None:
    command = 'echo {{}} && python train.py --lr="{lr}" {data}'
    (call,) = calls(command)
    assert command[call.script.start : call.script.end] == "train.py"
    assert [(command[word.start : word.end], word.parameters) for word in call.arguments] == [
        ('--lr="{lr}"', ("lr",)),
        ("{data}", ("data",)),
    ]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('bash -lc "a {x}" b', "a \0"),
        ("python3 -uc 'a'", "a"),
        ("env perl -ne a f", "a"),
        ("ssh -p 22 h ls {x}", "ls \0"),
        ("su me -c 'a'", "a"),
        ("bash run.sh -c x", ""),
        ("grep -c x", ""),
    ],
)
def test_the_code_that_a_command_passes_on(command: str, expected: str) -> None:
    (simple,) = read_shell(parse_template(command)).commands
    assert [word.text for _, word in code_words(simple)] == ([expected] if expected else [])


def test_a_call_with_typographic_dashes_or_quotes_is_not_certain() -> None:
    for command in (
        "python t.py \u2013\u2013lr 1",
        "python t.py --n \u201ca b\u201d",
        "python t.py --n=\u2018a\u2019",
    ):
        assert [call.certain for call in calls(command)] == [False]
    assert [call.certain for call in calls("python t.py --n caf\u00e9\u2013bar")] == [True]


def test_a_call_knows_its_directory_and_whether_it_needs_no_interpreter() -> None:
    first, second, third, fourth = calls(
        "./a.py; cd src && python b.py; cd ../c; time d/e.sh; cd $X; python f.py"
    )
    assert (first.directory, first.direct, first.certain) == ("", True, True)
    assert (second.directory, second.direct, second.certain) == ("src", False, False)
    assert (third.directory, third.direct) == ("src/../c", True)
    assert fourth.directory is None
