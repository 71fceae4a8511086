"""Remote paths through `dioptra run`: a real S3 protocol server on loopback."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

TEXT = """\
entry_points:
  main:
    parameters:
      data: path
      more: {type: path, default: "s3://bucket/set"}
    command: |
      cat {data}
      cat {more}/a.txt {more}/sub/b.txt
      echo {data}
"""


@dataclass
class S3:
    """A server with one bucket, which counts the objects that it hands out."""

    client: Any
    environ: dict[str, str]
    bodies: list[str] = field(default_factory=list)

    def put(self, key: str, text: str) -> None:
        self.client.put_object(Bucket="bucket", Key=key, Body=text.encode())


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    application = DomainDispatcherApplication(create_backend_app)
    bodies: list[str] = []

    def counting(environ: dict[str, Any], start_response: Any) -> Any:
        def answer(status: str, *rest: Any) -> Any:
            is_object = environ["PATH_INFO"].count("/") >= 2
            if environ["REQUEST_METHOD"] == "GET" and is_object and status.startswith("200"):
                bodies.append(environ["PATH_INFO"])
            return start_response(status, *rest)

        return application(environ, answer)

    server: WSGIServer = make_server("127.0.0.1", 0, counting, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    environ = {
        "MLFLOW_S3_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    bucket = S3(client, environ, bodies)
    bucket.put("in put/d a.csv", "one\n")
    bucket.put("set/a.txt", "a\n")
    bucket.put("set/sub/b.txt", "b\n")
    yield bucket
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_objects_are_fetched_once_and_again_when_they_changed(
    dioptra: Any, project: Any, store: Any, s3: S3, tmp_path: Path
) -> None:
    arguments = ("run", str(project(TEXT)), "-P", "data=s3://bucket/in put/d a.csv")
    first = dioptra(*arguments)
    assert first.code == 0, first.err
    *lines, local = first.out.splitlines()
    assert lines == ["one", "a", "b"]
    assert local.endswith("/d a.csv")
    assert local.startswith(os.environ["XDG_CACHE_HOME"])
    assert sorted(s3.bodies) == ["/bucket/in put/d a.csv", "/bucket/set/a.txt", "/bucket/set/sub/b.txt"]
    assert store.only.parameters == {"data": "s3://bucket/in put/d a.csv", "more": "s3://bucket/set"}

    s3.bodies.clear()
    assert dioptra(*arguments).out == first.out
    assert s3.bodies == []

    s3.put("in put/d a.csv", "two\n")
    changed = dioptra(*arguments)
    assert changed.out.startswith("two\na\nb\n")
    assert s3.bodies == ["/bucket/in put/d a.csv"]
    assert not Path(local).exists()

    s3.bodies.clear()
    elsewhere = dioptra(*arguments, "--storage-dir", "kept here")
    assert elsewhere.out.splitlines()[-1].startswith(f"{tmp_path}/kept here/")
    assert len(s3.bodies) == 3


def test_what_is_missing_is_reported_together_and_no_run_is_made(
    dioptra: Any, project: Any, store: Any, s3: S3
) -> None:
    called = dioptra("run", str(project(TEXT)), "-P", "data=s3://bucket/none", "-P", "more=s3://nowhere/x")
    assert called.code == 125
    assert "s3://bucket/none" in called.err
    assert "s3://nowhere/x" in called.err
    assert "Traceback" not in called.err
    assert store.runs == []
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "dioptra" / "downloads"
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_dry_run_downloads_nothing(dioptra: Any, project: Any, s3: S3) -> None:
    called = dioptra("run", str(project(TEXT)), "-P", "data=s3://bucket/in put/d a.csv", "--dry-run")
    assert called.code == 0, called.err
    assert "s3://bucket/in put/d a.csv (downloaded first)" in " ".join(called.out.split())
    assert s3.bodies == []


def test_a_remote_plugin_directory(dioptra: Any, project: Any, s3: S3, store: Any) -> None:
    s3.put("plugins/greetings/__init__.py", "def hello(): print('hello from s3')\n")
    text = "entry_points: {main: {command: 'python -c \"import greetings; greetings.hello()\"'}}"
    called = dioptra("run", str(project(text)), "--plugin-dir", "s3://bucket/plugins")
    assert (called.code, called.out) == (0, "hello from s3\n"), called.err


def test_collections_of_plugins_that_a_testbed_names(dioptra: Any, project: Any, s3: S3, store: Any) -> None:
    """What changed is fetched, what is gone goes, and what Python compiles beside it does not count."""
    s3.put("plugins/dioptra_custom/__init__.py", "")
    s3.put("plugins/dioptra_custom/a.py", "print('a 1')")
    s3.put("plugins/dioptra_custom/b.py", "print('b 1')")
    s3.put("testbed/dioptra_builtins/random/__init__.py", "print('their own')")
    text = "entry_points: {main: {command: 'python -c \"import dioptra_custom.a, dioptra_builtins.random\"'}}"
    environ = {
        "DIOPTRA_CUSTOM_PLUGINS_S3_URI": "s3://bucket/plugins/dioptra_custom",
        "AI_PLUGINS_S3_URI": "s3://bucket/testbed/dioptra_builtins",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    directory = str(project(text))
    called = dioptra("run", directory, env=environ)
    assert (called.code, called.out) == (0, "a 1\ntheir own\n"), called.err
    assert len(s3.bodies) == 4
    s3.bodies.clear()
    assert dioptra("run", directory, env=environ).out == called.out
    assert s3.bodies == []
    s3.put("plugins/dioptra_custom/a.py", "print('a 2')\nimport dioptra_custom.b")
    s3.client.delete_object(Bucket="bucket", Key="plugins/dioptra_custom/b.py")
    called = dioptra("run", directory, env=environ)
    assert called.out == "a 2\n"
    assert "No module named 'dioptra_custom.b'" in called.err
    assert s3.bodies == ["/bucket/plugins/dioptra_custom/a.py"]
