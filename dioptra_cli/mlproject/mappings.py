"""Reads mappings whose keys are known, and says what an unknown one was meant to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from dioptra_cli.errors import Edit
from dioptra_cli.mlproject import keys
from dioptra_cli.mlproject.document import DocumentReader, Entries, is_empty, kind_of

Explain = Callable[[str, Any, Any], bool | str | None]
"""Takes the text and the nodes of an unknown key and its value; returns a hint, or whether all has been said."""


class MappingReader(DocumentReader):
    """Reads a file of mappings with known keys."""

    def unknown_keys(
        self, entries: Entries, known: tuple[str, ...], what: str, explain: Explain | None = None
    ) -> None:
        """Note the keys that are not among `known`, with what was meant.

        Args:
            entries: The mapping.
            known: The keys that may stand in it.
            what: What it is, for messages.
            explain: Knows more of what an unknown key may mean here.
        """
        for name, (key, value) in entries.items():
            if name in known:
                continue
            explanation = explain(name, key, value) if explain else None
            if explanation is not True:
                self._unknown_key(name, key, value, entries, known, what, explanation or None)

    def _unknown_key(
        self,
        name: str,
        key: Any,
        value: Any,
        entries: Entries,
        known: tuple[str, ...],
        what: str,
        hint: str | None,
    ) -> None:
        meant = keys.meaning(name, known, entries, empty=is_empty(value))
        fix: tuple[Edit, ...] = ()
        if meant.replaced is not None and not key.style:
            fix = self.replacement(key, meant.replaced, meant.by)
        if meant.problem == "lost-key":
            lost = f"lost-{meant.key}" if meant.key in ("type", "default") else "lost-key"
            message = f"'{name}' is read as one key, so '{meant.key}' is lost"
            self.note(lost, message, self.source.at(key), meant.hint, fix=fix)
        else:
            message = f"unknown key '{name}' in {what}"
            self.note("unknown-key", message, self.source.at(key), meant.hint or hint, fix=fix)

    def description(self, entries: Entries) -> str | None:
        """Return the description among `entries`, on one line."""
        if "description" not in entries:
            return None
        node = entries["description"][1]
        if not isinstance(node, yaml.ScalarNode):
            self.note(
                "description-not-text",
                f"a description must be text, not {kind_of(node)}",
                self.source.at(node),
                "write it in quotes",
            )
            return None
        text = self.text_of(node)
        return " ".join(text.split()) if text else None

    def replacement(self, node: Any, written: str, by: str) -> tuple[Edit, ...]:
        """Return the edit that replaces the beginning of a scalar, if it stands in the file as it is read."""
        mark = node.start_mark
        if not self.source.text.startswith(written, mark.index):
            return ()
        return (Edit(mark.line + 1, mark.column + 1, len(written), by),)
