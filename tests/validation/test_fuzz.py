"""Whatever a file holds, `validate` says what is wrong with it: no crash, no hang, no place outside of the file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dioptra_cli.cli import reports
from dioptra_cli.errors import Problem
from dioptra_cli.mlproject import catalogue
from dioptra_cli.validation import fixes
from dioptra_cli.validation.scripts import read_script
from dioptra_cli.validation.validate import Checked, Checker

LINES = (
    *(
        "name: n",
        "entry_points:",
        "  main:",
        "  train: &t",
        "    parameters:",
        "      a: float",
        "      b: {type: path}",
    ),
    *(
        "      a: {type: float, default: 0.1}",
        "      c: {type: float, default:0.1}",
        "      d: {type: float, 0.001}",
    ),
    *(
        "      e: {default: *t}",
        "      <<: *t",
        "    <<: [*t, *t]",
        "      f: {type: int, defualt: 010, choices: [1, yes]}",
    ),
    *(
        "      g:",
        "        type: string",
        "        default: >-",
        "          one",
        "            two",
        "      h: type:float",
    ),
    *(
        "    command: python x.py --a {a} '{b}' ${c}",
        "    command: >",
        "      python x.py",
        "        --a {a}",
        "      \\ ",
    ),
    *(
        "    command: |",
        "      cat <<E",
        "      {a}",
        "      E",
        '      for i in $(ls); do echo `{a}` "{b}; done',
        "      # --b {b}",
    ),
    *(
        '    command: "a\\',
        '      \\u00e9 \\x00 {a!r}"',
        "    command: 'it''s {d:>3}'",
        "conda_env: conda.yaml",
        "python_env:",
    ),
    *(
        "docker_env: {image: x, volumes: [a, 1]}",
        "databricks_spark_job: {python_file: a.py}",
        "---",
        "...",
        "%YAML 1.1",
    ),
    *(
        "# dioptra: ignore[DIO309]",
        "  # dioptra: ignore-file[DIO3, nonsense]",
        "# dioptra: ignore[",
        "# dioptra: ",
        "{% if x %}",
    ),
    *(
        "  {{ x }}",
        "? a",
        ": b",
        "- c",
        "!!set {a}",
        "&x [*x]",
        "    description: 2021-02-30",
        "      i: 1" + "0" * 50,
        "",
    ),
)
"""Lines as they stand in MLproject files, good and bad."""

INSERTS = (
    *(
        "\t",
        "\r",
        "\r\n",
        "\n",
        "\ufeff",
        "\0",
        "\x07",
        "\x1b",
        "\x85",
        "\u2028",
        "\u202e",
        "\xa0",
        "é",
        "漢字",
        "😀",
        "e\u0301",
        "\ud800",
    ),
    *(
        " ",
        "  ",
        ": ",
        ":",
        ",",
        "{",
        "}",
        "[",
        "]",
        "{a}",
        "${",
        "`",
        "$(",
        "'",
        '"',
        "\\",
        "#",
        " #",
        "|",
        ">",
        "&a ",
        "*a",
        "!!int ",
    ),
    *("<<: ", "? ", "- ", "---", "~", "1e999", "x" * 300, "[" * 60, "- " * 40, "{a: " * 30),
)

endless = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def edited(draw: st.DrawFn, lines: tuple[str, ...]) -> str:
    """Draw a text of some of the lines, most of them in their order, with a few edits in it."""
    first = draw(st.integers(0, len(lines) - 1))
    chosen = list(lines[first : first + draw(st.integers(0, 12))])
    for _ in range(draw(st.integers(0, 4))):
        chosen.insert(draw(st.integers(0, len(chosen))), draw(st.sampled_from(lines)))
    text = draw(st.sampled_from(("\n", "\n", "\n", "\r\n", "\r"))).join(chosen)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from((0, 0, 1, 2, 10))))
        text = text[:start] + draw(st.sampled_from(("", text[start:end] * 2, *INSERTS))) + text[end:]
    return draw(st.sampled_from(("", "", "", "\ufeff"))) + text


contents = st.one_of(
    edited(LINES).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
)


def check(data: bytes) -> Checked:
    return Checker().check("MLproject", data)


def assert_stands_in(problem: Problem, lines: list[str]) -> None:
    """Assert that a problem of a file of `lines` has a place inside of it, and can be shown."""
    known = catalogue.BY_NAME[problem.name]
    assert problem.level is known.level
    for text in (problem.message, problem.hint or ""):
        # Control characters could do anything to a terminal, or forge lines of the output.
        assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")], text
    location = problem.location
    assert location is not None
    if location.line is not None:
        assert 1 <= location.line <= len(lines)
        length = len(lines[location.line - 1])
        assert 1 <= (location.column or 1) <= length + 1
        assert location.end is None or (location.column or 1) <= location.end <= length + 1
    for edit in problem.fix:
        assert 1 <= edit.line <= len(lines)
        assert 1 <= edit.column <= edit.column + edit.length <= len(lines[edit.line - 1]) + 1
        assert "\n" not in edit.text


def lines_of(data: bytes) -> list[str]:
    text = data.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


@settings(endless, max_examples=700)
@given(contents)
@example(b"---")
@example(b"%YAML 1.1\n# nothing")
@example("\u2028name: n".encode())
@example("name:\x85 n\x85  x: 5".encode())
@example(b"? a\n\n  b\n: c")
@example(b"name: 0x" + b"f" * 5000)
@example(b'entry_points: {main: {command: "python src/one\\\n    two.py"}}')
def test_every_content_is_checked_and_every_problem_stands_in_it(data: bytes) -> None:
    checked = check(data)
    for problem in checked.problems:
        if problem.name != "not-utf-8":  # its column counts bytes
            assert_stands_in(problem, lines_of(data))


@settings(endless, max_examples=150)
@given(st.lists(contents, max_size=2))
def test_every_form_can_print_it(datas: list[bytes]) -> None:
    files = [check(data) for data in datas]
    count = sum(len(checked.problems) for checked in files)
    printed = {name: "".join(form.assembled(map(form.piece, files))) for name, form in reports.FORMS.items()}
    for text in printed.values():
        text.encode()
    assert len(json.loads(printed["json"])) == count
    assert len(json.loads(printed["sarif"])["runs"][0]["results"]) == count
    assert printed["github"].count("\n") == count


@settings(endless, max_examples=300)
@given(edited(LINES))
@example("\u2028entry_point: {}")
@example(
    "\ufeffentry_points:\r\n  main: {command: x {a}, parameters: {a: {type: float, default:1}}}\r\n# \x85"
)
def test_repairs_keep_everything_else(text: str) -> None:
    data = text.encode("utf-8", "replace")
    before = check(data)
    repaired = fixes.repair(data, check)
    after = repaired.left
    assert after == check(repaired.content)
    assert after.readable or not before.readable
    assert len(after.problems) <= len(before.problems) or not before.readable
    again = fixes.repair(repaired.content, check)
    assert (again.content, again.fixed) == (repaired.content, ())
    old, new = (re.split(r"(\r\n|\r|\n)", content.decode()) for content in (data, repaired.content))
    assert len(old) == len(new)
    changed = {
        index // 2 + 1 for index, (one, other) in enumerate(zip(old, new, strict=True)) if one != other
    }
    assert changed <= {edit.line for problem in repaired.fixed for edit in problem.fix}
    assert bool(changed) == bool(repaired.fixed)
    assert old[1::2] == new[1::2]  # the line ends
    assert old[0].startswith("\ufeff") == new[0].startswith("\ufeff")


SCRIPT = """\
import argparse
import click

@click.command()
@click.option("--epochs", "-e", type=click.INT, default=3, required=True)
@click.option("--rate/--no-rate", type=click.FloatRange(0, 1), multiple=True)
@click.argument("files", nargs=-1, type=click.Choice(["a", *"bc"]))
def main(epochs, rate, files):
    pass

parser = argparse.ArgumentParser(description=__doc__)
group = parser.add_mutually_exclusive_group(required=True)
group.add_argument("--size", "-s", type=lambda x: int(x), choices=range(3), nargs="+")
group.add_argument("path", action="store_true", **{"help": f"{parser}"})
commands = parser.add_subparsers(dest="command")
for name in ("fit", "test"):
    commands.add_parser(name).add_argument(f"--{name}", type=float, default=1e999)

if __name__ == "__main__":
    args, rest = parser.parse_known_args()
    main()
"""
LIBRARIES = ("import argparse\n", "import click\n")


@settings(endless, max_examples=300)
@given(edited(tuple(SCRIPT.splitlines())), st.sampled_from(("", *LIBRARIES)), st.integers(0, 40))
def test_every_script_can_be_read(text: str, library: str, cut: int) -> None:
    read_script(text)
    read_script(library + SCRIPT.replace(*LIBRARIES, 1)[cut:] + text)


BOUNDED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
from dioptra_cli.cli import reports
from dioptra_cli.validation.validate import Checker
checked = Checker().check("MLproject", sys.stdin.buffer.read())
for form in reports.FORMS.values():
    "".join(form.assembled([form.piece(checked)]))
print(*{problem.name for problem in checked.problems})
"""
"""A child with a gigabyte and 20 seconds of processor time: ten times enough, unless something has no bound."""


def bomb(before: str, after: str) -> str:
    """Return a text where `x9` stands for ten to the power of nine values."""
    steps = "".join(f"x{i + 1}: &x{i + 1} {before}{', '.join([f'*x{i}'] * 10)}{after}\n" for i in range(9))
    return f"x0: &x0 {{k: 1}}\n{steps}"


BILLION = bomb("[", "]")
LARGE = {
    "a default of a billion": (
        f"{BILLION}entry_points: {{m: {{parameters: {{a: {{default: *x9}}}}}}}}",
        "DIO109",
    ),
    "a name of a billion": (f"{BILLION}name: *x9", "DIO109"),
    "an image of a billion": (f"{BILLION}docker_env: {{image: *x9}}", "DIO109"),
    "an environment of a billion": (f"{BILLION}conda_env: *x9", "DIO221"),
    "a key of a billion": (f"{BILLION}? *x9\n: 1", "DIO101"),
    "a billion merged": (bomb("{<<: [", "]}"), "DIO109"),
    "a long comment": ("#" + "x" * 3_000_000, "DIO107"),
    "a long command": ("entry_points: {m: {command: " + "x" * 1_000_000 + "}}", ""),
    "a long name": ("entry_points: {m: {command: x, parameters: {" + "x " * 50_000 + "}}}", "DIO205"),
    "many keys": ("".join(f"k{i}: &a{i} x\n" for i in range(10_000)), "DIO210"),
    "many equal keys": ("k: 1\n" * 10_000, "DIO108"),
    "many brackets": ("[" * 20_000, "DIO110"),
    "many substitutions": ("entry_points: {m: {command: '" + "$(" * 10_000 + "'}}", ""),
    "many problems in a command": ("entry_points:\n m:\n  command: |\n" + "    x {a}\n" * 10_000, "DIO401"),
    "many problems on a line": ("entry_points: {m: {command: '" + "x {a} " * 10_000 + "'}}", "DIO401"),
    "many quoted placeholders": ("entry_points: {m: {command: '" + '"{a}" ' * 10_000 + "'}}", "DIO401"),
    "a long number": ("name: 0x" + "f" * 100_000, "DIO209"),
    "many comments": ("# dioptra: ignore[DIO309]\n" * 2_000 + "name: n", "DIO209"),
}


@pytest.mark.parametrize("what", LARGE)
def test_no_file_takes_more_than_bounded_memory_and_time(what: str) -> None:
    text, code = LARGE[what]
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr[-500:]) == (0, "")
    assert not code or catalogue.BY_CODE[code].name in done.stdout.split()
