"""Which scripts a command calls, and with which words: what a reading of bash's says of programs.

Owns the knowledge of the programs that run scripts, and of those that only start another program. It goes by the
words alone and looks at no file. Where a program's own options leave it unsure where the script begins, it says
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from dioptra_cli.mlproject.shell import ShellReading, SimpleCommand, Word


class ScriptCall(NamedTuple):
    """A call of a script.

    Attributes:
        script: The script's file as it is written, or the module's name; literal text.
        module: Whether it is a module (`python -m`).
        arguments: The words that follow it.
        certain: As in `SimpleCommand`; False also where an argument begins with a dash or a quote that the shell
            does not know as one.
        language: `python`, `bash` or `R`.
        directory: As in `SimpleCommand`.
        direct: Whether the script is run as a program, without an interpreter before it.
    """

    script: Word
    module: bool
    arguments: tuple[Word, ...]
    certain: bool
    language: str
    directory: str | None = ""
    direct: bool = False


def script_calls(reading: ShellReading) -> tuple[ScriptCall, ...]:
    """Return the calls of scripts in a command, in the order of its text."""
    calls = []
    for words, certain, directory in reading.commands:
        call = _call(words, certain)
        if call is not None:
            if directory != "":
                call = call._replace(directory=directory)
            texts = [word.text for word in call.arguments]
            if not "".join(texts).isascii() and any(map(_TYPOGRAPHIC.match, texts)):
                call = call._replace(certain=False)
            calls.append(call)
    return tuple(calls)


class _Options(NamedTuple):
    """The options of a program that has its own before what it runs.

    Attributes:
        values: Those that take the next word for their value.
        flags: Those that stand alone.
        positional: How many other arguments come before what it runs.
    """

    values: frozenset[str]
    flags: frozenset[str]
    positional: int = 0


def _options(values: str = "", flags: str = "", positional: int = 0) -> _Options:
    return _Options(frozenset(values.split()), frozenset(flags.split()), positional)


_STARTERS = {
    "command": _options(flags="-p"),
    "env": _options("-u --unset", "-i --ignore-environment"),
    "exec": _options("-a", "-c -l"),
    "mpiexec": _options("-n -np --np -c -N -H -host --host -x -env", "--allow-run-as-root --oversubscribe"),
    "mpirun": _options(
        "-n -np --np -c -N -H -host --host -hostfile --hostfile -x -bind-to --bind-to -map-by --map-by",
        "--allow-run-as-root --oversubscribe",
    ),
    "horovodrun": _options("-np --num-proc -H --hosts -hostfile --hostfile", "--verbose --gloo --mpi"),
    "nice": _options("-n --adjustment"),
    "nohup": _options(),
    "setsid": _options(flags="-w --wait -f --fork"),
    "stdbuf": _options("-i -o -e"),
    "sudo": _options("-u", "-E -H -n"),
    "time": _options("-f --format -o --output", "-p -v -a --verbose --portability --append"),
    "timeout": _options("-k --kill-after -s --signal", "--foreground --preserve-status -v --verbose", 1),
    "xvfb-run": _options("-s --server-args -n --server-num", "-a --auto-servernum"),
}
"""Programs that start the program which their arguments name."""

_CONDA = _options("-n --name -p --prefix", "--no-capture-output --live-stream -v")
_RUNNERS = {
    "conda": _CONDA,
    "mamba": _CONDA,
    "micromamba": _CONDA,
    "pdm": _options(),
    "pipenv": _options(),
    "poetry": _options(),
    "rye": _options(),
    "uv": _options(
        "--with --with-requirements --with-editable -p --python --extra --group --env-file --package",
        "--no-sync --frozen --locked --all-extras --no-dev --dev --isolated --active --no-project --quiet -q",
    ),
}
"""Programs whose command `run` starts another program."""

_TORCHRUN = _options(
    "--nnodes --nproc_per_node --nproc-per-node --node_rank --node-rank --master_addr --master-addr --master_port "
    "--master-port --rdzv_backend --rdzv-backend --rdzv_endpoint --rdzv-endpoint --rdzv_id --rdzv-id --rdzv_conf "
    "--rdzv-conf --max_restarts --max-restarts --monitor_interval --monitor-interval --log_dir --log-dir -r -t",
    "--standalone --use_env --use-env",
)
_ACCELERATE = _options(
    "--config_file --num_processes --num_machines --machine_rank --mixed_precision --gpu_ids --main_process_ip "
    "--main_process_port --num_cpu_threads_per_process --dynamo_backend",
    "--multi_gpu --cpu --mps --tpu --use_deepspeed --use_fsdp --quiet -q",
)
_COVERAGE = _options("--source --rcfile --include --omit --context --data-file", "-a --append -p -L --branch")
_DEEPSPEED = _options(
    "-H --hostfile -i --include -e --exclude --num_nodes --num_gpus --master_addr --master_port"
)
_PYTHON = _options("-W -X --check-hash-based-pycs")
_SHELL = _options("-o +o -O +O", "--login --norc --noprofile --posix")
_R = _options("-g -d", "--vanilla --slave --no-save --no-restore --no-environ --no-init-file --verbose")

_PYTHON_NAME = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?")
_PYTHON_FLAGS = re.compile(r"-[bBdEiIOPqRsSuvx]+")
_PYTHON_MODULE = re.compile(r"-[bBdEiIOPqRsSuvx]*m")
_SHELL_NAMES = frozenset(("sh", "bash", "dash", "ksh", "zsh"))
_SHELL_FLAGS = re.compile(r"[-+][abefhiklmnptuvxBCEHPTr]+")
_MODULE = re.compile(r"-m|--module")
_LAUNCHING_MODULES = {
    "coverage": ("run", _COVERAGE),
    "torch.distributed.launch": ("", _TORCHRUN),
    "torch.distributed.run": ("", _TORCHRUN),
}
_LANGUAGES = {".py": "python", ".sh": "bash", ".bash": "bash", ".R": "R", ".r": "R"}
_NEVER = re.compile(r"(?!)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_UNKNOWN = re.compile(r"[\0\x01]")
_TYPOGRAPHIC = re.compile("-?[\u2013\u2014]|[\\w.-]*=?[\u2018\u2019\u201c-\u201e]")


def _call(words: tuple[Word, ...], certain: bool) -> ScriptCall | None:
    """Return the call of a script that a simple command is, seeing through what only starts another program."""
    at = 0
    while at < len(words):
        path = words[at].text
        directory, _, name = path.rpartition("/")
        at += 1
        following = words[at].text if at < len(words) else ""
        launcher: _Options | None = None
        if _PYTHON_NAME.fullmatch(name):
            return _python(words, at, certain)
        if name in _STARTERS:
            start = _skip(words, at, _STARTERS[name])
            while name in ("env", "sudo") and start < len(words) and _ASSIGNMENT.match(words[start].text):
                start += 1
            at = start
        elif name in _RUNNERS and following == "run":
            at = _skip(words, at + 1, _RUNNERS[name], _PYTHON_MODULE if name == "uv" else _NEVER)
            if at < len(words) and name in ("uv", "pdm"):
                if words[at].text == "-m":
                    return _script(words, at + 1, certain, "python", module=True)
                if words[at].text.endswith(".py"):
                    return _script(words, at, certain, "python")
        elif name in _SHELL_NAMES:
            return _script(words, _skip(words, at, _SHELL, more=_SHELL_FLAGS), certain, "bash")
        elif name == "Rscript":
            return _script(words, _skip(words, at, _R), certain, "R")
        elif name == "accelerate" and following == "launch":
            at, launcher = at + 1, _ACCELERATE
        elif name == "coverage" and following == "run":
            at, launcher = at + 1, _COVERAGE
        elif name == "torchrun":
            launcher = _TORCHRUN
        elif name == "deepspeed":
            launcher = _DEEPSPEED
        else:
            language = _LANGUAGES.get(name[name.rfind(".") :]) if directory or path.startswith("/") else None
            called = _script(words, at - 1, certain, language) if language else None
            return called and called._replace(direct=True)
        if launcher is not None:
            return _launched(words, at, launcher, certain)
    return None


def _python(words: tuple[Word, ...], at: int, certain: bool) -> ScriptCall | None:
    """Return the call of a script or module whose Python stands before the word at `at`."""
    at = _skip(words, at, _PYTHON, _PYTHON_MODULE, _PYTHON_FLAGS)
    if at >= len(words) or not _PYTHON_MODULE.fullmatch(words[at].text):
        return _script(words, at, certain, "python")
    call = _script(words, at + 1, certain, "python", module=True)
    if call is not None and call.script.text in _LAUNCHING_MODULES:
        subcommand, options = _LAUNCHING_MODULES[call.script.text]
        at += 2
        if subcommand:
            if at >= len(words) or words[at].text != subcommand:
                return call
            at += 1
        return _launched(words, at, options, certain)
    return call


def _launched(words: tuple[Word, ...], at: int, options: _Options, certain: bool) -> ScriptCall | None:
    """Return the call of a Python script by a launcher whose options begin at `at`."""
    at = _skip(words, at, options, _MODULE)
    if at < len(words) and _MODULE.fullmatch(words[at].text):
        return _script(words, at + 1, certain, "python", module=True)
    return _script(words, at, certain, "python")


def _skip(
    words: tuple[Word, ...],
    at: int,
    options: _Options,
    last: re.Pattern[str] = _NEVER,
    more: re.Pattern[str] = _NEVER,
) -> int:
    """Return where what a program runs begins, behind its options, or where an option is that `last` matches.

    Args:
        words: The words of the command.
        at: Where the options begin.
        options: What they are.
        last: The options that say what kind of thing follows.
        more: Further options that stand alone.

    Returns:
        The position, or the number of words where there is none, or where it is not certain.
    """
    while at < len(words):
        text = words[at].text
        if last.fullmatch(text):
            return at
        if text == "--":
            at += 1
            break
        if text in options.values:
            at += 2
        elif text in options.flags or more.fullmatch(text) or _has_value(text, options):
            at += 1
        elif text[:1] in ("-", "+"):
            return len(words)
        else:
            break
    return min(at + options.positional, len(words))


def _has_value(text: str, options: _Options) -> bool:
    """Return whether an option brings its value along: `--name=value`, or `-n4`."""
    return (text.startswith("--") and "=" in text) or (text[:2] in options.values and text[:1] == "-")


def _script(
    words: tuple[Word, ...], at: int, certain: bool, language: str, *, module: bool = False
) -> ScriptCall | None:
    """Return the call of the script that the word at `at` names, if it is a name."""
    if at >= len(words):
        return None
    script = words[at]
    if not script.text or script.text.startswith("-") or _UNKNOWN.search(script.text):
        return None
    return ScriptCall(script, module, words[at + 1 :], certain, language)


_CODE_OPTIONS = {
    **dict.fromkeys(_SHELL_NAMES, re.compile(r"-[a-zA-Z]*c")),
    **dict.fromkeys(("perl", "ruby"), re.compile(r"-[a-zA-Z]*[eE]")),
    "Rscript": re.compile(r"-e"),
    "node": re.compile(r"-e|--eval|-p"),
    "su": re.compile(r"-c|--command"),
}
_PYTHON_CODE = re.compile(r"-[bBdEiIOPqRsSuvx]*c")
_SSH = _options(
    "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w",
    "-4 -6 -A -a -C -f -n -q -T -t -tt -v -X -x -Y",
    1,
)


def code_words(command: SimpleCommand) -> Iterator[tuple[str, Word]]:
    """Yield the arguments that an interpreter takes for code, such as that of `bash -c`, with its name."""
    for at, word in enumerate(command.words):
        name = word.text.rpartition("/")[2]
        if name == "ssh":
            code = command.words[_skip(command.words, at + 1, _SSH) :]
            if code:  # ssh puts the words together before the other shell reads them
                text = " ".join(part.text for part in code)
                names = tuple(parameter for part in code for parameter in part.parameters)
                yield name, Word(text, code[0].start, code[-1].end, names)
            return
        option = _PYTHON_CODE if _PYTHON_NAME.fullmatch(name) else _CODE_OPTIONS.get(name)
        if option is None:
            continue
        for before, following in pairwise(command.words[at + 1 :]):
            if option.fullmatch(before.text):
                yield name, following
                return
            if not before.text.startswith("-") and name != "su":
                break
