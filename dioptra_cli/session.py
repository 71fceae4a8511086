"""Many runs in one process: the project is read and the store opened once. For programs; prints nothing.

from dioptra_cli.session import Session

session = Session("sample_projects/hello_world")
for name in ("Ada", "Grace"):
result = session.run("tracked", {"name": name})
print(result.run.run_id, result.status.value, result.exit_code)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from dioptra_cli import stores
from dioptra_cli.errors import Problem, UsageError
from dioptra_cli.execution import directories, environment
from dioptra_cli.execution.environment import JobSettings
from dioptra_cli.execution.plan import make_plan, masker_of
from dioptra_cli.execution.process import Footer, Interrupted
from dioptra_cli.execution.records import Origin, RecordedOptions
from dioptra_cli.execution.runner import Job, Reporter, Result, execute
from dioptra_cli.execution.source import read_source, source_name
from dioptra_cli.mlproject import loader
from dioptra_cli.mlproject.selection import select
from dioptra_cli.parameters.resolve import Given
from dioptra_cli.tracking.protocol import RunRequest

_STDOUT = 1


class Session:
    """Runs entry points of one project, one after another, from the main thread.

    Each run is what `dioptra run` makes of the same words, with the same records. The command's output goes to
    standard output and standard error of this process.

    Args:
        project: A directory with an MLproject file, or the file.
        tracking_uri: Where the runs are recorded; None for `MLFLOW_TRACKING_URI`, else MLflow's default.
        experiment_name: The experiment; None for what the environment says, else the default.
        plugin_dirs: Directories of task plugins, as for `--plugin-dir`.
        env: Variables that the commands get.
        storage_dir: Where downloads are kept; None for the cache.
        tracking_timeout: Seconds to wait for the store at the start and at the end of a run; None for
            `MLFLOW_HTTP_REQUEST_TIMEOUT`, else 10.
        reporter: Hears what happens; by default, nobody does.

    Raises:
        ProjectError: The project cannot be read.
        UsageError: There is no such project or plugin directory.
        TrackingError: The store cannot be opened.
    """

    def __init__(
        self,
        project: str,
        *,
        tracking_uri: str | None = None,
        experiment_name: str | None = None,
        plugin_dirs: str | Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        storage_dir: str | None = None,
        tracking_timeout: float | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        plugin_dirs = [plugin_dirs] if isinstance(plugin_dirs, str) else plugin_dirs
        self._base, self._caller = environment.snapshot(), os.getcwd()
        self._uri = tracking_uri or self._base.get(environment.TRACKING_URI)
        self._timeout = tracking_timeout or environment.tracking_timeout()
        environment.prepare_this_process(self._timeout)
        self._project, self._found = loader.require(os.path.abspath(project))
        plugins = environment.find_plugin_directories(
            plugin_dirs, self._base, self._project.directory, self._caller
        )
        if plugins.missing:
            raise UsageError(
                Problem("no-plugin-dir", f"there is no plugin directory '{directory}'")
                for directory, _ in plugins.missing
            )
        self._env = dict(env or {})
        self._settings = JobSettings(plugins.directories, plugins.collections, extra=tuple(self._env.items()))
        self._plugin_dirs = plugin_dirs
        self._experiment = experiment_name or self._base.get(environment.EXPERIMENT_NAME) or None
        self._experiment_id = None if self._experiment else self._base.get(environment.EXPERIMENT_ID) or None
        self._storage_dir = storage_dir
        self._reporter = reporter or _Silent()
        self._tracker = stores.connect(self._uri, self._timeout)

    def run(
        self,
        entry_point: str | None = None,
        parameters: Mapping[str, object] | None = None,
        *,
        run_name: str | None = None,
        parent_run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stdout_to: int = _STDOUT,
    ) -> Result:
        """Run an entry point, and wait for its end.

        Args:
            entry_point: Its name; None for the one that `dioptra run` takes without `-e`.
            parameters: Values, as for `-P`; what is no text is given as `str` writes it.
            run_name: A name for the run.
            parent_run_id: The run that it belongs under.
            tags: Tags for it.
            timeout: Seconds that the command may take.
            stdout_to: The file descriptor for the command's standard output.

        Returns:
            What became of it: a command that fails raises nothing. `failures` says what the store did not take.

        Raises:
            UsageError: There is no such entry point.
            ParameterError: Values are missing or wrong; no run is made.
            DownloadError: A remote value cannot be fetched; no run is made.
            TrackingError: The run could not be created.
            Interrupted: A `KeyboardInterrupt`: the user has asked to stop, as by Ctrl-C; the run is `KILLED`.
        """
        project, directory = self._project, self._project.directory
        given = {name: Given(str(value)) for name, value in (parameters or {}).items()}
        plan = make_plan(
            project,
            select(project, entry_point, python=sys.executable),
            given,
            caller_directory=self._caller,
            found=self._found,
        )
        masker = masker_of(project, given, self._base, self._env, {environment.TRACKING_URI: self._uri or ""})
        source = read_source(directory)  # of each run: somebody may work on it meanwhile
        origin = Origin(directory, source_name(directory, source.root if source else None), source)
        request = RunRequest(
            experiment_name=self._experiment,
            experiment_id=self._experiment_id,
            parent_run_id=parent_run_id,
            run_name=run_name,
            tags=dict(tags or {}),
        )
        remote = [*plan.remote, *self._settings.remote]
        copies = remote and stores.fetch(
            remote,
            storage_directory=self._storage_dir,
            tracking_uri=self._uri,
            environ=self._base,
            caller=self._caller,
            timeout=self._timeout,
        )
        try:
            local = copies.paths if copies else {}
            job = Job(
                plan.with_downloads(local) if local else plan,
                origin,
                request,
                self._settings.with_downloads(local) if local else self._settings,
                self._base,
                masker,
                spool=directories.runs(),
                options=asdict(
                    RecordedOptions.without_secrets(self._env, self._plugin_dirs, timeout=timeout)
                ),
                timeout=timeout,
                patience=self._timeout,
                stdout_to=stdout_to,
            )
            result = execute(job, self._tracker, self._reporter)
        finally:
            if copies:
                copies.close()
        if result.interrupted_by is not None:  # else a loop around us would go on
            raise Interrupted(result.interrupted_by)
        return result


class _Silent:
    def note(self, text: str) -> None:
        pass

    def warning(self, text: str) -> None:
        pass

    def footer(self, flow_events: str) -> Footer | None:  # noqa: ARG002
        return None
