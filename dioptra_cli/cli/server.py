"""`dioptra server`: an MLflow server on this machine over a local store, which makes the runs that follow quick."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import click

from dioptra_cli.cli import output, recorded
from dioptra_cli.cli.options import tracking_timeout_option, tracking_uri_option
from dioptra_cli.errors import ExitCode, Problem, UsageError
from dioptra_cli.execution import environment, local_server
from dioptra_cli.execution.local_server import Server
from dioptra_cli.execution.process import interruptible
from dioptra_cli.parameters.secrets import Masker, without_credentials
from dioptra_cli.tracking import uris


@click.group(name="server")
def command() -> None:
    """Run an MLflow server here, so that runs start at once.

    It is an ordinary `mlflow server` over the store that `dioptra run` in this directory uses, with its web UI, for
    programs on this machine alone. Runs use it by themselves, and it ends by itself when it is no longer used.
    """


@command.command(name="start")
@tracking_uri_option
@tracking_timeout_option
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="Where it listens. [default: any free port]"
)
@click.option(
    "--idle-timeout",
    type=click.FloatRange(0, 10 * 365 * 86400),
    metavar="SECONDS",
    default=local_server.IDLE_TIMEOUT,
    show_default=True,
    help="End it when it was not used for so long; 0 for never.",
)
def start(tracking_uri: str | None, tracking_timeout: float, port: int | None, idle_timeout: float) -> int:
    """Start a server, and print the address of its web UI."""
    base = environment.snapshot()
    output.hide(Masker(base, {environment.TRACKING_URI: tracking_uri or ""}))
    store = _store(tracking_uri, base)
    with interruptible():
        server, was_started = local_server.running_over(store.file), False
        if server is None or not server.is_installed():
            output.note(f"starting a server for {store.file}")
            # It makes a new store, alone, and refuses one that belongs to another MLflow.
            environment.prepare_this_process(tracking_timeout)
            recorded.connect(store.uri, tracking_timeout, quiet=True)
            server, was_started = local_server.start(
                store.file,
                store.directory,
                lambda chosen: local_server.mlflow_command(store.uri, store.directory, chosen),
                local_server.server_environment(base),
                port=port,
                idle_timeout=idle_timeout,
            )
    if was_started:
        output.note(f"{_end(server)}; 'dioptra server stop' ends it")
    else:
        output.note(f"a server for {store.file} is running already")
    click.echo(server.url)
    return ExitCode.OK


@command.command(name="stop")
@tracking_uri_option
@click.option(
    "--all", "all_servers", is_flag=True, help="Every server of yours, not only the one for the store here."
)
@click.option("--force", is_flag=True, help="Also while runs use it.")
def stop(tracking_uri: str | None, all_servers: bool, force: bool) -> int:
    """End a server, and wait until it has ended."""
    if all_servers and tracking_uri is not None:
        raise UsageError(Problem("exclusive-options", "--all and --tracking-uri exclude each other"))
    servers = local_server.running()
    if not all_servers:
        here = _here(servers, tracking_uri)
        servers = [here] if here is not None else []
    problems: list[Problem] = []
    with interruptible():
        for server in servers:
            try:
                local_server.stop(server, force=force)
                output.note(f"the server at {server.url} for {server.store} has ended")
            except local_server.ServerBusy as error:
                problems += error.problems
    if problems:
        raise local_server.ServerBusy(problems)
    if not servers:
        output.note("no server is running" + ("" if all_servers else " for the store here"))
    return ExitCode.OK


@command.command(name="status")
@tracking_uri_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array on standard output.")
def status(tracking_uri: str | None, as_json: bool) -> int:
    """List your servers on this machine. The exit code is 1 when none is running for the store here."""
    servers = local_server.running()
    here = _here(servers, tracking_uri)
    if as_json:
        listed = [_as_json(server, server is here) for server in servers]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        for server in servers:
            output.say("\n".join(_described(server, server is here)), sys.stdout)
        if here is None:
            output.note("no server is running for the store here; 'dioptra server start' starts one")
    return ExitCode.INVALID if here is None else ExitCode.OK


class _Store(NamedTuple):
    """The store that is meant.

    Attributes:
        uri: Absolute.
        file: The absolute path of the database.
        directory: Where artifacts of new experiments go, as far as it is up to us.
    """

    uri: str
    file: str
    directory: str


def _store(given: str | None, base: dict[str, str]) -> _Store:
    """Return the store that a run here would use.

    Raises:
        UsageError: It is none that needs a server of ours.
    """
    directory = os.getcwd()
    uri = uris.resolved(given or base.get(environment.TRACKING_URI), directory)
    file = uris.sqlite_file(uri)
    if file is not None and os.path.isabs(file):
        return _Store(uri, file, directory)
    if uris.is_server(uri):
        reason, hint = "is a server already", "runs use it as it is: there is nothing to start"
    elif uri.startswith("file:"):
        reason = "keeps its runs in files, which MLflow itself is giving up"
        hint = "'mlflow migrate-filestore' of a new MLflow moves it to a database; or name one with --tracking-uri"
    else:
        reason, hint = "is no sqlite file", "name one: --tracking-uri sqlite:///mlflow.db"
    raise UsageError(Problem("no-local-store", f"the store {without_credentials(uri)} {reason}", hint=hint))


def _here(servers: list[Server], given: str | None) -> Server | None:
    """Return the one among the servers that is for the store that is meant."""
    try:
        file = _store(given, environment.snapshot()).file
    except UsageError:
        return None
    found = local_server.running_over(file)
    return None if found is None else next((server for server in servers if server == found), None)


def _end(server: Server) -> str:
    if not server.idle_timeout:
        return "it does not end by itself"
    return f"it ends by itself after {_duration(server.idle_timeout)} without use"


def _seconds_left(server: Server) -> float | None:
    """Return after how many seconds a server ends, if nobody uses it until then; None where it does not."""
    if not server.idle_timeout or server.users():
        return None
    return max(server.last_used() + server.idle_timeout - time.time(), 0.0)


def _described(server: Server, is_here: bool) -> Iterator[str]:
    users, left = len(server.users()), _seconds_left(server)
    used = f"{users} {'run uses' if users == 1 else 'runs use'} it" if users else "no run uses it"
    if left is not None:
        used += f"; it ends in {_duration(left)}"
    elif not server.idle_timeout:
        used += "; it does not end by itself"
    yield click.style(server.url, bold=True) + (" (for the store here)" if is_here else "")
    yield f"  store       {server.store}"
    yield f"  directory   {server.directory}"
    yield f"  since       {recorded.ago(int(server.started * 1000), time.time())}, process {server.pid}"
    yield f"  use         {used}"
    yield f"  log         {server.log}"
    if not server.is_installed():
        yield (
            f"  MLflow      {server.mlflow_version}; runs here do not use it, they have "
            f"{local_server.installed_mlflow() or 'none'}"
        )


def _as_json(server: Server, is_here: bool) -> dict[str, object]:
    left = _seconds_left(server)
    return {
        "url": server.url,
        "store": server.store,
        "directory": server.directory,
        "port": server.port,
        "pid": server.pid,
        "started": int(server.started * 1000),
        "users": server.users(),
        "idle_timeout": server.idle_timeout,
        "ends_in": None if left is None else round(left, 1),
        "mlflow_version": server.mlflow_version,
        "python": server.python,
        "log": server.log,
        "here": is_here,
    }


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
