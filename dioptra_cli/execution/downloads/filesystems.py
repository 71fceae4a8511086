"""Downloads over `ftp`, `sftp` and `hdfs`, through fsspec and the packages that it needs for them."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from dioptra_cli.execution.downloads.cache import file_name
from dioptra_cli.execution.downloads.job import Cancelled, Failure, Fetched, Job, place
from dioptra_cli.parameters.uris import scheme_of

_PACKAGES = {"sftp": "paramiko", "hdfs": "pyarrow"}
_TIMES = ("mtime", "modify")  # as sftp and hdfs, and ftp call it


def fetch(job: Job) -> Fetched | None:
    """Download a file, or a directory with all below it. See `Fetcher`."""
    scheme = scheme_of(job.uri) or ""
    try:
        import fsspec
    except ImportError:
        hint = "pip install 'dioptra-cli[fsspec]'"
        raise Failure("missing-package", f"{scheme} is read with fsspec", hint) from None
    options = {"timeout": job.settings.silence} if scheme in ("ftp", "sftp") else {}
    try:
        system = fsspec.get_filesystem_class(scheme)
        options |= system._get_kwargs_from_urls(job.uri)
        source = system(**options, skip_instance_cache=True)  # a new one knows no old listings
        return _fetch(job, source, system._strip_protocol(job.uri))
    except (Failure, Cancelled):
        raise
    except _DiskError as error:
        raise error.cause from None
    except ImportError:
        package = _PACKAGES.get(scheme, "fsspec")
        raise Failure(
            "missing-package", f"{scheme} is read with {package}", f"pip install {package}"
        ) from None
    except Exception as error:
        raise _explained(error, scheme) from error


def _fetch(job: Job, source: Any, path: str) -> Fetched | None:
    info = source.info(path)
    name = file_name(path.rstrip("/").rpartition("/")[2])
    target = os.path.join(job.directory, name)
    if info["type"] != "directory":
        version = _version(info)
        if job.is_known(version):
            return None
        with job.transfer(name, info["size"]) as count:
            _save(source, path, target, count)
        return Fetched(name, version)
    root = path.rstrip("/") + "/"
    files = {found.removeprefix(root): its for found, its in source.find(path, detail=True).items()}
    versions = [(relative, _version(its)) for relative, its in sorted(files.items())]
    known_times = all(version for _, version in versions)
    version = repr(versions) if known_times else None
    if job.is_known(version):
        return None
    os.mkdir(target)
    with job.transfer(name, sum(its["size"] for its in files.values())) as count:
        for relative, its in files.items():
            local = place(target, relative)
            os.makedirs(os.path.dirname(local), exist_ok=True)
            _save(source, its["name"], local, count)
    return Fetched(name, version)


def _version(info: Mapping[str, Any]) -> str | None:
    time = next((info[key] for key in _TIMES if info.get(key)), None)
    return None if time is None else f"{info['size']} bytes, {time}"


def _save(source: Any, path: str, local: str, count: Callable[[int], None]) -> None:
    if source.protocol == "sftp" or "sftp" in source.protocol:  # takes a path only
        source.get_file(path, local)
        count(os.path.getsize(local))
        return
    with _Counted(io.FileIO(local, "w")) as file:
        file.count = count
        source.get_file(path, file)


class _Counted(io.BufferedWriter):
    """A file that counts what is written, and tells errors of the disk from those of the network."""

    count: Callable[[int], None]

    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError as error:
            raise _DiskError(error) from error
        self.count(written)
        return written


class _DiskError(Exception):
    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.cause = cause


def _explained(error: Exception, scheme: str) -> Failure:
    """Return the failure for what fsspec, or the library below it, says."""
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return Failure("remote-not-found", "there is no such file or directory")
    if isinstance(error, PermissionError) or said.startswith(("530", "Authentication")):
        return Failure("remote-access-denied", f"access denied ({said})")
    if isinstance(error, socket.gaierror):
        return Failure("remote-unreachable", "the host is not known")
    if isinstance(error, ConnectionRefusedError) or "Unable to connect" in said:  # paramiko
        return Failure("remote-unreachable", "connection refused", "is the server running there?")
    if isinstance(error, TimeoutError):
        return Failure("remote-unreachable", "the server does not answer")
    if scheme == "hdfs" and ("libjvm" in said or "libhdfs" in said):
        return Failure(
            "missing-package",
            f"hdfs needs Java and Hadoop's client ({said})",
            "set JAVA_HOME, HADOOP_HOME and CLASSPATH",
        )
    return Failure("remote-failed", said)
