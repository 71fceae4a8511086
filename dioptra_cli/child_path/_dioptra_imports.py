"""The import hook: `prefect` as older scripts know it, and the older names of what is on the child path.

Holds what every child pays for; `dioptra.flows.standin` does the rest, once `prefect` is imported. It comes right
before Python's own search of `sys.path`, so other import hooks keep their turn.
"""

import os
import sys
from _frozen_importlib import ModuleSpec  # loaded in every Python; `importlib` is not

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

    Path = Sequence[str] | None

SWITCH = "DIOPTRA_PREFECT_COMPAT"
"""Set to 0, false, no or off, this leaves `prefect` alone."""

_OLDER_NAMES = {"mitre.securingai": "dioptra", "securingai_builtins": "dioptra_builtins"}


def install() -> None:
    """Put the finders into `sys.meta_path`."""
    finders: list[Any] = [OlderNames()]
    if os.environ.get(SWITCH, "").strip().lower() not in ("0", "false", "no", "off"):
        finders.append(Prefect())
    names = [getattr(finder, "__name__", None) for finder in sys.meta_path]
    at = names.index("PathFinder") if "PathFinder" in names else len(names)
    sys.meta_path[at:at] = finders


class _Finder:
    """A finder that also asks those after it."""

    def find_elsewhere(
        self, name: str, path: "Path", target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return what the import would find if this finder were not there."""
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:  # type: ignore[arg-type]  # partly a finder
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                return spec
        return None


class Prefect(_Finder):
    """Serves Prefect 2 and later, or none at all, through `dioptra.flows.standin`; stands aside for Prefect 1."""

    def find_spec(
        self, name: str, path: "Path" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Find `prefect` and what is below it."""
        if name.partition(".")[0] != "prefect" or self not in sys.meta_path:
            return None
        spec = self.find_elsewhere(name, path, target)
        if name == "prefect" and spec is not None and spec.loader is None:
            spec = None  # some folder of that name
        if name == "prefect" and spec is not None:
            # `prefect.flows` is what Prefect 2 and all later ones have, and no other module of that name.
            inside = spec.submodule_search_locations
            if inside is None or self.find_elsewhere("prefect.flows", inside) is None:
                return self._stand_aside(spec)
        try:
            from dioptra.flows import standin

            return standin.find_spec(name, spec)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name == "prefect":
                raise  # meant: there is none
            return self._stand_aside(spec)

    def _stand_aside(self, spec: "ModuleSpec | None") -> "ModuleSpec | None":
        sys.meta_path.remove(self)
        return spec  # not None: without this finder, Python's loop over them skips the next one


class OlderNames(_Finder):
    """Serves the modules of the child path under the names that scripts published before May 2022 use.

    They are the same modules, not second copies. A user's own `securingai_builtins` comes first, module by module.
    """

    def find_spec(
        self, name: str, path: "Path" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Find the older names."""
        if name.partition(".")[0] not in ("mitre", "securingai_builtins"):  # nearly all: this has to be quick
            return None
        if name == "mitre":
            return self.find_elsewhere(name, path, target) or ModuleSpec(name, None, is_package=True)
        older = next((older for older in _OLDER_NAMES if f"{name}.".startswith(f"{older}.")), None)
        if older is None:
            return None
        newer = _OLDER_NAMES[older]
        parent = name.rpartition(".")[0]
        # Below a module that is ours under both names, a search would find ours once more.
        if newer == "dioptra_builtins" and (not parent or sys.modules[parent].__name__ == parent):
            spec = self.find_elsewhere(name, path, target)
            if spec is not None:
                return spec
        return alias(name, newer + name[len(older) :])


class Alias:
    """A loader that gives the module `target` under another name."""

    def __init__(self, target: str) -> None:
        self.target = target

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python; what it makes is thrown away."""

    def exec_module(self, module: "ModuleType") -> None:
        """Put the other module in its place; Python takes from there what it has imported."""
        sys.modules[module.__name__] = _imported(self.target)


def alias(name: str, target: str) -> "ModuleSpec | None":
    """Return how to import the module `target` as `name`; None if there is no such module."""
    import importlib.util

    try:
        spec = importlib.util.find_spec(target)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{target}.".startswith(f"{error.name}."):
            raise  # the module is there, and cannot import something else
        return None
    if spec is None:
        return None
    inside = spec.submodule_search_locations
    found = ModuleSpec(name, Alias(target), origin=spec.origin, is_package=inside is not None)  # type: ignore[arg-type]
    found.submodule_search_locations = inside
    return found


def _imported(name: str) -> "ModuleType":
    __import__(name)
    return sys.modules[name]
