"""How log records look and where they go, in real children."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from dioptra.sdk.utilities.logging import clear_logger_handlers, set_logging_level

from .conftest import CHILD_PATH, Script

LOG_EVERYTHING = """
import structlog
print("printed")
logging.getLogger("STDOUT").info("printed")
structlog.get_logger("own").info("event", loss=0.5, path=sys.flags.__class__)
structlog.stdlib.get_logger().warning("to %s", "you")
logging.getLogger("library").error("code %d", 3)
try:
    {}["key"]
except KeyError:
    structlog.get_logger().exception("it failed")
    logging.getLogger("library").exception("it failed")
structlog.get_logger().debug("hidden")
logging.getLogger("library").debug("hidden")
"""


def test_json(script: Script) -> None:
    records = script(LOG_EVERYTHING).records
    for record in records:
        assert datetime.fromisoformat(record.pop("timestamp").replace("Z", "+00:00")).utcoffset() is not None
    first, second, *others = records
    assert first == {"event": "printed", "logger": "STDOUT", "level": "info"}
    assert list(first) == list(second)
    assert second == first
    exceptions = [record.pop("exception") for record in others[-2:]]
    assert all(text.startswith("Traceback") and text.endswith("KeyError: 'key'") for text in exceptions)
    assert others == [
        {"event": "event", "loss": 0.5, "path": "<class 'sys.flags'>", "logger": "own", "level": "info"},
        {"event": "to you", "logger": "__main__", "level": "warning"},
        {"event": "code 3", "logger": "library", "level": "error"},
        {"event": "it failed", "logger": "__main__", "level": "error"},
        {"event": "it failed", "logger": "library", "level": "error"},
    ]


def test_console(script: Script) -> None:
    ended = script(LOG_EVERYTHING, as_json=False)
    lines = [re.sub(r"\s+", " ", line).rstrip() for line in ended.out.splitlines()]
    assert "\x1b" not in ended.out
    assert ended.err == ""
    without_time = [line.partition(" ")[2] for line in lines]
    assert without_time[0] == without_time[1] == "[info ] printed [STDOUT]"
    assert without_time[2].startswith("[info ] event [own] loss=0.5 path=")
    assert without_time[3] == "[warning ] to you [__main__]"
    assert without_time[4] == "[error ] code 3 [library]"
    assert lines.count("Traceback (most recent call last):") == 2
    assert lines.count("KeyError: 'key'") == 2
    assert "hidden" not in ended.out


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals")
@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_on_a_terminal(no_color: str, tmp_path: Path) -> None:
    primary, secondary = os.openpty()
    code = (
        "from dioptra.sdk.utilities.logging import *\n"
        "attach_stdout_stream_handler(False); set_logging_level('INFO')\n"
        "with StdoutLogStream(False): print('text')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHILD_PATH), "NO_COLOR": no_color}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, stdout=secondary
    ) as child:
        os.close(secondary)
        out = os.read(primary, 10000)
        assert child.wait(60) == 0
    os.close(primary)
    assert b"text" in out
    assert (b"\x1b[" in out) is (not no_color)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        (" Warning ", ["WARNING", "ERROR", "CRITICAL"]),
        ("CRITICAL", ["CRITICAL"]),
        ("NOTSET", ["INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("", ["INFO", "WARNING", "ERROR", "CRITICAL"]),
    ],
)
def test_set_logging_level(level: str, expected: list[str]) -> None:
    logger = logging.Logger("own")
    set_logging_level(level, logger)
    names = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    assert [name for name in names if logger.isEnabledFor(getattr(logging, name))] == expected


def test_the_level_holds_for_prints_too(script: Script) -> None:
    ended = script(LOG_EVERYTHING, DIOPTRA_JOB_LOG_LEVEL="error")
    assert [record["event"] for record in ended.records] == ["code 3", "it failed", "it failed"]


def test_clear_logger_handlers() -> None:
    logger = logging.Logger("own")
    for _ in range(5):
        logger.addHandler(logging.NullHandler())
    clear_logger_handlers(logger)
    assert logger.handlers == []
    clear_logger_handlers(None)


def test_setting_up_twice_and_inside_the_block(script: Script) -> None:
    ended = script(
        """
        attach_stdout_stream_handler(True)
        attach_stdout_stream_handler(as_json=True)
        configure_structlog()
        print("once")
        other = logging.getLogger("other")
        other.propagate = False
        attach_stdout_stream_handler(True, other)
        other.info("other")
        """,
        before="attach_stdout_stream_handler(False); configure_structlog()",
    )
    assert [record["event"] for record in ended.records] == ["once", "other"]
    assert ended.err == ""


def test_structlog_as_the_user_configured_it(script: Script) -> None:
    before = """
        import structlog
        structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
        """
    ended = script("structlog.get_logger().info('own form', a=1)", before=before)
    assert ended.printed == ["a=1 event='own form'"]


def test_a_standard_output_that_cannot_encode_everything(script: Script) -> None:
    code = "print('é\\udce9'); logging.getLogger('own').info('漢')"
    ended = script(code, as_json=False, PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")
    assert [line.split()[3] for line in ended.out.splitlines()] == ["\\xe9\\udce9", "\\u6f22"]
    assert ended.err == ""
