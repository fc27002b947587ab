"""Read vector features into the CRS of an image, ready to be asked which lie in a window.

Not for what features mean (`swath.scene`), nor for burning them into pixels
(`swath.raster.rasterize`).

The one idea: a file is read, reprojected and indexed once per process, and each window then takes
only the features that it meets, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from swath.errors import DataError, StoreError
from swath.grid.grid import Bounds
from swath.store import is_local, open_store
from swath.store.cache import fetch_with_parts
from swath.store.failures import shown
from swath.store.parts import existing_parts

CACHED_FILES = 32  # one scene asks for two (labels, area); a split works scene by scene

_PARQUET_SUFFIXES = (".parquet", ".geoparquet")


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Features of one file in one CRS, in the order of the file; those without geometry left out.

    Parameters
    ----------
    uri
        The file, for messages.
    crs
        CRS of the coordinates; None if neither the file nor the image has one.
    geometries
        Shape (n,), dtype object: shapely geometries, coordinates (x, y) in units of `crs`.
    properties
        Values by property name, each of shape (n,).
    tree
        Spatial index of `geometries`.
    """

    uri: str
    crs: str | None
    geometries: NDArray[np.object_]
    properties: dict[str, NDArray[Any]]
    tree: shapely.STRtree

    def __len__(self) -> int:
        return len(self.geometries)

    @property
    def bounds(self) -> Bounds | None:
        """The smallest box around all features, in units of `crs`; None if there are none."""
        if len(self) == 0:
            return None
        left, bottom, right, top = (float(value) for value in shapely.total_bounds(self.geometries))
        return Bounds(left, bottom, right, top)

    def query(self, bounds: Bounds) -> NDArray[np.intp]:
        """Return the indices of the features that meet a box, ascending: the order of the file.

        Parameters
        ----------
        bounds
            Box in units of `crs`.
        """
        return np.sort(self.tree.query(shapely.box(*bounds), predicate="intersects"))

    def values(self, name: str) -> NDArray[Any]:
        """Return the values of one property, shape (n,).

        Raises
        ------
        DataError
            If the features have no such property.
        """
        if name not in self.properties:
            raise DataError(
                f"The features have no property {name!r}.",
                where=self.uri,
                mend=f"Choose one of: {', '.join(sorted(self.properties)) or '(none)'}.",
            )
        return self.properties[name]

    def where(self, keep: NDArray[np.bool_]) -> Features:
        """Return the features that `keep`, shape (n,), marks."""
        if keep.all():
            return self
        geometries = self.geometries[keep]
        properties = {name: values[keep] for name, values in self.properties.items()}
        return Features(self.uri, self.crs, geometries, properties, shapely.STRtree(geometries))

    def widened(self, distance: float) -> Features:
        """Return the features grown by `distance`, in units of `crs`; unchanged for 0."""
        if distance == 0:
            return self
        geometries = shapely.buffer(self.geometries, distance)
        return Features(
            self.uri, self.crs, geometries, self.properties, shapely.STRtree(geometries)
        )


def read_vector(uri: str, layer: str | None = None, crs: str | None = None) -> Features:
    """Read features and bring them into a CRS.

    Parameters
    ----------
    uri
        Path or URI of a GeoJSON, GeoPackage, shapefile or GeoParquet file. One on a store is copied
        to this machine.
    layer
        Name of the layer. None: the only one.
    crs
        CRS to return, as authority code or WKT. None: the image has no CRS.

    Returns
    -------
    Features
        Shared by all callers in this process until the file changes, see `file_identity`.

    Raises
    ------
    DataError
        If the file is missing or unreadable, the layer is not clear, a CRS is missing, or the
        coordinates cannot be brought into `crs`.

    Notes
    -----
    Coordinates are (x, y) whatever the axis order of the CRS. All features are held in memory.
    """
    return _read(uri, layer, crs, file_identity(uri))


def file_identity(uri: str) -> tuple[Hashable, ...]:
    """Return what changes when a file does; zeros for a path of GDAL's virtual file systems.

    Size and time of change of a local file, size and version of one on a store. Of a shapefile the
    parts beside it count, too: its attributes are in another file.

    Raises
    ------
    DataError
        If there is no such file, or it may not be read.
    """
    if uri.startswith("/vsi"):
        return 0, 0
    try:
        own = open_store(uri).stat(uri)
        known = own if own.version else (own.size, object())  # one without a version is asked for
        return known, *sorted(existing_parts(uri).items())
    except StoreError as error:
        raise _cannot_be_opened(error, uri) from error


def _cannot_be_opened(error: StoreError, uri: str) -> DataError:
    return DataError(
        f"The vector file cannot be opened: {error.what}", where=shown(uri), mend=error.mend
    )


@contextmanager
def _local(uri: str) -> Iterator[str]:
    """Give a local path of a file: its own, or one of a copy with its parts that is removed."""
    if is_local(uri) or uri.startswith("/vsi"):
        yield uri
        return
    with TemporaryDirectory(prefix="swath-") as folder:
        try:
            path = fetch_with_parts(uri, Path(folder))
        except StoreError as error:
            raise _cannot_be_opened(error, uri) from error
        yield str(path)


@lru_cache(maxsize=CACHED_FILES)
def _read(uri: str, layer: str | None, crs: str | None, identity: tuple[Hashable, ...]) -> Features:
    del identity  # part of the key: a changed file is read anew
    frame = _frame(uri, layer)
    present = ~(frame.geometry.isna() | frame.geometry.is_empty)
    frame = _reprojected(frame[present], uri, crs)
    geometries = np.asarray(frame.geometry.array, dtype=object)
    names = [name for name in frame.columns if name != frame.geometry.name]
    properties = {str(name): frame[name].to_numpy() for name in names}
    return Features(uri, crs, geometries, properties, shapely.STRtree(geometries))


def _frame(uri: str, layer: str | None) -> geopandas.GeoDataFrame:
    try:
        with _local(uri) as path:
            frame = _table(path, layer, uri)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise DataError(
            f"The vector file cannot be read: {error}",
            where=uri,
            mend="Check that it is a complete GeoJSON, GeoPackage, shapefile or GeoParquet file.",
        ) from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise DataError(
            "The layer has no geometry, only a table.", where=uri, mend="Choose another `layer`."
        )
    return frame


def _table(path: str, layer: str | None, uri: str) -> Any:
    if path.lower().endswith(_PARQUET_SUFFIXES):
        return geopandas.read_parquet(path)
    layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
    if (layer is None and len(layers) != 1) or (layer is not None and layer not in layers):
        raise DataError(
            f"The file has no layer {layer!r}."
            if layer is not None
            else f"The file has {len(layers)} layers, and none is named.",
            where=uri,
            mend=f"Set `layer` to one of: {', '.join(layers)}.",
        )
    return geopandas.read_file(path, layer=layer or layers[0], engine="pyogrio")


def _reprojected(
    frame: geopandas.GeoDataFrame, uri: str, crs: str | None
) -> geopandas.GeoDataFrame:
    if frame.crs is None and crs is not None:
        raise DataError(
            "The features have no CRS, but the image has, so nothing says where they lie on it.",
            where=uri,
            mend="Store the CRS in the file, for example with ogr2ogr -a_srs.",
        )
    if frame.crs is not None and crs is None:
        raise DataError(
            "The image has no CRS, but the features have, so nothing says where they lie on it.",
            where=uri,
            mend="Store the CRS in the image, for example with gdal_edit.py -a_srs.",
        )
    if crs is None or frame.crs == pyproj.CRS.from_user_input(crs):
        return frame
    moved = frame.to_crs(crs)
    if len(moved) and not np.isfinite(moved.total_bounds).all():
        raise DataError(
            f"Some coordinates cannot be brought from {frame.crs.to_string()} to {crs}.",
            where=uri,
            mend="Check the CRS in the file; coordinates may be stored as (latitude, longitude).",
        )
    return moved
