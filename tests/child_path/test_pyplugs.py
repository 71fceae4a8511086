"""`dioptra.pyplugs`: what is registered, how it is found, what is said if it is not, and what a flow makes of it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dioptra import pyplugs
from dioptra.flows.graph import Flow
from dioptra.sdk.exceptions import (
    PrefectDependencyError,
    UnknownPackageError,
    UnknownPluginError,
    UnknownPluginFunctionError,
)

PLUGIN = """\
'''About the module.'''
from __future__ import annotations
from dioptra import pyplugs

@pyplugs.register
def first(x: int = 1) -> int:
    '''Add one
    to x.

    At length:
        with care.
    '''
    return x + 1

@pyplugs.register()
def second(x, *, scale: float = 2.0):
    return x * scale

def not_registered(): ...
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules by dotted name to a plugin directory on the import path; they are forgotten afterwards."""
    root = tmp_path / "plugins"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setenv("DIOPTRA_PLUGIN_DIR", str(root))
    before = set(sys.modules)

    def add(**modules: str) -> Path:
        for name, indented in modules.items():
            text = textwrap.dedent(indented)
            file = root.joinpath(*name.split("__"))
            file = file / "__init__.py" if text.startswith("# package") else file.with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        importlib.invalidate_caches()
        return root

    yield add
    for name in set(sys.modules) - before:
        if str(root) in str(
            getattr(sys.modules[name], "__path__", getattr(sys.modules[name], "__file__", ""))
        ):
            del sys.modules[name]


def test_all_is_what_there_is() -> None:
    assert len(pyplugs.__all__) == 19
    assert all(hasattr(pyplugs, name) for name in pyplugs.__all__)


def test_info_tells_everything(write: Write) -> None:
    write(pkg__plug=PLUGIN)
    info = pyplugs.info("pkg", "plug")
    assert info[:3] == ("pkg", "plug", "first")
    assert info[4:] == ("Add one to x.", "At length:\n    with care.", "About the module.", 0)
    assert info.func(2) == 3
    assert info == pyplugs.info_factory("pkg")("plug")
    with pytest.raises(AttributeError):
        info.func_name = "other"  # type: ignore[misc]


def test_get_and_call_take_the_first_function_unless_told(write: Write) -> None:
    write(pkg__plug=PLUGIN)
    assert pyplugs.funcs("pkg", "plug") == ["first", "second"]
    assert pyplugs.call("pkg", "plug") == 2
    assert pyplugs.call("pkg", "plug", "first", 5) == 6
    assert pyplugs.call("pkg", "plug", func="second", x=5, scale=3) == 15
    assert pyplugs.get("pkg", "plug").__name__ == "first"


def test_factories_bind_the_package(write: Write) -> None:
    write(pkg__plug=PLUGIN)
    assert pyplugs.names_factory("pkg")() == ["plug"]
    assert pyplugs.funcs_factory("pkg")("plug") == ["first", "second"]
    assert pyplugs.exists_factory("pkg")("plug") is True
    assert pyplugs.exists_factory("pkg")("nope") is False
    assert pyplugs.get_factory("pkg")("plug") is pyplugs.get("pkg", "plug")
    assert pyplugs.call_factory("pkg")("plug", x=1) == 2


def test_names_come_by_sort_value_then_name(write: Write) -> None:
    plugin = "from dioptra import pyplugs\n@pyplugs.register{}\ndef f(): ...\n"
    write(
        pkg="# package",
        pkg__zebra=plugin.format("(sort_value=-1)"),
        pkg__middle=plugin.format(""),
        pkg__ape=plugin.format("(sort_value=2.5)"),
        pkg__bee=plugin.format("()"),
        pkg__no_plugin="x = 1",
        pkg___private="raise RuntimeError",
    )
    assert pyplugs.names("pkg") == ["zebra", "bee", "middle", "ape"]


def test_the_package_itself_holds_no_plugins() -> None:
    assert pyplugs.names("dioptra.pyplugs") == []
    assert not pyplugs.exists("dioptra.pyplugs", "listing")


def test_modules_outside_of_packages_have_an_empty_package(write: Write) -> None:
    write(loose=PLUGIN)
    assert pyplugs.call("", "loose", x=1) == 2
    assert pyplugs.info("", "loose").package_name == ""
    with pytest.raises(UnknownPluginError):
        pyplugs.info("", "lose")


def test_a_plugin_has_two_names_when_its_module_has(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(pkg__plug=PLUGIN)
    monkeypatch.setitem(sys.modules, "older", importlib.import_module("pkg"))
    monkeypatch.setitem(sys.modules, "older.plug", importlib.import_module("pkg.plug"))
    assert pyplugs.info("older", "plug") == pyplugs.info("pkg", "plug")
    assert pyplugs.exists("older", "plug")


def test_a_class_can_be_registered(write: Write) -> None:
    write(pkg__plug="from dioptra import pyplugs\n@pyplugs.register\nclass Thing:\n    'A thing.'\n")
    assert type(pyplugs.call("pkg", "plug")).__name__ == "Thing"


ABOVE_AND_BELOW = """\
import functools
from dioptra import pyplugs

def checked(func):
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return ("checked", func(*args, **kwargs))
    return wrapper

@pyplugs.register
@pyplugs.task_nout(2)
@checked
def a(x): return x

@checked
@pyplugs.task_nout(2)
@pyplugs.register
def b(x): return x

@pyplugs.task_nout(2)
@checked
@checked
@pyplugs.register
def c(x): return x

@checked
@pyplugs.register
@checked
@pyplugs.task_nout(2)
def d(x): return x
"""


def test_decorators_stack_in_any_order(write: Write) -> None:
    write(pkg__plug=ABOVE_AND_BELOW)
    checked = {"a": ("checked", 1), "b": ("checked", 1)}
    twice = ("checked", ("checked", 1))
    for name, expected in {**checked, "c": twice, "d": twice}.items():
        assert pyplugs.call("pkg", "plug", name, 1) == expected, name
        assert pyplugs.get_task("pkg", "plug", name).nout == 2, name


def test_require_package_and_register_stack_in_any_order(write: Write) -> None:
    write(
        pkg__plug="""\
        from dioptra import pyplugs
        from dioptra.sdk.exceptions import TensorflowDependencyError
        from dioptra.sdk.utilities.decorators import require_package

        @pyplugs.register
        @pyplugs.task_nout(2)
        @require_package("not_there_at_all", exc_type=TensorflowDependencyError)
        def inside(x): return x

        @require_package("not_there_at_all", exc_type=TensorflowDependencyError)
        @pyplugs.task_nout(2)
        @pyplugs.register
        def outside(x): return x
        """
    )
    for name in ("inside", "outside"):
        with pytest.raises(ImportError):
            pyplugs.call("pkg", "plug", name, x=1)
        with Flow("f") as flow:
            one, two = pyplugs.call_task("pkg", "plug", name, x=1)
        assert {one.name, two.name} == {f"{name}[0]", f"{name}[1]"}
        assert flow.tasks


@pytest.mark.parametrize(
    ("nout", "error"), [(lambda: 1, TypeError), ("2", TypeError), (True, TypeError), (-1, ValueError)]
)
def test_task_nout_wants_a_number(nout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="expects the number of results"):
        pyplugs.task_nout(nout)


def test_register_says_what_it_decorates() -> None:
    import functools

    with pytest.raises(TypeError, match="functions that a module defines"):
        pyplugs.register(functools.partial(print))


# What is not there


def test_an_unknown_package(write: Write) -> None:
    write(my_plugins__images__resize=PLUGIN, my_plugins__sound__resample=PLUGIN)
    with pytest.raises(UnknownPackageError) as caught:
        pyplugs.info("my_plugin.images", "resize")
    assert "no module or package 'my_plugin', so no 'my_plugin.images.resize'" in str(caught.value)
    assert "did you mean 'my_plugins'? (the plugin directories hold: my_plugins)" in str(caught.value)
    with pytest.raises(UnknownPackageError, match=r"did you mean 'my_plugins\.images'") as caught:
        pyplugs.call("my_plugins.image", "resize")
    assert "('my_plugins' holds: images, sound)" in str(caught.value)
    for package in ("my_plugins.nope", "nope", "nope.nope", "", ".", "a..b"):
        with pytest.raises(UnknownPackageError):
            pyplugs.names(package)
        assert pyplugs.exists(package, "plug") is False


def test_an_unknown_plugin(write: Write) -> None:
    write(pkg__resize=PLUGIN, pkg__rotate=PLUGIN, pkg__empty="x = 1")
    with pytest.raises(UnknownPluginError) as caught:
        pyplugs.get("pkg", "resise")
    assert "no module 'pkg.resise': did you mean 'pkg.resize'?" in str(caught.value)
    assert "('pkg' holds: empty, resize, rotate)" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    with pytest.raises(UnknownPluginError, match=r"'pkg.empty' \(.*empty.py\) registers no task plugin"):
        pyplugs.funcs("pkg", "empty")
    assert [pyplugs.exists("pkg", name) for name in ("resize", "resise", "empty")] == [True, False, False]


def test_an_unknown_function(write: Write) -> None:
    write(pkg__plug=PLUGIN)
    with pytest.raises(UnknownPluginFunctionError) as caught:
        pyplugs.info("pkg", "plug", "secnod")
    assert "did you mean 'second'? (it registers: first, second)" in str(caught.value)
    with pytest.raises(UnknownPluginFunctionError, match="though there is one: decorate it"):
        pyplugs.call("pkg", "plug", "not_registered")


def test_a_module_in_the_place_of_a_package(write: Write) -> None:
    write(pkg__plug=PLUGIN)
    with pytest.raises(UnknownPluginError) as caught:
        pyplugs.call("pkg.plug", "first")
    assert "'pkg.plug'" in str(caught.value)
    assert "is a module, not a package" in str(caught.value)
    assert "those of the plugin 'plug' in the package 'pkg'" in str(caught.value)
    with pytest.raises(UnknownPackageError, match="is a module, not a package"):
        pyplugs.names("pkg.plug")


# What is there, but broken

BREAKS = {
    "raises": ("raise ValueError('boom')", ValueError),
    "syntax": ("def f(:", SyntaxError),
    "dependency": ("import not_there_at_all", ModuleNotFoundError),
    "sibling": ("import pkg.missing", ModuleNotFoundError),
    "itself_below": ("import pkg.itself_below.part", ModuleNotFoundError),
    "lies": (
        "raise ModuleNotFoundError(\"No module named 'pkg.lies'\", name='pkg.lies')",
        ModuleNotFoundError,
    ),
    "name": ("from dioptra.pyplugs import no_such_name", ImportError),
    "leaves": ("raise SystemExit(3)", SystemExit),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_plugin_raises_its_own_error_every_time(write: Write, name: str) -> None:
    text, error = BREAKS[name]
    write(**{f"pkg__{name}": f"{PLUGIN}\n{text}\n"})
    for ask in (pyplugs.exists, pyplugs.funcs, pyplugs.info, pyplugs.call, pyplugs.call_task):
        with pytest.raises(error) as caught:
            ask("pkg", name)
        assert type(caught.value) is error
        if sys.version_info >= (3, 11):
            assert f"while importing the task plugin 'pkg.{name}'" in caught.value.__notes__


def test_the_traceback_shows_the_line_that_failed(write: Write) -> None:
    write(pkg__plug="import sys\n\nimport not_there_at_all\n")
    with pytest.raises(ModuleNotFoundError) as caught:
        pyplugs.call("pkg", "plug")
    assert 'plug.py", line 3' in "".join(
        traceback.format_exception(None, caught.value, caught.value.__traceback__)
    )


def test_a_plugin_that_is_mended_can_be_used(write: Write) -> None:
    root = write(pkg__plug=f"{PLUGIN}\n@pyplugs.register\ndef gone(): ...\n1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        pyplugs.funcs("pkg", "plug")
    (root / "pkg" / "plug.py").write_text(PLUGIN)
    importlib.invalidate_caches()
    assert pyplugs.funcs("pkg", "plug") == ["first", "second"]


@pytest.mark.parametrize("text", ["import pkg.plug.x", "import not_there_at_all", "import pkg.nope", "1 / 0"])
def test_a_package_that_breaks_is_there(write: Write, text: str) -> None:
    write(pkg=f"# package\n{text}\n", pkg__plug=PLUGIN)
    expected = ZeroDivisionError if text == "1 / 0" else ModuleNotFoundError
    for ask in (
        lambda: pyplugs.exists("pkg", "plug"),
        lambda: pyplugs.call("pkg", "plug"),
        lambda: pyplugs.call("pkg", "nope"),
        lambda: pyplugs.names("pkg"),
    ):
        with pytest.raises(expected):
            ask()


def test_names_warns_of_what_is_broken_and_goes_on(write: Write) -> None:
    write(pkg__plug=PLUGIN, **{f"pkg__{name}": text for name, (text, _) in BREAKS.items()})
    with pytest.warns(RuntimeWarning) as warned:
        assert pyplugs.names("pkg") == ["plug"]
    messages = sorted(str(warning.message) for warning in warned)
    assert len(messages) == len(BREAKS)
    assert messages[0].startswith(
        "the task plugin 'pkg.dependency' cannot be imported: ModuleNotFoundError: No module named 'not_there_at_all'"
    )
    assert {warning.filename for warning in warned} == {__file__}


# Tasks


def test_a_graph_takes_plugins_as_tasks(write: Write) -> None:
    write(
        pkg__plug="""\
        from dioptra import pyplugs

        @pyplugs.register
        @pyplugs.task_nout(2)
        def pair(x, name): return x, name

        @pyplugs.register
        def join(**parts): return parts
        """
    )
    call_task = pyplugs.call_task_factory("pkg")
    with Flow("f") as flow:
        x, name = pyplugs.call_task("pkg", "plug", "pair", 1, name="an argument")
        joined = call_task("plug", "join", x=x, name=name, upstream_tasks=[x], task_args={"name": "renamed"})
    assert joined.name == "renamed"
    assert joined.plugin == "pkg.plug.join"
    assert {task.name for task in flow.tasks} == {"pair", "pair[0]", "pair[1]", "renamed"}
    state = flow.run()
    assert state.result[joined].result == {"x": 1, "name": "an argument"}
    with pytest.raises(TypeError, match="missing a required argument: 'name'"), Flow("g"):
        pyplugs.call_task("pkg", "plug", "pair", 1)
    with pytest.raises(TypeError, match="not iterable"), Flow("h"):
        _, _ = pyplugs.call_task("pkg", "plug", "join")
    with Flow("i") as flow:
        same = pyplugs.get_task("pkg", "plug")(1, name="x").is_equal(
            pyplugs.get_task_factory("pkg")("plug")(1, name="x")
        )
    assert flow.run().result[same].result is True


def test_a_plugin_that_is_imported_again_is_a_new_task(write: Write) -> None:
    plugin = "from dioptra import pyplugs\n@pyplugs.register\ndef f(): return {}\n"
    for answer in (1, 22):
        root = write(pkg__plug=plugin.format(answer))
        module = importlib.import_module("pkg.plug")
        if answer == 22:
            importlib.reload(module)
        with Flow("f") as flow:
            task = pyplugs.call_task("pkg", "plug")
        assert flow.run().result[task].result == answer, root


def test_outside_of_a_flow_there_is_no_task_to_call(write: Write) -> None:
    write(pkg__plug=PLUGIN)
    task = pyplugs.get_task("pkg", "plug", "second")
    assert task.name == "second"
    with pytest.raises(ValueError, match="Could not infer an active Flow context"):
        pyplugs.call_task("pkg", "plug", "second", x=1)


def test_prefect_blocked(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(pkg__plug=PLUGIN)
    monkeypatch.setitem(sys.modules, "prefect", None)
    for ask in (
        lambda: pyplugs.get_task("pkg", plugin="plug"),
        lambda: pyplugs.call_task("pkg", plugin="plug"),
        lambda: pyplugs.get_task_factory("pkg"),
        lambda: pyplugs.call_task_factory("pkg"),
    ):
        with pytest.raises(PrefectDependencyError):
            ask()
    assert pyplugs.call("pkg", "plug") == 2


def child(root: Path, code: str, **env: str) -> str:
    """Run a script in a process of its own, with the child path and the plugins on its import path."""
    child_path = str(Path(inspect.getfile(pyplugs)).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=root.parent,
        env={**os.environ, **env, "PYTHONPATH": os.pathsep.join([child_path, str(root)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_older_names_reach_the_same_plugins(write: Write) -> None:
    root = write(
        mine__plug="from mitre.securingai import pyplugs\n@pyplugs.register\ndef f(): return 'mine'\n",
        dioptra_builtins__own=PLUGIN,
    )
    code = """\
    from mitre.securingai import pyplugs
    from mitre.securingai.sdk.exceptions import UnknownPackageError, UnknownPluginError
    import dioptra.pyplugs

    assert pyplugs.call("mine", "plug") == dioptra.pyplugs.call("mine", "plug") == "mine"
    own = pyplugs.info("securingai_builtins", "own")
    assert own == dioptra.pyplugs.info("dioptra_builtins", "own")
    assert own.package_name == "dioptra_builtins"
    assert pyplugs.names("mitre.securingai.pyplugs") == []
    for error, ask in [
        (UnknownPluginError, lambda: pyplugs.info("securingai_builtins", "won")),
        (UnknownPackageError, lambda: pyplugs.info("securingai_builtins.nope", "own")),
        (UnknownPackageError, lambda: pyplugs.names("mitre.securingai.pyplugs.nope")),
    ]:
        try:
            ask()
        except error as caught:
            print(caught)
    """
    first, second, third = child(root, code).splitlines()
    assert "did you mean 'securingai_builtins.own'?" in first
    assert "no module 'securingai_builtins.nope', so no 'securingai_builtins.nope.own'" in second
    assert "no module 'mitre.securingai.pyplugs.nope'" in third


def test_looking_up_a_plugin_imports_nothing_heavy(write: Write) -> None:
    root = write(pkg__plug=PLUGIN)
    heavy = {"prefect", "mlflow", "structlog", "numpy", "dioptra.flows.graph", "asyncio", "inspect"}
    code = f"""\
    import sys
    from dioptra import pyplugs
    print(sorted({heavy!r} & set(sys.modules)))
    """
    assert child(root, code) == "[]\n"


def test_prefect_1_is_used_where_it_is_loaded_or_all_there_is(write: Write) -> None:
    root = write(
        pkg__plug=PLUGIN,
        prefect="""\
        # package
        from prefect.core.flow import Flow

        def task(nout=None):
            return lambda func: lambda *args, **kwargs: ("prefect 1", func.__name__, nout, args, kwargs)
        """,
        prefect__core__flow="class Flow: ...",
    )
    metadata = root / "prefect-1.4.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: prefect\nVersion: 1.4.1\n")
    for first in ("", "import prefect"):
        code = f"""\
        import os
        import sys
        {first}
        from dioptra import pyplugs
        print(pyplugs.call_task("pkg", "plug", "second", 1, scale=2))
        print("dioptra.flows.graph" in sys.modules)
        """
        expected = "('prefect 1', 'second', None, (1,), {'scale': 2})\nFalse\n"
        assert child(root, code, DIOPTRA_PREFECT_COMPAT="0") == expected


NATIVE_PLUGIN = """\
import threading

import mlflow
from dioptra import pyplugs

@pyplugs.register
@pyplugs.task_nout(2)
def pair(x, name):
    return x, name

@pyplugs.register
def join(parts):
    assert threading.current_thread() is not threading.main_thread()
    mlflow.log_metric("joined", 1)
    return parts

@pyplugs.register
async def later(x):
    mlflow.log_metric("later", 1)
    return x * 10

@pyplugs.register
@pyplugs.task_nout(2)
def boom():
    raise ValueError("boom")
"""

NATIVE_FLOWS = """\
import json

import mlflow
from prefect import flow
from dioptra import pyplugs

@flow
def native(x):
    a, b = pyplugs.call_task("pkg", "plug", "pair", x, name="an argument")
    joined = pyplugs.call_task("pkg", "plug", "join", parts=[a, {"b": b}], upstream_tasks=[(a, b)])
    later = pyplugs.call_task("pkg", "plug", "later", a, task_args={"name": "renamed"})
    lost, _ = pyplugs.call_task("pkg", "plug", "boom")
    after = pyplugs.call_task("pkg", "plug", "later", lost)
    after.wait()
    try:
        pyplugs.call_task("pkg", "plug", "later", x, mapped=True)
    except TypeError as error:
        refused = str(error)
    return joined.result(), later.result(), after.state.type.value, refused, pyplugs.get_task("pkg", "plug").name

with mlflow.start_run() as run:
    result = native(4)
metrics = mlflow.get_run(run.info.run_id).data.metrics
print(json.dumps([result, sorted(metrics), len(mlflow.search_runs())]))
"""


def test_a_running_flow_of_prefect_3_gets_tasks_of_its_own(
    write: Write, tmp_path: Path, prefect_api: str
) -> None:
    root = write(pkg__plug=NATIVE_PLUGIN)
    out = child(
        root,
        NATIVE_FLOWS,
        MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/mlflow.db",
        PREFECT_HOME=str(tmp_path / "prefect"),
        PREFECT_API_URL=prefect_api,
        PREFECT_LOGGING_LEVEL="ERROR",
    )
    result, metrics, runs = json.loads(out.splitlines()[-1])
    assert result[:3] == [
        [4, {"b": "an argument"}],
        40,
        "PENDING",
    ]  # what a failed task is before never starts
    assert "cannot take 'mapped'" in result[3]
    assert result[4] == "pair"
    assert (metrics, runs) == (["joined", "later"], 1)
