from __future__ import annotations

import pytest
import yaml

from dioptra_cli.mlproject.redaction import redacted
from dioptra_cli.parameters.secrets import is_secret

FORMS = [
    "{db_password: {type: string, default: KeyKey123}, other: {default: 1}}",
    "{db_password: {default: 'It''s KeyKey123'}, other: {default: 1}}",
    '{db_password: {default: "Key\\x4beyKey123"}, other: {default: 1}}',
    "\n      db_password:\n        default: |\n          KeyKey123\n          more\n      other: {default: 1}\n",
    "\n      db_password:\n        default: >-\n          KeyKey123\n\n          KeyKey123\n      other: {}\n",
    "\n      db_password:\n        default:\n          KeyKey123\n          KeyKey123 # why\n      other: {}\n",
    "{db_password: {default: &key !!str KeyKey123, choices: [KeyKey123, *key]}, other: {default: 1}}",
    "{db_password: {default: KeyKey123}, other: {default: 1}}  # € ü 😀",
]


@pytest.mark.parametrize("form", FORMS)
def test_secret_defaults_are_masked_and_the_rest_stays_yaml(form: str) -> None:
    text = (
        f"name: päth 😀\nentry_points:\n  main:\n    parameters: {form}\n    command: echo {{db_password}}\n"
    )
    masked = redacted(text, is_secret, "***")
    assert "KeyKey123" not in masked.replace("x4b", "K")
    before, after = yaml.safe_load(text), yaml.safe_load(masked)
    default = after["entry_points"]["main"]["parameters"]["db_password"].pop("default")
    assert str(default).strip() == "***"
    for content in (before, after):
        for word in ("default", "choices"):
            content["entry_points"]["main"]["parameters"]["db_password"].pop(word, None)
    assert before == after


@pytest.mark.parametrize(
    "text", ["{", "", "- 1", "entry_points: 3", "entry_points: {main: {parameters: [1]}}"]
)
def test_what_is_no_project_stays_as_it_is(text: str) -> None:
    assert redacted(text, is_secret, "***") == text
