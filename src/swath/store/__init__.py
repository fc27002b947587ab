"""Bytes under a URI: stat, read, atomic write, list, delete, copy.

Use `open_store` to get the store of a URI. Rasters are not read through a store; GDAL reads them
in place.
"""

from swath.store.local import LocalStore
from swath.store.protocol import Stat, Store
from swath.store.uri import is_local, join, local_path, normalise, open_store

__all__ = [
    "LocalStore",
    "Stat",
    "Store",
    "is_local",
    "join",
    "local_path",
    "normalise",
    "open_store",
]
