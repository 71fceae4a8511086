"""States: what became of a task, or of a flow.

Mirrors Prefect 1: the class is the state, `message` says why, `result` is the value or the exception.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Callable

__all__ = [
    "Failed",
    "Finished",
    "Mapped",
    "Pending",
    "Retrying",
    "Running",
    "Skipped",
    "State",
    "Success",
    "TriggerFailed",
    "worded",
]


def worded(error: object, how: Callable[[object], str] = repr) -> str:
    """Return `repr(error)`, or `str(error)`, also for one that has no words."""
    try:
        return how(error)
    except Exception:
        return f"<{type(error).__name__}>"


class State:
    """Something's state. Always true, also when it failed, as in Prefect 1: ask `is_successful()`.

    Attributes:
        message: Why, in words; None if there is nothing to say.
        result: What a task returned or raised; for a flow, the state of each of its tasks.
        looked_at: Whether anybody asked. A failed flow that nobody looked at fails its process.
    """

    def __init__(self, message: str | None = None, result: Any = None) -> None:
        self._message = message
        self._result = result
        self.seen = [False]

    @property
    def looked_at(self) -> bool:
        """Whether the script asked how it went. `seen` holds it, for those who outlive this state and its results."""
        return self.seen[0]

    @looked_at.setter
    def looked_at(self, value: bool) -> None:
        self.seen[0] = value

    @property
    def message(self) -> str | None:
        """Why, in words."""
        self.looked_at = True
        return self._message

    @property
    def result(self) -> Any:
        """What a task returned or raised; for a flow, the state of each of its tasks."""
        self.looked_at = True
        return self._result

    def _is(self, kind: type[State]) -> bool:
        self.looked_at = True
        return isinstance(self, kind)

    def is_pending(self) -> bool:
        """Whether it has not run yet, or will run again."""
        return self._is(Pending)

    def is_retrying(self) -> bool:
        """Whether it failed and will run again."""
        return self._is(Retrying)

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._is(Running)

    def is_finished(self) -> bool:
        """Whether it has ended, one way or another."""
        return self._is(Finished)

    def is_successful(self) -> bool:
        """Whether it succeeded; what was skipped counts as a success."""
        return self._is(Success)

    def is_mapped(self) -> bool:
        """Whether it stands for the runs of a mapped task."""
        return self._is(Mapped)

    def is_skipped(self) -> bool:
        """Whether it was left out on purpose."""
        return self._is(Skipped)

    def is_failed(self) -> bool:
        """Whether it failed, or could not run because something before it failed."""
        return self._is(Failed)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        self.looked_at = other.looked_at = True
        # No bool(): arrays compare to arrays, here as in Prefect 1.
        return type(self) is type(other) and self._result == other._result

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f'<{name}: "{self._message}">' if self._message else f"<{name}>"


class Pending(State):
    """Not run yet."""


class Retrying(Pending):
    """Failed, and will run again at `start_time` (seconds since 1970)."""

    def __init__(self, message: str | None = None, result: Any = None, start_time: float = 0.0) -> None:
        super().__init__(message, result)
        self.start_time = start_time

    def __repr__(self) -> str:
        again = datetime.fromtimestamp(self.start_time).isoformat(timespec="seconds")
        return f'<Retrying: "{self._message}", again at {again}>'


class Running(State):
    """Runs now."""


class Finished(State):
    """Has ended."""


class Success(Finished):
    """Did what it was to do."""


class Mapped(Success):
    """Ran once for each element; `map_states` are the states of these runs, `result` their values."""

    def __init__(self, message: str | None = None, map_states: list[State] | None = None) -> None:
        super().__init__(message)
        self.map_states = map_states or []

    def failed(self) -> list[tuple[int, State]]:
        """Return the runs that failed with their numbers: by themselves first, then those that could not run."""
        failed = [(index, state) for index, state in enumerate(self.map_states) if isinstance(state, Failed)]
        return sorted(failed, key=lambda run: type(run[1]) is not Failed)

    @property
    def result(self) -> Any:
        """The results of the single runs, in order."""
        self.looked_at = True
        return [state._result for state in self.map_states]


class Skipped(Success):
    """Was left out on purpose."""


class Failed(Finished):
    """Raised an exception, which is the result."""


class TriggerFailed(Failed):
    """Was not run, because something that it depends on failed."""
