"""The graph of a flow: tasks, their inputs, and the block in which they are recorded. Runs nothing.

The interface and its rules are Prefect 1.4.1's: calling a task inside `with Flow(name)` records a copy of it, bound
to its arguments, and returns the copy, which stands for the result. What of that interface is not here raises
`TypeError` or `AttributeError` at once.
"""

from __future__ import annotations

import copy
import datetime
import functools
import heapq
import inspect
import operator
import sys
import threading
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass
from typing import Any, Callable, overload

from dioptra.flows import log, signals
from dioptra.flows.states import State

__all__ = [
    "Edge",
    "Flow",
    "FunctionTask",
    "Parameter",
    "Task",
    "accept",
    "active_flow",
    "case",
    "no_default",
    "task",
    "unmapped",
]

_RESERVED = ("flow", "mapped", "task_args", "upstream_tasks")

log.get_logger()  # a script may look at the logger's handlers as soon as it has imported a Flow


class no_default:  # noqa: N801  # Prefect's name
    """Stands for the default of a Parameter that has none."""


class unmapped:  # noqa: N801  # Prefect's name
    """Marks an argument of `Task.map` that every run gets whole."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _Blocks(threading.local):
    """The `with` blocks that this thread is in."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.cases: list[case] = []


_blocks = _Blocks()


class _Foreign:
    """Tasks of another kind, which a graph takes as its own."""

    kinds: tuple[type, ...] = ()
    adopt: Callable[[Any], Task]


_foreign = _Foreign()


def accept(kind: type, adopt: Callable[[Any], Task]) -> None:
    """Have graphs take instances of `kind`, not yet called, for the tasks that `adopt` makes of them."""
    _foreign.kinds, _foreign.adopt = (kind,), adopt


def active_flow() -> Flow | None:
    """Return the flow whose `with` block this thread is in; None outside."""
    return _blocks.flows[-1] if _blocks.flows else None


@dataclass(frozen=True)
class Edge:
    """One task runs after another.

    Attributes:
        upstream_task: What runs first.
        downstream_task: What runs after it.
        key: The argument that takes the result; None for an order alone.
        mapped: Whether each run of a mapped task takes one element of the result.
    """

    upstream_task: Task
    downstream_task: Task
    key: str | None = None
    mapped: bool = False


def _nothing(task: Task) -> None:
    """Do nothing: a task may stand in a graph for the order alone."""


def _binary(name: str, reflected: bool = False) -> Callable[[Any, Any], Any]:
    """Return the method of an operator: it records the operation instead of doing it."""

    def method(self: Task, other: Any) -> Any:
        x, y = (other, self) if reflected else (self, other)
        return _OPERATORS[name]._bound(x=x, y=y)

    return method


class Task:
    """One step of a flow; a subclass says in `run` what it does.

    Args:
        name: What logs call it; the class by default.
        slug: Its name in the flow, where no other may have it; the name and a number by default.
        tags: Kept with it.
        max_retries: How often it is run again after a failure.
        retry_delay: How long it waits before that.
        skip_on_upstream_skip: Whether it is skipped when something that it depends on was.
        nout: How many results it returns, for unpacking.

    Raises:
        ValueError, TypeError: `run` takes arguments that cannot be given by keyword or have reserved names, or
            `max_retries` and `retry_delay` are not given together.
    """

    kind = "task"
    plugin: str | None = None
    run: Callable[..., Any] = _nothing
    """Does the work. What it returns is the result, what it raises the failure."""

    def __init__(
        self,
        name: str | None = None,
        *,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        max_retries: int | None = None,
        retry_delay: datetime.timedelta | None = None,
        skip_on_upstream_skip: bool = True,
        nout: int | None = None,
    ) -> None:
        self.name = name or type(self).__name__
        self.slug = slug
        self.tags = set(tags or ())
        self.max_retries = max_retries or 0
        self.retry_delay = retry_delay
        self._check_retries()
        self.skip_on_upstream_skip = skip_on_upstream_skip
        self._signature = self._checked_signature()
        self.nout = self._annotated_nout() if nout is None else nout
        self._note_created()

    def _check_retries(self) -> None:
        if self.max_retries and self.retry_delay is None:
            raise ValueError("A datetime.timedelta `retry_delay` must be provided if max_retries > 0")
        if self.retry_delay is None:
            return
        if not isinstance(self.retry_delay, datetime.timedelta):
            raise TypeError(
                f"`retry_delay` of the task {self.name} must be a datetime.timedelta, not {self.retry_delay!r}"
            )
        if not self.max_retries:
            raise ValueError(
                "A `max_retries` argument greater than 0 must be provided if specifying a retry delay."
            )

    def _checked_signature(self) -> inspect.Signature | None:
        """Return the signature of `run`, in which every argument can be given by keyword."""
        try:
            signature = inspect.signature(self.run)
        except ValueError:
            raise ValueError(
                "This function can not be inspected (this is common with `builtin` and `numpy` functions). In "
                "order to use it as a task, please wrap it in a standard Python function. For more detail, see "
                "https://docs.prefect.io/core/advanced_tutorials/task-guide.html#the-task-decorator"
            ) from None
        by_kind: dict[Any, list[str]] = defaultdict(list)
        for parameter in signature.parameters.values():
            by_kind[parameter.kind].append(parameter.name)
        if by_kind[inspect.Parameter.VAR_POSITIONAL]:
            raise ValueError(
                "Tasks with variable positional arguments (*args) are not supported, because all Prefect arguments "
                "are stored as keywords. As a workaround, consider modifying the run() method to accept **kwargs "
                "and feeding the values to *args."
            )
        if by_kind[inspect.Parameter.POSITIONAL_ONLY]:
            raise TypeError(
                "Found positional-only parameters in the function signature for task "
                f"{self.name}: {by_kind[inspect.Parameter.POSITIONAL_ONLY]}. Prefect passes arguments using "
                "keywords and does not support positional-only parameters."
            )
        reserved = [name for name in _RESERVED if name in signature.parameters]
        if reserved:
            raise ValueError(
                f"Tasks cannot have the following argument names: {', '.join(reserved)}. These are reserved "
                "keyword arguments."
            )
        return signature

    def _annotated_nout(self) -> int | None:
        """Return how many results the return annotation promises: the length of a `Tuple[...]` of fixed length."""
        returned: Any = None if self._signature is None else self._signature.return_annotation
        if getattr(returned, "__origin__", None) is not tuple:
            return None
        pieces = returned.__args__
        return None if Ellipsis in pieces else len(pieces)

    # Building

    def copy(self, **changes: Any) -> Task:
        """Return a copy that is part of no flow, with other attributes.

        Raises:
            AttributeError: A task has no such attribute.
        """
        new = copy.copy(self)
        new.tags = set(self.tags)
        for name, value in changes.items():
            if not hasattr(new, name):
                raise AttributeError(f"Task does not have {name} as an attribute")
            setattr(new, name, value)
        new._check_retries()
        flow = active_flow()
        if flow is not None:
            flow._created.pop(self, None)  # it served as the template
            new._note_created()
        return new

    def _note_created(self) -> None:
        flow = active_flow()
        if flow is not None:
            flow._created[self] = None

    def __call__(
        self,
        /,
        *args: Any,
        mapped: bool = False,
        task_args: Mapping[str, Any] | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Any:
        """Record a call of this task in the active flow.

        Args:
            *args: For `run`, in order.
            mapped: Whether to run it once for each element of the arguments; see `map`.
            task_args: Attributes that the recorded task has instead of this one's.
            upstream_tasks: What has to run first.
            flow: Where to record it, instead of the active flow.
            **kwargs: For `run`, by name. Results of other tasks may stand in them, also inside lists, tuples,
                sets and dicts.

        Returns:
            The recorded copy, which stands for the result.

        Raises:
            TypeError: The arguments do not fit `run`.
            ValueError: There is no active flow.
        """
        arguments = self._arguments(args, kwargs)
        flow = flow or active_flow()
        if flow is None:
            options = {"mapped": mapped, "task_args": task_args, "upstream_tasks": upstream_tasks}
            return self._outside_flow(args, kwargs, {k: v for k, v in options.items() if v})
        new = self.copy(**(task_args or {}))
        flow.set_dependencies(new, upstream_tasks, keyword_tasks=arguments, mapped=mapped)
        return new

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Record one call for each element of the arguments, but for those marked with `unmapped`."""
        return self(*args, mapped=True, **kwargs)

    def _outside_flow(
        self,
        args: tuple[Any, ...],  # noqa: ARG002  # for a task that can also be called natively
        kwargs: Mapping[str, Any],  # noqa: ARG002
        options: Mapping[str, Any],  # noqa: ARG002
    ) -> Any:
        """Answer a call that no flow can record."""
        error = ValueError(
            f"Could not infer an active Flow context while creating edge to {self}. This often means you called a "
            "task outside a `with Flow(...)` block. If you're trying to run this task outside of a Flow context, "
            f"you need to call `{self.name}.run(...)`"
        )
        if self.plugin is not None:
            package, plugin, function = self.plugin.rsplit(".", 2)
            _note(error, f'to call it at once: pyplugs.call("{package}", "{plugin}", "{function}", ...)')
        raise error

    def _arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by name."""
        assert self._signature is not None
        try:
            arguments = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            _note(error, f"in the call of the task {self.name}{self._signature}")
            raise
        for parameter in self._signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
        return arguments

    def set_upstream(
        self, task: Any, flow: Flow | None = None, key: str | None = None, mapped: bool = False
    ) -> None:
        """Have `task` run before this one, and give its result as the argument `key` if one is named."""
        self._in_flow(flow, task)._connect(task, self, key, mapped)

    def set_downstream(
        self, task: Task, flow: Flow | None = None, key: str | None = None, mapped: bool = False
    ) -> None:
        """Have `task` run after this one; see `set_upstream`."""
        self._in_flow(flow, task)._connect(self, task, key, mapped)

    def _in_flow(self, flow: Flow | None, other: Any) -> Flow:
        flow = flow or active_flow()
        if flow is None:
            raise ValueError(
                f"Could not infer an active Flow context while creating an edge between {self} and {other}: "
                "do it inside a `with Flow(...)` block, or name the flow with `flow=`."
            )
        return flow

    # What stands for a result

    def __getitem__(self, key: Any) -> Any:
        return _Item(f"{self.name}[{key!r}]")._bound(task_result=self, key=key)

    def __iter__(self) -> Iterator[Any]:
        if self.nout is None:
            raise TypeError(
                "Task is not iterable. If your task returns multiple results, pass `nout` to the task "
                "decorator/constructor, or provide a `Tuple` return-type annotation to your task."
            )
        return iter([self[index] for index in range(self.nout)])

    __add__, __radd__ = _binary("Add"), _binary("Add", reflected=True)
    __sub__, __rsub__ = _binary("Sub"), _binary("Sub", reflected=True)
    __mul__, __rmul__ = _binary("Mul"), _binary("Mul", reflected=True)
    __truediv__, __rtruediv__ = _binary("Div"), _binary("Div", reflected=True)
    __floordiv__, __rfloordiv__ = _binary("FloorDiv"), _binary("FloorDiv", reflected=True)
    __mod__, __rmod__ = _binary("Mod"), _binary("Mod", reflected=True)
    __pow__, __rpow__ = _binary("Pow"), _binary("Pow", reflected=True)
    __and__, __rand__ = _binary("And"), _binary("And", reflected=True)
    __lt__, __le__ = _binary("LessThan"), _binary("LessThanOrEqual")
    __gt__, __ge__ = _binary("GreaterThan"), _binary("GreaterThanOrEqual")

    def is_equal(self, other: Any) -> Any:
        """Stand for `result == other`; `==` itself compares the tasks."""
        return _OPERATORS["Equal"]._bound(x=self, y=other)

    def is_not_equal(self, other: Any) -> Any:
        """Stand for `result != other`."""
        return _OPERATORS["NotEqual"]._bound(x=self, y=other)

    def not_(self) -> Any:
        """Stand for `not result`."""
        return _Not("Not")._bound(x=self)

    def or_(self, other: Any) -> Any:
        """Stand for `result or other`."""
        return _OPERATORS["Or"]._bound(x=self, y=other)

    def __or__(self, other: Any) -> Any:
        """Have `other` run after this task; returns `other`."""
        self.set_downstream(other)
        return other

    def __ror__(self, other: Any) -> Any:
        """Have `other` run before this task; returns this task."""
        self.set_upstream(other)
        return self

    def __repr__(self) -> str:
        return f"<Task: {self.name}>"

    def _bound(self, **arguments: Any) -> Any:
        """Record a copy of this task, whose arguments are known to fit."""
        flow = active_flow()
        if flow is None:
            flow = self._in_flow(None, next(value for value in arguments.values() if isinstance(value, Task)))
        new = copy.copy(self)
        flow.set_dependencies(new, keyword_tasks=arguments)
        return new


class FunctionTask(Task):
    """A task that calls a function.

    Args:
        fn: What to call.
        name: The function's own name by default.
        plugin: The dotted name of the task plugin that the function is, for reports.
        **options: See `Task`.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, plugin: str | None = None, **options: Any
    ) -> None:
        if not callable(fn):
            raise TypeError(f"fn must be callable, not {fn!r}.")
        self.run = fn
        super().__init__(name or getattr(fn, "__name__", "FunctionTask"), **options)
        self.plugin = plugin
        functools.update_wrapper(self, fn, updated=())
        for attribute, value in getattr(fn, "__dict__", {}).items():
            if not hasattr(self, attribute):
                setattr(self, attribute, value)


class Parameter(Task):
    """An input of a flow.

    Args:
        name: Its name, which no other task of the flow may have as its slug.
        default: The value if `flow.run` is given none.
        required: Whether `flow.run` must be given one; by default, whether there is no default.
        tags: Kept with it.
    """

    kind = "parameter"

    def __init__(
        self,
        name: str,
        default: Any = no_default,
        required: bool | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        self.required = default is no_default if required is None else required
        self.default = None if default is no_default else default
        super().__init__(name, slug=name, tags=tags)

    def __call__(self, *args: Any, flow: Flow | None = None, **kwargs: Any) -> Any:
        """Add this parameter to a flow; unlike other tasks it is not copied."""
        if args or kwargs:
            raise TypeError(f"{self!r} takes no arguments; its value is given to `flow.run`")
        self._in_flow(flow, self).add_task(self)
        return self

    def __repr__(self) -> str:
        return f"<Parameter: {self.name}>"


class _Internal(Task):
    """A task that the graph makes by itself; its arguments are known to fit."""

    def _checked_signature(self) -> inspect.Signature | None:
        return None

    def _note_created(self) -> None:
        """Nobody created it."""


class Constant(_Internal):
    """A value that has to be a task, because a mapped task takes its elements."""

    kind = "structure"

    def __init__(self, value: Any) -> None:
        super().__init__(f"Constant[{type(value).__name__}]")
        self.value = value

    def run(self) -> Any:
        """Return the value."""
        return self.value


class _Sequence(_Internal):
    """A list, tuple or set in which results stand."""

    kind = "structure"

    def __init__(self, name: str, build: Callable[[Iterable[Any]], Any]) -> None:
        super().__init__(name)
        self._build = build

    def run(self, **items: Any) -> Any:
        """Return the list, tuple or set of the items `arg_1`, `arg_2`, and so on."""
        return self._build(items[f"arg_{index}"] for index in range(1, len(items) + 1))


class _Dict(_Internal):
    """A dict in which results stand, as keys or as values."""

    kind = "structure"

    def run(self, keys: list[Any], values: list[Any]) -> Any:
        """Return the dict."""
        return dict(zip(keys, values))


class _Item(_Internal):
    """One item of a result."""

    kind = "operator"

    def run(self, task_result: Any, key: Any) -> Any:
        """Return the item."""
        return task_result[key]


class _Not(_Internal):
    """The negation of a result."""

    kind = "operator"

    def run(self, x: Any) -> Any:
        """Return the negation."""
        return not x


class _Operator(_Internal):
    """Arithmetic, or a comparison, on results."""

    kind = "operator"

    def __init__(self, name: str, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(name)
        self._function = function

    def run(self, x: Any, y: Any) -> Any:
        """Return the result of the operation."""
        return self._function(x, y)


_OPERATORS = {
    name: _Operator(name, function)
    for name, function in {
        "Add": operator.add,
        "Sub": operator.sub,
        "Mul": operator.mul,
        "Div": operator.truediv,
        "FloorDiv": operator.floordiv,
        "Pow": operator.pow,
        "Mod": operator.mod,
        "And": lambda x, y: x and y,
        "Or": lambda x, y: x or y,
        "Equal": operator.eq,
        "NotEqual": operator.ne,
        "GreaterThan": operator.gt,
        "GreaterThanOrEqual": operator.ge,
        "LessThan": operator.lt,
        "LessThanOrEqual": operator.le,
    }.items()
}


class _Matches(_Internal):
    """Skips what depends on it unless a result equals a value."""

    kind = "condition"

    def __init__(self, expected: Any) -> None:
        super().__init__(f"case({expected})")
        self.expected = expected

    def run(self, value: Any) -> None:
        """Raise SKIP unless `value` is the one expected."""
        if value != self.expected:
            raise signals.SKIP(f"{value!r} is not {self.expected!r}")


class case:  # noqa: N801  # Prefect's name
    """A block whose tasks run only if the result of `task` equals `value`, and are skipped otherwise."""

    def __init__(self, task: Task, value: Any) -> None:
        if isinstance(value, Task):
            raise TypeError("`value` cannot be a task")
        self._task = task
        self._value = value
        self._inside: dict[Task, None] = {}
        self._flow: Flow | None = None

    def _add(self, task: Task, flow: Flow) -> None:
        if self._flow is not None and self._flow is not flow:
            raise ValueError("Multiple flows cannot be used with the same case statement")
        self._flow = flow
        self._inside[task] = None

    def __enter__(self) -> None:
        _blocks.cases.append(self)

    def __exit__(self, *exception: object) -> None:
        _blocks.cases.remove(self)
        if self._flow is None:
            return
        condition = _Matches(self._value)
        self._flow.set_dependencies(condition, keyword_tasks={"value": self._task})
        for task in self._inside:
            if not self._flow.upstream_tasks(task) & self._inside.keys():
                self._flow.add_edge(condition, task)


class Flow:
    """A graph of task calls.

    Args:
        name: What logs and reports call it.

    Attributes:
        name: As given.
        slugs: The name of each task that no other task of the flow has, in declared order.
        constants: The arguments of each task that are no results. They are passed on as the very same objects.
    """

    def __init__(self, name: str) -> None:
        if not name:
            raise ValueError("A name must be provided for the flow.")
        self.name = name
        self.slugs: dict[Task, str] = {}
        self.constants: defaultdict[Task, dict[str, Any]] = defaultdict(dict)
        self._incoming: dict[Task, dict[Edge, None]] = {}
        self._outgoing: dict[Task, dict[Edge, None]] = {}
        self._taken: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._references: set[Task] = set()
        self._created: dict[Task, None] = {}
        self._adopted: dict[int, tuple[Any, Task]] = {}

    def __enter__(self) -> Flow:
        self._created = {}
        _blocks.flows.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _blocks.flows.remove(self)
        unused = [task for task in self._created if task not in self.slugs]
        if unused and exception[0] is None:
            frame = sys._getframe(1)
            warnings.warn(
                f"Tasks were created but not added to the flow: {{{', '.join(map(repr, unused))}}}. A task or "
                "Parameter that is created inside `with Flow(...)` belongs to the flow once it is called, or "
                f"given to another task. (Flow {self.name!r}, {frame.f_code.co_filename}:{frame.f_lineno})",
                stacklevel=1,
            )

    # The graph

    @property
    def tasks(self) -> KeysView[Task]:
        """All tasks: a set, in declared order."""
        return self.slugs.keys()

    @property
    def edges(self) -> set[Edge]:
        """All edges."""
        return {edge for edges in self._incoming.values() for edge in edges}

    def edges_to(self, task: Task) -> set[Edge]:
        """Return the edges that end at `task`."""
        return set(self._incoming[self._member(task)])

    def edges_from(self, task: Task) -> set[Edge]:
        """Return the edges that begin at `task`."""
        return set(self._outgoing[self._member(task)])

    def upstream_tasks(self, task: Task) -> set[Task]:
        """Return what runs directly before `task`."""
        return {edge.upstream_task for edge in self._incoming[self._member(task)]}

    def downstream_tasks(self, task: Task) -> set[Task]:
        """Return what runs directly after `task`."""
        return {edge.downstream_task for edge in self._outgoing[self._member(task)]}

    def root_tasks(self) -> set[Task]:
        """Return the tasks that nothing runs before."""
        return {task for task, edges in self._incoming.items() if not edges}

    def terminal_tasks(self) -> set[Task]:
        """Return the tasks that nothing runs after."""
        return {task for task, edges in self._outgoing.items() if not edges}

    def reference_tasks(self) -> set[Task]:
        """Return the tasks that decide the state of the flow: by default, those that nothing runs after."""
        return set(self._references) or self.terminal_tasks()

    def set_reference_tasks(self, tasks: Iterable[Task]) -> None:
        """Say which tasks decide the state of the flow.

        Raises:
            ValueError: One of them is not part of it.
        """
        self._references = {self._member(task) for task in tasks}

    def parameters(self) -> set[Parameter]:
        """Return the parameters that are used."""
        return {task for task in self.slugs if isinstance(task, Parameter)}

    def get_tasks(self, name: str | None = None, slug: str | None = None) -> list[Task]:
        """Return the tasks of that name or slug, in declared order."""
        return [
            task
            for task, own in self.slugs.items()
            if (name is None or task.name == name) and (slug is None or own == slug)
        ]

    def sorted_tasks(self) -> tuple[Task, ...]:
        """Return the tasks in the order in which they run: each after what it depends on, else as declared.

        Raises:
            ValueError: Tasks depend on each other in a circle.
        """
        declared = list(self.slugs)
        position = {task: index for index, task in enumerate(declared)}
        missing = {
            task: len({edge.upstream_task for edge in edges}) for task, edges in self._incoming.items()
        }
        ready = [position[task] for task, count in missing.items() if not count]
        heapq.heapify(ready)
        order = []
        while ready:
            task = declared[heapq.heappop(ready)]
            order.append(task)
            for downstream in {edge.downstream_task for edge in self._outgoing[task]}:
                missing[downstream] -= 1
                if not missing[downstream]:
                    heapq.heappush(ready, position[downstream])
        if len(order) < len(declared):
            circle = [self.slugs[task] for task in declared if missing[task]]
            raise ValueError(f"Cycle found; flows must be acyclic: {', '.join(circle)} depend on each other")
        return tuple(order)

    def validate(self) -> None:
        """Raise ValueError if the graph has a circle."""
        self.sorted_tasks()

    def _member(self, task: Task) -> Task:
        if task not in self.slugs:
            raise ValueError(f"Task {task} was not found in Flow {self}")
        return task

    # Building

    def add_task(self, task: Task) -> Task:
        """Make `task` part of the flow.

        Raises:
            TypeError: It is no task.
            ValueError: Another task of the flow has its slug.
        """
        if not isinstance(task, Task):
            raise TypeError(f"Tasks must be Task instances (received {type(task)})")
        if task in self.slugs:
            return task
        slug = task.slug
        if slug is None:
            self._counts[task.name] += 1
            slug = f"{task.name}-{self._counts[task.name]}"
        if slug in self._taken:
            raise ValueError(f'A task with the slug "{slug}" already exists in this flow.')
        self._taken.add(slug)
        self.slugs[task] = slug
        self._incoming[task] = {}
        self._outgoing[task] = {}
        if _blocks.cases and not isinstance(task, Parameter):  # a parameter depends on nothing
            _blocks.cases[-1]._add(task, self)
        return task

    def add_edge(
        self, upstream_task: Task, downstream_task: Task, key: str | None = None, mapped: bool = False
    ) -> Edge:
        """Have one task run after another, and take its result as the argument `key` if one is named.

        Raises:
            ValueError: A parameter would depend on something, or the argument has a value already.
        """
        if isinstance(downstream_task, Parameter):
            raise ValueError("Parameters must be root tasks and can not have upstream dependencies.")
        self.add_task(upstream_task)
        self.add_task(downstream_task)
        edge = Edge(upstream_task, downstream_task, key, mapped)
        if key is not None and any(
            known.key == key and known != edge for known in self._incoming[downstream_task]
        ):
            raise ValueError(
                f'Argument "{key}" for task {downstream_task} has already been assigned a value in this flow. If '
                "you are trying to call the task again with new arguments, call Task.copy() before adding the "
                "result to this flow."
            )
        self._incoming[downstream_task][edge] = None
        self._outgoing[upstream_task][edge] = None
        return edge

    def set_dependencies(
        self,
        task: Task,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
        mapped: bool = False,
    ) -> None:
        """Say what `task` depends on, what depends on it, and what its arguments are."""
        self.add_task(task)
        for before in upstream_tasks or ():
            self._connect(before, task, None, mapped)
        for after in downstream_tasks or ():
            self._connect(task, after, None, mapped)
        for key, value in (keyword_tasks or {}).items():
            self._connect(value, task, key, mapped)

    def _connect(self, upstream: Any, downstream: Any, key: str | None, mapped: bool) -> None:
        """Add the edge, or the constant, that `upstream` stands for."""
        target = self._resolved(downstream)
        if isinstance(upstream, unmapped):
            mapped, upstream = False, upstream.value
        source = self._resolved(upstream)
        if not isinstance(source, Task):
            if key is not None and not mapped:
                self.constants[target][key] = source
                return
            source = Constant(source)
        self.add_edge(source, target, key, mapped)

    def _resolved(self, value: Any) -> Any:
        """Return a task that builds `value` where results stand in it, else `value` itself."""
        if isinstance(value, Task):
            return self.add_task(value)
        if isinstance(value, unmapped):
            return self._resolved(value.value)
        if isinstance(value, _foreign.kinds):
            known = self._adopted.get(id(value))
            if known is None:
                known = self._adopted[id(value)] = value, _foreign.adopt(value)
            return self.add_task(known[1])
        if not isinstance(value, (list, tuple, set, dict)) or not _holds_task(value):
            return value
        if isinstance(value, dict):
            built: Task = _Dict("Dict")
            self.set_dependencies(built, keyword_tasks={"keys": list(value), "values": list(value.values())})
            return built
        name, build = next(
            (kind.__name__.title(), kind) for kind in (list, tuple, set) if isinstance(value, kind)
        )
        built = _Sequence(name, build)
        items = {f"arg_{index}": item for index, item in enumerate(value, 1)}
        self.set_dependencies(built, keyword_tasks=items)
        return built

    # Running

    def run(self, parameters: Mapping[str, Any] | None = None, **more: Any) -> State:
        """Run the tasks in this process and return the flow's state; its result is the state of each task.

        What a task raises does not come out of here: see the state. `SystemExit` and `KeyboardInterrupt` do.

        Args:
            parameters: The values of the parameters, any objects.
            **more: Further values by name.

        Raises:
            ValueError: A parameter is unknown, or a required one is missing. Nothing has run.
            RuntimeError: Called inside the `with` block.
        """
        if active_flow() is not None:
            raise RuntimeError(
                "Don't call `flow.run()` from within a `Flow` context manager.\n\n"
                "Do:\n\n  with Flow(...) as flow:\n      ...\n  flow.run(...)\n\n"
                "Don't:\n\n  with Flow(...) as flow:\n      ...\n      flow.run(...)"
            )
        values = {**(parameters or {}), **more}
        known = {task.name: task for task in self.slugs if isinstance(task, Parameter)}
        unexpected = [name for name in values if name not in known]
        if unexpected:
            error = ValueError(
                f"Flow.run received the following unexpected parameters: {', '.join(unexpected)}"
            )
            _note(error, f"the parameters that tasks of the flow use are: {', '.join(known) or 'none'}")
            raise error
        missing = [name for name, task in known.items() if task.required and name not in values]
        if missing:
            raise ValueError(
                f"Flow.run did not receive the following required parameters: {', '.join(missing)}"
            )
        from dioptra.flows import engine  # the engine knows the graph, not the other way round

        return engine.run(self, values)

    def __repr__(self) -> str:
        return f'<Flow: name="{self.name}">'


def _note(error: Exception, text: str) -> None:
    """Add to what an error says below its message, whose words are Prefect's."""
    if sys.version_info >= (3, 11):
        error.add_note(text)


def _holds_task(value: Any) -> bool:
    """Return whether a result stands in `value`, however deep in lists, tuples, sets and dicts."""
    if isinstance(value, dict):
        return any(map(_holds_task, value)) or any(map(_holds_task, value.values()))
    if isinstance(value, (list, tuple, set)):
        return any(map(_holds_task, value))
    return isinstance(value, (Task, unmapped, *_foreign.kinds))


@overload
def task(fn: Callable[..., Any], **options: Any) -> FunctionTask: ...
@overload
def task(**options: Any) -> Callable[[Callable[..., Any]], FunctionTask]: ...
def task(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Make a function a task: `@task`, or `@task(nout=2)` with options of `FunctionTask`."""
    if fn is None:
        return functools.partial(task, **options)
    return FunctionTask(fn, **options)
