"""What is changed in the real Prefect, 2 or later, so that the graph API works beside it.

Its own use stays what it is: three calls behave differently inside `with Flow("name")`, which it does not know,
`Flow` takes a name, and `task` the options of Prefect 1. Each change is made right after Prefect has executed the
module concerned, so that all who import from it get the changed one, and nothing is imported early.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable

from dioptra.flows import graph

__all__ = ["GRAPH_TASK_OPTIONS", "Wrapped", "add_graph_names", "hand_back", "names_a_graph", "patched"]

GRAPH_TASK_OPTIONS = frozenset(
    {"max_retries", "nout", "plugin", "retry_delay", "skip_on_upstream_skip", "slug"}
)
"""The options of a task that Prefect's own `task` does not have: they ask for a task of a graph."""


def patched(found: ModuleSpec | None) -> ModuleSpec | None:
    """Return how to import a module of Prefect's so that it comes with its change, if there is one for it."""
    if found is not None and found.name in _PATCHES:
        found.loader = _Patching(found.loader, _PATCHES[found.name])  # type: ignore[assignment]  # duck-typed
    return found


def hand_back(module: ModuleType, loader: Any) -> None:
    """Let a module say that the real loader has loaded it."""
    module.__loader__ = loader
    if module.__spec__ is not None:
        module.__spec__.loader = loader


def names_a_graph(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether `Flow` is called with a name and no function."""
    return isinstance(args[0] if args else kwargs.get("fn", kwargs.get("name")), str)


class Wrapped:
    """A loader around the real one; None stands for a module that has none."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        """Be the real loader for whoever asks for the source or a resource."""
        return getattr(vars(self).get("loader"), name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Have the real loader make the module, if it wants to."""
        made: ModuleType | None = self.loader and self.loader.create_module(spec)
        return made


class _Patching(Wrapped):
    """The loader of a module that is changed once it is executed."""

    def __init__(self, loader: Any, patch: Callable[[Any], None]) -> None:
        super().__init__(loader)
        self.patch = patch

    def exec_module(self, module: ModuleType) -> None:
        """Execute and change the module."""
        hand_back(module, self.loader)
        self.loader.exec_module(module)
        with contextlib.suppress(Exception):  # a Prefect that is built otherwise still works, without graphs
            self.patch(module)


def add_graph_names(prefect: Any) -> None:
    """Add what only Prefect 1 has."""
    prefect.Parameter = graph.Parameter
    prefect.case = graph.case


def _flows(module: Any) -> None:
    """Have `Flow("name")` make a graph."""
    own = module.Flow
    make = own.__new__

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if cls is own and names_a_graph(args, kwargs):
            return graph.Flow(*args, **kwargs)
        return object.__new__(cls) if make is object.__new__ else make(cls, *args, **kwargs)

    new.__wrapped__ = own.__init__  # type: ignore[attr-defined]  # what `inspect.signature` shows
    own.__new__ = new


def _tasks(module: Any) -> None:
    """Have tasks recorded inside `with Flow("name")`, and `task` take the options of Prefect 1."""
    call, spread, make = module.Task.__call__, module.Task.map, module.task

    @functools.wraps(call)
    def recording_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if graph.active_flow() is None:
            return call(self, *args, **kwargs)
        return _as_graph_task(self)(*args, **kwargs)

    @functools.wraps(spread)
    def recording_map(self: Any, *args: Any, **kwargs: Any) -> Any:
        if graph.active_flow() is None:
            return spread(self, *args, **kwargs)
        return _as_graph_task(self).map(*args, **kwargs)

    @functools.wraps(make)
    def task(*args: Any, **options: Any) -> Any:
        return (graph.task if GRAPH_TASK_OPTIONS & options.keys() else make)(*args, **options)

    graph.accept(module.Task, _as_graph_task)
    module.Task.__call__ = recording_call
    module.Task.map = recording_map
    module.task = task


def _as_graph_task(task: Any) -> graph.FunctionTask:
    """Return the task of a graph that is like one of Prefect's own."""
    options = {"tags": task.tags}
    if task.retries:
        delay = task.retry_delay_seconds
        seconds = (delay[0] if delay else 0) if isinstance(delay, list) else delay or 0
        options.update(max_retries=task.retries, retry_delay=datetime.timedelta(seconds=seconds))
    return graph.FunctionTask(task.fn, name=task.name, **options)


def _annotations(module: Any) -> None:
    """Have `unmapped` mean the graph's inside `with Flow("name")`."""
    own = module.unmapped
    make = own.__new__

    @functools.wraps(make)
    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        chosen = (
            graph.unmapped if cls is own and graph.active_flow() is not None else functools.partial(make, cls)
        )
        return chosen(*args, **kwargs)

    own.__new__ = new


def _engine(module: Any) -> None:
    """Let `prefect.engine.signals` be searched for, though this module is no package."""
    if not hasattr(module, "__path__"):
        module.__path__ = []


_PATCHES: dict[str, Callable[[Any], None]] = {
    "prefect": add_graph_names,
    "prefect.engine": _engine,
    "prefect.flows": _flows,
    "prefect.tasks": _tasks,
    "prefect.utilities.annotations": _annotations,
}
