"""How a graph is run: values, states, order, failures."""

from __future__ import annotations

import datetime
import gc
import logging
import operator
import threading
import time
import weakref
from typing import Any

import pytest
from dioptra.flows import signals
from dioptra.flows.graph import Flow, Parameter, Task, case, task, unmapped
from dioptra.flows.states import Failed, Mapped, Skipped, State, Success, TriggerFailed
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(params=["1", "3"], ids=["in this thread", "three workers"])
def workers(request: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("DIOPTRA_FLOW_WORKERS", request.param)
    return int(request.param)


@task
def identity(x: Any = None) -> Any:
    return x


@task
def boom(x: Any = None) -> Any:
    raise ValueError("boom")


@task(nout=2)
def pair(x: Any) -> Any:
    return x, x + 1


def skip() -> None:
    raise signals.SKIP("not today")


def test_values_are_resolved_wherever_they_stand(workers: int) -> None:
    with Flow("f") as flow:
        p = Parameter("p")
        one, two = pair(p)
        nested = identity({"k": [one, (two, 3)], "c": {1, 2}, one: {"deep": [{"er": two}]}})
        tuples = identity((p,))
        sets = identity({p, one})
        item = identity([1, 2, 3])[1]
        constant = identity([1, 2])
    result = flow.run(p=5).result
    assert result[nested].result == {"k": [5, (6, 3)], "c": {1, 2}, 5: {"deep": [{"er": 6}]}}
    assert result[tuples].result == (5,)
    assert result[sets].result == {5}
    assert result[item].result == 2
    assert result[constant].result == [1, 2]
    assert len(result) == len(flow.tasks)


def test_constants_are_passed_on_as_they_are(workers: int) -> None:
    constant, seen = [{"a": 1}], []

    @task
    def look(value: list[Any], default: list[Any] = []) -> None:  # noqa: B006
        seen.append(value is constant)
        value.append(1)

    with Flow("f") as flow:
        look(constant)
    flow.run()
    flow.run()
    assert seen == [True, True]
    assert constant == [{"a": 1}, 1, 1]


def test_operators(workers: int) -> None:
    with Flow("f") as flow:
        a = identity(5)
        results = [a - 1, 1 + a, a * 2, 2 * a, a / 2, 9 / a, a // 2, 7 // a, a % 2, 7 % a, a**2, 2**a, 10 - a]
        results += [
            a > 1,
            a >= 5,
            a < 1,
            a <= 1,
            a > 1,
            a.is_equal(5),
            a.is_not_equal(5),
            a & 0,
            a.or_(0),
            a.not_(),
        ]
    state = flow.run()
    assert [state.result[result].result for result in results] == [
        4, 6, 10, 10, 2.5, 1.8, 2, 1, 1, 2, 25, 32, 5,
        True, True, False, False, True, True, False, 0, 5, False,
    ]  # fmt: skip


def test_parameters() -> None:
    with Flow("f") as flow:
        a = identity(Parameter("u", default=3))
        b = identity(Parameter("v", required=False))
        c = identity(Parameter("w", default=4, required=True))
    same = [flow.run(w=9), flow.run(parameters={"w": 9}), flow.run({"w": 9}), flow.run({"w": 1}, w=9)]
    for state in same:
        assert [state.result[item].result for item in (a, b, c)] == [3, None, 9]
    with pytest.raises(ValueError, match=r"unexpected parameters: zz, yy") as refused:
        flow.run({"zz": 1, "w": 1}, yy=2)
    assert str(refused.value).endswith(": zz, yy")
    with pytest.raises(ValueError, match=r"did not receive the following required parameters: w$"):
        flow.run()


def test_a_parameter_may_be_any_object(tmp_path: Any) -> None:
    with Flow("f") as flow:
        a = identity(Parameter("a"))
    thing = object()
    assert flow.run(a=thing).result[a].result is thing


def test_failures_spread_downstream_only(workers: int) -> None:
    with Flow("f") as flow:
        a = boom()
        b = identity(a)
        c = identity(1, upstream_tasks=[b])
        d = identity(2)
        e = a["k"]
        g = identity([a])
    state = flow.run()
    assert repr(state) == '<Failed: "Some reference tasks failed.">'
    assert state.is_failed()
    assert not state.is_successful()
    assert bool(state)
    kinds = {
        name: type(state.result[item])
        for name, item in {"a": a, "b": b, "c": c, "d": d, "e": e, "g": g}.items()
    }
    blocked = TriggerFailed
    assert kinds == {"a": Failed, "b": blocked, "c": blocked, "d": Success, "e": blocked, "g": blocked}
    assert state.result[a].message == "Error during execution of task: ValueError('boom')"
    assert isinstance(state.result[a].result, ValueError)
    assert isinstance(state.result[b].result, signals.TRIGGERFAIL)
    assert state.result[b].message == 'Trigger was "all_successful" but some of the upstream tasks failed.'


def test_a_failing_branch_fails_the_flow(workers: int) -> None:
    with Flow("f") as flow:
        identity(1)
        boom()
        last = identity(2)
    state = flow.run()
    assert state.is_failed()
    assert state.result[last].result == 2
    flow.set_reference_tasks([last])
    assert flow.run().is_successful()


def test_a_flow_can_run_again() -> None:
    with Flow("f") as flow:
        a = identity(Parameter("p"))
    first, second = flow.run(p=1), flow.run(p=2)
    assert (first.result[a].result, second.result[a].result) == (1, 2)
    assert first != second
    assert flow.run(p=None).result[a].result is None


def test_running_inside_the_block_is_refused() -> None:
    with Flow("f") as flow:
        identity(1)
        with pytest.raises(RuntimeError, match=r"Don't call `flow\.run\(\)` from within"):
            flow.run()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_leaving_passes_through(error: BaseException, workers: int) -> None:
    @task
    def leave() -> None:
        raise error

    with Flow("f") as flow:
        leave()
    with pytest.raises(type(error)) as raised:
        flow.run()
    assert raised.value is error


def test_ready_tasks_run_in_declared_order() -> None:
    order: list[Any] = []

    @task
    def note(x: Any) -> Any:
        order.append(x)
        return x

    with Flow("f") as flow:
        late = note(1)
        note(2)
        for value in range(3, 20):
            note(value)
        flow.set_dependencies(late, upstream_tasks=[note(20)])
    flow.run()
    assert order == [*range(2, 21), 1]


def test_what_becomes_ready_goes_before_what_was_declared_later() -> None:
    order: list[Any] = []

    @task
    def note(x: Any, after: Any = None) -> Any:
        order.append(x)

    with Flow("f") as flow:
        first = note(1)
        note(2, after=first)
        for value in range(3, 8):
            note(value)
    flow.run()
    assert order == [1, 2, 3, 4, 5, 6, 7]


def test_the_thread_of_the_flow() -> None:
    with Flow("f") as flow:
        where = [task(threading.current_thread, name="where")() for _ in range(3)]
    state = flow.run()
    assert {state.result[item].result for item in where} == {threading.main_thread()}


def test_workers_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIOPTRA_FLOW_WORKERS", "2")
    barrier = threading.Barrier(2, timeout=60)

    @task
    def meet() -> int:
        return barrier.wait()

    with Flow("f") as flow:
        first, second = meet(), meet()
        total = first + second
    assert flow.run().result[total].result == 1


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_the_number_of_workers_is_checked(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIOPTRA_FLOW_WORKERS", text)
    with Flow("f") as flow:
        identity(1)
    with pytest.raises(ValueError, match=f"DIOPTRA_FLOW_WORKERS={text}: expected a whole number above 0"):
        flow.run()


def test_retries(workers: int) -> None:
    calls: list[str] = []

    def flaky() -> int:
        calls.append("flaky")
        if calls.count("flaky") < 3:
            raise RuntimeError("not yet")
        return 7

    @task
    def other() -> None:
        calls.append("other")

    soon = datetime.timedelta(milliseconds=20)
    with Flow("f") as flow:
        result = task(flaky, max_retries=2, retry_delay=soon)()
        after = identity(result)
        other()
        boom_again = task(lambda: 1 / 0, max_retries=1, retry_delay=soon)()
    state = flow.run()
    assert calls.count("flaky") == 3
    if workers == 1:  # the rest of the flow does not wait for the retry
        assert calls[:2] == ["flaky", "other"]
    assert state.result[after].result == 7
    assert isinstance(state.result[boom_again].result, ZeroDivisionError)


def test_mapping(workers: int) -> None:
    @task
    def add(x: int, y: int) -> int:
        if x == 13:
            raise ValueError("unlucky")
        return x + y

    with Flow("f") as flow:
        numbers = identity([1, 2, 3])
        added = add.map(numbers, unmapped(10))
        again = add.map(added, y=[100, 200])
        total = identity(added)
        failing = add.map([1, 13], unmapped(0))
        reduced = identity(failing)
        nothing = add.map(unmapped(1), boom())
        left_out = identity.map(task(skip, name="skip")())
        no_list = identity.map(identity(5))
    state = flow.run()
    assert repr(state.result[added]) == '<Mapped: "Ready to proceed with mapping.">'
    assert state.result[total].result == [11, 12, 13]
    assert state.result[again].result == [111, 212]
    assert isinstance(state.result[failing], Mapped)
    assert [type(own) for own in state.result[failing].map_states] == [Success, Failed]
    assert isinstance(state.result[reduced], TriggerFailed)
    assert isinstance(state.result[left_out], Skipped)
    assert state.result[nothing].message == "No upstream states can be mapped over."
    assert state.result[no_list].message == "At least one upstream state has an unmappable result."


def test_cases(workers: int) -> None:
    with Flow("f") as flow:
        condition = identity("yes")
        with case(condition, "yes"):
            taken = identity(1)
        with case(condition, "no"):
            left_out = identity(2)
            after = identity(left_out)
    state = flow.run()
    assert state.is_successful()
    assert state.result[taken].result == 1
    assert isinstance(state.result[left_out], Skipped)
    assert state.result[after].is_skipped()


def test_signals(workers: int) -> None:
    def raises(signal: Exception) -> Any:
        def raising() -> None:
            raise signal

        return task(raising)()

    with Flow("f") as flow:
        skipped = raises(signals.SKIP("not today"))
        after = identity(skipped)
        anyway = task(identity.run, name="anyway", skip_on_upstream_skip=False)(skipped)
        failed = raises(signals.FAIL("no"))
        done = raises(signals.SUCCESS("done", result=4))
    state = flow.run()
    assert repr(state.result[skipped]) == '<Skipped: "not today">'
    assert state.result[after].is_skipped()
    assert type(state.result[anyway]) is Success
    assert repr(state.result[failed]) == '<Failed: "no">'
    assert state.result[done].result == 4


def test_a_signal_may_carry_anything(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIOPTRA_FLOW_EVENTS", str(tmp_path))
    error = ZeroDivisionError("by zero")

    def raising() -> None:
        raise signals.FAIL(error)  # type: ignore[arg-type]  # as scripts do

    with Flow("f") as flow:
        failed = task(raising)()
        other = identity(1)
    state = flow.run()
    assert state.result[failed].message is error
    assert state.result[other].is_successful()
    (events,) = tmp_path.iterdir()
    assert '"message": "by zero"' in events.read_text()


def test_a_parameter_first_used_in_a_case(workers: int) -> None:
    rate = Parameter("rate")
    with Flow("f") as flow:
        with case(identity(True), True):
            taken = identity(rate)
        with case(identity(True), False):
            left_out = identity([Parameter("other", default=1)])
    state = flow.run(rate=2)
    assert state.result[taken].result == 2
    assert state.result[left_out].is_skipped()


class Endless:
    """Has elements, but no length."""

    def __getitem__(self, index: int) -> int:
        return index


@pytest.mark.parametrize("value", [Endless(), {"a": 1}])
def test_what_cannot_be_mapped_over_fails_its_task_alone(value: Any, workers: int) -> None:
    with Flow("f") as flow:
        mapped = identity.map(identity(value))
        other = identity(1)
    state = flow.run()
    assert type(state.result[mapped]) is Failed
    assert state.result[other].is_successful()


def test_a_failed_flow_does_not_keep_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("prefect"), "disabled", True)
    monkeypatch.setattr(logging.getLogger("prefect.TaskRunner"), "disabled", True)  # records keep tracebacks

    class Model:
        pass

    with Flow("f") as flow:
        boom(task(Model, name="model")())
    state = flow.run()
    assert state.is_failed()
    (model,) = (weakref.ref(own.result) for item, own in state.result.items() if item.name == "model")
    del state
    gc.collect()
    assert model() is None


def test_states() -> None:
    assert Success("a", 1) == Success("b", 1)
    assert Success("a", 1) != Failed("a", 1)
    assert Success("a", 1) != 1
    assert repr(State()) == "<State>"
    assert Success().is_finished()
    assert not Success().is_pending()
    assert not Failed().is_running()
    for look in ("is_failed", "is_successful", "is_mapped", "is_retrying", "is_skipped"):
        state = Failed("x")
        repr(state)
        assert not state.looked_at
        getattr(state, look)()
        assert state.looked_at


def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with Flow("My Flow") as flow:
        failing = boom(Parameter("p"))
        identity(failing)
    with caplog.at_level(logging.INFO, "prefect"):
        flow.run(p=1)
    lines = [record.getMessage().split(" (")[0] for record in caplog.records]
    assert lines == [
        "Beginning Flow run for 'My Flow'",
        "Task 'boom': Starting task run...",
        "Task 'boom': Exception encountered during task execution!",
        "Task 'boom': Finished task run for task with final state: 'Failed'",
        "Task 'identity': Starting task run...",
        "Task 'identity': Finished task run for task with final state: 'TriggerFailed'",
        "Flow run FAILED: some reference tasks failed.",
    ]
    error = caplog.records[2]
    assert error.levelno == logging.ERROR
    assert error.exc_info is not None
    assert error.exc_info[2] is not None
    assert error.exc_info[2].tb_frame.f_code.co_name == "boom"  # nothing of the engine above it


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Draw a graph as steps; an argument is a constant or, as a number in a list, the result of an earlier step."""
    steps: list[tuple[str, Any]] = []
    for index in range(draw(st.integers(1, 25))):
        source: Any = st.integers(-5, 5) if not index else st.integers(0, index - 1).map(lambda i: [i])
        argument = st.one_of(st.integers(-5, 5), source)
        kind = draw(st.sampled_from(["add", "sub", "sum", "pair", "dict", "fail", "none"]))
        steps.append((kind, draw(st.lists(argument, min_size=2, max_size=2))))
    return steps


class Broken:
    """The value of a step that failed, or that depends on one."""


def plainly(steps: list[tuple[str, Any]]) -> list[Any]:
    """Evaluate the steps without a graph."""
    values: list[Any] = []
    for kind, arguments in steps:
        taken = [values[a[0]] if isinstance(a, list) else a for a in arguments]
        if kind == "fail" or Broken in taken:
            values.append(Broken)
            continue
        x, y = taken
        if kind in ("add", "sub"):
            values.append(getattr(operator, kind)(flat(x), flat(y)))
        elif kind == "sum":
            values.append(flat([x, y, {"k": x}]))
        elif kind == "pair":
            values.append((y, x))
        else:
            values.append({"a": x, "b": [y, (x,)]} if kind == "dict" else None)
    return values


def flat(value: Any) -> int:
    """Return the sum of all numbers in a value."""
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, (list, tuple)):
        return sum(map(flat, value))
    return value or 0


@task
def flatten(x: Any) -> int:
    return flat(x)


@task
def nothing(*, a: Any, b: Any) -> None:
    return None


@task
def fail(a: Any, b: Any) -> None:
    raise RuntimeError("drawn to fail")


def as_flow(steps: list[tuple[str, Any]]) -> tuple[Flow, list[Task]]:
    with Flow("drawn") as flow:
        results: list[Any] = []
        for kind, arguments in steps:
            x, y = (results[a[0]] if isinstance(a, list) else a for a in arguments)
            if kind in ("add", "sub"):
                result = getattr(operator, kind)(flatten(x), flatten(y))
            elif kind == "sum":
                result = flatten([x, y, {"k": x}])
            elif kind == "pair":
                result = identity((y, x))
            elif kind == "dict":
                result = identity({"a": x, "b": [y, (x,)]})
            elif kind == "none":
                result = nothing(a=x, b=y)
            else:
                result = fail(x, b=y)
            results.append(result)
    return flow, results


@settings(max_examples=60, deadline=None)
@given(steps=graphs())
@pytest.mark.parametrize("workers", ["1", "4"])
def test_drawn_graphs_give_what_plain_python_gives(workers: str, steps: list[tuple[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIOPTRA_FLOW_WORKERS", workers)
        flow, results = as_flow(steps)
        logging.getLogger("prefect").setLevel(logging.CRITICAL)
        state = flow.run()
    expected = plainly(steps)
    assert state.is_failed() == (Broken in expected)
    for (kind, _), result, value in zip(steps, results, expected):
        own = state.result[result]
        if value is Broken:
            assert type(own) is (
                Failed if kind == "fail" and own.result.args == ("drawn to fail",) else TriggerFailed
            )
        else:
            assert own.result == value


def test_a_thousand_tasks_in_a_row() -> None:
    with Flow("long") as flow:
        result: Any = Parameter("start")
        for _ in range(1000):
            result = result + 1
    assert flow.run(start=0).result[result].result == 1000


def test_time_passes_while_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task under way does not keep a retry waiting that is due."""
    monkeypatch.setenv("DIOPTRA_FLOW_WORKERS", "2")
    tries: list[float] = []
    over = threading.Event()

    def flaky() -> None:
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise RuntimeError("once")
        over.set()

    @task
    def slow() -> bool:
        return over.wait(60)

    with Flow("f") as flow:
        waited = slow()
        task(flaky, max_retries=1, retry_delay=datetime.timedelta(milliseconds=10))()
    assert flow.run().result[waited].result is True
