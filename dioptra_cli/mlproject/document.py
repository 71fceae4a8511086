"""Reads a YAML file into nodes, with the place of everything and every problem on the way.

It accepts what MLflow accepts, which reads with PyYAML's Python parser, at the speed of
libyaml where both read alike. It knows nothing of MLproject files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import yaml

from dioptra_cli.errors import Edit, Location, Problem
from dioptra_cli.mlproject.catalogue import level_of
from dioptra_cli.mlproject.positions import Source

Entries = Mapping[str, tuple[Any, Any]]
"""A mapping by key: the nodes of the key and of the value."""

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
NULL = "tag:yaml.org,2002:null"
"""The tag of a node without a value."""
_MAPPING = "tag:yaml.org,2002:map"
_LIST = "tag:yaml.org,2002:seq"
_SINGLE_VALUES = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "timestamp")
)
_RARE_LINE_ENDS = "\x85\u2028\u2029"
_DEEP_NESTING = 1000
_GLUED_COMMENT = re.compile(r"[|>][-+0-9]*#")
_LONG_TEXT = 1_000_000
_LARGEST_MERGE = 200_000
_LARGEST_VALUE = 10_000
"""Nodes of a value, aliases expanded: a "billion laughs" value would take all memory as text."""


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Scalar, _Sequence, _Mapping = yaml.ScalarNode, yaml.SequenceNode, yaml.MappingNode
_RESOLVERS: Mapping[str, list[tuple[str, re.Pattern[str]]]] = _Base.yaml_implicit_resolvers
_CONSTRUCTORS: Mapping[str, Callable[[Any, Any], Any]] = _Base.yaml_constructors


class _FastLoader(_Base):  # type: ignore[misc]  # chosen at run time
    """libyaml's loader, with PyYAML's rule for the tag of a plain scalar in fewer steps: it is asked for each."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Return the tag of a node that has none."""
        if kind is _Scalar:
            if implicit[0]:
                for tag, pattern in _RESOLVERS.get(value[:1], ()):
                    if pattern.match(value):
                        return tag
            return _TEXT
        return _MAPPING if kind is _Mapping else _LIST


class Rejected(Exception):
    """The file cannot be read any further; the problem has been noted."""


class DocumentReader:
    """Reads one file of one YAML document.

    Args:
        path: The file, as messages show it.
        data: Its content, where it is not to be read from the file.

    Attributes:
        source: The text, with the places of its nodes; empty until `root` has read it.
        problems: What has been noticed.
        refused: Whether MLflow would not accept the file.
        entry_point: The entry point that problems belong to, while one is read.
        shared: The identities of the nodes that others refer to by `*name`.
    """

    def __init__(self, path: str, data: bytes | None = None) -> None:
        self.source = Source(path, "")
        self.problems: list[Problem] = []
        self.refused = False
        self.entry_point: str | None = None
        self.shared: frozenset[int] | set[int] = frozenset()
        self._data = data
        self._constructor: Any = None
        # What is known of nodes of a document in which each can be read by itself.
        self._values: dict[Any, Any] = {}
        self._entries: dict[Any, dict[str, tuple[Any, Any]]] = {}

    def root(self) -> Any:
        """Read the file; return the root node, None for an empty document.

        Raises:
            Rejected: The file cannot be read, or is no YAML.
        """
        self.source = Source(self.source.path, self._text())
        return self._document()

    def note(
        self,
        name: str,
        message: str,
        location: Location,
        hint: str | None = None,
        *,
        fix: tuple[Edit, ...] = (),
    ) -> None:
        """Note a problem."""
        self.problems.append(Problem(name, message, location, level_of(name), hint, self.entry_point, fix))

    def refuse(
        self,
        name: str,
        message: str,
        location: Location,
        hint: str | None = None,
        *,
        fix: tuple[Edit, ...] = (),
    ) -> None:
        """Note a problem for which MLflow does not accept the file, and read on."""
        self.refused = True
        self.note(name, message, location, hint, fix=fix)

    def reject(
        self,
        name: str,
        message: str,
        location: Location,
        hint: str | None = None,
        *,
        fix: tuple[Edit, ...] = (),
    ) -> NoReturn:
        """Note a problem of the whole file, and read no further."""
        self.refused = True
        self.entry_point = None  # it concerns the whole file
        self.note(name, message, location, hint, fix=fix)
        raise Rejected

    def content(self) -> bytes:
        """Return the content of the file; raises OSError where it cannot be read."""
        with open(self.source.path, "rb") as file:
            return file.read()

    def _text(self) -> str:
        path = self.source.path
        data = self._data
        if data is None:
            try:
                data = self.content()
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
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

    def _document(self) -> Any:
        """Return the root node of the document; its scalars are constructible with `self._constructor`."""
        text = self.source.text
        fast = yaml.SafeLoader if _needs_python_parser(text) else _FastLoader
        try:
            try:
                return self._compose(text, fast)
            except yaml.YAMLError:
                # The two parsers differ in rare cases, and MLflow uses the Python one: it has the last word.
                return self._compose(text, yaml.SafeLoader)
        except yaml.YAMLError as error:
            self.reject_yaml(error)
        except RecursionError:
            self.reject_nesting()

    def reject_nesting(self) -> NoReturn:
        """Reject a file that is nested too deeply for Python's stack."""
        self.reject(
            "nested-too-deeply",
            "the YAML is nested too deeply to be read",
            Location(self.source.path, 1, 1),
            "an MLproject file needs five levels",
        )

    def _compose(self, text: str, loader_class: Any) -> Any:
        self._constructor = loader_class(text)
        root = self._constructor.get_single_node()
        if root is not None and any(char in text for char in _RARE_LINE_ENDS):
            for node in _nodes(root):
                node.start_mark, node.end_mark = map(self._mark, (node.start_mark, node.end_mark))
        if root is not None:
            survey = _Survey(root)
            self.shared = survey.shared
            if survey.plain:
                self._construct_scalars(survey.scalars)
                self._entries = survey.entries
            else:
                self._construct(root)
            for key, first in survey.duplicates:
                self.note(
                    "duplicate-key",
                    f"the key '{key.value}' is written twice; only the last one counts",
                    self.source.at(key),
                    "the first one is "
                    + (
                        "on the same line"
                        if first.start_mark.line == key.start_mark.line
                        else f"on line {first.start_mark.line + 1}"
                    )
                    + ": remove or rename one of them",
                )
        return root

    def _construct_scalars(self, scalars: Iterable[Any]) -> None:
        """Construct what is no text, which finds what only the constructor refuses: there is no date 2021-02-30."""
        for node in scalars:
            try:
                if node.tag in _SINGLE_VALUES:  # what `construct_object` comes to, in fewer steps
                    self._values[node] = _CONSTRUCTORS[node.tag](self._constructor, node)
                else:
                    self._constructor.construct_object(node)
            except yaml.YAMLError:
                raise
            except Exception as error:
                self.reject(
                    "impossible-value",
                    f"YAML cannot read the value '{node.value}': {error}",
                    self.source.at(node),
                    "write it in quotes",
                )

    def _construct(self, root: Any) -> None:
        """Construct the values of the whole document, which also merges the mappings of `<<` keys."""
        if _merged_entries(root) > _LARGEST_MERGE:
            self.reject(
                "value-too-large",
                "the '<<' keys of this file merge too much, or a mapping into itself",
                self.source.at_mark(root.start_mark),
                "write the mappings out",
            )
        try:
            self._constructor.construct_document(root)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            self._construct_scalars(_scalars(root))
            self.reject("impossible-value", f"invalid YAML: {error}", Location(self.source.path))

    def reject_yaml(self, error: yaml.YAMLError) -> NoReturn:
        """Reject the file for what PyYAML says of it."""
        from dioptra_cli.mlproject import yaml_errors

        for name in ("problem_mark", "context_mark"):
            if getattr(error, name, None) is not None:
                setattr(error, name, self._mark(getattr(error, name)))
        refusal = yaml_errors.explain(error, self.source)
        self.reject(refusal.name, refusal.message, refusal.location, refusal.hint, fix=refusal.fix)

    def _mark(self, mark: Any) -> Any:
        """Return a mark in lines that end in line feeds, as editors count them; YAML knows more line ends."""
        place = self.source.at_index(mark.index)
        return yaml.Mark(mark.name, mark.index, (place.line or 1) - 1, (place.column or 1) - 1, None, 0)

    def value(self, node: Any) -> Any:
        """Return the Python value of a node."""
        if node.tag == _TEXT and node.__class__ is _Scalar:
            return node.value
        if node in self._values:
            return self._values[node]
        return self._constructor.construct_object(node, deep=True)

    def text_of(self, node: Any) -> str | None:
        """Return a node's value as text, None for null; too large a value is noted and becomes an empty text."""
        if node.tag == _TEXT and node.__class__ is _Scalar:
            text: str = node.value
            return text
        if node.__class__ is not _Scalar and _is_huge(node):
            self.note(
                "value-too-large",
                "this value is too large, or refers to itself",
                self.source.at(node),
                f"its references stand for more than {_LARGEST_VALUE:,} values: write it out, or in a file",
            )
            return ""
        value = self.value(node)
        try:
            return None if value is None else str(value)
        except ValueError:  # Python writes no number of more than some thousand digits
            self.note(
                "value-too-large", "this number is too large", self.source.at(node), "write it in quotes"
            )
            return ""

    def mapping(self, node: Any) -> dict[str, tuple[Any, Any]]:
        """Return `{key: (key node, value node)}`; a later key overrides an earlier one."""
        return self._entries.get(node) or {
            key.value if key.tag == _TEXT else str(self.value(key)): (key, value) for key, value in node.value
        }

    def names(self, node: Any) -> dict[str, tuple[Any, Any]]:
        """Return the entries of a mapping whose keys are names that people choose."""
        for key, _ in () if node in self._entries else node.value:
            if key.tag != _TEXT:
                written = self.source.raw(key)
                self.note(
                    "key-is-not-text",
                    f"YAML reads the name '{written}' as {self.value(key)!r}",
                    self.source.at(key),
                    f"write it in quotes: '{written}'",
                )
        return self.mapping(node)


class _Survey:
    """One look at every node of a document.

    Attributes:
        plain: Whether each node can be constructed by itself: no merge keys, no keys that are mappings, no tags but
            YAML's own for single values.
        scalars: The scalars that are no text.
        duplicates: Each key that repeats an earlier one of its mapping, and the earlier one.
        shared: The identities of the mappings and lists that stand in several places.
        entries: The entries of each mapping whose keys are all texts.
    """

    def __init__(self, root: Any) -> None:
        self.plain = True
        self.scalars: list[Any] = []
        self.duplicates: list[tuple[Any, Any]] = []
        self.shared: set[int] = set()
        self.entries: dict[Any, dict[str, tuple[Any, Any]]] = {}
        stack, visited = [root], set()
        while stack:
            node = stack.pop()
            kind = node.__class__
            if kind is _Scalar:
                self._scalar(node)
            elif id(node) in visited:
                self.shared.add(id(node))
            else:
                visited.add(id(node))
                if kind is _Sequence:
                    self.plain = self.plain and node.tag == _LIST
                    stack.extend(node.value)
                else:
                    self.plain = self.plain and node.tag == _MAPPING
                    self._mapping(node, stack)

    def _scalar(self, node: Any) -> None:
        if node.tag != _TEXT:
            self.scalars.append(node)
            self.plain = self.plain and node.tag in _SINGLE_VALUES

    def _mapping(self, node: Any, stack: list[Any]) -> None:
        entries: dict[str, tuple[Any, Any]] = {}
        texts = True
        for entry in node.value:
            key, value = entry
            if value.__class__ is not _Scalar or value.tag != _TEXT:
                stack.append(value)
            if key.__class__ is _Scalar and key.tag == _TEXT:
                entries[key.value] = entry
            else:
                texts = False
        if texts:
            self.entries[node] = entries
        if not texts or len(entries) < len(node.value):
            self._keys(node)

    def _keys(self, node: Any) -> None:
        """Look at the keys of a mapping of which some are no texts, or are repeated."""
        keys: dict[Any, Any] = {}
        for key, _ in node.value:
            if key.__class__ is not _Scalar:
                self.plain = False
                continue
            tag = key.tag
            if tag != _TEXT:
                self._scalar(key)
                if tag == _MERGE:
                    continue
            first = keys.setdefault(key.value if tag == _TEXT else (tag, key.value), key)
            if first is not key:
                self.duplicates.append((key, first))


def _needs_python_parser(text: str) -> bool:
    """Return whether libyaml would not read `text` as the Python parser, MLflow's, does.

    It accepts tabs, '?' in `{…}`, a second byte order mark, and comments behind `>` and `|`, in places where the
    other does not; it reads a bare '!' as text, and it crashes on deep nesting.
    """
    return (
        any(trap in text for trap in ("\t", "?", "!", "\ufeff"))
        or ("#" in text and _GLUED_COMMENT.search(text) is not None)
        or len(text) > _LONG_TEXT
        or sum(map(text.count, ("[", "{", "- ", "? "))) > _DEEP_NESTING
    )


def _merged_entries(root: Any) -> int:
    """Return how many entries the mappings below `root` have once merged; more than the limit stands for any."""
    sizes: dict[int, int] = {}

    def size(node: Any, depth: int) -> int:
        if isinstance(node, yaml.SequenceNode):
            return sum(size(item, depth) for item in node.value)
        if not isinstance(node, yaml.MappingNode):
            return 0
        if id(node) not in sizes:
            if depth > 100:
                return _LARGEST_MERGE + 1
            sizes[id(node)] = _LARGEST_MERGE + 1  # of one that merges itself
            sizes[id(node)] = sum(size(v, depth + 1) if k.tag == _MERGE else 1 for k, v in node.value)
        return sizes[id(node)]

    return sum(size(node, 0) for node in _nodes(root) if isinstance(node, yaml.MappingNode))


def is_mapping(node: Any) -> bool:
    """Return whether a node is a mapping, and no set."""
    return isinstance(node, yaml.MappingNode) and node.tag == _MAPPING


def is_empty(node: Any) -> bool:
    """Return whether nothing is written in the place of a value; `null` and `~` are something."""
    return bool(node.tag == NULL and not node.value)


def kind_of(node: Any) -> str:
    """Name what a node is, in the words of a person."""
    if isinstance(node, yaml.MappingNode) and node.tag != _MAPPING:
        return "a set"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if node.tag == NULL:
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
