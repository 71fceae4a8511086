"""Runs a graph as a real Prefect 3 flow, where a Prefect API is configured: it shows up there, task by task.

The states and the order are the engine's own; Prefect is told what is called, and calls it. What only arranges
values (parameters, lists, operators) is no task run of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Callable

from dioptra.flows import runs, signals
from dioptra.flows.states import Failed, State, worded

if TYPE_CHECKING:
    from dioptra.flows.graph import Flow, Task

__all__ = ["run", "wanted"]

_ENGINE = "DIOPTRA_FLOW_ENGINE"
_RUNNER = "DIOPTRA_FLOW_TASK_RUNNER"
_API = "PREFECT_API_URL"
_LONGEST_SHOWN = 200


def wanted() -> bool:
    """Return whether graphs are to run as Prefect flows: if `DIOPTRA_FLOW_ENGINE` says so, or an API is configured.

    Raises:
        ValueError: `DIOPTRA_FLOW_ENGINE` is neither `dioptra` nor `prefect`.
    """
    engine = os.environ.get(_ENGINE, "")
    if engine not in ("", "dioptra", "prefect"):
        raise ValueError(f"{_ENGINE}={engine}: expected 'dioptra' or 'prefect'")
    if engine:
        return engine == "prefect"
    if not _may_be_configured() or importlib.util.find_spec("prefect") is None:
        return False
    settings = importlib.import_module("prefect.settings")
    return bool(settings.PREFECT_API_URL.value())


def _may_be_configured() -> bool:
    """Return whether an API is named anywhere that Prefect looks, without the second that importing it takes."""
    if _API in os.environ:
        return bool(os.environ[_API])
    home = os.environ.get("PREFECT_HOME") or os.path.expanduser("~/.prefect")
    profiles = os.environ.get("PREFECT_PROFILES_PATH") or os.path.join(home, "profiles.toml")
    return any(
        word in _text(path)
        for path, word in (
            (profiles, _API),
            (".env", _API),
            ("prefect.toml", "url"),
            ("pyproject.toml", "[tool.prefect"),
        )
    )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def run(flow: Flow, order: tuple[Task, ...], parameters: Mapping[str, Any], limit: int) -> State:
    """Run a flow as a flow run of Prefect's.

    Args:
        flow: The flow.
        order: Its tasks, sorted.
        parameters: The values of its parameters. Prefect is shown what they are, not given the objects.
        limit: How many tasks may run side by side.

    Raises:
        RuntimeError: The API does not answer. Nothing has run.
        ValueError: The task runner that is asked for cannot be used.
    """
    import prefect
    from prefect.states import Completed
    from prefect.states import Failed as PrefectFailed

    from dioptra.flows.engine import Execution

    _require_api()
    runner = _task_runner(limit)
    caller = _InPrefect(flow, sys.maxsize if limit == 1 and runner is not None else limit)
    ended: list[State] = []
    raised: list[BaseException] = []
    values = parameters

    def tasks(parameters: Any) -> Any:  # noqa: ARG001  # what Prefect shows
        try:
            state = Execution(flow, order, values, caller).run()
        except BaseException as error:
            raised.append(error)
            raise
        ended.append(state)
        return (PrefectFailed if isinstance(state, Failed) else Completed)(message=state._message)

    native: Any = prefect.Flow(tasks, name=_name(flow.name), task_runner=runner, validate_parameters=False)
    native({name: _shown(value) for name, value in parameters.items()}, return_state=True)
    if raised:
        raise raised[0]
    if not ended:
        raise RuntimeError(f"Prefect did not run the flow '{flow.name}'; its log says why")
    return ended[0]


def _require_api() -> None:
    """Raise unless the API answers: Prefect itself would take minutes to give up."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        return  # Prefect starts a server of its own
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise RuntimeError(
            f"the Prefect API at {url} does not answer: {error}. Start it, or set {_ENGINE}=dioptra to run flows "
            "without it"
        )


def _task_runner(limit: int) -> Any:
    """Return what runs tasks elsewhere; None for the thread of the flow."""
    named = os.environ.get(_RUNNER)
    if named:
        module, _, attribute = named.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(
                f"{_RUNNER}={named}: {error}; expected module:name, such as prefect_dask:DaskTaskRunner"
            ) from error
        return found() if isinstance(found, type) else found
    if limit == 1:
        return None
    from prefect.task_runners import ThreadPoolTaskRunner

    return ThreadPoolTaskRunner(max_workers=limit)


def _shown(value: Any) -> Any:
    """Return what Prefect is shown of a parameter."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else worded(value)
    text = text.encode("utf-8", "replace").decode()  # the name of a file may be no UTF-8
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _name(name: str) -> str:
    """Return a name as Prefect allows it."""
    return re.sub("[/%&<>]", "-", name.encode("utf-8", "replace").decode())


class _Ended:
    """What a task returned, or the signal that it raised.

    Prefect would make a list of a generator, and a failure of a signal.
    """

    def __init__(self, value: Any, signal: signals.PrefectStateSignal | None = None) -> None:
        self.value = value
        self.signal = signal


class _InPrefect:
    """Calls each task as a task run of Prefect's: in the thread of the flow, or on a task runner."""

    engine = "prefect"

    def __init__(self, flow: Flow, limit: int) -> None:
        self.limit = limit
        self._flow = flow
        self._runs: dict[Task, Any] = {}

    def call(self, task: Task, inputs: Mapping[str, Any], upstream: Iterable[Task]) -> Any:
        """Call a task. See `dioptra.flows.engine.Caller`."""
        import prefect
        from prefect.cache_policies import NO_CACHE

        native: Any = prefect.Task(
            _function(task.run, inputs),
            name=task.name,
            description=task.__doc__,
            tags=task.tags,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        before = [self._runs[source] for source in self._sources(upstream)]
        if self.limit == 1:
            state = native(return_state=True, wait_for=before)
            self._runs[task] = state
            return _result(state.result)
        submitted = native.submit(wait_for=before)
        self._runs[task] = submitted
        future: Future[Any] = Future()
        submitted.add_done_callback(lambda done: _settle(future, done))
        return future

    def _sources(self, upstream: Iterable[Task]) -> Iterable[Task]:
        """Yield the task runs that `upstream` comes from, through what only arranges values."""
        pending, seen = list(upstream), set()
        while pending:
            task = pending.pop()
            if task in seen:
                continue
            seen.add(task)
            if task in self._runs:
                yield task
            elif task.kind != "task":
                pending += self._flow.upstream_tasks(task)

    def close(self) -> None:
        """Prefect ends its own."""


def _function(run: Callable[..., Any], inputs: Mapping[str, Any]) -> Callable[[], Any]:
    """Return the call without arguments: Prefect copies the containers that it passes, a graph does not."""
    call = runs.joined(run)

    def body() -> Any:
        try:
            return _Ended(call(**inputs))
        except signals.SUCCESS as signal:
            return _Ended(None, signal)

    return body


def _result(result: Callable[[], Any]) -> Any:
    """Return the result of a task run, or raise what it raised."""
    ended = result()
    if ended.signal is not None:
        raise ended.signal
    return ended.value


def _settle(future: Future[Any], done: Any) -> None:
    try:
        future.set_result(_result(done.result))
    except BaseException as error:
        future.set_exception(error)
