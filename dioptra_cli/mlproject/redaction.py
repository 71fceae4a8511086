"""The text of an MLproject file without some of its values, and still YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
"""The anchor and the tag before a value: others may refer to it."""
_VALUES = ("default", "choices")


def redacted(text: str, is_secret: Callable[[str, str], bool], mask: str) -> str:
    """Return `text` with a mask for the defaults and choices of secret parameters, however they are written.

    Args:
        text: An MLproject file. What is no YAML is returned as it is.
        is_secret: Tells by the name of a parameter and a value.
        mask: What to write in their place, in quotes.
    """
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError:
        return text
    spans = {
        (value.start_mark.index, value.end_mark.index)
        for name, value in _values(root)
        if is_secret(name, str(value.value))
    }
    for start, end in sorted(spans, reverse=True):
        written = text[start:end]
        properties = _PROPERTIES.match(written)
        before = properties[0] if properties else ""
        after = written[len(written.rstrip()) :]  # a block scalar takes the end of its line along
        text = f'{text[:start]}{before}"{mask}"{after}{text[end:]}'
    return text


def _values(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield each default and each choice, with the name of its parameter."""
    for key, entry_points in _items(root):
        if key != "entry_points":
            continue
        for _, entry_point in _items(entry_points):
            for word, parameters in _items(entry_point):
                if word != "parameters":
                    continue
                for name, parameter in _items(parameters):
                    for what, value in _items(parameter):
                        if what in _VALUES:
                            yield from ((name, scalar) for scalar in _scalars(value))


def _items(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), value) for key, value in node.value)


def _scalars(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        yield from (item for item in node.value if isinstance(item, yaml.ScalarNode))
