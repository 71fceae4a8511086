"""The import hook: its start, the older names, and the stand-in for `prefect`, each in children of their own."""

from __future__ import annotations

import os
import subprocess
import textwrap
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHILD_PATH = ROOT / "dioptra_cli" / "child_path"
BUILT_IN = CHILD_PATH / "task-plugins"

Child = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has nothing installed."""
    where = tmp_path_factory.mktemp("bare")
    venv.create(where, with_pip=False)
    return where / "bin" / "python"


@pytest.fixture
def child(bare_python: Path, tmp_path: Path) -> Child:
    """Run code in a child as `dioptra run` starts it, where nothing is installed."""

    def run(
        code: str, *path: Path, arguments: tuple[str, ...] = (), fails: bool = False, **env: str
    ) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(code))
        done = subprocess.run(
            [str(bare_python), *(arguments or [str(script)])],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, [CHILD_PATH, BUILT_IN, *path])),
                **env,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode != 0) is fails, done.stderr
        return done

    return run


def write(folder: Path, **files: str) -> Path:
    """Write modules; `__` in a name stands for a slash."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


@pytest.fixture
def prefect(tmp_path: Path) -> Path:
    """A small package that has the shape of Prefect 3, and says what it executes."""
    folder = tmp_path / "installed"
    note = "import sys; sys.executed = [*getattr(sys, 'executed', []), __name__]\n"
    write(
        folder,
        prefect__flows=note
        + textwrap.dedent(
            """
            class Flow:
                def __init__(self, fn, name=None):
                    self.fn, self.name = fn, name
                @classmethod
                def from_source(cls):
                    return "source"
                @classmethod
                def __class_getitem__(cls, types):
                    return types
            class Special(Flow):
                pass
            def flow(fn):
                return Flow(fn)
            """
        ),
        prefect__tasks=note
        + textwrap.dedent(
            """
            class Task:
                def __init__(self, fn, name=None, tags=(), retries=0, retry_delay_seconds=None):
                    self.fn, self.name, self.tags = fn, name or fn.__name__, set(tags)
                    self.retries, self.retry_delay_seconds = retries, retry_delay_seconds
                def __call__(self, *args, **kwargs):
                    return ["prefect's own", self.fn(*args, **kwargs)]
                def map(self, *args):
                    return [self.fn(*each) for each in zip(*args)]
                def submit(self, *args):
                    return "submitted"
            def task(fn=None, *, name=None, tags=(), retries=0, retry_delay_seconds=None):
                made = lambda fn: Task(fn, name, tags, retries, retry_delay_seconds)
                return made if fn is None else made(fn)
            """
        ),
        prefect__settings=note + "value = 1\n",
        prefect__engine=note + "engine = 'its own'\n",
    )
    (folder / "prefect" / "utilities").mkdir()
    (folder / "prefect" / "utilities" / "__init__.py").write_text(note + "utilities = 'its own'\n")
    (folder / "prefect" / "utilities" / "annotations.py").write_text(
        "class unmapped(tuple):\n    def __new__(cls, value):\n        return super().__new__(cls, (value,))\n"
    )
    (folder / "prefect" / "__init__.py").write_text(
        note
        + textwrap.dedent(
            """
            import importlib
            from prefect import settings
            __version__ = "3.0.0"
            __all__ = ["__version__", "flow", "task"]
            _home = {"flow": "flows", "Flow": "flows", "task": "tasks", "Task": "tasks",
                     "unmapped": "utilities.annotations"}
            def __getattr__(name):
                try:
                    if name not in _home:
                        return importlib.import_module("." + name, __name__)
                    return getattr(importlib.import_module("." + _home[name], __name__), name)
                except ModuleNotFoundError:
                    raise AttributeError(name)
            """
        )
    )
    (folder / "prefect-3.0.0.dist-info").mkdir()
    return folder


LAZY = "import sys; assert not getattr(sys, 'executed', [])\n"

# How a child starts


def test_starting_imports_nothing_beside_the_hook(child: Child) -> None:
    code = "import sys; print(*sorted(sys.modules))"
    ours = child("", arguments=("-c", code)).stdout.split()
    bare = child("", arguments=("-c", code), PYTHONPATH="").stdout.split()
    assert set(ours) - set(bare) <= {"_dioptra_imports", "sitecustomize", "atexit"}


def test_shadowed_sitecustomize_runs_as_itself(child: Child, tmp_path: Path) -> None:
    theirs = write(
        tmp_path / "theirs",
        sitecustomize="""
        import sys
        assert sys.modules[__name__].__dict__ is globals()
        sys.theirs = __name__, __file__, __spec__.origin, __spec__.loader is __loader__
        """,
    )
    code = """
        import sys, sitecustomize
        file = sys.argv[1]
        assert sys.theirs == ("sitecustomize", file, file, True), sys.theirs
        assert sitecustomize.__file__ == file
        from prefect import Flow
    """
    script = tmp_path / "script.py"
    child(code, theirs, arguments=(str(script), str(theirs / "sitecustomize.py")))


def test_two_copies_do_not_run_each_other_for_ever(child: Child, tmp_path: Path) -> None:
    theirs = write(tmp_path / "theirs", sitecustomize="print('theirs')")
    copy = write(tmp_path / "copy", sitecustomize=(CHILD_PATH / "sitecustomize.py").read_text())
    done = child("print('done')", copy, theirs)
    assert (done.stdout.split(), done.stderr) == (["theirs", "done"], "")


def test_error_in_a_shadowed_sitecustomize_is_reported_as_ever(child: Child, tmp_path: Path) -> None:
    theirs = write(tmp_path / "theirs", sitecustomize="raise ValueError('boom')")
    code = "import sys; print('sitecustomize' in sys.modules)"
    alone = child(code, PYTHONPATH=str(theirs))
    ours = child("from prefect import Flow\n" + code, theirs)
    assert "ValueError: boom" in ours.stderr
    assert (ours.stdout, ours.stderr) == (alone.stdout, alone.stderr)


def test_bug_in_the_hook_does_not_break_a_child(child: Child, tmp_path: Path, prefect: Path) -> None:
    broken = write(tmp_path / "broken", sitecustomize="", _dioptra_imports="raise RuntimeError('bug')")
    (broken / "sitecustomize.py").write_text((CHILD_PATH / "sitecustomize.py").read_text())
    code = "import prefect; print(prefect.__version__)"
    done = child(code, PYTHONPATH=os.pathsep.join(map(str, [broken, prefect])))
    assert (done.stdout, done.stderr) == ("3.0.0\n", "")


def test_bug_in_the_standin_leaves_prefect_alone(child: Child, tmp_path: Path, prefect: Path) -> None:
    write(tmp_path, dioptra__flows__standin="raise RuntimeError('bug')")
    (tmp_path / "dioptra" / "__init__.py").touch()  # the script's own directory comes before everything
    done = child("import prefect; print(prefect.__version__, prefect.flow(print).fn)", prefect)
    assert done.stdout == "3.0.0 <built-in function print>\n"


def test_failed_flows_are_looked_at_last_of_all(child: Child) -> None:
    code = """
        import atexit, os, sys, types
        engine = sys.modules["dioptra.flows.engine"] = types.ModuleType("engine")
        engine.at_exit = lambda: (print("engine", flush=True), os._exit(3))
        atexit.register(print, "theirs")
    """
    done = child(code, fails=True)
    assert done.returncode == 3
    assert done.stdout.split() == ["theirs", "engine"]


# The older names


def test_older_names_are_the_same_modules(child: Child) -> None:
    child(
        """
        import importlib, sys
        from mitre.securingai.sdk import exceptions
        import mitre.securingai.sdk.utilities.paths as older
        import dioptra.sdk.exceptions, dioptra.sdk.utilities.paths as newer
        import mitre

        assert exceptions is dioptra.sdk.exceptions
        assert older is newer is mitre.securingai.sdk.utilities.paths
        assert sys.modules["mitre.securingai"] is dioptra
        assert importlib.import_module("mitre.securingai.sdk") is importlib.import_module("dioptra.sdk")

        from securingai_builtins.artifacts import exceptions as older
        from dioptra_builtins.artifacts import exceptions as newer
        assert older is newer and newer.__name__ == "dioptra_builtins.artifacts.exceptions"
        assert importlib.reload(older) is newer
        """
    )


@pytest.mark.parametrize("older", ["mitre.securingai.nope", "securingai_builtins.data.nope", "mitre.nope"])
def test_missing_module_is_missing_under_its_older_name(child: Child, older: str) -> None:
    child(
        f"""
        import importlib.util
        assert importlib.util.find_spec({older!r}) is None
        try:
            import {older}
        except ModuleNotFoundError as error:
            assert error.name == {older!r}, error
        else:
            raise AssertionError
        """
    )


def test_broken_module_is_not_taken_for_a_missing_one(child: Child, tmp_path: Path) -> None:
    write(tmp_path / "mine", dioptra_builtins__broken="import not_there")
    done = child("import securingai_builtins.broken", tmp_path / "mine", fails=True)
    assert "No module named 'not_there'" in done.stderr


def test_search_for_an_older_name_is_truthful(child: Child) -> None:
    child(
        """
        from importlib.util import find_spec
        import sys
        spec = find_spec("mitre.securingai.sdk.exceptions")
        assert spec.name == "mitre.securingai.sdk.exceptions"
        assert spec.origin == find_spec("dioptra.sdk.exceptions").origin
        assert list(spec.submodule_search_locations)
        assert find_spec("mitre.securingai.sdk.utilities.paths").submodule_search_locations is None
        assert find_spec("mitre") and find_spec("securingai_builtins")
        assert "dioptra.sdk.exceptions" not in sys.modules
        """
    )


@pytest.mark.parametrize("regular", [True, False])
def test_own_collection_of_the_older_name_wins_module_by_module(
    child: Child, tmp_path: Path, regular: bool
) -> None:
    mine = write(
        tmp_path / "mine",
        securingai_builtins__artifacts__exceptions="own = True",
        securingai_builtins__mine="own = True",
    )
    if regular:
        (mine / "securingai_builtins" / "__init__.py").touch()
        (mine / "securingai_builtins" / "artifacts" / "__init__.py").touch()
    child(
        """
        import importlib
        import securingai_builtins.mine, securingai_builtins.artifacts.exceptions as own
        assert own.own and own.__name__ == "securingai_builtins.artifacts.exceptions"
        import dioptra_builtins.artifacts.exceptions as ours
        assert ours is not own
        # what it lacks comes from ours
        older = importlib.import_module("securingai_builtins.metrics.exceptions")
        assert older is importlib.import_module("dioptra_builtins.metrics.exceptions")
        older = importlib.import_module("securingai_builtins.artifacts.utils")
        assert older is importlib.import_module("dioptra_builtins.artifacts.utils")
        """,
        mine,
    )


def test_namespace_package_of_the_same_name_stays(child: Child, tmp_path: Path) -> None:
    theirs = write(tmp_path / "theirs", mitre__other="there = True")
    child("import mitre.other, mitre.securingai.sdk; assert mitre.other.there", theirs)


# `prefect`: which one


def test_prefect_1_is_left_alone(child: Child, tmp_path: Path) -> None:
    old = write(tmp_path / "old", prefect__utilities__logging="own = True", prefect__core="class Flow: pass")
    (old / "prefect" / "__init__.py").write_text("from prefect.core import Flow\n__version__ = '1.4.1'\n")
    (old / "prefect" / "utilities" / "__init__.py").touch()
    (old / "prefect-1.4.1.dist-info").mkdir()
    child(
        """
        import sys, importlib.util
        assert importlib.util.find_spec("prefect").loader.__class__.__name__ == "SourceFileLoader"
        from prefect import Flow
        from prefect.utilities import logging
        assert Flow.__module__ == "prefect.core" and logging.own
        assert not any(name.startswith("dioptra") for name in sys.modules)
        assert [type(finder).__name__ for finder in sys.meta_path].count("Prefect") == 0
        try:
            from prefect import Parameter
        except ImportError as error:
            assert "cannot import name" in str(error)
        """,
        old,
    )


@pytest.mark.parametrize("value", ["0", "false", "No", "OFF"])
def test_switched_off(child: Child, prefect: Path, value: str) -> None:
    code = """
        import prefect, sys
        assert sys.executed[0] == "prefect" and "dioptra" not in sys.modules
        try:
            from prefect import Parameter
        except ImportError:
            import mitre.securingai.sdk
    """
    child(code, prefect, DIOPTRA_PREFECT_COMPAT=value)
    child("import prefect", DIOPTRA_PREFECT_COMPAT=value, fails=True)


def test_other_import_hooks_keep_their_turn(child: Child, prefect: Path) -> None:
    child(
        """
        import sys
        names = [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path]
        assert names[-3:] == ["OlderNames", "Prefect", "PathFinder"], names
        class Hook:
            seen = []
            def find_spec(self, name, path=None, target=None):
                self.seen.append(name)
        sys.meta_path.insert(0, Hook())
        import prefect.flows
        assert {"prefect", "prefect.flows", "prefect.settings"} <= set(Hook.seen)
        """,
        prefect,
    )


# `prefect`: none


def test_graph_names_without_prefect(child: Child) -> None:
    child(
        """
        import prefect
        from prefect import *
        from prefect import Flow, Parameter, case, task, unmapped, Task
        from prefect.utilities.logging import get_logger
        from prefect.engine.signals import SKIP
        import dioptra.flows.graph as graph, dioptra.flows.log as log, prefect.utilities.logging

        @task(nout=2)
        def pair(x):
            return x, x
        with Flow("pairs") as flow:
            a, b = pair(Parameter("x"))
        assert isinstance(flow, graph.Flow) and isinstance(flow, Flow) and Task is graph.Task
        assert prefect.utilities.logging is log
        assert "Parameter" in dir(prefect) and repr(prefect) == "<module 'prefect' (dioptra)>"
        assert not hasattr(prefect, "flow") and not hasattr(prefect, "__version__")
        """
    )


@pytest.mark.parametrize(
    "code",
    [
        "from prefect import flow",
        "from prefect import Flow, flow",
        "import prefect.flows",
        "from prefect.settings import value",
        "import prefect.utilities.annotations",
        "from prefect import Flow; Flow(print)",
        "from prefect import task; task(print, retries=3)",
        "import importlib.util; importlib.util.find_spec('prefect.flows')",
    ],
)
def test_native_names_without_prefect(child: Child, tmp_path: Path, code: str) -> None:
    (tmp_path / "prefect").mkdir()  # some folder of that name beside the script is no Prefect
    child(
        f"""
        try:
            {code}
        except ModuleNotFoundError as error:
            assert error.name == "prefect" and str(error).startswith("No module named 'prefect'"), error
            assert "Install 'prefect'" in str(error)
        else:
            raise AssertionError
        """
    )


# `prefect`: the module


@pytest.mark.parametrize(
    "code",
    [
        "from prefect import Flow, Parameter, case, task, unmapped, Task",
        "from prefect.utilities.logging import get_logger",
        "from prefect.engine.signals import SKIP",
        "import importlib.util; importlib.util.find_spec('prefect')",
        "import prefect; hasattr(prefect, '__warningregistry__'); repr(prefect); prefect.__file__",
        "import prefect, importlib; importlib.reload(prefect)",
        "import prefect; prefect.Flow('x'); prefect.task(lambda: 0)",
        "import importlib.util; assert importlib.util.find_spec('prefect.flows').has_location",
    ],
)
def test_graph_names_do_not_load_prefect(child: Child, prefect: Path, code: str) -> None:
    child(
        f"""
        {code}
        import sys
        assert not getattr(sys, "executed", []), sys.executed
        import prefect.settings
        assert sys.executed[0] == "prefect" and len(set(sys.executed)) == len(sys.executed), sys.executed
        """,
        prefect,
    )


@pytest.mark.parametrize(
    ("code", "executed"),
    [
        ("from prefect import flow", ["prefect.flows"]),
        ("import prefect; prefect.flow", ["prefect.flows"]),
        ("import prefect; prefect.__version__", []),
        ("import prefect; assert '_home' in dir(prefect)", []),
        ("import prefect.settings", []),
        ("import prefect.flows", ["prefect.flows"]),
        ("from prefect import *; flow", ["prefect.flows", "prefect.tasks"]),
        ("from prefect import Task", ["prefect.tasks"]),
        ("import prefect.utilities; prefect.utilities.utilities", ["prefect.utilities"]),
        ("import prefect.engine; prefect.engine.engine", ["prefect.engine"]),
    ],
)
def test_native_names_load_prefect_once(child: Child, prefect: Path, code: str, executed: list[str]) -> None:
    child(
        f"""
        import sys
        early = __import__("prefect")
        {LAZY}
        {code}
        assert sys.executed == ["prefect", "prefect.settings", *{executed}], sys.executed

        import prefect, prefect.flows, prefect.settings, types
        assert prefect is early and type(prefect) is types.ModuleType
        assert prefect.Flow is prefect.flows.Flow and prefect.settings is sys.modules["prefect.settings"]
        assert type(prefect.__loader__).__name__ == type(prefect.__spec__.loader).__name__ == "SourceFileLoader"
        assert prefect.__getattr__.__module__ == "prefect" and prefect.Parameter
        before = len(sys.executed)
        import importlib
        importlib.reload(prefect)
        assert sys.executed[before:] == ["prefect"], sys.executed
        del sys.modules["prefect"]
        import prefect
        assert prefect is not early and prefect.Parameter and sys.executed[before:] == ["prefect"] * 2
        """,
        prefect,
    )


def test_served_modules_beside_the_real_ones(child: Child, prefect: Path) -> None:
    child(
        """
        import sys
        from prefect.engine.signals import SKIP
        import prefect.utilities.logging as log
        assert not getattr(sys, "executed", [])
        import prefect.flows
        assert prefect.utilities.utilities == prefect.engine.engine == "its own"
        assert prefect.utilities is sys.modules["prefect.utilities"]
        del sys.modules["prefect.utilities.logging"]
        import prefect.utilities.logging
        assert prefect.utilities.logging is log and prefect.engine.signals.SKIP is SKIP
        """,
        prefect,
    )
    child(
        """
        import prefect.flows, prefect.engine
        from prefect.engine.signals import SKIP
        from prefect.utilities.logging import get_logger
        assert prefect.engine.engine == prefect.utilities.utilities == "its own"
        """,
        prefect,
    )


def test_failure_of_prefect_comes_out_and_may_pass(child: Child, prefect: Path) -> None:
    init = prefect / "prefect" / "__init__.py"
    init.write_text("import sys\nif sys.broken: raise ImportError('broken')\n" + init.read_text())
    child(
        """
        import sys
        sys.broken = True
        from prefect import Flow
        for _ in range(2):
            try:
                from prefect import flow
            except ImportError as error:
                assert str(error) == "broken"
            else:
                raise AssertionError
            from prefect import Flow, Parameter
        sys.broken = False
        from prefect import flow
        assert sys.executed.count("prefect") == 1
        """,
        prefect,
    )


def test_threads_that_touch_prefect_first(child: Child, prefect: Path) -> None:
    init = prefect / "prefect" / "__init__.py"
    init.write_text("import time; time.sleep(0.2)\n" + init.read_text())
    done = child(
        """
        import sys, threading
        codes = [
            "import prefect.settings", "from prefect import flow; flow(print)", "import prefect.flows",
            "import prefect; prefect.task", "from prefect import Flow, Parameter",
            "from prefect.utilities.logging import get_logger", "import prefect.engine; prefect.engine.engine",
        ]
        barrier = threading.Barrier(len(codes))
        def touch(code):
            barrier.wait()
            exec(code)
            done.append(code)
        done = []
        threads = [threading.Thread(target=touch, args=(code,), daemon=True) for code in codes]
        for thread in threads: thread.start()
        for thread in threads: thread.join(30)
        assert sorted(done) == sorted(codes), set(codes) - set(done)
        assert len(set(sys.executed)) == len(sys.executed), sys.executed
        """,
        prefect,
    )
    assert done.stderr == ""


def test_children_of_a_child(child: Child, prefect: Path) -> None:
    child(
        """
        import multiprocessing, subprocess, sys
        def build(name):
            from prefect import Flow
            return repr(Flow(name))
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                assert pool.apply(build, ("spawned",)) == '<Flow: name="spawned">'
            code = "from prefect import Parameter; import sys; sys.exit(7)"
            assert subprocess.run([sys.executable, "-c", code]).returncode == 7
        """,
        prefect,
    )


# `prefect`: flows and tasks


def test_flow_of_either_kind(child: Child, prefect: Path) -> None:
    child(
        f"""
        from prefect import Flow
        graph = Flow(name="graph")
        {LAZY}
        own = Flow(print, "own")
        assert isinstance(graph, Flow) and isinstance(own, Flow) and not isinstance(1, Flow)
        import prefect, prefect.flows, pickle
        assert type(own) is prefect.flows.Flow and Flow.from_source() == "source" and Flow[int, str] == (int, str)
        assert type(prefect.Flow("again")) is type(prefect.flows.Flow(name="again")) is type(graph)
        assert type(prefect.Flow(fn=print, name="own")) is type(prefect.flows.Flow.__new__(prefect.flows.Flow))
        assert type(prefect.flows.Special("function")) is prefect.flows.Special
        assert pickle.loads(pickle.dumps(own)).name == "own"
        import inspect
        assert list(inspect.signature(prefect.Flow).parameters) == ["fn", "name"]
        """,
        prefect,
    )


def test_task_is_prefects_own_where_nothing_older_is_used(child: Child, prefect: Path) -> None:
    child(
        """
        from prefect import task
        @task(name="more")
        def add(x, y=1):
            return x + y
        @task
        def every(*args):
            return sum(args)
        class Adder:
            add = add
        assert add.name == "more"
        import sys
        assert sys.executed == ["prefect", "prefect.settings", "prefect.tasks"]  # only for *args
        assert add(1) == ["prefect's own", 2] and every(1, 2) == ["prefect's own", 3]
        assert add.submit(1) == "submitted" and add.map([1], [2]) == [3] and add.fn(1) == 2
        assert add.retries == 0
        """,
        prefect,
    )
    child(
        f"""
        from prefect import task
        @task
        def add(x, y=1):
            return x + y
        {LAZY}
        assert add(1) == ["prefect's own", 2]
        from prefect import Flow
        with Flow("graph"):
            result = add(2)
            assert not hasattr(add, "submit")
        for name in ("submit", "foo"):
            try:
                getattr(result, name)
            except AttributeError as error:
                assert str(error) == f"'FunctionTask' object has no attribute {{name!r}}"
            else:
                raise AssertionError
        """,
        prefect,
    )


@pytest.mark.parametrize(
    "older",
    [
        "from prefect import Parameter",
        "from prefect import Flow",
        "from prefect import case",
        "from prefect.engine.signals import SKIP",
    ],
)
def test_task_is_of_a_graph_where_something_older_is_used(child: Child, prefect: Path, older: str) -> None:
    child(
        f"""
        {older}
        from prefect import task
        @task
        def add(x, y=1):
            return x + y
        for call in (lambda: add(1), lambda: add.map([1])):
            try:
                call()
            except ValueError as error:
                assert "Could not infer an active Flow context" in str(error)
            else:
                raise AssertionError
        assert not hasattr(add, "submit")
        {LAZY}
        import prefect.settings  # now it can be Prefect's own
        assert add(1) == ["prefect's own", 2]
        """,
        prefect,
    )


def test_prefects_own_tasks_are_recorded_in_a_graph(child: Child, prefect: Path) -> None:
    child(
        """
        from prefect import flow, task, Flow, Parameter, unmapped
        from dioptra.flows import graph
        @task(name="plus", retries=2, retry_delay_seconds=5)
        def add(x, y=1):
            return x + y
        @task(nout=2)
        def pair(x):
            return x, x
        assert add(1) == ["prefect's own", 2] and unmapped(1) == (1,)
        with Flow("graph") as g:
            first = add(Parameter("x"), y=2)
            a, b = pair(first)
            mapped = add.map([1, 2], unmapped(b))
            assert isinstance(unmapped(1), graph.unmapped)
        assert add(1) == ["prefect's own", 2]
        assert type(first) is graph.FunctionTask and first in g.tasks and first.name == "plus"
        assert (first.max_retries, first.retry_delay.total_seconds(), first.run(1)) == (2, 5.0, 2)
        assert {(edge.key, edge.mapped) for edge in g.edges_to(mapped)} == {("x", True), ("y", False)}
        import inspect
        assert list(inspect.signature(task).parameters)[:2] == ["fn", "name"]
        """,
        prefect,
    )


def test_mark_for_mapped_arguments_of_either_kind(child: Child, prefect: Path) -> None:
    child(
        f"""
        from prefect import unmapped
        from dioptra.flows import graph
        {LAZY}
        assert unmapped(1) == (1,)
        assert isinstance(unmapped(1), unmapped) and isinstance(graph.unmapped(1), unmapped)
        with graph.Flow("graph"):
            assert type(unmapped(1)) is graph.unmapped
        """,
        prefect,
    )
