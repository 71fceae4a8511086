"""What argparse makes of a script's declarations."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from dioptra_cli.validation.scripts.interface import (
    ANY_VALUE,
    LAUNCHERS_OPTIONS,
    Argument,
    Interface,
    Kind,
    Option,
    Syntax,
    ValueType,
)
from dioptra_cli.validation.scripts.module import Module, Scope, Unclear, bindings, body, own

_PARSE = ("parse_args", "parse_known_args", "parse_intermixed_args", "parse_known_intermixed_args")
_CHANGEABLE = frozenset(("description", "epilog", "prog", "usage", "formatter_class", "title"))
_HARMLESS_OF_PARSER = frozenset((
    "print_help", "print_usage", "format_help", "format_usage", "error", "exit", "set_defaults",
    "get_default", "description", "epilog", "prog", "usage", "formatter_class", "title",
))  # fmt: skip

_HARMLESS_OF_SUBPARSERS = frozenset(("dest", "metavar", "required", "title", "description", "help", "prog"))
_PARSER_SETTINGS = frozenset((
    "prog", "usage", "description", "epilog", "formatter_class", "add_help", "allow_abbrev",
))  # fmt: skip
_FLAG_ACTIONS = ("store_true", "store_false", "store_const", "append_const", "count", "help", "version")


@dataclass
class _Declared:
    """What is known so far of one parser.

    Attributes:
        options: Its options.
        arguments: Its positional arguments; None where they are not all known.
        complete: Whether it has no other options.
        sure: Whether no other code may change what it has.
        abbreviations: Whether long options may be cut short.
        required_groups: The options of each group of which one is required, by the call that makes the group.
        subcommands: The parsers below it; None where it has none.
        subcommand_required: Whether one of them surely has to be named.
    """

    options: list[Option]
    abbreviations: bool
    arguments: list[Argument] | None = field(default_factory=list)
    complete: bool = True
    sure: bool = True
    required_groups: dict[ast.Call, list[Option]] = field(default_factory=dict)
    subcommands: dict[str, Interface] | None = None
    subcommand_required: bool = False


class ArgparseReader:
    """Reads a script whose command line is an `ArgumentParser`, with parsers for subcommands or without."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.declared = _Declared([], True)
        """The parser that is being followed."""
        self.has_subcommands = any(getattr(node, "attr", "") == "add_subparsers" for node in module.nodes)
        self.makers: set[ast.FunctionDef] = set()
        self.shared: set[tuple[Scope, str]] = set()

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
        self.declared = self._new(made[0], {"parents"})
        if any(keyword.arg == "parents" for keyword in made[0].keywords):
            self._unknown()
        self.parse, self.parses = sure_parses[0], parses
        if not (self._parses_command_line() and self._container(made[0], None) == len(parses)):
            return None
        return self._interface()

    def _new(self, call: ast.Call, more: Set[str]) -> _Declared:
        """Return what a parser has from the start, by the call that makes it, with `more` settings than usual."""
        settings = {keyword.arg: self.module.value(keyword.value) for keyword in call.keywords}
        if not settings.keys() <= _PARSER_SETTINGS | more:
            raise Unclear
        if not all(isinstance(settings.get(name, True), bool) for name in ("add_help", "allow_abbrev")):
            raise Unclear
        helps = settings.get("add_help", True)
        options = [Option(("-h", "--help"), call.lineno, 0, 0, exits=True)] if helps else []
        return _Declared(options, bool(settings.get("allow_abbrev", True)))

    def _interface(self) -> Interface:
        """Return the interface of the parser that was followed."""
        declared = self.declared
        assert isinstance(self.parse.func, ast.Attribute)
        arguments, complete = declared.arguments, declared.complete
        # Whatever else may be an argument could come before the name of the subcommand.
        if declared.subcommands is not None and (arguments != [] or not complete):
            raise Unclear
        if "known" in self.parse.func.attr:
            complete = False
            arguments = None if arguments is None else [*arguments, Argument("", self.parse.lineno, 0, None)]
        names = [name for option in declared.options for name in option.names]
        if len({*names}) < len(names):
            raise Unclear
        groups = [tuple(group) for group in declared.required_groups.values() if group] if complete else []
        options = declared.options
        if not declared.sure:
            options = [replace(option, required=False) for option in options]
        return Interface(
            Syntax.ARGPARSE,
            tuple(options),
            None if arguments is None else tuple(arguments),
            complete,
            abbreviations=declared.abbreviations,
            any_one=tuple(groups),
            subcommands=declared.subcommands,
            subcommand_required=declared.subcommand_required,
        )

    def _unknown(self) -> None:
        """Note that other code may add to the parser, and change what it has."""
        self.declared.complete = self.declared.sure = False
        self.declared.arguments = None

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
        if [a.arg for a in arguments.args] != [node.id] or bindings(function)[node.id] != 1:
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
            raise Unclear
        scope = self.module.scope_of(call)
        if isinstance(scope, ast.ClassDef):
            raise Unclear
        bound = self.module.bound if isinstance(scope, ast.Module) else bindings(scope)
        if bound[target.id] != 1:
            return self._shared_name(target.id, scope, bound[target.id], call)
        return sum(self._load(load, group) for load in self.module.loads(target.id, scope))

    def _shared_name(self, name: str, scope: Scope, count: int, call: ast.Call) -> int:
        """Take in what is added under a name that stands for one group, or one subcommand, after the other."""
        makers = [
            node.value
            for node in own(*body(scope))
            if isinstance(node, ast.Assign)
            and [target.id for target in node.targets if isinstance(target, ast.Name)] == [name]
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
        ]
        methods = {maker.func.attr for maker in makers if isinstance(maker.func, ast.Attribute)}
        if len(makers) != count:
            raise Unclear
        if not methods <= {"add_argument_group", "add_mutually_exclusive_group", "add_parser"}:
            raise Unclear
        if self.has_subcommands:
            return self._one_after_the_other(name, scope, makers, call)
        if (scope, name) in self.shared:
            return 0
        self.shared.add((scope, name))
        for maker in makers:
            self.declared.required_groups.pop(maker, None)
        return sum(self._load(load, None) for load in self.module.loads(name, scope))

    def _one_after_the_other(self, name: str, scope: Scope, makers: list[ast.Call], call: ast.Call) -> int:
        """Take in what is added under a name from the call that makes its parser to the next one."""
        if any(self.module.parents[maker] not in self.module.sure for maker in makers):
            raise Unclear
        loads = self.module.loads(name, scope)
        if any(self.module.scope_of(load) is not scope for load in loads):
            raise Unclear
        self.declared.required_groups.pop(call, None)
        following = [m for m in makers if _place(m) > _place(call)]
        end = min(map(_place, following), default=(math.inf, 0))
        return sum(self._load(load, None) for load in loads if _place(call) < _place(load) < end)

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
            raise Unclear
        calls = [self.module.parents[load] for load in self.module.loads(function.name)]
        call = calls[0] if len(calls) == 1 else None
        if not isinstance(call, ast.Call) or function.decorator_list or function in self.makers:
            raise Unclear
        self.makers.add(function)
        return self._container(call, group)

    def _use(self, attribute: ast.Attribute, group: ast.Call | None) -> int:
        call = self.module.parents[attribute]
        if attribute.attr in (_HARMLESS_OF_PARSER if isinstance(attribute.ctx, ast.Load) else _CHANGEABLE):
            return 0
        if not isinstance(attribute.ctx, ast.Load):
            raise Unclear
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
                self.declared.required_groups[call] = []
            return self._container(call, call)
        elif attribute.attr == "add_subparsers":
            self._add_subparsers(call)
        else:
            self._unknown()
        return 0

    def _add_subparsers(self, call: ast.Call) -> None:
        """Take in the subcommands that are added to what `call` returns, which must be kept under a name."""
        settings = {keyword.arg: self.module.value(keyword.value) for keyword in call.keywords}
        statement = self.module.parents[call]
        scope = self.module.scope_of(call)
        if (
            self.declared.subcommands is not None
            or call.args
            or not settings.keys() <= _HARMLESS_OF_SUBPARSERS
        ):
            raise Unclear
        if (
            not (isinstance(statement, ast.Assign) and len(statement.targets) == 1)
            or statement not in self.module.sure
        ):
            raise Unclear
        target = statement.targets[0]
        bound = self.module.bound if isinstance(scope, ast.Module) else bindings(scope)
        if not isinstance(target, ast.Name) or bound[target.id] != 1 or isinstance(scope, ast.ClassDef):
            raise Unclear
        self.declared.subcommands = {}
        self.declared.subcommand_required = settings.get("required") is True
        for load in self.module.loads(target.id, scope):
            attribute = self.module.parents[load]
            made = self.module.parents[attribute]
            if not isinstance(attribute, ast.Attribute):
                raise Unclear
            if attribute.attr in _HARMLESS_OF_SUBPARSERS:
                if not isinstance(attribute.ctx, ast.Load):
                    self.declared.subcommand_required = False
            elif attribute.attr == "add_parser" and isinstance(made, ast.Call) and made.func is attribute:
                self._add_parser(made)
            else:
                raise Unclear

    def _add_parser(self, call: ast.Call) -> None:
        """Take in one subcommand, by all its names."""
        aliases = [self.module.value(k.value) for k in call.keywords if k.arg == "aliases"] or [()]
        if not isinstance(aliases[0], list | tuple):
            raise Unclear
        names = [*(self.module.value(argument) for argument in call.args), *aliases[0]]
        subcommands = self.declared.subcommands
        if len(call.args) != 1 or not all(isinstance(name, str) for name in names) or subcommands is None:
            raise Unclear
        outside = self.declared
        self.declared = self._new(call, {"aliases", "help"})
        if self._container(call, None):
            raise Unclear  # it parses something itself
        interface = self._interface()
        self.declared = outside
        if not subcommands.keys().isdisjoint(names):
            raise Unclear
        subcommands.update(dict.fromkeys(names, interface))

    def _add_argument(self, call: ast.Call, group: ast.Call | None) -> None:
        names = [self.module.value(argument) for argument in call.args]
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if not all(isinstance(name, str) and name for name in names):
            self.declared.complete, self.declared.arguments = False, None
            return
        value = {name: self.module.value(node) for name, node in given.items()}
        arity, action = self._arity(given, value)
        statement = self.module.parents[call]
        sure = statement in self.module.sure and not (
            self.module.scope_of(call) is self.module.scope_of(self.parse) and call.lineno > self.parse.lineno
        )
        if not names or not names[0].startswith("-"):
            if (
                self.declared.arguments is None
                or arity is None
                or not sure
                or None in given
                or action == "help"
            ):
                self.declared.arguments = None
                return
            name = names[0] if names else str(value.get("dest"))
            self.declared.arguments.append(Argument(name, call.lineno, *arity, self._type(given, value)))
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
                and LAUNCHERS_OPTIONS.isdisjoint(names),
                repeatable=arity == (0, 0) or action in ("append", "extend"),
                exits=action in ("help", "version"),
                type=self._type(given, value),
            )
        self.declared.options.append(option)
        if group in self.declared.required_groups:
            if statement in self.module.sure:
                self.declared.required_groups[group].append(option)
            else:
                del self.declared.required_groups[group]

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
            raise Unclear
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
        if name == "bool":
            return ValueType(Kind.TRUTH)
        if name not in kinds:
            return ANY_VALUE
        choices = value.get("choices")
        if not isinstance(choices, list | tuple | range) or not 0 < len(choices) <= 1000:
            return ValueType(kinds[name])
        if all(isinstance(choice, str | int | float) for choice in choices):
            return ValueType(Kind.CHOICE, choices=tuple(choices), converts_to=kinds[name])
        return ValueType(kinds[name])


def _place(node: ast.expr) -> tuple[float, int]:
    return node.lineno, node.col_offset
