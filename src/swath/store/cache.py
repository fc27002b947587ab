"""Copies of remote objects on this machine, kept for the next time.

For files that a library wants as local ones. Not for rasters, which GDAL reads in place.

The one idea: an entry is named by URI, size and version, and each use asks the store for these. So
what has changed is never served, and nothing needs to be removed but for its room.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath

from swath.errors import StoreError
from swath.store.failures import shown
from swath.store.local import TEMPORARY, temporary_beside
from swath.store.options import store_options
from swath.store.parallel import in_order
from swath.store.parts import existing_parts, split_name
from swath.store.protocol import Stat, Store
from swath.store.uri import is_local, local_path, open_store

N_FILES_AT_ONCE = 8
TRIES = 3  # of fetching an object that changes meanwhile
ABANDONED_S = 86_400  # after which an unfinished download is nobody's any more


def fetch_many(uris: Iterable[str], folder: Path) -> list[Path]:
    """Bring files to this machine, several at once.

    Parameters
    ----------
    uris
        Local files are returned as they are; remote ones appear in `folder`, made if need be, under
        names that keep the last ending of their URI.
    folder
        Whose content stays when the cache is cleaned up. Files in it are links to the cache: they
        may be read and removed, not written to.

    Returns
    -------
    list of Path
        In the order of `uris`.

    Raises
    ------
    StoreError
        If one cannot be fetched.
    """
    asked = list(uris)
    remote = {uri: folder / _file_name(uri) for uri in asked if not is_local(uri)}
    if remote:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch_all(remote.items())
    return [remote[uri] if uri in remote else local_path(uri) for uri in asked]


def fetch_with_parts(uri: str, folder: Path) -> Path:
    """Bring a file to this machine with what lies beside it and belongs to it.

    Parameters
    ----------
    uri
        A local file is returned as it is.
    folder
        In it a folder is made in which file and parts have their own names.
    """
    if is_local(uri):
        return local_path(uri)
    store_folder, name = split_name(uri)
    own = folder / _digest(uri)
    own.mkdir(parents=True, exist_ok=True)
    names = [*existing_parts(uri), name]
    wanted = [(f"{store_folder}/{each}", own / each.partition("?")[0]) for each in names]
    _fetch_all(wanted)
    return wanted[-1][1]


def clean_up(folder: Path, limit: int) -> None:
    """Remove what was not used for longest, until the cache is within its limit.

    Parameters
    ----------
    folder
        Of the cache. Other processes may use it and clean it up at the same time.
    limit
        In bytes.
    """
    entries: list[tuple[float, int, Path]] = []
    for path in folder.glob("??/*"):
        with suppress(FileNotFoundError):
            found = path.stat()
            if not path.name.startswith(TEMPORARY):
                entries.append((found.st_atime, found.st_size, path))
            elif found.st_mtime < time.time() - ABANDONED_S:
                path.unlink()
    too_many = sum(size for _, size, _ in entries) - limit
    for _, size, path in sorted(entries):
        if too_many <= 0:
            return
        path.unlink(missing_ok=True)
        too_many -= size


def _fetch_all(wanted: Iterable[tuple[str, Path]]) -> None:
    options = store_options()
    limit = options.cache_gib << 30
    fetch = partial(_fetch, folder=options.cache_folder, limit=limit)
    if any(list(in_order(lambda item: fetch(*item), wanted, n_at_once=N_FILES_AT_ONCE))):
        clean_up(options.cache_folder, limit)


def _fetch(uri: str, target: Path, *, folder: Path, limit: int) -> bool:
    """Make `target` the object as its store has it now; tell whether the cache has grown by it."""
    store = open_store(uri)
    stat = store.stat(uri)
    for _ in range(TRIES):
        if not stat.version or stat.size > limit:
            store.get(uri, target)
            return False
        digest = _digest(uri, stat.size, stat.version)
        entry = folder / digest[:2] / digest
        if _take(entry, target):
            return False
        again = _download(store, uri, stat, entry)
        if again == stat and _take(entry, target):
            return True
        stat = again
    raise StoreError(
        f"{shown(uri)} changed each time that it was fetched.",
        mend="Wait until nobody writes it, or set store.cache_gib higher.",
    )


def _download(store: Store, uri: str, stat: Stat, entry: Path) -> Stat:
    """Fetch an object into the cache if it stays the one that was asked for; return what it is."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(entry)
    try:
        store.get(uri, temporary)
        again = store.stat(uri)
        if again == stat:
            temporary.chmod(0o444)
            temporary.replace(entry)
        return again
    finally:
        temporary.unlink(missing_ok=True)


def _take(entry: Path, target: Path) -> bool:
    """Link an entry to its place of use, and note the use; tell False if it is not there."""
    temporary = temporary_beside(target)
    try:
        try:
            os.link(entry, temporary)
        except FileNotFoundError:
            return False
        except OSError:  # another disk, or one that has no links
            shutil.copyfile(entry, temporary)
        used = entry.stat()
        os.utime(entry, ns=(time.time_ns(), used.st_mtime_ns))
    except FileNotFoundError:
        return False  # removed by another process just now
    else:
        temporary.replace(target)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _file_name(uri: str) -> str:
    """Return a name that tells URIs apart and ends as the URI does."""
    name = split_name(uri)[1].partition("?")[0]
    return _digest(uri) + PurePosixPath(name).suffix


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
