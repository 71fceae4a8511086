"""Which packages a Python has, read from their metadata on its import path. Imports and starts none of them.

The Python of a command may be another one than that which runs dioptra: it is asked for its path, once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dioptra_cli.distributions import distributions
from dioptra_cli.execution import directories, environment
from dioptra_cli.execution.process import capture

_SECONDS = 10.0
"""How long a Python may take to tell its path: on a network drive, the first start of one is slow."""
_DECIDES_ITS_PATH = ("HOME", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "PYTHONUSERBASE")
_QUESTION = (
    "import sys; sys.stdout.buffer.write('\\0'.join(['', sys.executable or '', sys.version.split()[0], "
    "sys.implementation.name] + [p for p in sys.path if p] + ['']).encode('utf-8', 'surrogateescape'))"
)
"""Runs in any Python 3. An empty piece of the path stands for the directory of the code itself. What is said before
the first NUL and after the last one comes from elsewhere: start-up files may greet their user."""
_SEPARATORS = re.compile(r"[-_.]+")
_DIOPTRAS_OWN = (environment.CHILD_PATH, environment.BUILTIN_PLUGINS)


class Installed(NamedTuple):
    """A Python and what is installed in it.

    Attributes:
        executable: Its absolute path.
        version: Such as `3.11.4`; None where it does not say, and then nothing is known of its packages.
        implementation: Such as `cpython`.
        packages: `name==version`, or `name @ URL` where it comes from a URL or a directory, sorted by name.
    """

    executable: str
    version: str | None
    implementation: str | None
    packages: tuple[str, ...]


def installed(environ: Mapping[str, str], directory: str) -> Installed:
    """Return the Python that a command gets as `python` or `python3`, and its packages, as `pip freeze --all` does.

    Args:
        environ: The whole environment of the command.
        directory: Absolute; where it runs.

    Returns:
        Where bash would find neither, the Python that runs dioptra. What cannot be read is left out.
    """
    path = environ.get("PATH", os.defpath)
    found = _which("python", path, directory) or _which("python3", path, directory) or sys.executable
    pieces = [p for p in _pieces(environ) if os.path.normpath(p) not in _DIOPTRAS_OWN]
    if _is_ours(found, environ):
        ours = {os.path.abspath(piece) for piece in _pieces(environment.snapshot())}
        search = [*pieces, *(piece for piece in sys.path[1:] if piece not in ours)]
        version, implementation = sys.version.split()[0], sys.implementation.name
    else:
        asked = {**environ, environment.PYTHONPATH: os.pathsep.join(pieces)}
        answer = capture([found, "-c", _QUESTION], cwd=directory, env=asked, timeout=_SECONDS)
        told = answer.stdout.decode("utf-8", "surrogateescape").split("\0")[1:-1] if answer else []
        if len(told) < 3:
            return Installed(found, None, None, ())
        executable, version, implementation, *search = told
        found = executable or found
    return Installed(found, version, implementation, _packages(search, directory))


def _which(name: str, path: str, directory: str) -> str | None:
    """Return what bash runs under a name, in a process that works in `directory`."""
    for piece in path.split(os.pathsep):
        file = os.path.join(directory, piece, name)
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return os.path.normpath(file)
    return None


def _pieces(environ: Mapping[str, str]) -> list[str]:
    return [piece for piece in environ.get(environment.PYTHONPATH, "").split(os.pathsep) if piece]


def _is_ours(executable: str, environ: Mapping[str, str]) -> bool:
    """Return whether an executable is the Python that runs dioptra, and would have the path that we have.

    That of a virtual environment is a link to the one that it is made from: the directory tells them apart.
    """
    own = environment.snapshot()
    try:
        same = os.path.samefile(executable, sys.executable) and os.path.samefile(
            os.path.dirname(executable), os.path.dirname(sys.executable)
        )
    except OSError:
        return False
    closed = sys.flags.isolated or sys.flags.ignore_environment or sys.flags.no_user_site or sys.flags.no_site
    return same and not closed and all(environ.get(n) == own.get(n) for n in _DECIDES_ITS_PATH)


def _packages(search: Iterable[str], directory: str) -> tuple[str, ...]:
    """Return the packages on a search path as lines. Of two with the same name the first is the one imported."""
    found: dict[str, tuple[str, str]] = {}
    cache = directories.cache()
    for place in dict.fromkeys(os.path.join(directory, piece) for piece in search):
        for name, version, url, _ in distributions(place, cache):
            line = f"{name} @ {url}" if url else f"{name}=={version}"
            found.setdefault(_SEPARATORS.sub("-", name).lower(), (name.lower(), line))
    return tuple(line for _, line in sorted(found.values()))
