"""How entry point scripts set up their logging: structlog over the standard library's, written to standard output.

Owns how a record looks and where it goes. The functions that need `structlog` import it; the streams do without.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from linecache import getline
from typing import TYPE_CHECKING, Any, Callable, TextIO

from dioptra.sdk.utilities.decorators import require_package
from dioptra.sdk.utilities.log_streams import LogStream, StderrLogStream, StdoutLogStream

__all__ = [
    "StderrLogStream",
    "StdoutLogStream",
    "attach_stdout_stream_handler",
    "clear_logger_handlers",
    "configure_structlog",
    "set_logging_level",
]

Processor = Callable[[Any, str, MutableMapping[str, Any]], Any]

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@require_package("structlog")
def configure_structlog() -> None:
    """Let structlog's loggers log through the standard library's, unless structlog is configured already."""
    import structlog

    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        context_class=dict,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


@require_package("structlog")
def attach_stdout_stream_handler(as_json: bool, logger: logging.Logger | None = None) -> None:
    """Write the records of a logger to the standard output of now, one JSON object or console line each.

    Later redirections do not matter. Warnings become records of the logger `py.warnings`. A handler from an earlier
    call is replaced. Console lines have colours on a terminal, unless `NO_COLOR` is set.

    Args:
        as_json: JSON objects with the keys event, logger, level, timestamp and, if there is one, exception.
        logger: The root logger unless given.
    """
    import structlog

    stream: Any = sys.stdout
    while isinstance(stream, LogStream):
        stream = stream.real
    renderer: Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    else:
        # Tracebacks come as text already. Before structlog 21.2 there is no other kind.
        plain = getattr(structlog.dev, "plain_traceback", None)
        options = {} if plain is None else {"exception_formatter": plain}
        colors = stream.isatty() and not os.environ.get("NO_COLOR")
        try:
            renderer = structlog.dev.ConsoleRenderer(colors=colors, **options)
        except SystemError:  # colours would need another package
            renderer = structlog.dev.ConsoleRenderer(colors=False, **options)
    handler = _StdoutHandler(stream)
    handler.setFormatter(_Formatter(renderer))
    logger = logger or logging.getLogger()
    for other in logger.handlers[:]:
        if isinstance(other, _StdoutHandler):
            logger.removeHandler(other)
    logger.addHandler(handler)
    logging.captureWarnings(True)


def set_logging_level(level: str, logger: logging.Logger | None = None) -> None:
    """Set the level of a logger, the root one unless given; a name that is no level means INFO."""
    name = level.strip().upper()
    (logger or logging.getLogger()).setLevel(name if name in _LEVELS else "INFO")


def clear_logger_handlers(logger: logging.Logger | None) -> None:
    """Remove all handlers of a logger; None has none."""
    if logger is None:
        return
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:  # not a generic class before Python 3.11
    _StreamHandler = logging.StreamHandler


class _StdoutHandler(_StreamHandler):
    """Writes records whatever characters they hold: those that the stream cannot encode are escaped."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n"
            try:
                self.stream.write(line)
            except UnicodeEncodeError:
                encoding = self.stream.encoding
                self.stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
            self.flush()
        except (
            RecursionError,
            BrokenPipeError,
        ):  # nobody reads any more: as with print, that ends the script
            raise
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    """Formats the records of structlog and of the standard library alike; printed lines take a shorter way."""

    def __init__(self, renderer: Processor) -> None:
        import structlog

        super().__init__()
        self._renderer = renderer
        self._timestamper = structlog.processors.TimeStamper(fmt="iso", utc=True)
        self._full = structlog.stdlib.ProcessorFormatter(
            processor=renderer,
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                self._timestamper,
                _tidy_warning,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                structlog.processors.UnicodeDecoder(),
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        if record.pathname not in LogStream.names:
            return self._full.format(record)
        level = record.levelname.lower()
        event = self._timestamper(None, level, {"event": record.msg, "logger": record.name, "level": level})
        return str(self._renderer(None, level, event))


def _tidy_warning(logger: Any, method_name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001  # structlog's signature
    """Drop the source line that Python puts beneath a warning, and the newline at its end."""
    if event.get("logger") == "py.warnings":
        text, _, last = event["event"].rstrip().rpartition("\n")
        place = re.match(r"(.*?):(\d+): ", text)
        if place and last.strip() == getline(place[1], int(place[2])).strip():
            event["event"] = text
        else:
            event["event"] = event["event"].rstrip()
    return event
