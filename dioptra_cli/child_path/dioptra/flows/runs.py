"""MLflow runs across threads and processes.

MLflow's active run belongs to a thread: what a task logs in another one would silently go to a run of its own.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import sys
from typing import Any, Callable

__all__ = ["joined"]

_RUN_ID = "MLFLOW_RUN_ID"


def joined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` such that it joins, wherever it is called, the run that is active here and now.

    Where none is active, that is the run that `MLFLOW_RUN_ID` names, which a first `mlflow.log_...` would join.
    The run stays active in the other thread, and is not ended there: it belongs to who started it.
    """
    run_id = _active_run_id() or os.environ.get(_RUN_ID)
    if run_id is None or ("mlflow" not in sys.modules and importlib.util.find_spec("mlflow") is None):
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _active_run_id() != run_id:
            import mlflow

            options: dict[str, Any] = {"nested": True}  # there may be one that was left active
            if "log_system_metrics" in inspect.signature(mlflow.start_run).parameters:
                options["log_system_metrics"] = False  # the thread that started the run measures already
            mlflow.start_run(run_id=run_id, **options)
        return function(*args, **kwargs)

    return call


def _active_run_id() -> str | None:
    # Another thread may just be importing MLflow; then no run can be active in this one.
    active_run = getattr(sys.modules.get("mlflow"), "active_run", None)
    run = None if active_run is None else active_run()
    return None if run is None else str(run.info.run_id)
