"""What entry point scripts and task plugins use beside `dioptra.pyplugs`: logging, contexts, errors, generics.

An installed distribution may hold other modules under the same name. They stay importable, but what is here wins.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
