"""What bash would make of a placeholder's place, without any value."""

from __future__ import annotations

import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra_cli.mlproject import shell_reader
from dioptra_cli.mlproject.shell import Before, Context, Plain, ShellReading, read_shell
from dioptra_cli.mlproject.template import parse_template


def read(text: str) -> ShellReading:
    template = parse_template(text)
    assert template.faults == ()
    return read_shell(template)


@pytest.mark.parametrize(
    ("text", "contexts"),
    [
        ("echo {x}", "BARE"),
        ("echo --x={x} a{x}b {x}{x}", "BARE BARE BARE BARE"),
        ("echo '{x}' \"{x}\" $'{x}' $\"{x}\"", "SINGLE_QUOTED DOUBLE_QUOTED ANSI_C_QUOTED DOUBLE_QUOTED"),
        ("echo a \\\n  --x={x}\\\n  '\\' {x}", "BARE BARE"),
        ("echo \"it's {x}\" 'say \"{x}' {x}", "DOUBLE_QUOTED SINGLE_QUOTED BARE"),
        ('echo "a\\"{x}" \\"{x}', "DOUBLE_QUOTED BARE"),
        ("echo it\\'s {x}", "BARE"),
        ("echo # it's {x}\necho {x} a#b {x}", "COMMENT BARE BARE"),
        ("echo $# ${{#}} {x}", "BARE"),
        ('echo "$(echo "{x}" {x})" {x}', "DOUBLE_QUOTED BARE BARE"),
        ("echo $(echo $(echo '{x}') {x})", "SINGLE_QUOTED BARE"),
        (
            "echo $(case a in a) echo {x};; (b|c) echo '{x}' ;& *) esac) \"{x}\"",
            "BARE SINGLE_QUOTED DOUBLE_QUOTED",
        ),
        ("echo $(echo # it's )\n{x}) {x}", "BARE BARE"),
        ("echo `echo '{x}' \"{x}\"` {x}", "SINGLE_QUOTED DOUBLE_QUOTED BARE"),
        ('echo "`echo {x}`" {x}', "BARE BARE"),
        ("echo `echo \\`echo '{x}'\\` {x}`", "SINGLE_QUOTED BARE"),
        ("echo ${{V:-{x}}} ${{V+'{x}'}} ${{V?\"{x}\"}}", "BARE SINGLE_QUOTED DOUBLE_QUOTED"),
        ('echo "${{V:-{x}}}" "${{V:-${{W?{x}}}}}"', "QUOTED_DEFAULT QUOTED_DEFAULT"),
        (': ${{V:={x}}} "${{W={x}}}"', "BARE QUOTED_DEFAULT"),
        ("echo ${{V%%'}}'*}} ${{#V}} ${{V//a/b}} {x}", "BARE"),
        ("echo $(( {x} + (1) )) $[ {x} ] {x}", "ARITHMETIC ARITHMETIC BARE"),
        ("(( {x} > 1 )) && for ((i=0; i<{x}; i++)); do echo {x}; done", "ARITHMETIC ARITHMETIC BARE"),
        ("A[{x}]={x} B=({x} [{x}]='{x}')", "ARITHMETIC BARE BARE ARITHMETIC SINGLE_QUOTED"),
        ('[[ {x} -eq 3 && "{x}" == {x}* ]]', "ARITHMETIC DOUBLE_QUOTED BARE"),
        ("[[ $V =~ ^({x}|a)+$ ]] && echo {x}", "BARE BARE"),
        ("diff <(sort {x}) >(cat '{x}') {x}", "BARE SINGLE_QUOTED BARE"),
        ('cat <<<{x} <<< "{x}"', "BARE DOUBLE_QUOTED"),
        ("cat <<EOF {x}\n{x} 'a {x}\nEOF\n{x}", "BARE HERE_DOCUMENT HERE_DOCUMENT BARE"),
        ("cat <<'EOF'\n$x {x}\nEOF\n{x}", "QUOTED_HERE_DOCUMENT BARE"),
        ('cat <<"E O"\n{x}\nE O\n{x}', "QUOTED_HERE_DOCUMENT BARE"),
        ("cat <<\\EOF\n{x}\nEOF\n{x}", "QUOTED_HERE_DOCUMENT BARE"),
        ("cat <<-EOF\n\t{x}\n\tEOF\n{x}", "HERE_DOCUMENT BARE"),
        ("cat <<EOF\n\tEOF\n{x}\nEOF", "HERE_DOCUMENT"),
        ("cat <<EOF; echo 'a\nb {x}'\n{x}\nEOF", "SINGLE_QUOTED HERE_DOCUMENT"),
        ("cat <<EOF\nEO\\\nF\n{x}", "BARE"),
        ("cat <<'EOF'\nEO\\\nF\n{x}\nEOF", "QUOTED_HERE_DOCUMENT"),
        ("cat <<A - <<'B'\n{x}\nA\n{x}\nB\n{x}", "HERE_DOCUMENT QUOTED_HERE_DOCUMENT BARE"),
        ("cat <<EOF\n$(echo '{x}') `echo {x}` $(( {x} ))\nEOF", "SINGLE_QUOTED BARE ARITHMETIC"),
        ('echo "$(cat <<EOF\n{x} )\nEOF\n)" {x}', "HERE_DOCUMENT BARE"),
        ("f() {{ echo {x}; }}; function g {{ echo '{x}'; }}\nf {x}", "BARE SINGLE_QUOTED BARE"),
        (
            "if [ {x} = a ]; then echo '{x}'; elif true; then (echo {x}); else {{ echo {x}; }} fi",
            "BARE SINGLE_QUOTED BARE BARE",
        ),
        (
            "for i in {x} '{x}'; do echo $i; done; while read l; do echo {x}; done < {x}",
            "BARE SINGLE_QUOTED BARE BARE",
        ),
        ("case {x} in {x}) echo '{x}';; esac", "BARE BARE SINGLE_QUOTED"),
        (
            "a {x} | b '{x}' && c {x} || d & e; f {x} > {x} 2>&1 &> {x}",
            "BARE SINGLE_QUOTED BARE BARE BARE BARE",
        ),
        ("set -euo pipefail; shopt -s nullglob; echo {x}", "BARE"),
        ("! time -p {x}", "BARE"),
        ("export X={x} Y='{x}'; f() {{ local X={x}; }}", "BARE SINGLE_QUOTED BARE"),
    ],
)
def test_contexts(text: str, contexts: str) -> None:
    reading = read(text)
    assert reading.faults == ()
    assert [slot.context.name for slot in reading.slots] == contexts.split()
    assert [slot.placeholder for slot in reading.slots] == list(parse_template(text).placeholders)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("echo {x}", Plain.ANY),
        ("--x={x}", Plain.COMMAND),
        ("echo --x={x}", Plain.ANY),
        ("{x} a", Plain.COMMAND),
        ("{x}/bin/python", Plain.COMMAND),
        ("{x}f", Plain.NONE),
        ("A=1 >f {x}", Plain.COMMAND),
        ("true && {x}", Plain.COMMAND),
        ("if {x}", Plain.COMMAND),
        ("(a) | {x}", Plain.COMMAND),
        ("echo $({x})", Plain.COMMAND),
        ("echo `{x}`", Plain.COMMAND),
        ("case a in {x}) esac", Plain.COMMAND),
        ("X={x}", Plain.ANY),
        ("echo {x}>f", Plain.DESCRIPTOR),
        ("echo 1{x}<f", Plain.DESCRIPTOR),
        ("echo {x}\\\n>f", Plain.DESCRIPTOR),
        ("echo {x} >f", Plain.ANY),
        ("echo a{x}>f", Plain.ANY),
        ("echo {{{x}}}>f", Plain.NONE),
        ("echo {{{x},b}}", Plain.BRACES),
        ("echo {{1..{x}}}", Plain.BRACES),
        ("echo {{a,$U}}{x}", Plain.NONE),
        ("{{{x},b}}", Plain.NONE),
        ("[[ {x} = a ]]", Plain.TEST),
        ("[[ a =~ {x} ]]", Plain.NONE),
        ("IFS=,; echo ${{V:-{x}}}", Plain.NONE),
    ],
)
def test_bare_values_that_bash_would_misread_are_quoted(text: str, plain: Plain) -> None:
    assert read(text).slots[0].plain is plain


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("echo $HOME{x}", Before.NAME),
        ("echo $HOME\\\n{x}", Before.NAME),
        ('echo "$HOME{x}"', Before.NAME),
        ("cat <<E\n$HOME{x}\nE", Before.NAME),
        ("echo ${{HOME}}{x}", Before.NOTHING),
        ("echo $HOME/{x}", Before.NOTHING),
        ("echo $1{x}", Before.NOTHING),
        ("echo '$HOME{x}'", Before.NOTHING),
        ('echo "C:\\{x}"', Before.BACKSLASH),
        ('echo "C:\\\\{x}"', Before.NOTHING),
        ("cat <<E\n\\{x}\nE", Before.BACKSLASH),
        ("echo $'\\x4{x}'", Before.ESCAPE),
        ("echo $'\\x41{x}'", Before.NOTHING),
        ("echo $'\\1{x}'", Before.ESCAPE),
        ("echo $'\\101{x}'", Before.NOTHING),
        ("echo $(( 1-{x} ))", Before.SIGN),
    ],
)
def test_what_stands_before_is_known(text: str, before: Before) -> None:
    assert read(text).slots[0].before is before


def test_a_name_reaches_over_a_placeholder_that_may_be_empty() -> None:
    assert [slot.before for slot in read('echo "$HOME{x}{x}"').slots] == [Before.NAME, Before.NAME]


@pytest.mark.parametrize(
    ("text", "code", "at"),
    [
        ("echo ${x}", "placeholder-after-dollar", "{x}"),
        ('echo "${x}"', "placeholder-after-dollar", "{x}"),
        ("cat <<E\n${x}\nE", "placeholder-after-dollar", "{x}"),
        ("echo $(( ${x} ))", "placeholder-after-dollar", "{x}"),
        ("echo \\{x}", "placeholder-after-backslash", "{x}"),
        ("echo `echo \\{x}`", "placeholder-after-backslash", "{x}"),
        ("echo $'\\{x}'", "placeholder-after-backslash", "{x}"),
        ("echo $'\\x{x}'", "placeholder-after-backslash", "{x}"),
        ("echo $'\\c{x}'", "placeholder-after-backslash", "{x}"),
        ("echo $'\\0 {x}'", "placeholder-after-backslash", "{x}"),
        ("echo ~{x}", "placeholder-after-tilde", "{x}"),
        ("X=a:~{x}", "placeholder-after-tilde", "{x}"),
        ("echo ${{V:-~{x}}}", "placeholder-after-tilde", "{x}"),
        ("{x}=5", "placeholder-as-name", "{x}"),
        ("a{x}[0]+=5", "placeholder-as-name", "{x}"),
        ("export {x}", "placeholder-as-name", "{x}"),
        ("export {x}=1", "placeholder-as-name", "{x}"),
        ("readonly -a X={x}", "placeholder-as-name", "{x}"),
        ("declare -A X={x}", "placeholder-as-name", "{x}"),
        ("declare X[0]={x}", "placeholder-as-name", "{x}"),
        ("[[ -v {x} ]]", "placeholder-as-name", "{x}"),
        ("[ -v '{x}' ]", "placeholder-as-name", "{x}"),
        ("test a -o {x} {x}", "placeholder-as-name", "{x}"),
        ("test -{x} {x}", "placeholder-as-name", "{x}"),
        ("printf -v {x} a", "placeholder-as-name", "{x}"),
        ("printf {x} a", "placeholder-as-format", "{x}"),
        ('printf "{x}\\n" a', "placeholder-as-format", "{x}"),
        ("printf $'{x}' a", "placeholder-as-format", "{x}"),
        ("printf -{x} a", "placeholder-as-format", "{x}"),
        ("cat <<{x}\na\n{x}", "placeholder-as-delimiter", "{x}"),
        ("cat <<'{x}'\na\n{x}", "placeholder-as-delimiter", "{x}"),
        ("eval echo {x}", "placeholder-evaluated", "{x}"),
        ('command eval "a {x}"', "placeholder-evaluated", "{x}"),
        ("command -p eval {x}", "placeholder-evaluated", "{x}"),
        ("let {x}", "placeholder-evaluated", "{x}"),
        ("echo $(( $(echo {x}) + 1 ))", "placeholder-evaluated", "{x}"),
        ("[[ $(echo {x}) -gt 1 ]]", "placeholder-evaluated", "{x}"),
        ('declare "$(echo {x})"', "placeholder-as-name", "{x}"),
        ("$SUDO eval {x}", "placeholder-evaluated", "{x}"),
        ('"$NOTHING"eval {x}', "placeholder-evaluated", "{x}"),
        ("trap 'rm {x}' EXIT", "placeholder-evaluated", "{x}"),
        ('eval "$(setup {x})"', "placeholder-evaluated", "{x}"),
        ("read -p {x} X", "placeholder-evaluated", "{x}"),
        ("RANDOM={x}", "placeholder-evaluated", "{x}"),
        ("export BASH_ENV={x}", "placeholder-evaluated", "{x}"),
        ("for OPTIND in {x}; do :; done", "placeholder-evaluated", "{x}"),
        ("echo $(( a{x} ))", "placeholder-in-arithmetic", "{x}"),
        ("echo $(( {x}{x} ))", "placeholder-in-arithmetic", "{x}{x}"),
        ("echo $(( ${{V}}{x} ))", "placeholder-in-arithmetic", "{x}"),
        ("echo $(( 16#{x} ))", "placeholder-in-arithmetic", "{x}"),
        ("echo $(( '{x}' ))", "placeholder-in-arithmetic", "{x}"),
        ("[[ a{x} -eq 1 ]]", "placeholder-in-arithmetic", "{x}"),
        ("echo {{a,~}}{x}", "placeholder-in-braces", "{x}"),
        ("echo {{a,$}}{x}", "placeholder-in-braces", "{x}"),
        ("echo ${{V#{x}}}", "placeholder-in-expansion", "{x}"),
        ("echo ${{V/{x}/b}}", "placeholder-in-expansion", "{x}"),
        ("echo ${{V:{x}}}", "placeholder-in-expansion", "{x}"),
        ("echo ${{A[{x}]}}", "placeholder-in-expansion", "{x}"),
        ("echo ${{{x}}}", "placeholder-in-expansion", "{x}"),
        ('echo ${{V#"{x}"}}', "placeholder-in-expansion", "{x}"),
        ("cat <<E\n${{V:-{x}}}\nE", "placeholder-in-expansion", "{x}"),
        ("[[ a =~ [{x}] ]]", "placeholder-in-expansion", "{x}"),
        ("echo ${{V:={x}}}", "placeholder-split", "{x}"),
        ("echo '{x}", "unclear-shell-syntax", None),
        ("echo {x})", "unclear-shell-syntax", ")"),
        ("{x}() {{ :; }}", "unclear-shell-syntax", "() {"),
        ("echo @({x})", "unclear-shell-syntax", "({x"),
        ("echo $((a); {x})", "unclear-shell-syntax", ";"),
        ("echo >&{x}", "placeholder-as-descriptor", "{x}"),
        ("echo <& $({x})", "placeholder-as-descriptor", "{x}"),
        ("echo > #{x}", "unclear-shell-syntax", "#"),
        ("case #{x}\na in a) ;; esac", "unclear-shell-syntax", "#"),
        ('echo "${{V:-`a`}}" {x}', "unclear-shell-syntax", None),
        ("echo ${{V:-$'a'}} {x}", "unclear-shell-syntax", None),
        ("cat <<E $(a\nb) {x}\nE", "unclear-shell-syntax", None),
        ("cat <<E; A=(a\nb); echo {x}\nE", "unclear-shell-syntax", None),
        ("echo $(cat <<E\nEx {x}\nE\n)", "unclear-shell-syntax", None),
        ("coproc {x}", "unclear-shell-syntax", None),
        ("shopt -s expand_aliases; {x}", "unclear-shell-syntax", None),
        ("set -k; echo {x}", "unclear-shell-syntax", None),
        ("set {x}; echo", "unclear-shell-syntax", None),
        ("declare -i n; n={x}", "unclear-shell-syntax", None),
        ("POSIXLY_CORRECT=1; {x}", "unclear-shell-syntax", None),
        ("echo $(if cat <<E; then\n{x}\nE\ntrue; fi)", "unclear-shell-syntax", None),
        ('echo "`echo "a" {{b,c}} {x}`"', "unclear-shell-syntax", None),
    ],
)
def test_places_where_no_value_is_safe(text: str, code: str, at: str | None) -> None:
    reading = read(text)
    assert reading.slots == ()
    found = [fault.offset for fault in reading.faults if fault.name == code]
    assert found
    assert at is None or any(text.startswith(at, offset) for offset in found)


def test_every_fault_is_reported_at_its_place() -> None:
    text = "{{a}} ${x} b\necho \\{y} {x}\n"
    assert [(fault.offset, fault.name) for fault in read(text).faults] == [
        (text.index("{x}"), "placeholder-after-dollar"),
        (text.index("{y}"), "placeholder-after-backslash"),
    ]


@pytest.mark.parametrize("text", ["echo '", "coproc x", "echo @(a|b)", "echo ${{x", "a) b (", "declare -i x"])
def test_without_placeholders_nothing_is_at_fault(text: str) -> None:
    reading = read(text)
    assert (reading.slots, reading.faults) == ((), ())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("python x.py", "python x.py"),
        ("python x.py --a {x}\n", "python x.py --a \0"),
        ("python x.py \\\n  --a {x} \\\n\n  \n", "python x.py \\\n  --a \0"),
        ("python x.py \\", "python x.py"),
        ("python x.py\\", "python x.py"),
        ("cd a\npython x.py\n\n", "cd a\npython x.py"),
        ("a | b {x} 2>&1 > log \n", "a | b \0 2>&1 > log"),
        ("time X=1 python", "time X=1 python"),
        ("if a; then b; fi; c {x}", "if a; then b; fi; c \0"),
        ("cat <<E\n{x}\nE\npython", "cat <<E\n\0\nE\npython"),
        ('{x} "a\n"\n', '\0 "a\n"'),
        ("# comment\npython", "# comment\npython"),
    ],
)
def test_where_arguments_can_be_added(text: str, kept: str) -> None:
    assert parse_template(text).text[: read(text).end] == kept


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("\n", "empty"),
        ("python x.py # comment", "comment"),
        ("python x.py\n# comment\n", "comment"),
        ("cat <<E\na\nE\n", "here-document"),
        ("cat <<E\na", "here-document"),
        ("cat <<E", "here-document"),
        ("python x.py;", "';'"),
        ("python x.py &\n", "'&'"),
        ("a &&", "'&&'"),
        ("(python x.py)", "')'"),
        ("if a; then b; fi", "'fi'"),
        ("{{ a; }} > log", "does not end with a command"),
        ("[[ a ]]", "'[['"),
        ("X=1", "does not end with a command"),
        ("> f", "does not end with a command"),
        ("for i in a b", "does not end with a command"),
        ("eval python", "evaluates"),
        ("echo '", "not understood"),
    ],
)
def test_where_arguments_cannot_be_added(text: str, reason: str) -> None:
    reading = read(text)
    assert reading.end is None
    assert reason in reading.no_end


FRAGMENTS = st.sampled_from(
    [
        "{x}",
        "{x}",
        "a",
        " ",
        "\n",
        "'",
        '"',
        "\\",
        "`",
        "$",
        "$(",
        "${{",
        "((",
        "))",
        ")",
        "}}",
        "{{",
        "#",
        "=",
        "[",
        "]",
    ]
    + [
        "[[ ",
        " ]]",
        "<<E\n",
        "\nE\n",
        "<<-'E'\n",
        "<",
        ">",
        "|",
        "&",
        ";",
        ";;",
        "case x in ",
        " esac",
        "for i in ",
    ]
    + [
        "if ",
        "then ",
        "fi",
        "do ",
        "done",
        "$'",
        "\\x4",
        "~",
        "A=(",
        "A[",
        "-eq",
        "=~",
        "<(",
        "${{V:-",
        "eval ",
        "!",
    ]
)


@settings(max_examples=1500, deadline=None, database=None)
@given(st.lists(FRAGMENTS, max_size=14).map("".join))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    template = parse_template(text)
    reading = read_shell(template)
    if not reading.faults:
        assert [slot.placeholder for slot in reading.slots] == list(template.placeholders)
        for slot in reading.slots:
            assert slot.plain is Plain.ANY or slot.context in (Context.BARE, Context.ARITHMETIC)
    else:
        assert all(0 <= fault.offset <= len(text) for fault in reading.faults)


def test_deep_nesting_is_refused_not_raised() -> None:
    assert read("$(" * 5000 + "{x}").faults[0].name == "unclear-shell-syntax"


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("python a.py --x={x} 'b c' \"$d\"", "python a.py --x=\0 b c \x01"),
        ("A=1 B=$(c) d e >f 2>&1 <g h", "?c / d e h"),
        ("a | b; c & d\ne && f", "a / b / c / d / e / f"),
        ("a || b && c; d", "a / ?b / ?c / d"),
        ("a && (b; c) && d", "a / ?b / ?c / d"),
        ("if a; then b; else c; fi; d", "?a / ?b / ?c / d"),
        ("for x in y z; do a $x; done; while b; do c; done", "?a \x01 / ?b / ?c"),
        ("f() {{ a; }}; f", "?a / f"),
        ("case x in a) b;; esac; c", "?b / c"),
        ('echo $(a {x}) `b` "$(c)"', "echo \x01 \x01 \x01 / ?a \0 / ?b / ?c"),
        ("cd x && a", "cd x / ?a"),
        ("(cd x; a); b", "?cd x / ?a / ?b"),
        ('X="$(cd x && pwd)"; a', "?cd x / ?pwd / a"),
        ("a; exit 1; b", "a / exit 1 / ?b"),
        ("a || exit 1; b", "a / ?exit 1 / b"),
        ("cat <<EOF\n-a b\nEOF\nc", "cat / c"),
        ("cat <<EOF\n$(a {x}) b\nEOF\nc", "cat / ?a \0 / c"),
        ("a \\\n  b\\\nc # d\n  e", "a bc / e"),
        ("ls *.py ~/x {{a,b}}c '*' \\*", "ls \x01.py \x01/x \x01c * *"),
        ('a "x\\"y\\z" $\'n\' b[1] [ c ]', 'a x"y\\z \x01 b\x01 [ c ]'),
        ("{x} b", "\0 b"),
        ("a; b 'c", "a"),
    ],
)
def test_simple_commands(text: str, commands: str) -> None:
    found = [
        ("" if command.certain else "?") + " ".join(word.text for word in command.words)
        for command in read(text).commands
    ]
    assert " / ".join(found) == commands


def test_words_know_where_they_stand_in_the_source() -> None:
    text = "{{}} 'a {x} b'\\\n  \\\n --y={y}{x}\n`c {x}` && d{{e\\\nf"
    found = [(text[word.start : word.end], word.parameters) for c in read(text).commands for word in c.words]
    assert found == [
        ("{{}}", ()),
        ("'a {x} b'", ("x",)),
        ("--y={y}{x}", ("y", "x")),
        ("`c {x}`", ("x",)),
        ("c", ()),
        ("{x}", ("x",)),
        ("d{{e\\\nf", ()),
    ]


def test_comments_know_where_they_stand() -> None:
    text = "# a {x}\nb '#' c#d # e\n"
    assert [text[start:end] for start, end in read(text).comments] == ["# a {x}", "# e"]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("echo 'a' it's", 11),
        ('echo "a', 5),
        ("echo $'a", 6),
        ("echo ${{a", 5),
        ("echo {{}} `a", 10),
        ("echo )", 5),
    ],
)
def test_what_is_not_closed_is_named_where_it_begins(text: str, index: int) -> None:
    reading = read(text)
    assert reading.faults == ()
    assert reading.unclear is not None
    assert reading.unclear.offset == index


_TOKENS = """' " ( ) if then fi else while do done for case esac in ; ;; && || | & < > << {{ }} a b=c $( ` ${{a}} \\ #
[[ ]] ! time function f() A=( >&2 <( [ ] a[1]= -o until select $' $" <<< 2> &> |& ~ * EOF (( x y $((1))"""


def test_bash_can_read_what_the_reader_is_sure_of() -> None:
    generator = random.Random(20)
    texts: set[str] = set()
    while len(texts) < 400:
        tokens = generator.choices(_TOKENS.replace("\n", " \n ").split(" "), k=generator.randint(1, 6))
        text = generator.choice((" ", " ", "' ")).join(tokens)
        template = parse_template(text)
        reading = read_shell(template)
        if not (template.faults or reading.unclear or reading.doubtful):
            texts.add(template.text)
    refused = []
    for text in sorted(texts):
        asked = subprocess.run(["bash", "-n", "-c", "--", text], capture_output=True, check=False)
        refused += [(text, asked.stderr)] if asked.returncode else []
    assert refused == []


@pytest.mark.parametrize(
    ("command", "directory"),
    [
        ("x", ""),
        ("cd a && x", "a"),
        ("cd a\ncd b/c; x", "a/b/c"),
        ("cd a; cd /b; x", "/b"),
        ("cd 'a b' && x", "a b"),
        ("true && cd a && x", "a"),
        ("cd; x", None),
        ("cd - && x", None),
        ("cd ~/a && x", None),
        ("cd {p} && x", None),
        ("cd $A && x", None),
        ("cd a* && x", None),
        ("cd -P a && x", None),
        ("cd a & x", None),
        ("cd a | x", None),
        ("true | cd a && x", None),
        ("true |& cd a; x", None),
        ("cd a || true; x", None),
        ("true || cd a; x", None),
        ("if cd a; then x; fi", None),
        ("pushd a; x", None),
        ("cd a; exit; x", None),
        ("cd $A; cd b; x", None),
        ("(cd a); x", None),
    ],
)
def test_the_directory_that_cd_leads_to_is_followed(command: str, directory: str | None) -> None:
    last = read_shell(parse_template(command)).commands[-1]
    assert last.words[0].text == "x"
    assert last.directory == directory
    assert last.certain == (directory == "")


@pytest.mark.parametrize(
    "program", ["python", "echo", "true", "false", "printf", "test", "cd", "eval", "./run.sh"]
)
@pytest.mark.parametrize("rest", ["", " {a}", " -v {a} {b}", " x={a} --{b}=1", " {a}{b}  c", " - {a}"])
def test_plain_words_are_read_as_the_whole_reader_does(program: str, rest: str) -> None:
    template = parse_template(program + rest)
    assert read_shell(template) == shell_reader.read(template)
