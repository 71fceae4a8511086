"""What the cache keeps, what it removes, and what it does not believe."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dioptra_cli.execution.downloads.cache import Cache, file_name
from dioptra_cli.execution.downloads.job import Failure, Fetched, place

if TYPE_CHECKING:
    from tests.execution.downloads.conftest import Bucket, Fetch, WebServer


@pytest.fixture
def uri(web: WebServer) -> str:
    """Return the URI of a file whose ETag never changes."""
    web.replies["/data/train.csv"] = lambda exchange: (
        exchange.whole(b"", 304)
        if exchange.request.headers.get("If-None-Match") == '"1"'
        else exchange.whole(b"data", ETag='"1"')
    )
    return f"{web.url}/data/train.csv"


def test_people_can_find_their_files(web: WebServer, fetch: Fetch, uri: str) -> None:
    scheme, host, name, _, file = fetch(uri)[uri].relative_to(fetch.cache).parts
    assert (scheme, host, file) == ("http", f"127.0.0.1_{web.port}", "train.csv")
    assert name.startswith("train.csv-")


def test_changed_copy_is_not_used_again(fetch: Fetch, uri: str) -> None:
    with fetch.open(uri) as downloads:
        Path(downloads.paths[uri]).write_bytes(b"DATA")
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_removed_copy_is_fetched_again(fetch: Fetch, uri: str) -> None:
    with fetch.open(uri) as downloads:
        os.unlink(downloads.paths[uri])
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_directory_that_a_script_wrote_into_is_not_used_again(bucket: Bucket, fetch: Fetch) -> None:
    fetch.use(**bucket.environ)
    bucket.put("data/a", b"1")
    uri = bucket.uri("data")
    with fetch.open(uri) as downloads:
        (Path(downloads.paths[uri]) / "made-by-script").touch()
    bucket.forget()
    assert os.listdir(fetch(uri)[uri]) == ["a"]
    assert bucket.bodies() == ["data/a"]


def test_broken_manifest_is_not_believed(fetch: Fetch, uri: str) -> None:
    fetch.open(uri).close()
    (manifest,) = fetch.cache.rglob("*.json")
    manifest.write_text("{")
    path = fetch(uri)[uri]
    assert path.read_bytes() == b"data"
    assert fetch.files() == [str(path.relative_to(fetch.cache))]


def test_manifest_of_something_else_is_not_believed(fetch: Fetch, uri: str) -> None:
    fetch.open(uri).close()
    (manifest,) = fetch.cache.rglob("*.json")
    manifest.write_text('{"name": "train.csv"}')
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_closing_twice_does_no_harm(fetch: Fetch, uri: str) -> None:
    downloads = fetch.open(uri)
    downloads.close()
    with open(downloads.paths[uri], "rb") as file:  # gets the number of the descriptor that was closed
        downloads.close()
        assert file.read() == b"data"


@pytest.mark.parametrize("name", ["manifest", "files", "download.json", "a.lock"])
def test_names_that_the_cache_uses_itself(web: WebServer, fetch: Fetch, name: str) -> None:
    web.replies[f"/{name}"] = lambda exchange: exchange.whole(b"data", ETag='"1"')
    uri = f"{web.url}/{name}"
    assert fetch(uri)[uri].read_bytes() == b"data"
    assert fetch(uri) == fetch(uri)


def test_copy_without_manifest_does_not_count(fetch: Fetch, uri: str) -> None:
    fetch.open(uri).close()
    (manifest,) = fetch.cache.rglob("*.json")
    manifest.unlink()
    path = fetch(uri)[uri]
    assert fetch.files() == [str(path.relative_to(fetch.cache))]


def test_cache_that_is_emptied_during_a_run(fetch: Fetch, uri: str) -> None:
    import shutil

    with fetch.open(uri):
        shutil.rmtree(fetch.cache)
    assert fetch(uri)[uri].read_bytes() == b"data"


def test_copies_in_use_are_all_kept_and_then_all_but_the_newest_removed(tmp_path: Path) -> None:
    entry = Cache(str(tmp_path)).entry("http://host/a")
    held = []
    for content in ("one", "two", "three"):
        with entry.locked(nullcontext(lambda _: pytest.fail("nobody else has the lock"))):
            Path(entry.incomplete, "a").write_text(content)
            held.append(entry.hold(entry.add(Fetched("a", content))))
    assert [Path(copy.path).read_text() for copy in held] == ["one", "two", "three"]
    held[2].release()
    held[0].release()
    assert [os.path.exists(copy.path) for copy in held] == [False, True, True]
    held[1].release()
    assert [os.path.exists(copy.path) for copy in held] == [False, False, True]
    assert os.listdir(tmp_path / ".incomplete") == []


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.csv", "a.csv"),
        ("", "download"),
        (".", "download"),
        ("..", "download"),
        ("a/b", "a_b"),
        ("a\0b", "a_b"),
        ("-rf", "-rf"),
        ("a\nb", "a\nb"),
    ],
)
def test_file_names(name: str, file: str) -> None:
    assert file_name(name) == file


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".csv", "ü" * 200 + ".tar.gz", "a." + "x" * 300])
def test_long_file_names_can_be_written(tmp_path: Path, name: str) -> None:
    file = file_name(name)
    (tmp_path / file).touch()
    assert file[:1] == name[:1]
    assert file != file_name(name + "2")


@pytest.mark.parametrize("relative", ["", ".", "..", "a/../b", "/a", "a//b", "a/", "a\0b"])
def test_place_stays_below_its_directory(relative: str) -> None:
    with pytest.raises(Failure):
        place("/data", relative)
