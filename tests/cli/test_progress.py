"""Progress bars: on a terminal only."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

CODE = """
import sys, time
from dioptra_cli.cli.progress import download_progress
with download_progress(quiet="quiet" in sys.argv) as progress:
    for name, total in (("train[red].csv", 2_000_000), ("unknown", None)):
        task = progress.add(name, total)
        progress.advance(task, 1_000_000)
        time.sleep(0.3)
        progress.finish(task)
print("rich" in sys.modules)
"""


def shown_on_terminal(*arguments: str) -> tuple[str, str]:
    """Return what a process with a terminal for its standard error shows there, and prints."""
    master, slave = pty.openpty()
    environ = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments], stderr=slave, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # how Linux tells that the other side is closed
                break
            if not piece:
                break
            shown += piece
        out, _ = process.communicate()
    os.close(master)
    return shown.decode(), out


def test_terminal_shows_each_download_and_wipes_it_away() -> None:
    shown, _ = shown_on_terminal()
    assert "train[red].csv" in shown
    assert "1.0/2.0 MB" in shown
    assert "unknown" in shown
    assert shown.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))


def test_quiet() -> None:
    assert shown_on_terminal("quiet") == ("", "False\n")


def test_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
