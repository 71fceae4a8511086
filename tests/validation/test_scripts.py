"""What is read of a script is what click and argparse make of it."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import click
import pytest

from dioptra_cli.validation.scripts import read_script
from dioptra_cli.validation.scripts.interface import Interface, Kind, Option, Syntax

SAMPLES = Path(__file__).parents[2] / "sample_projects"

CLICK = [
    "@click.option('--data-dir', '-d')",
    "@click.option('--data-dir', 'folder', required=True)",
    "@click.option('--x', default=5)",
    "@click.option('--x', default=-0.5)",
    "@click.option('--x', default='5')",
    "@click.option('--x', default=None, type=int)",
    "@click.option('--x', type=float, required=True)",
    "@click.option('--x', type=bool)",
    "@click.option('--x', type=click.BOOL)",
    "@click.option('--x', type=click.IntRange(1, 5))",
    "@click.option('--x', type=click.IntRange(min=1, max=5, min_open=True, max_open=True))",
    "@click.option('--x', type=click.FloatRange(0, max=1, clamp=True))",
    "@click.option('--x', type=click.Choice(['Adam', 'sgd']))",
    "@click.option('--x', type=click.Choice(('Adam', 'sgd'), case_sensitive=False))",
    "@click.option('--x', type=click.Path(exists=True))",
    "@click.option('--x', type=click.UUID)",
    "@click.option('--x', type=click.DateTime())",
    "@click.option('--x', type=(int, str))",
    "@click.option('--x', nargs=3, type=int)",
    "@click.option('--x', multiple=True)",
    "@click.option('-v', '--verbose', count=True)",
    "@click.option('--x', is_flag=True)",
    "@click.option('--shout/--no-shout', ' /-S', default=False)",
    "@click.option('--x', flag_value='x', is_flag=True)",
    "@click.version_option('1.0')",
    "@click.version_option('1.0', '--version', '-V')",
    "@click.confirmation_option(prompt='Sure?')",
    "@click.help_option('--hilfe')",
    "@click.argument('x')",
    "@click.argument('x', nargs=2)",
    "@click.argument('x', nargs=-1)",
    "@click.argument('x', nargs=-1, required=True)",
    "@click.argument('x', default='a')",
    "@click.argument('x', required=False)\n@click.argument('y', type=int)",
    "@click.pass_context",
]

ARGPARSE = [
    "p.add_argument('--data-dir', '-d')",
    "p.add_argument('--x', required=True, default=5)",
    "p.add_argument('--x', type=int)",
    "p.add_argument('--x', type=float, default=0.5)",
    "p.add_argument('--x', choices=['a', 'b'])",
    "p.add_argument('--x', type=int, choices=range(1, 4))",
    "p.add_argument('--x', action='store_true')",
    "p.add_argument('--x', action='store_const', const=1)",
    "p.add_argument('--x', action='append', type=int)",
    "p.add_argument('--x', action='extend', nargs='+')",
    "p.add_argument('-v', action='count')",
    "p.add_argument('--x', action='version', version='1')",
    "p.add_argument('--x', action=argparse.BooleanOptionalAction)",
    "p.add_argument('--x', nargs='?', const=1)",
    "p.add_argument('--x', nargs=argparse.ZERO_OR_MORE)",
    "p.add_argument('--x', nargs=2)",
    "p.add_argument('x')",
    "p.add_argument('x', nargs='?', type=int)",
    "p.add_argument('x', nargs='*')\np.add_argument('y', nargs='+')",
    "p.add_argument(dest='x')",
    "g = p.add_argument_group('g')\ng.add_argument('--x')\ng = p.add_argument_group('h')\ng.add_argument('--y')",
    "g = p.add_mutually_exclusive_group(required=True)\ng.add_argument('--x')\ng.add_argument('--y')",
    "p.add_argument_group('g').add_argument('--x')",
]


def in_click(decorators: str, more: str = "") -> str:
    command = f"@click.command()\n{decorators}\ndef main(**k):\n    pass\n"
    return f"import click\n{more}\n{command}if __name__ == '__main__':\n    main()\n"


def with_settings(settings: str, decorators: str = "") -> str:
    return in_click(decorators).replace("command()", f"command({settings})")


def in_argparse(statements: str, parse: str = "p.parse_args()", settings: str = "") -> str:
    return f"import argparse, sys\np = argparse.ArgumentParser({settings})\n{statements}\nargs = {parse}\n"


def in_subparsers(statements: str, made: str = "p.add_subparsers()") -> str:
    return in_argparse(f"s = {made}\n{statements}")


def click_interface(command: click.Command) -> tuple[Any, ...]:
    context = click.Context(command)
    options, arguments = [], []
    for parameter in command.get_params(context):
        kind, low, high, choices = Kind.ANY, None, None, ()
        one = parameter.type
        if parameter.nargs == 1 and isinstance(one, click.Choice):
            kind, choices = Kind.CHOICE, tuple(one.choices)
        elif isinstance(one, click.types.BoolParamType):
            kind = Kind.BOOLEAN
        elif isinstance(one, click.types.IntParamType | click.types.FloatParamType):
            kind = Kind.INTEGER if isinstance(one, click.types.IntParamType) else Kind.FLOAT
            if not getattr(one, "clamp", False):
                low, high = getattr(one, "min", None), getattr(one, "max", None)
        if isinstance(parameter, click.Option):
            flag = parameter.is_flag or parameter.count
            names = {*parameter.opts, *parameter.secondary_opts}
            value = (Kind.ANY, None, None, ()) if flag else (kind, low, high, choices)
            options.append((names, 0 if flag else parameter.nargs, parameter.required, *value))
        else:
            most = None if parameter.nargs < 0 else parameter.nargs
            least = max(parameter.nargs, 1) if parameter.required else 0
            arguments.append((parameter.name, least, most, kind))
    return sorted(options, key=lambda o: sorted(o[0])), arguments


def argparse_interface(parser: argparse.ArgumentParser) -> tuple[Any, ...]:
    options, arguments = [], []
    counts: dict[Any, tuple[int, int | None]] = {None: (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None)}
    for action in parser._actions:
        kind = {int: Kind.INTEGER, float: Kind.FLOAT}.get(action.type, Kind.ANY)  # type: ignore[call-overload]
        choices = tuple(action.choices or ())
        least, most = (action.nargs,) * 2 if isinstance(action.nargs, int) else counts[action.nargs]
        if action.option_strings:
            described = (least, most, action.required, Kind.CHOICE if choices else kind, choices)
            options.append(({*action.option_strings}, *described))
        else:
            arguments.append((action.dest, least, most, kind))
    return sorted(options, key=lambda o: sorted(o[0])), arguments


def read(script: str) -> Interface:
    interface = read_script(script)
    assert interface is not None
    return interface


@pytest.mark.parametrize("decorators", CLICK)
def test_click_is_read_as_click_makes_it(decorators: str) -> None:
    script = in_click(decorators)
    namespace: dict[str, Any] = {"__name__": "script"}
    exec(script, namespace)
    interface = read(script)
    assert interface.syntax is Syntax.CLICK
    assert interface.complete
    found = [
        ({*o.names}, o.least, o.required, o.type.kind, o.type.low, o.type.high, o.type.choices)
        for o in interface.options
    ]
    arguments = [(a.name, a.least, a.most, a.type.kind) for a in interface.arguments or ()]
    assert (sorted(found, key=lambda o: sorted(o[0])), arguments) == click_interface(namespace["main"])


@pytest.mark.parametrize("statements", ARGPARSE)
def test_argparse_is_read_as_argparse_makes_it(statements: str) -> None:
    script = in_argparse(statements)
    namespace: dict[str, Any] = {}
    exec(script.replace("args = p.parse_args()", ""), namespace)
    interface = read(script)
    assert interface.syntax is Syntax.ARGPARSE
    assert interface.complete
    found = [
        ({*o.names}, o.least, o.most, o.required, o.type.kind, o.type.choices) for o in interface.options
    ]
    arguments = [(a.name, a.least, a.most, a.type.kind) for a in interface.arguments or ()]
    assert (sorted(found, key=lambda o: sorted(o[0])), arguments) == argparse_interface(namespace["p"])


def option(script: str, name: str = "--x") -> Option:
    (found,) = [o for o in read(script).options if name in o.names]
    return found


@pytest.mark.parametrize(
    "how",
    [
        "required=True, default=None",
        "required=True, envvar='X'",
        "required=True, prompt=True",
        "required=NEEDED",
        "required=True, **MORE",
        "required=True, is_flag=True",
        "required=True, cls=Special",
    ],
)
def test_click_options_that_may_go_unpassed_are_not_required(how: str) -> None:
    assert not option(in_click(f"@click.option('--x', {how})")).required


@pytest.mark.parametrize(
    "script",
    [
        in_click("@click.option('--x', required=True)\n@shared"),
        in_click("@click.option('--x', required=True)\n@shared.options(1)", "from project import shared"),
        with_settings("context_settings={'default_map': {}}", "@click.option('--x', required=True)"),
        in_click("@click.option('--x', required=True)", "def load(ctx, p, v):\n    ctx.default_map = {}"),
        in_argparse("if 1:\n    p.add_argument('--x', required=True)"),
        in_argparse("p.add_argument('--x', required=NEEDED)"),
        in_argparse("a = p.add_argument('--x', required=True)\na.required = False"),
        in_argparse("p.add_argument('--x', required=True)\nfor a in p._actions:\n    a.required = False"),
        in_argparse("p.add_argument('--x', required=True)\nrelax(p)"),
        in_argparse("p.add_argument('--x', '--local_rank', required=True)"),
        in_argparse("def add():\n    p.add_argument('--x', required=True)"),
    ],
)  # fmt: skip
def test_what_may_not_be_required_is_not(script: str) -> None:
    assert not option(script).required


@pytest.mark.parametrize(
    "script",
    [
        in_click("@shared"),
        in_click("@click.option(NAME)", "NAME = input()"),
        with_settings("context_settings=dict(ignore_unknown_options=True)"),
        in_argparse("p.add_argument('--' + name)"),
        in_argparse("for name in names:\n    p.add_argument(name)"),
        in_argparse("add_options(p)"),
        in_argparse("p.add_argument('--x')", parse="p.parse_known_args()"),
        in_argparse("p.add_argument('--x')", settings="parents=[shared]"),
        in_argparse("add = p.add_argument\nadd('--x')"),
        in_argparse("p._add_action(action)"),
    ],
)
def test_a_script_that_may_take_more_is_not_complete(script: str) -> None:
    assert not read(script).complete


@pytest.mark.parametrize(
    "script",
    [
        "",
        "print('click argparse')",
        "import click\nprint 'python 2'",
        "import click\0",
        "import click\n" + "(" * 5000,
        "import click\n" + "#" * 1_000_000,
        in_click("").replace("    main()\n", "    pass\n"),
        in_click("").replace("    main()\n", "    if x:\n        main()\n"),
        in_click("").replace("    main()\n", "    main(['--x'])\n"),
        in_click("").replace("    main()\n", "    main()\n    main()\n"),
        in_click("", "import sys\nsys.argv = fix(sys.argv)"),
        in_click("", "import sys\nsys.argv.remove('--x')"),
        in_click("", "patch('sys.argv', ['train.py'])"),
        in_click("", "click.Command.parse_args = parse"),
        in_click("", "import argparse"),
        in_click("", "import hydra"),
        in_click("") + "main.params.append(x)\n",
        in_click("") + "main = wrap(main)\n",
        with_settings("cls=Special"),
        with_settings("context_settings={'token_normalize_func': str.lower}"),
        with_settings("**settings"),
        in_click("@click.option('/x')"),
        in_click("@click.option('--x')\n@click.option('--x')"),
        "from click import *\n@command()\ndef main(): pass\nmain()",
        "import typer, click\ndef main(x: int): pass\ntyper.run(main)",
        "import click, os\nif os.environ.get('OLD'):\n    os._exit(0)\n" + in_click("")[13:],
        """\
import click
try:
    pass
finally:
    pass
@click.command()
def main(): pass
try:
    main()
except SystemExit:
    pass""",
        in_argparse("p.add_argument('--x')", parse="p.parse_args(['--x', '1'])"),
        in_argparse("p.add_argument('--x')", parse="p.parse_args(words)"),
        in_argparse("p.add_argument('--x')", parse="p.parse_args() if sys.argv[1:] else None"),
        in_argparse("q = argparse.ArgumentParser()"),
        in_argparse("p = wrap(p)"),
        in_argparse("p.error = print"),
        in_argparse("if done():\n    raise SystemExit"),
        in_argparse("", settings="prefix_chars='+'"),
        in_argparse("", settings="fromfile_prefix_chars='@'"),
        in_argparse("", settings="conflict_handler='resolve'"),
        in_argparse("p.add_argument('x', nargs=argparse.REMAINDER)"),
        in_argparse("p.add_subparsers().add_parser('a')"),
        in_subparsers("add(s)"),
        in_subparsers("for n in names:\n    s.add_parser(n)"),
        in_subparsers("s.add_parser(input())"),
        in_subparsers("s.add_parser('a', parents=[p])"),
        in_subparsers("s.add_parser('a', aliases=other)"),
        in_subparsers("s.add_parser('a')\ns.add_parser('b', aliases=['a'])"),
        in_subparsers("s.choices['a'] = make()"),
        in_subparsers("s.add_parser('a').parse_args()"),
        in_subparsers("a = s.add_parser('a')\nparsers = {'a': a}\np.add_argument('x')"),
        in_subparsers("if x:\n    a = s.add_parser('a')\nelse:\n    a = s.add_parser('b')"),
        in_subparsers("", "p.add_subparsers(parser_class=Special)"),
        in_subparsers("", "p.add_subparsers(action=Special)"),
        in_subparsers("", "p.add_subparsers() if x else None"),
        in_argparse("if x:\n    s = p.add_subparsers()\n    s.add_parser('a')"),
        in_argparse("add(p)\ns = p.add_subparsers()\ns.add_parser('a')"),
        in_argparse("class Special(argparse.ArgumentParser):\n    pass\nq = Special()"),
        "import argparse\ndef f():\n    p = argparse.ArgumentParser()\n    p.parse_args()\n",
        """\
import argparse
def f():
    if quick():
        return
    p = argparse.ArgumentParser()
    p.parse_args()
f()
""",
        "import argparse\nclass A:\n    p = argparse.ArgumentParser()\n    p.parse_args()\n",
        "import argparse\ndef f():\n    p = argparse.ArgumentParser()\n    p.parse_args()\n    yield\nf()\n",
        "import argparse\n@wrap\ndef f():\n    p = argparse.ArgumentParser()\n    p.parse_args()\nf()\n",
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_not_read(script: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_script(script) is None


def test_warnings_of_the_script_are_not_shown() -> None:
    assert read(in_click("@click.option('--x', help='\\d')")).complete


@pytest.mark.parametrize(
    "script",
    [
        "import rich_click as click\n" + in_click("@click.option('--x', type=int)")[13:],
        """\
from click import command as c, option, INT
@c
@option('--x', type=INT)
def main(x): pass
main()""",
        in_click("@shared", "shared = click.option('--x', type=int)"),
        in_click("@click.option(NAME, default=COUNT)", "NAME = '--x'\nCOUNT = 5"),
        """\
import click
@click.command()
@click.option('--x', type=int)
def main(x): pass
def run():
    set_up()
    main(obj={})
if '__main__' == __name__:
    try:
        run()
    except Exception as e:
        raise""",
        """\
import click, sys
@click.command()
@click.option('--x', type=int)
def main(x): pass
with logs():
    sys.exit(main())""",
        """\
import argparse
def get():
    p = argparse.ArgumentParser()
    p.add_argument('--x', type=int)
    return p
def main():
    args = get().parse_args()
main()""",
        """\
import argparse
def get() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser()
    p.add_argument('--x', type=int)
    return p
p = get()
args = p.parse_args()""",
        """\
import argparse, sys
def main(argv=None):
    p = argparse.ArgumentParser()
    p.add_argument('--x', type=int)
    return p.parse_args(argv)
if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))""",
        """\
from argparse import ArgumentParser as P
import sys
p: P = P()
p.add_argument('--x', type=int)
print(p.parse_args(sys.argv[1:]), p.parse_args(sys.argv[1:]))""",
        """\
import argparse
p = argparse.ArgumentParser()
p.add_argument('--x', type=int)
def main():
    global args
    args = p.parse_args()
    print(args)
main()""",
    ],
)  # fmt: skip
def test_usual_shapes_are_followed(script: str) -> None:
    interface = read(script)
    assert interface.complete
    assert option(script).type.kind is Kind.INTEGER


def test_names_are_looked_up_as_python_does() -> None:
    script = in_argparse("class A:\n    p = 1\n    def add(self):\n        p.add_argument('--x')\nA().add()")
    assert [*option(script).names] == ["--x"]
    local = in_click(
        "@click.option('--x')", "def fit(main):\n    main = [main for main in main]\n    return main.x"
    )
    assert read(local).complete


def test_subcommands() -> None:
    interface = read(
        "import click\n@click.group()\n@click.option('--x', required=True)\ndef cli(x): pass\n"
        "@cli.command()\n@click.option('--y', type=int)\ndef train_model_cmd(y): pass\n"
        "@cli.command('test')\ndef evaluate(): pass\n"
        "@click.command(name='show')\ndef show_all(): pass\ncli.add_command(show_all)\n"
        "if __name__ == '__main__':\n    cli()\n"
    )
    assert interface.subcommands is not None
    assert not interface.interspersed
    assert set(interface.subcommands) == {"train-model", "train-model-cmd", "test", "show"}
    assert ["--y"] in [[*o.names] for o in interface.subcommands["train-model"].options]


SUBPARSERS = [
    "s.add_parser('a')",
    "a = s.add_parser('a', help='a', aliases=['A', 'aa'])\na.add_argument('--x', required=True, type=int)",
    "a = s.add_parser('a')\na.set_defaults(f=print)\nb = s.add_parser('b')\na.add_argument('--y')",
    "a = s.add_parser('a')\na.add_argument('--x')\na = s.add_parser('b'); a.add_argument('y')",
    """\
g = s.add_parser('a').add_argument_group()
g.add_argument('--x')
g = s.add_parser('b').add_argument_group()
g.add_argument('--y')""",
    "a = s.add_parser('a', add_help=False)\nt = a.add_subparsers()\nu = t.add_parser('u')\nu.add_argument('--x')",
    "s.add_parser('a').add_argument('x', nargs='*')",
]


def subcommands_of(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return what every subcommand takes, by the names that lead to it."""
    found: dict[str, Any] = {}
    for action in list(parser._actions):
        if isinstance(action, argparse._SubParsersAction):
            parser._actions.remove(action)
            for name, inner in action.choices.items():
                below = subcommands_of(inner)
                found[name] = argparse_interface(inner)
                found |= {f"{name} {more}": interface for more, interface in below.items()}
    return found


def described_subcommands(interface: Interface) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in (interface.subcommands or {}).items():
        options = [
            ({*o.names}, o.least, o.most, o.required, o.type.kind, o.type.choices) for o in inner.options
        ]
        arguments = [(a.name, a.least, a.most, a.type.kind) for a in inner.arguments or ()]
        assert inner.complete
        found[name] = sorted(options, key=lambda o: sorted(o[0])), arguments
        found |= {f"{name} {more}": interface for more, interface in described_subcommands(inner).items()}
    return found


@pytest.mark.parametrize("statements", SUBPARSERS)
def test_subparsers_are_read_as_argparse_makes_them(statements: str) -> None:
    script = in_subparsers(statements, "p.add_subparsers(dest='what', title='t', required=True)")
    namespace: dict[str, Any] = {}
    exec(script.replace("args = p.parse_args()", ""), namespace)
    interface = read(script)
    assert interface.subcommand_required
    assert described_subcommands(interface) == subcommands_of(namespace["p"])


def test_subparsers_that_may_take_more_are_not_complete() -> None:
    interface = read(in_subparsers("a = s.add_parser('a')\nadd_options(a)\nb = s.add_parser('b')"))
    assert interface.subcommands is not None
    assert [inner.complete for inner in interface.subcommands.values()] == [False, True]
    interface = read(in_argparse("s = p.add_subparsers()\ns.add_parser('a')", parse="p.parse_known_args()"))
    assert interface.subcommands is not None
    assert not interface.subcommands["a"].complete


def test_arguments_are_in_the_order_in_which_they_are_added() -> None:
    script = "import argparse\nif __name__ == '__main__':\n    p = argparse.ArgumentParser()\n"
    script += "".join(f"    p.add_argument('{name}')\n" for name in "abc") + "    p.parse_args()\n"
    assert [argument.name for argument in read(script).arguments or ()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("how", "taken", "refused"),
    [
        ("type=int", ["5", "-1", " 7 ", "1_000"], ["0.5", "", "a", "1e3"]),
        ("type=float", ["5", "1e-3", "nan", "inf"], ["", "a", "1,5"]),
        ("default=True", ["anything"], []),
        ("type=bool", ["True", "off", "Y", "0"], ["2", "maybe"]),
        ("type=click.IntRange(1, 5, max_open=True)", ["1", "4"], ["0", "5"]),
        ("type=click.IntRange(1, 5, clamp=True)", ["0", "6"], ["a"]),
        ("type=click.FloatRange(min=0, min_open=True)", ["0.1", "inf"], ["0", "-1"]),
        ("type=click.Choice(['Adam', 'sgd'])", ["Adam"], ["adam", ""]),
        ("type=click.Choice(['Adam', 'sgd'], case_sensitive=False)", ["adam", "SGD"], ["rms"]),
        ("type=click.Choice(names())", ["anything"], []),
        ("type=click.Choice([*names, 'a'])", ["anything"], []),
        ("type=click.Choice([])", ["anything"], []),
        ("type=Special()", ["anything"], []),
    ],
)
def test_values_are_taken_as_click_takes_them(how: str, taken: list[str], refused: list[str]) -> None:
    kind = option(in_click(f"@click.option('--x', {how})")).type
    assert [text for text in taken + refused if kind.takes(text)] == taken


def test_samples_are_read() -> None:
    interfaces = {
        path: read_script(path.read_text()) for path in SAMPLES.glob("**/*.py") if "plugins" not in str(path)
    }
    assert {path.stem for path, found in interfaces.items() if found is None} == {"checks", "options"}
