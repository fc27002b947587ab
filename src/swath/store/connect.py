"""Which service a URI names, and how it is reached: endpoint, region, credentials.

Not for what is done with it (`objects`). One idea: a connection is made once for each bucket of a
process, and anew when the environment or the settings change.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from swath.errors import ConfigError, MissingExtraError, StoreError
from swath.optional import require
from swath.store.failures import shown
from swath.store.options import StoreOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import ClientConfig, ObjectStore, RetryConfig

QUICK_S = 45.0
"""A request that carries little is given up, and tried again, after so many seconds of silence."""

BULK_S = 300.0
"""... and one that carries much: it is silent while a part is sent, or copied by the service."""

_owners: set[int] = set()  # the process that has connections, if it has
_RENEWED = timedelta(minutes=5)  # botocore renews what is valid for less than 10, in time for us


def is_web(uri: str) -> bool:
    """Tell whether a URI is the address of a web server, which is only read from."""
    return uri.startswith(("http://", "https://"))


def base_of(uri: str) -> str:
    """Return the part of a URI that one connection serves: its bucket, or its web server.

    The query of a web address belongs to it: it may hold a signature.

    Examples
    --------
    >>> base_of("s3://bucket/a/b"), base_of("https://host:1/a/b?c=d")
    ('s3://bucket', 'https://host:1?c=d')
    """
    parts = urlsplit(uri)
    query = f"?{parts.query}" if is_web(uri) and parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{query}"


def key_of(uri: str) -> str:
    """Return the name of an object in its bucket; ``""`` for the bucket.

    Raises
    ------
    StoreError
        If the name has parts that are empty or ``.`` or ``..``.

    Examples
    --------
    >>> key_of("s3://bucket/a b/c"), key_of("https://host/a%20b/c?d=e"), key_of("s3://bucket")
    ('a b/c', 'a b/c', '')
    """
    key = uri.partition("://")[2].partition("/")[2]
    if is_web(uri):
        key = unquote(urlsplit(uri).path[1:])
    key = key.rstrip("/")
    if key and not {"", ".", ".."}.isdisjoint(key.split("/")):
        raise StoreError(
            f"{shown(uri)} has a part that is empty or only dots.",
            mend="Leave such parts out, and rename objects that have them.",
        )
    return key


def connect(
    base: str, options: StoreOptions, *, n_retries: int = 0, is_bulk: bool = False
) -> ObjectStore:
    """Return the library's client of a bucket or web server; it may be used by many threads.

    Parameters
    ----------
    base
        From `base_of`.
    options
        How stores are reached.
    n_retries
        Tries of the library's own for each request. None are wanted where one call is one request,
        since those are tried again where it is known what a second try may find.
    is_bulk
        True for requests that carry much, see `BULK_S`.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    ConfigError
        If there are no credentials and they are needed.
    StoreError
        In a fork of a process that had connections: its requests would never be answered.
    """
    if _owners and os.getpid() not in _owners:
        raise StoreError(
            f"{shown(base)} cannot be used in a fork of a process that used a store.",
            mend='Start processes by "spawn" or "forkserver".',
        )
    client = _connect(base, options, n_retries, BULK_S if is_bulk else QUICK_S)
    _owners.add(os.getpid())
    return client


@lru_cache(maxsize=64)
def _connect(base: str, options: StoreOptions, n_retries: int, silence_s: float) -> ObjectStore:
    scheme, _, rest = base.partition("://")
    clients = require("obstore.store", extra="cloud", purpose=f"for {scheme}://")
    client: ClientConfig = {
        "allow_http": scheme == "http",
        "connect_timeout": timedelta(seconds=10),
        "read_timeout": timedelta(seconds=silence_s),  # without a byte, or while a part is sent
        "timeout": timedelta(hours=12),  # of the whole; a large file of a web server comes in one
    }
    retry: RetryConfig = {
        "max_retries": n_retries,
        "retry_timeout": timedelta(seconds=options.patience_s),
    }
    common: dict[str, Any] = {"client_options": client, "retry_config": retry}
    result: ObjectStore
    if scheme == "s3":
        result = _s3(clients.S3Store, rest, options, common)
    elif scheme == "gs":
        client["allow_http"] = _is_plain(options.variable("GOOGLE_BASE_URL"))
        result = clients.GCSStore(rest, config=_anonymous(options), **common)
    elif scheme == "az":
        client["allow_http"] = _is_plain(
            options.variable("AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
        )
        result = _azure(clients.AzureStore, rest, options, common)
    else:
        host, _, query = rest.partition("?")
        result = clients.HTTPStore(f"{scheme}://{host}/" + (f"?{query}" if query else ""), **common)
    return result


def _anonymous(options: StoreOptions) -> dict[str, Any]:
    return {"skip_signature": True} if options.anonymous else {}


def _is_plain(endpoint: str | None) -> bool:
    """Tell whether the user named an endpoint that is reached without TLS."""
    return endpoint is not None and endpoint.startswith("http://")


def s3_endpoint(options: StoreOptions) -> str | None:
    """Return the address of another service than Amazon's own, as AWS's tools are told it."""
    return options.variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def s3_region(options: StoreOptions) -> str | None:
    """Return the region, as far as settings and environment say it."""
    return options.region or options.variable("AWS_REGION", "AWS_DEFAULT_REGION")


def _s3(
    make: Callable[..., ObjectStore], bucket: str, options: StoreOptions, common: dict[str, Any]
) -> ObjectStore:
    endpoint, region = s3_endpoint(options), s3_region(options)
    config: dict[str, Any] = {"request_payer": options.requester_pays} | _anonymous(options)
    try:
        provider = None if options.anonymous else s3_credentials(options)
    except ConfigError as error:
        raise ConfigError(error.what, where=f"s3://{bucket}", mend=error.mend) from None
    if provider is not None:
        region = region or provider.config.get("region")
    if endpoint is not None:
        config["endpoint"] = endpoint
        common["client_options"]["allow_http"] = _is_plain(endpoint)
    if region is not None:
        config["region"] = region
    return make(bucket, config=config, credential_provider=provider, **common)


@lru_cache(maxsize=8)
def s3_credentials(options: StoreOptions) -> Any:
    """Return what gives credentials for S3, by boto3: profiles, single sign-on, roles.

    Returns
    -------
    provider or None
        None where the library's own way does as well: without boto3, or where the environment says
        everything.

    Raises
    ------
    ConfigError
        If there are none, or they have expired.
    MissingExtraError
        If a profile is set and boto3 is not installed.
    """
    has_keys = options.variable("AWS_ACCESS_KEY_ID") and options.variable("AWS_SECRET_ACCESS_KEY")
    if has_keys and not options.profile and (s3_region(options) or s3_endpoint(options)):
        return None
    try:
        boto3 = require("boto3", extra="aws", purpose="for the setting aws.profile")
    except MissingExtraError:
        if options.profile:
            raise
        return None
    provided = require("obstore.auth.boto3", extra="aws", purpose="for s3://")
    wrong = require("botocore.exceptions", extra="aws", purpose="for s3://")
    try:
        session = boto3.Session(profile_name=options.profile)
        if session.get_credentials() is None:
            raise ConfigError(
                "no AWS credentials were found.",
                mend="Log in (aws sso login), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
                'AWS_SECRET_ACCESS_KEY; for public data set store.anonymous = "yes".',
            )
        provider = provided.Boto3CredentialProvider(session, ttl=_RENEWED)
        provider()
    except wrong.BotoCoreError as error:
        raise ConfigError(
            f"the AWS credentials cannot be used: {error}", mend="Log in again (aws sso login)."
        ) from None
    return provider


def _azure(
    make: Callable[..., ObjectStore], container: str, options: StoreOptions, common: dict[str, Any]
) -> ObjectStore:
    account = options.variable("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
    if account is None:
        raise ConfigError(
            f"it is not known in which account az://{container} is.",
            mend="Set AZURE_STORAGE_ACCOUNT_NAME.",
        )
    return make(container, config={"account_name": account, **_anonymous(options)}, **common)
