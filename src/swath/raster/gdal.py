"""How GDAL is set up: every option in one place, each with its reason.

For every module of this room that opens, reads or writes with GDAL. Not for other rooms, which get
no GDAL object to see.

One idea: GDAL's defaults fit one program that owns a machine. Swath runs several workers on one, so
threads and cache are stated, and no more than the work at hand needs.
"""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio.env import get_gdal_config, set_gdal_config
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError

from swath.errors import DataError, StoreError
from swath.raster.remote import OPENING_S, check_reachable, folders_of, gdal_path, patience_for
from swath.store import is_local
from swath.store.vsi import FOLDERS

MIB = 1 << 20
CACHE_FLOOR_BYTES = 16 * MIB
CACHE_CEILING_BYTES = 512 * MIB

OPTIONS: dict[str, Any] = {
    # Sidecar files (.aux.xml, .msk, .tfw) are asked for by name. By default GDAL lists the folder
    # first, which takes seconds where it holds 100,000 files or is a bucket.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    # Remote COGs: neighbouring blocks in one request, requests over one connection, the header and
    # the index of blocks in the first request.
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    # Services that fail or ask to come slower: 25 s of waiting in all, twice as long each time.
    # Servers that do not answer, or stop sending for a minute: the connection is given up.
    "GDAL_HTTP_MAX_RETRY": 7,
    "GDAL_HTTP_RETRY_DELAY": 0.2,
    "GDAL_HTTP_CONNECTTIMEOUT": 10,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
    "GDAL_HTTP_LOW_SPEED_TIME": 60,
    # What was read of a remote file is forgotten when it is closed: by default GDAL keeps it under
    # its path, and mixes it with what has been written there since.
    "CPL_VSIL_CURL_NON_CACHED": ":".join(FOLDERS),
}

_reserved: dict[int, int] = {}
_tickets = itertools.count()
_quiet = ExitStack()
_quiet_users: list[int] = []
_cache_users: list[int] = []
_cache_before: list[Any] = []
_lock = threading.Lock()


@contextmanager
def gdal_env(n_threads: int = 1) -> Iterator[None]:
    """Set GDAL up for what happens inside, in this thread.

    Options that are set in the process's environment (`GDAL_CACHEMAX`, ...) are left as they are.

    Parameters
    ----------
    n_threads
        Threads that decode or encode blocks of one dataset opened inside. They pay off where one
        read spans many compressed blocks; a worker among several takes 1, so that they do not
        fight for the cores.

    Notes
    -----
    GDAL's block cache belongs to the process. Its limit here is what the open readers have reserved
    (`reserve_cache`), not GDAL's default of 5 % of the machine, which every worker would take for
    itself and which would make a worker's memory grow with the scene. It holds until the last
    thread is out, then what was before is put back.
    """
    options = {**OPTIONS, "GDAL_NUM_THREADS": n_threads}
    ours = {name: value for name, value in options.items() if name not in os.environ}
    with rasterio.Env(**ours), ExitStack() as limited:
        if "GDAL_CACHEMAX" not in os.environ:
            limited.enter_context(_cache_limited())
        yield


@contextmanager
def _cache_limited() -> Iterator[None]:
    """Limit the block cache, which threads share: leaving an `Env` would lift it for all of them.

    The limit of GDAL that the first thread finds is put back by the last.
    """
    limit = cache_limit()
    with _lock:
        if not _cache_before:
            _cache_before.append(get_gdal_config("GDAL_CACHEMAX"))
        _cache_users.append(threading.get_ident())
        set_gdal_config("GDAL_CACHEMAX", limit)
    try:
        yield
    finally:
        with _lock:
            _cache_users.pop()
            if not _cache_users:
                set_gdal_config("GDAL_CACHEMAX", _cache_before.pop())


@contextmanager
def plain_images_allowed() -> Iterator[None]:
    """Silence rasterio's warning that an image has no georeference: its grid says so.

    Python's warning filters belong to the process; threads that open files at the same time share
    one change of them, undone by the last.
    """
    with _lock:
        if not _quiet_users:
            _quiet.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _quiet_users.append(threading.get_ident())
    try:
        yield
    finally:
        with _lock:
            _quiet_users.pop()
            if not _quiet_users:
                _quiet.close()


def cache_limit() -> int:
    """Return the limit of GDAL's block cache in bytes: what is reserved, within fixed bounds."""
    with _lock:
        reserved = sum(_reserved.values())
    return min(max(reserved, CACHE_FLOOR_BYTES), CACHE_CEILING_BYTES)


def reserve_cache(n_bytes: int) -> int:
    """Make room in the block cache; return a ticket for `release_cache`."""
    with _lock:
        ticket = next(_tickets)
        _reserved[ticket] = n_bytes
    return ticket


def release_cache(ticket: int) -> None:
    """Give the room of `reserve_cache` back; a second call does nothing."""
    with _lock:
        _reserved.pop(ticket, None)


def block_rows_bytes(
    width: int, block_shape: tuple[int, int], value_bytes: int, n_rows: int = 0
) -> int:
    """Return the cache in bytes with which no block is decoded twice.

    Strips of full width, read from top to bottom, share at most one row of blocks; a second one is
    being decoded meanwhile. Windows side by side, read row by row, share more: all rows of blocks
    that one of them touches must stay until the next row of windows.

    Parameters
    ----------
    width
        Width of the image, in pixels.
    block_shape
        `(height, width)` of a block, in pixels.
    value_bytes
        Bytes per pixel in all bands of the file, read or not: interleaved blocks hold all of them.
    n_rows
        Height of windows that are read side by side, in pixels; 0 for strips of full width.
    """
    block_height, block_width = block_shape
    n_across = -(-width // block_width) + 1
    n_down = -(-n_rows // block_height) + 2
    return n_across * n_down * block_height * block_width * value_bytes


def open_dataset(uri: str, *, where: str | None = None) -> Any:
    """Open a raster for reading; call it inside `gdal_env`.

    Parameters
    ----------
    uri
        Path or URI of anything that GDAL reads, or the XML of a virtual raster. What is on a store
        is read in place.
    where
        What to name in an error instead of `uri`.

    Raises
    ------
    DataError
        If there is no such file, it may not be read, or GDAL cannot read it.
    """
    where = where or uri
    try:
        folders = folders_of(uri)
        path, patience = gdal_path(uri, folders), patience_for(folders, OPENING_S)
        while True:
            try:
                with plain_images_allowed():
                    return rasterio.open(path)
            except RasterioIOError as error:
                check_reachable(uri)
                if not patience.wait():
                    raise _as_data_error(error, uri, where) from None
    except StoreError as error:
        raise DataError(error.what, where=where, mend=error.mend) from None


def _as_data_error(error: RasterioIOError, uri: str, where: str) -> DataError:
    local = "://" not in uri and not uri.startswith("/vsi")
    if local and not Path(uri).exists():
        return DataError("The file does not exist.", where=where, mend="Correct the path or URI.")
    reason = " ".join(str(error).split())
    return DataError(
        f"GDAL cannot read this as a raster ({reason}).",
        where=where,
        mend="Check that the file is complete and an image: gdalinfo FILE.",
    )


def read_failure(error: RasterioError, uri: str) -> DataError:
    """Return what to raise when a block of an open raster could not be read."""
    reason = " ".join(str(error.__cause__ or error).split())
    return DataError(
        f"Reading pixels failed ({reason}).",
        where=uri,
        mend="The file is damaged or incomplete: copy or download it again."
        if is_local(uri)
        else "Check the network, and that the file is complete.",
    )
