"""What each parameter type accepts, and what it makes of a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dioptra_cli.parameters.types import Coerced, Mismatch, coerce, same_value

HOSTILE_NAMES = [
    "a b",
    "it's",
    'say "x"',
    "a;b",
    "$(touch x)",
    "back\\slash",
    "new\nline",
    "é日本",
    "-rf",
    "a:b.csv",
]


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-1",
        "+1",
        "32",
        "0.5",
        ".5",
        "5.",
        "1e-05",
        "1E5",
        "-.5e+3",
        "inf",
        "-INF",
        "Infinity",
        "nan",
        "+NaN",
    ],
)
def test_a_float_passes_as_it_is_written(text: str) -> None:
    assert coerce("float", text, "/") == Coerced(text)
    float(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("abc", "write a number"),
        ("1_000", "'_'"),
        (" 5 ", "spaces"),
        ("5\n", "spaces"),
        ("0x10", "write a number"),
        ("1,5", "decimal sign"),
        ("1e", "write a number"),
        (".", "write a number"),
        ("--1", "write a number"),
        ("٣", "write a number"),
        ("True", "write a number"),
    ],
)
def test_what_is_no_float_is_refused_with_a_hint(text: str, hint: str) -> None:
    for name in ("float", "double", "number"):
        with pytest.raises(Mismatch, match="is not a float") as caught:
            coerce(name, text, "/")
        assert hint in (caught.value.hint or "")


@given(st.text(max_size=8) | st.floats().map(str) | st.integers().map(str))
def test_a_float_is_never_more_than_python_takes(text: str) -> None:
    try:
        coerce("float", text, "/")
    except Mismatch:
        return
    float(text)


@given(st.floats())
def test_every_float_of_python_passes(number: float) -> None:
    assert coerce("float", repr(number), "/").text == repr(number)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("int", ["0", "-1", "+7", "007"], ["1.0", "", "1e3", "abc", "1_0", " 1"]),
        ("integer", ["3"], ["3.5"]),
        ("bool", ["true", "False", "YES", "no", "1", "0", "on", "off"], ["maybe", "", "2", "tru"]),
        ("boolean", ["t"], ["wahr"]),
    ],
)
def test_the_extra_types_are_what_they_plainly_mean(name: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        assert coerce(name, text, "/") == Coerced(text)
    for text in bad:
        with pytest.raises(Mismatch):
            coerce(name, text, "/")


@pytest.mark.parametrize("name", ["string", "str", "STRING", "flaot", ""])
@pytest.mark.parametrize("text", ["", "-x", "new\nline", "é日本", "$(touch x)", "file:///x", " "])
def test_a_string_or_unknown_type_passes_anything(name: str, text: str) -> None:
    assert coerce(name, text, "/") == Coerced(text)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_relative_path_becomes_absolute(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert coerce("path", name, str(tmp_path)) == Coerced(str(tmp_path / name))
    assert coerce("path", f"{name}/", str(tmp_path)).text == str(tmp_path / name)


def test_an_absolute_path_and_a_file_uri_are_paths(tmp_path: Path) -> None:
    file = tmp_path / "a b.csv"
    file.touch()
    for text in (str(file), f"file://{file}", f"file:{file}", f"file://localhost{file}"):
        assert coerce("path", text, "/elsewhere").text == str(file)
    assert coerce("path", f"file://{tmp_path}/a%20b.csv", "/").text == str(file)


def test_a_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    assert coerce("path", "~/data", "/").text == str(tmp_path / "data")
    assert coerce("uri", "~/none", "/").text == str(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("none.csv", "does not exist", "looked for {base}/none.csv"),
        ("dta.csv", "does not exist", "did you mean 'data.csv'?"),
        ("/none/at/all", "does not exist", None),
        ("", "is empty", None),
        ("foo://x/y", "unknown scheme 'foo'", "known are"),
        ("htttp://x/y", "unknown scheme 'htttp'", "'http'"),
        ("file://host/x", "names the host 'host'", None),
        ("$HOME/x", "does not exist", "not expanded"),
    ],
)
def test_a_bad_path_says_why(tmp_path: Path, text: str, reason: str, hint: str | None) -> None:
    (tmp_path / "data.csv").touch()
    with pytest.raises(Mismatch) as caught:
        coerce("path", text, str(tmp_path))
    assert reason in caught.value.reason
    if hint is not None:
        assert hint.format(base=tmp_path) in (caught.value.hint or "")


@pytest.mark.parametrize(
    "uri",
    ["s3://b/k", "gs://b/k", "http://h/x?y=1", "https://h/x", "runs:/abc/model", "models:/m/1", "hdfs://h/x"]
    + ["dbfs:/x", "mlflow-artifacts:/1/a", "abfss://c@a.dfs.core.windows.net/x", "S3://b/k"],
)
def test_a_remote_path_is_to_be_downloaded(uri: str) -> None:
    assert coerce("path", uri, "/") == Coerced(uri, remote=True)


@pytest.mark.parametrize("uri", ["s3://b/k", "x:", "foo://x", "file:///nope", "postgresql://u@h/d", ""])
def test_a_uri_with_a_scheme_is_untouched_and_not_downloaded(uri: str) -> None:
    assert coerce("uri", uri, "/") == Coerced(uri)


def test_a_relative_uri_becomes_absolute_and_need_not_exist(tmp_path: Path) -> None:
    assert coerce("uri", "out/x", str(tmp_path)).text == str(tmp_path / "out" / "x")
    assert coerce("uri", "/abs", str(tmp_path)).text == "/abs"


@pytest.mark.parametrize(
    ("name", "left", "right", "same"),
    [
        ("float", "1", "1.0", True),
        ("float", "0.1", "0.10", True),
        ("float", "1", "2", False),
        ("int", "7", "07", True),
        ("string", "1", "1.0", False),
        ("bool", "True", "true", True),
        ("bool", "true", "false", False),
    ],
)
def test_values_are_compared_as_their_type(name: str, left: str, right: str, same: bool) -> None:
    assert same_value(name, left, right) is same
