"""A new project as text: an MLproject file, two entry points, task plugins of its own, and a page about it.

Pure. The example fits a line to points, which needs no data and takes no time, and shows each part once: parameters,
built-in and own task plugins, results that flow from task to task, metrics and artifacts of the run.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from dioptra_cli.scaffold import declare, names, script

_CUSTOM = "_CUSTOM_PLUGINS_IMPORT_PATH"
_MODULE = "lines"

_TRAIN = (
    declare.Declaration("samples", "float", "200", "Points to draw"),
    declare.Declaration("noise", "float", "0.1", "How far they lie from the line (standard deviation)"),
    declare.Declaration("seed", "float", "-1", "Seed of the random numbers; -1 draws one"),
)
_INFER = (
    declare.Declaration("run_id", "string", None, "Run of train"),
    declare.Declaration("inputs", "string", "0,1,10", "Where to read off the line"),
)


def render(name: str) -> dict[str, str]:
    """Return the files of a new project, by their paths below its directory.

    Args:
        name: What the project is called.
    """
    package = package_name(name)
    constants = [f'{_CUSTOM}: str = "dioptra_custom.{package}"']
    train = declare.entry_point("train", _TRAIN, "src/train.py", "Fit a line to points and keep it")
    infer = declare.entry_point("infer", _INFER, "src/infer.py", "Read values off the line of an earlier run")
    return {
        "MLproject": _MLPROJECT.format(
            name=declare.quoted(name), train=declare.as_yaml(train), infer=declare.as_yaml(infer)
        ),
        "src/train.py": script.render(train, _train_tasks, constants),
        "src/infer.py": script.render(infer, _infer_tasks, constants),
        f"task-plugins/dioptra_custom/{package}/{_MODULE}.py": _PLUGIN,
        "README.md": _README.format(title=_heading(name), package=package),
        ".gitignore": "__pycache__/\nmlflow.db\nmlruns/\n",
    }


def package_name(name: str) -> str:
    """Return the name of the project's package of task plugins: ASCII, in lower case."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return names.identifier(ascii_name[:30]) if re.search("[a-z]", ascii_name) else "project"


def _train_tasks(options: Sequence[script.Option]) -> list[str]:
    points = ["samples=samples", "noise=noise", "seed=data_seed"]
    return [
        *script.first_tasks(options),
        *script.call_task(_CUSTOM, _MODULE, "draw_points", points, result="points"),
        *script.call_task(_CUSTOM, _MODULE, "fit_line", ["points=points"], result="line, error"),
        *script.call_task("tracking", "mlflow", "log_metrics", ['metrics={"error": error}']),
        *script.call_task(_CUSTOM, _MODULE, "save_line", ["line=line"]),
    ]


def _infer_tasks(options: Sequence[script.Option]) -> list[str]:
    del options
    return [
        *script.call_task(_CUSTOM, _MODULE, "load_line", ["run_id=run_id"], result="line"),
        *script.call_task(_CUSTOM, _MODULE, "read_off", ["line=line", "inputs=inputs"], result="outputs"),
        *script.call_task("tracking", "mlflow", "log_metrics", ["metrics=outputs"]),
    ]


def _heading(name: str) -> str:
    """Return a name as the text of a Markdown heading, on one line."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", shown)


_MLPROJECT = """\
name: {name}

entry_points:
{train}
{infer}"""

_PLUGIN = '''\
"""Task plugins: functions that the flows of the entry points call by name."""

from __future__ import annotations

import mlflow
import mlflow.artifacts
import numpy as np
import structlog
from dioptra import pyplugs

LOGGER = structlog.stdlib.get_logger()


@pyplugs.register
def draw_points(samples: int, noise: float, seed: int) -> np.ndarray:
    """Draw points near the line y = 2 x + 1; each row of the result is one."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, samples)
    return np.column_stack([x, 2 * x + 1 + rng.normal(0, noise, samples)])


@pyplugs.register
@pyplugs.task_nout(2)
def fit_line(points: np.ndarray) -> tuple[dict[str, float], float]:
    """Return the line with the least squared error, and the root of the mean of that error."""
    x, y = points.T
    slope, intercept = np.polyfit(x, y, 1)
    error = float(np.sqrt(np.mean((slope * x + intercept - y) ** 2)))
    line = {"slope": float(slope), "intercept": float(intercept)}
    LOGGER.info("Fitted a line", **line, error=error)
    return line, error


@pyplugs.register
def save_line(line: dict[str, float]) -> None:
    """Keep a line among the artifacts of the run."""
    mlflow.log_dict(line, "line.json")


@pyplugs.register
def load_line(run_id: str) -> dict[str, float]:
    """Return the line that a run has kept."""
    return mlflow.artifacts.load_dict(f"runs:/{run_id}/line.json")


@pyplugs.register
def read_off(line: dict[str, float], inputs: tuple[int, ...]) -> dict[str, float]:
    """Return the values of a line at some places, named for them."""
    return {f"at_{x}": line["slope"] * x + line["intercept"] for x in inputs}
'''

_README = """\
# {title}

Run it, and look at the run:

```sh
dioptra run . -e train
dioptra run . -e train -P samples=1000 -P noise=0.5
mlflow ui --backend-store-uri sqlite:///mlflow.db
```

`infer` needs the id of a run of `train`; the line `finished after …` of its output has it:

```sh
dioptra run . -e infer -P run_id=RUN_ID -P inputs=1,2,3
```

| file | is |
|---|---|
| `MLproject` | the entry points: a command and its parameters each |
| `src/` | their scripts: options, and the flow that puts task plugins together |
| `task-plugins/dioptra_custom/{package}/lines.py` | the task plugins of this project |

Next:

```sh
dioptra list-entry-points
dioptra plugins list
dioptra validate
dioptra new entry-point evaluate -P run_id -P threshold:float=0.5
```
"""
