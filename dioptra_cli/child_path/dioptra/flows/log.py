"""The loggers of flows: `prefect` and those below it, as Prefect 1 named them and scripts look for them."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO

__all__ = ["get_logger"]

_ROOT = "prefect"
_LEVELS = ("DIOPTRA_JOB_LOG_LEVEL", "AI_JOB_LOG_LEVEL")
_FORMAT = "[%(asctime)s] %(levelname)s - %(name)s | %(message)s"
_DATE_FORMAT = "%Y-%m-%d %H:%M:%S%z"


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:  # not a generic class before Python 3.11
    _StreamHandler = logging.StreamHandler


class _StdoutHandler(_StreamHandler):
    """Writes records, until nobody reads them: as with print, that ends the script."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the base class's name
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError):
            raise error
        super().handleError(record)


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the logger `prefect`, or the one below it that `name` says.

    Scripts clear its handlers and put their own on the root logger, so its records always go on to the root. Left
    alone, it writes to the standard output that was there when it was first asked for. Its level is that of the job,
    by default INFO.
    """
    root = logging.getLogger(_ROOT)
    if not getattr(root, "_dioptra_configured", False):
        root._dioptra_configured = True  # type: ignore[attr-defined]  # survives a second copy of this module
        if root.level == logging.NOTSET:
            root.setLevel(_level())
        if not root.handlers:
            handler = _StdoutHandler(sys.stdout)
            handler.setFormatter(logging.Formatter(_FORMAT, _DATE_FORMAT))
            root.addHandler(handler)
    root.propagate = True
    return root if name is None else root.getChild(name)


def _level() -> int:
    text = next((os.environ[name] for name in _LEVELS if os.environ.get(name)), "INFO")
    level = logging.getLevelName(text.upper())
    return level if isinstance(level, int) else logging.INFO
