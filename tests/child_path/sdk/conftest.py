"""Runs code in a child process between the lines that published entry point scripts end with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

CHILD_PATH = Path(__file__).resolve().parents[3] / "dioptra_cli" / "child_path"

SCRIPT = """
import logging, os, sys, threading, time, traceback, warnings
from dioptra.sdk.utilities.contexts import plugin_dirs
from dioptra.sdk.utilities.logging import *

{before}
attach_stdout_stream_handler({as_json})
set_logging_level(os.getenv("DIOPTRA_JOB_LOG_LEVEL", default="INFO"))
configure_structlog()

def main():
{body}

if __name__ == "__main__":
    with plugin_dirs(), StdoutLogStream({as_json}), StderrLogStream({as_json}):
        main()
{after}
"""


@dataclass(frozen=True)
class Ended:
    """What a child wrote and how it ended."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON log lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def printed(self) -> list[str]:
        """What was printed or written to standard error, line by line, out of JSON log lines."""
        return [record["event"] for record in self.records if record["logger"] in ("STDOUT", "STDERR")]


Script = Callable[..., Ended]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run `body` as the main function of an entry point script, with its standard streams redirected."""

    def run(
        body: str,
        *,
        as_json: bool = True,
        before: str = "",
        after: str = "    pass",
        code: int = 0,
        **environment: str,
    ) -> Ended:
        path = tmp_path / "entry_point.py"
        path.write_text(
            SCRIPT.format(
                body=indent(dedent(body), "    "), as_json=as_json, before=dedent(before), after=dedent(after)
            )
        )
        done = subprocess.run(
            [sys.executable, str(path)],
            env={**os.environ, "PYTHONPATH": str(CHILD_PATH), "PYTHONWARNINGS": "default", **environment},
            cwd=tmp_path,
            capture_output=True,
            check=False,
            timeout=60,
        )
        ended = Ended(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))
        assert ended.code == code, ended
        return ended

    return run
