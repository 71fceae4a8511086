"""`python listing.py [FILE]`: import every task plugin and say what each registers, or why it cannot.

Where a process has ended while it imported a module, another goes on behind that module's FILE.

Runs in the environment of an entry point; the plugin directories are those of `DIOPTRA_PLUGIN_DIR`. Prints one JSON
object per line, each as soon as it is known, so that a module that never ends, or takes the process with it, can be
told from what stands before. `kind` says what a line is:

- `start`: `python` and its `version`;
- `importing`: `module`, `file` and plugin `directory`, before each import;
- `task`: `package`, `plugin`, `function`, `signature`, `description`, `nout`, `file`, `line` and `directory` of a
  registered function;
- `failure`: `module`, `file`, `line`, `directory`, `error` and `message`; `missing_package` is what has to be
  installed, and `optional` says that the plugin is a built-in one, which may do without it. What is below a package
  that cannot be imported is not looked at;
- `hidden`: `module`, `file` and `directory`, and `by`: the file that is imported in its place;
- `end`.

What plugins print while they are imported goes to standard error.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder, all_suffixes
from types import ModuleType
from typing import Any

from dioptra.pyplugs import info
from dioptra.pyplugs._registry import nout_of, registered
from dioptra.sdk.exceptions.base import BaseOptionalDependencyError

__all__ = ["main"]

_CHILD_PATH = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_BUILT_IN = os.path.join(_CHILD_PATH, "task-plugins")
_SUFFIXES = sorted((s for s in all_suffixes() if s != ".pyc"), key=len, reverse=True)


@dataclass(frozen=True)
class _Candidate:
    """A file below a plugin directory, and the dotted name that it should have as a module."""

    directory: str
    name: str
    file: str

    @property
    def facts(self) -> dict[str, Any]:
        """What every line about it says."""
        return {"module": self.name, "file": self.file, "directory": self.directory}


def main() -> None:
    """Print the listing and end the process, whatever threads and exit handlers the plugins have left."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Not only `print`: what C code and other processes write must not mix with the listing either.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def say(kind: str, **facts: Any) -> None:
        report.write(json.dumps({"kind": kind, **facts}) + "\n")
        report.flush()

    _, *behind = sys.argv
    del sys.argv[1:]  # a plugin may look at it
    directories = _plugin_directories()
    _set_import_path(directories)
    say("start", python=sys.executable, version=".".join(map(str, sys.version_info[:3])))
    for directory in directories:
        closed: list[str] = []  # packages that cannot be entered
        for candidate in _candidates(directory):
            if behind:
                if [candidate.file] == behind:
                    behind = []
                    closed.append(candidate.name)
                continue
            if any(candidate.name.startswith(f"{package}.") for package in closed):
                continue
            say("importing", **candidate.facts)
            for kind, facts in _look_at(candidate, directories):
                say(kind, **facts)
                if kind == "failure" or (kind == "hidden" and facts["file"] == candidate.file):
                    closed.append(candidate.name)
    say("end")
    os._exit(0)


def _plugin_directories() -> list[str]:
    named = os.environ.get("DIOPTRA_PLUGIN_DIR") or os.environ.get("AI_PLUGIN_DIR") or ""
    return [os.path.abspath(directory) for directory in named.split(os.pathsep) if os.path.isdir(directory)]


def _set_import_path(directories: list[str]) -> None:
    """Give the plugins the import path that a script has inside `plugin_dirs()`: no directory of our own on it."""
    left_out = {os.path.dirname(os.path.abspath(__file__)), os.getcwd(), _CHILD_PATH, *directories}
    others = [entry for entry in sys.path if os.path.abspath(entry) not in left_out]
    sys.path[:] = [_CHILD_PATH, *directories, os.getcwd(), *others]


def _candidates(directory: str) -> Iterator[_Candidate]:
    """Yield the modules below a plugin directory by name, packages before what is in them.

    What is private or no name is left out, and so are loose files that have nothing to do with task plugins: a plugin
    directory may be the top of a repository, whose `setup.py` nobody wants to have run.
    """
    for candidate in _modules_in(directory, directory, ()):
        if _mentions_pyplugs(candidate.file):
            yield candidate
    yield from _below(directory, directory, (), {os.path.realpath(directory)})


def _below(directory: str, place: str, parts: tuple[str, ...], seen: set[str]) -> Iterator[_Candidate]:
    for name in _entries(place):
        path = os.path.join(place, name)
        if not name.isidentifier() or name.startswith("_") or not os.path.isdir(path):
            continue
        if os.path.realpath(path) in seen:  # a link to where we come from
            continue
        package = (*parts, name)
        init = os.path.join(path, "__init__.py")
        if os.path.isfile(init):
            yield _Candidate(directory, ".".join(package), init)
        yield from _modules_in(directory, path, package)
        yield from _below(directory, path, package, {*seen, os.path.realpath(path)})


def _modules_in(directory: str, place: str, parts: tuple[str, ...]) -> Iterator[_Candidate]:
    for file in _entries(place):
        name, suffix = next(((file[: -len(s)], s) for s in _SUFFIXES if file.endswith(s)), (file, ""))
        path = os.path.join(place, file)
        if suffix and name.isidentifier() and not name.startswith("_") and os.path.isfile(path):
            yield _Candidate(directory, ".".join((*parts, name)), path)


def _entries(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _mentions_pyplugs(file: str) -> bool:
    try:
        with open(file, "rb") as source:
            return b"pyplugs" in source.read()
    except OSError:
        return False


def _look_at(candidate: _Candidate, directories: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        other = _taken_by(candidate)
        if other is not None:
            yield "hidden", {**candidate.facts, "by": other}
            return
        installed = _installed(candidate, directories)
        if installed is not None:
            yield "hidden", {**candidate.facts, "file": installed, "by": candidate.file}
        if installed is None or candidate.name not in sys.modules:  # else this program itself has loaded it
            module = importlib.import_module(candidate.name)
            for name in registered(module):
                yield "task", {**_task(module, name, candidate), "directory": candidate.directory}
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may well end in SystemExit
        yield "failure", {**candidate.facts, **_failure(error, candidate)}


def _taken_by(candidate: _Candidate) -> str | None:
    """Return the file that is imported in place of the candidate's, or the package that hides it."""
    parent, _, _ = candidate.name.rpartition(".")
    place = os.path.dirname(candidate.file)
    if os.path.basename(candidate.file) == "__init__.py":
        place = os.path.dirname(place)
    path = list(getattr(importlib.import_module(parent), "__path__", ())) if parent else sys.path
    if not any(_same(entry, place) for entry in path):
        return getattr(sys.modules[parent], "__file__", None) or next(iter(path), parent)
    spec = PathFinder.find_spec(candidate.name, path)
    origin = spec.origin if spec is not None else None
    return None if origin is None or _same(origin, candidate.file) else origin


def _same(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _installed(candidate: _Candidate, directories: list[str]) -> str | None:
    """Return the installed module that nobody can import any more, as a plugin has its name."""
    if "." in candidate.name:
        return None
    elsewhere = [entry for entry in sys.path if entry not in directories and entry != os.getcwd()]
    spec = PathFinder.find_spec(candidate.name, elsewhere)
    return spec.origin if spec is not None else None


def _task(module: ModuleType, name: str, candidate: _Candidate) -> dict[str, Any]:
    package, _, plugin = module.__name__.rpartition(".")
    found = info(package, plugin, name)
    inner = inspect.unwrap(found.func)
    code = getattr(inner, "__code__", None)
    return {
        "package": package,
        "plugin": plugin,
        "function": name,
        "signature": _signature(found.func),
        "description": found.description,
        "nout": nout_of(found.func),
        "file": code.co_filename if code else candidate.file,
        "line": code.co_firstlineno if code else None,
    }


class _Text(str):
    """An annotation that is only a text, as all are under `from __future__ import annotations`; shown unquoted."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _signature(func: Any) -> str:
    """Return the signature on one line; `(...)` when there is none to be had."""
    try:
        signature = inspect.signature(func)
        bare = [p.replace(annotation=_bare(p.annotation)) for p in signature.parameters.values()]
        text = str(signature.replace(parameters=bare, return_annotation=_bare(signature.return_annotation)))
    except Exception:
        return "(...)"
    return " ".join(text.split())


def _bare(annotation: Any) -> Any:
    return _Text(annotation) if isinstance(annotation, str) else annotation


def _failure(error: BaseException, candidate: _Candidate) -> dict[str, Any]:
    missing = _missing_package(error)
    lacks = missing is not None or isinstance(error, BaseOptionalDependencyError)
    message = f"the module calls sys.exit({error.code!r})" if isinstance(error, SystemExit) else _text(error)
    return {
        "line": _line(error, candidate.file),
        "error": type(error).__name__,
        "message": message,
        "missing_package": missing,
        "optional": lacks and _same(candidate.directory, _BUILT_IN),
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return repr(type(error))


def _missing_package(error: BaseException) -> str | None:
    """Return the package that is not installed, if that is what is wrong."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    package = error.name.partition(".")[0]
    try:
        return package if importlib.util.find_spec(package) is None else None
    except ImportError:  # an import hook says so
        return package
    except ValueError:  # a module without a specification, so it is there
        return None


def _line(error: BaseException, file: str) -> int | None:
    """Return the line of the module that the error came through last, or that is no Python."""
    if isinstance(error, SyntaxError) and error.filename and _same(error.filename, file):
        return error.lineno
    line = None
    trace = error.__traceback__
    while trace is not None:
        if _same(trace.tb_frame.f_code.co_filename, file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


if __name__ == "__main__":
    main()
