"""What PROJECT may be, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dioptra_cli.errors import UsageError
from dioptra_cli.execution.projects.addresses import Kind, is_elsewhere, local_subdirectory, parse

REPOSITORIES = {
    "https://host/x/y": ("https://host/x/y", "", None),
    "https://host/x/y.git#sub/dir": ("https://host/x/y.git#sub/dir", "sub/dir", None),
    "https://me:secret@host/x/y": ("https://host/x/y", "", None),
    "https://ghp_secret@host/x/y#sub": ("https://host/x/y#sub", "sub", None),
    "https://host/x/y?private_token=secret&a=b": ("https://host/x/y?private_token=***&a=b", "", None),
    "ssh://git:secret@host:22/x/y": ("ssh://git@host:22/x/y", "", None),
    "git@host:x/y.git": ("git@host:x/y.git", "", None),
    "git@host:x/y#sub": ("git@host:x/y#sub", "sub", None),
    "alias:x/y.git": ("alias:x/y.git", "", None),
    "git://host/x": ("git://host/x", "", None),
    "file:///path/repo": ("file:///path/repo", "", None),
    "git+https://host/x.git": ("https://host/x.git", "", None),
    "git+https://me:secret@host/x.git@v1#subdirectory=sub&egg=x": ("https://host/x.git#sub", "sub", "v1"),
    "git+ssh://git@host/x@feature/y": ("ssh://git@host/x", "", "feature/y"),
    "git+https://host/x.zip": ("git+https://host/x.zip", "", None),
}


@pytest.mark.parametrize("project", REPOSITORIES)
def test_git_urls(project: str) -> None:
    assert is_elsewhere(project)
    address = parse(project)
    assert address.kind is Kind.REPOSITORY
    assert (address.name, address.subdirectory, address.version) == REPOSITORIES[project]
    assert ("secret" in address.location) == ("secret" in project)
    assert parse(address.name).shown == address.shown  # what is recorded can be given again


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("https://host/x.tar.gz", None),
        ("https://me:pw@host/x.ZIP#sub", "https://host/x.ZIP#sub"),
        (
            "https://host/x.zip?X-Amz-Signature=abc&versionId=3",
            "https://host/x.zip?X-Amz-Signature=***&versionId=3",
        ),
        ("s3://bucket/x.tgz", None),
        ("runs:/0123/workflow.tar.xz#sub", None),
        ("abfss://container@account/x.tar", None),
    ],
)
def test_archives_elsewhere(project: str, name: str | None) -> None:
    assert is_elsewhere(project)
    assert parse(project).kind is Kind.REMOTE_ARCHIVE
    assert parse(project).name == (name or project)


def test_what_exists_here_is_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in ("d.zip", "git@host:x", "a#b", "c"):
        (tmp_path / directory).mkdir()
        assert not is_elsewhere(directory)
    (tmp_path / "MLproject").touch()
    (tmp_path / "x.tgz").touch()
    assert not any(
        map(is_elsewhere, (".", "MLproject", "no.zip", "no", "-", "a:b", "C:/x.git", "no.zip#sub"))
    )
    assert is_elsewhere("x.tgz")
    assert parse("x.tgz").name == str(tmp_path / "x.tgz")
    assert parse("x.tgz#sub").name == parse(f"file://{tmp_path}/x.tgz#sub").name == f"{tmp_path}/x.tgz#sub"
    assert local_subdirectory("c#sub") == ("c", "sub")
    assert local_subdirectory("a#b") is local_subdirectory("no#sub") is local_subdirectory("c") is None


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        ("s3://bucket/x", "is no archive"),
        ("foo://host/x", "scheme that no project comes by"),
        ("git+s3://host/x", "is no archive"),
        ("https://host/\nx", "characters that no URL has"),
        ('https://me:a"b@host/x', "the password .* has a space or a double quote"),
        ("git+https://me:a b@host/x", "the password .* has a space or a double quote"),
        ("file://host/x.zip", "names the host 'host'"),
    ],
)
def test_what_can_be_no_project(project: str, reason: str) -> None:
    assert is_elsewhere(project)
    with pytest.raises(UsageError, match=reason):
        parse(project)
