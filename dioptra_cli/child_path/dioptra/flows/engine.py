"""Runs a graph in this process: Prefect 1.4.1's states and messages, in an order that is always the same.

Tasks run in the thread that called `flow.run`, unless `DIOPTRA_FLOW_WORKERS` asks for more; among those that are
ready, the one that was declared first goes first. Where a Prefect API is configured, `dioptra.flows.prefect3` makes
each task call a task run there.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import heapq
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Callable, Protocol

from dioptra.flows import log, runs, signals
from dioptra.flows.graph import Edge, Flow, Parameter, Task
from dioptra.flows.report import Report
from dioptra.flows.states import Failed, Mapped, Pending, Retrying, Skipped, State, Success, worded

__all__ = ["Caller", "at_exit", "run", "workers"]

_WORKERS = "DIOPTRA_FLOW_WORKERS"
_TRIGGER = 'Trigger was "all_successful" but some of the upstream tasks failed.'
_SKIPPED = (
    "Upstream task was skipped; if this was not the intended behavior, consider changing "
    "`skip_on_upstream_skip=False` for this task."
)
_failures: list[tuple[int, str, list[bool], list[str]]] = []
"""Flows that failed: the process, the name, whether anybody looked, and what to say of each task.

No results: these may be large, and the script may have done with them.
"""


class Caller(Protocol):
    """Calls the function of a task, in this thread or elsewhere.

    Attributes:
        engine: What reports call it.
        limit: How many calls may be under way at once.
    """

    engine: str
    limit: int

    def call(self, task: Task, inputs: Mapping[str, Any], upstream: Iterable[Task]) -> Future[Any] | Any:
        """Call `task.run`; return its result, or a future where `limit` is above 1. What it raises comes out."""

    def close(self) -> None:
        """End what calls need. Calls that have not begun are dropped."""


class InThisThread:
    """Calls a task where the flow runs."""

    engine = "dioptra"
    limit = 1

    def call(self, task: Task, inputs: Mapping[str, Any], upstream: Iterable[Task]) -> Any:  # noqa: ARG002
        """Call it."""
        return task.run(**inputs)

    def close(self) -> None:
        """There is nothing to end."""


class InThreads:
    """Calls tasks side by side in threads, each of which joins the MLflow run of the thread that runs the flow."""

    engine = "dioptra"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._pool = ThreadPoolExecutor(limit, thread_name_prefix="flow")

    def call(
        self,
        task: Task,
        inputs: Mapping[str, Any],
        upstream: Iterable[Task],  # noqa: ARG002
    ) -> Future[Any]:
        """Have a thread call it."""
        call = functools.partial(runs.joined(task.run), **inputs)
        return self._pool.submit(contextvars.copy_context().run, call)

    def close(self) -> None:
        """Wait for the calls that have begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def workers() -> int:
    """Return how many tasks may run side by side.

    Raises:
        ValueError: `DIOPTRA_FLOW_WORKERS` is no whole number above 0.
    """
    text = os.environ.get(_WORKERS) or "1"
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"{_WORKERS}={text}: expected a whole number above 0")
    return int(text)


def run(flow: Flow, parameters: Mapping[str, Any]) -> State:
    """Run a flow whose parameters are checked.

    Raises:
        ValueError: The tasks depend on each other in a circle, or a variable is set to nonsense. Nothing has run.
        BaseException: What is no `Exception` and came out of a task, such as `SystemExit`.
    """
    from dioptra.flows import prefect3  # nobody who only builds a graph needs to know whether there is an API

    order = flow.sorted_tasks()
    limit = workers()
    if prefect3.wanted():
        state = prefect3.run(flow, order, parameters, limit)
    else:
        state = Execution(flow, order, parameters, InThreads(limit) if limit > 1 else InThisThread()).run()
    if type(state) is Failed:
        _failures[:] = [failure for failure in _failures if not failure[2][0]]
        told = [_told(name, own) for name, own in _failed(order, state._result)]
        _failures.append((os.getpid(), flow.name, state.seen, told))
        _end_with_forked_process()
    return state


def _failed(order: Iterable[Task], states: Mapping[Task, State]) -> Iterator[tuple[str, State]]:
    """Yield what failed by itself, with its name."""
    for task in order:
        state = states[task]
        if type(state) is Failed:
            yield task.name, state
        elif isinstance(state, Mapped):
            for index, own in state.failed():
                if type(own) is Failed:
                    yield f"{task.name}[{index}]", own


def _told(task: str, state: State) -> str:
    """Return what there is to say of a task that failed: the traceback of its own code, if it raised something."""
    error = state._result
    if not isinstance(error, BaseException):
        return f"task '{task}' failed: {state._message}\n"
    return "".join([f"task '{task}' failed:\n", *traceback.format_exception(*_from_the_task(error))])


def _end_with_forked_process() -> None:
    """Have `at_exit` called where a child of `multiprocessing` ends: a forked one leaves without exit handlers."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, at_exit, exitpriority=-1000)  # after all others


class Execution:
    """One run of a flow.

    Args:
        flow: The flow.
        order: Its tasks, sorted.
        parameters: The values of its parameters.
        caller: What calls the functions.
    """

    def __init__(
        self, flow: Flow, order: tuple[Task, ...], parameters: Mapping[str, Any], caller: Caller
    ) -> None:
        self._flow = flow
        self._order = order
        self._parameters = parameters
        self._caller = caller
        self._states: dict[Task, State] = {}
        self._attempts: dict[Task, int] = {}
        self._begun: dict[Task, float] = {}
        self._position = {task: index for index, task in enumerate(order)}
        self._missing = {task: len({e.upstream_task for e in flow._incoming[task]}) for task in order}
        self._ready = [self._position[task] for task, count in self._missing.items() if not count]
        self._waiting: list[tuple[float, int]] = []
        self._under_way: dict[Future[Any], Task] = {}
        self._log = log.get_logger("FlowRunner")
        self._task_log = log.get_logger("TaskRunner")
        self._is_told_by_prefect = caller.engine == "prefect"
        self._report = Report(flow, order, caller.engine, caller.limit)

    def run(self) -> State:
        """Run all tasks that can run, and return the flow's state."""
        begun = time.perf_counter()
        state: State | None = None
        self._log.info("Beginning Flow run for '%s'", self._flow.name)
        try:
            self._run_tasks()
            state = self._final_state()
        finally:
            self._caller.close()
            self._report.close(state, time.perf_counter() - begun)
        seconds = time.perf_counter() - begun
        if isinstance(state, Failed):
            self._log.info("Flow run FAILED: some reference tasks failed. (%.3f s)", seconds)
        else:
            self._log.info("Flow run SUCCESS: all reference tasks succeeded (%.3f s)", seconds)
        return state

    def _run_tasks(self) -> None:
        while self._ready or self._waiting or self._under_way:
            while self._waiting and self._waiting[0][0] <= time.time():
                heapq.heappush(self._ready, heapq.heappop(self._waiting)[1])
            while self._ready and len(self._under_way) < self._caller.limit:
                self._begin(self._order[heapq.heappop(self._ready)])
            if self._under_way:
                again = self._waiting[0][0] - time.time() if self._waiting else None
                done, _ = wait(self._under_way, timeout=again and max(0, again), return_when=FIRST_COMPLETED)
                for future in sorted(done, key=lambda future: self._position[self._under_way[future]]):
                    self._end(self._under_way.pop(future), future.result)
            elif self._waiting and not self._ready:
                time.sleep(max(0, self._waiting[0][0] - time.time()))

    def _begin(self, task: Task) -> None:
        """Run a task, or have it run elsewhere, or find that it cannot run."""
        self._begun[task] = time.perf_counter()
        self._task_log.log(self._level(task), "Task '%s': Starting task run...", task.name)
        edges = self._flow._incoming[task]
        if any(edge.mapped for edge in edges):
            self._set(task, self._map(task, edges))
            return
        upstream = [state for edge in edges for state in _each(self._states[edge.upstream_task])]
        ended = _ended_before(task, upstream)
        if ended is not None:
            self._set(task, ended)
            return
        inputs = {**self._flow.constants[task]}
        for edge in edges:
            if edge.key is not None:
                inputs[edge.key] = _value(self._states[edge.upstream_task])
        if isinstance(task, Parameter):
            self._end(task, lambda: self._parameters.get(task.name, task.default))
        elif task.kind != "task":
            self._end(task, lambda: task.run(**inputs))
        else:
            self._report.started(task)
            if self._caller.limit == 1:
                self._end(task, lambda: self._caller.call(task, inputs, _sources(edges)))
            else:
                self._under_way[self._caller.call(task, inputs, _sources(edges))] = task

    def _end(self, task: Task, result: Callable[[], Any]) -> None:
        """Take the result of a task, or what it raised."""
        attempt = self._attempts[task] = self._attempts.get(task, 0) + 1
        state = self._outcome(task.name, result)
        if type(state) is Failed and attempt <= task.max_retries:
            state = self._retry(task, attempt, state)
            heapq.heappush(self._waiting, (state.start_time, self._position[task]))
        self._set(task, state)

    def _outcome(self, name: str, result: Callable[[], Any]) -> State:
        """Return the state of a finished call. Only what is no `Exception` comes out."""
        try:
            return Success("Task run succeeded.", result())
        except signals.PrefectStateSignal as signal:
            return signal.state
        except Exception as error:
            self._task_log.log(
                logging.DEBUG if self._is_told_by_prefect else logging.ERROR,
                "Task '%s': Exception encountered during task execution!",
                name,
                exc_info=_from_the_task(error),
            )
            return Failed(f"Error during execution of task: {worded(error)}", error)

    def _retry(self, task: Task, attempt: int, failed: State) -> Retrying:
        assert task.retry_delay is not None
        return Retrying(
            f"Retrying Task (after attempt {attempt} of {task.max_retries + 1})",
            failed._result,
            time.time() + task.retry_delay.total_seconds(),
        )

    def _set(self, task: Task, state: State) -> None:
        """Keep the state of a task; when it has ended, see what can run now."""
        seconds = time.perf_counter() - self._begun[task]
        self._states[task] = state
        self._report.ended(task, state, seconds)
        self._task_log.log(
            self._level(task),
            "Task '%s': Finished task run for task with final state: '%s' (%.3f s)",
            task.name,
            type(state).__name__,
            seconds,
        )
        if isinstance(state, Pending):
            return
        for downstream in {edge.downstream_task for edge in self._flow._outgoing[task]}:
            self._missing[downstream] -= 1
            if not self._missing[downstream]:
                heapq.heappush(self._ready, self._position[downstream])

    def _map(self, task: Task, edges: Iterable[Edge]) -> State:
        """Run a mapped task once for each element, and wait for all of them."""
        whole, each, states = {**self._flow.constants[task]}, {}, []
        for edge in edges:
            state = self._states[edge.upstream_task]
            if edge.mapped:
                each[edge] = state
                continue
            states += _each(state)
            if edge.key is not None:
                whole[edge.key] = _value(state)
        # What failed is left to the single runs, and only they see the single states of a mapped task.
        ended = _ended_before(task, [s for s in (*states, *each.values()) if isinstance(s, Skipped)])
        if ended is not None:
            return ended
        if not any(isinstance(state, Success) for state in each.values()):
            return Failed("No upstream states can be mapped over.")
        values = {edge: _value(state) for edge, state in each.items() if isinstance(state, Success)}
        if not all(hasattr(value, "__getitem__") for value in values.values()):
            return Failed("At least one upstream state has an unmappable result.")
        self._report.started(task)
        elements: list[State | _Call] = []
        try:
            for index in range(min(map(len, values.values()))):
                inputs = dict(whole)
                own = list(states)
                for edge, state in each.items():
                    own.append(state.map_states[index] if isinstance(state, Mapped) else state)
                    if edge.key is not None and edge in values:
                        inputs[edge.key] = values[edge][index]
                call = functools.partial(self._caller.call, task, inputs, _sources(edges))
                elements.append(_ended_before(task, own) or _Call(call, self._caller.limit))
        except Exception as error:  # what has no length, or no elements by number
            return Failed(f"Error during execution of task: {worded(error)}", error)
        return Mapped(
            "Ready to proceed with mapping.",
            [
                element
                if isinstance(element, State)
                else self._element(task, f"{task.name}[{index}]", element)
                for index, element in enumerate(elements)
            ],
        )

    def _element(self, task: Task, name: str, call: _Call) -> State:
        """Take the result of one element of a mapped task; call it again if it is to be retried."""
        for attempt in range(1, task.max_retries + 2):
            state = self._outcome(name, call.result)
            if type(state) is not Failed or attempt > task.max_retries:
                break
            time.sleep(max(0, self._retry(task, attempt, state).start_time - time.time()))
            call.begin()
        return state

    def _level(self, task: Task) -> int:
        """Return the level of a task's log lines: parameters and the like would drown what does the work.

        Prefect writes lines of its own about what it runs.
        """
        return logging.INFO if task.kind == "task" and not self._is_told_by_prefect else logging.DEBUG

    def _final_state(self) -> State:
        states = {task: self._states[task] for task in self._order}
        decisive = [state for task in self._flow.reference_tasks() for state in _each(states[task])]
        if any(isinstance(state, Failed) for state in decisive):
            return Failed("Some reference tasks failed.", states)
        return Success("All reference tasks succeeded.", states)


class _Call:
    """The call of one element of a mapped task: made when its result is asked for, or begun at once with workers."""

    def __init__(self, call: Callable[[], Any], limit: int) -> None:
        self._call = call
        self._limit = limit
        self.begin()

    def begin(self) -> None:
        """Call, or call again."""
        self.result: Callable[[], Any] = self._call if self._limit == 1 else self._call().result


def _each(state: State) -> list[State]:
    """Return the states that decide whether what comes after may run: of a mapped task, those of its runs."""
    return [state, *state.map_states] if isinstance(state, Mapped) else [state]


def _sources(edges: Iterable[Edge]) -> list[Task]:
    return [edge.upstream_task for edge in edges]


def _value(state: State) -> Any:
    return [own._result for own in state.map_states] if isinstance(state, Mapped) else state._result


def _ended_before(task: Task, upstream: Iterable[State]) -> State | None:
    """Return the state of a task that does not run because of what came before it; None if it may run."""
    failed = False
    for state in upstream:
        if isinstance(state, Skipped) and task.skip_on_upstream_skip:
            return Skipped(_SKIPPED)
        failed = failed or isinstance(state, Failed)
    return signals.TRIGGERFAIL(_TRIGGER).state if failed else None


def _from_the_task(error: BaseException) -> Any:
    """Return the exception with a traceback that begins in the task's own code."""
    found = error.__traceback__
    while found is not None and found.tb_next is not None and _is_ours(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return type(error), error, found


_OWN_FILES = (
    os.path.dirname(os.path.abspath(__file__)) + os.sep,
    os.path.join(os.sep, "concurrent", "futures", ""),
    os.path.join(os.sep, "site-packages", "prefect", ""),
)


def _is_ours(file: str) -> bool:
    return any(own in file for own in _OWN_FILES)


def at_exit() -> None:
    """End the process with exit code 1 if a flow failed and nothing asked how it went.

    Called when everything else is done, so that a script which ignores the state of its flow does not pass for a
    success. The traceback goes to standard error.
    """
    own = os.getpid()  # a fork inherits the failures of its parent, which looks after them itself
    unseen = [(name, told) for pid, name, seen, told in _failures if pid == own and not seen[0]]
    if not unseen:
        return
    for name, told in unseen:
        for text in told:
            sys.stderr.write(f"flow '{name}': {text}")
        sys.stderr.write(f"flow '{name}' failed, and the script did not ask for its state\n")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    logging.shutdown()
    os._exit(1)
