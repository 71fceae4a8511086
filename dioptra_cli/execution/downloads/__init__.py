"""Downloads of remote `path` parameters: whole or not at all, several side by side, cached by version."""

from dioptra_cli.execution.downloads.fetch import Downloads, fetch_all
from dioptra_cli.execution.downloads.job import ArtifactStore, NoProgress, Progress, Settings

__all__ = ["ArtifactStore", "Downloads", "NoProgress", "Progress", "Settings", "fetch_all"]
