"""Reads a YAML file into nodes, with the place of everything and every problem on the way.

It accepts what MLflow accepts, which reads with PyYAML's Python parser, at the speed of
libyaml where both read alike. It knows nothing of MLproject files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import yaml

from dioptra_cli.errors import Level, Location, Problem, did_you_mean
from dioptra_cli.mlproject.positions import Source

Entries = Mapping[str, tuple[Any, Any]]
"""A mapping by key: the nodes of the key and of the value."""

_FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEP_NESTING = 1000
_LONG_TEXT = 1_000_000
_LARGEST_VALUE = 10_000
"""Nodes of a value, aliases expanded: a "billion laughs" value would take all memory as text."""


class Rejected(Exception):
    """The file cannot be read any further; the problem has been noted."""


class DocumentReader:
    """Reads one file of one YAML document.

    Args:
        path: The file, as messages show it.

    Attributes:
        source: The text, with the places of its nodes; empty until `root` has read it.
        problems: What has been noticed.
        entry_point: The entry point that problems belong to, while one is read.
    """

    def __init__(self, path: str) -> None:
        self.source = Source(path, "")
        self.problems: list[Problem] = []
        self.entry_point: str | None = None
        self._constructor: Any = None

    def root(self) -> Any:
        """Read the file; return the root node, None for an empty document.

        Raises:
            Rejected: The file cannot be read, or is no YAML.
        """
        self.source = Source(self.source.path, self._text())
        return self._document()

    def note(
        self,
        code: str,
        message: str,
        location: Location,
        *,
        level: Level = Level.ERROR,
        hint: str | None = None,
    ) -> None:
        """Note a problem."""
        self.problems.append(Problem(code, message, location, level, hint, self.entry_point))

    def reject(self, code: str, message: str, location: Location, hint: str | None = None) -> NoReturn:
        """Note a problem of the whole file, and read no further."""
        self.entry_point = None  # it concerns the whole file
        self.note(code, message, location, hint=hint)
        raise Rejected

    def _text(self) -> str:
        path = self.source.path
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            self.reject("unreadable-file", f"cannot read the file: {error.strerror}", Location(path))
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
            self.reject(
                "not-utf-8",
                f"the file is not UTF-8: byte 0x{data[error.start]:02x}",
                Location(path, line, column),
                "save it as UTF-8",
            )
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _document(self) -> Any:
        """Return the root node of the document; its scalars are constructible with `self._constructor`."""
        text = self.source.text
        fast = yaml.SafeLoader if _needs_python_parser(text) else _FAST_LOADER
        try:
            return self._compose(text, fast)
        except yaml.YAMLError:
            # The two parsers differ in rare cases, and MLflow uses the Python one: it has the last word.
            try:
                return self._compose(text, yaml.SafeLoader)
            except yaml.YAMLError as error:
                self.reject_yaml(error)
        except RecursionError:
            self.reject("invalid-yaml", "the YAML is nested too deeply", Location(self.source.path))

    def _compose(self, text: str, loader_class: Any) -> Any:
        self._constructor = loader_class(text)
        root = self._constructor.get_single_node()
        if root is not None:
            duplicates = list(_duplicate_keys(root))
            self._construct(root)
            for key in duplicates:
                self.note(
                    "duplicate-key",
                    f"the key '{key.value}' is written twice; only the last one counts",
                    self.source.at_mark(key.start_mark),
                    level=Level.WARNING,
                )
        return root

    def _construct(self, root: Any) -> None:
        """Construct the values of the whole document, which finds what only the constructor refuses.

        Beside YAML errors, such as for a `!!python/object` tag, it lets through those of Python's own types: there
        is no date 2021-02-30.
        """
        try:
            self._constructor.construct_document(root)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            for node in _scalars(root):
                try:
                    self._constructor.construct_object(node)
                except Exception:
                    self.reject(
                        "invalid-yaml",
                        f"YAML cannot read the value '{node.value}': {error}",
                        self.source.at_mark(node.start_mark),
                        "write it in quotes",
                    )
            self.reject("invalid-yaml", f"invalid YAML: {error}", Location(self.source.path))

    def reject_yaml(self, error: yaml.YAMLError) -> NoReturn:
        """Reject the file for what PyYAML says of it."""
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        location = self.source.at_mark(mark) if mark else Location(self.source.path)
        message = getattr(error, "problem", None) or str(error)
        context = getattr(error, "context", None)
        hint = None
        if "'\\t'" in message:
            hint = "YAML does not allow tabs for indentation: use spaces"
        elif "but got '{'" in message:
            hint = "put a text that holds braces in quotes"
        elif "another document" in message or "single document" in (context or ""):
            hint = "the file must hold one YAML document: remove the second '---'"
        self.reject(
            "invalid-yaml", f"invalid YAML: {message}" + (f", {context}" if context else ""), location, hint
        )

    def value(self, node: Any) -> Any:
        """Return the Python value of a node."""
        return self._constructor.construct_object(node, deep=True)

    def text_of(self, node: Any) -> str | None:
        """Return a node's value as text, None for null; too large a value is noted and becomes an empty text."""
        if _is_huge(node):
            self.note(
                "default-too-large",
                "this value is too large, or refers to itself",
                self.source.at_mark(node.start_mark),
            )
            return ""
        value = self.value(node)
        return None if value is None else str(value)

    def mapping(self, node: Any) -> dict[str, tuple[Any, Any]]:
        """Return `{key: (key node, value node)}`; a later key overrides an earlier one."""
        entries: dict[str, tuple[Any, Any]] = {}
        for key, value in node.value:
            name = self.value(key)
            if not isinstance(name, str):
                self.note(
                    "key-is-not-text",
                    f"YAML reads the name '{self.source.raw(key)}' as {name!r}",
                    self.source.at_mark(key.start_mark),
                    level=Level.WARNING,
                    hint=f"write it in quotes: '{self.source.raw(key)}'",
                )
            entries[str(name)] = (key, value)
        return entries

    def require_mapping(self, node: Any, what: str, example: str) -> dict[str, tuple[Any, Any]]:
        """Return the entries of a node that must be a mapping, or reject the file."""
        if not isinstance(node, yaml.MappingNode):
            self.reject(
                "wrong-structure",
                f"{what} must be a mapping, not {kind_of(node)}",
                self.source.at_mark(node.start_mark),
                f"write {example}",
            )
        return self.mapping(node)

    def unknown_keys(self, entries: Entries, known: tuple[str, ...], what: str) -> None:
        """Note the keys that are not among `known`, with what was meant."""
        for name, (key, _) in entries.items():
            if name in known:
                continue
            first = name.replace(":", " ").split(" ", 1)[0]
            if first in known and first != name:
                hint: str | None = f"write '{first}: …' with a blank after the colon"
                message = f"'{name}' is read as one key, so '{first}' is lost"
            else:
                hint = did_you_mean(name, known)
                message = f"unknown key '{name}' in {what}"
            self.note(
                "unknown-key", message, self.source.at_mark(key.start_mark), level=Level.WARNING, hint=hint
            )


def _needs_python_parser(text: str) -> bool:
    """Return whether libyaml would not read `text` as the Python parser, MLflow's, does.

    It accepts tabs, and comments behind `>` and `|`, in places where the other does not, and it crashes on deep
    nesting.
    """
    return (
        any(trap in text for trap in ("\t", ">#", "|#"))
        or len(text) > _LONG_TEXT
        or sum(map(text.count, ("[", "{", "- ", "? "))) > _DEEP_NESTING
    )


def kind_of(node: Any) -> str:
    """Name what a node is, in the words of a person."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if node.tag == "tag:yaml.org,2002:null":
        return "empty"
    return f"'{node.value}'" if len(node.value) <= 40 else f"the text '{node.value[:40]}…'"


def _nodes(root: Any) -> Iterator[Any]:
    """Yield every node below `root` once, aliases included."""
    stack, visited = [root], set()
    while stack:
        node = stack.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        yield node
        if isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            for pair in node.value:
                stack.extend(pair)


def _scalars(root: Any) -> Iterator[Any]:
    return (node for node in _nodes(root) if isinstance(node, yaml.ScalarNode))


def _duplicate_keys(root: Any) -> Iterator[Any]:
    """Yield each key node that repeats an earlier key of its mapping."""
    for node in _nodes(root):
        if not isinstance(node, yaml.MappingNode):
            continue
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    yield key
                seen.add((key.tag, key.value))


def _is_huge(node: Any) -> bool:
    """Return whether a node has more than `_LARGEST_VALUE` nodes with its aliases expanded, or is recursive."""
    if isinstance(node, yaml.ScalarNode):
        return False
    count, stack = 0, [node]
    while stack:
        count += 1
        if count > _LARGEST_VALUE:
            return True
        current = stack.pop()
        if isinstance(current, yaml.SequenceNode):
            stack.extend(current.value)
        elif isinstance(current, yaml.MappingNode):
            for pair in current.value:
                stack.extend(pair)
    return False
