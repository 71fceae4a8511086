"""`dioptra plugins list`: what an entry point would find, from real directories and in a real child."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD = """\
from __future__ import annotations
import os
from dioptra import pyplugs

print("printed at import")
os.write(1, b"written at import")

@pyplugs.register
@pyplugs.task_nout(2)
def split(data: list[int], at: int = 3, *, loud: bool = False) -> tuple[list[int], list[int]]:
    '''Split data
    in two.

    At length.
    '''
    return data[:at], data[at:]

@pyplugs.register
def plain(x):
    return x
"""

Write = Callable[..., Path]


def own(listing: Any) -> dict[str, list[Any]]:
    """Return what of a listing is not about the built-in plugins."""
    built_in = listing["directories"][-1]
    return {
        key: [r for r in listing[key] if r["directory"] != built_in]
        for key in ("tasks", "failures", "hidden")
    }


def test_tasks_are_listed_with_all_that_is_known(dioptra: Any, plugins: Write) -> None:
    root = plugins(my_plugins__good=GOOD)
    called = dioptra("plugins", "list", "--plugin-dir", str(root), "--json")
    assert called.code == 0, called.err
    listing = called.json
    assert listing["directories"][0] == str(root)
    file = str(root / "my_plugins" / "good.py")
    assert own(listing)["tasks"] == [
        {
            "package": "my_plugins",
            "plugin": "good",
            "function": "split",
            "signature": "(data: list[int], at: int = 3, *, loud: bool = False) -> tuple[list[int], list[int]]",
            "description": "Split data in two.",
            "nout": 2,
            "file": file,
            "line": 8,
            "directory": str(root),
        },
        {
            "package": "my_plugins",
            "plugin": "good",
            "function": "plain",
            "signature": "(x)",
            "description": "",
            "nout": None,
            "file": file,
            "line": 18,
            "directory": str(root),
        },
    ]
    built_in = {(t["package"], t["plugin"], t["function"]) for t in listing["tasks"]}
    assert ("dioptra_builtins.random", "rng", "init_rng") in built_in


def test_the_text_is_grouped_by_package(dioptra: Any, plugins: Write) -> None:
    root = plugins(my_plugins__good=GOOD, loose=GOOD)
    called = dioptra("plugins", "list", "--plugin-dir", str(root), env={"COLUMNS": "80"})
    assert called.code == 0, called.err
    tasks = [
        "split(data: list[int], at: int = 3, *, loud: bool = False) ->",
        "      tuple[list[int], list[int]]  (2 results)",
        "      Split data in two.",
    ]
    assert called.out.splitlines()[:14] == [
        f"(no package)  {root}",
        f"  loose.{tasks[0]}",
        *tasks[1:],
        "      loose.py:8",
        "  loose.plain(x)",
        "      loose.py:18",
        "",
        f"my_plugins  {root}",
        f"  good.{tasks[0]}",
        *tasks[1:],
        "      my_plugins/good.py:8",
        "  good.plain(x)",
    ]
    assert "\ndioptra_builtins.random  built in\n  rng.init_rng(" in called.out
    assert called.err == ""


def test_what_is_wrong_is_shown_with_the_reason(dioptra: Any, plugins: Write) -> None:
    root = plugins(
        p__needs="import not_there_at_all\n",
        p__leaves="import sys\nsys.exit(3)\n",
        p__twice=GOOD,
        broken__init="1 / 0",
    )
    other = plugins("other", p__twice=GOOD)
    called = dioptra("plugins", "list", "--plugin-dir", str(root), "--plugin-dir", str(other))
    assert called.code == 1
    shown = called.out[called.out.index("cannot be imported") :].splitlines()
    assert shown[:5] == [
        "cannot be imported",
        f"  broken  broken/__init__.py:1 in {root}",
        "    ZeroDivisionError: division by zero",
        f"  p.leaves  p/leaves.py:2 in {root}",
        "    SystemExit: the module calls sys.exit(3)",
    ]
    assert shown[5:7] == [
        f"  p.needs  p/needs.py:1 in {root}",
        "    ModuleNotFoundError: No module named 'not_there_at_all'",
    ]
    assert shown[7].endswith("has no package 'not_there_at_all'")
    assert shown[-3:] == [
        "not imported, as another module has the same name",
        f"  p.twice  {other}/p/twice.py",
        f"    hidden by {root}/p/twice.py",
    ]
    assert called.err == ""


def test_built_in_plugins_can_be_left_out(dioptra: Any, plugins: Write, tmp_path: Path) -> None:
    root = plugins(my_plugins__good=GOOD, dioptra_builtins__random__rng=GOOD)
    called = dioptra("plugins", "list", "--plugin-dir", str(root), "--no-builtins", "--json")
    assert called.code == 0, called.err
    assert called.json["directories"] == [str(root)]
    assert {t["directory"] for t in called.json["tasks"]} == {str(root)}
    assert called.json["hidden"] == called.json["failures"] == []
    assert dioptra("plugins", "list", "--no-builtins").out == "no task plugins in the project\n"


def test_a_module_that_hangs_does_not_hang_the_command(dioptra: Any, plugins: Write) -> None:
    root = plugins(p__hangs="import time\ntime.sleep(600)\n")
    called = dioptra("plugins", "list", "--plugin-dir", str(root), "--timeout", "2")
    assert called.code == 1
    assert (
        f"  p.hangs  p/hangs.py in {root}\n    Timeout: its import had not ended after the 2 s" in called.out
    )


def test_a_built_in_plugin_may_do_without_a_package(dioptra: Any, plugins: Write) -> None:
    blocker = plugins(
        "site", sitecustomize="import sys\nsys.meta_path.insert(0, __import__('blocker').Blocker())\n"
    )
    plugins(
        "site",
        blocker="""\
        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name == "numpy":
                    raise ModuleNotFoundError("No module named 'numpy'", name="numpy")
        """,
    )
    called = dioptra("plugins", "list", env={"PYTHONPATH": f"{blocker}:{os.environ['PYTHONPATH']}"})
    assert called.code == 0, called.out
    shown = called.out[called.out.index("built in, for when a package is installed") :].splitlines()
    assert shown[1].split() == ["MODULE", "NEEDS"]
    assert ["dioptra_builtins.random.rng", "numpy"] in [line.split() for line in shown]


def test_the_directories_are_those_of_a_run(dioptra: Any, plugins: Write, tmp_path: Path) -> None:
    plugins("project/task-plugins", project_plugins__good=GOOD)
    inherited = plugins("inherited", inherited_plugins__good=GOOD)
    given = plugins("given", given_plugins__good=GOOD)
    missing = str(tmp_path / "missing")
    environ = {"DIOPTRA_PLUGIN_DIR": f"{inherited}{os.pathsep}{missing}"}
    called = dioptra("plugins", "list", "project", "--plugin-dir", "given", "--json", env=environ)
    assert called.code == 0
    assert called.json["directories"][:3] == [
        str(given),
        str(inherited),
        str(tmp_path / "project/task-plugins"),
    ]
    packages = list(dict.fromkeys(t["package"] for t in own(called.json)["tasks"]))
    assert packages == ["given_plugins", "inherited_plugins", "project_plugins"]
    assert f"the plugin directory '{missing}' does not exist" in called.err
    called = dioptra("plugins", "list", "--plugin-dir", missing)
    assert (called.code, missing in called.err) == (2, True)
    called = dioptra("plugins", "list", "nowhere")
    assert (called.code, "there is no directory 'nowhere'" in called.err) == (2, True)


def test_the_python_of_the_entry_points_is_asked(dioptra: Any, plugins: Write, tmp_path: Path) -> None:
    called = dioptra("plugins", "list", "--json", env={"VIRTUAL_ENV": "x", "PATH": str(tmp_path)})
    assert called.code == 125
    assert "cannot run 'python'" in called.err
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 9\n")
    python.chmod(0o755)
    called = dioptra("plugins", "list", env={"VIRTUAL_ENV": "x", "PATH": f"{python.parent}:/bin:/usr/bin"})
    assert called.code == 125
    assert "it ended with exit code 9: no such thing" in called.err


@pytest.mark.parametrize("command", [["plugins"], ["plugins", "list"]])
def test_help(dioptra: Any, command: list[str]) -> None:
    called = dioptra(*command, "--help", env={"COLUMNS": "80"})
    assert called.code == 0
    assert called.out.startswith("Usage: dioptra plugins")
    assert max(len(line) for line in called.out.splitlines()) <= 80
