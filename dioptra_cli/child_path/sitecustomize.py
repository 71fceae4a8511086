"""What Python runs when a child starts: the import hook is put in place, then the shadowed `sitecustomize` is run.

Every child pays for what is here, so nothing is imported that Python has not loaded by now. A bug here must not
keep a child from starting.
"""

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _frozen_importlib import ModuleSpec


def _look_at_failed_flows() -> None:
    """Let the flow engine, if it was used, end the process as the flows that nobody looked at demand."""
    engine = sys.modules.get("dioptra.flows.engine")
    if engine is not None:
        engine.at_exit()


def _shadowed() -> "ModuleSpec | None":
    """Find the `sitecustomize` that Python would have run without this one."""
    from _frozen_importlib_external import PathFinder

    own = os.path.dirname(__file__)
    # Only what comes after: two that each run the other would never end.
    spec = PathFinder.find_spec(__name__, sys.path[sys.path.index(own) + 1 :])
    return spec if spec is not None and spec.loader is not None else None


atexit.register(_look_at_failed_flows)  # the first to be registered is the last to run
try:
    import _dioptra_imports

    _dioptra_imports.install()
except Exception:
    pass
try:
    _spec = _shadowed()
except Exception:
    _spec = None
if _spec is not None and _spec.loader is not None:
    from _frozen_importlib import module_from_spec

    # Python takes from here what it has imported. What it raises goes where it would without this module: to
    # `site`, which reports it and goes on.
    sys.modules[__name__] = module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[__name__])
