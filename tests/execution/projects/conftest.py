"""Real git repositories, and servers for them on loopback."""

from __future__ import annotations

import base64
import functools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

MLPROJECT = "entry_points:\n  main:\n    command: echo {}\n"


class Repository:
    """A repository with a work tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"file://{path}"
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("first", MLproject=MLPROJECT.format("{{}}"))

    def git(self, *arguments: str) -> str:
        return subprocess.check_output(["git", "-C", self.path, *arguments], text=True).strip()

    def commit(self, message: str, **files: str) -> str:
        for name, text in files.items():
            file = self.path / name.replace("__", "/")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tester@localhost")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., Repository]:
    """Make a repository with one commit, below `tmp_path`."""
    return lambda name="origin": Repository(tmp_path / name)


Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def serve() -> Serve:
    """Serve a directory over HTTP for a block; with a password, to those who know it."""

    @contextmanager
    def serving(directory: Path, password: str = "") -> Iterator[str]:
        wanted = "Basic " + base64.b64encode(f"me:{password}".encode()).decode()

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if password and self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                super().do_GET()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(directory)))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    return serving
