"""Git repositories elsewhere: real ones, over `file://`, git's own protocol and HTTP."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from dioptra_cli.errors import DioptraError, ProjectError, UsageError
from dioptra_cli.execution.projects.fetch import Fetched, fetch
from dioptra_cli.execution.source import read_source

Fetch = Callable[..., Fetched]
Make = Callable[..., Any]


@pytest.fixture
def get(tmp_path: Path) -> Fetch:
    """Fetch a project into a cache below `tmp_path`; `notes` are what is said."""

    def call(project: str, version: str | None = None, notes: list[str] | None = None, **env: str) -> Fetched:
        return fetch(
            project,
            version,
            cache=str(tmp_path / "cache"),
            base={**os.environ, **env},
            download=nullcontext,
            note=(notes if notes is not None else []).append,
        )

    return call


def refused(error: type[DioptraError], call: Callable[[], Fetched]) -> Any:
    with pytest.raises(error) as caught:
        call()
    (problem,) = caught.value.problems
    return problem


def test_versions(repository: Make, get: Fetch) -> None:
    origin = repository()
    first = origin.git("rev-parse", "HEAD")
    origin.git("tag", "-a", "v1", "-m", "one")
    second = origin.commit("second", sub__MLproject="name: x\n")
    origin.git("branch", "feature/y", first)
    origin.git("update-ref", "refs/pull/1/head", first)
    lost = origin.commit("lost", lost="")
    origin.git("reset", "--quiet", "--hard", second)

    latest = get(origin.url)
    assert latest.source is not None
    assert (latest.source.commit, latest.source.dirty, latest.version) == (second, False, None)
    assert latest.source.repository == origin.url
    for version in ("v1", "feature/y", "origin/feature/y", "refs/pull/1/head", first, first[:8], "main~1"):
        found = get(origin.url, version)
        assert found.source is not None
        assert (found.source.commit, found.version) == (first, version)
        assert os.listdir(found.directory) == os.listdir(get(origin.url, "v1").directory)
    assert get(origin.url, lost).source.commit == lost  # type: ignore[union-attr]
    assert get(f"git+{origin.url}@v1").version == "v1"

    third = origin.commit("third")
    assert get(origin.url).source.commit == third  # type: ignore[union-attr]
    sub = get(f"{origin.url}#sub")
    assert Path(sub.directory, "MLproject").read_text() == "name: x\n"
    assert (sub.name, sub.archive) == (f"{origin.url}#sub", None)


def test_what_is_whole_is_not_fetched_again_and_keeps_what_was_written(repository: Make, get: Fetch) -> None:
    origin = repository()
    notes: list[str] = []
    tree = Path(get(origin.url, notes=notes).directory)
    assert notes == [f"fetching {origin.url}"]
    (tree / "MLproject").write_text("name: changed\n")
    again = get(origin.url, notes=notes)
    assert len(notes) == 1
    assert again.source is not None
    assert again.source.dirty
    assert "+name: changed" in again.source.diff


def test_all_files_of_a_commit_are_there(repository: Make, get: Fetch) -> None:
    origin = repository()
    origin.commit("all", __gitattributes="", data="d")
    (origin.path / ".gitattributes").write_text("data export-ignore\n*.txt export-subst\n")
    (origin.path / "run.sh").write_text("#!/bin/sh\n")
    (origin.path / "run.sh").chmod(0o755)
    origin.commit("attributes", a__txt="$Format:%H$")
    tree = Path(get(origin.url).directory)
    assert (tree / "data").read_text() == "d"
    assert os.access(tree / "run.sh", os.X_OK)


def test_submodules(repository: Make, get: Fetch) -> None:
    inner, middle, outer = repository("inner"), repository("middle"), repository("outer")
    for above, below in ((middle, inner), (outer, middle)):
        above.git(
            "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", f"../{below.path.name}", "lib"
        )
        above.commit("with a submodule")
    found = get(outer.url)
    assert Path(found.directory, "lib", "lib", "MLproject").exists()
    assert found.source is not None
    assert not found.source.dirty


def test_errors_of_the_call(repository: Make, get: Fetch, tmp_path: Path) -> None:
    origin = repository()
    origin.git("branch", "develop")
    origin.commit("sub", training__MLproject="")
    (origin.path / "out").symlink_to("/")
    origin.commit("link")
    no_version = refused(UsageError, lambda: get(origin.url, "develpo"))
    assert "there is no such branch, tag or commit" in no_version.message
    assert no_version.hint == "did you mean 'develop'?"
    assert refused(UsageError, lambda: get(origin.url, "f" * 40)).hint == "it has develop, main"
    assert refused(UsageError, lambda: get(origin.url, "--upload-pack=x")).name == "no-such-commit"
    assert refused(UsageError, lambda: get(f"{origin.url}#trainign")).hint == "did you mean 'training'?"
    for outside in ("../x", "/", "out", "out/etc", "training/../.."):
        with pytest.raises(UsageError, match="leads outside"):
            get(f"{origin.url}#{outside}")
    assert refused(UsageError, lambda: get(f"git+{origin.url}@x", "y")).name == "exclusive-options"
    empty = tmp_path / "empty"
    subprocess.run(["git", "init", "--quiet", empty], check=True)
    assert "no commit yet" in refused(UsageError, lambda: get(f"file://{empty}")).message


@pytest.mark.parametrize(
    ("project", "name", "reason"),
    [
        ("https://no-such-host.invalid/x", "unknown-host", "Could not resolve host"),
        ("git@no-such-host.invalid:x", "unknown-host", "Could not resolve hostname"),
        ("file:///no/such/repository", "no-such-repository", "does not appear to be a git repository"),
        ("http://127.0.0.1:1/x", "git-failed", "Failed to connect"),
    ],
)
def test_errors_of_the_repository(get: Fetch, tmp_path: Path, project: str, name: str, reason: str) -> None:
    problem = refused(ProjectError, lambda: get(project))
    assert problem.name == name
    assert reason in problem.message
    assert "\n" not in problem.message
    assert not (tmp_path / "cache" / "git").exists()


def test_without_git(get: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(ProjectError, lambda: get("https://host/x")).name == "no-git"


@pytest.mark.parametrize(("url", "times"), [("http://127.0.0.1:1/x", 0), ("ssh://127.0.0.1:1/x", 1)])
def test_git_is_asked_how_it_calls_ssh_only_where_it_does(
    get: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, times: int
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    refused(ProjectError, lambda: get(url))
    calls = (tmp_path / "calls").read_text()
    assert calls.count("core.sshCommand") == times
    assert calls.count("ls-remote") == 1


def test_a_password_is_used_and_kept_nowhere(
    repository: Make, get: Fetch, tmp_path: Path, serve: Make
) -> None:
    inner, origin = repository("inner"), repository()
    origin.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", inner.url, "lib")
    with serve(tmp_path, "planted") as host:
        url = f"http://{host}/origin/.git"
        origin.git("config", "--file", ".gitmodules", "submodule.lib.url", f"http://{host}/inner/.git")
        origin.commit("submodule")
        inner.git("update-server-info")
        origin.git("update-server-info")
        notes: list[str] = []
        needs = refused(ProjectError, lambda: get(url))
        assert needs.name == "authentication-needed"
        wrong = refused(ProjectError, lambda: get(url.replace("//", "//me:planted2@")))
        assert wrong.name == "authentication-needed"
        found = get(url.replace("//", "//me:planted@"), notes=notes)
    assert Path(found.directory, "lib", "MLproject").exists()
    assert found.source is not None
    assert found.name == found.source.repository == url
    assert "planted" not in f"{notes} {needs} {wrong} {found}"
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"planted" in path.read_bytes()]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_that_goes_away(repository: Make, get: Fetch, tmp_path: Path, free_port: int) -> None:
    origin = repository()
    argv = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={free_port}", "--export-all"]
    daemon = subprocess.Popen(
        [*argv, f"--base-path={tmp_path}"], start_new_session=True, stderr=subprocess.DEVNULL
    )
    url = f"git://127.0.0.1:{free_port}/origin"
    try:
        deadline = time.monotonic() + 30
        while not listens(free_port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        found = get(url)
        commit = origin.git("rev-parse", "HEAD")
        gone = refused(ProjectError, lambda: get(url.replace("origin", "nothing")))
        assert gone.name in ("no-such-repository", "git-failed")
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
    problem = refused(ProjectError, lambda: get(url))
    assert "cannot fetch git://" in problem.message
    assert f"-v {commit}" in problem.hint
    assert get(url, commit).directory == found.directory


def test_nothing_of_a_repository_is_started(
    repository: Make, get: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks, also where the user's own settings look for them in the project, and a repository within the project."""
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\thooksPath = hooks\n[init]\n\ttemplateDir = " + str(tmp_path / "template"))
    (tmp_path / "template" / "hooks").mkdir(parents=True)
    origin, evil = repository(), f"#!/bin/sh\ntouch {tmp_path}/started\n"
    places = [tmp_path / "template" / "hooks", origin.path / "hooks"]
    places[1].mkdir()
    for place in places:
        for hook in ("post-checkout", "post-index-change", "reference-transaction", "post-merge"):
            (place / hook).write_text(evil)
            (place / hook).chmod(0o755)
    bare = origin.path / "sub"
    subprocess.run(["git", "init", "--quiet", "--bare", bare], check=True)
    (bare / "refs" / "keep").touch()
    (bare / "objects" / "keep").touch()
    (bare / "config").write_text(f"[core]\n\tworktree = .\n\tfsmonitor = touch {tmp_path}/started\n")
    (origin.path / ".gitattributes").write_text("* filter=evil diff=evil\n")
    origin.commit("evil")
    (tmp_path / "started").unlink(missing_ok=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    get(origin.url)
    sub = get(f"{origin.url}#sub")
    assert sub.source is not None
    assert sub.source.commit == origin.git("rev-parse", "HEAD")
    assert not (tmp_path / "started").exists()


def test_submodules_of_what_comes_over_the_network_do_not_lead_into_this_machine(
    repository: Make, get: Fetch, tmp_path: Path, serve: Make
) -> None:
    inner, origin = repository("inner"), repository()
    origin.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", inner.url, "lib")
    origin.commit("submodule")
    origin.git("update-server-info")
    with serve(tmp_path) as host:
        problem = refused(ProjectError, lambda: get(f"http://{host}/origin/.git"))
    assert "cannot check out commit" in problem.message
    assert not list((tmp_path / "cache").glob("git/*/trees/*"))
    assert not list((tmp_path / "cache" / ".incomplete").iterdir())


def test_the_repository_of_a_git_hook_is_let_be(repository: Make, get: Fetch) -> None:
    origin, other = repository(), repository("other")
    before = other.git("status", "--porcelain"), other.git("for-each-ref")
    get(origin.url, GIT_DIR=str(other.path / ".git"), GIT_INDEX_FILE=str(other.path / ".git" / "index"))
    assert (other.git("status", "--porcelain"), other.git("for-each-ref")) == before


def test_a_branch_that_is_rewritten_takes_no_tree_with_it(repository: Make, get: Fetch) -> None:
    origin = repository()
    old = get(origin.url)
    origin.git("commit", "--quiet", "--amend", "-m", "other")
    clone = Path(get(origin.url).directory).parent.parent / "repository"
    subprocess.run(["git", "-C", clone, "gc", "--quiet", "--prune=now"], check=True)
    assert read_source(old.directory) == old.source


def test_what_a_killed_fetch_leaves_does_not_stop_the_next(
    repository: Make, get: Fetch, tmp_path: Path
) -> None:
    origin = repository()
    clone = Path(get(origin.url).directory).parent.parent / "repository"
    (clone / "refs" / "heads" / "main.lock").touch()
    (clone / "packed-refs.lock").touch()
    key = clone.parent.name.rpartition("-")[2]
    shutil.copytree(clone, tmp_path / "cache" / ".incomplete" / key / "repository")
    assert get(origin.url, origin.commit("second")).source.commit  # type: ignore[union-attr]
    assert not list((tmp_path / "cache" / ".incomplete").iterdir())


def test_ten_at_once(repository: Make, tmp_path: Path) -> None:
    origin = repository()
    code = (
        "import contextlib, os, sys; from dioptra_cli.execution.projects.fetch import fetch\n"
        f"found = fetch({origin.url!r}, cache={str(tmp_path / 'cache')!r}, base=dict(os.environ),"
        " download=contextlib.nullcontext, note=lambda text: print(text, file=sys.stderr))\n"
        "print(found.directory, found.source.commit, found.source.dirty)"
    )
    argv = [sys.executable, "-c", code]
    several = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(10)
    ]
    ends = [process.communicate(timeout=60) for process in several]
    assert {process.returncode for process in several} == {0}, ends
    assert len({out for out, _ in ends}) == 1
    assert origin.git("rev-parse", "HEAD") + " False" in ends[0][0]
    assert sum("fetching" in err for _, err in ends) == 1
