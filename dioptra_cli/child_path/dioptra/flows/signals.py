"""Signals: exceptions by which a task decides its own state, as `prefect.engine.signals` had them."""

from __future__ import annotations

from typing import Any

from dioptra.flows import states

__all__ = ["FAIL", "SKIP", "SUCCESS", "TRIGGERFAIL", "PrefectStateSignal"]


class PrefectStateSignal(Exception):
    """Ends a task in a given state; the result is the signal itself unless another is given."""

    _state: type[states.State] = states.State

    def __init__(self, message: str | None = None, result: Any = None) -> None:
        super().__init__(message)
        self.state = self._state(message, self if result is None else result)


class FAIL(PrefectStateSignal):
    """The task failed."""

    _state = states.Failed


class TRIGGERFAIL(FAIL):
    """Something that the task depends on failed."""

    _state = states.TriggerFailed


class SUCCESS(PrefectStateSignal):
    """The task succeeded."""

    _state = states.Success


class SKIP(SUCCESS):
    """The task is to be skipped, and with it what depends on it."""

    _state = states.Skipped
