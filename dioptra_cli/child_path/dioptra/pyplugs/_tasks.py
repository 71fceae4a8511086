"""A registered function as a task of the flow that is being built or run, whichever kind of flow that is.

| where | what it becomes |
|---|---|
| inside `with Flow("name")` | a task of that graph (`dioptra.flows.graph`) |
| where the environment has Prefect 1 | a task of Prefect's own |
| inside a running flow of Prefect 3 (`@flow`) | a task of Prefect's own, submitted to the flow's task runner |
| anywhere else | a task of the graph API, which says that there is no flow when it is called |

Prefect is not imported to find out: a Prefect that is not loaded cannot be what the caller uses, but for Prefect 1.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dioptra.pyplugs._registry import Found, find, nout_of
from dioptra.sdk.exceptions import PrefectDependencyError

if TYPE_CHECKING:
    from prefect.tasks import Task as NativeTask

    from dioptra.flows.graph import FunctionTask

__all__ = ["call_task", "call_task_factory", "get_task", "get_task_factory"]


def get_task(package: str, plugin: str, func: str | None = None) -> Any:
    """Return a registered function as a task of the kind of flow that is in use here.

    Raises:
        PrefectDependencyError: Prefect is blocked in this process.
        UnknownPackageError: There is no such package.
        UnknownPluginError: There is no such plugin in it.
        UnknownPluginFunctionError: It does not register such a function.
    """
    _require_prefect()
    found = find(package, plugin, func)
    if not _is_building_a_graph():
        if _is_prefect_1():
            prefect = importlib.import_module("prefect")
            return prefect.task(nout=nout_of(found.func))(found.func)
        if _is_inside_native_flow():
            return _native_task(found)
    return _graph_task(found)


def call_task(package: str, plugin: str, func: str | None = None, *args: Any, **kwargs: Any) -> Any:
    """Make a registered function a task of the flow, called with what follows, and return what stands for its result.

    Inside a running flow of Prefect 3 the task is submitted, and a future comes back, or a tuple of futures where
    `task_nout` declares several results. There, too, `upstream_tasks` holds what it has to wait for.

    Args:
        package: The package of the plugin.
        plugin: The module in it.
        func: The function; None for the first one that it registers.
        args: The function's own.
        kwargs: The function's own, and those of any call of a task: `upstream_tasks`, `task_args` (inside a flow of
            Prefect 3, the options of `Task.with_options`).

    Raises:
        TypeError: The arguments are not those of the function.
        ValueError: There is no flow.
        PrefectDependencyError, UnknownPackageError, UnknownPluginError, UnknownPluginFunctionError: As `get_task`.
    """
    if _is_building_a_graph():
        return _template(find(package, plugin, func))(*args, **kwargs)
    task = get_task(package, plugin, func)
    # A task of Prefect 1 is a class in another module, although it has one of this name, too.
    is_native = type(task).__module__ == "prefect.tasks"
    return _submit(task, args, kwargs) if is_native else task(*args, **kwargs)


def get_task_factory(package: str) -> Callable[..., Any]:
    """Return `get_task` for one package."""
    _require_prefect()
    return functools.partial(get_task, package)


def call_task_factory(package: str) -> Callable[..., Any]:
    """Return `call_task` for one package."""
    _require_prefect()
    return functools.partial(call_task, package)


def _graph_task(found: Found) -> FunctionTask:
    from dioptra.flows.graph import FunctionTask

    full_name = f"{found.module.__name__}.{found.name}"
    return FunctionTask(found.func, name=found.name, nout=nout_of(found.func), plugin=full_name)


_templates: dict[tuple[str, str], FunctionTask] = {}


def _template(found: Found) -> FunctionTask:
    """Return a task of the graph to be called, which makes a copy: reading the signature is most of its cost."""
    key = found.module.__name__, found.name
    template = _templates.get(key)
    if template is None or template.run is not found.func:
        template = _templates[key] = _graph_task(found)
    return template


def _is_building_a_graph() -> bool:
    graph = sys.modules.get("dioptra.flows.graph")
    return graph is not None and graph.active_flow() is not None


def _is_prefect_1() -> bool:
    """Return whether Prefect is the old one, loaded, or about to be: nothing of any flow is loaded."""
    if "prefect" in sys.modules:
        # Looks into the module's own names: asking a stand-in for one might make it import the real thing.
        flow = vars(sys.modules["prefect"]).get("Flow")
        return getattr(flow, "__module__", None) == "prefect.core.flow"
    return "dioptra.flows.graph" not in sys.modules and _installed_prefect().startswith(("0.", "1."))


@functools.cache
def _installed_prefect() -> str:
    from importlib import metadata

    try:
        return metadata.version("prefect")
    except metadata.PackageNotFoundError:
        return ""


def _is_inside_native_flow() -> bool:
    context = sys.modules.get("prefect.context")
    flow_run = getattr(context, "FlowRunContext", None)
    return flow_run is not None and flow_run.get() is not None


def _require_prefect() -> None:
    if sys.modules.get("prefect", __name__) is None and not _is_building_a_graph():
        raise PrefectDependencyError


def _native_task(found: Found) -> NativeTask[..., Any]:
    """Return a task of Prefect 3 that joins the MLflow run of the flow, for it may run in another thread."""
    import inspect  # what does without flows need not pay for it

    from dioptra.flows.runs import joined

    if not inspect.iscoroutinefunction(found.func):
        return _as_native(joined(found.func), found.name)
    join = joined(_do_nothing)

    @functools.wraps(found.func)
    async def call(*args: Any, **kwargs: Any) -> Any:
        join()
        return await found.func(*args, **kwargs)

    return _as_native(call, found.name)


def _as_native(function: Callable[..., Any], name: str) -> NativeTask[..., Any]:
    from prefect.cache_policies import NO_CACHE
    from prefect.tasks import task

    # By default, Prefect hashes the arguments: models, arrays and active runs, some of which cannot be hashed.
    return task(name=name, cache_policy=NO_CACHE)(function)


def _do_nothing() -> None:
    """Serve as a function that can be joined to a run."""


def _submit(task: NativeTask[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Submit a task of Prefect 3. Several results become a future each, by a small task that takes one of them.

    A future of Prefect cannot be unpacked. To wait here for the values would end the concurrency of the flow, and
    would raise an error of the task in the flow instead of handing it to what depends on it.
    """
    own = dict(kwargs)
    for name in ("mapped", "flow"):
        if own.pop(name, None):
            raise TypeError(f"call_task cannot take '{name}' inside a flow of Prefect 3")
    waits = [*_flat(own.pop("upstream_tasks", None)), *_flat(own.pop("wait_for", None))]
    options = own.pop("task_args", None)
    if options:
        task = task.with_options(**options)
    future = task.submit(*args, wait_for=waits, **own)
    nout = nout_of(task.fn)
    if nout is None:
        return future
    return tuple(_as_native(_item, f"{task.name}[{index}]").submit(future, index) for index in range(nout))


def _flat(waits: Any) -> Iterable[Any]:
    """Yield what to wait for: a task with several results stands there as a tuple of futures."""
    if isinstance(waits, (list, tuple, set)):
        for wait in waits:
            yield from _flat(wait)
    elif waits is not None:
        yield waits


def _item(result: Any, index: int) -> Any:
    return result[index]
