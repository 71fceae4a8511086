"""How a graph is built: what is recorded, what is refused, and with which words."""

from __future__ import annotations

import datetime
import functools
import sys
from typing import Any, Tuple  # noqa: UP035  # published scripts write it so

import pytest
from dioptra.flows.graph import Edge, Flow, FunctionTask, Parameter, Task, case, task


@task
def identity(x: Any = None) -> Any:
    return x


@task(nout=2)
def pair(x: Any) -> Any:
    return x, x + 1


def test_a_call_records_a_bound_copy() -> None:
    with Flow("f") as flow:
        first = identity(1)
        second = identity(first)
    assert first is not identity
    assert flow.edges == {Edge(first, second, "x")}
    assert flow.constants == {first: {"x": 1}}
    assert list(flow.slugs.values()) == ["identity-1", "identity-2"]
    assert flow.root_tasks() == {first}
    assert flow.terminal_tasks() == flow.reference_tasks() == {second}


def test_names() -> None:
    with Flow("the flow") as flow:
        first, _ = pair(Parameter("start"))
        identity(first, task_args={"name": "renamed"})
    assert {item.name for item in flow.tasks} == {"start", "pair", "pair[0]", "pair[1]", "renamed"}
    assert [str(item) for item in flow.parameters()] == ["<Parameter: start>"]
    assert f"{identity}" == "<Task: identity>"
    assert repr(flow) == '<Flow: name="the flow">'


def test_what_is_not_used_is_no_part_of_the_flow() -> None:
    flow = Flow("f")

    def build() -> None:
        with flow:
            Parameter("unused")
            identity(Parameter("used"))
            task(identity.run, name="g")

    with pytest.warns(
        UserWarning, match=r"not added to the flow: {<Parameter: unused>, <Task: g>}.*test_graph"
    ):
        build()
    assert [item.name for item in flow.parameters()] == ["used"]


def test_an_error_in_the_block_is_not_drowned_by_a_warning() -> None:
    def build() -> None:
        with Flow("f"):
            Parameter("unused")
            raise RuntimeError("the reason")

    with pytest.raises(RuntimeError, match="the reason"):
        build()


def test_a_call_outside_a_flow_is_explained() -> None:
    with pytest.raises(
        ValueError, match=r"Could not infer an active Flow .* you need to call `identity\.run\("
    ):
        identity(1)
    assert identity.run(3) == 3
    plugin = FunctionTask(identity.run, plugin="my.tasks.work.nap")
    with pytest.raises(ValueError, match="Could not infer") as raised:
        plugin()
    if sys.version_info >= (3, 11):
        assert raised.value.__notes__ == ['to call it at once: pyplugs.call("my.tasks", "work", "nap", ...)']


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: identity(zzz=1), "got an unexpected keyword argument 'zzz'"),
        (pair, "missing a required argument: 'x'"),
        (lambda: pair(1, x=2), "multiple values for argument 'x'"),
        (lambda: identity(1, 2), "too many positional arguments"),
    ],
)
def test_arguments_are_checked_when_the_graph_is_built(call: Any, message: str) -> None:
    with Flow("f"), pytest.raises(TypeError, match=message):
        call()


def variable(*values: Any) -> None: ...


def reserved(flow: Any) -> None: ...


def positional(a: Any, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (variable, ValueError, r"variable positional arguments \(\*args\) are not supported"),
        (reserved, ValueError, "cannot have the following argument names: flow"),
        (positional, TypeError, r"positional-only parameters .* for task positional: \['a'\]"),
        (min, ValueError, "can not be inspected"),
        (3, TypeError, "must be callable, not 3"),
    ],
)
def test_functions_that_cannot_be_tasks(function: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        task(function)


def test_a_signature_is_seen_through_a_decorator() -> None:
    def inner(value: int, more: int = 2) -> int:
        return value + more

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> int:
        return inner(*args, **kwargs)

    decorated = task(outer)
    with Flow("f") as flow:
        total = decorated(1, more=4)
        with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
            decorated(1, other=4)
    assert flow.run().result[total].result == 5


def test_keywords_of_a_function_that_takes_any() -> None:
    @task
    def gather(a: int, **others: Any) -> dict[str, Any]:
        return {"a": a, **others}

    with Flow("f") as flow:
        gathered = gather(1, b=identity(2), name="model")
    assert flow.run().result[gathered].result == {"a": 1, "b": 2, "name": "model"}


def test_options_of_a_task() -> None:
    soon = datetime.timedelta(seconds=1)
    with pytest.raises(ValueError, match="`retry_delay` must be provided if max_retries > 0"):
        task(lambda: 1, max_retries=2)
    with pytest.raises(ValueError, match="`max_retries` argument greater than 0 must be provided"):
        task(lambda: 1, retry_delay=soon)
    with pytest.raises(TypeError, match="timeout"):
        task(lambda: 1, timeout=3)
    with pytest.raises(
        TypeError, match=r"`retry_delay` of the task <lambda> must be a datetime.timedelta, not 5"
    ):
        task(lambda: 1, max_retries=2, retry_delay=5)
    with Flow("f"), pytest.raises(ValueError, match="`retry_delay` must be provided"):
        identity(1, task_args={"max_retries": 2})
    made = task(lambda: 1, name="one", tags=["a"], max_retries=1, retry_delay=soon)
    assert (made.name, made.tags, made.max_retries) == ("one", {"a"}, 1)
    with Flow("f"), pytest.raises(AttributeError, match="Task does not have colour as an attribute"):
        made(task_args={"colour": "red"})


def test_results_are_not_iterable_without_a_number() -> None:
    with Flow("f"):
        with pytest.raises(TypeError, match=r"Task is not iterable\. .* pass `nout`"):
            _, _ = identity(1)
        with pytest.raises(ValueError, match=r"not enough values to unpack \(expected 3, got 2\)"):
            _, _, _ = pair(1)


def annotated(x: int) -> Tuple[int, str]:  # noqa: UP006
    return x, str(x)


def of_any_length(x: int) -> Tuple[int, ...]:  # noqa: UP006
    return (x,)


annotated.__annotations__["return"] = Tuple[int, str]  # noqa: UP006  # as without the future import above
of_any_length.__annotations__["return"] = Tuple[int, ...]  # noqa: UP006


def test_a_tuple_annotation_tells_the_number() -> None:
    assert task(annotated).nout == 2
    assert task(of_any_length).nout is None
    assert task(annotated, nout=1).nout == 1
    assert identity.nout is None


def test_results_stand_for_values_that_are_not_there_yet() -> None:
    with Flow("f"):
        result = identity(1)
        assert bool(result)
        assert result != identity
        with pytest.raises(AttributeError, match="'FunctionTask' object has no attribute 'foo'"):
            result.foo  # noqa: B018
        with pytest.raises(TypeError, match="not 'FunctionTask'"):
            int(result)


def test_parameters_have_one_name_each() -> None:
    other = Parameter("x")
    with Flow("f"):
        identity(Parameter("x"))
        with pytest.raises(ValueError, match='A task with the slug "x" already exists in this flow'):
            identity(other)


def test_dependencies() -> None:
    with Flow("f") as flow:
        first, second = identity(1), identity(2)
        third = identity(first, upstream_tasks=[first, second, first])
        fourth = identity(3, upstream_tasks=[])
        flow.set_dependencies(fourth, upstream_tasks=[third])
        first.set_upstream(second)
        (second | fourth)
    assert flow.upstream_tasks(third) == {first, second}
    assert sorted(str(edge.key) for edge in flow.edges_to(third)) == ["None", "None", "x"]
    assert flow.sorted_tasks() == (second, first, third, fourth)
    assert flow.downstream_tasks(second) == {first, third, fourth}


def test_circles_are_refused() -> None:
    with Flow("f") as flow:
        first = identity(1)
        second = identity(first)
        first.set_upstream(second)
    with pytest.raises(ValueError, match=r"Cycle found.*identity-1, identity-2 depend on each other"):
        flow.run()
    with Flow("g"):
        parameter = Parameter("p")
        with pytest.raises(ValueError, match="Parameters must be root tasks"):
            parameter.set_upstream(identity(1))


def test_an_argument_has_one_source() -> None:
    with Flow("f"):
        second = identity(identity(1))
        with pytest.raises(
            ValueError, match='Argument "x" for task <Task: identity> has already been assigned'
        ):
            second.set_upstream(identity(2), key="x")


def test_flows_within_flows_are_apart() -> None:
    with Flow("outer") as outer:
        identity(1)
        with Flow("inner") as inner:
            identity(2)
        identity(3)
    assert len(outer.tasks) == 2
    assert len(inner.tasks) == 1


def test_a_flow_has_a_name() -> None:
    with pytest.raises(ValueError, match="A name must be provided"):
        Flow("")
    with pytest.raises(TypeError, match="schedule"):
        Flow("f", schedule=None)  # type: ignore[call-arg]


def test_tasks_of_other_flows_and_kinds() -> None:
    with Flow("f") as flow:
        known = identity(1)
    with Flow("g"):
        other = identity(1)
    with pytest.raises(ValueError, match="<Task: identity> was not found in Flow"):
        flow.upstream_tasks(other)
    with pytest.raises(TypeError, match="must be Task instances"):
        flow.add_task("x")  # type: ignore[arg-type]
    flow.set_reference_tasks([known])
    assert flow.reference_tasks() == {known}
    assert flow.get_tasks(name="identity") == flow.get_tasks(slug="identity-1") == [known]
    with Flow("h"), pytest.raises(TypeError, match="`value` cannot be a task"):
        case(identity(1), identity(2))


def test_a_class_of_its_own() -> None:
    class Double(Task):
        def run(self, x: int) -> int:
            return 2 * x

    double = Double()
    with Flow("f") as flow:
        doubled = double(x=identity(4))
        with pytest.raises(TypeError, match="missing a required argument: 'x'"):
            double()
    assert flow.run().result[doubled].result == 8
    assert doubled.name == "Double"


def test_an_argument_called_self() -> None:
    @task
    def gather(**given: Any) -> dict[str, Any]:
        return given

    with Flow("f") as flow:
        gathered = gather(self=1)
    assert flow.run().result[gathered].result == {"self": 1}
    assert FunctionTask(functools.partial(identity.run, 1)).name == "FunctionTask"


def test_what_a_task_keeps_of_its_function() -> None:
    def documented() -> None:
        """Does nothing."""

    documented.flavour = "sweet"  # type: ignore[attr-defined]
    made = FunctionTask(documented, plugin="a.b.documented")
    assert (made.__doc__, made.flavour, made.plugin) == (  # type: ignore[attr-defined]
        "Does nothing.",
        "sweet",
        "a.b.documented",
    )
