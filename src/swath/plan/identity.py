"""The identity of a source file: what a fingerprint knows of its content.

Files of this field come in parts: the attributes of a shapefile lie beside it, so do the mask or
the metadata that GDAL keeps of an image. A changed part is a changed source.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable
from contextlib import suppress
from xml.etree import ElementTree

from swath.errors import ForbiddenError, NotFoundError
from swath.store import Stat, Store, is_local, join, normalise, open_store
from swath.store.parts import existing_parts, part_names, split_name
from swath.store.vsi import uri_of_vsi

SMALL_BYTES = 8192
"""Source files up to this size are known by their content, larger ones by size and version."""


def source_identity(uri: str) -> str | None:
    """Return the identity of one source file, or None if it does not exist."""
    return source_identities([uri])[uri]


def source_identities(uris: Iterable[str]) -> dict[str, str | None]:
    """Return the identities of source files; None for those that do not exist.

    Small files are known by content, so that a fresh copy of an area of interest or a table of
    classes is the same one; others by size and version, since reading them costs too much. Parts
    beside the file count, and so do the files that a VRT refers to. Paths of GDAL's virtual file
    systems have no identity but their name.

    Notes
    -----
    Files of one folder are asked for together: a store that takes a request for each lists it.
    """
    found: dict[str, str | None] = {}
    folders: dict[str, list[str]] = {}
    for uri in dict.fromkeys(uris):
        if uri.startswith("/vsi"):
            found[uri] = "name"
        else:
            folders.setdefault(split_name(uri)[0], []).append(uri)
    for folder, own in folders.items():
        found |= _identities_in(folder, own)
    return found


def _identities_in(folder: str, uris: list[str]) -> dict[str, str | None]:
    store = open_store(uris[0])
    parts = {uri: part_names(uri) for uri in uris}
    stats = _stats(store, folder, uris, parts)
    small = [name for name, stat in stats.items() if stat.size <= SMALL_BYTES]
    identities = {name: f"{stat.size}:{stat.version}" for name, stat in stats.items()}
    for uri, data in store.read_many(join(folder, name) for name in small):
        identities[split_name(uri)[1]] = "sha256:" + hashlib.sha256(data).hexdigest()
    found: dict[str, str | None] = {}
    for uri in uris:
        own = identities.get(split_name(uri)[1])
        if own is None:
            found[uri] = None
            continue
        beside = [f"{join(folder, n)}={identities[n]}" for n in parts[uri] if n in identities]
        if uri.lower().endswith(".vrt"):
            sources = source_identities(_vrt_files(store.read(uri), uri))
            beside += [f"{file}={identity}" for file, identity in sources.items()]
        found[uri] = " ".join([own, *beside])
    return found


def _stats(
    store: Store, folder: str, uris: list[str], parts: dict[str, list[str]]
) -> dict[str, Stat]:
    """Return size and version of the files and parts that exist, by their names."""
    names = [split_name(uri)[1] for uri in uris]
    try:
        return store.stats(folder, [*names, *(part for each in parts.values() for part in each)])
    except ForbiddenError:  # of parts that are not there, by a store that may not be listed
        found: dict[str, Stat] = {}
        for uri, name in zip(uris, names, strict=True):
            with suppress(NotFoundError):
                found |= {name: store.stat(uri), **existing_parts(uri)}
        return found


def _vrt_files(text: bytes, uri: str) -> list[str]:
    """Return the files that a VRT is made of (https://gdal.org/drivers/raster/vrt.html)."""
    try:
        sources = list(ElementTree.fromstring(text).iter("SourceFilename"))  # noqa: S314
    except ElementTree.ParseError:
        return []  # GDAL will say what is wrong with it
    files: dict[str, None] = {}
    for source in sources:
        name = (source.text or "").strip()
        if source.get("relativeToVRT") == "1":
            name = _beside(uri, name)
        remote = uri_of_vsi(name)
        if remote is not None:
            files[remote] = None
        elif name and name != uri and (is_local(name) or not name.startswith("/vsi")):
            files[normalise(name)] = None
    return list(files)


def _beside(uri: str, name: str) -> str:
    """Return the URI of a file that is named relative to the folder of another."""
    scheme, mark, folder = split_name(uri)[0].rpartition("://")
    return scheme + mark + posixpath.normpath(posixpath.join(folder, name))
