"""What click makes of a script's declarations."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
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
from dioptra_cli.validation.scripts.module import Module, Unclear

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


class ClickReader:
    """Reads a script whose command line is a click command."""

    def __init__(self, module: Module) -> None:
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
            raise Unclear
        made = makers[0].func if isinstance(makers[0], ast.Call) else makers[0]
        is_group = (self.module.dotted(made) or ast.unparse(made)).endswith("group")
        settings = self._settings(makers[0])
        if is_group:
            unknown = settings.keys() - _HARMLESS_SETTINGS - {"add_help_option"}
            if unknown:
                raise Unclear
        subcommands = self._subcommands(name, uses, is_group)
        return replace(self._parameters(function, makers[0], settings), **subcommands)

    def _settings(self, maker: ast.expr) -> dict[str, Any]:
        """Return the settings of a command that matter, `context_settings` among them."""
        settings: dict[str, Any] = {}
        for keyword in maker.keywords if isinstance(maker, ast.Call) else ():
            if keyword.arg not in _COMMAND_SETTINGS:
                raise Unclear
            if keyword.arg == "add_help_option":
                settings["add_help_option"] = self.module.value(keyword.value)
            elif keyword.arg == "context_settings":
                settings |= self._context_settings(keyword.value)
        if isinstance(maker, ast.Call) and len(maker.args) > 1:
            raise Unclear
        return settings

    def _context_settings(self, node: ast.expr) -> dict[str, Any]:
        if isinstance(node, ast.Name) and node.id in self.module.constants:
            # Anything else than passing it on could change it.
            if not all(
                isinstance(self.module.parents[load], ast.keyword) for load in self.module.loads(node.id)
            ):
                raise Unclear
            node = self.module.constants[node.id]
        if isinstance(node, ast.Dict):
            pairs = [
                (self.module.value(key), value) for key, value in zip(node.keys, node.values, strict=True)
            ]
        elif isinstance(node, ast.Call) and self.module.dotted(node.func) == "dict" and not node.args:
            pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
        else:
            raise Unclear
        if not all(isinstance(key, str) for key, _ in pairs):
            raise Unclear
        return {key: self.module.value(value) for key, value in pairs}

    def _subcommands(self, name: str, uses: set[ast.Name], is_group: bool) -> dict[str, Any]:
        found: dict[str, Interface] = {}
        for load in self.module.loads(name):
            if load in uses:
                continue
            attribute = self.module.parents[load]
            if not (is_group and isinstance(attribute, ast.Attribute)):
                raise Unclear
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
                    raise Unclear
                named = call.args[1:] + [k.value for k in call.keywords if k.arg == "name"]
                child, child_uses = call.args[0].id, {call.args[0]}
            else:
                maker = call if isinstance(call, ast.Call) else attribute
                function = self.module.parents[maker]
                if not (
                    isinstance(function, ast.FunctionDef) and self.commands.get(function.name) is function
                ):
                    raise Unclear
                named, child, child_uses = [], function.name, set()
            interface = self._command(child, child_uses)
            for key in self._names(self.commands[child], named):
                if key in found:
                    raise Unclear
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
                raise Unclear
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
            raise Unclear
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
            raise Unclear
        names = [name for option in options for name in option.names]
        if len({*names}) < len(names):
            raise Unclear
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
                raise Unclear
            first, slash, second = text.partition("/")
            secondary = secondary or bool(slash and second.strip())
            names += [part.strip() for part in (first, second) if part.strip()]
        names = names or list(_OPTION_DECORATORS[decorator])
        if not names or not all(name.startswith("-") and name.strip("-") for name in names):
            raise Unclear
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
        required = required and LAUNCHERS_OPTIONS.isdisjoint(names)
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
