"""Object stores: what a URI names, and which endpoint, region and credentials belong to it.

Everything comes from the given environment, by the names that the providers' own tools read, and those that
MLflow adds for S3. Without credentials there, the role of the machine is used if it has one, and public access
otherwise. Reads no object.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import obstore.store

from dioptra_cli import __version__
from dioptra_cli.execution.downloads.job import Failure, Settings
from dioptra_cli.parameters.uris import scheme_of

_S3_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_S3_ROLES = (  # of a container, which obstore looks up itself
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_S3_ROLE_OPTIONS = ("AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
_S3_OPTIONS = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_SKIP_SIGNATURE",
    "AWS_REQUEST_PAYER",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_METADATA_ENDPOINT",
    "AWS_IMDSV1_FALLBACK",
)
_S3_ENDPOINTS = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_GS_CREDENTIALS = (
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_BEARER_TOKEN",
    "GOOGLE_SKIP_SIGNATURE",
)
_GS_LOGIN = "~/.config/gcloud/application_default_credentials.json"
_AZURE_CREDENTIALS = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_AZURE_CLI",
    "AZURE_SKIP_SIGNATURE",
)
_AZURE_CONNECTION = {  # of a connection string
    "AccountName": "azure_storage_account_name",
    "AccountKey": "azure_storage_account_key",
    "SharedAccessSignature": "azure_storage_sas_token",
    "BlobEndpoint": "azure_storage_endpoint",
}

_METADATA_HOST = "169.254.169.254"
"""Where a virtual machine of any of the three providers asks for its role."""
_METADATA_SECONDS = 1.0


@dataclass(frozen=True)
class Opened:
    """A bucket or container, ready to be asked.

    Attributes:
        store: The obstore store.
        bucket: Its name.
        key: What the URI names in it, as it stands there: object stores know no escapes.
        hint: What to do when it denies access.
        endpoint: Its address, for S3; None for that of AWS.
    """

    store: Any
    bucket: str
    key: str
    hint: str
    endpoint: str | None = None


def open_store(uri: str, settings: Settings, region: str | None = None) -> Opened:
    """Return the store that `uri` belongs to. It is not asked for anything yet.

    Args:
        uri: `s3://bucket/key` and the like.
        settings: Whose environment has the credentials.
        region: Of the bucket, instead of the configured one.

    Raises:
        Failure: The URI or the environment does not say enough.
    """
    authority, _, key = uri.partition("://")[2].partition("/")
    if not authority:
        raise Failure("bad-uri", "it names no bucket")
    environ = {name: value for name, value in settings.environ.items() if value}
    scheme = scheme_of(uri) or ""
    try:
        if scheme in ("s3", "s3a"):
            return _open_s3(authority, key, environ, settings, region)
        if scheme in ("gs", "gcs"):
            return _open_gs(authority, key, environ, settings)
        return _open_azure(authority, key, environ, settings)
    except OSError as error:
        raise Failure("bad-store-settings", f"cannot read {error.filename}: {error.strerror}") from error
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise Failure("bad-store-settings", str(error).partition("\n")[0]) from error


def _open_s3(
    bucket: str, key: str, environ: Mapping[str, str], settings: Settings, region: str | None
) -> Opened:
    config = _given(environ, _S3_OPTIONS)
    hint, provider = "do the credentials allow reading from this bucket?", None
    if "AWS_ACCESS_KEY_ID" in environ and "AWS_SECRET_ACCESS_KEY" in environ:
        config |= _given(environ, _S3_CREDENTIALS)
    elif any(name in environ for name in _S3_ROLES):
        config |= _given(environ, (*_S3_ROLES, *_S3_ROLE_OPTIONS))
    elif "aws_skip_signature" not in config:
        session, hint = _aws_session(environ)
        if session is not None:
            from obstore.auth.boto3 import Boto3CredentialProvider

            provider = Boto3CredentialProvider(session)
            config = {"aws_region": session.region_name, **config} if session.region_name else config
        elif not _has_aws_role(environ):
            config["aws_skip_signature"] = "true"
    if region is not None:
        config["aws_region"] = region
    endpoint = next((environ[name] for name in _S3_ENDPOINTS if name in environ), None)
    if endpoint is not None:
        config["aws_endpoint_url_s3"] = endpoint
    insecure = environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("1", "true")
    certificates = environ.get("AWS_CA_BUNDLE")
    store = obstore.store.S3Store(
        bucket,
        config=cast(Any, config),
        credential_provider=provider,
        **_transport(settings, endpoint, insecure, certificates),
    )
    return Opened(store, bucket, key, hint, endpoint)


def _aws_session(environ: Mapping[str, str]) -> tuple[Any, str]:
    """Return a boto3 session with credentials, for profiles and single sign-on; None otherwise, and a hint."""
    profile = environ.get("AWS_PROFILE")
    try:
        import boto3
        import botocore.exceptions
        import botocore.session
    except ImportError:
        if profile is None:
            return None, (
                "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or, "
                "for profiles and single sign-on, pip install 'dioptra-cli[aws]'"
            )
        raise Failure(
            "missing-package",
            f"the AWS profile '{profile}' is read with boto3",
            "pip install 'dioptra-cli[aws]'",
        ) from None
    core = botocore.session.Session(profile=profile)
    for variable, name in (
        ("config_file", "AWS_CONFIG_FILE"),
        ("credentials_file", "AWS_SHARED_CREDENTIALS_FILE"),
    ):
        if name in environ:
            core.set_config_variable(variable, environ[name])
    try:
        session = boto3.Session(botocore_session=core)
        credentials = session.get_credentials()
        if credentials is not None:
            credentials.get_frozen_credentials()  # an expired login shows here, with its own words
            return session, "do the credentials allow reading from this bucket?"
    except botocore.exceptions.ProfileNotFound as error:
        raise Failure("remote-access-denied", f"there is no AWS profile '{profile}'") from error
    except botocore.exceptions.BotoCoreError as error:
        login = f"is the login over? aws sso login --profile {profile or 'default'}"
        raise Failure("remote-access-denied", f"no AWS credentials: {error}", login) from error
    return None, "no credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def _has_aws_role(environ: Mapping[str, str]) -> bool:
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    host = environ.get("AWS_METADATA_ENDPOINT", _METADATA_HOST).rpartition("//")[2].rstrip("/")
    return _answers(host, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})


def _open_gs(bucket: str, key: str, environ: Mapping[str, str], settings: Settings) -> Opened:
    config, endpoint = _given(environ, _GS_CREDENTIALS), environ.get("GOOGLE_BASE_URL")
    if emulator := environ.get("STORAGE_EMULATOR_HOST"):
        endpoint = emulator if "://" in emulator else f"http://{emulator}"
        config = {"google_skip_signature": "true"}
    elif not config and not os.path.exists(os.path.expanduser(_GS_LOGIN)):
        token = "/computeMetadata/v1/instance/service-accounts/default/token"
        host = environ.get("GCE_METADATA_HOST", _METADATA_HOST)
        if not _answers(host, "GET", token, {"Metadata-Flavor": "Google"}):
            config["google_skip_signature"] = "true"
    if endpoint is not None:
        config["google_base_url"] = endpoint
    store = obstore.store.GCSStore(bucket, config=cast(Any, config), **_transport(settings, endpoint))
    hint = "set GOOGLE_APPLICATION_CREDENTIALS, or: gcloud auth application-default login"
    return Opened(store, bucket, key, hint)


def _open_azure(authority: str, key: str, environ: Mapping[str, str], settings: Settings) -> Opened:
    """Open `container@account.host` or, with the account in the environment, `container`."""
    container, _, host = authority.partition("@")
    config = {**_azure_connection(environ), **_given(environ, _AZURE_CREDENTIALS)}
    endpoint = environ.get("AZURE_STORAGE_ENDPOINT") or environ.get("AZURE_ENDPOINT")
    account = environ.get("AZURE_STORAGE_ACCOUNT_NAME") or environ.get("AZURE_STORAGE_ACCOUNT")
    if host:
        account, _, domain = host.partition(".")
        if domain.endswith("fabric.microsoft.com"):
            config["azure_use_fabric_endpoint"] = "true"
        elif not domain.endswith("core.windows.net") and endpoint is None:
            endpoint = f"https://{account}.blob.{domain.partition('.')[2]}"  # a national cloud
    if account is not None:
        config["azure_storage_account_name"] = account
    if endpoint is not None:
        config["azure_storage_endpoint"] = endpoint
    if "azure_storage_account_name" not in config:
        raise Failure("bad-store-settings", "it names no storage account", "set AZURE_STORAGE_ACCOUNT_NAME")
    if not config.keys() - {
        "azure_storage_account_name",
        "azure_storage_endpoint",
        "azure_use_fabric_endpoint",
    }:
        token = (
            "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com"
        )
        if not _answers(_METADATA_HOST, "GET", token, {"Metadata": "true"}):
            config["azure_skip_signature"] = "true"
    store = obstore.store.AzureStore(
        container, config=cast(Any, config), **_transport(settings, config.get("azure_storage_endpoint"))
    )
    hint = (
        "set AZURE_STORAGE_ACCESS_KEY or AZURE_STORAGE_SAS_TOKEN; after 'az login', AZURE_USE_AZURE_CLI=true"
    )
    return Opened(store, container, key, hint)


def _azure_connection(environ: Mapping[str, str]) -> dict[str, str]:
    fields = environ.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";")
    pairs = (field.strip().partition("=") for field in fields)
    return {_AZURE_CONNECTION[name]: value for name, _, value in pairs if name in _AZURE_CONNECTION}


def _given(environ: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name.lower(): environ[name] for name in names if name in environ}


def _transport(
    settings: Settings, endpoint: str | None, insecure: bool = False, certificates: str | None = None
) -> dict[str, Any]:
    client: dict[str, Any] = {
        "allow_http": endpoint is not None and endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=10),
        "read_timeout": timedelta(seconds=settings.silence),
        "timeout": timedelta(days=30),  # of a whole object, which may be large; the default is 30 seconds
        "user_agent": f"dioptra/{__version__}",
    }
    if insecure:
        client["allow_invalid_certificates"] = True
    if certificates is not None:
        with open(certificates, "rb") as file:
            client["root_certificate"] = file.read()
    backoff = {
        "init_backoff": timedelta(seconds=settings.backoff),
        "max_backoff": timedelta(seconds=15),
        "base": 2,
    }
    return {
        "client_options": client,
        "retry_config": {"max_retries": settings.attempts - 1, "backoff": backoff},
    }


def _answers(host: str, method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Return whether the metadata service of a virtual machine grants a request. A second decides."""
    connection = http.client.HTTPConnection(host, timeout=_METADATA_SECONDS)
    try:
        connection.request(method, path, headers=dict(headers))
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def region_of(opened: Opened, settings: Settings) -> str | None:
    """Return the region that S3 says a bucket is in; it does so even to those who may not read it."""
    from dioptra_cli.execution.downloads.web import Client

    endpoint = (opened.endpoint or "https://s3.amazonaws.com").rstrip("/")
    headers = Client(settings.environ, settings.silence).head(f"{endpoint}/{opened.bucket}")
    return headers["x-amz-bucket-region"] if headers else None
