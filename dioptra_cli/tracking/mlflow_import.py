"""Imports MLflow: ahead of time, without the garbage collector, and without what it can do without.

The only owner of how MLflow gets into this process. Changes nothing in it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from dioptra_cli.distributions import plugins_of_mlflow

NOT_NEEDED = frozenset(
    ("numpy", "pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "polars", "IPython", "pygments")
)
"""What MLflow, and the template engine of alembic, import if it is there. `mlflow-skinny` is MLflow without them: it
records runs in the same way. They take a third of the time of the import. Plugins of MLflow may need them, so that
nothing is hidden where there are some."""
_SQL_STORE = "mlflow.store.tracking.sqlalchemy_store"


class MlflowImport:
    """One import of MLflow. The process has one; see `begin` and `finish`."""

    def __init__(self, modules: Sequence[str], lean: bool) -> None:
        self._modules = modules
        self._lean = lean
        self._error: BaseException | None = None
        # Python ends it before it ends itself: an extension module must not be broken off while it is loaded.
        self._thread = threading.Thread(target=self._run, name="dioptra-import-mlflow", daemon=False)

    def begin(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def finish(self) -> None:
        """Wait until it is done.

        Raises:
            ImportError: MLflow cannot be imported, not even with all that is there.
        """
        self._thread.join()
        if self._error is not None:
            self._error = None
            for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
                del sys.modules[name]
            with without_collector():
                _import(self._modules)

    def _run(self) -> None:
        try:
            with without_collector(), _hidden(NOT_NEEDED if self._lean else frozenset()):
                _import(self._modules)
        except BaseException as error:  # the same may succeed with everything in sight
            self._error = error


_under_way: MlflowImport | None = None


def begin(*, sql: bool, cache_directory: str | None) -> None:
    """Begin to import MLflow in a thread, unless that has been done: the caller has something else to do meanwhile.

    Args:
        sql: Whether a database will be used.
        cache_directory: See `distributions`.
    """
    global _under_way  # noqa: PLW0603 - modules are imported once for a process
    if _under_way is None and "mlflow" not in sys.modules:
        _under_way = MlflowImport(
            ("mlflow", _SQL_STORE) if sql else ("mlflow",), not plugins_of_mlflow(cache_directory)
        )
        _under_way.begin()


def finish(*, sql: bool, cache_directory: str | None) -> ModuleType:
    """Return MLflow, imported now where `begin` was not called."""
    begin(sql=sql, cache_directory=cache_directory)
    if _under_way is not None:
        _under_way.finish()
    return importlib.import_module("mlflow")


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)


class _Hidden:
    """Lets one thread find no packages of these names that are not imported yet: for it, they are not installed.

    A finder may refuse a module: https://docs.python.org/3/reference/import.html#the-meta-path
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._thread = threading.get_ident()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        if fullname in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named '{fullname}'", name=fullname)


@contextlib.contextmanager
def _hidden(names: frozenset[str]) -> Iterator[None]:
    finder = _Hidden(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector from walking MLflow's 150 000 objects again and again while they are made.

    Frozen objects are not looked at later either.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
