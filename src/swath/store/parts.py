"""Files that belong to a file: attributes of a shapefile, mask and metadata of an image.

They lie beside it under names of their own. A copy takes them along, and a changed part is a
changed source.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from swath.errors import ForbiddenError, NotFoundError
from swath.store.protocol import Stat
from swath.store.uri import is_local, open_store, scheme_of

_APPENDED = (".aux.xml", ".msk")
"""Endings that GDAL appends to the name of an image for what it keeps beside it."""

_REPLACED = {
    ".shp": (".shx", ".dbf", ".prj", ".cpg"),
    ".tif": (".tfw",),
    ".tiff": (".tfw",),
    ".jp2": (".j2w",),
    ".png": (".pgw",),
    ".jpg": (".jgw",),
    ".jpeg": (".jgw",),
}
"""Ending of a file to the endings of its other parts."""

_WITHOUT = (".shp", ".geojson", ".json", ".gpkg", ".parquet", ".geoparquet", ".safetensors", ".csv")
"""Endings of files that are no images, so that nobody looks for what images have."""


def split_name(uri: str) -> tuple[str, str]:
    """Return the folder of a file and its name in it, such that ``join`` puts them together.

    Examples
    --------
    >>> split_name("s3://bucket/a/b.tif"), split_name("https://host/a/b.tif?c=/d")
    (('s3://bucket/a', 'b.tif'), ('https://host/a', 'b.tif?c=/d'))
    """
    path, mark, query = uri.partition("?") if scheme_of(uri) in ("http", "https") else (uri, "", "")
    folder, _, name = path.rpartition("/")
    return folder, name + mark + query


def part_names(uri: str) -> list[str]:
    """Return the names, in the folder of a file, that parts of it have if there are any.

    Examples
    --------
    >>> part_names("/data/a.tif"), part_names("s3://bucket/roads.shp")[:2]
    (['a.tif.aux.xml', 'a.tif.msk', 'a.tfw'], ['roads.shx', 'roads.dbf'])
    """
    name = split_name(uri)[1]
    if "?" in name and not is_local(uri):
        return []  # signed for this file alone
    suffix = PurePosixPath(name).suffix
    appended = () if suffix.lower() in _WITHOUT else _APPENDED
    replaced = _REPLACED.get(suffix.lower(), ())
    return [name + ending for ending in appended] + [
        name.removesuffix(suffix) + ending for ending in replaced
    ]


def existing_parts(uri: str) -> dict[str, Stat]:
    """Return the parts that a file has, by their names in its folder.

    A store that may not be listed forbids what it does not have; that is no part.
    """
    folder, names = split_name(uri)[0], part_names(uri)
    store = open_store(uri)
    try:
        return store.stats(folder, names)
    except ForbiddenError:
        pass
    found = {}
    for name in names:
        try:
            found[name] = store.stat(f"{folder}/{name}")
        except (NotFoundError, ForbiddenError):
            continue
    return found
