"""Whatever the value, wherever its placeholder stands: bash passes on exactly that value, or dioptra refuses it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from shlex import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dioptra_cli.execution.command import Refusal, RefusedValuesError, render_command
from dioptra_cli.mlproject.template import parse_template


def render(text: str, extra: tuple[tuple[str, str], ...] = (), **values: str) -> str:
    return render_command(parse_template(text), values, extra)


def refusals(text: str, extra: tuple[tuple[str, str], ...] = (), **values: str) -> tuple[Refusal, ...]:
    with pytest.raises(RefusedValuesError) as raised:
        render(text, extra, **values)
    return raised.value.refusals


class Workplace:
    """An empty directory to run commands in. A value that gets to run leaves a file there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, command: str) -> bytes:
        """Return what the command prints, errors included."""
        done = subprocess.run(
            ["bash", "-c", os.fsencode(command)],
            cwd=self.path,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "Z": "zz", "zzA": "merged"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        assert os.listdir(self.path) == [], command
        return done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("workplace"))


TOKENS = st.sampled_from(
    list("\\'\"`$ \n\t;&|<>(){}[]*?~!#=%,^-_aA09.:@+")
    + ["é", "日", "\x01", "\x7f", "\x1b", "\r", "\udcff", "\u2028"]
    + [
        "$(touch canary)",
        "`touch canary`",
        ";touch canary;",
        "\ntouch canary\n",
        "'$(touch canary)'",
        "{a,b}",
        "{1..3}",
    ]
    + [
        "\nE\n",
        "E",
        "E)",
        "\n\t",
        "\\\n",
        "$'\\x41'",
        "${Z}",
        "$Z",
        "$((",
        "<(",
        ">(",
        "if",
        "time",
        "X=1",
        "..",
        "\\x",
    ]
)
VALUES = st.one_of(
    st.lists(TOKENS, max_size=8).map("".join),
    st.binary(max_size=12).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"0"))),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)

ANY: set[str] = set()
# What prints the value, followed by a NUL or a line break, once or more; and what a value may have to be refused.
CONTEXTS: dict[str, tuple[str, set[str]]] = {
    "bare": (r"printf '%s\0' {x}", ANY),
    "continued line": ("printf '%s\\0' \\\n  {x}\\\n\n", ANY),
    "single quotes": (r"printf '%s\0' '{x}'", ANY),
    "double quotes": (r'printf "%s\0" "{x}"', ANY),
    "behind a backslash": (r"""printf '%s\0' "C:\{x}" """, ANY),
    "behind a backslash in a here-document": ("cat <<E\n\\{x}\nE\n", ANY),
    "ANSI-C quotes": (r"printf '%s\0' $'{x}'", ANY),
    "locale quotes": (r"""printf '%s\0' $"{x}" """, ANY),
    "assignment": (r"""X={x}; Y='{x}' Z="{x}"; printf '%s\0' "$X" "$Y" "$Z" """, ANY),
    "environment": (r"""X={x} Y="{x}" bash -c 'printf "%s\0" "$X" "$Y"'""", ANY),
    "export": (r"""export X={x}; printf '%s\0' "$X" """, ANY),
    "declaration": (r"""f() {{ local X={x}; declare Y="{x}"; printf '%s\0' "$X" "$Y"; }}; f""", {"("}),
    "array": (r"""X=({x} '{x}' [5]="{x}"); printf '%s\0' "${{X[@]}}" """, {"\x01", "\x7f"}),
    "loop": (r"""for i in {x} "{x}"; do printf '%s\0' "$i"; done""", ANY),
    "case": (r"""case {x} in "{x}") printf '%s\0' {x};; *) echo wrong;; esac""", ANY),
    "test": (r"""[[ {x} == {x} && x{x} =~ ^x{x}$ ]] && printf '%s\0' {x}""", ANY),
    "function": ("f() {{ printf '%s\\0' \"$@\" {x}; }}\nf {x} '{x}'", ANY),
    "pipe and redirection": (r"(printf '%s\0' {x}; {{ printf '%s\0' '{x}'; }}) 2>/dev/null | cat", ANY),
    "before a redirection": (r"printf '%s\0' {x}>&1", ANY),
    "here-string": ("cat <<<{x}; cat <<<'{x}'", ANY),
    "here-document": ("cat <<E\n{x}\nE\n", ANY),
    "stripped here-document": ("cat <<-E\n\t{x}\n\tE\n", ANY),
    "quoted here-document": ("cat <<'E'\n{x}\nE\n", {"E"}),
    "quoted and stripped": ("cat <<-\\E\n\t{x}\n\tE\n", {"E", "\t"}),
    "two here-documents": ("cat /dev/fd/3 - 3<<E <<F\n{x}\nE\n{x}\nF\n", ANY),
    "substitution": (r"""printf '%s\0' "$(printf '%s' {x}; echo .)" """, ANY),
    "substitution, double": (r"""printf '%s\0' "$(printf '%s' "{x}"; echo .)" """, ANY),
    "substitution, case": (r"""printf '%s\0' "$(case {x} in '{x}') printf '%s' {x};; esac; echo .)" """, ANY),
    "substitution, nested": (r"""printf '%s\0' "$(printf '%s' "$(printf '%s' "{x}"; echo .)")" """, ANY),
    "substitution, here-document": ('printf "%s\\0" "$(cat <<E\n{x}.\nE\n)"', ANY),
    "substitution, quoted here-document": ("printf '%s\\0' \"$(cat <<'E'\n{x}.\nE\n)\"", {"E", "\x01"}),
    "process substitution": (r"""cat <(printf '%s\0' {x} "{x}")""", ANY),
    "backticks": (r"""X=`printf '%s' {x}; echo .`; printf '%s\0' "$X" """, ANY),
    "backticks, quoted": (r"""X=`printf '%s' "{x}"; echo .`; printf '%s\0' "$X" """, ANY),
    "quoted backticks": (r"""printf '%s\0' "`printf '%s' {x}; echo .`" """, ANY),
    "quoted backticks, single": (r"""printf '%s\0' "`printf '%s' '{x}'; echo .`" """, ANY),
    "quoted backticks, double": (r"""printf '%s\0' "`printf '%s' "{x}"; echo .`" """, {"{"}),
    "quoted backticks, escaped": (r"""printf '%s\0' "`printf '%s' \"{x}\"; echo .`" """, ANY),
    "nested backticks": (r"""X=`printf '%s' "\`printf '%s' '{x}'; echo .\`"`; printf '%s\0' "$X" """, ANY),
    "substitution in a here-document": ("cat <<E\n$(printf '%s' {x}; echo .)\nE\n", {"\\", "\x01", "\x7f", "E"}),
    "default": (r"""printf '%s\0' ${{V:-{x}}} ${{V:-'{x}'}} ${{V:-"{x}"}}""", ANY),
    "quoted default": (r"""printf '%s\0' "${{V:-{x}}}" "${{Z:+{x}}}" """, set("'<>(")),
    "nested default": (r"""printf '%s\0' "${{V:-${{W-{x}}}}}" ${{V:-${{W-{x}}}}}""", set("'<>(")),
    "assigned default": (r""": ${{V:={x}}}; printf '%s\0' "$V" """, ANY),
    "quoted assigned default": (r"""printf '%s\0' "${{V:={x}}}" "$V" """, set("'<>(")),
    "braces": (r"""printf '%s\0' {{{x},"{x}"}} ''{{'{x}',$'{x}'}}""", ANY),
    "comment": ("# {x} it's\nprintf '%s\\0' {x}", {"\n"}),
}  # fmt: skip


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_value_is_passed_on_exactly(workplace: Workplace, context: str) -> None:
    text, refusable = CONTEXTS[context]
    sample = workplace.run(render(text, x="mark"))
    assert b"mark" in sample

    @settings(max_examples=40, deadline=None, database=None)
    @given(VALUES)
    @example("")
    @example("plain-value_1.5")
    @example('it\'s "5" $(touch canary) `touch canary` \\ ; touch canary\n{a,b} $Z é\udcff\x01\x7f')
    @example("{a,b}")
    @example('"{a,b}"')
    @example("\\\n")
    @example("\t")
    @example("E\n\tE\n\nE)")
    def check(value: str) -> None:
        try:
            command = render(text, x=value)
        except RefusedValuesError:
            assert refusable & set(value)
            return
        assert workplace.run(command) == sample.replace(b"mark", os.fsencode(value))

    check()


@pytest.mark.parametrize(
    "text",
    [
        "python train.py --lr {a} --name={b}",
        "python train.py \\\n  --lr {a} \\\n  --name={b}\n",
        "PYTHONPATH=$X run {a} && cat {b} | wc -l > {a} 2>&1\n",
        "main.py $(echo {a}) {b}",
        "cmd a{a}b {a}{b} /x/{a}/{b}.csv [{a}] *{b}",
        "X={a} cmd {b}; for i in {a}; do echo {b}; done",
        "echo {a} {{}} ${{HOME}}/{b} # {a}",
    ],
)
@settings(max_examples=60, deadline=None, database=None)
@given(a=VALUES, b=VALUES)
def test_bare_values_are_written_as_mlflow_writes_them(text: str, a: str, b: str) -> None:
    if "#" in text and "\n" in a:
        return
    assert render(text, a=a, b=b) == text.format(a=quote(a), b=quote(b))


@pytest.mark.parametrize(
    ("text", "value", "command"),
    [
        ("echo '{x}' \"{x}\" $'{x}'", "abc", "echo 'abc' \"abc\" $'abc'"),
        ("echo {x}>out", "2", "echo '2'>out"),
        ("echo {x}>out", "abc", "echo abc>out"),
        ("echo {x}=~ {x}=a", "abc", "echo 'abc'=~ abc=a"),
        ("echo {x} >out", "2", "echo 2 >out"),
        ("cat {x}<in", "0", "cat '0'<in"),
        ("echo {{{x}}}>out", "fd", "echo {'fd'}>out"),
        ("{x} a", "python", "python a"),
        ("{x} a", "FOO=bar", "'FOO=bar' a"),
        ("{x} a", "time", "'time' a"),
        ("{x} a", "if", "'if' a"),
        ("{x} a", "!", "'!' a"),
        ("{x} a", "[[", "'[[' a"),
        ("{x} a", "-x", "'-x' a"),
        ("echo {x}", "time", "echo time"),
        ("{x}f a", "i", "'i'f a"),
        ("{x}/python a", "/venv", "/venv/python a"),
        ("true && {x}", "X=1", "true && 'X=1'"),
        ("echo $HOME{x}", "_DIR", "echo $HOME'_DIR'"),
        ("echo $HOME{x}", "/dir", "echo $HOME/dir"),
        ('echo "$HOME{x}"', "_DIR", 'echo "$HOME""_DIR"'),
        ('echo "$HOME{x}"', "/dir", 'echo "$HOME/dir"'),
        ("cat <<E\n$HOME{x}\nE", "_DIR", "cat <<E\n$HOME${_+}_DIR\nE"),
        ("echo pre{{{x},b}}", "a,c", "echo pre{'a,c',b}"),
        ("echo pre{{{x},b}}", "0.5", "echo pre{0.5,b}"),
        ("echo {{1..{x}}}", "5", "echo {1..5}"),
        ("echo {{1..{x}}}", "5..2", "echo {1..'5..2'}"),
        ('echo "C:\\{x}"', "dir", 'echo "C:\\dir"'),
        ('echo "C:\\{x}"', "$x", 'echo "C:\\\\\\$x"'),
        ('echo "C:\\{x}"', "", 'echo "C:\\\\"'),
        ("echo $'\\x4{x}'", "1", "echo $'\\x4\\061'"),
        ("echo $'\\x4{x}'", "g", "echo $'\\x4g'"),
        ("cat <<E\n{x}\nE", "$a \\ `b` \"c\" 'd'", "cat <<E\n\\$a \\\\ \\`b\\` \"c\" 'd'\nE"),
        ("cat <<E\n{x}\nE", "a\nE\nb", "cat <<E\n${_+}a\n${_+}E\n${_+}b\nE"),
        ("cat <<-E\n\t{x}\nE", "\ta", "cat <<-E\n\t${_+}\ta\nE"),
        ("A[{x}]=1; echo $(( 1-{x} ))", "-5", "A[-5]=1; echo $(( 1-(-5) ))"),
        ("[[ {x} = a ]]", "-f", "[[ '-f' = a ]]"),
        ("[[ a =~ {x} ]]", "a.c", "[[ a =~ 'a.c' ]]"),
        ("[[ {x} -gt 3 ]]", "-5", "[[ -5 -gt 3 ]]"),
        ("echo {x}", "", "echo ''"),
        ("echo a{x}b", "", "echo a''b"),
        ("echo {x}", "a\rb", "echo 'a\rb'"),
        ("echo {{{x}}}", "a", "echo {a}"),
    ],
)  # fmt: skip
def test_how_values_are_written(text: str, value: str, command: str) -> None:
    assert render(text, x=value) == command


@pytest.mark.parametrize(
    ("text", "value", "output"),
    [
        ("printf '<%s>' {x}>&1", "2", "<2>"),
        ("cat {x}</dev/null 2>/dev/null; printf '<%s>' {x}", "0", "<0>"),
        ("{x} 2>/dev/null; printf '%s' \"[$FOO]\"", "FOO=bar", "[]"),
        ("printf '<%s>' $Z{x} \"$Z{x}\"; cat <<E\n$Z{x}\nE", "A", "<zzA><zzA>zzA\n"),
        ("printf '<%s>' \"$Z{x}{y}\"", "", "<zzA>"),
        ("printf '<%s>' pre{{{x},b}}", "a,c", "<prea,c><preb>"),
        ("printf '<%s>' {{1..{x}}}", "3", "<1><2><3>"),
        ("printf '<%s>' {{1..{x}}}", "3..2", "<{1..3..2}>"),
        ("printf '<%s>' {{a,$Z}}{x}", "A", "<aA><zzA>"),
        ("printf '<%s>' \"C:\\{x}\"", "$(touch canary)", "<C:\\$(touch canary)>"),
        ("printf '<%s>' $'\\x4{x}' $'\\1{x}' $'\\u00e{x}'", "1", "<\x041><\x011><\x0e1>"),
        ("printf '<%s>' $(echo {x})", "--a 1 --b", "<--a><1><--b>"),
        ("printf '<%s>' $(( {x} + 1 )) $(( 1-{x} )) $(( 2**{x} ))", "4", "<5><-3><16>"),
        ("printf '<%s>' $(( {x} + 1 )) $(( 1-{x} )) $(( 1+{x} ))", "-4", "<-3><5><-3>"),
        ("A=(a b c); A[{x}]=new; printf '<%s>' \"${{A[@]}}\"", "1", "<a><new><c>"),
        ('if (( {x} > 3 )) && [[ "{x}" -lt 9 ]]; then printf yes; fi', "5", "yes"),
        ("for ((i=0; i<{x}; i++)); do printf '%s' $i; done", "3", "012"),
    ],
)
def test_what_bash_makes_of_it(workplace: Workplace, text: str, value: str, output: str) -> None:
    assert workplace.run(render(text, x=value, y="A")) == os.fsencode(output)


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("echo {x}", "a\0b", "NUL"),
        ("cat <<'E'\n{x}\nE", "a\nE", "end the here-document at 'E'"),
        ("cat <<'EOF'\nE{x}F\nEOF", "O", "end the here-document"),
        ("cat <<'EOF'\n{x}EOF\nEOF", "", "end the here-document"),
        ("cat <<'EOF'\n{x}EOF\nEOF", "a\n", "end the here-document"),
        ("echo $(cat <<'E'\n{x}\nE\n)", "E )", "end the here-document"),
        ("cat <<-'E'\n\t{x}\nE", "\ta", "lose its tabs"),
        ("cat <<-'E'\n\t{x}\nE", "a\n\tb", "lose its tabs"),
        ("cat <<-'E'\n{x}\tb\nE", "", "lose its tabs"),
        ("cat <<-E\n$(echo {x})\nE", "a\n\tb", "lose its tabs"),
        ("# {x}", "a\nb", "line break"),
        ("echo $(( {x} ))", "a[$(touch canary)]", "not a whole number"),
        ("echo $(( {x} ))", "1.5", "not a whole number"),
        ("echo $(( {x} ))", "010", "not a whole number"),
        ("echo $(( {x} ))", "9223372036854775808", "not a whole number"),
        ("echo $(( {x} ))", "\u0663", "not a whole number"),
        ("[[ {x} -eq 1 ]]", "a[$(touch canary)]", "not a whole number"),
        ('[[ 1 -eq "{x}" ]]', "a[$(touch canary)]", "not a whole number"),
        ("A[{x}]=1", "$(touch canary)", "not a whole number"),
        ("echo \"${{V:-{x}}}\"", "it's", "would not pass on"),
        ("X=({x})", "\x01", "would not pass on"),
        ("declare X={x}", "($(touch canary))", "would not pass on"),
        ("echo \"`echo \"{x}\"`\"", "{a,b}", "would not pass on"),
        ("echo \"`echo \"$Z{x}\"; cat <<E\n$Z{x}\nE\n`\"", "A", "first character"),
    ],
)  # fmt: skip
def test_values_that_bash_offers_no_way_for_are_refused(text: str, value: str, reason: str) -> None:
    (refusal,) = refusals(text, x=value)
    assert (refusal.parameter, refusal.value) == ("x", value)
    assert refusal.offset is not None
    assert text.startswith("{x}", refusal.offset)
    assert reason in refusal.reason
    assert refusal.hint or "NUL" in reason


def test_all_refusals_are_collected() -> None:
    text = "{{}} echo {a} $(( {b} )) # {c}\necho $(( {b} ))"
    found = refusals(text, (("d", "\0"),), a="\0", b="x", c="\n")
    assert [refusal.parameter for refusal in found] == ["a", "b", "c", "b", "d"]
    assert [refusal.offset for refusal in found][:3] == [text.index(name) for name in ("{a}", "{b}", "{c}")]
    assert str(RefusedValuesError(found)).count(";") == len(found) - 1


def test_a_place_where_no_value_is_safe_is_refused() -> None:
    text = "echo ${x} '{y}'"
    (refusal,) = refusals(text, x="a", y="b")
    assert (refusal.parameter, refusal.value, refusal.offset) == ("x", "a", text.index("{x}"))
    (refusal,) = refusals("echo {x} @(a)", x="a")
    assert (refusal.parameter, refusal.value) == (None, None)


# Undeclared parameters


@pytest.mark.parametrize("tail", ["", "\n", "  \n\n", " \\", "\\", " \\\n", " \\\n  ", " 2>&1 |\n cat - "])
def test_extra_arguments_stand_on_the_line_of_the_command(workplace: Workplace, tail: str) -> None:
    prefix = "printf '<%s>' a"
    if "cat" in tail:
        prefix, tail = "true | printf '<%s>' a", ""
    extra = (("n", "a b"), ("my name", "'$(touch canary)'"), ("empty", ""))
    output = workplace.run(render(prefix + tail, extra))
    assert output == b"<a><--n><a b><--my name><'$(touch canary)'><--empty><>"


@settings(max_examples=60, deadline=None, database=None)
@given(name=VALUES, value=VALUES)
def test_extra_arguments_are_exact(workplace: Workplace, name: str, value: str) -> None:
    output = workplace.run(render("printf '%s\\0' {x}\n", ((name, value),), x="a"))
    assert output == b"a\0--" + os.fsencode(name) + b"\0" + os.fsencode(value) + b"\0"


@pytest.mark.parametrize(
    "text", ["python x.py\n", "python x.py \\\n", "python x \\", "cat <<E\na\nE\n", "a # b", ""]
)
def test_nothing_is_altered_where_nothing_is_added(text: str) -> None:
    assert render(text) == text


@pytest.mark.parametrize(
    "text", ["cat <<E\na\nE\n", "python x.py # note", "python x.py &", "if a; then b; fi\n", ""]
)
def test_extra_arguments_are_refused_where_they_would_be_lost(text: str) -> None:
    (refusal,) = refusals(text, (("lr", "1"),))
    assert (refusal.parameter, refusal.value, refusal.offset) == ("lr", "1", None)
    assert "not declared" in refusal.reason
    assert "{lr}" in (refusal.hint or "")


# Commands put together at random

PIECES = st.sampled_from(
    ["{a}", "{b}", "{a}", "'{a} \"'", "\"{b} $Z 'x\"", '"$Z{a}\\{b}"', "$Z{a}", "$'{a}\\x4{b}'", "${{U:-{a}}}"]
    + ['"${{U:-{b}}}"', "${{Z+'{a}'}}", "{{{a},q}}", "{{p,$Z}}", "{{", "}}", '"$(printf %s. \'{a}\' "{b}")"']
    + ['"`printf %s. {a}`"', '"`printf %s. "{b}"`"', "$(( {i} ))", "x", "--y=", "=", ",", "[k]", "#", "\\ ", "\\\\"]
    + ['"$(cat <<E\n{a} $Z{b}\nE\nprintf .)"', '"$(case {a} in {a}) printf %s. {b};; esac)"', "\\'", '$"{a}"']
    + ["\\\n", "~/"]
)  # fmt: skip
WORDS = st.lists(PIECES, min_size=1, max_size=4).map("".join)
SIMPLE = st.one_of(
    st.lists(WORDS, min_size=1, max_size=3).map(lambda words: "printf '<%s>' " + " ".join(words)),
    WORDS.map(lambda word: f"V={word}; printf '<%s>' \"$V\""),
    WORDS.map(lambda word: f"export V={word}; printf '<%s>' \"$V\""),
    st.tuples(WORDS, WORDS).map(lambda pair: f"V=({' '.join(pair)}); printf '<%s>' \"${{{{V[@]}}}}\""),
    WORDS.map(lambda word: f"for v in {word} y; do printf '<%s>' \"$v\"; done"),
    WORDS.map(lambda word: f"cat <<<{word}"),
    st.sampled_from(
        [
            "cat <<E\n{a}\n\t$Z{b}\nE\n:",
            "cat <<-'E'\n{a}x\n\t{b}\nE\n:",
            "# {a}\n:",
            "[[ {a} == {a} ]] && printf %s {{{b}}}",
        ]
    ),
)
COMMANDS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map("\n".join),
        inner.map(lambda command: f"( {command}\n)"),
        inner.map(lambda command: f"if true; then {command}\nfi"),
        inner.map(lambda command: f"f() {{{{ {command}\n}}}}; f"),
        inner.map(lambda command: f"case {{a}} in x|{{a}}) {command}\n;; esac"),
        inner.map(lambda command: f"printf '<%s>' \"$({command}\nprintf .)\""),
        inner.map(lambda command: f"{command}\nprintf %s. {{b}} | cat"),
    ),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None, database=None)
@given(text=COMMANDS, a=VALUES, b=VALUES, i=st.integers(-99, 99))
def test_any_command_treats_hostile_values_as_it_treats_plain_ones(
    workplace: Workplace, text: str, a: str, b: str, i: int
) -> None:
    plain = {"a": "aMARKa", "b": "bMARKb", "i": "424242"}
    hostile = {"a": a, "b": b, "i": str(i)}
    template = parse_template(text)
    try:
        commands = render_command(template, plain), render_command(template, hostile)
    except RefusedValuesError:
        return
    expected = re.sub(
        rb"([ab])MARK\1|(424242)",
        lambda match: os.fsencode(hostile[(match[1] or b"i").decode()]),
        workplace.run(commands[0]),
    )
    assert workplace.run(commands[1]) == expected
