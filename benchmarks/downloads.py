"""How fast downloads are beside obstore, boto3 and MLflow, from an S3 server on this machine.

    python benchmarks/downloads.py [--rounds N]

Prints seconds (median of the rounds, which are interleaved) and how many times as long as dioptra the others take.
dioptra should take at most 1.25 times as long as obstore alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import obstore
from obstore.store import S3Store

from dioptra_cli.execution.downloads import Settings, fetch_all

OBJECTS, SMALL, BIG = 1000, 10_000, 200_000_000
BUCKET = "benchmark"
WIDTH = 16


@dataclass(frozen=True)
class Source:
    """Where the objects lie."""

    environ: dict[str, str]
    store: Any

    @classmethod
    def at(cls, endpoint: str) -> Source:
        """Fill a bucket of the server at `endpoint`."""
        environ = {
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_REGION": "us-east-1",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        os.environ.update(environ)
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")).close()
        store = S3Store(BUCKET, endpoint=endpoint, client_options={"allow_http": True, "timeout": "10m"})
        for number in range(OBJECTS):
            obstore.put(store, f"small/{number % 10}/{number}.bin", os.urandom(SMALL))
        obstore.put(store, "big.bin", os.urandom(BIG), use_multipart=False)
        return cls(environ, store)


def with_dioptra(source: Source, key: str, directory: str) -> None:
    uri = f"s3://{BUCKET}/{key}"
    fetch_all([uri], cache_dir=directory, settings=Settings(source.environ)).close()


def with_obstore(source: Source, key: str, directory: str) -> None:
    if key == "big.bin":
        with open(os.path.join(directory, key), "wb") as file:
            for chunk in obstore.get(source.store, key).stream():
                file.write(chunk)
        return

    def copy(key: str) -> None:
        path = os.path.join(directory, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(obstore.get(source.store, key).bytes())

    keys = [meta["path"] for meta in obstore.list(source.store, key).collect()]
    with ThreadPoolExecutor(WIDTH) as pool:
        list(pool.map(copy, keys))


def with_boto3(source: Source, key: str, directory: str) -> None:
    del source  # both read the environment
    import boto3

    client = boto3.client("s3")

    def copy(key: str) -> None:
        path = os.path.join(directory, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        client.download_file(BUCKET, key, path)

    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=key)
    with ThreadPoolExecutor(WIDTH) as pool:
        list(pool.map(copy, [found["Key"] for page in pages for found in page["Contents"]]))


def with_mlflow(source: Source, key: str, directory: str) -> None:
    del source
    from mlflow.artifacts import download_artifacts

    download_artifacts(f"s3://{BUCKET}/{key}", dst_path=directory)


WAYS: dict[str, Callable[[Source, str, str], None]] = {
    "dioptra": with_dioptra,
    "obstore": with_obstore,
    "boto3": with_boto3,
    "mlflow": with_mlflow,
}


def seconds(action: Callable[[], None]) -> float:
    """Return how long `action` takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def measure(source: Source, key: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each way, and of a second download by dioptra."""
    taken: dict[str, list[float]] = {name: [] for name in (*WAYS, "dioptra, cached")}
    for _ in range(rounds):
        for name, way in WAYS.items():
            directory = tempfile.mkdtemp(prefix="dioptra-benchmark-")
            try:
                taken[name].append(seconds(lambda: way(source, key, directory)))  # noqa: B023 - called at once
                if name == "dioptra":
                    taken["dioptra, cached"].append(seconds(lambda: way(source, key, directory)))  # noqa: B023
            finally:
                shutil.rmtree(directory)
    return taken


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's server in a process of its own; yield its endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from moto.server import main; main()", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield endpoint
    finally:
        server.kill()
        server.wait()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    import boto3  # noqa: F401 - imports are not what is measured
    import mlflow.artifacts  # noqa: F401

    with s3_server() as endpoint:
        source = Source.at(endpoint)
        with tempfile.TemporaryDirectory() as directory:
            with_boto3(source, "small/0/0.bin", directory)  # the first client reads boto3's own data
        for title, key in ((f"{OBJECTS} x {SMALL // 1000} kB", "small"), (f"{BIG // 10**6} MB", "big.bin")):
            taken = measure(source, key, rounds)
            ours = statistics.median(taken["dioptra"])
            print(f"\n{title:20} {'seconds':>8} {'x dioptra':>10}   (median of {rounds})")
            for name, times in taken.items():
                median = statistics.median(times)
                print(f"{name:20} {median:8.3f} {median / ours:10.2f}")


if __name__ == "__main__":
    main()
