"""Downloads through fsspec.

There is no FTP, SFTP or HDFS server here: a local file system, registered under the scheme, takes its place. It is
read by the same calls.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import _registry

from dioptra_cli.errors import DownloadError, Problem

if TYPE_CHECKING:
    from tests.execution.downloads.conftest import Fetch


@pytest.fixture(params=["ftp", "sftp", "hdfs"])
def scheme(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a scheme that stands for the local file system."""
    name = str(request.param)

    class Served(LocalFileSystem):  # type: ignore[misc]  # fsspec ships no types
        protocol = name

        def __init__(self, **options: Any) -> None:
            assert options.keys() <= {"timeout"}, "sftp hands them to paramiko, which takes no others"
            super().__init__()

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.removeprefix(f"{name}://host").strip("/") if "://" in path else path.rstrip("/")

        def get_file(self, rpath: str, lpath: Any, callback: Any = None, **kwargs: Any) -> None:
            if name == "sftp":
                assert isinstance(lpath, str), "paramiko copies into paths only"
            super().get_file(rpath, lpath, callback, **kwargs)

    monkeypatch.setitem(_registry, name, Served)
    return name


def problem_of(fetch: Fetch, uri: str) -> Problem:
    """Return the one problem of a download that must fail, and leave nothing behind."""
    with pytest.raises(DownloadError) as raised:
        fetch(uri)
    assert fetch.files() == []
    (problem,) = raised.value.problems
    return problem


def test_file(scheme: str, fetch: Fetch, tmp_path: Path) -> None:
    served = tmp_path / "served.csv"
    served.write_text("one")
    uri = f"{scheme}://host{served}"
    first = fetch(uri)
    assert first[uri].name == "served.csv"
    assert first[uri].read_text() == "one"
    assert fetch(uri) == first
    served.write_text("two!")
    assert fetch(uri)[uri].read_text() == "two!"


def test_changed_time_is_enough(scheme: str, fetch: Fetch, tmp_path: Path) -> None:
    served = tmp_path / "served.csv"
    served.write_text("one")
    os.utime(served, (1, 1))
    uri = f"{scheme}://host{served}"
    fetch.open(uri).close()
    served.write_text("two")
    assert fetch(uri)[uri].read_text() == "two"


@pytest.mark.parametrize("slash", ["", "/"])
def test_directory(scheme: str, fetch: Fetch, tmp_path: Path, slash: str) -> None:
    served = tmp_path / "served"
    (served / "deep").mkdir(parents=True)
    (served / "a").write_text("1")
    (served / "deep" / "b").write_text("2")
    uri = f"{scheme}://host{served}{slash}"
    path = fetch(uri)[uri]
    assert path.name == "served"
    assert (path / "a").read_text() == "1"
    assert (path / "deep" / "b").read_text() == "2"
    assert fetch(uri)[uri] == path
    (served / "c").write_text("3")
    assert sorted(os.listdir(fetch(uri)[uri])) == ["a", "c", "deep"]


def test_nothing_there(scheme: str, fetch: Fetch, tmp_path: Path) -> None:
    assert problem_of(fetch, f"{scheme}://host{tmp_path}/missing").name == "remote-not-found"


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError(), "remote-unreachable"),
        (TimeoutError(), "remote-unreachable"),
        (PermissionError("no"), "remote-access-denied"),
        (RuntimeError("what\never"), "remote-failed"),
    ],
)
def test_errors(
    scheme: str, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    monkeypatch.setattr(_registry[scheme], "info", raising(error))
    assert problem_of(fetch, f"{scheme}://me:secret@host/a").name == code


def test_fsspec_is_missing(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    problem = problem_of(fetch, "ftp://host/a")
    assert problem.name == "missing-package"
    assert problem.hint == "pip install 'dioptra-cli[fsspec]'"


@pytest.mark.parametrize(("scheme", "package"), [("sftp", "paramiko"), ("hdfs", "pyarrow")])
def test_package_that_fsspec_needs_is_missing(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    for module in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    for module in ("fsspec.implementations.sftp", "fsspec.implementations.arrow"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delitem(_registry, scheme, raising=False)
    problem = problem_of(fetch, f"{scheme}://host/a")
    assert problem.name == "missing-package"
    assert package in problem.message
    assert problem.hint == f"pip install {package}"


def test_ftp_server_that_is_not_there(fetch: Fetch) -> None:
    problem = problem_of(fetch, "ftp://me:hunter2@127.0.0.1:1/a")
    assert problem.name == "remote-unreachable"
    assert "hunter2" not in problem.message
