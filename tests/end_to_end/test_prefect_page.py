"""Every line of code of docs/prefect.md, run in a child as dioptra starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/prefect.md").read_text()
PREAMBLE = """\
import datetime
from prefect import Flow, Parameter, Task, case, task, unmapped

def fn(x=1): return x
def _pair(x): return x, x + 1
one, pair, two = task(fn, name="one"), task(_pair, nout=2), task(lambda x, y: (x, y), name="two")

def build():
    global flow, a, b
    with Flow("name") as flow:
        a, b = one(1), one(2)
        one(Parameter("p", default=1))
"""


def rows(heading: str) -> Iterator[tuple[str, str]]:
    """Yield each line of code in the table under a heading, and what the table says of it."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table is not None, heading
    for line in table[1].splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        for code in re.findall(r"`([^`]+)`", cells[1]):
            yield code.replace("\\|", "|"), cells[2].strip()


def run(code: str, tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / "dioptra_cli/child_path"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_what_works(tmp_path: Path) -> None:
    imports = [code for code, _ in rows("import")]
    lines = [PREAMBLE, *imports]
    for code, _ in rows("building"):
        lines += ["build()", f"with flow:\n    {code}", "flow.validate()"]
    for code, _ in rows("task options"):
        lines.append(code)
    lines += ["build()", "state = flow.run()"]
    lines += [f"assert ({code}) is not None" for code, _ in rows("running") if "validate" not in code]
    lines += ["flow.validate()", *re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]
    done = run("\n".join(lines), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines) > 120


def test_what_is_not_there(tmp_path: Path) -> None:
    code = [PREAMBLE, "build()", "def expect(line, kind):\n    try: exec(line, globals())"]
    code[-1] += "\n    except kind: return\n    raise SystemExit(f'{line} works')"
    cases = list(rows("missing"))
    code += [f"expect({line!r}, {kind})" for line, kind in cases]
    done = run("\n".join(code), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(cases) > 25


@pytest.mark.parametrize(
    ("code", "environ", "expected"),
    [
        ("import prefect; print(prefect.Flow('x').__module__)", {}, "dioptra.flows.graph"),
        ("from prefect import Parameter", {"DIOPTRA_PREFECT_COMPAT": "0"}, "cannot import name 'Parameter'"),
        ("import sys; from prefect import Flow; print('prefect.flows' in sys.modules)", {}, "False"),
        ("from prefect import Parameter, flow; print(flow.__module__)", {}, "prefect.flows"),
        (
            "from prefect import Flow; print(type(Flow(fn=lambda: 1, name='x')).__module__)",
            {},
            "prefect.flows",
        ),
    ],
)
def test_which_prefect_a_script_gets(
    tmp_path: Path, code: str, environ: dict[str, str], expected: str
) -> None:
    done = run(code, tmp_path, **environ)
    assert expected in done.stdout + done.stderr


def test_a_failed_flow_fails_its_process_unless_the_script_asks(tmp_path: Path) -> None:
    failing = f"{PREAMBLE}\nwith Flow('name') as flow: one(Parameter('p')['k'])\nstate = flow.run(p=0)\n"
    ignored = run(failing, tmp_path)
    assert (ignored.returncode, "TypeError" in ignored.stderr) == (1, True)
    asked = run(f"{failing}print(state.is_failed())", tmp_path)
    assert (asked.returncode, asked.stdout.splitlines()[-1]) == (0, "True")
    levels = [line for line in asked.stdout.splitlines() if "Parameter" in line or "'p'" in line]
    assert levels == []
