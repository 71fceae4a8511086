"""What messages name a download by."""

from __future__ import annotations

import pytest

from dioptra_cli.execution.downloads.job import shown


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("s3://bucket/key?a#b", "s3://bucket/key?a#b"),
        ("https://me:se@cret@host:80/a@b", "https://host:80/a@b"),
        ("https://host/a?token=secret&b", "https://host/a?…"),
        ("ftp://me:secret@host/a", "ftp://host/a"),
        ("sftp://me:secret@host/a", "sftp://me@host/a"),
        ("abfss://box@account.dfs.core.windows.net/a", "abfss://box@account.dfs.core.windows.net/a"),
        ("runs:/1/a", "runs:/1/a"),
    ],
)
def test_secrets_are_not_shown(uri: str, text: str) -> None:
    assert shown(uri) == text
