"""The checks of the structure of a file."""

from __future__ import annotations

from dioptra_cli.validation.explanations import TRAIN_SCRIPT, Explanation

EXPLANATIONS: dict[str, Explanation] = {
    "not-a-mapping": Explanation(
        why="""
An MLproject file is a mapping: keys such as `name` and `entry_points`, each with a colon. Here the whole file
is a list or a single text, and `mlflow run` fails with "'list' object has no attribute 'keys'".
""",
        bad="""\
- main:
    command: python train.py
""",
        good="""\
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "entry-points-not-a-mapping": Explanation(
        why="""
Entry points are keys, for each has a name that `-e` can ask for. As a list, or with nothing below
`entry_points:`, the file is refused: `mlflow run` fails with "'list' object has no attribute 'items'",
without a file or a line.
""",
        bad="""\
entry_points:
  - main:
      command: python train.py
""",
        good="""\
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "entry-point-not-a-mapping": Explanation(
        why="""
An entry point has a `command` and perhaps `parameters`, each under its key. The command alone is not enough,
even where there is nothing else to say: `mlflow run` fails with "'str' object has no attribute 'get'",
whichever entry point of the file is to be run.
""",
        bad="""\
entry_points:
  main: python train.py
""",
        good="""\
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "parameters-not-a-mapping": Explanation(
        why="""
Parameters are keys, without a `- ` before them. An empty `parameters:` is none either: leave it out.
`mlflow run` fails for both, with "object has no attribute 'items'", whichever entry point of the file is to
be run.
""",
        bad="""\
entry_points:
  main:
    parameters:
      - epochs: float
      - rate: {type: float, default: 0.1}
    command: python train.py --epochs {epochs} --rate {rate}
""",
        good="""\
entry_points:
  main:
    parameters:
      epochs: float
      rate: {type: float, default: 0.1}
    command: python train.py --epochs {epochs} --rate {rate}
""",
        files=TRAIN_SCRIPT,
    ),
    "parameter-not-a-type": Explanation(
        why="""
Behind the name of a parameter stands its type (`epochs: float`), or a mapping with `type` and `default`. A
number, a list or nothing is neither: `mlflow run` fails with "object has no attribute 'get'", whichever entry
point of the file is to be run. Most often the value was meant as the default.
""",
        bad="""\
entry_points:
  main:
    parameters:
      epochs: 10
    command: python train.py --epochs {epochs}
""",
        good="""\
entry_points:
  main:
    parameters:
      epochs: {type: float, default: 10}
    command: python train.py --epochs {epochs}
""",
        files=TRAIN_SCRIPT,
    ),
    "command-not-text": Explanation(
        why="""
A command is one text, which bash runs. As a list, a number or a mapping it cannot run: MLflow finds that out
only when the run exists, which then stays RUNNING for ever. dioptra runs the other entry points of the file,
but not this one.

Several commands are lines after `command: |`, or one text with `&&` between them, which stops at the first
that fails.
""",
        bad="""\
entry_points:
  main:
    command:
      - python prepare.py
      - python train.py
""",
        good="""\
entry_points:
  main:
    command: >
      python prepare.py &&
      python train.py
""",
        files={"prepare.py": "", "train.py": ""},
    ),
    "missing-command": Explanation(
        why="""
Without a command the entry point cannot run. MLflow finds that out only when the run exists, which then stays
RUNNING for ever. dioptra runs the other entry points of the file, but not this one.
""",
        bad="""\
entry_points:
  main:
    parameters:
      epochs: float
""",
        good="""\
entry_points:
  main:
    parameters:
      epochs: float
    command: python train.py --epochs {epochs}
""",
        files=TRAIN_SCRIPT,
    ),
    "empty-command": Explanation(
        why="""
An empty command runs nothing and succeeds: the run is FINISHED, without a result. As a rule the command is
still to be written, or stands on lines that YAML does not count to it. Remove an entry point that does
nothing.
""",
        bad="""\
entry_points:
  main:
    command: ""
""",
        good="""\
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "no-entry-points": Explanation(
        why="""
There is nothing to run by name: `mlflow run` "could not find main among entry points []". Scripts of the
directory can still be run by their file names, but without declared parameters, types and defaults.
""",
        bad="""\
name: digits
""",
        good="""\
name: digits
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "unknown-key": Explanation(
        why="""
Nobody reads a key that the format does not have, and nobody says so: `mlflow run` passes over it in silence.
Mostly a known key is misspelled. With `defualt` the parameter has no default, and each run has to give a
value; with `paramters` all of them are gone; with `comand` the entry point has no command.

What is meant for people alone can be a comment.
""",
        bad="""\
entry_points:
  main:
    parameters:
      rate: {type: float, defualt: 0.1}
    command: python train.py --rate {rate}
""",
        good="""\
entry_points:
  main:
    parameters:
      rate: {type: float, default: 0.1}
    command: python train.py --rate {rate}
""",
        files=TRAIN_SCRIPT,
    ),
    "nested-entry-point": Explanation(
        why="""
What is indented below an entry point belongs to it, and MLflow and dioptra read its parameters and its
command alone. An entry point that slipped one level too deep does not exist: `-e evaluate` does not find it.
""",
        bad="""\
entry_points:
  main:
    command: python train.py
    evaluate:
      command: python train.py --evaluate-only
""",
        good="""\
entry_points:
  main:
    command: python train.py
  evaluate:
    command: python train.py --evaluate-only
""",
        files=TRAIN_SCRIPT,
    ),
    "misplaced-command": Explanation(
        why="""
Directly under `entry_points` stand names, so `command` and `parameters` are read as entry points with these
names, and `command` as one that is a text. `mlflow run` fails with "object has no attribute 'get'". The name
of the entry point is missing, or what belongs to it is not indented deeper than it.
""",
        bad="""\
entry_points:
  main:
  command: python train.py
""",
        good="""\
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "description-not-text": Explanation(
        why="""
A description is shown to people, as a text. A list or a mapping is not shown at all; often it is a text that
begins with `[` or `{` and needs quotes. MLflow does not read descriptions, so nothing but the help is lost.
""",
        bad="""\
entry_points:
  main:
    description: [experimental]
    command: python train.py
""",
        good="""\
entry_points:
  main:
    description: "[experimental]"
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "choices-not-a-list": Explanation(
        why="""
`choices` is a list of the values that a parameter may have. Anything else is not used: any value is accepted,
and the default is not compared with it. MLflow does not read `choices` and accepts any value in any case.
""",
        bad="""\
entry_points:
  main:
    parameters:
      optimizer: {type: string, default: adam, choices: adam or sgd}
    command: python train.py --optimizer {optimizer}
""",
        good="""\
entry_points:
  main:
    parameters:
      optimizer: {type: string, default: adam, choices: [adam, sgd]}
    command: python train.py --optimizer {optimizer}
""",
        files=TRAIN_SCRIPT,
    ),
    "lost-key": Explanation(
        why="""
Without a space after its colon a key is none: between `{` and `}` YAML reads `description:"…"` as one key
without a value. It is passed over in silence, and with it what it was to say. `mlflow run` says nothing.
""",
        bad="""\
entry_points:
  main:
    parameters:
      rate: {type: float, default: 0.1, description:"Step size"}
    command: python train.py --rate {rate}
""",
        good="""\
entry_points:
  main:
    parameters:
      rate: {type: float, default: 0.1, description: "Step size"}
    command: python train.py --rate {rate}
""",
        files=TRAIN_SCRIPT,
    ),
    "several-environments": Explanation(
        why="""
A project runs in one environment: `python_env`, `conda_env` or `docker_env`. MLflow refuses a file with two
of them, even where one is empty, for it could not know which is meant.
""",
        bad="""\
conda_env: conda.yaml
python_env: python_env.yaml
entry_points:
  main:
    command: python train.py
""",
        good="""\
conda_env: conda.yaml
entry_points:
  main:
    command: python train.py
""",
        files={"train.py": "", "python_env.yaml": "", "conda.yaml": ""},
    ),
    "environment-not-a-file": Explanation(
        why="""
`python_env` and `conda_env` name a file of the project, which says what is to be installed. The packages
themselves cannot stand in the MLproject file: `mlflow run` fails with a traceback, since it takes them for a
file name.
""",
        bad="""\
conda_env:
  dependencies:
    - scikit-learn
entry_points:
  main:
    command: python train.py
""",
        good="""\
conda_env: conda.yaml
entry_points:
  main:
    command: python train.py
""",
        files={"train.py": "", "conda.yaml": "dependencies:\n  - scikit-learn\n"},
    ),
    "no-environment-file": Explanation(
        why="""
The file of the environment is looked for beside the MLproject file, under exactly this name. `conda.yml` is
not `conda.yaml`. MLflow refuses the project without it, and dioptra does as well, although it runs commands
in the environment that is active: what runs here has to run there too.
""",
        bad="""\
conda_env: conda.yml
entry_points:
  main:
    command: python train.py
""",
        good="""\
conda_env: conda.yaml
entry_points:
  main:
    command: python train.py
""",
        files={"train.py": "", "conda.yaml": "dependencies:\n  - scikit-learn\n"},
    ),
    "docker-not-a-mapping": Explanation(
        why="""
The image of a `docker_env` stands under the key `image`. Behind `docker_env:` itself its name is no setting,
and `mlflow run` fails with "'str' object has no attribute 'get'".
""",
        bad="""\
docker_env: python:3.12
entry_points:
  main:
    command: python train.py
""",
        good="""\
docker_env:
  image: python:3.12
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "docker-without-image": Explanation(
        why="""
Without an image there is no container, and MLflow refuses the file. dioptra runs the command on this machine
whatever the image, but what it accepts has to run elsewhere too.
""",
        bad="""\
docker_env:
  volumes: ["/data:/data"]
entry_points:
  main:
    command: python train.py
""",
        good="""\
docker_env:
  image: python:3.12
  volumes: ["/data:/data"]
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "docker-settings": Explanation(
        why="""
`volumes` is a list of texts as Docker wants them, and `environment` a list: a name alone takes the variable
from the machine, a pair `[NAME, value]` sets one. MLflow refuses the file where they are anything else, such
as a mapping.
""",
        bad="""\
docker_env:
  image: python:3.12
  environment:
    OMP_NUM_THREADS: "1"
entry_points:
  main:
    command: python train.py
""",
        good="""\
docker_env:
  image: python:3.12
  environment:
    - [OMP_NUM_THREADS, "1"]
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "databricks-settings": Explanation(
        why="""
A `databricks_spark_job` runs either its `python_file` or one of the `entry_points`. The environment is that
of the cluster, so there can be no other, and a local path means nothing there, so no parameter can have the
type `path`. MLflow refuses the file otherwise.
""",
        bad="""\
databricks_spark_job:
  python_file: train.py
entry_points:
  main:
    command: python train.py
""",
        good="""\
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "needs-databricks": Explanation(
        why="""
The file describes a job for a Databricks cluster, which `mlflow run --backend databricks` starts. dioptra
runs commands on this machine: without the cluster's Spark and its libraries they will hardly work, and a
`python_file` is no entry point at all. Silence this check where the commands run on both.
""",
        bad="""\
databricks_spark_job:
  python_libraries: [scikit-learn]
entry_points:
  main:
    command: python train.py
""",
        good="""\
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "docker-variable": Explanation(
        why="""
An item of `environment` is the name of a variable that the container gets from this machine, or a pair of a name and
a value. `mlflow run` reads `"A=b"` as the name of a variable and says that it is not set; of a list that is no pair
it drops a part or fails with a traceback.
""",
        bad="""docker_env:
  image: python:3.12
  environment: ["MODE=fast", USER]
entry_points:
  main:
    command: echo hello
""",
        good="""docker_env:
  image: python:3.12
  environment: [[MODE, fast], USER]
entry_points:
  main:
    command: echo hello
""",
    ),
}
