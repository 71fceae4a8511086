"""Downloads in a process of its own: `download_driver.py CACHE FILE-SIZE-LIMIT URI…`.

Prints the local paths, or the codes of the problems, as JSON. Prints `interrupted` after Ctrl-C.
"""

from __future__ import annotations

import json
import resource
import sys

from dioptra_cli.errors import DownloadError
from dioptra_cli.execution.downloads import Settings, fetch_all
from dioptra_cli.execution.environment import snapshot


def tell(what: object) -> None:
    """Print something as JSON, at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


cache, limit, *uris = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
settings = Settings(snapshot(), attempts=2, backoff=0.01)
try:
    with fetch_all(uris, cache_dir=cache, settings=settings) as downloads:
        tell(list(downloads.paths.values()))
        sys.stdin.read()  # in use until the other side says otherwise
except DownloadError as error:
    tell([problem.name for problem in error.problems])
except KeyboardInterrupt:
    tell("interrupted")
