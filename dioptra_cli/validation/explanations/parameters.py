"""The checks of declared parameters."""

from __future__ import annotations

from dioptra_cli.validation.explanations import TRAIN_SCRIPT, Explanation

EXPLANATIONS: dict[str, Explanation] = {
    "unknown-type": Explanation(
        why="""
The types of the format are `string`, `float`, `path` and `uri`. Any other word is accepted without a message
and means `string`: no value is checked, a `path` is neither made absolute nor downloaded. A slip such as
`flaot` so switches off what the type was written for. dioptra knows a few more types, see
`non-portable-type`.
""",
        bad="""\
entry_points:
  main:
    parameters:
      rate: {type: flaot, default: 0.1}
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
    "non-portable-type": Explanation(
        why="""
dioptra knows `int`, `bool` and some others besides the four types of the format, and checks their values.
MLflow takes them as text and lets any value through. Nothing goes wrong here. A file for other tools says
`float` or `string`, and leaves the check to its script; one for dioptra silences this note with
`# dioptra: ignore-file[non-portable-type]`.
""",
        bad="""\
entry_points:
  main:
    parameters:
      epochs: {type: int, default: 10}
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
    "lost-type": Explanation(
        why="""
The type stands in the file, but not as the value of a key: between `{` and `}` YAML reads `type float` as one
key without a value, and `float` alone likewise. It is passed over in silence, and the parameter is a
`string`: its values are not checked, and a path or a URI is not treated as one.
""",
        bad="""\
entry_points:
  main:
    parameters:
      rate: {type float, default: 0.1}
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
    "lost-default": Explanation(
        why="""
The default stands in the file, but not as the value of a key: between `{` and `}` YAML reads `default:0.1`,
without the space, as one key without a value, and `0.1` alone likewise; `rate: float 0.1` is a type of that
name. The parameter has no default then. Each run has to give a value, and `mlflow run` says no more than "No
value given for missing parameters".
""",
        bad="""\
entry_points:
  main:
    parameters:
      rate: {type: float, default:0.1}
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
    "wrong-default": Explanation(
        why="""
The default is no value of the parameter's type, so no run can use it: dioptra refuses it before anything
starts. MLflow does not compare values with types and hands it to the script, which fails later, or calculates
with it.
""",
        bad="""\
entry_points:
  main:
    parameters:
      rate: {type: float, default: "0,1"}
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
    "default-not-a-choice": Explanation(
        why="""
The default is none of the values that `choices` allows, so each run would have to give another one: dioptra
refuses the default as it refuses any such value. Numbers are compared as numbers, texts letter by letter.
""",
        bad="""\
entry_points:
  main:
    parameters:
      optimizer: {type: string, default: Adam, choices: [adam, sgd]}
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
    "yaml-changes-value": Explanation(
        why="""
YAML does not read every text as it stands. `yes`, `no`, `on` and `off` are booleans, `010` is 8, `12:30` is
750, `1_000` is 1000, and the text `3.10` is the number 3.1. The command gets what Python writes for that
value, and so the run is another one than the file says. In quotes the value stays as it is.
""",
        bad="""\
entry_points:
  main:
    parameters:
      python: {type: string, default: 3.10}
      augment: {type: string, default: no}
    command: python train.py --python {python} --augment {augment}
""",
        good="""\
entry_points:
  main:
    parameters:
      python: {type: string, default: "3.10"}
      augment: {type: string, default: "no"}
    command: python train.py --python {python} --augment {augment}
""",
        files=TRAIN_SCRIPT,
    ),
    "compound-default": Explanation(
        why="""
A value is one text to a command. Of a list or a mapping the command gets what Python would print, as one
word: `[64, 32]`, or `{'a': 1}` with quotes that JSON does not know. Write the text that the script is to
read, in quotes.
""",
        bad="""\
entry_points:
  main:
    parameters:
      layers: {type: string, default: [64, 32]}
    command: python train.py --layers {layers}
""",
        good="""\
entry_points:
  main:
    parameters:
      layers: {type: string, default: "64,32"}
    command: python train.py --layers {layers}
""",
        files=TRAIN_SCRIPT,
    ),
    "unused-parameter": Explanation(
        why="""
No placeholder of the command takes the value, so it never reaches the script. Whatever `-P` gives, the run
does the same, and yet the value is recorded with the run as if it had mattered. Mostly an option was
forgotten in the command, or a parameter left behind.
""",
        bad="""\
entry_points:
  main:
    parameters:
      epochs: {type: float, default: 10}
      rate: {type: float, default: 0.1}
    command: python train.py --epochs {epochs}
""",
        good="""\
entry_points:
  main:
    parameters:
      epochs: {type: float, default: 10}
      rate: {type: float, default: 0.1}
    command: python train.py --epochs {epochs} --rate {rate}
""",
        files=TRAIN_SCRIPT,
    ),
    "parameter-name": Explanation(
        why="""
Each value is recorded with the run under the name of its parameter, and a tracking server accepts letters,
digits, `_`, `-`, `.`, `:`, `/` and spaces alone. `mlflow run` fails when it records the value, and the run
stays RUNNING for ever; dioptra refuses before anything starts.
""",
        bad="""\
entry_points:
  main:
    parameters:
      dropout%: {type: float, default: 50}
    command: python train.py --dropout {dropout%}
""",
        good="""\
entry_points:
  main:
    parameters:
      dropout_percent: {type: float, default: 50}
    command: python train.py --dropout {dropout_percent}
""",
        files=TRAIN_SCRIPT,
    ),
    "unusable-parameter-name": Explanation(
        why="""
The name can be recorded, but not be used everywhere: in a placeholder `.` and `:` have a meaning of their
own, a number is the position of a value there, and a name with a space or with `-` at its beginning is no
option that a script could have. `mlflow run` fails with a `KeyError` or an `IndexError` where a placeholder
cannot hold the name, and the run stays RUNNING for ever.
""",
        bad="""\
entry_points:
  main:
    parameters:
      learning rate: {type: float, default: 0.1}
    command: python train.py --learning-rate {learning rate}
""",
        good="""\
entry_points:
  main:
    parameters:
      learning_rate: {type: float, default: 0.1}
    command: python train.py --learning-rate {learning_rate}
""",
        files=TRAIN_SCRIPT,
    ),
    "yaml-rewrites-value": Explanation(
        why="""
YAML reads the value as a number or a boolean, and the command gets what Python writes for it: `0.10` becomes
`0.1`, `true` becomes `True`. The value is the same, so this is a note. It matters where the script looks at
the letters, such as one that knows `true` alone, or where runs are compared by the recorded text.
""",
        bad="""\
entry_points:
  main:
    parameters:
      shuffle: {type: string, default: true}
    command: python train.py --shuffle {shuffle}
""",
        good="""\
entry_points:
  main:
    parameters:
      shuffle: {type: string, default: "true"}
    command: python train.py --shuffle {shuffle}
""",
        files=TRAIN_SCRIPT,
    ),
    "wrong-choice": Explanation(
        why="""
A choice that is no value of the parameter's type can never be chosen: its type refuses what the choices
allow. Either the type or the choice is a slip.
""",
        bad="""\
entry_points:
  main:
    parameters:
      batch: {type: float, default: 32, choices: [32, 64, all]}
    command: python train.py --batch {batch}
""",
        good="""\
entry_points:
  main:
    parameters:
      batch: {type: string, default: 32, choices: [32, 64, all]}
    command: python train.py --batch {batch}
""",
        files=TRAIN_SCRIPT,
    ),
    "none-default": Explanation(
        why="""
YAML has no `None`: it is a text of four letters, and the command gets `--seed None`. A script that turns the
option into a number fails, unless it knows the word. Without a default each run has to give a value. For a value
that may be missing, declare the parameter as `string`, which says that words are allowed.
""",
        bad="""\
entry_points:
  main:
    parameters:
      seed: {type: float, default: None}
    command: python train.py --seed {seed}
""",
        good="""\
entry_points:
  main:
    parameters:
      seed: {type: float, default: 0}
    command: python train.py --seed {seed}
""",
        files=TRAIN_SCRIPT,
    ),
}
