"""Which functions are registered, and how a plugin is found. Knows nothing of flows.

Functions are kept by the module that defines them, so a module that is reachable under two names is one plugin, and
one whose import fails leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, TypeVar, overload
from weakref import WeakKeyDictionary

from dioptra.sdk.exceptions import UnknownPackageError, UnknownPluginError, UnknownPluginFunctionError
from dioptra.sdk.exceptions.base import BasePyPlugsException

__all__ = [
    "Found",
    "PluginInfo",
    "call",
    "call_factory",
    "exists",
    "exists_factory",
    "find",
    "funcs",
    "funcs_factory",
    "get",
    "get_factory",
    "info",
    "info_factory",
    "names",
    "names_factory",
    "nout_of",
    "register",
    "registered",
    "task_nout",
]

Function = TypeVar("Function", bound=Callable[..., Any])

_NOUT = "_task_nout"
_LISTED = 30  # names in a message


class PluginInfo(NamedTuple):
    """What is known of a registered function.

    Attributes:
        package_name: The package of its module; "" for a module outside of packages.
        plugin_name: The module, without its package.
        func_name: The function.
        func: The function itself, with every decorator that stands over it.
        description: The first paragraph of its docstring, on one line.
        doc: What follows that paragraph.
        module_doc: The docstring of the module.
        sort_value: Where the plugin comes in `names`; the lowest first.
    """

    package_name: str
    plugin_name: str
    func_name: str
    func: Callable[..., Any]
    description: str
    doc: str
    module_doc: str
    sort_value: float


class _Registration(NamedTuple):
    func: Callable[..., Any]
    sort_value: float


_REGISTRY: WeakKeyDictionary[ModuleType, dict[str, _Registration]] = WeakKeyDictionary()


@overload
def register(func: Function, /) -> Function: ...


@overload
def register(*, sort_value: float = 0) -> Callable[[Function], Function]: ...


def register(func: Any = None, /, *, sort_value: float = 0) -> Any:
    """Register a function as a task plugin: `@register`, `@register()` or `@register(sort_value=…)`.

    The function is returned as it is. Other decorators may stand above and below.

    Args:
        func: The function.
        sort_value: Where the plugin comes in `names`; that of its first function counts.

    Raises:
        TypeError: It has no name or no module, as a `functools.partial` has none.
    """
    if func is None:
        return functools.partial(_register, sort_value=sort_value)
    return _register(func, sort_value=sort_value)


def _register(func: Function, *, sort_value: float) -> Function:
    name = getattr(func, "__name__", None)
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    if not callable(func) or name is None or module is None:
        raise TypeError(f"pyplugs.register decorates functions that a module defines, not {func!r}")
    _REGISTRY.setdefault(module, {})[name] = _Registration(func, sort_value)
    return func


def task_nout(nout: int) -> Callable[[Function], Function]:
    """Declare how many results a function returns, so that a flow can unpack them: `a, b = call_task(…)`.

    Args:
        nout: How many.

    Raises:
        TypeError: It is no whole number, as in a bare `@task_nout`.
        ValueError: It is negative.
    """
    if not isinstance(nout, int) or isinstance(nout, bool):
        raise TypeError(f"task_nout expects the number of results, as in @task_nout(2), not {nout!r}")
    if nout < 0:
        raise ValueError(f"task_nout expects the number of results, not {nout}")

    def declare(func: Function) -> Function:
        setattr(func, _NOUT, nout)
        return func

    return declare


def nout_of(func: Callable[..., Any]) -> int | None:
    """Return what `task_nout` declared."""
    nout: int | None = getattr(func, _NOUT, None)
    return nout


def names(package: str) -> list[str]:
    """Return the plugins of a package, by sort value and name. Imports all of its modules but `_private` ones.

    One that cannot be imported is left out with a `RuntimeWarning`.

    Raises:
        UnknownPackageError: There is no such package.
    """
    import pkgutil

    root = _import(package)
    path = getattr(root, "__path__", None)
    if path is None:
        raise UnknownPackageError(f"{_described(root)} is a module, not a package of task plugins")
    found = []
    for module_name in sorted(module.name for module in pkgutil.iter_modules(path)):
        if module_name.startswith("_"):
            continue
        full_name = f"{root.__name__}.{module_name}"
        try:
            module = importlib.import_module(full_name)
        except (Exception, SystemExit) as error:
            message = f"the task plugin '{full_name}' cannot be imported: {type(error).__name__}: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            continue
        for registration in list(registered(module).values())[:1]:
            found.append((registration.sort_value, module_name))
    return [name for _, name in sorted(found)]


def funcs(package: str, plugin: str) -> list[str]:
    """Return the functions of a plugin in the order in which they were registered.

    Raises:
        UnknownPackageError: There is no such package.
        UnknownPluginError: There is no such plugin in it.
    """
    return list(registered(_plugin(package, plugin)))


def info(package: str, plugin: str, func: str | None = None) -> PluginInfo:
    """Return what is known of a function; without a name, of the one that was registered first.

    Raises:
        UnknownPackageError: There is no such package.
        UnknownPluginError: There is no such plugin in it.
        UnknownPluginFunctionError: It does not register such a function.
    """
    found = find(package, plugin, func)
    package_name, _, plugin_name = found.module.__name__.rpartition(".")
    description, doc = _documentation(found.func)
    return PluginInfo(
        package_name,
        plugin_name,
        found.name,
        found.func,
        description,
        doc,
        found.module.__doc__ or "",
        found.sort_value,
    )


def exists(package: str, plugin: str) -> bool:
    """Return whether there is such a plugin; one that cannot be imported raises its own error."""
    try:
        _plugin(package, plugin)
    except (UnknownPackageError, UnknownPluginError):
        return False
    return True


def get(package: str, plugin: str, func: str | None = None) -> Callable[..., Any]:
    """Return a registered function. Raises as `info` does."""
    return find(package, plugin, func).func


def call(package: str, plugin: str, func: str | None = None, *args: Any, **kwargs: Any) -> Any:
    """Call a registered function here and now. Raises as `info` does."""
    return get(package, plugin, func)(*args, **kwargs)


def names_factory(package: str) -> Callable[[], list[str]]:
    """Return `names` for one package."""
    return functools.partial(names, package)


def funcs_factory(package: str) -> Callable[[str], list[str]]:
    """Return `funcs` for one package."""
    return functools.partial(funcs, package)


def info_factory(package: str) -> Callable[..., PluginInfo]:
    """Return `info` for one package."""
    return functools.partial(info, package)


def exists_factory(package: str) -> Callable[[str], bool]:
    """Return `exists` for one package."""
    return functools.partial(exists, package)


def get_factory(package: str) -> Callable[..., Callable[..., Any]]:
    """Return `get` for one package."""
    return functools.partial(get, package)


def call_factory(package: str) -> Callable[..., Any]:
    """Return `call` for one package."""
    return functools.partial(call, package)


class Found(NamedTuple):
    """A registered function, and where it is.

    Attributes:
        module: The module of the plugin.
        name: The function's name.
        func: The function itself, with every decorator that stands over it.
        sort_value: That of its registration.
    """

    module: ModuleType
    name: str
    func: Callable[..., Any]
    sort_value: float


def find(package: str, plugin: str, func: str | None = None) -> Found:
    """Look up a function as `info` does, without its documentation."""
    module = _plugin(package, plugin)
    functions = registered(module)
    name = next(iter(functions)) if func is None else func
    if name not in functions:
        raise UnknownPluginFunctionError(_unknown_function(module, name, list(functions)))
    registration = functions[name]
    return Found(module, name, _outermost(module, name, registration.func), registration.sort_value)


def registered(module: ModuleType) -> dict[str, _Registration]:
    """Return what a module has registered, the first one first."""
    return _REGISTRY.get(module, {})


def _outermost(module: ModuleType, name: str, func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a registered function with the decorators that stand above `register` as well."""
    bound = vars(module).get(name)
    if bound is func or not isinstance(bound, FunctionType) or not hasattr(bound, "__wrapped__"):
        return func
    import inspect

    reached = inspect.unwrap(bound, stop=lambda layer: layer is func)
    return bound if reached is func else func


def _documentation(func: Callable[..., Any]) -> tuple[str, str]:
    if not func.__doc__:
        return "", ""
    import inspect

    description, _, doc = inspect.cleandoc(func.__doc__).partition("\n\n")
    return " ".join(description.split()), doc.strip()


def _plugin(package: str, plugin: str) -> ModuleType:
    """Import the module of a plugin, which registers something."""
    module = _import(package, plugin)
    if not registered(module):
        raise UnknownPluginError(
            f"{_described(module)} registers no task plugin: decorate its functions with pyplugs.register"
        )
    return module


def _import(package: str, plugin: str | None = None) -> ModuleType:
    """Import a plugin, or a package when no plugin is given.

    A module that is there and cannot be imported raises its own error, whatever that is: only a module that is not
    there is unknown.
    """
    name = package if plugin is None else f"{package}.{plugin}" if package else plugin
    if not all(name.split(".")):
        raise _unknown(package, plugin, name, f"{name!r} is not the name of a module")
    try:
        if package:
            # What a package that breaks has already imported stays loaded, and would be found without it.
            importlib.import_module(package)
        return importlib.import_module(name)
    except BaseException as error:
        missing = _missing_part(name) if isinstance(error, ModuleNotFoundError) else None
        if missing is None:
            if hasattr(error, "add_note"):  # from Python 3.11 on
                kind = "package" if plugin is None else "task plugin"
                error.add_note(f"while importing the {kind} '{name}'")
            raise
    raise _unknown(package, plugin, missing, _not_there(missing, whole=name))


def _unknown(package: str, plugin: str | None, missing: str, message: str) -> BasePyPlugsException:
    if plugin is None or (package and not missing.startswith(f"{package}.")):
        return UnknownPackageError(message)
    return UnknownPluginError(message)


def _missing_part(name: str) -> str | None:
    """Return how far down a dotted name there is no module, after its import has failed.

    An import goes from left to right, so the first part that is not loaded is the one that failed. Either it is
    not there, or there is something, which broke.
    """
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        part = ".".join(parts[:length])
        if sys.modules.get(part) is not None:
            continue
        try:
            return part if importlib.util.find_spec(part) is None else None
        except ModuleNotFoundError:  # what it should be in is a module, not a package
            return part
    return None


def _not_there(missing: str, *, whole: str) -> str:
    """Word what is not there: in place of what, what is near, and what there is."""
    parent, _, _ = missing.rpartition(".")
    asked = "" if missing == whole else f", so no '{whole}'"
    container = sys.modules.get(parent)
    if not parent or container is None:
        directories = (os.environ.get("DIOPTRA_PLUGIN_DIR") or "").split(os.pathsep)
        known = _modules_in(directories)
        near = _near(missing, _modules_in([*directories, *sys.path]))
        what = f"there is no module or package '{missing}'{asked}"
        return _worded(what, near, "the plugin directories hold", known)
    path = getattr(container, "__path__", None)
    if path is None:
        what = f"{_described(container)} is a module, not a package, so there is no '{whole}'"
        package, _, plugin = parent.rpartition(".")
        functions = list(registered(container))
        if functions:
            what += f"; its functions are those of the plugin '{plugin}' in the package '{package}'"
        return _worded(what, [], "it registers", functions)
    known = _modules_in(path)
    near = [f"{parent}.{name}" for name in _near(missing.rpartition(".")[2], known)]
    return _worded(f"there is no module '{missing}'{asked}", near, f"'{parent}' holds", known)


def _unknown_function(module: ModuleType, name: str, functions: list[str]) -> str:
    what = f"{_described(module)} registers no function '{name}'"
    if callable(vars(module).get(name)):
        what += ", though there is one: decorate it with pyplugs.register"
    return _worded(what, _near(name, functions), "it registers", functions)


def _worded(what: str, near: list[str], introduction: str, known: list[str]) -> str:
    if near:
        what += f": did you mean {' or '.join(repr(name) for name in near)}?"
    if known:
        more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
        what += f" ({introduction}: {', '.join(known[:_LISTED])}{more})"
    return what


def _described(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return f"'{module.__name__}' ({file})" if file else f"'{module.__name__}'"


def _near(name: str, known: Iterable[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)


def _modules_in(path: Iterable[str]) -> list[str]:
    """Return the names of the modules and packages in directories, namespace packages too."""
    import pkgutil

    directories = [directory for directory in path if os.path.isdir(directory)]
    found = {module.name for module in pkgutil.iter_modules(directories)}
    for directory in directories:
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            found.update(entry.name for entry in entries if entry.name.isidentifier() and entry.is_dir())
    return sorted(name for name in found if not name.startswith("_"))
