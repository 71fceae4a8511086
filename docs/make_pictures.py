"""Makes the pictures of the documentation from real output: `python docs/make_pictures.py`.

Each command runs in a terminal of its own, in a fresh directory beside the sample projects. The picture of a flow is
the one that its run keeps.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100
RUN = (
    "dioptra run sample_projects/digits -e train -P epochs=many -P hiden_sizes=64",
    "dioptra list-entry-points sample_projects/digits -e train",
    "dioptra run sample_projects/digits -e train -P epochs=5 -P hidden_sizes=64 --log-level warning",
)
VALIDATE = ("dioptra validate", "dioptra validate --fix")
SLIPS = """\
name: Two slips that MLflow takes without a word
entry_points:
  train:
    parameters:
      learning_rate: {type: float, default:0.1}
      epochs: {type: float, default: 30}
    command: >
      python train.py --learning-rate {learning_rate}
        --epoch {epochs}
"""
SCRIPT = """\
import click

@click.command()
@click.option("--learning-rate", type=float, default=0.1)
@click.option("--epochs", type=float, default=30)
def train(learning_rate, epochs): ...

if __name__ == "__main__":
    train()
"""


def output_of(command: str, directory: Path) -> str:
    """Return what a command writes to a terminal."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    environ = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), environ["PATH"]])
    process = subprocess.Popen(
        command, shell=True, cwd=directory, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:
            break
        if not block:
            break
        written += block
    process.wait()
    return written.decode().replace("\r\n", "\n")


def draw(commands: tuple[str, ...], picture: Path, **files: str) -> None:
    """Run the commands in a directory with `files` and draw what they wrote."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "sample_projects").symlink_to(ROOT / "sample_projects")
        for name, text in files.items():
            (directory / name.replace("__", ".")).write_text(text)
        for command in commands:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            text = output_of(command, directory).replace(str(directory.resolve()), "~")
            console.print(Text.from_ansi(text))
    svg = console.export_svg(title="dioptra")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # no fonts from other hosts
    picture.write_text(svg)


def draw_flow(command: str, picture: Path) -> None:
    """Run an entry point and take the picture of its flow."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "sample_projects").symlink_to(ROOT / "sample_projects")
        output_of(command, directory)
        (found,) = directory.glob("mlruns/*/*/artifacts/flow.svg")
        shutil.copyfile(found, picture)


if __name__ == "__main__":
    draw(RUN, ROOT / "docs" / "run.svg")
    draw(VALIDATE, ROOT / "docs" / "validate.svg", MLproject=SLIPS, train__py=SCRIPT)
    draw_flow(RUN[-1], ROOT / "docs" / "flow.svg")
