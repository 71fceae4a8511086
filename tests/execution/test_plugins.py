"""The listing of task plugins: odd and hostile modules, imported by a real child."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra_cli.execution import environment
from dioptra_cli.execution.plugins import PluginListing, list_plugins
from dioptra_cli.execution.process import SignalGuard

GOOD = """\
from dioptra import pyplugs

@pyplugs.register
def good(x):
    return x
"""

Write = Callable[..., Path]


def listed(*directories: Path, timeout: float = 60) -> PluginListing:
    """List the plugins of these directories, without the built-in ones, by the Python that runs the tests."""
    names = list(map(str, directories))
    env = {
        "PATH": os.path.dirname(sys.executable),
        environment.PLUGIN_DIR: os.pathsep.join(names),
        environment.PYTHONPATH: os.pathsep.join([environment.CHILD_PATH, *names]),
    }
    with SignalGuard() as guard:
        return list_plugins(env, cwd=str(directories[0].parent), guard=guard, timeout=timeout)


def modules(listing: PluginListing) -> set[str]:
    return {f"{task.package}.{task.plugin}" for task in listing.tasks}


def test_failures_say_what_and_where(plugins: Write) -> None:
    root = plugins(
        p__needs="import not_there_at_all\n",
        p__raises="\n\ndef f():\n    raise ValueError('boom')\n\nf()\n",
        p__leaves="import sys\nsys.exit(3)\n",
        p__syntax="x = 1\ndef f(:\n",
        p__late="from p import raises\n",
        p__mute="class E(Exception):\n    def __str__(self): 1 / 0\nraise E\n",
        p__good=GOOD,
        broken__init="1 / 0",
        broken__inside=GOOD,
        q__init="from q import helper",
        q__helper="from q.needed import x",
        q__needed="x = 1",
    )
    listing = listed(root)
    assert modules(listing) == {"p.good"}
    assert {(f.module, f.error, f.line, f.missing_package) for f in listing.failures} == {
        ("broken", "ZeroDivisionError", 1, None),
        ("p.needs", "ModuleNotFoundError", 1, "not_there_at_all"),
        ("p.raises", "ValueError", 4, None),
        ("p.late", "ValueError", 1, None),
        ("p.mute", "E", 3, None),
        ("p.leaves", "SystemExit", 2, None),
        ("p.syntax", "SyntaxError", 2, None),
    }
    assert not any(f.optional for f in listing.failures)
    assert listing.python == sys.executable


def test_the_first_directory_wins_and_the_rest_is_noted(plugins: Write) -> None:
    first = plugins("first", both__same=GOOD, both__one=GOOD, regular__init="", regular__one=GOOD)
    second = plugins("second", both__same=GOOD, both__two=GOOD, regular__two=GOOD, json=GOOD, pytest=GOOD)
    listing = listed(first, second)
    assert listing.failures == ()
    assert {(t.directory, f"{t.package}.{t.plugin}") for t in listing.tasks} == {
        (str(first), "both.same"),
        (str(first), "both.one"),
        (str(first), "regular.one"),
        (str(second), "both.two"),
        (str(second), ".pytest"),
    }
    hidden = {(h.module, h.file): h.by for h in listing.hidden}
    assert hidden["both.same", str(second / "both" / "same.py")] == str(first / "both" / "same.py")
    assert hidden["regular.two", str(second / "regular" / "two.py")] == str(first / "regular" / "__init__.py")
    # A plugin hides an installed module, also one that the listing itself has loaded.
    assert {module: by for (module, _), by in hidden.items()}["json"] == str(second / "json.py")
    assert hidden["pytest", pytest.__file__] == str(second / "pytest.py")
    assert len(hidden) == 4


def test_scripts_in_a_plugin_directory_are_left_alone(plugins: Write, tmp_path: Path) -> None:
    mark = f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__)\n"
    root = plugins(
        setup=mark, p__good=GOOD, p___private=mark, loose=GOOD, **{"not-a-name__x": mark, ".hidden__x": mark}
    )
    (root / "p" / "loop").symlink_to(root / "p")
    listing = listed(root)
    assert not (tmp_path / "ran").exists()
    assert modules(listing) == {"p.good", ".loose"}


def test_directories_that_do_not_exist_are_left_out(plugins: Write, tmp_path: Path) -> None:
    assert modules(listed(plugins(p__good=GOOD), tmp_path / "missing")) == {"p.good"}
    assert listed(tmp_path / "missing").tasks == ()


@pytest.mark.parametrize("text", ["import time\ntime.sleep(600)\n", "while True: pass\n"])
def test_a_module_that_hangs_is_named(plugins: Write, text: str) -> None:
    listing = listed(plugins(p__a=GOOD, p__hangs=text, p__z=GOOD), timeout=3)
    assert modules(listing) == {"p.a"}
    (failure,) = listing.failures
    assert (failure.module, failure.error) == ("p.hangs", "Timeout")
    assert "had not ended after the 3 s that there are for all plugins" in failure.message


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("import os\nos._exit(0)\n", "with exit code 0"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "by SIGKILL"),
    ],
)
def test_a_module_that_ends_the_process_is_named(plugins: Write, text: str, how: str) -> None:
    listing = listed(plugins(p__a=GOOD, p__ends=text, p__z=GOOD))
    assert [task.plugin for task in listing.tasks] == ["a", "z"]
    (failure,) = listing.failures
    assert (failure.module, failure.error) == ("p.ends", "Exit")
    assert failure.message == f"its import ended the process {how}"


def test_the_listing_goes_on_behind_each_module_that_ends_the_process(plugins: Write, tmp_path: Path) -> None:
    ends = "import os\nos._exit(4)\n"
    once = f"import sys\nassert sys.argv[1:] == []\nopen({str(tmp_path / 'ran')!r}, 'a').write('.')\n{GOOD}"
    first = plugins(
        "first", a__init=once, b__init=ends, b__x=GOOD, c__y="raise KeyboardInterrupt\n", c__z=GOOD
    )
    second = plugins("second", a__other=GOOD, c__bad="1 / 0\n", c__ends=ends, d__good=GOOD)
    listing = listed(first, second)
    assert (tmp_path / "ran").read_text() == ".."  # in the first process, and for `a.other`, which it hides
    assert [(f.module, f.error) for f in listing.failures] == [
        ("b", "Exit"),
        ("c.y", "Exit"),
        ("c.bad", "ZeroDivisionError"),
        ("c.ends", "Exit"),
    ]
    assert modules(listing) == {".a", "c.z", "d.good"}


def test_the_limit_is_one_for_all_processes(plugins: Write) -> None:
    ends = "import os, time\ntime.sleep(1)\nos._exit(4)\n"
    listing = listed(plugins(p__a=ends, p__b="import time\ntime.sleep(600)\n", p__z=GOOD), timeout=4)
    assert [(f.module, f.error) for f in listing.failures] == [("p.a", "Exit"), ("p.b", "Timeout")]
    assert "the 4 s that there are for all plugins; the modules after it" in listing.failures[1].message
    assert listing.tasks == ()


def test_processes_are_not_started_without_end(plugins: Write) -> None:
    listing = listed(plugins(p__z=GOOD, **{f"p__a{i:02}": "import os\nos._exit(4)\n" for i in range(30)}))
    assert listing.tasks == ()
    *others, last = listing.failures
    assert 1 < len(others) < 29
    assert not any("not looked at" in failure.message for failure in others)
    assert last.message.endswith("with exit code 4; the modules after it were not looked at")


def test_what_imports_print_ask_or_leave_behind_does_not_matter(plugins: Write) -> None:
    left = "import atexit, threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    root = plugins(
        p__a_thread=f"{left}\natexit.register(time.sleep, 600)\n{GOOD}",
        p__asks=f"try:\n    input('Name? ')\nexcept EOFError:\n    pass\n{GOOD}",
        p__prints="import os, sys\nprint('{')\nos.write(1, b'{')\nsys.__stdout__.write('{')\n" + GOOD,
        p__warns="import warnings\nwarnings.warn('careful')\n" + GOOD,
        p__deaf=f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{GOOD}",
    )
    listing = listed(root)
    assert listing.failures == ()
    assert modules(listing) == {"p.a_thread", "p.asks", "p.prints", "p.warns", "p.deaf"}


def test_signatures_are_readable(plugins: Write) -> None:
    root = plugins(
        p__texts="""\
        from __future__ import annotations
        from dioptra import pyplugs

        @pyplugs.register
        def texts(a: dict[str, int] | None = None, /, *b: Missing, c: "str" = 'x', **d) -> Missing: ...

        @pyplugs.register
        class Thing:
            def __init__(self, size: int) -> None: ...
        """
    )
    assert [(t.function, t.signature) for t in listed(root).tasks] == [
        ("texts", "(a: dict[str, int] | None = None, /, *b: Missing, c: 'str' = 'x', **d) -> Missing"),
        ("Thing", "(size: int) -> None"),
    ]


def test_older_names_are_no_second_plugin(plugins: Write) -> None:
    text = "from mitre.securingai import pyplugs\n\n@pyplugs.register\ndef f(): ...\n"
    assert [task.function for task in listed(plugins(p__older=text)).tasks] == ["f"]
