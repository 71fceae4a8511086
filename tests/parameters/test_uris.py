"""Which values are URIs, and what paths `file:` URIs name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dioptra_cli.parameters.uris import REMOTE_SCHEMES, UnreadableUri, local_path, scheme_of


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("s3://bucket/key", "s3"),
        ("S3://bucket/key", "s3"),
        ("abfss://box@account.dfs.core.windows.net/a", "abfss"),
        ("foo://x", "foo"),
        ("git+ssh://host/a", "git+ssh"),
        ("file:///a", "file"),
        ("file:/a", "file"),
        ("FILE:/a", "file"),
        ("runs:/1/a", "runs"),
        ("runs://profile@databricks/1/a", "runs"),
        ("models:/name/1", "models"),
        ("mlflow-artifacts:/1/a", "mlflow-artifacts"),
        ("dbfs:/a", "dbfs"),
    ],
)
def test_uris(value: str, scheme: str) -> None:
    assert scheme_of(value) == scheme


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a.csv",
        "/a",
        "./s3://a",
        "~/a",
        "C:\\data\\a.csv",
        "C:/data/a.csv",
        "c://a",
        "a:b.csv",
        "s3:/bucket/key",
        "s3:bucket",
        "file:a",
        "runs:1",
        "://a",
        "3d://a",
        "a b://c",
        " s3://bucket",
    ],
)
def test_paths(value: str) -> None:
    assert scheme_of(value) is None
    assert local_path(value) == value


def test_every_remote_scheme_is_recognised() -> None:
    assert [scheme_of(f"{scheme}://a/b") for scheme in REMOTE_SCHEMES] == list(REMOTE_SCHEMES)
    assert "file" not in REMOTE_SCHEMES


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("file://localhost/a/b", "/a/b"),
        ("FILE://LOCALHOST/a", "/a"),
        ("file:///a%20b", "/a b"),
        ("file:///gr%C3%B6%C3%9Fe", "/größe"),
        ("file:///größe", "/größe"),
        ("file:///100%", "/100%"),
        ("file:///a%2fb", "/a/b"),
        ("file:///a+b", "/a+b"),
        ("file:///a#b?c", "/a#b?c"),
        ("file:///a\nb", "/a\nb"),
        ("file:///%ff", os.fsdecode(b"/\xff")),
        ("file:////a", "//a"),
    ],
)
def test_local_paths(uri: str, path: str) -> None:
    assert local_path(uri) == path


def test_existing_file_of_the_literal_name_wins(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/a%20b"
    assert local_path(uri) == f"{tmp_path}/a b"
    (tmp_path / "a%20b").touch()
    assert local_path(uri) == f"{tmp_path}/a%20b"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file://otherhost/a", "the host 'otherhost'"),
        ("file://data/a.csv", "three slashes"),
        ("file://", "no path"),
        ("file://localhost", "no path"),
        ("file:///a%00b", "%00"),
    ],
)
def test_file_uris_that_name_no_path(uri: str, reason: str) -> None:
    with pytest.raises(UnreadableUri, match=reason):
        local_path(uri)


def test_no_url_library_is_imported() -> None:
    code = "import sys; import dioptra_cli.parameters.uris; print([m for m in sys.modules if 'url' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
