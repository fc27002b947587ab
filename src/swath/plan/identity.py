"""The identity of a source file: what a fingerprint knows of its content.

Files of this field come in parts: the attributes of a shapefile lie beside it, so do the mask or
the metadata that GDAL keeps of an image. A changed part is a changed source.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from xml.etree import ElementTree

from swath.errors import NotFoundError
from swath.store import Store, is_local, normalise, open_store

SMALL_BYTES = 8192
"""Source files up to this size are known by their content, larger ones by size and version."""

_APPENDED = (".aux.xml", ".msk")
"""Endings that GDAL appends to the name of an image for what it keeps beside it."""

_REPLACED = {
    ".shp": (".dbf", ".prj", ".cpg"),
    ".tif": (".tfw",),
    ".png": (".pgw",),
    ".jpg": (".jgw",),
}
"""Ending of a file to the endings of its other parts."""


def source_identity(uri: str) -> str | None:
    """Return the identity of a source file, or None if it does not exist.

    Small files are known by content, so that a fresh copy of an area of interest or a table of
    classes is the same one; others by size and version, since reading them costs too much. Parts
    beside the file count, and so do the local files that a VRT refers to. Paths of GDAL's virtual
    file systems have no identity but their name.
    """
    if uri.startswith("/vsi"):
        return "name"
    store = open_store(uri)
    own = _identity(store, uri)
    if own is None:
        return None
    parts = [f"{part}={found}" for part in _parts(uri) if (found := _identity(store, part))]
    if uri.lower().endswith(".vrt"):
        parts += [f"{file}={source_identity(file)}" for file in _vrt_files(store.read(uri), uri)]
    return " ".join([own, *parts])


def _vrt_files(text: bytes, uri: str) -> list[str]:
    """Return the local files that a VRT is made of (https://gdal.org/drivers/raster/vrt.html)."""
    try:
        sources = list(ElementTree.fromstring(text).iter("SourceFilename"))  # noqa: S314
    except ElementTree.ParseError:
        return []  # GDAL will say what is wrong with it
    files: dict[str, None] = {}
    for source in sources:
        name = (source.text or "").strip()
        if source.get("relativeToVRT") == "1":
            name = str(PurePosixPath(uri).parent / name)
        if is_local(name) and name and name != uri:
            files[normalise(name)] = None
    return list(files)


def _parts(uri: str) -> list[str]:
    name = PurePosixPath(uri)
    replaced = _REPLACED.get(name.suffix.lower(), ())
    stem = uri.removesuffix(name.suffix)
    images = () if name.suffix.lower() == ".shp" else _APPENDED
    return [uri + ending for ending in images] + [stem + ending for ending in replaced]


def _identity(store: Store, uri: str) -> str | None:
    try:
        stat = store.stat(uri)
        if stat.size <= SMALL_BYTES:
            return "sha256:" + hashlib.sha256(store.read(uri)).hexdigest()
    except NotFoundError:
        return None
    return f"{stat.size}:{stat.version}"
