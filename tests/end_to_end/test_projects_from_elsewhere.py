"""Projects from elsewhere through the command line: git URLs and archives."""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

GOOD = "name: digits\nentry_points:\n  train:\n    parameters: {epochs: float}\n    command: echo {epochs}\n"
BAD = "entry_points:\n  main:\n    command: touch {started}\n"


@pytest.fixture(autouse=True)
def _named_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "MLFLOW_TRACKING_URI", "sqlite:///none.db"
    )  # MLflow takes a second to name its default


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a project at its top, and one that does not pass `validate` in `bad`."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tester@localhost")
    path = tmp_path / "origin"
    (path / "bad").mkdir(parents=True)
    (path / "MLproject").write_text(GOOD)
    (path / "bad" / "MLproject").write_text(BAD)
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", path, *words], check=True)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive as GitHub makes them."""
    path = tmp_path / "www" / "digits.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("digits-main/MLproject", GOOD)
        file.writestr("digits-main/bad/MLproject", BAD)
    return path


@pytest.fixture
def web(archive: Path) -> Iterator[str]:
    """A server with that archive."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(archive.parent)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_git_url(dioptra: Any, origin: Path) -> None:
    url = f"file://{origin}"
    listed = dioptra("list-entry-points", url, "--json")
    assert listed.json["project"] == "digits"
    assert listed.json["directory"].startswith(os.environ["XDG_CACHE_HOME"])
    assert dioptra("validate", url).code == 0
    called = dioptra("exec", url, "--", "git", "log", "--format=%s")
    assert (called.code, called.out) == (0, "one\n")
    shown = dioptra("list-entry-points", f"git+{url}", "-e", "train")
    assert f"dioptra run {url} -e train" in shown.out


def test_nothing_is_started_of_what_validate_refuses(dioptra: Any, origin: Path, tmp_path: Path) -> None:
    url = f"file://{origin}#bad"
    checked = dioptra("validate", url)
    assert checked.code == 1
    assert "started" in checked.out
    called = dioptra("exec", url, "--", "touch", str(tmp_path / "started"))
    assert called.code == 125
    assert "started" in called.err
    assert not (tmp_path / "started").exists()


def test_archives_here_and_elsewhere(dioptra: Any, archive: Path, web: str) -> None:
    for project in (str(archive), f"file://{archive}", f"{web}/digits.zip"):
        called = dioptra("exec", project, "--", "ls")
        assert (called.code, called.out.split()) == (0, ["MLproject", "bad"]), called.err
    assert dioptra("validate", f"{web}/digits.zip#bad").code == 1
    assert dioptra("validate", f"{archive}#none").code == 2
    missing = dioptra("list-entry-points", f"{web}/none.zip")
    assert missing.code == 125
    assert "Traceback" not in missing.err
    assert dioptra("exec", str(archive), "--storage-dir", "kept", "--", "pwd").out.startswith(
        f"{archive.parent.parent}/kept/projects/archives/digits.zip-"
    )


def test_a_hostile_archive(dioptra: Any, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        info = tarfile.TarInfo("../../../\x1b[31mevil")
        file.addfile(info, io.BytesIO(b""))
    called = dioptra("validate", "x.tar")
    assert called.code == 125
    assert called.err.count("\n") == 1
    assert r"'../../../\x1b[31mevil' leads outside" in called.err


def test_local_directories_with_a_part(dioptra: Any, origin: Path) -> None:
    assert dioptra("validate", f"{origin}#bad").code == 1
    assert "leads outside" in dioptra("validate", f"{origin}#..").err


def test_a_copy_is_not_mended(dioptra: Any, origin: Path) -> None:
    called = dioptra("validate", "--fix", f"file://{origin}")
    assert called.code == 2
    assert "--diff" in called.err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_an_unpacking_that_is_stopped(
    dioptra: Any, origin: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    """Ctrl-C leaves nothing; what is left after a kill is cleared away by the next."""
    archive, cache = tmp_path / "large.tar", Path(os.environ["XDG_CACHE_HOME"]) / "dioptra" / "projects"
    with tarfile.open(archive, "w") as file:
        for number in range(15_000):
            file.addfile(tarfile.TarInfo(f"{number}"))
        info = tarfile.TarInfo("MLproject")
        info.size = len(GOOD)
        file.addfile(info, io.BytesIO(GOOD.encode()))
    argv = [sys.executable, "-m", "dioptra_cli", "list-entry-points", str(archive)]
    process = subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not list(cache.glob(".incomplete/*/tree/0")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signum)
    process.communicate(timeout=60)
    assert process.returncode in (-signum, 128 + signum)
    assert not (cache / "archives").exists()
    if signum == signal.SIGINT:
        assert not list((cache / ".incomplete").iterdir())
    else:
        assert dioptra("list-entry-points", f"file://{origin}").code == 0  # another project
        assert not list((cache / ".incomplete").iterdir())
        assert dioptra("list-entry-points", str(archive)).code == 0


def test_a_run_is_recorded_under_what_can_be_given_again(
    dioptra: Any, origin: Path, archive: Path, store: Any
) -> None:
    url, uri = f"file://{origin}", f"sqlite:///{store.path}"
    refused = dioptra("run", f"{url}#bad", "-P", f"started={origin}/started", "--tracking-uri", uri)
    assert refused.code == 125
    assert store.runs == []
    for project in (url, str(archive)):
        called = dioptra("run", project, "-e", "train", "-P", "epochs=2", "--tracking-uri", uri)
        assert (called.code, called.out) == (0, "2\n"), called.err
    from_git, from_archive = (run.tags for run in store.runs)
    assert from_git["dioptra.project"] == from_git["mlflow.source.name"] == url
    assert from_git["mlflow.source.git.commit"] == Path(origin, ".git/refs/heads/main").read_text().strip()
    assert from_git["dioptra.working_tree"] == "clean"
    assert from_archive["dioptra.project"] == str(archive)
    assert "mlflow.source.git.commit" not in from_archive
