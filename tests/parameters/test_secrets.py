from __future__ import annotations

import itertools
import json
import shlex
import tracemalloc
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
        ("dbpass", "x"),
        ("userPass", "x"),
        ("SLACK_WEBHOOK", "x"),
        ("sentry_dsn", "x"),
        ("conn_str", "x"),
        ("OPENAI_KEY", "x"),
        ("api_token", "12345678"),
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
        ("bypass", "x"),
        ("first_token_id", "12"),
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
        ("https://me:p?q#r@host/x", "https://***@host/x"),
        ("https://host:80?a=b@c", "https://host:80?a=b@c"),
        ("postgresql://ada:a/b1234@host:5432/db", "postgresql://***@host:5432/db"),
        ("postgresql://host:5432/db?a=x@y", "postgresql://host:5432/db?a=x@y"),
        ("jdbc:sqlserver://h:1433;user=a;password=b;x=1", "jdbc:sqlserver://h:1433;user=a;password=***;x=1"),
        ("https://h/#access_token=ab", "https://h/#access_token=***"),
        ("https://maps.test/v1?key=AIza1&q=x", "https://maps.test/v1?key=***&q=x"),
        ("https://to@ken@host/x", "https://***@host/x"),
        (
            "at 'https://me:it's@host/x', 'https://host:80' or a@b",
            "at 'https://***@host/x', 'https://host:80' or a@b",
        ),
        (
            "https://h/x?a?AWSAccessKeyId=a&pat=b&my_auth=c&author=d",
            "https://h/x?a?AWSAccessKeyId=***&pat=***&my_auth=***&author=d",
        ),
        ("https://h/x?to=https://h/y?token=ab?cd&n=1", "https://h/x?to=https://h/y?token=***&n=1"),
    ],
)
def test_urls_without_credentials(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://token@host/x?sig=a&n=1", "https://host/x?sig=***&n=1"),
        ("https://me:se@cret@host:80/x@v1", "https://host:80/x@v1"),
        ("s3://token@bucket/x", "s3://bucket/x"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("ssh://git:password@host/x", "ssh://git@host/x"),
        ("ssh://:password@host/x", "ssh://host/x"),
        ("abfss://container@account/x", "abfss://container@account/x"),
        ("file:///a@b", "file:///a@b"),
    ],
)
def test_urls_that_can_be_used_again(url: str, expected: str) -> None:
    assert without_credentials(url, mask="") == expected
    assert without_credentials(expected, mask="") == expected


def test_a_secret_is_found_in_every_form_that_it_is_written_in() -> None:
    secret = 'it\'s "my" käy/1&2'
    masker = Masker({"api_key": secret})
    for form in (secret, shlex.quote(secret), json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        assert masker(f"<{form}>") in (f"<{MASK}>", f'<"{MASK}">')
    assert masker(quote(secret, safe="")) == MASK


def test_a_secret_is_found_in_what_python_and_bash_make_of_it() -> None:
    secret = "Par'am\"Pw\n2nd line"
    masker = Masker({"password": secret})
    for text in (repr(secret), repr([secret]), repr(repr(secret)), str(ValueError(secret).args)):
        assert "Pw" not in masker(text), text
    assert masker("+Par'am\"Pw\n+2nd line") == "+***\n+***"
    assert masker("$'it'\\''s'") == "$'it'\\''s'"


def test_a_long_text_takes_no_longer_than_it_is() -> None:
    for text in (
        "a" * 300_000,
        "a://" * 50_000,
        "https://h/x " + "a" * 300_000,
        "?token" * 50_000,
        ":" * 300_000,
    ):
        assert len(without_credentials(f"https://h/ {text}")) >= len(text)


def test_passwords_in_urls_are_secrets_by_themselves() -> None:
    assert Masker({"url": "https://ada:p%40ss@h/x"})("p%40ss and p@ss1") == "*** and p@ss1"
    masker = Masker({"store": "postgres://ada:hunter2@db/x", "repository": "https://ghp_abc@github.com/a"})
    assert masker("hunter2 ghp_abc ada") == "*** *** ada"


def test_short_and_plain_values_are_not_looked_for_in_texts() -> None:
    masker = Masker({"password": "root", "use_token": "true", "name": "Ada"})
    assert not masker
    assert masker("root true Ada") == "root true Ada"
    assert masker.stream() is None


def test_of_two_secrets_that_begin_alike_the_longer_is_masked_whole() -> None:
    masker = Masker({"token": "abcde", "other_token": "abcdefgh"})
    assert masker("abcdefgh abcde") == "*** ***"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"hunter2", b"hunt", b"er2", b"h", b"\xff\x00", b"\n", b"2more", b"x"]), max_size=30
    ),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_a_stream_is_masked_alike_however_it_is_cut(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    secrets = {"password": "hunter2", "token": "hunthunt", "api_key": "hunter2more", "secret": "r2more"}
    whole = Masker(secrets)(data.decode("latin-1")).encode("latin-1")
    stream = Masker(secrets).stream()
    assert stream is not None
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = b"".join(stream.feed(data[a:b]) for a, b in itertools.pairwise(edges)) + stream.finish()
    assert out == whole


def test_a_long_secret_costs_no_more_than_its_length() -> None:
    key = "".join(chr(33 + (7 * i + i // 90) % 90) for i in range(20_000))
    stream = Masker({"private_key": key}).stream()
    assert stream is not None
    tracemalloc.start()
    out = b"".join(stream.feed(piece) for piece in (b"x" * 65536, key[:9000].encode(), key[9000:].encode()))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert out + stream.finish() == b"x" * 65536 + b"***"
    assert most < 5_000_000


def test_a_stream_holds_back_no_more_than_the_beginning_of_a_secret() -> None:
    stream = Masker({"password": "hunter2"}).stream()
    assert stream is not None
    assert stream.feed(b"Name? hun") == b"Name? "
    assert stream.feed(b"ger\n") == b"hunger\n"
