"""Endpoints, regions and credentials of object stores, as the environment says them."""

from __future__ import annotations

import base64
import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dioptra_cli.errors import DownloadError, Problem

if TYPE_CHECKING:
    from tests.execution.downloads.conftest import Certificates, Exchange, Fetch, WebServer

KEYS = {"AWS_ACCESS_KEY_ID": "static", "AWS_SECRET_ACCESS_KEY": "secret"}
MONDAY = "Mon, 06 Jan 2025 00:00:00 GMT"


def data(exchange: Exchange) -> None:
    exchange.whole(b"data", ETag='"1"', Last_Modified=MONDAY)


@pytest.fixture
def s3(web: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WebServer:
    """Return a server that stands for S3, on a machine without credentials of its own."""
    web.replies["/bucket/a"] = data
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # boto3 would ask
    fetch.use(AWS_ENDPOINT_URL=web.url, AWS_EC2_METADATA_DISABLED="true")
    return web


def fetched(fetch: Fetch, uri: str, **environ: str) -> bytes:
    """Return what is at `uri`, with more variables set than before."""
    fetch.configure(environ={**fetch.settings.environ, **environ})
    return fetch(uri)[uri].read_bytes()


def problem_of(fetch: Fetch, uri: str, **environ: str) -> Problem:
    """Return the problem of a download that must fail, with more variables set than before."""
    fetch.configure(environ={**fetch.settings.environ, **environ})
    with pytest.raises(DownloadError) as raised:
        fetch(uri)
    (problem,) = raised.value.problems
    return problem


def authorization(server: WebServer) -> str:
    """Return who the last request came from."""
    return {name.lower(): value for name, value in server.requests[-1].headers.items()}.get(
        "authorization", ""
    )


def test_static_keys(s3: WebServer, fetch: Fetch) -> None:
    assert (
        fetched(fetch, "s3://bucket/a", **KEYS, AWS_SESSION_TOKEN="token", AWS_REGION="eu-west-3") == b"data"
    )
    assert "Credential=static/" in authorization(s3)
    assert "/eu-west-3/s3/" in authorization(s3)
    assert s3.requests[-1].headers["x-amz-security-token"] == "token"


def test_s3a_is_s3(s3: WebServer, fetch: Fetch) -> None:
    assert fetched(fetch, "s3a://bucket/a", **KEYS) == b"data"


@pytest.mark.parametrize(
    "wins_over",
    [("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"), ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")],
)
def test_endpoints_in_their_order(web: WebServer, fetch: Fetch, wins_over: tuple[str, str]) -> None:
    web.replies["/bucket/a"] = data
    first, second = wins_over
    fetch.use(**KEYS, **{first: web.url, second: "http://127.0.0.1:1"})
    assert fetched(fetch, "s3://bucket/a") == b"data"


@pytest.mark.parametrize("boto3", [True, False])
def test_public_access_where_there_are_no_credentials(
    s3: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, boto3: bool
) -> None:
    if not boto3:
        monkeypatch.setitem(sys.modules, "boto3", None)
    assert fetched(fetch, "s3://bucket/a") == b"data"
    assert authorization(s3) == ""


@pytest.mark.parametrize("boto3", [True, False])
def test_denied_without_credentials_says_where_they_could_come_from(
    s3: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, boto3: bool
) -> None:
    if not boto3:
        monkeypatch.setitem(sys.modules, "boto3", None)
    s3.replies["/bucket/a"] = lambda exchange: exchange.whole(
        b"<Error><Code>AccessDenied</Code></Error>", 403
    )
    problem = problem_of(fetch, "s3://bucket/a")
    assert problem.name == "remote-access-denied"
    assert "AWS_ACCESS_KEY_ID" in (problem.hint or "")
    assert ("dioptra-cli[aws]" in (problem.hint or "")) is not boto3


def test_profile(s3: WebServer, fetch: Fetch, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[lab]\naws_access_key_id = of-the-lab\naws_secret_access_key = secret\n")
    config = tmp_path / "config"
    config.write_text("[profile lab]\nregion = ap-south-1\n")
    environ = {
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "lab",
    }
    assert fetched(fetch, "s3://bucket/a", **environ) == b"data"
    assert "Credential=of-the-lab/" in authorization(s3)
    assert "/ap-south-1/s3/" in authorization(s3)


def test_static_keys_win_over_a_profile(s3: WebServer, fetch: Fetch) -> None:
    assert fetched(fetch, "s3://bucket/a", **KEYS, AWS_PROFILE="lab") == b"data"
    assert "Credential=static/" in authorization(s3)


def test_profile_that_does_not_exist(s3: WebServer, fetch: Fetch) -> None:
    problem = problem_of(fetch, "s3://bucket/a", AWS_PROFILE="nowhere")
    assert problem.name == "remote-access-denied"
    assert "nowhere" in problem.message


def test_profile_without_boto3(s3: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    problem = problem_of(fetch, "s3://bucket/a", AWS_PROFILE="lab")
    assert problem.name == "missing-package"
    assert problem.hint == "pip install 'dioptra-cli[aws]'"


def test_role_of_the_machine(s3: WebServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    role = {
        "AccessKeyId": "of-the-role",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": (
            datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        ).isoformat(),
    }
    roles = "/latest/meta-data/iam/security-credentials/"
    s3.replies["/latest/api/token"] = lambda exchange: exchange.whole(b"token")
    s3.replies[roles] = lambda exchange: exchange.whole(b"my-role")
    s3.replies[roles + "my-role"] = lambda exchange: exchange.whole(json.dumps(role).encode())
    monkeypatch.setitem(sys.modules, "boto3", None)
    fetch.use(AWS_ENDPOINT_URL=s3.url, AWS_METADATA_ENDPOINT=s3.url)
    assert fetched(fetch, "s3://bucket/a") == b"data"
    assert "Credential=of-the-role/" in authorization(s3)


def test_tls_that_is_not_trusted(tls: WebServer, fetch: Fetch, certificates: Certificates) -> None:
    tls.replies["/bucket/a"] = data
    fetch.use(**KEYS, MLFLOW_S3_ENDPOINT_URL=tls.url)
    problem = problem_of(fetch, "s3://bucket/a")
    assert "certificate is not trusted" in problem.message
    assert "AWS_CA_BUNDLE" in (problem.hint or "")
    assert fetched(fetch, "s3://bucket/a", AWS_CA_BUNDLE=certificates.authority) == b"data"


def test_file_of_certificates_that_does_not_exist(fetch: Fetch) -> None:
    problem = problem_of(fetch, "s3://bucket/a", **KEYS, AWS_CA_BUNDLE="/nowhere")
    assert problem.message.endswith("cannot read /nowhere: No such file or directory")


def test_secret_that_is_missing(s3: WebServer, fetch: Fetch) -> None:
    assert fetched(fetch, "s3://bucket/a", AWS_ACCESS_KEY_ID="half", AWS_PROFILE="") == b"data"
    assert authorization(s3) == ""


@pytest.mark.parametrize("yes", ["true", "1"])
def test_tls_that_mlflow_is_told_to_ignore(tls: WebServer, fetch: Fetch, yes: str) -> None:
    tls.replies["/bucket/a"] = data
    fetch.use(**KEYS, MLFLOW_S3_ENDPOINT_URL=tls.url, MLFLOW_S3_IGNORE_TLS=yes)
    assert fetched(fetch, "s3://bucket/a") == b"data"


LISTING = """<ListBucketResult><Name>box</Name><IsTruncated>false</IsTruncated>
  <Contents><Key>data/a b%20c</Key><LastModified>2025-01-06T00:00:00.000Z</LastModified>
  <ETag>"1"</ETag><Size>4</Size></Contents>
</ListBucketResult>"""


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_google_storage(web: WebServer, fetch: Fetch, scheme: str) -> None:
    web.replies["/box"] = lambda exchange: exchange.whole(LISTING.encode())
    web.replies["/box/data%2Fa%20b%2520c"] = data
    fetch.use(STORAGE_EMULATOR_HOST=web.url)
    uri = f"{scheme}://box/data"
    path = fetch(uri)[uri]
    assert (path / "a b%20c").read_bytes() == b"data"
    assert fetch(uri)[uri] == path
    assert len(web.asked("/box/data%2Fa%20b%2520c")) == 1


def test_google_storage_with_a_token(web: WebServer, fetch: Fetch) -> None:
    web.replies["/box/a"] = data
    fetch.use(GOOGLE_BASE_URL=web.url, GOOGLE_BEARER_TOKEN="token")
    assert fetched(fetch, "gs://box/a") == b"data"
    assert authorization(web) == "Bearer token"


BLOBS = """<EnumerationResults><Blobs>
  <Blob><Name>data/a.csv</Name><Properties>
    <Last-Modified>Mon, 06 Jan 2025 00:00:00 GMT</Last-Modified><Etag>0x8D1</Etag>
    <Content-Length>4</Content-Length><Content-Type>text/csv</Content-Type>
  </Properties></Blob>
</Blobs><NextMarker /></EnumerationResults>"""


@pytest.fixture
def azure(web: WebServer) -> WebServer:
    """Return a server that stands for Azure's blob storage."""
    web.replies["/box/data/a.csv"] = lambda exchange: exchange.whole(
        b"data", ETag='"0x8D1"', Last_Modified=MONDAY
    )
    web.replies["/box"] = lambda exchange: exchange.whole(BLOBS.encode())
    return web


@pytest.mark.parametrize(
    "uri",
    [
        "abfss://box@lab.dfs.core.windows.net/data",
        "abfs://box@lab.dfs.core.windows.net/data",
        "wasbs://box@lab.blob.core.windows.net/data",
        "wasb://box@lab.blob.core.windows.net/data",
        "az://box/data",
        "abfs://box/data",
    ],
)
def test_azure(azure: WebServer, fetch: Fetch, uri: str) -> None:
    fetch.use(
        AZURE_STORAGE_ENDPOINT=azure.url,
        AZURE_STORAGE_ACCOUNT="lab",
        AZURE_STORAGE_ACCESS_KEY=base64.b64encode(b"secret").decode(),
    )
    path = fetch(uri)[uri]
    assert (path / "a.csv").read_bytes() == b"data"
    assert authorization(azure).startswith("SharedKey lab:")
    asked = len(azure.asked("/box/data/a.csv"))
    assert fetch(uri)[uri] == path
    assert len(azure.asked("/box/data/a.csv")) == asked


def test_azure_connection_string(azure: WebServer, fetch: Fetch) -> None:
    key = base64.b64encode(b"secret").decode()
    fetch.use(
        AZURE_STORAGE_CONNECTION_STRING=f"DefaultEndpointsProtocol=http;AccountName=lab;AccountKey={key};"
        f"BlobEndpoint={azure.url}"
    )
    assert fetched(fetch, "az://box/data/a.csv") == b"data"
    assert authorization(azure).startswith("SharedKey lab:")


def test_azure_without_an_account(fetch: Fetch) -> None:
    problem = problem_of(fetch, "az://box/data")
    assert problem.name == "bad-store-settings"
    assert "AZURE_STORAGE_ACCOUNT_NAME" in (problem.hint or "")
