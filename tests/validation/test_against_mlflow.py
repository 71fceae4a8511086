"""What dioptra reads is what MLflow's own loader reads: hand-written files, and random ones near the format."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from benchmarks import corpus
else:  # a script, which no package holds
    _spec = importlib.util.spec_from_file_location(
        "corpus", Path(__file__).resolve().parents[2] / "benchmarks" / "corpus.py"
    )
    corpus = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(corpus)


def differences(content: bytes) -> tuple[corpus.Reading, list[corpus.Difference]]:
    """Return MLflow's reading of a file, and what dioptra reads differently."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = os.path.realpath(temporary)
        corpus.make_project(directory, content)
        theirs = corpus.read_with_mlflow(directory)
        return theirs, list(corpus.compare(directory, theirs))


ACCEPTED = {
    "short syntax": (
        "entry_points:\n  main:\n    parameters:\n      rate: float\n    command: run --rate {rate}\n"
    ),
    "long syntax": """\
name: A project
entry_points:
  train:
    parameters:
      epochs:
        type: float
        default: 3
      note:
        default: ''
    command: python train.py --epochs {epochs} --note {note}
""",
    "one line each": (
        "entry_points:\n  main:\n    parameters:\n      a: {type: float, default: .5}\n    command: x {a}\n"
    ),
    "one line for all": "{name: n, entry_points: {main: {parameters: {a: {default: 1}}, command: 'x {a}'}}}",
    "JSON": '{"name": "n", "entry_points": {"main": {"parameters": {"a": "string"}, "command": "x {a}"}}}',
    "literal block": "entry_points:\n  main:\n    command: |\n      one\n      two\n\n      three\n",
    "folded block": (
        "entry_points:\n  main:\n    command: >\n      one\n      two\n        --deeper\n\n      three\n"
    ),
    "folded, no line break": "entry_points:\n  main:\n    command: >-\n      one\n      two\n\n\n",
    "literal, all line breaks": "entry_points:\n  main:\n    command: |+2\n        one\n\n\n",
    "plain over lines": "entry_points:\n  main:\n    command: one\n      two\n\n      three  # no more\n",
    "single quotes over lines": "entry_points:\n  main:\n    command: 'one\n      it''s\n\n      three'\n",
    "double quotes over lines": (
        'entry_points:\n  main:\n    command: "one\\\n      two\\tthree \\u00e9\n\n      four"\n'
    ),
    "kinds of defaults": """\
entry_points:
  main:
    parameters:
      a: {default: 010}
      b: {default: 0x1F}
      c: {default: 1_000}
      d: {default: 1e3}
      e: {default: 1.0e+3}
      f: {default: 12:30:45}
      g: {default: 2024-02-29}
      h: {default: 2024-02-29T10:20:30.5+02:00}
      i: {default: yes}
      j: {default: Off}
      k: {default: .inf}
      l: {default: 0.10}
      m: {default: [1, 'b', [2.0]]}
      n: {default: {k: {l: null}}}
      o: {default: 0b11}
      p: {default: 0o17}
      q: {default: +12}
      r: {default: !!binary aGk=}
      s: {default: !!set {x, y}}
      t: {default: ''}
      u: {default: '='}
      v: {default: .}
    command: x {a} {b} {c} {d} {e} {f} {g} {h} {i} {j} {k} {l} {m} {n} {o} {p} {q} {r} {t} {u} {v}
""",
    "null is no default": (
        "entry_points:\n  main:\n    parameters: {a: {default: null}, b: {default: ~}, c: {default: }}\n"
        "    command: x {a}{b}{c}\n"
    ),
    "kinds of types": (
        "entry_points:\n  main:\n"
        "    parameters: {a: int, b: {type: null}, c: {type: 5}, d: {type: [x]}, e: ''}\n"
        "    command: x {a}{b}{c}{d}{e}\n"
    ),
    "lost keys": (
        "entry_points:\n  main:\n    parameters:\n      a: {type: string, default:0.1}\n"
        "      b: {type: string, 0.001}\n      c: string default 3\n      d: type:string\n"
        "    command: x {a}{b}{c}{d}\n"
    ),
    "keys twice": "name: a\nname: b\nentry_points:\n  main: {command: x}\n  main: {command: y, command: z}\n",
    "anchors": (
        "entry_points:\n  one: &one\n    parameters: &more {a: {default: 1}}\n    command: &text x {a}\n"
        "  two: {parameters: *more, command: *text}\n  three: *one\n"
    ),
    "merge keys": """\
entry_points:
  one: &one
    parameters: &more
      a: {type: string, default: 1}
      b: {type: string, default: 2}
    command: x {a}
  two:
    <<: *one
    command: y {a}
  three:
    parameters:
      <<: [*more, {b: {default: 3}, c: {default: 4}}]
      b: {default: 5}
    command: z {a} {b} {c}
""",
    "merged file": "<<: {name: n, entry_points: {main: {command: x}}}\nname: m\n",
    "quoted keys": "'name': n\n\"entry_points\":\n  'main': {'command': x}\n",
    "explicit keys": "? entry_points\n: ? main\n  : ? command\n    : x\n",
    "tags that fit": (
        "!!map\nentry_points: !!map\n  main: {command: !!str 5, parameters: {a: {default: !!str 010}}}\n"
    ),
    "a directive": "%YAML 1.1\n---\nentry_points:\n  main:\n    command: x\n...\n# end\n",
    "unknown keys": (
        "nme: n\nentry_points:\n"
        "  main: {comand: x, command: y, parameters: {a: {defualt: 3, default: 4}}}\nx: [1]\n"
    ),
    "no entry points": "name: n\n",
    "no entry point at all": "entry_points: {}\n",
    "an empty command": "entry_points:\n  main:\n    command: ''\n",
    "no command": "entry_points:\n  main: {parameters: {a: float}}\n",
    "a list as a command": "entry_points:\n  main:\n    command: [python, x.py]\n",
    "a number as a command": "entry_points:\n  main:\n    command: 5\n",
    "an entry point in another": "entry_points:\n  main:\n    command: x\n    train:\n      command: y\n",
    "a name that is no text": (
        "name: 5\nentry_points:\n  1: {command: x}\n  no: {command: y}\n  2024-01-01: {command: z}\n"
    ),
    "conda_env": "conda_env: env/conda.yaml\nentry_points:\n  main: {command: x}\n",
    "python_env": "python_env: ./python_env.yaml\nentry_points:\n  main: {command: x}\n",
    "an empty environment": "conda_env:\nentry_points:\n  main: {command: x}\n",
    "docker_env": (
        "docker_env:\n  image: a/b:1\n  volumes: ['/a:/b']\n  environment: [[A, b], C]\nentry_points:\n"
        "  main: {command: x}\n"
    ),
    "docker_env, of any kind": "docker_env: {image: 5, volumes: '', environment: {}, other: 1}\n",
    "an empty docker_env": "docker_env: {}\n",
    "a file for Spark": "databricks_spark_job:\n  python_file: a.py\n  parameters: [a]\n",
    "a command for Spark": (
        "databricks_spark_job: {python_libraries: [x]}\nentry_points:\n  main: {command: x}\n"
    ),
    "no job for Spark": "databricks_spark_job:\nentry_points:\n  main: {command: x}\n",
    "doubled braces": (
        "entry_points:\n  main:\n    parameters: {a: {default: 1}}\n"
        "    command: \"echo ${{HOME}} '{{}}' {a} {{a}} | awk '{{print $1}}'\"\n"
    ),
    "undeclared placeholders": "entry_points:\n  main:\n    command: 'echo {a} ${HOME} {} {'\n",
    "names with signs": (
        "entry_points:\n  main:\n"
        "    parameters: {a-b: {default: 1}, 'c d': {default: 2}, é: {default: 3}}\n"
        "    command: 'x {a-b} {c d} {é}'\n"
    ),
    "values that need quotes": (
        'entry_points:\n  main:\n    parameters: {a: {default: "it\'s $HOME; *"}, b: string}\n'
        "    command: x {a} --b={b}>>log{a} && $(echo {b})\n"
    ),
    "line breaks of old": (
        "\ufeffname: n\r\nentry_points:\r\n  main:\r    command: |\r\n      x\r\n      y\r\n"
    ),
    "line breaks of Unicode": "name: a\x85entry_points:\u2028  main:\u2029    command: x\n",
    "comments": "# a\nentry_points: # b\n  main: # c\n\n    # d\n    command: x#y # z\n",
    "tabs in texts": "name: 'a\tn'\nentry_points:\n  main:\n    command: |\n      a\tb\n      \tc\t\n",
}
"""What MLflow accepts, and dioptra reads to the same."""

REFUSED = {
    "nothing": "",
    "a comment": "# nothing\n",
    "null": "---\n",
    "a text": "name\n",
    "a list": "- name: n\n",
    "a set": "!!set {name, entry_points}\n",
    "two documents": "name: a\n---\nname: b\n",
    "a tab for a blank": "name:\tn\n",
    "a value of another tag": "name: =\n",
    "a tab": "entry_points:\n\tmain: {command: x}\n",
    "indented unlike": "entry_points:\n  main:\n    command: x\n   parameters: {}\n",
    "an open brace": "entry_points: {main: {command: x}\n",
    "an open quote": "name: 'n\n",
    "a second colon": "name: a: b\n",
    "a template": "name: {{ name }}\n",
    "a statement": "{% if x %}\nname: n\n{% endif %}\n",
    "an unknown tag": "name: !secret n\n",
    "a Python tag": "name: !!python/name:os.system\n",
    "an unknown alias": "name: *n\n",
    "a bare star": "entry_points:\n  main: {command: *.py}\n",
    "an impossible date": "name: 2023-02-30\n",
    "a bell": "name: a\x07\n",
    "bytes": "name: \udcff\n",
    "a mapping as a key": "? {a: b}\n: c\n",
    "a merge of nothing": "<<: 5\n",
    "a value of a wrong tag": "name: !!int x\n",
    "null entry points": "entry_points:\n",
    "a list of entry points": "entry_points:\n  - main: {command: x}\n",
    "a set of entry points": "entry_points: !!set {main}\n",
    "an empty entry point": "entry_points:\n  main:\n",
    "a text as entry point": "entry_points:\n  main: python x.py\n",
    "a set as entry point": "entry_points:\n  main: !!set {command}\n",
    "a lost command": "entry_points:\n  main:\n    command:x\n",
    "a misplaced command": "entry_points:\n  main:\n  command: x\n",
    "null parameters": "entry_points:\n  main: {parameters: , command: x}\n",
    "a list of parameters": "entry_points:\n  main:\n    parameters:\n      - a: float\n    command: x\n",
    "a text as parameters": "entry_points:\n  main: {parameters: a, command: x}\n",
    "a null parameter": "entry_points:\n  main: {parameters: {a: }, command: x}\n",
    "a number as parameter": "entry_points:\n  main: {parameters: {a: 0.5}, command: x}\n",
    "a list as parameter": "entry_points:\n  main: {parameters: {a: [float, 0.5]}, command: x}\n",
    "a set as parameter": "entry_points:\n  main: {parameters: {a: !!set {type}}, command: x}\n",
    "two environments": "conda_env: c.yaml\npython_env: p.yaml\n",
    "two empty environments": "conda_env:\ndocker_env:\n",
    "no environment file": "conda_env: ../no/such/conda.yaml\n",
    "a list of environments": "conda_env: [a.yaml]\n",
    "a number as environment": "python_env: 3.11\n",
    "a text as docker_env": "docker_env: image\n",
    "no image": "docker_env: {volumes: []}\n",
    "an empty image": "docker_env: {image: ''}\n",
    "volumes of a wrong kind": "docker_env: {image: a, volumes: '/a:/b'}\n",
    "a volume of a wrong kind": "docker_env: {image: a, volumes: [5]}\n",
    "an environment of a wrong kind": "docker_env: {image: a, environment: {A: b}}\n",
    "a variable of a wrong kind": "docker_env: {image: a, environment: [{A: b}]}\n",
    "a text for Spark": "databricks_spark_job: a.py\n",
    "nothing for Spark": "databricks_spark_job: {}\n",
    "too much for Spark": "databricks_spark_job: {python_file: a.py}\nentry_points: {main: {command: x}}\n",
    "a path for Spark": (
        "databricks_spark_job: {}\nentry_points: {main: {command: x, parameters: {a: path}}}\n"
    ),
    "an image for Spark": "databricks_spark_job: {python_file: a.py}\ndocker_env: {image: a}\n",
}
"""What MLflow refuses, and dioptra as well."""

DIFFERENT = {
    "checked-values": "parameters: {a: {type: float, default: low}}, command: 'x {a}'",
    "plain-placeholders": "parameters: {a: {default: low}}, command: 'x {a!r} {a:>9}'",
    "quoting-in-place": "parameters: {a: string}, command: \"x '{a}'\"",
    "paths-and-uris": "parameters: {a: path, b: {type: uri, default: data}}, command: 'x {a} {b}'",
    "names-as-text": "parameters: {1.0: {default: 3}, '1.0': {default: 4}}, command: x",
    "numbers-as-names": "parameters: {'0': {default: 3}}, command: 'x {0}'",
    "no-nul": 'parameters: {a: {default: 1}}, command: "x \\0 {a}"',
    "bounded-values": "parameters: {a: {default: &a [*a]}}, command: 'x {a}'",
}
"""An entry point for each documented difference."""


def test_what_mlflow_accepts_is_read_as_mlflow_reads_it() -> None:
    found = {what: differences(text.encode()) for what, text in ACCEPTED.items()}
    assert {what: theirs.error for what, (theirs, _) in found.items() if theirs.error} == {}
    assert {what: others for what, (_, others) in found.items() if others} == {}


def test_what_mlflow_refuses_is_refused() -> None:
    found = {what: differences(text.encode(errors="surrogateescape")) for what, text in REFUSED.items()}
    assert [what for what, (theirs, _) in found.items() if theirs.error is None] == []
    assert {what: others for what, (_, others) in found.items() if others} == {}


def test_every_documented_difference_is_one() -> None:
    found = {
        name: differences(f"entry_points: {{main: {{{text}}}}}".encode())[1]
        for name, text in DIFFERENT.items()
    }
    assert {name: {other.name for other in others} for name, others in found.items()} == {
        name: {name} for name in corpus.DOCUMENTED
    }


def test_the_documentation_lists_every_difference() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "mlflow.md"
    titles = [line.removeprefix("## ") for line in page.read_text().splitlines() if line.startswith("## ")]
    assert [title.lower().replace(" ", "-") for title in titles] == list(corpus.DOCUMENTED)


_RESOLVER: Any = yaml.SafeLoader("")
_serialize: Any = yaml.serialize


def text_node(text: str, style: str | None = None) -> yaml.ScalarNode:
    """Return the node of a scalar: plain text gets the tag that YAML sees in it."""
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (style is None, style is not None))
    return yaml.ScalarNode(tag, text, style=style)


WORDS = (
    *(
        "",
        "x",
        "a b",
        "null",
        "~",
        "yes",
        "No",
        "on",
        "010",
        "0o17",
        "0x1F",
        "1_000",
        "1e3",
        "1.5e+3",
        ".5",
        "0.10",
    ),
    *(
        "-1",
        "12:30",
        "1:2:3.4",
        ".inf",
        "-.NaN",
        "2021-02-03",
        "2021-02-30",
        "2021-02-03 10:20:30Z",
        "=",
        "<<",
    ),
    *(
        "string",
        "float",
        "path",
        "uri",
        "int",
        "bool",
        "String",
        "type:float",
        "float 0.5",
        "None",
        "file:///x",
        "s3://b/k",
    ),
    *(
        "{a}",
        "{b}",
        "'{a}'",
        '"{b}"',
        "{{a}}",
        "${a}",
        "${{a}}",
        "{a",
        "a}",
        "{}",
        "{a.b}",
        "{a!r}",
        "{a:>3}",
        "{0}",
        "{ a }",
    ),
    *(
        "python x.py -a {a} --b={b}",
        "echo `echo {a}` $(echo {b})",
        "echo {a}\n--b {b}\n",
        "cat <<E\n{a}\nE\n",
        "conda.yaml",
    ),
    *(
        "é",
        "\u2028",
        "\x85",
        "\t",
        "a\tb",
        "a: b",
        "a #b",
        "- a",
        "[a",
        "it's",
        "\\",
        '"',
        " a",
        "a ",
        "\n",
        "a\n\n b\n",
    ),
)
TAGS = tuple(
    f"tag:yaml.org,2002:{name}"
    for name in (
        "str",
        "int",
        "float",
        "bool",
        "null",
        "timestamp",
        "binary",
        "merge",
        "value",
        "map",
        "seq",
        "set",
    )
    + ("omap", "pairs", "python/none")
) + ("!x",)

STYLES = (None, None, None, "'", '"', "|", ">")

scalars = st.builds(text_node, st.sampled_from(WORDS), st.sampled_from(STYLES))


def mapping(pairs: list[tuple[Any, Any]], flow: bool = False) -> Any:
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=flow)


def sequence(items: list[Any], flow: bool = True) -> Any:
    return yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=flow)


anything = st.recursive(
    scalars,
    lambda children: st.one_of(
        st.builds(sequence, st.lists(children, max_size=3), st.booleans()),
        st.builds(mapping, st.lists(st.tuples(scalars, children), max_size=3), st.booleans()),
    ),
    max_leaves=5,
)


@st.composite
def records(draw: st.DrawFn, /, **fields: st.SearchStrategy[Any]) -> Any:
    """Draw a mapping of some of the fields."""
    chosen = [name for name in fields if draw(st.integers(0, 3))]
    return mapping([(text_node(name), draw(fields[name])) for name in chosen], draw(st.booleans()))


types = st.sampled_from(("string", "float", "path", "uri", "int")).map(text_node)
defaults = st.sampled_from(("x", "1", "1e3", "yes", "a b", "it's", "010", "file:///x", "12:30", "2021-02-03"))
commands = st.sampled_from(WORDS[WORDS.index("{a}") :])
parameters = st.one_of(types, records(type=types, default=defaults.map(text_node)))
entry_points = records(
    parameters=records(a=parameters, b=parameters),
    command=st.builds(text_node, commands, st.sampled_from(STYLES)),
)
environments = st.one_of(
    records(conda_env=st.just(text_node("conda.yaml"))),
    records(docker_env=records(image=scalars, volumes=anything, environment=anything)),
    records(databricks_spark_job=records(python_file=scalars, parameters=anything)),
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Draw the YAML of a tree near the format: a good one with up to three things changed anywhere in it."""
    root = draw(records(name=scalars, entry_points=records(main=entry_points, train=entry_points)))
    if draw(st.booleans()):
        root.value += draw(environments).value
    for _ in range(draw(st.integers(0, 3))):
        nodes = list(below(root))
        parent = draw(st.sampled_from([node for node in nodes if not isinstance(node, yaml.ScalarNode)]))
        change = draw(st.sampled_from(("tag", "key", "value", "add", "merge", "alias", "drop")))
        node = draw(st.sampled_from(nodes))
        if change == "tag":
            node.tag = draw(st.sampled_from(TAGS))
        elif not isinstance(parent, yaml.MappingNode) or not parent.value:
            continue
        else:
            place = draw(st.integers(0, len(parent.value) - 1))
            key, value = parent.value[place]
            other = draw(anything)
            parent.value[place : place + 1] = {
                "key": [(other, value)],
                "value": [(key, other)],
                "add": [(key, value), (draw(scalars), other)],
                "merge": [(key, value), (text_node("<<"), draw(st.sampled_from((node, other))))],
                "alias": [(key, node)],
                "drop": [],
            }[change]
    text: str = _serialize(root, allow_unicode=True, width=draw(st.sampled_from((20, 80))))
    return text.encode()


def below(root: Any) -> Iterator[Any]:
    """Yield every node of a tree once."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            if not isinstance(node, yaml.ScalarNode):
                nodes += [
                    part for item in node.value for part in (item if isinstance(item, tuple) else (item,))
                ]


INSERTS = (
    *(
        "\t",
        "\r",
        "\r\n",
        "\n",
        "\ufeff",
        "\0",
        "\x85",
        "\u2028",
        "\xa0",
        "é",
        "😀",
        " ",
        "  ",
        "\n  ",
        ": ",
        ":",
        ",",
        "{",
        "}",
    ),
    *(
        "[",
        "]",
        "{a}",
        "'",
        '"',
        "\\",
        "#",
        " #",
        "|",
        ">",
        ">1#",
        "&a ",
        "*a",
        "!",
        "! ",
        "!!int ",
        "<<: ",
        "?",
        "? ",
        "- ",
        "---",
        "~",
    ),
)


@st.composite
def edited(draw: st.DrawFn) -> bytes:
    """Draw one of the texts above with some edits, where two parsers of YAML may differ."""
    text = draw(st.sampled_from((*ACCEPTED.values(), *REFUSED.values())))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.sampled_from((0, 0, 1, 2, 10)))
        text = text[:start] + draw(st.sampled_from((*INSERTS, text[start:end] * 2, ""))) + text[end:]
    return text.encode(errors="surrogateescape")


several = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


@settings(several, max_examples=250)
@given(documents())
def test_random_trees_near_the_format_are_read_as_mlflow_reads_them(content: bytes) -> None:
    _, found = differences(content)
    assert [difference for difference in found if difference.name is None] == []


@settings(several, max_examples=400)
@given(edited())
@example(b"entry_points: {main: {command: is it? x}}")
@example(b"name: >1#\n")
@example(b"name: !\n")
@example("\ufeff\ufeffname: n\n".encode())
@example(b"x: &x\n  - <<: *x\ndatabricks_spark_job: {python_file: a, parameters: *x}")
def test_edited_texts_are_read_as_mlflow_reads_them(content: bytes) -> None:
    _, found = differences(content)
    assert [difference for difference in found if difference.name is None] == []
