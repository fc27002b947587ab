"""Bytes under a URI: stat, read, atomic write, create, list, delete, copy in and out.

Use `open_store` to get the store of a URI. Rasters are not read through a store; GDAL reads them
in place.
"""

from swath.store.local import LocalStore
from swath.store.protocol import Stat, Store
from swath.store.uri import copy, is_local, join, local_path, normalise, open_store

__all__ = [
    "LocalStore",
    "Stat",
    "Store",
    "copy",
    "is_local",
    "join",
    "local_path",
    "normalise",
    "open_store",
]
