"""The module `prefect` in a child: the graph API at once, and Prefect itself as soon as anything else is asked for.

The stand-in is the very module object that Prefect is then executed in, so who imported it early has the real one.
What is changed in the real one is in `dioptra.flows.native`.

Importing Prefect takes more than a second, which a script that only builds a graph need not pay; and such a script
runs where no Prefect is installed.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
import time
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from _dioptra_imports import alias

from dioptra.flows import graph, native

__all__ = ["Flow", "find_spec", "load", "task", "unmapped"]

_OLDER_MODULES = {
    "prefect.utilities.logging": "dioptra.flows.log",
    "prefect.engine.signals": "dioptra.flows.signals",
}
"""Modules that only Prefect 1 has, and what stands for them."""

_STANDINS = ("prefect", "prefect.utilities", "prefect.engine")
"""What Python imports on its way to those; executed late."""

_GRAPH_NAMES = ("Flow", "Parameter", "case", "task", "unmapped")

_NATIVE_DUNDERS = ("__all__", "__version__", "__version_info__")
"""What Prefect defines, besides paths. Tools ask every module for others, which must not load it."""

_TASK_OPTIONS = frozenset({"name", "tags"})
"""What a task of either kind takes."""

_LONGEST_WAIT = 60.0
"""Seconds that a thread waits at most for another one that is loading Prefect."""

_HINT = (
    "this Python has no Prefect; without it there are only "
    f"{', '.join(_GRAPH_NAMES)}, which dioptra provides. Install 'prefect' for the rest"
)


class _State:
    """How far the loading of the real Prefect is."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.loading: int | None = None  # by which thread
        self.loaded = False
        self.standins: dict[str, Standin] = {}
        self.asked: set[str] = set()


_state = _State()


def find_spec(name: str, found: ModuleSpec | None) -> ModuleSpec | None:
    """Return how to import `prefect`, or something below it, given where the real one is.

    Raises:
        ModuleNotFoundError: It takes Prefect, and there is none.
    """
    if found is None and name in _OLDER_MODULES:
        return alias(name, _OLDER_MODULES[name])
    if name in _STANDINS and not _state.loading and not _state.loaded:
        return _standin_spec(name, found)
    if found is None and "prefect" in _state.standins and not _state.standins["prefect"].loader:
        raise missing_prefect()
    found = native.patched(found)
    if found is not None and found.loader is not None and not _state.loaded:
        found.loader = _AfterPrefect(found.loader)  # type: ignore[assignment]  # loaders are duck-typed
    return found


def load() -> None:
    """Execute the real Prefect in the place of its stand-in, once.

    A thread that finds another one doing so waits for it, unless that one waits for a module which this one is
    importing. Such an import goes well: Prefect imports its own modules while it is being loaded.

    Raises:
        ModuleNotFoundError: There is none.
        Exception: What its execution raised; the next call tries again.
    """
    if _state.loaded or not _acquire():
        return
    try:
        if _state.loading is not None or _state.loaded:
            return
        _state.loading = threading.get_ident()
        try:
            # What was imported early is executed early: `prefect` first.
            for standin in sorted(_state.standins.values(), key=lambda standin: standin.name):
                standin.execute()
            _state.loaded = True
        finally:
            _state.loading = None
    finally:
        _state.lock.release()


def _acquire() -> bool:
    """Take the lock of the loading; False where waiting for it would not end."""
    end = time.monotonic() + _LONGEST_WAIT
    while not _state.lock.acquire(timeout=0.02):
        if _is_waited_for() or time.monotonic() > end:
            return False
    return True


def _is_waited_for() -> bool:
    """Return whether the loading thread waits for an import lock of this one, directly or through others.

    CPython sees such circles among import locks alone, and this lock is not one of them.
    """
    frames, seen, thread = sys._current_frames(), set(), _state.loading
    while thread in frames and thread not in seen:
        seen.add(thread)
        code = frames[thread].f_code
        if code.co_name != "acquire" or code.co_filename != "<frozen importlib._bootstrap>":
            return False
        thread = getattr(frames[thread].f_locals.get("self"), "owner", None)
        if thread == threading.get_ident():
            return True
    return False


class _AfterPrefect(native.Wrapped):
    """The loader of a module below `prefect` that loads the real one first."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, unless Prefect has imported it by then."""
        native.hand_back(module, self.loader)
        del sys.modules[module.__name__]
        load()
        if module.__name__ not in sys.modules:
            sys.modules[module.__name__] = module
            self.loader.exec_module(module)


class Standin(native.Wrapped):
    """The loader of a module that executes the real one late, in the same module object."""

    def __init__(self, name: str, loader: Any) -> None:
        super().__init__(loader)
        self.name = name
        self.started = False

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is until something is asked of it."""
        if self.loader is not None:
            native.hand_back(module, self.loader)
        self.module = module
        self.stand_in()
        _state.standins[self.name] = self

    def stand_in(self) -> None:
        """Answer for the module."""
        names = vars(self.module)
        names.update(__getattr__=self.get, __dir__=self.names)
        names.setdefault("__path__", [])  # of a package, since modules below it are served
        if self.loader is None and self.name == "prefect":
            names["__all__"] = list(_GRAPH_NAMES)

    def execute(self) -> None:
        """Make it the real one."""
        if self.started:
            return
        if self.loader is None:
            raise missing_prefect()
        self.started = True
        names = vars(self.module)
        try:
            if self.name == "prefect":
                native.add_graph_names(self.module)  # first: no other thread may find them missing
            self.loader.exec_module(self.module)
        except BaseException:
            self.started = False
            self.stand_in()
            raise
        # Other threads found these in the meantime, and waited. The real one may have put its own in their place.
        for name, own in (("__getattr__", self.get), ("__dir__", self.names)):
            if names.get(name) == own:
                del names[name]

    def get(self, name: str) -> Any:
        """Return an attribute that the module does not have, or not yet."""
        if (
            self.name == "prefect"
            and not self.started
            and not _state.loading
            and (name in _GRAPH_NAMES or (name == "Task" and self._is_task_of_a_graph()))
        ):
            return _graph_name(name)
        if f"{self.name}.{name}" in _OLDER_MODULES:
            return importlib.import_module(f"{self.name}.{name}")
        dunder = name.startswith("__") and name.endswith("__")
        wanted = not dunder or name in _NATIVE_DUNDERS or name.endswith("_path__")
        if wanted and self.loader is not None:
            load()
            if not self.started:
                self.execute()  # asked for by Prefect itself, while this thread loads it
            if name in vars(self.module):
                return vars(self.module)[name]
            answer = vars(self.module).get("__getattr__", self.get)
            if answer != self.get:
                return answer(name)
        hint = f" ({_HINT})" if wanted and self.loader is None else ""
        raise AttributeError(f"module {self.name!r} has no attribute {name!r}{hint}")

    def _is_task_of_a_graph(self) -> bool:
        """Return whether `Task`, which both have, is to be subclassed as in Prefect 1."""
        return self.loader is None or "Flow" in _state.asked or _is_older_script()

    def names(self) -> list[str]:
        """Return the names for `dir`."""
        if self.loader is None:
            return sorted({*vars(self.module), *_GRAPH_NAMES})
        load()
        return sorted(vars(self.module))


def _standin_spec(name: str, found: ModuleSpec | None) -> ModuleSpec:
    if found is None:
        return ModuleSpec(name, Standin(name, None), origin="dioptra", is_package=True)  # type: ignore[arg-type]
    found.loader = Standin(name, found.loader)  # type: ignore[assignment]  # loaders are duck-typed
    return found


def missing_prefect() -> ModuleNotFoundError:
    """Return the error that an import of Prefect raises without a hook, with a hint."""
    return ModuleNotFoundError(f"No module named 'prefect' ({_HINT})", name="prefect")


def _graph_name(name: str) -> Any:
    _state.asked.add(name)
    return globals()[name] if name in ("Flow", "task", "unmapped") else getattr(graph, name)


def _is_older_script() -> bool:
    """Return whether something was imported that only Prefect 1 has."""
    return not _state.asked.isdisjoint(("Parameter", "case")) or any(map(sys.modules.get, _OLDER_MODULES))


def _prefers_prefect() -> bool:
    """Return whether a call that fits the graph API and Prefect's own alike means Prefect's."""
    if _state.loaded:
        return True
    prefect = _state.standins.get("prefect")
    return (
        prefect is not None and bool(prefect.loader) and "Flow" not in _state.asked and not _is_older_script()
    )


def _of_prefect(name: str) -> Any:
    """Return a name of the real Prefect."""
    load()
    return getattr(sys.modules["prefect"], name)


class _Either(type):
    """The type of a class that stands for two: the graph API's and Prefect's own of the same name."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an instance of the one that is meant."""
        chosen = (
            getattr(graph, cls.__name__) if cls._is_graph_call(args, kwargs) else _of_prefect(cls.__name__)
        )
        return chosen(*args, **kwargs)

    def _is_graph_call(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        raise NotImplementedError

    def __instancecheck__(cls, instance: Any) -> bool:
        """Count the instances of both."""
        if isinstance(instance, getattr(graph, cls.__name__)):
            return True
        return _state.loaded and isinstance(instance, _of_prefect(cls.__name__))

    def __getitem__(cls, item: Any) -> Any:
        """Name the types of a flow, as in `Flow[[int], str]`."""
        return _of_prefect(cls.__name__)[item]

    def __getattr__(cls, name: str) -> Any:
        """Give what only Prefect's own has, such as `Flow.from_source`."""
        if name.startswith("_"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return getattr(_of_prefect(cls.__name__), name)


class _EitherFlow(_Either):
    def _is_graph_call(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        return native.names_a_graph(args, kwargs)


class _EitherUnmapped(_Either):
    def _is_graph_call(cls, *_: object) -> bool:
        return graph.active_flow() is not None or not _prefers_prefect()


class Flow(metaclass=_EitherFlow):
    """`Flow("name")` is a graph, `Flow(function)` one of Prefect's own flows."""


class unmapped(metaclass=_EitherUnmapped):  # noqa: N801  # Prefect's name
    """Marks an argument of `Task.map` that every run gets whole."""


def task(fn: Any = None, **options: Any) -> Any:
    """Make a function a task of whichever kind its calls turn out to need: `@task`, or `@task(nout=2)`."""
    if fn is None:
        return functools.partial(task, **options)
    if not _state.loaded:
        if native.GRAPH_TASK_OPTIONS & options.keys():
            return graph.task(fn, **options)
        if options.keys() <= _TASK_OPTIONS:
            try:
                return _EitherTask(fn, **options)
            except (TypeError, ValueError):  # *args, say, which only Prefect's own take
                if not _prefers_prefect():
                    raise
    return _of_prefect("task")(fn, **options)


class _EitherTask(graph.FunctionTask):
    """A task of a graph inside `with Flow(...)`, and Prefect's own task of the same function elsewhere.

    Its copies, which stand for results, are tasks of a graph alone.
    """

    def __init__(self, fn: Any, **options: Any) -> None:
        super().__init__(fn, **options)
        self._options = options
        self._own: Any = None

    def copy(self, **changes: Any) -> graph.Task:
        """Return a copy that is a task of a graph."""
        new = super().copy(**changes)
        new.__class__ = graph.FunctionTask
        return new

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Record the call, or have Prefect run the task."""
        own = self._of_prefect() if kwargs.get("flow") is None else None
        return super().__call__(*args, **kwargs) if own is None else own(*args, **kwargs)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Record the calls, or have Prefect run them."""
        own = self._of_prefect()
        return super().map(*args, **kwargs) if own is None else own.map(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind the task to an object, which Prefect's own can."""
        own = None if instance is None else self._of_prefect()
        return self if own is None else own.__get__(instance, owner)

    def __getattr__(self, name: str) -> Any:
        """Give what only Prefect's own has, such as `submit`."""
        if not name.startswith("_") and "_own" in vars(self):
            own = self._of_prefect()
            if own is not None:
                return getattr(own, name)
        raise AttributeError(f"'FunctionTask' object has no attribute {name!r}")

    def _of_prefect(self) -> Any:
        """Return Prefect's own task of the function; None where it is a graph that is meant."""
        if graph.active_flow() is not None or not _prefers_prefect():
            return None
        if self._own is None:
            self._own = _of_prefect("task")(self.run, **self._options)
        return self._own
