"""Task plugins: functions that a module registers, found by the names of its package, itself and the function.

A module below a plugin directory is a *plugin*; what it decorates with `register` are its functions. They are called
at once (`call`) or put into a flow (`call_task`). Importing this costs nothing but the standard library; the modules
that hold plugins are imported when they are asked for, and say themselves what is wrong with them.
"""

from __future__ import annotations

from dioptra.pyplugs._registry import (
    PluginInfo,
    call,
    call_factory,
    exists,
    exists_factory,
    funcs,
    funcs_factory,
    get,
    get_factory,
    info,
    info_factory,
    names,
    names_factory,
    register,
    task_nout,
)
from dioptra.pyplugs._tasks import call_task, call_task_factory, get_task, get_task_factory

__all__ = [
    "PluginInfo",
    "call",
    "call_factory",
    "call_task",
    "call_task_factory",
    "exists",
    "exists_factory",
    "funcs",
    "funcs_factory",
    "get",
    "get_factory",
    "get_task",
    "get_task_factory",
    "info",
    "info_factory",
    "names",
    "names_factory",
    "register",
    "task_nout",
]
