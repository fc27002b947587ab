"""Rasters on stores, read in place: GDAL is told how to reach them and what lies beside them.

For `swath.raster.gdal`. Not for what the options are (`swath.store.vsi`).

One idea: options belong to the beginning of a path, not to a thread or to the process. GDAL's
configuration is shared by all threads, and leaving one `rasterio.Env` would take it from the others
while they read.
"""

from __future__ import annotations

import ctypes
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import rasterio._env

from swath.errors import StoreError
from swath.store import open_store
from swath.store.parts import existing_parts
from swath.store.retry import Patience
from swath.store.vsi import FOLDERS, folders_named, gdal_options, vsi_path

OPENING_S, READING_S = 2, 10
"""Seconds to wait, all waits of one try to open or to read together, before it is given up. GDAL
itself tries again where a service answers with an error, but not where a connection breaks off; and
what breaks off in a header looks like a file that is no image."""

_LOOK_BESIDE = "GDAL_DISABLE_READDIR_ON_OPEN"
_ONE_FILE = (".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg")
"""Endings of formats that need no file but their own; others may be named beside it."""

_told: dict[str, dict[str, str]] = {}
_lock = threading.Lock()


def folders_of(uri: str) -> set[str]:
    """Return the beginnings of GDAL's remote paths that reading a raster needs, if any.

    Parameters
    ----------
    uri
        Path or URI of a raster, or the XML of a virtual one. The text of a virtual raster is read,
        since it may name files of any store.

    Raises
    ------
    StoreError
        If a virtual raster on a store cannot be read.
    """
    return folders_named(vsi_path(uri) + _virtual_text(uri))


def patience_for(folders: set[str], seconds: float) -> Patience:
    """Return how long to wait before another try: not at all for a local file."""
    return Patience(seconds if folders else 0)


def gdal_path(uri: str, folders: set[str]) -> str:
    """Return the path under which GDAL reads `uri`, after it was told what it needs for that.

    Parameters
    ----------
    uri
        As in `folders_of`.
    folders
        From there.

    Raises
    ------
    StoreError
        If the store cannot be asked what lies beside the file.
    DeclarationError
        If there are no credentials, or a library is missing.
    """
    path = vsi_path(uri)
    for folder in folders:
        # Names beside a remote file are not tried one by one, which would take 80 requests.
        _tell(folder, {_LOOK_BESIDE: "EMPTY_DIR", **gdal_options(folder)})
    if path.startswith(FOLDERS):
        _tell(path, {_LOOK_BESIDE: "TRUE"} if _has_beside(uri) else {})
    return path


def check_reachable(uri: str) -> None:
    """Raise if a raster on a store is missing, or may not be read.

    Raises
    ------
    StoreError
        With the reason, which GDAL tells in the words of each service.
    """
    if _is_on_store(uri):
        open_store(uri).stat(uri)


def _is_on_store(uri: str) -> bool:
    """Tell whether a raster is named by URI; a path of GDAL's own needs no store, and gets none."""
    return vsi_path(uri) != uri


def _virtual_text(uri: str) -> str:
    """Return the text of a virtual raster, which may name files of any store."""
    if not uri.partition("?")[0].lower().endswith(".vrt"):
        return ""
    if _is_on_store(uri):
        return open_store(uri).read(uri).decode(errors="replace")
    if uri.startswith("/vsi") or not Path(uri).is_file():
        return ""
    return Path(uri).read_text(encoding="utf-8", errors="replace")


def _has_beside(uri: str) -> bool:
    """Tell whether files belong to a remote raster, so that GDAL has to look for them."""
    name = uri.partition("?")[0].lower()
    return not (_is_on_store(uri) and name.endswith(_ONE_FILE)) or bool(existing_parts(uri))


def _tell(beginning: str, options: dict[str, str]) -> None:
    """Set options of all paths with this beginning, and unset what was set of them before."""
    with _lock:
        before = _told.pop(beginning, {})
        for name in before.keys() - options.keys():
            _gdal().VSISetPathSpecificOption(beginning.encode(), name.encode(), None)
        for name, value in options.items():
            if before.get(name) != value:
                _gdal().VSISetPathSpecificOption(beginning.encode(), name.encode(), value.encode())
        if options:
            _told[beginning] = options


@lru_cache(maxsize=1)
def _gdal() -> Any:
    """Return the GDAL that rasterio uses; its bindings have no such function (GDAL 3.6, 2022)."""
    library = ctypes.CDLL(rasterio._env.__file__)
    try:
        set_option = library.VSISetPathSpecificOption
    except AttributeError:
        raise StoreError(
            f"GDAL {rasterio.__gdal_version__} has no options of single paths.",
            mend="Install a rasterio that comes with GDAL 3.6 or later.",
        ) from None
    set_option.argtypes = [ctypes.c_char_p] * 3
    set_option.restype = None
    return library
