"""The checks of files and of YAML."""

from __future__ import annotations

from dioptra_cli.validation.explanations import TRAIN_SCRIPT, Explanation

EXPLANATIONS: dict[str, Explanation] = {
    "no-such-project": Explanation(
        why="""
There is nothing under the name that was given, so nothing can be checked or run. `mlflow run` takes a
directory that does not exist for a git repository, and ends with git's own message; dioptra says that it is
not there.
""",
        bad="""\
$ dioptra validate digit
""",
        good="""\
$ dioptra validate digits
""",
        language="console",
    ),
    "no-mlproject-file": Explanation(
        why="""
A project is a directory with a file named `MLproject`, in upper or lower case, without an ending.
`MLproject.yaml` or `MLproject.txt` is not read, by MLflow neither: `mlflow run` then finds no entry points,
and says that it "could not find main among entry points []" but not why. Only the scripts of such a directory
can be run, by their file names.
""",
        bad="""\
$ mv digits/MLproject digits/MLproject.yaml
$ dioptra validate digits
""",
        good="""\
$ mv digits/MLproject.yaml digits/MLproject
$ dioptra validate digits
""",
        language="console",
    ),
    "not-a-project": Explanation(
        why="""
What is checked is an MLproject file, or the directory that holds one. A script has nothing to check; it can
be run, as an entry point of the project that it lies in: `dioptra run digits -e train.py`.
""",
        bad="""\
$ dioptra validate digits/train.py
""",
        good="""\
$ dioptra validate digits
""",
        language="console",
    ),
    "unreadable-file": Explanation(
        why="""
The file is there but cannot be opened: its permissions forbid it, it is a link that leads nowhere, or it is a
directory. `mlflow run` ends with a traceback.
""",
        bad="""\
$ mkdir attacks
$ ln -s ../defenses/MLproject attacks/MLproject
$ dioptra validate attacks
""",
        good="""\
$ ln -sf ../digits/MLproject ../digits/train.py attacks
$ dioptra validate attacks
""",
        language="console",
    ),
    "not-utf-8": Explanation(
        why="""
An MLproject file is UTF-8. An editor that saves umlauts, accents or typographic quotes in the encoding of the
machine, such as Latin-1 or Windows-1252, writes bytes that are none, and `mlflow run` ends with a
`UnicodeDecodeError`. Save the file as UTF-8; a byte order mark at its beginning does no harm.
""",
        bad="""\
$ echo "# für alle" | iconv -f UTF-8 -t LATIN1 >> digits/MLproject
$ dioptra validate digits
""",
        good="""\
$ iconv -f LATIN1 -t UTF-8 digits/MLproject > digits/converted
$ mv digits/converted digits/MLproject
$ dioptra validate digits
""",
        language="console",
    ),
    "unknown-check": Explanation(
        why="""
A comment `# dioptra: ignore[…]` silences the checks that stand in its brackets: codes, beginnings of codes
(`DIO4`) or names. One that names no check silences nothing: what it was written for is still reported.
""",
        bad="""\
entry_points:
  main:
    parameters:
      seed: {type: float, default: 0}
      note: {type: string, default: ""}  # dioptra: ignore[unused-parameters]
    command: python train.py --seed {seed}
""",
        good="""\
entry_points:
  main:
    parameters:
      seed: {type: float, default: 0}
      note: {type: string, default: ""}  # dioptra: ignore[unused-parameter]
    command: python train.py --seed {seed}
""",
        files=TRAIN_SCRIPT,
    ),
    "invalid-yaml": Explanation(
        why="""
The file breaks the rules of YAML, so nothing of it can be read: neither dioptra nor MLflow runs any of its
entry points. `mlflow run` shows a traceback of some 80 lines, with the place at its end.
""",
        bad="""\
entry_points:
  main:
    parameters:
      epochs: {type: float, default: 10
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
    "tab-character": Explanation(
        why="""
YAML does not allow tabs for indentation, since nobody can tell how wide they are. The file cannot be read, by
MLflow neither. Most editors turn tabs into spaces with one command, and write spaces when the Tab key is
pressed once they are told to.
""",
        bad="""\
entry_points:
  main:
\tcommand: python train.py
""",
        good="""\
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "template-syntax": Explanation(
        why="""
`{{ … }}` and `{% … %}` belong to template languages such as Jinja, which neither MLflow nor dioptra applies.
To YAML a value that begins with `{{` is a mapping inside of a mapping, and `%` begins nothing: the file
cannot be read.

A placeholder of a command has single braces, and its value is that of the parameter of the same name. Where
the file itself is the template, render it first.
""",
        bad="""\
entry_points:
  main:
    parameters:
      script: string
    command: {{ script }} --epochs 10
""",
        good="""\
entry_points:
  main:
    parameters:
      script: string
    command: "{script} --epochs 10"
""",
    ),
    "bad-indentation": Explanation(
        why="""
In YAML the indentation says what belongs to what. All keys of one mapping begin in the same column, and what
is below a key is indented deeper than it. Here a line fits none of those above it, so the file cannot be
read.
""",
        bad="""\
entry_points:
  main:
    parameters:
      epochs: float
     command: python train.py --epochs {epochs}
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
    "unquoted-text": Explanation(
        why="""
A text without quotes may hold nothing that YAML takes for its own: no `: ` and no ` #`, and at its beginning
none of `{ [ * & ! | > @ %` and no quote or backtick. And a text in quotes ends where they close: what follows
belongs to nothing. The file cannot be read.

Write the whole text in quotes. In single quotes nothing but the quote itself is special, which is written
twice; a long text can follow `>` on lines of its own, and needs no quotes there.
""",
        bad="""\
entry_points:
  main:
    description: Train a network: the small one
    command: python train.py
""",
        good="""\
entry_points:
  main:
    description: "Train a network: the small one"
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "several-documents": Explanation(
        why="""
A line `---` begins a new YAML document, and an MLproject file is exactly one. MLflow does not read the first
of several: it refuses the file. One `---` at the very beginning is allowed.
""",
        bad="""\
name: digits
---
entry_points:
  main:
    command: python train.py
""",
        good="""\
name: digits
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "empty-file": Explanation(
        why="""
Nothing is in the file, or nothing but comments. `mlflow run` fails with "'NoneType' object has no attribute
'keys'", whatever is to be run, even a script that needs no MLproject file at all. Declare an entry point, or
remove the file.
""",
        bad="""\
# digits
""",
        good="""\
# digits
entry_points:
  main:
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "duplicate-key": Explanation(
        why="""
Of two equal keys in one mapping only the last one counts; the other value is lost, without a word from
MLflow. Often a copied entry point kept its name, and the first one can no longer be run, or a parameter that
was declared twice has another default than the reader sees.
""",
        bad="""\
entry_points:
  main:
    parameters:
      epochs: {type: float, default: 100}
      rate: {type: float, default: 0.1}
      epochs: {type: float, default: 5}
    command: python train.py --epochs {epochs} --rate {rate}
""",
        good="""\
entry_points:
  main:
    parameters:
      epochs: {type: float, default: 100}
      rate: {type: float, default: 0.1}
    command: python train.py --epochs {epochs} --rate {rate}
""",
        files=TRAIN_SCRIPT,
    ),
    "value-too-large": Explanation(
        why="""
`&name` names a value and `*name` repeats it, so a few lines can stand for billions of values, and a value can
even hold itself. As long as nobody looks at it, it costs nothing; but a command needs it as a text.
`mlflow run` takes all time and memory for that; dioptra refuses it at once. Write such a value to a file, and
give its path.
""",
        bad="""\
entry_points:
  main:
    parameters:
      mask:
        type: string
        default:
          - &ten [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
          - &hundred [*ten, *ten, *ten, *ten, *ten, *ten, *ten, *ten, *ten, *ten]
          - &thousand [*hundred, *hundred, *hundred, *hundred, *hundred, *hundred, *hundred, *hundred, *hundred]
          - [*thousand, *thousand, *thousand, *thousand, *thousand, *thousand, *thousand, *thousand, *thousand]
    command: python train.py --mask {mask}
""",
        good="""\
entry_points:
  main:
    parameters:
      mask: {type: path, default: mask.json}
    command: python train.py --mask {mask}
""",
        files=TRAIN_SCRIPT,
    ),
    "nested-too-deeply": Explanation(
        why="""
The file holds lists or mappings inside of one another some hundred levels deep. An MLproject file needs five:
the file, its entry points, one of them, its parameters, one of them. Reading much more ends in a crash, and
MLflow's reading does, with a `RecursionError`. As a rule a program wrote such a file, and not the one that it
was to write.
""",
        bad="""\
$ python -c 'print("name: " + "[" * 2000)' > digits/MLproject
$ dioptra validate digits
""",
        good="""\
$ python -c 'print("entry_points: {main: {command: python train.py}}")' > digits/MLproject
$ dioptra validate digits
""",
        language="console",
    ),
    "impossible-value": Explanation(
        why="""
The value has the form of a date, a time or a number, so YAML makes one of it, and there is none: no year has
a 30th of February. The whole file cannot be read for it, and `mlflow run` ends with a traceback of Python's
`ValueError`. In quotes it stays the text that it is.
""",
        bad="""\
entry_points:
  main:
    parameters:
      until: {type: string, default: 2023-02-30}
    command: python train.py --until {until}
""",
        good="""\
entry_points:
  main:
    parameters:
      until: {type: string, default: 2023-02-28}
    command: python train.py --until {until}
""",
        files=TRAIN_SCRIPT,
    ),
    "unknown-tag": Explanation(
        why="""
A word that begins with `!` is a tag in YAML: it asks the reader to make an object of the value, as other
tools do with `!env` or `!Ref`. An MLproject file is read without any such objects, by dioptra and by MLflow,
since they could execute code. The file is refused as a whole.

A variable of the environment can be used in the command itself, which bash runs: `${{HOME}}`.
""",
        bad="""\
entry_points:
  main:
    command: !env TRAIN_COMMAND
""",
        good="""\
entry_points:
  main:
    command: ${{TRAIN_COMMAND}}
""",
    ),
    "key-is-not-text": Explanation(
        why="""
YAML reads `on`, `off`, `yes` and `no` as booleans, and `1` or `2024` as numbers, also where they are names.
MLflow keeps the boolean or the number itself as the name: `mlflow run -e on` finds no such entry point, and
the placeholder `{on}` no such parameter. To dioptra the name is `True`. Quotes keep it as it is written.
""",
        bad="""\
entry_points:
  on:
    command: python train.py
""",
        good="""\
entry_points:
  "on":
    command: python train.py
""",
        files=TRAIN_SCRIPT,
    ),
    "broken-key": Explanation(
        why="""
A key is a word, a colon and a space; between `{` and `}` a comma stands before the next one. With one of them
missing, YAML reads the key as a part of something else, and here nothing that it could be fits: the file
cannot be read.
""",
        bad="""\
entry_points:
  main:
    parameters:
      rate:
        type: float
        default:0.1
    command: python train.py --rate {rate}
""",
        good="""\
entry_points:
  main:
    parameters:
      rate:
        type: float
        default: 0.1
    command: python train.py --rate {rate}
""",
        files=TRAIN_SCRIPT,
    ),
    "non-breaking-space": Explanation(
        why="""
Text that is copied from a web page or a chat often holds non-breaking spaces. They look like spaces, but YAML takes
them for letters: the line is not indented, and its key begins with characters that nobody can see. `mlflow run` ends
in a traceback about an entry point that is `None`, or says nothing at all.

`--fix` replaces them by spaces.
""",
        bad="entry_points:\n  main:\n\xa0\xa0\xa0\xa0command: echo hello\n",
        good="entry_points:\n  main:\n    command: echo hello\n",
    ),
}
