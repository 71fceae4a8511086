"""One way of downloading, measured in a process of its own: used by downloads.py.

    python -m benchmarks.downloads_client WAY URI DIRECTORY

Prints what it cost as JSON. What the way imports, and its first request, come before and are told apart. The
interpreter needs no more than what the way imports.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

WIDTH = 16
"""Requests at once, for those that have to be told."""
WARM = "warm.bin"
"""An object of a few bytes."""
Way = Callable[[str, str], None]
"""Copies what a URI names into an empty directory."""


def dioptra() -> Way:
    from dioptra_cli.execution.downloads import Settings, fetch_all
    from dioptra_cli.execution.environment import snapshot

    settings = Settings(snapshot())

    def copy(uri: str, directory: str) -> None:
        fetch_all([uri], cache_dir=directory, settings=settings).close()

    return copy


def dioptra_again() -> Way:
    """Do nothing but see that the cache is current: the directory is the same as in the call before."""
    fetch, (_, uri, directory) = dioptra(), sys.argv[1:]
    fetch(uri, directory)
    return fetch


def obstore() -> Way:
    """The bare library, with threads: one for an object."""
    from concurrent.futures import ThreadPoolExecutor
    from datetime import timedelta

    import obstore
    from obstore.store import S3Store

    def copy(uri: str, directory: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        store = S3Store(bucket, client_options={"allow_http": True, "timeout": timedelta(minutes=10)})

        def copy_one(name: str) -> None:
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                for chunk in obstore.get(store, name).stream(min_chunk_size=1024 * 1024):
                    file.write(chunk)

        if key.endswith(".bin"):
            copy_one(key)
            return
        with ThreadPoolExecutor(WIDTH) as pool:
            list(pool.map(copy_one, [meta["path"] for meta in obstore.list(store, key).collect()]))

    return copy


def boto3() -> Way:
    """The transfer manager: ranges of 8 MB, one manager for all objects."""
    import boto3
    from boto3.s3.transfer import TransferConfig, create_transfer_manager
    from botocore.config import Config

    def copy(uri: str, directory: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        client = boto3.client("s3", config=Config(max_pool_connections=WIDTH))
        keys = [key]
        if not key.endswith(".bin"):
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key + "/")
            keys = [found["Key"] for page in pages for found in page["Contents"]]
        with create_transfer_manager(client, TransferConfig(max_concurrency=WIDTH)) as manager:
            copies = []
            for name in keys:
                path = os.path.join(directory, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                copies.append(manager.download(bucket, name, path))
            for each in copies:
                each.result()

    return copy


def mlflow() -> Way:
    from mlflow.artifacts import download_artifacts

    def copy(uri: str, directory: str) -> None:
        download_artifacts(uri, dst_path=directory)

    return copy


def s3fs() -> Way:
    library = importlib.import_module("s3fs")  # in an interpreter of its own: not where this is checked

    def copy(uri: str, directory: str) -> None:
        library.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"]).get(
            uri, os.path.join(directory, os.path.basename(uri)), recursive=not uri.endswith(".bin")
        )

    return copy


def s5cmd() -> Way:
    """A program, and so with its start."""

    def copy(uri: str, directory: str) -> None:
        uri = uri if uri.endswith(".bin") else uri + "/*"
        subprocess.run(["s5cmd", "cp", uri, directory + "/"], check=True, stdout=subprocess.DEVNULL)

    return copy


WAYS: dict[str, Callable[[], Way]] = {
    "dioptra": dioptra,
    "dioptra, again": dioptra_again,
    "obstore": obstore,
    "boto3": boto3,
    "mlflow": mlflow,
    "s3fs": s3fs,
    "s5cmd": s5cmd,
}


def processor_seconds() -> float:
    """Return what this process and its children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_memory() -> float:
    """Return the most that this process had in memory, in MB.

    `ru_maxrss` would include what the process that started it had; the kernel's own count does not.
    """
    with open("/proc/self/status", encoding="ascii") as status:
        found = re.search(r"VmHWM:\s+(\d+)", status.read())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    """Measure one download."""
    way, uri, directory = sys.argv[1:]
    begun = time.perf_counter()
    copy = WAYS[way]()
    with tempfile.TemporaryDirectory() as warming:
        copy(f"{uri[: uri.index('/', 5)]}/{WARM}", warming)
    ready, used, memory = time.perf_counter(), processor_seconds(), peak_memory()
    copy(uri, directory)
    cost = {
        "start": ready - begun,
        "wall": time.perf_counter() - ready,
        "cpu": processor_seconds() - used,
        "memory": peak_memory() - memory,
    }
    if way == "s5cmd":  # all of the program
        cost["memory"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    sys.stdout.write(json.dumps(cost) + "\n")


if __name__ == "__main__":
    main()
