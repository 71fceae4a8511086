"""A Python script as far as it decides what its command line takes: its names, and what surely runs.

Knows nothing of click and argparse.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

_OTHER_PARSERS = frozenset((
    "absl", "argh", "argparse_dataclass", "baker", "cappa", "cleo", "cliff", "clize", "configargparse",
    "cyclopts", "datargs", "defopt", "docopt", "fire", "getopt", "gflags", "hydra", "jsonargparse", "luigi",
    "optparse", "plac", "plumbum", "pydantic_settings", "sacred", "simple_parsing", "tap", "typed_settings",
    "typer", "tyro",
))  # fmt: skip
_OTHER_PARSER_NAMES = frozenset({"HfArgumentParser", "LightningCLI", "TrlParser", "from_cli"})

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Scope = ast.Module | ast.ClassDef | _Function
_INNER_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_UNKNOWN = object()


def own(*roots: ast.AST) -> Iterator[ast.AST]:
    """Walk below `roots` in order, not entering the bodies of functions and classes, whose names are their own."""
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
        stack.extend(reversed([*inside]))


def body(scope: Scope) -> list[ast.AST]:
    """Return the statements of a scope; the expression of a lambda."""
    return [scope.body] if isinstance(scope, ast.Lambda) else list(scope.body)


def bindings(scope: Scope) -> Counter[str]:
    """Count how often each name is bound in a scope itself."""
    bound: Counter[str] = Counter()
    for node in own(*body(scope)):
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
        for node in own(*body(scope)):
            if isinstance(node, ast.Global | ast.Nonlocal):
                for name in node.names:
                    del bound[name]
    return bound


class Module:
    """A parsed script: what its names mean, and which of its statements surely run."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.nodes = list(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.bound = bindings(tree)
        for node in self.nodes:
            if isinstance(node, ast.Global | ast.Nonlocal):
                for name in node.names:
                    self.bound[name] += 2
        self.functions = {
            node.name: node
            for node in own(*tree.body)
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
        self._loads: dict[Scope, defaultdict[str, list[ast.Name]]] = {}
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

    def loads(self, name: str, scope: Scope | None = None) -> list[ast.Name]:
        """Return every place that reads a name that belongs to `scope`, the module if None."""
        scope = scope or self.tree
        if scope not in self._loads:
            self._loads[scope] = found = defaultdict[str, list[ast.Name]](list)
            inner: list[tuple[Scope, frozenset[str]]] = [(scope, frozenset())]
            while inner:
                current, outside = inner.pop()
                hidden = outside if current is scope else outside.union(bindings(current))
                if not isinstance(current, ast.ClassDef):  # whose names its methods do not see
                    outside = hidden
                for node in own(*body(current)):
                    if (
                        isinstance(node, ast.Name)
                        and isinstance(node.ctx, ast.Load)
                        and node.id not in hidden
                    ):
                        found[node.id].append(node)
                    elif isinstance(node, _INNER_SCOPES):
                        inner.append((node, outside))
        return self._loads[scope][name]

    def scope_of(self, node: ast.AST) -> Scope:
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
            elif any(isinstance(node, ast.Return) for node in own(statement)):
                return False
            elif any(map(self._exits, own(statement))):
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
                if not any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own(*function.body)):
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


class Unclear(ValueError):
    """Something that decides what the command line takes, and that is not followed."""
