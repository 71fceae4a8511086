"""Child processes and signals: the only importer of `subprocess` and `signal`. POSIX only.

`signals`, `streams`, `screen`, `group`, `keeper` and `usage` hold facts of the operating system; `child` decides on
top of them how a command is run, told to stop, and ended. `run_child` and the signals work in the main thread, in
one event loop; `capture` may be called from any. Nothing here prints; what a user should hear comes through
`on_event` and `Outcome`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dioptra_cli.execution.process.child import Cause, End, Event, Footer, Grace, Outcome, run_child
    from dioptra_cli.execution.process.commands import Captured, capture, replace_process
    from dioptra_cli.execution.process.signals import (
        Interrupted,
        SignalGuard,
        ignore_until_exit,
        interruptible,
        signal_name,
        undisturbed,
    )

__all__ = [
    "Captured",
    "Cause",
    "End",
    "Event",
    "Footer",
    "Grace",
    "Interrupted",
    "Outcome",
    "SignalGuard",
    "capture",
    "ignore_until_exit",
    "interruptible",
    "replace_process",
    "run_child",
    "signal_name",
    "undisturbed",
]

_HOMES = {
    "child": ("Cause", "End", "Event", "Footer", "Grace", "Outcome", "run_child"),
    "commands": ("Captured", "capture", "replace_process"),
}


def __getattr__(name: str) -> Any:
    """Import the module of a name when it is asked for: a call that is refused needs signals alone."""
    import importlib

    home = next((home for home, names in _HOMES.items() if name in names), "signals")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
