"""Placeholders are found where `str.format` finds them, and everything else in braces is explained."""

from __future__ import annotations

from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra_cli.mlproject.template import (
    Literal,
    Placeholder,
    all_faults,
    parse_template,
    undeclared_placeholders,
    unfilled,
)


def test_pieces_stand_in_order_with_their_offsets() -> None:
    template = parse_template("echo {{{a}}} {my lr}")
    assert template.faults == ()
    assert [(type(piece), piece) for piece in template.pieces] == [
        (Literal, ("echo {", 0)),
        (Placeholder, ("a", 7)),
        (Literal, ("}", 10)),
        (Literal, (" ", 12)),
        (Placeholder, ("my lr", 13)),
    ]
    assert template.text == "echo {\0} \0"
    assert [p.name for p in template.placeholders] == ["a", "my lr"]


@pytest.mark.parametrize(
    "text", ["", "{{}}", "plain", "{a}", "{a}{b}", "{my-lr} {β} {a b}", "{{{a}}}", "a\n{b}\n"]
)
def test_good_templates_have_no_faults(text: str) -> None:
    assert parse_template(text).faults == ()


@pytest.mark.parametrize(
    ("text", "offset", "code", "in_message", "in_hint"),
    [
        ("a {} b", 2, "empty-placeholder", "{}", "{{}}"),
        ("a } b", 2, "unbalanced-brace", "}", "}}"),
        ("{{ a } b", 5, "unbalanced-brace", "}", "}}"),
        ("a { b", 2, "unbalanced-brace", "{", "{{"),
        ("a {b", 2, "unbalanced-brace", "{", "{{"),
        ("a {b[", 2, "unbalanced-brace", "{", "{{"),
        ("a {b {c} d", 2, "unbalanced-brace", "{", "{{"),
        ("a {x.__class__}", 2, "placeholder-attribute", ".__class__", "{x}"),
        ("a {x[0]}", 2, "placeholder-index", "[0]", "{x}"),
        ("a {x[}]}", 2, "placeholder-index", "[}]", "{x}"),
        ("a {x!r}", 2, "placeholder-conversion", "!r", "{x}"),
        ("a {x:.3f}", 2, "placeholder-format-spec", ":.3f", "{x}"),
        ("a {x:{w}}", 2, "placeholder-format-spec", ":{w}", "{x}"),
        ("a {x:}", 2, "placeholder-format-spec", ":", "{x}"),
        ("a {:>3}", 2, "placeholder-format-spec", ":>3", "{{:>3}}"),
        ("${V:-x}", 1, "shell-variable-in-braces", ":-x", "${{V:-x}}"),
        ("${A[0]}", 1, "shell-variable-in-braces", "[0]", "${{A[0]}}"),
        ("""-d '{"k": 1}'""", 4, "placeholder-format-spec", ": 1", """{{"k": 1}}"""),
        ("""-d '{"k": "{x}"}'""", 4, "placeholder-format-spec", "{x}", """{{"k": "{x}"}}"""),
        ("a\0b", 1, "nul-character", "NUL", None),
        ("{{a}} {{b}} {x!r}", 12, "placeholder-conversion", "!r", "{x}"),
    ],
)
def test_faults_name_what_was_found(
    text: str, offset: int, code: str, in_message: str, in_hint: str | None
) -> None:
    fault = parse_template(text).faults[0]
    assert (fault.offset, fault.name) == (offset, code)
    assert in_message in fault.message
    assert fault.hint is None if in_hint is None else in_hint in (fault.hint or "")


def test_all_faults_are_reported_and_good_placeholders_kept() -> None:
    template = parse_template("{} {a} {b.c} } {d}")
    assert [fault.offset for fault in template.faults] == [0, 7, 13]
    assert [p.name for p in template.placeholders] == ["a", "d"]


@pytest.mark.parametrize(
    ("text", "offset", "in_hint"),
    [
        ("x {epcohs}", 2, "did you mean 'epochs'?"),
        ("x { epochs }", 2, "{epochs}, without spaces"),
        ("awk '{print $1}'", 5, "{{print $1}}"),
        ("f() {{ }}; {  }", 11, "{{  }}"),
        ("grep 'a{2}'", 7, "{{2}}"),
        ("grep 'a{1,3}'", 7, "{{1,3}}"),
        ('{"a", "b"}', 0, '{{"a", "b"}}'),
        ("x {unheard_of}", 2, "declare it"),
    ],
)
def test_undeclared_placeholders_come_with_a_hint(text: str, offset: int, in_hint: str) -> None:
    (fault,) = undeclared_placeholders(parse_template(text), ["epochs", "lr"])
    assert (fault.offset, fault.name) == (offset, "undeclared-placeholder")
    assert in_hint in (fault.hint or "")


def test_a_shell_variable_in_single_braces_is_told_from_a_placeholder() -> None:
    (fault,) = undeclared_placeholders(parse_template("x ${HOME}"), ["epochs"])
    assert (fault.offset, fault.name) == (3, "shell-variable-in-braces")
    assert "${{HOME}}" in (fault.hint or "")


def test_undeclared_placeholders_of_which_no_more_is_known_are_one_fault() -> None:
    template = parse_template("{lrr} {foo} {lrr} {bar} {foo} ${HOME}")
    typo, shell_variable, others = undeclared_placeholders(template, ["lr"])
    assert (typo.offset, typo.hint) == (0, "did you mean 'lr'?")
    assert (shell_variable.offset, others.offset) == (31, 6)
    assert others.message == "no parameter is named 'foo' or 'bar'"
    many = parse_template("".join(f"{{p{number}}}" for number in range(9)))
    (fault,) = undeclared_placeholders(many, [])
    assert fault.message == "no parameter is named 'p0', 'p1', 'p2', 'p3', 'p4' or 4 more"


@pytest.mark.parametrize(
    ("text", "declared", "hint"),
    [
        ("{lr.real}", ["lr"], "write {lr}"),
        ("{learning.rate}", ["learning_rate"], "did you mean 'learning_rate'?"),
        ("{learning.rate}", ["learning.rate"], "rename the parameter, to 'learning_rate' for example"),
        ("{lrr:.2f}", ["lr"], "did you mean 'lr'?"),
        ("{lr!}", [], "declare 'lr' and write {lr}, or double the braces"),
        ("{'k': 1}", [], "double them: {{'k': 1}}"),
        ("{}", ["lr"], "name a parameter"),
    ],
)
def test_hints_about_fields_go_by_the_parameters(text: str, declared: list[str], hint: str) -> None:
    (fault,) = all_faults(parse_template(text), declared)
    assert hint in (fault.hint or "")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (
            "{{x}} ${{ x }} $x <x> [x] %(x)s %x% --x x",
            ["{{x}}", "${{ x }}", "$x", "<x>", "[x]", "%(x)s", "%x%", "x"],
        ),
        ("{x} \\$x a[x] --y x --x=1 $$x x", []),
        ("x=1; echo $x", []),
        ("for x in 1 2; do echo $x; done", []),
    ],
)
def test_other_notations_than_placeholders_are_found(command: str, found: list[str]) -> None:
    forms = unfilled(command)
    assert [form.text for form in forms] == found
    assert all(form.name == "x" and command.startswith(form.text, form.start) for form in forms)


def test_declared_placeholders_are_fine() -> None:
    assert undeclared_placeholders(parse_template("{epochs} {my lr} {1}"), {"epochs", "my lr", "1"}) == []


def _as_str_format_sees(text: str) -> list[tuple[str, str | None]] | None:
    """Return what `str.format` would join, or None if it would raise or do more than join."""
    parts: list[tuple[str, str | None]] = []
    try:
        for literal, name, spec, conversion in Formatter().parse(text):
            if name is not None and (not name or spec or conversion or "." in name or "[" in name):
                return None
            parts.append((literal, name))
    except ValueError:
        return None
    return parts


@settings(max_examples=600, deadline=None, database=None)
@given(st.text(st.sampled_from("{}{}{}ab.[]!: $")))
def test_pieces_are_those_of_str_format(text: str) -> None:
    template = parse_template(text)
    expected = _as_str_format_sees(text)
    if expected is None:
        assert template.faults
        return
    if not template.faults:  # an empty format specification is one all the same
        assert template.text == "".join(
            literal + ("" if name is None else "\0") for literal, name in expected
        )
        assert [p.name for p in template.placeholders] == [name for _, name in expected if name is not None]
    else:
        assert ":" in text


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(st.sampled_from("{}{}ab.[!: $\0é\n")))
def test_every_character_is_found_again_at_its_offset(text: str) -> None:
    template = parse_template(text)
    for piece in template.pieces:
        if isinstance(piece, Placeholder):
            assert text.startswith(f"{{{piece.name}}}", piece.offset)
        else:
            assert text.startswith(piece.text, piece.offset)
    for fault in template.faults:
        assert text[fault.offset] in "{}\0"
