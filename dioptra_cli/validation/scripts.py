"""What the command line of a Python script takes, read from its source with `ast`: nothing is imported or run.

Owns what click and argparse make of a script's declarations. Whatever it does not follow to the letter it leaves out
or reports as unsure: a script that another library serves, that builds its parser in a roundabout way, or that may
not even reach it, is not read at all. What a command passes to a script is `script_checks`' business, which imports
this module only where there is a script, since `ast` costs more than checking a file.
"""

from __future__ import annotations

import ast
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

_MAX_SIZE = 1_000_000
_OTHER_PARSERS = frozenset((
    "absl", "argh", "argparse_dataclass", "baker", "cappa", "cleo", "cliff", "clize", "configargparse",
    "cyclopts", "datargs", "defopt", "docopt", "fire", "getopt", "gflags", "hydra", "jsonargparse", "luigi",
    "optparse", "plac", "plumbum", "pydantic_settings", "sacred", "simple_parsing", "tap", "typed_settings",
    "typer", "tyro",
))  # fmt: skip
_OTHER_PARSER_NAMES = frozenset({"HfArgumentParser", "LightningCLI", "TrlParser", "from_cli"})


class Syntax(Enum):
    """The library that reads the command line."""

    CLICK = auto()
    ARGPARSE = auto()


class Kind(Enum):
    """What a text has to be so that an option takes it."""

    ANY = auto()
    INTEGER = auto()
    FLOAT = auto()
    BOOLEAN = auto()
    CHOICE = auto()


_TRUE_OR_FALSE = frozenset({"1", "0", "yes", "no", "true", "false", "on", "off", "t", "f", "y", "n", ""})


@dataclass(frozen=True)
class ValueType:
    """What values an option or an argument takes; whatever is not known allows everything.

    Attributes:
        kind: What a text has to be.
        low: The smallest number, if there is one.
        high: The largest number, if there is one.
        low_open: Whether `low` itself is refused.
        high_open: Whether `high` itself is refused.
        choices: The values of a choice, as the script compares them.
        converts_to: What a text is converted to before it is compared with the choices.
        folds_case: Whether a choice may be written in any case.
    """

    kind: Kind = Kind.ANY
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    choices: tuple[object, ...] = ()
    converts_to: Kind = Kind.ANY
    folds_case: bool = False

    def takes(self, text: str) -> bool:
        """Return whether a text is accepted, as far as that is known."""
        try:
            if self.kind is Kind.INTEGER:
                return self._in_range(int(text))
            if self.kind is Kind.FLOAT:
                return self._in_range(float(text))
            if self.kind is Kind.CHOICE:
                return self._is_choice(text)
        except ValueError:
            return False
        return self.kind is Kind.ANY or text.strip().lower() in _TRUE_OR_FALSE

    def __str__(self) -> str:
        if self.kind is Kind.CHOICE:
            shown = [repr(choice) for choice in self.choices[:8]]
            return f"one of {', '.join(shown)}{', …' if len(self.choices) > 8 else ''}"
        words = {Kind.INTEGER: "an integer", Kind.FLOAT: "a number", Kind.BOOLEAN: "true or false"}
        bounds = []
        if self.low is not None:
            bounds.append(f"{'above' if self.low_open else 'from'} {self.low}")
        if self.high is not None:
            bounds.append(f"{'below' if self.high_open else 'up to'} {self.high}")
        return " ".join([words.get(self.kind, "any text"), *bounds])

    def _in_range(self, number: float) -> bool:
        too_low = self.low is not None and (number <= self.low if self.low_open else number < self.low)
        too_high = self.high is not None and (number >= self.high if self.high_open else number > self.high)
        return not too_low and not too_high

    def _is_choice(self, text: str) -> bool:
        if self.folds_case:
            return text.casefold() in {str(choice).casefold() for choice in self.choices}
        converters: dict[Kind, Any] = {Kind.INTEGER: int, Kind.FLOAT: float}
        return converters.get(self.converts_to, str)(text) in self.choices


ANY_VALUE = ValueType()


@dataclass(frozen=True)
class Option:
    """An option of a script.

    Attributes:
        names: All its names, such as `--data-dir` and `-d`.
        line: Where the script declares it.
        least: The number of values that it takes at least; None where that is not known.
        most: The number of values that it takes at most; None means any number.
        required: Whether it surely has to be passed.
        repeatable: Whether it may have a meaning to pass it twice.
        exits: Whether the script ends at once where it is passed, as `--help` does.
        type: What values it takes.
    """

    names: tuple[str, ...]
    line: int
    least: int | None = 1
    most: int | None = 1
    required: bool = False
    repeatable: bool = False
    exits: bool = False
    type: ValueType = ANY_VALUE

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.least == self.most == 0

    @property
    def name(self) -> str:
        """Its first long name, or its first if there is none."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])


@dataclass(frozen=True)
class Argument:
    """A positional argument of a script: how many words it takes at least and at most (None: any number)."""

    name: str
    line: int
    least: int = 1
    most: int | None = 1
    type: ValueType = ANY_VALUE


@dataclass(frozen=True)
class Interface:
    """What the command line of a script takes.

    Attributes:
        syntax: The library that reads it.
        options: The options that are known.
        arguments: The positional arguments; None where they are not all known.
        complete: Whether any other option is surely refused.
        abbreviations: Whether a long option may be cut short where that is clear.
        interspersed: Whether options may follow arguments.
        any_one: Groups of options of which one is required.
        subcommands: What each subcommand takes, by name; its name is then the first argument.
    """

    syntax: Syntax
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...] | None = ()
    complete: bool = True
    abbreviations: bool = False
    interspersed: bool = True
    any_one: tuple[tuple[Option, ...], ...] = ()
    subcommands: Mapping[str, Interface] | None = None


def read_script(text: str) -> Interface | None:
    """Return what the command line of a script takes, or None where it cannot be told.

    The rules are those of click 7 to 8.5 and of argparse in Python 3.9 to 3.13. Where versions differ, nothing is
    sure.
    """
    if len(text) > _MAX_SIZE or ("click" not in text and "argparse" not in text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = _Module(ast.parse(text))
            libraries = {origin.partition(".")[0] for origin in module.imports.values()}
            if module.is_unusual() or {"click", "argparse"} <= libraries:
                return None
            return _Click(module).read() if "click" in libraries else _Argparse(module).read()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# The module: names, and what surely runs.

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Scope = ast.Module | ast.ClassDef | _Function
_INNER_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_UNKNOWN = object()


def _own(*roots: ast.AST) -> Iterator[ast.AST]:
    """Walk below `roots` without entering the bodies of functions and classes, whose names are their own."""
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        yield node
        inside: Iterable[ast.AST]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif isinstance(node, ast.ClassDef):
            inside = [*node.decorator_list, *node.bases, *node.keywords]
        elif isinstance(node, ast.Lambda):
            inside = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        else:
            inside = ast.iter_child_nodes(node)
        stack.extend(inside)


def _body(scope: _Scope) -> list[ast.AST]:
    return [scope.body] if isinstance(scope, ast.Lambda) else list(scope.body)


def _bindings(scope: _Scope) -> Counter[str]:
    """Count how often each name is bound in a scope itself."""
    bound: Counter[str] = Counter()
    for node in _own(*_body(scope)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound[node.id] += 1
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound[node.name] += 1
        elif isinstance(node, ast.alias):
            bound[node.asname or node.name.partition(".")[0]] += 1
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound[node.name] += 1
        elif isinstance(node, ast.MatchMapping) and node.rest:
            bound[node.rest] += 1
    if not isinstance(scope, ast.Module | ast.ClassDef):
        for argument in ast.walk(scope.args):
            if isinstance(argument, ast.arg):
                bound[argument.arg] += 1
        for node in _own(*_body(scope)):
            if isinstance(node, ast.Global | ast.Nonlocal):
                for name in node.names:
                    del bound[name]
    return bound


class _Module:
    """A parsed script: what its names mean, and which of its statements surely run."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.nodes = list(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.bound = _bindings(tree)
        for node in self.nodes:
            if isinstance(node, ast.Global | ast.Nonlocal):
                for name in node.names:
                    self.bound[name] += 2
        self.functions = {
            node.name: node
            for node in _own(*tree.body)
            if isinstance(node, ast.FunctionDef) and self.bound[node.name] == 1
        }
        self.imports = self._imports()
        self.constants = {
            statement.targets[0].id: statement.value
            for statement in tree.body
            if isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
            and self.bound[statement.targets[0].id] == 1
        }
        self._loads: dict[_Scope, defaultdict[str, list[ast.Name]]] = {}
        self.sure: set[ast.stmt] = set()
        self.sure_calls: list[ast.Call] = []
        self._followed: set[ast.AST] = set()
        self._ended = False
        self._follow(tree.body)

    def _imports(self) -> dict[str, str]:
        meanings: dict[str, set[str]] = defaultdict(set)
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    meanings[alias.asname or name].add(name)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    origin = "." * node.level + (node.module or "")
                    meanings[alias.asname or alias.name].add(f"{origin}.{alias.name}")
        imports = {}
        assigned = {n.id for n in self.nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        assigned |= {n.arg for n in self.nodes if isinstance(n, ast.arg)}
        assigned |= {
            n.name for n in self.nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        for name, origins in meanings.items():
            plain = {
                f"click{origin[10:]}" if origin.split(".")[0] == "rich_click" else origin
                for origin in origins
            }
            if len(plain) == 1 and name not in assigned:
                imports[name] = plain.pop()
        return imports

    def is_unusual(self) -> bool:
        """Return whether other code than a single click command or parser may have a say in the command line."""
        return any(map(self._is_unusual, self.nodes))

    def _is_unusual(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Import):
            return not _OTHER_PARSERS.isdisjoint(alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            return (
                (node.module or "").partition(".")[0] in _OTHER_PARSERS
                or (node.module == "sys" and not names.isdisjoint(("argv", "*")))
                or not names.isdisjoint(_OTHER_PARSER_NAMES)
            )
        if isinstance(node, ast.Attribute):
            if node.attr == "argv":
                return not self._only_reads(node)
            if node.attr == "flags":
                return self.dotted(node).startswith("tensorflow.")
            patches = not isinstance(node.ctx, ast.Load)
            return node.attr in _OTHER_PARSER_NAMES or (
                patches and self.dotted(node).startswith(("click.", "argparse."))
            )
        if isinstance(node, ast.Call):
            return self.dotted(node.func) == "exec"
        return isinstance(node, ast.Constant) and node.value in ("argv", "sys.argv")

    def _only_reads(self, argv: ast.Attribute) -> bool:
        parent = self.parents[argv]
        if isinstance(parent, ast.Subscript):
            return parent.value is argv and isinstance(parent.ctx, ast.Load)
        shows = ("len", "print", "join", "info", "debug")
        return (
            isinstance(parent, ast.Call)
            and getattr(parent.func, "attr", getattr(parent.func, "id", "")) in shows
        )

    def dotted(self, node: ast.AST) -> str:
        """Return the full name of what an expression names, such as `click.option`; empty if it is no plain name."""
        if isinstance(node, ast.Attribute):
            before = self.dotted(node.value)
            return f"{before}.{node.attr}" if before else ""
        if isinstance(node, ast.Name):
            if node.id in self.imports:
                return self.imports[node.id]
            return "" if self.bound[node.id] else node.id
        return ""

    def value(self, node: ast.AST | None) -> Any:
        """Return the value of a literal or of a constant, or `_UNKNOWN`."""
        if isinstance(node, ast.Name) and node.id in self.constants:
            value = self.value(self.constants[node.id]) if self.constants[node.id] is not node else _UNKNOWN
            # What can be changed in place may have been.
            return value if isinstance(value, str | int | float | tuple | range) else _UNKNOWN
        if isinstance(node, ast.Call) and self.dotted(node.func) == "range" and not node.keywords:
            numbers = [self.value(argument) for argument in node.args]
            if 1 <= len(numbers) <= 3 and all(type(number) is int for number in numbers):
                return range(*numbers)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            values = [self.value(element) for element in node.elts]
            if any(value is _UNKNOWN for value in values):
                return _UNKNOWN
            return tuple(values) if isinstance(node, ast.Tuple) else values
        try:
            return ast.literal_eval(node) if isinstance(node, ast.Constant | ast.UnaryOp) else _UNKNOWN
        except (ValueError, TypeError):
            return _UNKNOWN

    def loads(self, name: str, scope: _Scope | None = None) -> list[ast.Name]:
        """Return every place that reads a name that belongs to `scope`, the module if None."""
        scope = scope or self.tree
        if scope not in self._loads:
            self._loads[scope] = found = defaultdict[str, list[ast.Name]](list)
            inner: list[tuple[_Scope, frozenset[str]]] = [(scope, frozenset())]
            while inner:
                current, outside = inner.pop()
                hidden = outside if current is scope else outside.union(_bindings(current))
                if not isinstance(current, ast.ClassDef):  # whose names its methods do not see
                    outside = hidden
                for node in _own(*_body(current)):
                    if (
                        isinstance(node, ast.Name)
                        and isinstance(node.ctx, ast.Load)
                        and node.id not in hidden
                    ):
                        found[node.id].append(node)
                    elif isinstance(node, _INNER_SCOPES):
                        inner.append((node, outside))
        return self._loads[scope][name]

    def scope_of(self, node: ast.AST) -> _Scope:
        """Return the function that a node stands in, or the module."""
        while not isinstance(node, ast.Module):
            node = self.parents[node]
            if isinstance(node, _INNER_SCOPES):
                return node
        return node

    def _follow(self, body: list[ast.stmt]) -> bool:
        """Note what surely runs from `body` on, in order; return whether it comes to its end.

        An exception that a script raises on its way, or an import that fails, is no way to run it.
        """
        for statement in body:
            if self._ended:
                return False
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if isinstance(statement, ast.With):
                self.sure.add(statement)
                if not (all(self._evaluate(item.context_expr) for item in statement.items)):
                    return False
                if not self._follow(statement.body):
                    return False
            elif isinstance(statement, ast.If) and _is_main_guard(statement.test):
                if not self._follow(statement.body):
                    return False
            elif isinstance(statement, ast.Try) and not any(map(_catches_exits, statement.handlers)):
                if not all(map(self._follow, (statement.body, statement.orelse, statement.finalbody))):
                    return False
            elif isinstance(statement, _SIMPLE_STATEMENTS):
                self.sure.add(statement)
                if not self._evaluate(statement) or isinstance(statement, ast.Return | ast.Raise):
                    return False
            elif any(isinstance(node, ast.Return) for node in _own(statement)):
                return False
            elif any(map(self._exits, _own(statement))):
                self._ended = True
        return not self._ended

    def _evaluate(self, node: ast.AST) -> bool:
        """Note the calls that evaluating `node` surely makes; return False if the script may end with one."""
        if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            return True
        inside: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, ast.IfExp):
            inside = [node.test]
        elif isinstance(node, ast.BoolOp):
            inside = node.values[:1]
        if not all(map(self._evaluate, inside)):
            return False
        if isinstance(node, ast.Call):
            self.sure_calls.append(node)
            function = self.functions.get(node.func.id) if isinstance(node.func, ast.Name) else None
            if self._exits(node):
                self._ended = True
            elif function and not function.decorator_list and function not in self._followed:
                self._followed.add(function)
                if not any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in _own(*function.body)):
                    self._follow(function.body)
        return not self._ended

    def _exits(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Raise):
            return node.exc is not None and "SystemExit" in ast.unparse(node.exc)
        return isinstance(node, ast.Call) and self.dotted(node.func) in (
            "sys.exit",
            "exit",
            "quit",
            "os._exit",
        )


_SIMPLE_STATEMENTS = (
    ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Raise, ast.Import, ast.ImportFrom
)  # fmt: skip


def _is_main_guard(test: ast.expr) -> bool:
    return ast.unparse(test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _catches_exits(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id if isinstance(kind, ast.Name) else "" for kind in kinds}
    return not names <= {
        "Exception",
        "KeyboardInterrupt",
        "ImportError",
        "ModuleNotFoundError",
        "RuntimeError",
    }


# click.

_COMMAND_SETTINGS = frozenset((
    "name", "help", "epilog", "short_help", "options_metavar", "subcommand_metavar", "add_help_option",
    "no_args_is_help", "hidden", "deprecated", "context_settings", "invoke_without_command",
))  # fmt: skip
_HARMLESS_SETTINGS = frozenset({"show_default", "max_content_width", "terminal_width", "color"})
_HARMLESS_DECORATORS = frozenset({"click.pass_context", "click.pass_obj", "click.rich_config"})
_OPTION_DECORATORS = {
    "click.option": (),
    "click.version_option": ("--version",),
    "click.help_option": ("--help",),
    "click.confirmation_option": ("--yes",),
    "click.password_option": ("--password",),
}
_SUFFIXES = ("-command", "-cmd", "-group", "-grp")


class _Unclear(ValueError):
    """Something that decides what the command line takes, and that is not followed."""


class _Click:
    """Reads a script whose command line is a click command."""

    def __init__(self, module: _Module) -> None:
        self.module = module
        self.commands = {
            name: function
            for name, function in module.functions.items()
            if any(self._makes_command(decorator) for decorator in function.decorator_list)
        }

        self.sets_defaults = any(getattr(node, "attr", "") == "default_map" for node in module.nodes)

    def read(self) -> Interface | None:
        """Return the interface of the one command that the script calls."""
        calls = [
            node
            for node in self.module.nodes
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in self.commands
        ]
        if len(calls) != 1 or calls[0] not in self.module.sure_calls or calls[0].args:
            return None
        if any(keyword.arg not in ("obj", "prog_name", "standalone_mode") for keyword in calls[0].keywords):
            return None
        assert isinstance(calls[0].func, ast.Name)
        return self._command(calls[0].func.id, {calls[0].func})

    def _makes_command(self, decorator: ast.expr) -> bool:
        made = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(made, ast.Attribute) and made.attr in ("command", "group"):
            group = made.value
            if isinstance(group, ast.Name) and group.id in self.module.functions:
                return True
        return self.module.dotted(made) in ("click.command", "click.group")

    def _command(self, name: str, uses: set[ast.Name]) -> Interface:
        """Read one command; `uses` are the places where it may be mentioned besides adding subcommands to it."""
        function = self.commands[name]
        makers = [d for d in function.decorator_list if self._makes_command(d)]
        if len(makers) != 1:
            raise _Unclear
        made = makers[0].func if isinstance(makers[0], ast.Call) else makers[0]
        is_group = (self.module.dotted(made) or ast.unparse(made)).endswith("group")
        settings = self._settings(makers[0])
        if is_group:
            unknown = settings.keys() - _HARMLESS_SETTINGS - {"add_help_option"}
            if unknown:
                raise _Unclear
        subcommands = self._subcommands(name, uses, is_group)
        return replace(self._parameters(function, makers[0], settings), **subcommands)

    def _settings(self, maker: ast.expr) -> dict[str, Any]:
        """Return the settings of a command that matter, `context_settings` among them."""
        settings: dict[str, Any] = {}
        for keyword in maker.keywords if isinstance(maker, ast.Call) else ():
            if keyword.arg not in _COMMAND_SETTINGS:
                raise _Unclear
            if keyword.arg == "add_help_option":
                settings["add_help_option"] = self.module.value(keyword.value)
            elif keyword.arg == "context_settings":
                settings |= self._context_settings(keyword.value)
        if isinstance(maker, ast.Call) and len(maker.args) > 1:
            raise _Unclear
        return settings

    def _context_settings(self, node: ast.expr) -> dict[str, Any]:
        if isinstance(node, ast.Name) and node.id in self.module.constants:
            # Anything else than passing it on could change it.
            if not all(
                isinstance(self.module.parents[load], ast.keyword) for load in self.module.loads(node.id)
            ):
                raise _Unclear
            node = self.module.constants[node.id]
        if isinstance(node, ast.Dict):
            pairs = [
                (self.module.value(key), value) for key, value in zip(node.keys, node.values, strict=True)
            ]
        elif isinstance(node, ast.Call) and self.module.dotted(node.func) == "dict" and not node.args:
            pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
        else:
            raise _Unclear
        if not all(isinstance(key, str) for key, _ in pairs):
            raise _Unclear
        return {key: self.module.value(value) for key, value in pairs}

    def _subcommands(self, name: str, uses: set[ast.Name], is_group: bool) -> dict[str, Any]:
        found: dict[str, Interface] = {}
        for load in self.module.loads(name):
            if load in uses:
                continue
            attribute = self.module.parents[load]
            if not (is_group and isinstance(attribute, ast.Attribute)):
                raise _Unclear
            call = self.module.parents[attribute]
            if attribute.attr == "add_command":
                if not (
                    isinstance(call, ast.Call)
                    and isinstance(self.module.parents[call], ast.Expr)
                    and self.module.parents[call] in self.module.sure
                    and call.args
                    and isinstance(call.args[0], ast.Name)
                    and call.args[0].id in self.commands
                ):
                    raise _Unclear
                named = call.args[1:] + [k.value for k in call.keywords if k.arg == "name"]
                child, child_uses = call.args[0].id, {call.args[0]}
            else:
                maker = call if isinstance(call, ast.Call) else attribute
                function = self.module.parents[maker]
                if not (
                    isinstance(function, ast.FunctionDef) and self.commands.get(function.name) is function
                ):
                    raise _Unclear
                named, child, child_uses = [], function.name, set()
            interface = self._command(child, child_uses)
            for key in self._names(self.commands[child], named):
                if key in found:
                    raise _Unclear
                found[key] = interface
        return {"subcommands": found, "interspersed": False} if is_group else {}

    def _names(self, function: ast.FunctionDef, named: list[ast.expr]) -> set[str]:
        """Return what a subcommand may be called: before click 8.2, a suffix was a part of its default name."""
        if not named:
            maker = next(d for d in function.decorator_list if self._makes_command(d))
            if isinstance(maker, ast.Call):
                named = maker.args + [k.value for k in maker.keywords if k.arg == "name"]
        if named:
            name = self.module.value(named[0])
            if not isinstance(name, str):
                raise _Unclear
            return {name}
        default = function.name.lower().replace("_", "-")
        return {default} | {
            default.removesuffix(suffix) for suffix in _SUFFIXES if default.removesuffix(suffix)
        }

    def _parameters(
        self, function: ast.FunctionDef, maker: ast.expr, settings: Mapping[str, Any]
    ) -> Interface:
        unclear_settings = settings.keys() - _HARMLESS_SETTINGS - {
            "help_option_names", "ignore_unknown_options", "allow_extra_args", "allow_interspersed_args",
            "add_help_option", "auto_envvar_prefix", "default_map", "obj",
        }  # fmt: skip
        if unclear_settings:
            raise _Unclear
        options: list[Option] = []
        arguments: list[Argument] | None = []
        complete = required = True
        for decorator in function.decorator_list:
            call = decorator
            if isinstance(call, ast.Name) and call.id in self.module.constants:
                call = self.module.constants[call.id]
            called = self.module.dotted(call.func) if isinstance(call, ast.Call) else ""
            if decorator is maker or self.module.dotted(decorator) in _HARMLESS_DECORATORS:
                continue
            if called == "click.argument" and isinstance(call, ast.Call):
                # Decorators apply from the bottom up, and click turns them round again.
                argument = self._argument(call)
                arguments = None if arguments is None or argument is None else [*arguments, argument]
            elif called in _OPTION_DECORATORS and isinstance(call, ast.Call):
                option = self._option(call, called)
                complete = complete and option is not None
                options += [option] if option else []
            elif called not in _HARMLESS_DECORATORS:
                # It may add parameters, and take their values from elsewhere.
                complete = required = False
                arguments = None
        complete = complete and not settings.get("ignore_unknown_options", False)
        if settings.get("add_help_option", True) is not False:
            names = settings.get("help_option_names", ["--help"])
            if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
                options.append(Option(tuple(names), function.lineno, 0, 0, exits=True))
            else:
                complete = False
        if self.sets_defaults or not {"auto_envvar_prefix", "default_map"}.isdisjoint(settings):
            required = False
        if not required:
            options = [replace(option, required=False) for option in options]
            arguments = arguments and [replace(argument, least=0) for argument in arguments]
        if settings.get("allow_extra_args", False) is not False and arguments is not None:
            arguments.append(Argument("", function.lineno, 0, None))
        interspersed = settings.get("allow_interspersed_args", True)
        if not isinstance(interspersed, bool):
            raise _Unclear
        names = [name for option in options for name in option.names]
        if len({*names}) < len(names):
            raise _Unclear
        return Interface(
            Syntax.CLICK,
            tuple(options),
            None if arguments is None else tuple(arguments),
            complete,
            interspersed=interspersed,
        )

    def _option(self, call: ast.Call, decorator: str) -> Option | None:
        declared = call.args
        if decorator == "click.version_option":
            declared = declared[1:]
        names: list[str] = []
        secondary = False
        for argument in declared:
            text = self.module.value(argument)
            if not isinstance(text, str):
                return None
            if text.isidentifier():
                continue
            if text.startswith("/") or ";" in text:
                raise _Unclear
            first, slash, second = text.partition("/")
            secondary = secondary or bool(slash and second.strip())
            names += [part.strip() for part in (first, second) if part.strip()]
        names = names or list(_OPTION_DECORATORS[decorator])
        if not names or not all(name.startswith("-") and name.strip("-") for name in names):
            raise _Unclear
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        option = Option(tuple(names), call.lineno)
        if None in given or "cls" in given or decorator == "click.password_option":
            return replace(option, least=None, repeatable=True)
        if decorator != "click.option":
            return replace(option, least=0, most=0, exits=decorator != "click.confirmation_option")
        value = {name: self.module.value(node) for name, node in given.items()}
        flag = value.get("is_flag")
        eager = value.get("is_eager", False) is not False
        if value.get("count", False) is not False:
            known = value["count"] is True
            return replace(option, least=0 if known else None, most=0, repeatable=True, exits=eager)
        if (
            "prompt_required" in value
            or flag not in (None, True, False)
            or (flag is False and "default" not in value)
        ):
            return replace(option, least=None, repeatable=True)
        if flag is True or (flag is None and (secondary or "flag_value" in value)):
            # Its callback may show something and end the script.
            return replace(option, least=0, most=0, repeatable=True, exits=eager or "callback" in given)
        if "flag_value" in value:
            return replace(option, least=None, repeatable=True)
        count, kind = self._type(given)
        nargs = value.get("nargs", count)
        if not isinstance(nargs, int) or nargs < 1 or (count > 1 and nargs != count):
            return replace(option, least=None, repeatable=True)
        required = value.get("required") is True and {"default", "envvar", "prompt"}.isdisjoint(given)
        required = required and _LAUNCHERS_OPTIONS.isdisjoint(names)
        repeatable = value.get("multiple", False) is not False
        return Option(tuple(names), call.lineno, nargs, nargs, required, repeatable, eager, kind)

    def _argument(self, call: ast.Call) -> Argument | None:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if None in given or "cls" in given or len(call.args) != 1:
            return None
        name = self.module.value(call.args[0])
        count, kind = self._type(given)
        nargs = self.module.value(given["nargs"]) if "nargs" in given else count
        if not isinstance(name, str) or not isinstance(nargs, int) or (count > 1 and nargs != count):
            return None
        required = self.module.value(given["required"]) if "required" in given else nargs > 0
        sure = required is True and {"default", "envvar"}.isdisjoint(given)
        return Argument(name, call.lineno, max(nargs, 1) if sure else 0, None if nargs < 0 else nargs, kind)

    def _type(self, given: Mapping[str | None, ast.expr]) -> tuple[int, ValueType]:
        """Return how many values a parameter takes by its type, and what they have to be."""
        node = given.get("type")
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            default = self.module.value(given.get("default"))
            if isinstance(default, tuple):
                return 0, ANY_VALUE  # click 7 takes as many words as there are values
            # A boolean default made a text before click 8.
            kinds = {int: Kind.INTEGER, float: Kind.FLOAT}
            return 1, ValueType(kinds.get(type(default), Kind.ANY))
        if isinstance(node, ast.Name) and node.id in self.module.constants:
            node = self.module.constants[node.id]
        if isinstance(node, ast.Tuple | ast.List):
            return len(node.elts), ANY_VALUE
        plain = {
            "click.INT": Kind.INTEGER, "int": Kind.INTEGER, "click.FLOAT": Kind.FLOAT, "float": Kind.FLOAT,
            "click.BOOL": Kind.BOOLEAN, "bool": Kind.BOOLEAN,
        }  # fmt: skip
        if not isinstance(node, ast.Call):
            name = self.module.dotted(node)
            # What is named like a constant may be a tuple of types, which takes several words.
            may_be_tuple = not name.startswith("click.") and name.rpartition(".")[2].isupper()
            return 0 if may_be_tuple else 1, ValueType(plain.get(name, Kind.ANY))
        made = self.module.dotted(node.func)
        values = {keyword.arg: self.module.value(keyword.value) for keyword in node.keywords}
        positional = [self.module.value(argument) for argument in node.args]
        if made == "click.Choice":
            choices: Any = positional[0] if positional else values.get("choices")
            sensitive = positional[1] if len(positional) > 1 else values.get("case_sensitive", True)
            known = isinstance(choices, list | tuple) and len(choices) > 0 and sensitive in (True, False)
            if known and all(isinstance(choice, str | int | float) for choice in choices):
                # From click 8.2 on, what is no text is compared as text.
                texts = tuple(map(str, choices))
                return 1, ValueType(Kind.CHOICE, choices=texts, folds_case=not sensitive)
        elif made in ("click.IntRange", "click.FloatRange"):
            kind = Kind.INTEGER if made == "click.IntRange" else Kind.FLOAT
            return 1, self._range(kind, positional, values)
        return 0 if made == "click.Tuple" else 1, ANY_VALUE

    @staticmethod
    def _range(kind: Kind, positional: list[Any], values: Mapping[str | None, Any]) -> ValueType:
        bounds: dict[str | None, Any] = {**dict(zip(("min", "max"), positional, strict=False)), **values}
        if len(positional) > 2 or None in bounds or bounds.get("clamp", False) is not False:
            return ValueType(kind)
        low, high = bounds.get("min"), bounds.get("max")
        low_open, high_open = bounds.get("min_open", False), bounds.get("max_open", False)
        low = low if isinstance(low, int | float) and isinstance(low_open, bool) else None
        high = high if isinstance(high, int | float) and isinstance(high_open, bool) else None
        return ValueType(kind, low, high, low_open is True, high_open is True)


# argparse.

_PARSE = ("parse_args", "parse_known_args", "parse_intermixed_args", "parse_known_intermixed_args")
_CHANGEABLE = frozenset(("description", "epilog", "prog", "usage", "formatter_class", "title"))
_HARMLESS_OF_PARSER = frozenset((
    "print_help", "print_usage", "format_help", "format_usage", "error", "exit", "set_defaults",
    "get_default", "description", "epilog", "prog", "usage", "formatter_class", "title",
))  # fmt: skip
_LAUNCHERS_OPTIONS = frozenset(("--local_rank", "--local-rank"))
"""What torch.distributed.launch and deepspeed add to the command line of the script that they start."""

_FLAG_ACTIONS = ("store_true", "store_false", "store_const", "append_const", "count", "help", "version")


class _Argparse:
    """Reads a script whose command line is an `ArgumentParser`."""

    def __init__(self, module: _Module) -> None:
        self.module = module
        self.options: list[Option] = []
        self.arguments: list[Argument] | None = []
        self.complete = self.sure = True
        self.required_groups: dict[ast.Call, list[Option]] = {}
        self.makers: set[ast.FunctionDef] = set()
        self.shared: set[tuple[_Scope, str]] = set()

    def read(self) -> Interface | None:
        """Return the interface of the one parser that the script makes."""
        nodes = self.module.nodes
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        made = [c for c in calls if self.module.dotted(c.func) == "argparse.ArgumentParser"]
        makers = [call.func for call in made]
        others = [
            node
            for node in nodes
            if "ArgumentParser" in (getattr(node, "attr", ""), getattr(node, "id", ""))
            and node not in makers
            and not self._is_annotation(node)
        ]
        parses = [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in _PARSE]
        sure_parses = [call for call in self.module.sure_calls if call in parses]
        if len(made) != 1 or others or not sure_parses:
            return None
        # To parse the command line again makes no difference.
        if len({ast.unparse(call) for call in parses}) > 1:
            return None
        settings = {keyword.arg: self.module.value(keyword.value) for keyword in made[0].keywords}
        if not settings.keys() <= {
            "prog", "usage", "description", "epilog", "formatter_class", "add_help", "allow_abbrev", "parents",
        }:  # fmt: skip
            return None
        if not all(isinstance(settings.get(name, True), bool) for name in ("add_help", "allow_abbrev")):
            return None
        if settings.get("add_help", True):
            self.options.append(Option(("-h", "--help"), made[0].lineno, 0, 0, exits=True))
        if "parents" in settings:
            self._unknown()
        self.parse, self.parses = sure_parses[0], parses
        if not (self._parses_command_line() and self._container(made[0], None) == len(parses)):
            return None
        assert isinstance(self.parse.func, ast.Attribute)
        arguments = self.arguments
        if "known" in self.parse.func.attr:
            self.complete = False
            arguments = None if arguments is None else [*arguments, Argument("", self.parse.lineno, 0, None)]
        names = [name for option in self.options for name in option.names]
        if len({*names}) < len(names):
            return None
        groups = [tuple(group) for group in self.required_groups.values() if group] if self.complete else []
        options = self.options if self.sure else [replace(option, required=False) for option in self.options]
        return Interface(
            Syntax.ARGPARSE,
            tuple(options),
            None if arguments is None else tuple(arguments),
            self.complete,
            abbreviations=bool(settings.get("allow_abbrev", True)),
            any_one=tuple(groups),
        )

    def _unknown(self) -> None:
        """Note that other code may add to the parser, and change what it has."""
        self.complete = self.sure = False
        self.arguments = None

    def _is_annotation(self, node: ast.AST) -> bool:
        while isinstance(self.module.parents[node], ast.Attribute | ast.Subscript | ast.BinOp):
            node = self.module.parents[node]
        parent = self.module.parents[node]
        return (
            (isinstance(parent, ast.arg | ast.AnnAssign) and parent.annotation is node)
            or (isinstance(parent, ast.FunctionDef) and parent.returns is node)
            or isinstance(parent, ast.alias)
        )

    def _parses_command_line(self) -> bool:
        """Return whether the words that are parsed are those of the command line."""
        if self.parse.keywords:
            return (
                len(self.parse.keywords) == 1
                and not self.parse.args
                and self._is_argv(self.parse.keywords[0])
            )
        return not self.parse.args or (len(self.parse.args) == 1 and self._is_argv(self.parse.args[0]))

    def _is_argv(self, node: ast.AST) -> bool:
        if isinstance(node, ast.keyword):
            return node.arg == "args" and self._is_argv(node.value)
        if isinstance(node, ast.Constant):
            return node.value is None
        if isinstance(node, ast.Subscript):
            return self.module.dotted(node.value) == "sys.argv" and ast.unparse(node.slice) == "1:"
        function = self.module.scope_of(node)
        if not isinstance(node, ast.Name) or not isinstance(function, ast.FunctionDef):
            return False
        arguments = function.args
        if [a.arg for a in arguments.args] != [node.id] or _bindings(function)[node.id] != 1:
            return False
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
            return False
        if self.module.functions.get(function.name) is not function:
            return False
        # A list could be changed on its way.
        if len(self.module.loads(node.id, function)) != 1:
            return False
        for load in self.module.loads(function.name):
            call = self.module.parents[load]
            if not isinstance(call, ast.Call) or call.func is not load or call.keywords:
                return False
            given = call.args or arguments.defaults
            if len(given) != 1 or isinstance(given[0], ast.Name) or not self._is_argv(given[0]):
                return False
        return True

    def _container(self, call: ast.Call, group: ast.Call | None) -> int:
        """Take in what is added to the parser or the group that `call` makes; return how often it parses."""
        parent = self.module.parents[call]
        if isinstance(parent, ast.Attribute):
            return self._use(parent, group)
        if isinstance(parent, ast.Return):
            return self._returned(parent, group)
        if isinstance(parent, ast.Expr):
            return 0
        target: ast.expr | None = None
        if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
            target = parent.targets[0]
        elif isinstance(parent, ast.AnnAssign):
            target = parent.target
        if not isinstance(target, ast.Name):
            raise _Unclear
        scope = self.module.scope_of(call)
        if isinstance(scope, ast.ClassDef):
            raise _Unclear
        bound = self.module.bound if isinstance(scope, ast.Module) else _bindings(scope)
        if bound[target.id] != 1:
            return self._shared_name(target.id, scope, bound[target.id])
        return sum(self._load(load, group) for load in self.module.loads(target.id, scope))

    def _shared_name(self, name: str, scope: _Scope, count: int) -> int:
        """Take in what is added under a name that stands for one group after the other; never for the parser."""
        makers = [
            node.value
            for node in _own(*_body(scope))
            if isinstance(node, ast.Assign)
            and [target.id for target in node.targets if isinstance(target, ast.Name)] == [name]
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
            and node.value.func.attr in ("add_argument_group", "add_mutually_exclusive_group")
        ]
        if len(makers) != count:
            raise _Unclear
        if (scope, name) in self.shared:
            return 0
        self.shared.add((scope, name))
        for maker in makers:
            self.required_groups.pop(maker, None)
        return sum(self._load(load, None) for load in self.module.loads(name, scope))

    def _load(self, load: ast.Name, group: ast.Call | None) -> int:
        parent = self.module.parents[load]
        if isinstance(parent, ast.Attribute):
            return self._use(parent, group)
        if isinstance(parent, ast.Return):
            return self._returned(parent, group)
        self._unknown()
        return 0

    def _returned(self, statement: ast.Return, group: ast.Call | None) -> int:
        """Follow a parser to the one place that calls the function that makes it."""
        function = self.module.scope_of(statement)
        if (
            not isinstance(function, ast.FunctionDef)
            or self.module.functions.get(function.name) is not function
        ):
            raise _Unclear
        calls = [self.module.parents[load] for load in self.module.loads(function.name)]
        call = calls[0] if len(calls) == 1 else None
        if not isinstance(call, ast.Call) or function.decorator_list or function in self.makers:
            raise _Unclear
        self.makers.add(function)
        return self._container(call, group)

    def _use(self, attribute: ast.Attribute, group: ast.Call | None) -> int:
        call = self.module.parents[attribute]
        if attribute.attr in (_HARMLESS_OF_PARSER if isinstance(attribute.ctx, ast.Load) else _CHANGEABLE):
            return 0
        if not isinstance(attribute.ctx, ast.Load):
            raise _Unclear
        if not isinstance(call, ast.Call) or call.func is not attribute:
            self._unknown()
        elif attribute.attr in _PARSE:
            return int(call in self.parses)
        elif attribute.attr == "add_argument":
            self._add_argument(call, group)
        elif attribute.attr == "add_argument_group":
            return self._container(call, group)
        elif attribute.attr == "add_mutually_exclusive_group":
            required = [self.module.value(k.value) for k in call.keywords if k.arg == "required"]
            if required == [True] and self.module.parents[call] in self.module.sure:
                self.required_groups[call] = []
            return self._container(call, call)
        elif attribute.attr == "add_subparsers":
            raise _Unclear
        else:
            self._unknown()
        return 0

    def _add_argument(self, call: ast.Call, group: ast.Call | None) -> None:
        names = [self.module.value(argument) for argument in call.args]
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if not all(isinstance(name, str) and name for name in names):
            self.complete, self.arguments = False, None
            return
        value = {name: self.module.value(node) for name, node in given.items()}
        arity, action = self._arity(given, value)
        statement = self.module.parents[call]
        sure = statement in self.module.sure and not (
            self.module.scope_of(call) is self.module.scope_of(self.parse) and call.lineno > self.parse.lineno
        )
        if not names or not names[0].startswith("-"):
            if self.arguments is None or arity is None or not sure or None in given or action == "help":
                self.arguments = None
                return
            name = names[0] if names else str(value.get("dest"))
            self.arguments.append(Argument(name, call.lineno, *arity, self._type(given, value)))
            return
        if action == "boolean":
            names += ["--no-" + name[2:] for name in names if name.startswith("--")]
        option = Option(tuple(names), call.lineno)
        if arity is None or None in given:
            option = replace(option, least=None, repeatable=True)
        else:
            option = replace(
                option,
                least=arity[0],
                most=arity[1],
                # An action that is kept could be changed later.
                required=value.get("required") is True
                and sure
                and isinstance(statement, ast.Expr)
                and _LAUNCHERS_OPTIONS.isdisjoint(names),
                repeatable=arity == (0, 0) or action in ("append", "extend"),
                exits=action in ("help", "version"),
                type=self._type(given, value),
            )
        self.options.append(option)
        if group in self.required_groups:
            if statement in self.module.sure:
                self.required_groups[group].append(option)
            else:
                del self.required_groups[group]

    def _arity(
        self, given: Mapping[str | None, ast.expr], value: Mapping[str | None, Any]
    ) -> tuple[tuple[int, int | None] | None, str]:
        """Return how many values an argument takes, None where it cannot be told, and its action."""
        action = value.get("action", "store")
        if "action" in given and self.module.dotted(given["action"]) == "argparse.BooleanOptionalAction":
            return (0, 0), "boolean"
        if action in _FLAG_ACTIONS:
            return (0, 0), str(action)
        if action not in ("store", "append", "extend"):
            return None, ""
        node = given.get("nargs")
        constants = {
            "argparse.OPTIONAL": "?", "argparse.ZERO_OR_MORE": "*", "argparse.ONE_OR_MORE": "+",
            "argparse.REMAINDER": "...", "argparse.PARSER": "A...",
        }  # fmt: skip
        nargs = constants.get(self.module.dotted(node), value["nargs"]) if node is not None else None
        if nargs in ("...", "A..."):
            raise _Unclear
        counts: dict[Any, tuple[int, int | None]] = {
            None: (1, 1),
            "?": (0, 1),
            "*": (0, None),
            "+": (1, None),
        }
        if isinstance(nargs, int) and nargs > 0:
            return (nargs, nargs), str(action)
        return counts.get(nargs) if nargs is None or isinstance(nargs, str) else None, str(action)

    def _type(self, given: Mapping[str | None, ast.expr], value: Mapping[str | None, Any]) -> ValueType:
        kinds = {"int": Kind.INTEGER, "float": Kind.FLOAT, "str": Kind.ANY}
        node = given.get("type")
        name = "str" if node is None else self.module.dotted(node)
        if name not in kinds:
            return ANY_VALUE
        choices = value.get("choices")
        if not isinstance(choices, list | tuple | range) or not 0 < len(choices) <= 1000:
            return ValueType(kinds[name])
        if all(isinstance(choice, str | int | float) for choice in choices):
            return ValueType(Kind.CHOICE, choices=tuple(choices), converts_to=kinds[name])
        return ValueType(kinds[name])
