"""What YAML refuses is told in plain words, at the place of the slip itself."""

from __future__ import annotations

import pytest

from dioptra_cli.validation.fixes import repair
from dioptra_cli.validation.validate import Checked, Checker

REFUSED: list[tuple[str, str, tuple[int, int], str]] = [
    (
        "entry_points:\n\tmain:\n\t\tcommand: x\n",
        "tab-character",
        (2, 1),
        "the line is indented with a tab; YAML allows spaces only",
    ),
    (
        "entry_points:\n  main:\n\tcommand: x\n",
        "tab-character",
        (3, 1),
        "the line is indented with a tab; YAML allows spaces only",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: \t{type: float}\n    command: 'x {a}'\n",
        "tab-character",
        (4, 10),
        "a tab stands where YAML allows spaces only",
    ),
    (
        "{% if x %}\nentry_points:\n  main: {command: x}\n{% endif %}\n",
        "template-syntax",
        (1, 1),
        "'{%' belongs to a template language; an MLproject file is plain YAML",
    ),
    (
        "entry_points:\n  main:\n    command: {{ cmd }}\n",
        "template-syntax",
        (3, 14),
        "a value cannot begin with '{{', which belongs to a template language",
    ),
    (
        "entry_points:\n  {{ name }}:\n    command: x\n",
        "template-syntax",
        (2, 3),
        "a value cannot begin with '{{', which belongs to a template language",
    ),
    (
        "entry_points:\n  main:\n      parameters:\n        a: float\n    command: x\n",
        "bad-indentation",
        (5, 5),
        "the line 'command: x' is indented unlike those that it belongs to",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: float\n     command: x {a}\n",
        "bad-indentation",
        (5, 6),
        "the line 'command: x {a}' is indented unlike those that it belongs to",
    ),
    (
        "name: My: project\nentry_points:\n  main: {command: x}\n",
        "unquoted-text",
        (1, 9),
        "a second ': ' on the line makes the text a mapping",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: float, default: 0.5\n    command: x {a}\n",
        "unquoted-text",
        (4, 24),
        "a second ': ' on the line makes the text a mapping",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a:\n        type: float\n        default 1\n",
        "broken-key",
        (6, 9),
        "there is no colon after 'default'",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a:\n        type: float\n        default:1\n    command: x\n",
        "broken-key",
        (6, 9),
        "there is no space after the colon of 'default:'",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a:\n        type:float\n        default: 1\n",
        "broken-key",
        (5, 9),
        "there is no space after the colon of 'type:'",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: {type: float default: 1}\n    command: x {a}\n",
        "broken-key",
        (4, 23),
        "there is no comma before 'default'",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: {type: float, default: 1\n    command: x {a}\n",
        "invalid-yaml",
        (4, 10),
        "the '{' that opens here is not closed by a '}'",
    ),
    (
        "entry_points:\n  main:\n    command: {a} x\n",
        "unquoted-text",
        (3, 18),
        "there is text after the closing brace",
    ),
    (
        'entry_points:\n  main:\n    command: "python x.py" --a\n',
        "unquoted-text",
        (3, 28),
        "there is text after the closing quote",
    ),
    (
        'entry_points:\n  main:\n    command: "python x.py --a\n',
        "unquoted-text",
        (3, 14),
        'the quote " that opens here is never closed',
    ),
    (
        "entry_points:\n  main:\n    command: 'it's'\n",
        "unquoted-text",
        (3, 18),
        "there is text after the closing quote",
    ),
    (
        'entry_points:\n  main:\n    command: "C:\\data\\x"\n',
        "unquoted-text",
        (3, 17),
        "'\\d' means nothing in double quotes",
    ),
    (
        "entry_points:\n  main:\n    command: *.py\n",
        "unquoted-text",
        (3, 14),
        "YAML takes '*' at the beginning of a text for a reference; this one is no name",
    ),
    (
        "entry_points:\n  main:\n    command: &x\n    parameters: *y\n",
        "unquoted-text",
        (4, 17),
        "YAML takes '*' at the beginning of a text for a reference; this one refers to '&y', which does not exist",
    ),
    (
        "entry_points:\n  main:\n    command: @x\n",
        "unquoted-text",
        (3, 14),
        "a text cannot begin with '@' in YAML",
    ),
    (
        "entry_points:\n  main:\n    command: %x\n",
        "unquoted-text",
        (3, 14),
        "a text cannot begin with '%' in YAML",
    ),
    (
        "entry_points:\n  main:\n    command: > python x\n      --a\n",
        "unquoted-text",
        (3, 16),
        "the text after '>' has to begin on the next line",
    ),
    (
        "entry_points:\n  main:\n    command: >\n    python x\n",
        "bad-indentation",
        (4, 5),
        "'python x' has no ': ' and is no key",
    ),
    (
        "entry_points:\n  main:\n    command: !cmd x\n",
        "unknown-tag",
        (3, 14),
        "the YAML tag '!cmd' is not allowed here",
    ),
    (
        "entry_points:\n  main:\n    command: !!python/name:os.system x\n",
        "unknown-tag",
        (3, 14),
        "the YAML tag '!!python/name:os.system' is not allowed here",
    ),
    ("a: 1\n---\nb: 2\n", "several-documents", (2, 1), "a second YAML document begins here"),
    ("entry_points:\n  main\n    command: x\n", "broken-key", (2, 3), "there is no colon after 'main'"),
    ("entry_points:\n  main:\n    command: x\n}\n", "unquoted-text", (4, 1), "this '}' closes nothing"),
    (
        "entry_points:\n  main:\n    command: \x01x\n",
        "invalid-yaml",
        (3, 14),
        "the character '\\x01' is not allowed in YAML",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: type: float\n    command: x {a}\n",
        "unquoted-text",
        (4, 14),
        "a second ': ' on the line makes the text a mapping",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: {type: float; default: 1}\n    command: x {a}\n",
        "broken-key",
        (4, 24),
        "there is no comma before 'default'",
    ),
    (
        'entry_points:\n  main:\n    command: "python t.py\n  e:\n    command: "python x.py"\n',
        "unquoted-text",
        (3, 14),
        'the quote " that opens here is closed on line 5 only',
    ),
    (
        "entry_points:\n  main:\n    command: python f.py\n      --a 1\n      # --b 2\n      --c 3\n",
        "unquoted-text",
        (5, 7),
        "a comment ends an unquoted text: the line below it belongs to nothing",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a:{type: float, default: 3}\n    command: x {a}\n",
        "broken-key",
        (4, 7),
        "there is no space between 'a' and its brace",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a {type: float, default: 3}\n    command: x {a}\n",
        "broken-key",
        (4, 7),
        "there is no colon between 'a' and its brace",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a float\n      b: string\n    command: x {a}\n",
        "broken-key",
        (4, 7),
        "there is no colon after 'a'",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      b: string\n      a:float\n    command: x {a}\n",
        "broken-key",
        (5, 7),
        "there is no space after the colon of 'a:'",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: {type: 'float' default: 0.1}\n    command: x {a}\n",
        "broken-key",
        (4, 25),
        "there is no comma before default",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: {type: string, default: x #y}\n    command: x {a}\n",
        "unquoted-text",
        (4, 36),
        "a '#' after a space begins a comment, and takes the '}' with it",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a: {type: Optional[str], default: 1}\n    command: x {a}\n",
        "unquoted-text",
        (4, 25),
        "a bracket begins a list in the middle of a text",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a:\n        type: float\n        defualt:0.1\n",
        "broken-key",
        (6, 9),
        "there is no space after the colon of 'defualt:'",
    ),
    (
        "entry_points:\n  main:\n    parameters:\n      a:\n        type: float\n        default = 0.1\n",
        "broken-key",
        (6, 9),
        "there is no colon after 'default'",
    ),
    ("entry_points:\n  main: [\n", "invalid-yaml", (2, 9), "the '[' that opens here is not closed by a ']'"),
    (
        "<<<<<<< HEAD\nname: a\n=======\nname: b\n>>>>>>> x\n",
        "invalid-yaml",
        (1, 1),
        "a merge conflict is not resolved",
    ),
]


def check(content: str | bytes) -> Checked:
    return Checker().check("MLproject", content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(("text", "name", "place", "message"), REFUSED)
def test_one_plain_sentence_at_the_right_place(
    text: str, name: str, place: tuple[int, int], message: str
) -> None:
    (problem,) = check(text).problems
    assert (problem.name, problem.message) == (name, message)
    assert problem.location is not None
    assert (problem.location.line, problem.location.column) == place
    assert problem.hint or name == "invalid-yaml"


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("default 1", "default: 1"),
        ("default:1", "default: 1"),
    ],
)
def test_what_has_one_meaning_is_mended(broken: str, mended: str) -> None:
    text = "entry_points:\n  main:\n    parameters:\n      a:\n        type: float\n        {}\n"
    text += "    command: echo {{a}}\n"
    repaired = repair(text.format(broken).encode(), check)
    assert repaired.content.decode() == text.format(mended)
    assert repaired.left.readable


def test_several_broken_lines_are_mended_one_after_the_other() -> None:
    mended = "entry_points:\n  main:\n    parameters:\n      a:\n        type: float\n        default: 1\n"
    mended += "    command: echo {a}\n"
    broken = mended.replace("points:", "points").replace("main:", "main").replace("type: ", "type:")
    repaired = repair(broken.encode(), check)
    assert repaired.content.decode() == mended
    assert [problem.name for problem in repaired.fixed] == ["broken-key"] * 3
    assert not repaired.left.problems


def test_what_stays_unreadable_is_left_alone() -> None:
    broken = b"entry_points\n  main:\n    command: 'echo\n"
    repaired = repair(broken, check)
    assert (repaired.content, repaired.fixed) == (broken, ())
