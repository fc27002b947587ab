"""How GDAL is told of the same objects, by the same way: its paths and its options.

Names and values only, for the room that knows GDAL to hand over; see
https://gdal.org/user/virtual_file_systems.html.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from swath.store.connect import s3_credentials, s3_endpoint, s3_region
from swath.store.options import StoreOptions, store_options
from swath.store.uri import scheme_of

_FOLDER_OF = {
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
    "http": "/vsicurl/",
    "https": "/vsicurl/",
}
FOLDERS = tuple(dict.fromkeys(_FOLDER_OF.values()))
"""Beginnings of GDAL's paths of remote files."""

_NAMED = re.compile("|".join(re.escape(folder) for folder in FOLDERS))

_RENEWED_BY_GDAL = ("iam-role", "container-role", "assume-role-with-web-identity")
"""Ways to credentials, as botocore names them, that GDAL goes by itself, and again in time."""


def vsi_path(uri: str) -> str:
    """Return the path under which GDAL reads what is under `uri`; local paths stay as they are.

    Examples
    --------
    >>> vsi_path("s3://bucket/a.tif"), vsi_path("https://host/a.tif?b=c"), vsi_path("/a.tif")
    ('/vsis3/bucket/a.tif', '/vsicurl/https://host/a.tif?b=c', '/a.tif')
    """
    scheme = scheme_of(uri)
    if scheme not in _FOLDER_OF:
        return uri
    rest = uri if scheme in ("http", "https") else uri.partition("://")[2]
    return _FOLDER_OF[scheme] + rest


def uri_of_vsi(path: str) -> str | None:
    """Return the URI of what GDAL reads under a path; None if no store has it.

    Examples
    --------
    >>> uri_of_vsi("/vsis3/bucket/a.tif"), uri_of_vsi("/vsizip/a.zip/b.tif")
    ('s3://bucket/a.tif', None)
    """
    for scheme, folder in _FOLDER_OF.items():
        if path.startswith(folder):
            rest = path.removeprefix(folder)
            is_address = folder == "/vsicurl/"
            if not is_address:
                return f"{scheme}://{rest}"
            return rest if scheme_of(rest) in ("http", "https") else None
    return None


def folders_named(text: str) -> set[str]:
    """Return the beginnings of GDAL's remote paths that a text names, a VRT for example."""
    return set(_NAMED.findall(text))


def gdal_options(folder: str) -> dict[str, str]:
    """Return the options with which GDAL reaches what the stores reach.

    Parameters
    ----------
    folder
        One of `FOLDERS`.

    Returns
    -------
    dict
        Names and values, credentials among them: not to be shown. Those that GDAL finds in the
        environment itself are left out.

    Raises
    ------
    ConfigError
        If there are no credentials and they are needed.
    """
    options = store_options()
    if folder == "/vsis3/":
        return _s3(options)
    if folder == "/vsigs/":
        return _google(options)
    if folder == "/vsiaz/":
        return _azure(options)
    return {}


def _s3(options: StoreOptions) -> dict[str, str]:
    result = {}
    endpoint, region = s3_endpoint(options), s3_region(options)
    if endpoint is not None:
        address = urlsplit(endpoint)
        result["AWS_S3_ENDPOINT"] = address.netloc + address.path.rstrip("/")
        result["AWS_HTTPS"] = "NO" if address.scheme == "http" else "YES"
        result["AWS_VIRTUAL_HOSTING"] = "FALSE"
    if options.requester_pays:
        result["AWS_REQUEST_PAYER"] = "requester"
    if options.anonymous:
        result["AWS_NO_SIGN_REQUEST"] = "YES"
        return result | ({} if region is None else {"AWS_REGION": region})
    provider = s3_credentials(options)
    if provider is not None:
        region = region or provider.config.get("region")
        if provider.credentials.method not in _RENEWED_BY_GDAL:
            keys = provider()
            result["AWS_ACCESS_KEY_ID"] = keys["access_key_id"]
            result["AWS_SECRET_ACCESS_KEY"] = keys["secret_access_key"]
            result["AWS_SESSION_TOKEN"] = keys["token"] or ""
    return result | ({} if region is None else {"AWS_REGION": region})


def _google(options: StoreOptions) -> dict[str, str]:
    result = {}
    if options.anonymous:
        result["GS_NO_SIGN_REQUEST"] = "YES"
    if endpoint := options.variable("GOOGLE_BASE_URL"):
        result["CPL_GS_ENDPOINT"] = endpoint.rstrip("/") + "/"
    key_file = options.variable("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH")
    if key_file and not options.variable("GOOGLE_APPLICATION_CREDENTIALS"):
        result["GOOGLE_APPLICATION_CREDENTIALS"] = key_file
    return result


def _azure(options: StoreOptions) -> dict[str, str]:
    given = {
        "AZURE_STORAGE_ACCOUNT": options.variable("AZURE_STORAGE_ACCOUNT_NAME"),
        "AZURE_STORAGE_ACCESS_KEY": options.variable(
            "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY"
        ),
        "AZURE_STORAGE_SAS_TOKEN": options.variable(
            "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"
        ),
        "AZURE_NO_SIGN_REQUEST": "YES" if options.anonymous else None,
    }
    return {name: value for name, value in given.items() if value}
