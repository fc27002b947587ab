"""URIs: which are local, how they are joined, which store serves them."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from swath.errors import ConfigError
from swath.store.local import LocalStore
from swath.store.protocol import Store

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_REMOTE = ("s3", "gs", "az", "http", "https")
MEMORY = "memory"
"""Scheme of what lives as long as the process: for tests and for trying things out."""


def scheme_of(uri: str) -> str:
    """Return the scheme in lower case; ``"file"`` for plain paths and ``/vsi`` paths."""
    match = _SCHEME.match(uri)
    return match.group(1).lower() if match else "file"


def is_local(uri: str) -> bool:
    """Tell whether `uri` is a file of this machine."""
    return scheme_of(uri) == "file" and not uri.startswith("/vsi")


def normalise(uri: str | os.PathLike[str]) -> str:
    """Return the one spelling of a URI: absolute local paths, remote URIs without a last slash.

    Examples
    --------
    >>> normalise("/data/../data/a.tif"), normalise("S3://bucket/key/")
    ('/data/a.tif', 's3://bucket/key')
    """
    text = os.fspath(uri)
    match = _SCHEME.match(text)
    if match and match.group(1).lower() != "file":
        return match.group(1).lower() + text[match.end(1) :].rstrip("/")
    if text.startswith("/vsi"):
        return text
    return str(local_path(text))


def local_path(uri: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a local URI, without resolving links.

    Raises
    ------
    ConfigError
        If the URI is not local.
    """
    text = os.fspath(uri)
    if not is_local(text):
        raise ConfigError(f"{text!r} is not a local path.", mend="Give a path of this machine.")
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    # Not Path.resolve(): it would follow links, and a link's name may be the stable one.
    # Not Path.expanduser(): it fails for a file whose name begins with "~".
    path = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111
    return Path("/" + path.lstrip("/"))  # POSIX lets "//a" be another place than "/a"; none is here


def join(base: str, *parts: str) -> str:
    """Append path parts to a URI."""
    return "/".join([base.rstrip("/"), *parts])


def open_store(uri: str) -> Store:
    """Return the store that serves `uri`.

    Raises
    ------
    MissingExtraError
        If the scheme is remote and the library that serves it is not installed.
    ConfigError
        If the scheme is unknown, a setting is wrong, or credentials are needed and there are none.
    """
    scheme = scheme_of(uri)
    if scheme == "file":
        return LocalStore()
    if scheme == MEMORY:
        from swath.store.memory import MemoryStore

        return MemoryStore()
    if scheme in _REMOTE:
        from swath.store.connect import base_of, connect
        from swath.store.objects import ObjectStore
        from swath.store.options import store_options

        connect(base_of(uri), store_options())  # tells at once what is missing
        return ObjectStore()
    raise ConfigError(
        f"{uri!r} has the unknown scheme {scheme!r}.",
        mend="Known are: a plain path, " + ", ".join(f"{name}://" for name in _REMOTE) + ".",
    )


def copy(source: str, target: str) -> None:
    """Make `target` the same bytes as `source`, whatever stores they are on."""
    store = open_store(source)
    if _place(source) == _place(target):
        store.copy(source, target)
        return
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        store.get(source, path := Path(folder, "copy"))
        open_store(target).put(path, target)


def _place(uri: str) -> str:
    """Return what one store serves: this machine, or a bucket."""
    return "" if is_local(uri) else "/".join(uri.split("/")[:3])
