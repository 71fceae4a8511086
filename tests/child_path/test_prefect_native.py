"""Prefect under the import hook: its own use is what it was, and graphs work beside it. No server is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

CHILD_PATH = Path(__file__).resolve().parents[2] / "dioptra_cli" / "child_path"

Child = Callable[..., str]


@pytest.fixture
def child(tmp_path: Path) -> Child:
    """Run code in a child as `dioptra run` starts it, in this environment, and return what it prints."""

    def run(code: str, arguments: tuple[str, ...] = (), **env: str) -> str:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, *(arguments or [str(script)])],
            env={
                **os.environ,
                "PYTHONPATH": str(CHILD_PATH),
                "PREFECT_HOME": str(tmp_path / "home"),
                "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
                "DO_NOT_TRACK": "1",
                **env,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_graph_is_built_and_run_without_importing_prefect(child: Child) -> None:
    child(
        """
        import sys
        from prefect import Flow, Parameter, case, task
        from prefect.utilities.logging import get_logger

        @task(nout=2)
        def halves(x):
            return x / 2, x / 2

        with Flow("halves") as flow:
            first, second = halves(Parameter("x"))
            total = first + second
        state = flow.run(x=3)
        assert state.is_successful() and state.result[total].result == 3
        loaded = {name for name in sys.modules if name.partition(".")[0] in ("prefect", "pydantic")}
        assert loaded == {"prefect", "prefect.utilities", "prefect.utilities.logging"}, loaded
        """
    )


NATIVE = """
    import asyncio, inspect, pickle, sys, types
    import prefect, prefect.flows, prefect.tasks, prefect.utilities.annotations
    import cloudpickle
    from prefect import Flow, Task, allow_failure, flow, get_run_logger, task, unmapped

    assert type(prefect) is types.ModuleType and prefect.__version__ and prefect.__version_info__["version"]
    assert prefect.Flow is prefect.flows.Flow is Flow and Task is prefect.tasks.Task
    assert task is prefect.task is prefect.tasks.task is prefect.main.task
    assert unmapped is prefect.utilities.annotations.unmapped

    @flow(name="sums", retries=1)
    def sums(x: int, y: int = 2) -> int:
        '''Add.'''
        return add.fn(x, y)

    @flow
    async def waits(x):
        return x

    @task(name="plus", retries=3, retry_delay_seconds=[1, 2], tags=["t"])
    def add(x, y=1):
        return x + y

    class Adder:
        @task
        def add(self, x):
            return x
        @flow
        def sums(self, x):
            return x

    assert sums.fn(1) == 3 and type(sums) is Flow and isinstance(add, Task)
    assert Flow(add.fn, name="own").name == Flow(fn=add.fn).with_options(name="own").name == "own"
    assert sums.with_options(retries=5).retries == 5 and add.with_options(name="more").name == "more"
    assert asyncio.run(waits.fn(4)) == 4 and waits.isasync
    assert Adder().sums.ismethod and Adder().add.ismethod
    assert (add.name, add.retries, add.retry_delay_seconds, add.tags) == ("plus", 3, [1, 2], {"t"})
    for own in (sums, add, waits, Adder):
        again = cloudpickle.loads(cloudpickle.dumps(own))
        assert type(again) is type(own) and again.__doc__ == own.__doc__
    print(cloudpickle.loads(cloudpickle.dumps(unmapped([1]))))
    for own in (Flow, Task, task, unmapped):
        assert pickle.loads(pickle.dumps(own)) is own
    print(inspect.signature(Flow), inspect.signature(Task), inspect.signature(task), inspect.signature(Task.map))
    print(inspect.signature(Task.__call__), prefect, repr(add)[:22], prefect.__all__, prefect.__file__)
    print(inspect.getsourcefile(prefect), sums.parameters)
    for wrong in (lambda: Flow(), lambda: Flow(1), lambda: task(1), lambda: task(foo=1), lambda: prefect.nope):
        try:
            wrong()
        except Exception as error:
            print(repr(error))
        else:
            raise AssertionError
    names = {*dir(prefect), *vars(prefect)} - {"Parameter", "case"}
    print(sorted(names), sorted(name for name in sys.modules if name.startswith("prefect")))
"""


def test_native_use_is_what_it_is_without_the_hook(child: Child) -> None:
    assert child(NATIVE) == child(NATIVE, DIOPTRA_PREFECT_COMPAT="0")


def test_command_line(child: Child) -> None:
    assert child("", arguments=("-m", "prefect", "--version")).split()[-1] == version("prefect")


def test_graphs_and_prefects_own_in_one_process(child: Child) -> None:
    child(
        """
        from prefect import Flow, task
        from prefect.engine.signals import SKIP

        @task
        def early(x):
            return x + 1

        from prefect import Parameter, flow, unmapped
        import prefect, prefect.engine, prefect.tasks, dioptra.flows.graph as graph

        @prefect.task(retries=2, retry_delay_seconds=0.5)
        def own(x, y=1):
            return x * y

        @prefect.task(nout=2)
        def pair(x):
            return x, x

        @flow
        def native():
            return own.fn(2, 3)

        with Flow("graph") as g:
            a, b = pair(early(Parameter("x")))
            product = own(a, y=b)
            many = own.map([1, 2, 3], y=unmapped(b))
        assert isinstance(g, Flow) and isinstance(native, Flow)
        for x in (1, 2):
            state = g.run(x=x)
            assert state.is_successful()
            assert state.result[product].result == (x + 1) ** 2
            assert state.result[many].result == [x + 1, (x + 1) * 2, (x + 1) * 3]
        assert product.max_retries == 2 and native.fn() == 6
        assert prefect.engine.engine_logger and type(prefect.engine) is type(prefect)

        from prefect import task as native_task
        import prefect.engine.signals
        assert prefect.engine.signals.SKIP is SKIP and native_task is prefect.tasks.task
        # what was made before Prefect was there is its task now, and still a graph's in a graph
        assert early.fn(1) == 2 and early.with_options(name="other").name == "other"
        assert isinstance(early._of_prefect(), prefect.Task)
        import cloudpickle
        assert cloudpickle.loads(cloudpickle.dumps(early)).run(1) == 2
        """
    )


def test_threads_that_touch_prefect_first(child: Child) -> None:
    child(
        """
        import threading
        codes = [
            "import prefect.settings", "from prefect import flow; flow(lambda: 0)", "import prefect.flows",
            "import prefect.engine; prefect.engine.engine_logger", "from prefect import Flow, Parameter",
            "from prefect.utilities.logging import get_logger", "import prefect; prefect.task(retries=1)",
        ]
        barrier = threading.Barrier(len(codes))
        done = []
        def touch(code):
            barrier.wait()
            exec(code)
            done.append(code)
        threads = [threading.Thread(target=touch, args=(code,), daemon=True) for code in codes]
        for thread in threads: thread.start()
        for thread in threads: thread.join(90)
        assert sorted(done) == sorted(codes), set(codes) - set(done)
        """
    )


def test_a_task_of_prefect_that_is_given_to_another_is_run(child: Child) -> None:
    child(
        """
        from prefect import Flow, tags, task  # tags is native: Prefect is loaded

        @task
        def seven():
            return 7

        @task
        def show(x):
            return x

        with Flow("f") as flow:
            alone, listed = show(seven), show([seven, 1])
        state = flow.run()
        assert (state.result[alone].result, state.result[listed].result) == (7, [7, 1]), state.result
        assert len(flow.get_tasks("seven")) == 1
        """
    )


def test_task_is_that_of_a_graph_beside_flow(child: Child) -> None:
    child(
        """
        from prefect import Flow, Task

        class Double(Task):
            def run(self, x):
                return 2 * x

        with Flow("f") as flow:
            doubled = Double()(4)
        assert flow.run().result[doubled].result == 8
        """
    )
