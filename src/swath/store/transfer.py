"""Bytes to and from a connection: whole, in parts where they are many, and checked.

Each function is one try, or parts that are tried one by one. What a failure means is told by
`retry`; where an object is, by `objects`.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from swath.optional import require
from swath.store.failures import BrokenTransferError, ChangedError, shown
from swath.store.parallel import in_order
from swath.store.protocol import Stat
from swath.store.retry import persistently

if TYPE_CHECKING:
    from obstore.store import ObjectStore

MIB = 1 << 20
PART_BYTES = 16 * MIB
"""Objects up to this size are sent and fetched in one request; larger ones in parts, each of which
can fail and be repeated on its own."""

N_PARTS_AT_ONCE = 8
MOST_PARTS = 9_000  # S3 takes 10,000

_parts_coming = threading.BoundedSemaphore(N_PARTS_AT_ONCE)
_files_going = threading.BoundedSemaphore(1)
"""Of this process: parts are held in memory, and one large file has the line for itself."""

_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)  # what the library says without Last-Modified


class Remote(NamedTuple):
    """An object, and what is needed to get at it.

    Attributes
    ----------
    client
        The library's client of its bucket or web server.
    key
        Its name there.
    uri
        Both, for messages.
    """

    client: ObjectStore
    key: str
    uri: str


def library() -> Any:
    """Return obstore."""
    return require("obstore", extra="cloud", purpose="for stores that are not local")


def stat_of(meta: Mapping[str, Any]) -> Stat:
    """Return size and version of what the library found: the ETag, else the time of change.

    Services and kinds of request differ in the quotes around an ETag, so it is kept without. A web
    server that tells neither gives the version ``""``.
    """
    tag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    changed = meta["last_modified"]
    return Stat(meta["size"], tag or ("" if changed == _UNKNOWN_TIME else changed.isoformat()))


def head(at: Remote) -> Stat:
    """Return size and version of an object."""
    return stat_of(library().head(at.client, at.key))


def first_byte(at: Remote) -> Stat:
    """Do what `head` does, of an address that is signed for reading and may not be asked for it."""
    return stat_of(library().get(at.client, at.key, options={"range": (0, 1)}).meta)


def objects_in(at: Remote) -> list[tuple[str, Stat]]:
    """Return key, size and version of the objects in a folder, without those in folders below."""
    found = library().list_with_delimiter(at.client, at.key or None)
    return [(meta["path"], stat_of(meta)) for meta in found["objects"]]


def attributes(at: Remote) -> Mapping[str, str]:
    """Return the metadata that the writer of an object gave it."""
    found: Mapping[str, str] = library().get(at.client, at.key, options={"head": True}).attributes
    return found


def send(at: Remote, data: bytes, **how: Any) -> None:
    """Put an object in one request, and check that it arrived.

    S3 compares what it gets with the hash in the signature, and answers with the MD5 as ETag unless
    the bucket is encrypted with keys of its own; else the size is asked for.
    """
    result = library().put(at.client, at.key, data, use_multipart=False, **how)
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if (result["e_tag"] or "").strip('"') != digest:
        check_size(at, len(data))


def send_file(at: Remote, path: Path) -> None:
    """Put a file in parts, several at once; the object appears when all are there."""
    size = path.stat().st_size
    with _files_going:
        library().put(
            at.client,
            at.key,
            path,
            use_multipart=True,
            chunk_size=max(PART_BYTES, -(-size // MOST_PARTS)),
            max_concurrency=N_PARTS_AT_ONCE,
        )
    check_size(at, size)


def check_size(at: Remote, size: int) -> None:
    """Raise unless the object has this size in bytes.

    Raises
    ------
    BrokenTransferError
        If it has another one.
    """
    found = head(at).size
    if found != size:
        raise BrokenTransferError(
            f"{shown(at.uri)} has {found} B after {size} B were sent.",
            mend="Check whether somebody else writes it at the same time.",
        )


def receive(at: Remote) -> bytes:
    """Return a whole object, fetched in one request."""
    result = library().get(at.client, at.key)
    data = bytes(result.bytes())
    _check_length(len(data), result.meta["size"], at.uri)
    return data


def receive_file(at: Remote, path: Path, *, in_parts: bool, patience_s: float) -> None:
    """Fetch an object into a file.

    Parameters
    ----------
    at
        The object.
    path
        File to write; what is in it is replaced.
    in_parts
        Whether the service sends ranges. Parts are of one version, or there is an error.
    patience_s
        Seconds to wait for the parts that fail, each for itself.
    """
    result = library().get(at.client, at.key)
    with path.open("wb") as file:
        if in_parts and result.meta["size"] > PART_BYTES:
            _receive_parts(at, result.meta, file.fileno(), patience_s)
        else:
            n_bytes = sum(file.write(chunk) for chunk in result.stream())
            _check_length(n_bytes, result.meta["size"], at.uri)


def _receive_parts(at: Remote, meta: Mapping[str, Any], descriptor: int, patience_s: float) -> None:
    same = {"if_match": meta["e_tag"]} if meta["e_tag"] else {}

    def fetch(start: int) -> None:
        stop = min(start + PART_BYTES, meta["size"])

        def part() -> None:
            with _parts_coming:
                found = library().get(at.client, at.key, options={"range": (start, stop), **same})
                data = bytes(found.bytes())
                _check_length(len(data), stop - start, at.uri)
                os.pwrite(descriptor, data, start)

        persistently(part, at.uri, patience_s)

    starts = range(0, meta["size"], PART_BYTES)
    try:
        for _ in in_order(fetch, starts, n_at_once=N_PARTS_AT_ONCE):
            pass
    except ChangedError as error:
        raise BrokenTransferError(error.what) from None


def _check_length(n_bytes: int, expected: int, uri: str) -> None:
    if n_bytes != expected:
        raise BrokenTransferError(
            f"{n_bytes} of {expected} B of {shown(uri)} arrived.",
            mend="Check the network, or that nobody else writes it at the same time.",
        )
