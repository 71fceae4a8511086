"""What is wrong with commands, and where, and what mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dioptra_cli.errors import Problem
from dioptra_cli.mlproject import checks, loader
from dioptra_cli.mlproject.catalogue import BY_NAME
from dioptra_cli.validation import fixes


def check(directory: Path, command: str, parameters: str = "{epochs: float}") -> list[Problem]:
    """Check an entry point; the command starts at line 4, column 14 of the file."""
    text = f"entry_points:\n  main:\n    parameters: {parameters}\n    command: {command}\n"
    (directory / "MLproject").write_text(text)
    project = loader.load(str(directory)).project
    assert project is not None
    return checks.check_entry_point(project.entry_points["main"], project.source)


def mended(directory: Path, command: str) -> str | None:
    """Return the command after the repairs of all problems, which leave none; None where there are no repairs."""
    edits = [edit for problem in check(directory, command) for edit in problem.fix]
    if not edits:
        return None
    text = fixes.apply((directory / "MLproject").read_bytes(), edits).decode()
    (directory / "MLproject").write_text(text)
    project = loader.load(str(directory)).project
    assert project is not None
    entry_point = project.entry_points["main"]
    assert checks.check_entry_point(entry_point, project.source) == []
    return entry_point.command


def block(text: str) -> str:
    """Indent the lines of a block scalar, of which the first is its header, so that they begin at column 7."""
    return text.replace("\n", "\n      ").rstrip(" ")


@pytest.mark.parametrize(
    ("command", "name", "place", "hint"),
    [
        ("'echo {y} {epochs}'", "undeclared-placeholder", (4, 20, 23), None),
        ("'echo {ecochs}'", "undeclared-placeholder", (4, 20, 28), "'epochs'"),
        ("'echo ${HOME} {epochs}'", "shell-variable-in-braces", (4, 21, 27), "${{HOME}}"),
        ("'echo ${HOME:-x} {epochs}'", "shell-variable-in-braces", (4, 21, None), "${{HOME:-x}}"),
        ("\"awk '{print $1}' {epochs}\"", "undeclared-placeholder", (4, 20, None), "double them"),
        ("'echo {epochs.real}'", "placeholder-attribute", (4, 20, None), "{epochs}"),
        ("'echo {epochs[0]}'", "placeholder-index", (4, 20, None), "{epochs}"),
        ("'echo {epochs!r}'", "placeholder-conversion", (4, 20, None), "{epochs}"),
        ("'echo {epochs:.3f}'", "placeholder-format-spec", (4, 20, None), "{epochs}"),
        ("'echo {} {epochs}'", "empty-placeholder", (4, 20, None), None),
        ("'echo } {epochs}'", "unbalanced-brace", (4, 20, None), "}}"),
        ("'echo {epochs'", "unbalanced-brace", (4, 20, None), "{{"),
        ("'echo ${epochs}'", "placeholder-after-dollar", (4, 21, 29), "$"),
        ("'cat <<{epochs}'", "placeholder-as-delimiter", (4, 21, 29), None),
        ("'echo {a} {b} {epochs} {a}'", "undeclared-placeholder", (4, 20, 23), "declare them"),
        ("'true'", "unused-parameter", (3, 18, None), None),
        ("'echo {{epochs}}'", "unused-parameter", (4, 20, 30), "write {epochs}"),
        ("'echo $epochs # <epochs>'", "unused-parameter", (4, 20, 27), "write {epochs}"),
        ("'echo # $epochs'", "unused-parameter", (3, 18, None), None),
        ("''", "empty-command", (4, 14, None), None),
        ("'echo {epochs} \\'", "trailing-backslash", (4, 29, None), "no next line"),
        ("'echo \\ --x {epochs}'", "escaped-blank", (4, 20, None), "joined"),
        (block(">\npython x.py \\\n--x {epochs} \\\n--y 1\n"), "escaped-blank", (5, 19, 20), "joined"),
        (block("|\npython x.py \\ \n  --x {epochs}\n"), "escaped-blank", (5, 19, 20), "end the line"),
        (block(">\npython x.py\n  --epochs {epochs}\n"), "option-on-its-own-line", (6, 9, 17), "alike"),
        (block(">\npython x.py\n\n--epochs {epochs}\n"), "option-on-its-own-line", (7, 7, 15), "empty line"),
        (block("|\npython x.py\n--epochs {epochs}\n"), "option-on-its-own-line", (6, 7, 15), "\\"),
        (block("|\npython x.py \\\n  -a 1\n  -e {epochs}\n"), "option-on-its-own-line", (7, 9, 11), "\\"),
        (block("|\npython x.py\n  model.lr={epochs}\n"), "option-on-its-own-line", (6, 9, 26), None),
        (block("|\npython x.py\n  lr={epochs}\n"), "option-on-its-own-line", (6, 9, 20), None),
        (block(">\npython x.py\n  {epochs}\n"), "option-on-its-own-line", (6, 9, 17), None),
        (block("|\npython x.py\n  {epochs}\n"), "option-on-its-own-line", (6, 9, 17), None),
        (block("|\nx /\n --a /\n {epochs}\n"), "option-on-its-own-line", (6, 8, 11), "not with '/'"),
        ("x \u2013e {epochs}", "typographic-character", (4, 16, 17), "write - in"),
        ("x --e \u201c{epochs}\u201d", "typographic-character", (4, 20, 21), 'write " in'),
        ("x \u2018{epochs}", "typographic-character", (4, 16, 17), "write ' in"),
        (block(">\npython x.py\n# --fast\n--e {epochs}\n"), "commented-out-options", (6, 7, None), "before"),
        (block(">\npython x.py # fast\n{epochs}\n"), "commented-out-options", (5, 19, None), None),
        (
            block("|\npython x.py \\\n  # --a \\\n  --e {epochs}\n"),
            "commented-out-options",
            (6, 9, None),
            None,
        ),
        (block("|\npython x.py # fast \\\n  --e {epochs}\n"), "commented-out-options", (5, 19, None), None),
        ("python src\\train.py {epochs}", "windows-path", (4, 21, 33), "'src/train.py'"),
        ("python x.py --d=C:\\data\\x {epochs}", "windows-path", (4, 30, 39), "'C:/data/x'"),
        ("python x.py --e \"{epochs}\" '{epochs}'", "quoted-placeholder", (4, 31, 39), "quotes away"),
        ('echo "after {epochs}"', "quoted-placeholder", (4, 26, 34), "outside"),
        ('bash -c "echo {epochs}"', "placeholder-in-code", (4, 28, 36), "bash -c '… \"$1\"' _ {epochs}"),
        ("'docker run img sh -ec \"ls {epochs}\"'", "placeholder-in-code", (4, 41, 49), "sh -c"),
        ("python -c 'print({epochs})'", "placeholder-in-code", (4, 31, 39), "sys.argv"),
        ("ssh -p 22 me@host ls {epochs}", "placeholder-in-code", (4, 35, 43), "printf %q {epochs}"),
    ],
)
def test_defects_are_found_at_their_place(
    tmp_path: Path, command: str, name: str, place: tuple[int, int, int | None], hint: str | None
) -> None:
    found = check(tmp_path, command)
    if name == "empty-command":
        found = [problem for problem in found if problem.name != "unused-parameter"]
    assert [problem.name for problem in found] == [name], [str(problem) for problem in found]
    problem, (line, column, end) = found[0], place
    location = problem.location
    assert location is not None
    assert (location.line, location.column) == (line, column)
    assert location.end == end or end is None
    assert (problem.entry_point, problem.level) == ("main", BY_NAME[name].level)
    if hint is not None:
        assert hint in (problem.hint or ""), problem.hint


@pytest.mark.parametrize(
    "command",
    [
        "'echo {epochs} ${{HOME}} {{}}'",
        block(">\npython x.py\n--epochs {epochs}\n"),
        block("|\npython x.py \\\n  --epochs {epochs}\n"),
        block(">\npython x.py \\\n  --epochs {epochs}\n"),
        block("|\ncat <<EOF\n--epochs {epochs}\nEOF\n"),
        block("|\na {epochs} |\nb && \\\nc\n"),
        block("|\nfor x in 1; do\n  {epochs}\ndone\n"),
        block("|\ncase {epochs} in\n  -x) echo 1;;\nesac\n"),
        block("|\nX=1\npython x.py {epochs}\nY=2\npython y.py\n"),
        block("|\n# python old.py --fast\npython x.py {epochs}\n# --slow\n"),
        block(">\npython x.py {epochs}\n# --fast\n# --slow\n"),
        block("|\npython x.py \\\n  --e {epochs} \\\n  # --fast\n"),
        "'$(echo {epochs}) `echo {epochs}`'",
        "A={epochs} B=x{epochs}y cmd",
        "cat C:\\\\data\\\\x s\\_x a\\.py {epochs}",
        "cat My\\ File.txt \\ x {epochs}",
        "echo a\\tb 's/a\\b/c/' \"src\\train\" {epochs}",
        "sed s/a\\tb/c/ {epochs} | grep \\d\\w | tr a\\nb c",
        "bash -c 'echo \"$1\"' _ {epochs}",
        "bash -c {epochs}",
        "'ssh host \"ls $(printf %q {epochs})\"'",
        "python -m bash -e {epochs}",
        "echo {epochs} \\\\",
        block("|\nif true; then\n  {epochs}\nfi\n"),
        block("|\ntrue &&\n  {epochs}\n"),
        block("|\nx\n{epochs}\n"),
        "echo \u201ca\u201d \u2013e {epochs}",
        "x '\u201ca\u201d' \u2013 it\u2019s {epochs} # \u2013e",
    ],
)
def test_good_commands_have_no_problems(tmp_path: Path, command: str) -> None:
    assert check(tmp_path, command) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("|\nx --e {epochs} \\\n", "x --e {epochs}\n"),
        (">\nx --e {epochs} \\\n\n", "x --e {epochs}\n"),
        (">\nx \\\n--e {epochs} \\\n--f 1\n", "x --e {epochs} --f 1\n"),
        ("x \\\n--e {epochs} \\\n", "x --e {epochs}"),
        (">\nx\n  --e {epochs}\n  --f 1\n--g\n", "x --e {epochs} --f 1 --g\n"),
        ("|\nx\n  --e {epochs}\n  --f 1\ny\n  -z\n", "x \\\n  --e {epochs} \\\n  --f 1\ny \\\n  -z\n"),
        ("|\nx \\\n  --e {epochs}  \n  --f 1\n", "x \\\n  --e {epochs} \\\n  --f 1\n"),
        ("|\nx \\ \n  --e {epochs}\n", "x \\\n  --e {epochs}\n"),
        ("|\nx\n  {epochs}\n  --f\n", "x \\\n  {epochs} \\\n  --f\n"),
        ("|\nx /\n  --e {epochs} / \n  --f 1\n", "x \\\n  --e {epochs} \\\n  --f 1\n"),
        ("|\nx ^\n  --e {epochs}\n", "x \\\n  --e {epochs}\n"),
        ("x \u2013e {epochs} \u2013\u2013f \u2014g -\u2013h \u2013ij", "x -e {epochs} --f --g --h --ij"),
        ("x --a=\u201c{epochs}\u201d \u201eb c\u201c", 'x --a={epochs} "b c"'),
        ('"x \u201ca b\u201d \u2018c d\u2019 {epochs}"', "x \"a b\" 'c d' {epochs}"),
        ("'x \u2018a b\u2019 {epochs}'", "x 'a b' {epochs}"),
        # A person has to decide: what follows would be joined too, or the lines are not joined for another reason.
        (">\nx\n  --e {epochs}\ny\n", None),
        (">\nx \\\n  --e {epochs}\n  --f 1\n", None),
        (">\nx\n\n--e {epochs}\n", None),
        (">\nx &&\ny\n  --e {epochs}\n  lr=1\n", None),
        ("|\nx\n\n--e {epochs}\n", None),
        ("|\nx;\n  --e {epochs}\n", None),
        ("|\nx # why\n  --e {epochs}\n", None),
        ("|\nls /\n  --e {epochs}\n", None),
        ("|\nx /\n  --e {epochs}\n  --f\n", None),
        ("x \u201ca {epochs}", None),
        ("\u201cx y\u201d {epochs}", None),
    ],
)
def test_what_has_one_meaning_can_be_mended(tmp_path: Path, before: str, after: str | None) -> None:
    assert mended(tmp_path, block(before)) == after


def test_lines_that_are_not_joined_are_one_problem_for_each_command(tmp_path: Path) -> None:
    command = block("|\nx\n  --a\n  {epochs}\n  -b\ny\n  --c\n")
    first, second = check(tmp_path, command)
    assert (first.location and first.location.line, second.location and second.location.line) == (6, 10)
    assert "and 2 more" in first.message
    assert "this line runs" in second.message


@pytest.mark.parametrize(
    ("command", "name"),
    [("'echo {epochs:.3f}'", "placeholder-format-spec"), ("'echo {epoch}'", "undeclared-placeholder")],
)
def test_a_placeholder_at_fault_still_counts_as_a_use(tmp_path: Path, command: str, name: str) -> None:
    assert [problem.name for problem in check(tmp_path, command)] == [name]


@pytest.mark.parametrize(
    ("command", "message", "column"),
    [
        ("'true'", "the command uses none of its 3 parameters", 18),
        ("'true {a}'", "the command does not use the parameter 'b'", 28),
        ("'true $a %(b)s'", "the command holds '$a' and '%(b)s', not the placeholders '{a}' and '{b}'", 20),
    ],
)
def test_unused_parameters_are_summed_up(tmp_path: Path, command: str, message: str, column: int) -> None:
    parameters = "{a: float, b: float, c: float}"
    first = check(tmp_path, command.replace("%(b)s", '"%(b)s"'), parameters)[0]
    assert first.message == message
    assert first.location is not None
    assert first.location.column in (column, 29)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("''", ["empty-command"]),
        ("'echo'", []),
        ("'echo {a.b}'", ["placeholder-attribute"]),
        ("'echo {ab}'", ["undeclared-placeholder"]),
    ],
)
def test_a_parameter_that_no_placeholder_can_name_is_not_unused_as_well(
    tmp_path: Path, command: str, names: list[str]
) -> None:
    assert [problem.name for problem in check(tmp_path, command, "{a.b: float}")] == names
