"""`dioptra logs`: what the command of a run wrote, from its store, or from this machine while it runs."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import click

from dioptra_cli.cli import output, recorded
from dioptra_cli.cli.options import tracking_timeout_option, tracking_uri_option
from dioptra_cli.errors import DioptraError, ExitCode, Level, Problem, printable
from dioptra_cli.tracking.protocol import RecordedRun, Tracker

if TYPE_CHECKING:
    from dioptra_cli.execution.spool import Entry

_LOOK_MILLISECONDS = 200
"""Between two looks at a run that is followed."""
_CHUNK = 1 << 20


@click.command(name="logs", short_help="Print or follow what a run wrote.")
@click.argument("run_id", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option(
    "-n", "--tail", metavar="LINES", type=click.IntRange(min=0), help="Only the last lines of each."
)
@click.option("--stdout", is_flag=True, help="Only what it wrote to standard output.")
@click.option("--stderr", is_flag=True, help="Only what it wrote to standard error.")
@tracking_uri_option
@tracking_timeout_option
def command(
    run_id: str | None,
    follow: bool,
    tail: int | None,
    stdout: bool,
    stderr: bool,
    tracking_uri: str | None,
    tracking_timeout: float,
) -> int:
    """Print what the command of a run wrote: to standard output and to standard error, as it did.

    RUN_ID is the id of a run, its first characters (four at least), or its name. Without RUN_ID, it is the run of
    the project in this directory that is going on, or else the newest one.
    """
    from dioptra_cli.execution.process import Interrupted, interruptible

    try:
        with interruptible():
            wanted = {"stdout": stdout, "stderr": stderr}
            names = [name for name, is_wanted in wanted.items() if is_wanted] or [*wanted]
            return _Logs(names, tail, follow, tracking_uri, tracking_timeout).show(run_id)
    except Interrupted as interrupt:  # the usual way to leave `-f`
        return interrupt.exit_code


class _Logs:
    """What is printed, and from which store; the arguments are the options."""

    def __init__(
        self, names: Sequence[str], tail: int | None, follow: bool, tracking_uri: str | None, timeout: float
    ) -> None:
        self._names = names
        self._tail = tail
        self._follow = follow
        self._tracking_uri = tracking_uri
        self._timeout = timeout

    def show(self, text: str | None) -> int:
        """Find the run and print its logs; return the exit code of the process."""
        names = recorded.names_of(".") if text is None and recorded.is_project_here() else None
        entry = self._kept(text, names)
        if entry is None:
            tracker = recorded.open_store(self._tracking_uri, self._timeout, reading=True)
            entry = self._kept(text, names)  # opening it may take seconds, in which a run may have begun
        if entry is None:
            run = _newest(tracker, names) if text is None else recorded.find_run(tracker, text)
            if run is None:
                return ExitCode.INVALID
            entry = recorded.find_kept(recorded.kept_entries(), run.run_id)
            if entry is None:
                if text is None:
                    _say_which(run)
                return self._show_recorded(run, tracker, self._names)
        if text is None:
            _say_which(recorded.from_journal(entry))
        return self._show_kept(entry)

    def _kept(self, text: str | None, names: recorded.Names | None) -> Entry | None:
        """Return the run that is meant, if it is kept on this machine. To be followed, it may still be starting."""
        entries = recorded.kept_entries()
        if text is not None:
            return recorded.find_kept(entries, text)
        for entry in entries:
            if names is not None and entry.journal.project not in names.projects:
                continue
            if entry.journal.run is not None:
                if entry.is_running:
                    return entry
            elif self._follow and (begun := self._begun(entry)):
                return begun
        return None

    def _begun(self, entry: Entry) -> Entry | None:
        """Wait for a run that is being started; return None where it is not, or nothing came of it."""
        from dioptra_cli.execution import spool

        is_said = False
        while True:
            is_held = entry.is_held  # looked up before the journal is: what stands in it until then is read
            now = spool.read(entry.directory)
            if now is None or now.journal.run is not None:
                return now
            if not is_held:
                return None
            if not is_said:
                journal = entry.journal
                output.note(
                    printable(f"waiting for {journal.entry_point} of {journal.project}, which is starting")
                )
                is_said = True
            _wait(self._names)

    def _show_recorded(self, run: RecordedRun, tracker: Tracker, names: Sequence[str]) -> int:
        """Print the logs among a run's artifacts."""
        is_there = False
        with tempfile.TemporaryDirectory(prefix="dioptra-logs-") as directory:
            for name in names:
                file = tracker.fetch(run.run_id, f"logs/{name}.log", directory)
                if file is not None:
                    is_there = True
                    with open(file, "rb") as log:
                        self._print(log, name)
        if is_there:
            return ExitCode.OK
        if run.status == "RUNNING" and run.tags.get(recorded.HOST):
            why = "it is still running, and its logs come to the store when it ends"
            hint = f"on the machine where it runs, {run.tags[recorded.HOST]}, 'dioptra logs' shows them now"
        elif "dioptra.version" in run.tags:
            why, hint = "it was run with --no-capture, or they have been removed", None
        else:
            why, hint = "dioptra has not run it", "'dioptra runs' lists the runs of a project"
        _say_nothing(f"run {run.run_id} has no {' or '.join(names)} log: {why}", hint)
        return ExitCode.INVALID

    def _show_kept(self, entry: Entry) -> int:
        """Print the logs that lie on this machine, and go on while they grow if that is wanted."""
        was_running = entry.is_running
        is_followed = self._follow and was_running
        logs: dict[str, BinaryIO] = {}
        with contextlib.ExitStack() as opened:
            while True:
                # Looked up before the files are: what it writes until then is in them.
                goes_on = is_followed and entry.is_running
                for name in self._names:
                    if name not in logs:
                        with contextlib.suppress(FileNotFoundError):
                            path = os.path.join(entry.artifacts, "logs", f"{name}.log")
                            logs[name] = opened.enter_context(open(path, "rb"))
                            self._print(logs[name], name)
                    else:
                        self._print(logs[name], name, tail=False)
                if not goes_on:
                    break
                _wait(self._names)
        missing = [name for name in self._names if name not in logs]
        code = self._show_missing(entry, missing, was_running=was_running) if missing else ExitCode.OK
        if is_followed:
            self._say_end(entry)
        return ExitCode.OK if logs else code

    def _show_missing(self, entry: Entry, names: Sequence[str], *, was_running: bool) -> int:
        """Print the logs that were not on this machine from the store, if the run has got there meanwhile."""
        from dioptra_cli.execution import spool

        run = entry.journal.run
        assert run is not None  # without one, nobody could ask for its logs
        if spool.read(entry.directory) is None:
            tracker = recorded.store_of(entry, self._tracking_uri, self._timeout)
            return self._show_recorded(tracker.run(run.run_id), tracker, names)
        if len(names) == len(self._names):
            begun = "it has only begun, or runs" if was_running else "it was run"
            _say_nothing(f"run {run.run_id} has no {' or '.join(names)} log: {begun} with --no-capture", None)
        return ExitCode.INVALID

    def _say_end(self, entry: Entry) -> None:
        """Say how a run ended that was followed."""
        from dioptra_cli.execution import spool
        from dioptra_cli.flows.report import duration

        journal = entry.journal
        assert journal.run is not None  # see `_show_missing`
        run_id = journal.run.run_id
        kept = spool.read(entry.directory)
        if kept is not None and kept.journal.ending is None:
            output.warning(f"the dioptra of run {run_id} was killed; 'dioptra sync' closes the run")
            return
        if kept is not None:
            run = recorded.from_journal(kept)
        else:
            try:
                run = recorded.store_of(entry, self._tracking_uri, self._timeout).run(run_id)
            except DioptraError as error:
                output.note(f"run {run_id} has ended")
                output.warning(str(error))
                return
        seconds = recorded.seconds_of(run, time.time())
        took = "" if seconds is None else f" after {duration(seconds)}"
        output.note(printable(f"{run.tags.get(recorded.END, 'ended')}{took} · run {run_id} {run.status}"))

    def _print(self, log: BinaryIO, name: str, *, tail: bool = True) -> None:
        """Print a log from where it was read to; of one that was not read yet, the last lines if that is wanted."""
        if tail and self._tail is not None:
            _seek_lines(log, self._tail)
        stream = getattr(sys, name)
        shutil.copyfileobj(log, stream.buffer, _CHUNK)
        stream.flush()


def _newest(tracker: Tracker, names: recorded.Names | None) -> RecordedRun | None:
    """Return the newest run of a project, or of any, that is recorded."""
    if names is None:
        found = tracker.find(recorded.PROJECT_RUNS, limit=1)
    else:
        found = recorded.find_project_runs(tracker, names, limit=1, tags={})
    if not found:
        of = "any project" if names is None else names.projects[0]
        _say_nothing(f"there are no runs of {of}", "'dioptra runs --all' lists those of every project")
    return next(iter(found), None)


def _seek_lines(log: BinaryIO, lines: int) -> None:
    """Go to where the last `lines` lines of a file begin; what stands behind the last line break is a line."""
    position = log.seek(0, os.SEEK_END)
    if lines == 0:
        return
    wanted = lines
    if position:
        log.seek(position - 1)
        wanted += log.read(1) == b"\n"
    while position:
        size = min(_CHUNK, position)
        position -= size
        log.seek(position)
        chunk = log.read(size)
        count = chunk.count(b"\n")
        if count >= wanted:
            begin = len(chunk)
            for _ in range(wanted):
                begin = chunk.rfind(b"\n", 0, begin)
            position += begin + 1
            break
        wanted -= count
    log.seek(position)


def _wait(names: Sequence[str]) -> None:
    """Wait a little.

    Raises:
        BrokenPipeError: Nobody reads what we print any more.
    """
    poll = select.poll()
    for name in names:
        poll.register(getattr(sys, name).fileno(), 0)
    if poll.poll(_LOOK_MILLISECONDS):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _say_which(run: RecordedRun) -> None:
    """Say whose logs they are, where nobody has named the run."""
    entry_point = run.tags.get(recorded.ENTRY_POINT, "no entry point")
    output.note(printable(f"run {run.run_id} ({run.run_name}) of {entry_point}, {run.status}"))


def _say_nothing(why: str, hint: str | None) -> None:
    output.problems([Problem("no-logs", why, level=Level.ERROR, hint=hint)], sys.stderr)
