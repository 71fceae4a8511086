from __future__ import annotations

import itertools
import json
import shlex
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra_cli.parameters.secrets import MASK, Masker, is_secret, shown, without_credentials


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "x"),
        ("db_password", "12345"),
        ("DB_PASSWD", "x"),
        ("userPassword", "x"),
        ("token", "x"),
        ("hf_token", "hf_abc"),
        ("GITHUB_TOKEN", "x"),
        ("my_token_file", "/x"),
        ("client-secret", "x"),
        ("api_key", "x"),
        ("OPENAI_API_KEY", "x"),
        ("ssh_private_key", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SESSION_TOKEN", "x"),
        ("AZURE_STORAGE_CONNECTION_STRING", "x"),
        ("credentials", "x"),
        ("pwd", "x"),
        ("http_auth", "x"),
    ],
)
def test_names_of_secrets(name: str, value: str) -> None:
    assert is_secret(name, value)
    assert shown(name, value) == MASK


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "5"),
        ("tokenizer", "bert-base"),
        ("tokeniser_name", "x"),
        ("max_tokens", "512"),
        ("pad_token", "[PAD]"),
        ("use_auth_token", "true"),
        ("password", ""),
        ("key", "x"),
        ("monkey", "x"),
        ("author", "x"),
        ("passes", "3"),
        ("compass", "north"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_PROFILE", "work"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
        ("PWD", "/home/ada"),
        ("OLDPWD", "/home/ada"),
    ],
)
def test_names_of_other_things(name: str, value: str) -> None:
    assert not is_secret(name, value)
    assert shown(name, value) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://ada:s3cret@db:5432/x", "postgres://***@db:5432/x"),
        ("https://ghp_token@github.com/a/b", "https://***@github.com/a/b"),
        ("https://h/x ftp://a:b@c/d", "https://h/x ftp://***@c/d"),
        ("http://ada:p@ss@host/x", "http://***@host/x"),
        (
            "https://b.s3.test/k?X-Amz-Date=1&X-Amz-Signature=ab12#x",
            "https://b.s3.test/k?X-Amz-Date=1&X-Amz-Signature=***#x",
        ),
        ("https://h/x?page=2&sort=key", "https://h/x?page=2&sort=key"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("ssh://git:pw@host/x", "ssh://***@host/x"),
        ("abfss://container@account/x", "abfss://container@account/x"),
        ("git@host:a/b.git", "git@host:a/b.git"),
        ("https://host/@scope/pkg", "https://host/@scope/pkg"),
        ("mail ada@example.org", "mail ada@example.org"),
    ],
)
def test_urls_without_credentials(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


def test_a_secret_is_found_in_every_form_that_it_is_written_in() -> None:
    secret = 'it\'s "my" käy/1&2'
    masker = Masker({"api_key": secret})
    for form in (secret, shlex.quote(secret), json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        assert masker(f"<{form}>") in (f"<{MASK}>", f'<"{MASK}">')
    assert masker(quote(secret, safe="")) == MASK


def test_passwords_in_urls_are_secrets_by_themselves() -> None:
    masker = Masker({"store": "postgres://ada:hunter2@db/x", "repository": "https://ghp_abc@github.com/a"})
    assert masker("hunter2 ghp_abc ada") == "*** *** ada"


def test_short_and_plain_values_are_not_looked_for_in_texts() -> None:
    masker = Masker({"password": "abc", "use_token": "true", "name": "Ada"})
    assert not masker
    assert masker("abc true Ada") == "abc true Ada"
    assert masker.stream() is None


def test_of_two_secrets_that_begin_alike_the_longer_is_masked_whole() -> None:
    masker = Masker({"token": "abcd", "other_token": "abcdefgh"})
    assert masker("abcdefgh abcd") == "*** ***"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"hunter2", b"hunt", b"er2", b"h", b"\xff\x00", b"\n", b"token", b"x"]), max_size=30
    ),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_a_stream_is_masked_alike_however_it_is_cut(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    stream = Masker({"password": "hunter2", "token": "hunthunt"}).stream()
    assert stream is not None
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = b"".join(stream.feed(data[a:b]) for a, b in itertools.pairwise(edges)) + stream.finish()
    assert b"hunter2" not in out
    if b"hunthunt" not in data:
        assert out == data.replace(b"hunter2", b"***")


def test_a_stream_holds_back_no_more_than_the_beginning_of_a_secret() -> None:
    stream = Masker({"password": "hunter2"}).stream()
    assert stream is not None
    assert stream.feed(b"Name? hun") == b"Name? "
    assert stream.feed(b"ger\n") == b"hunger\n"
