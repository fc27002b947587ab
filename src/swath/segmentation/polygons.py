"""Polygons of segments: one for each, exact to the pixel, with no trace of the tiles.

For any raster of labels, whoever made it. Not for statistics, which may be joined to the polygons.

One idea: a tile gives chains of those pixel edges that are outlines in the image, so an edge of a
tile is no edge. Chains of one segment are joined end to start by the numbers of their edges; no
geometry is ever united, and no coordinate is computed before the rings are whole. Tiles are read
once and their chains kept on disk; segments are then made in the order of their ids.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import shapely

from swath.errors import ConfigError, DataError, StoreError
from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.raster.reader import RasterReader, open_raster
from swath.raster.spec import Raster
from swath.segmentation.ahead import in_threads
from swath.segmentation.columns import SegmentColumns
from swath.segmentation.kernels.chains import (
    CLOSED,
    COUNT,
    END,
    LABEL,
    START,
    TOUCHES,
    trace_chains,
)
from swath.segmentation.kernels.rings import cut_at_touches, join_chains, shells_of_rings
from swath.segmentation.spool import Chains, Spool, ragged_indices
from swath.store.local import temporary_beside
from swath.vector.writer import GEOMETRY, driver_of, write_features

BATCH_SEGMENTS = 4_096
"""Segments whose polygons are in memory together, once for each thread and one more."""


def write_polygons(
    labels_path: str | PathLike[str],
    out: str | PathLike[str],
    *,
    statistics: str | PathLike[str] | None = None,
    tile_size: int = 1024,
    workers: int = 1,
    overwrite: bool = False,
) -> int:
    """Write one multipolygon for each segment of a label raster.

    Parameters
    ----------
    labels_path
        Path or URI of a raster of whole numbers. 0 and pixels without data are no segment.
    out
        File to write: ``.gpkg``, ``.geojson``, ``.fgb``, ``.parquet`` or ``.geoparquet``.
    statistics
        Parquet file with a column `id`, whose other columns are written, too.
    tile_size
        Side in pixels of the tiles that are read; it does not change the polygons.
    workers
        Threads.
    overwrite
        Whether to replace a file that exists.

    Returns
    -------
    int
        Number of segments.

    Raises
    ------
    ConfigError
        If `out` exists or its suffix names no format.
    DataError
        If the raster is no label raster, or `statistics` lacks a segment.
    StoreError
        If the file cannot be written.

    Notes
    -----
    Segments are in the order of their ids. Rasterised again (a pixel belongs to the polygon that
    holds its centre), the polygons give the labels, pixel for pixel. They are valid: parts of a
    segment that meet at a corner only are polygons of their own, and holes touch shells at single
    points. A vertex is where an outline turns and nowhere else; each ring begins with its uppermost
    vertex, the leftmost of these. In a grid with north up, shells go anticlockwise.

    Memory is that of some tiles, the outlines of `BATCH_SEGMENTS` segments for each worker, and
    24 bytes for each segment of the image while they are counted; outlines lie in temporary files
    beside `out` meanwhile, with 8 bytes for a vertex and 56 for each part of an outline in a tile.

    Examples
    --------
    >>> write_polygons("labels.tif", "segments.gpkg", workers=2)  # doctest: +SKIP
    12345
    """
    path = Path(out)
    driver_of(path)
    if path.exists() and not overwrite:
        raise ConfigError(
            f"{path} exists.", where=str(path), mend="Allow to overwrite it, or name another file."
        )
    columns = SegmentColumns(statistics)
    folder = temporary_beside(path.with_name(f"{path.name}-outlines"))
    try:
        folder.mkdir()
        with Spool(folder) as spool:
            with open_raster(Raster(uris=str(labels_path)), cache_rows=tile_size) as reader:
                check_labels(reader, str(labels_path))
                grid = reader.grid
                for chains in in_threads(
                    lambda tile: _trace(*tile, grid.width), _tiles(reader, tile_size), workers
                ):
                    spool.add(chains)
            ids = spool.labels()
            columns.check_complete(ids)
            write_features(
                path,
                pyarrow.schema([("id", pyarrow.int64()), *columns.schema, _GEOMETRY_FIELD]),
                in_threads(lambda span: _batch(spool, span, grid, columns), _spans(ids), workers),
                geometry_type="MultiPolygon",
                crs=grid.crs,
                bounds=grid.bounds,
            )
    except OSError as error:
        raise StoreError(
            f"Writing outlines beside it failed ({error.strerror or error}).",
            where=str(path),
            mend="Check that the folder exists, may be written to, and has space.",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return len(ids)


def polygons_of(labels: npt.NDArray[Any], grid: Grid) -> dict[int, Any]:
    """Return the multipolygon of each label of an array.

    Parameters
    ----------
    labels
        Array `(y, x)` of whole numbers; 0 is no segment.
    grid
        The grid of the array, for map coordinates.

    Returns
    -------
    dict
        Label -> `shapely.MultiPolygon`, by ascending label.
    """
    padded = np.pad(labels.astype(np.int64), 1)
    chains = Chains(*trace_chains(padded, (0, 0), labels.shape[1])).sorted()
    if len(chains.table) == 0:
        return {}
    ids, shapes = assemble(chains, grid)
    return dict(zip(ids.tolist(), shapes, strict=True))


def assemble(chains: Chains, grid: Grid) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    """Join all chains of some segments to multipolygons.

    Parameters
    ----------
    chains
        All chains of these segments, sorted by label.
    grid
        Grid of the image, for map coordinates.

    Returns
    -------
    ids
        Array `(segment,)` of int64, ascending.
    shapes
        Array `(segment,)` of `shapely.MultiPolygon`.
    """
    counts = chains.table[:, COUNT]
    vertices, offsets, firsts = join_chains(
        chains.vertices, np.cumsum(counts) - counts, counts, _following(chains.table)
    )
    labels = chains.table[firsts, LABEL]
    # Whether one of the chains of a ring touches, asked of its whole segment: cheaper, never less.
    touching = np.unique(chains.table[chains.table[:, TOUCHES] == 1, LABEL])
    vertices, offsets, sources = cut_at_touches(vertices, offsets, np.isin(labels, touching))
    ids, groups = np.unique(labels[sources], return_inverse=True)
    shells = shells_of_rings(vertices, offsets, groups)
    rings = np.arange(len(shells))
    # Segments in the order of ids, shells in raster order, each before its holes.
    row, col = vertices[offsets[:-1]].T
    order = np.lexsort((col, row, shells != rings, col[shells], row[shells], groups))
    lengths = np.diff(offsets)[order]
    closed = ragged_indices(offsets[:-1][order], lengths + 1)
    ends = np.cumsum(lengths + 1)
    closed[ends - 1] = offsets[:-1][order]
    rows, cols = vertices[closed].T.astype(np.float64)
    x, y = grid.pixel_to_map(rows, cols)
    is_shell = (shells == rings)[order]
    polygons = np.flatnonzero(is_shell)
    parts = np.searchsorted(groups[order][polygons], np.arange(len(ids) + 1))
    shapes: npt.NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.MULTIPOLYGON,
        np.column_stack((x, y)),
        (np.append(0, ends), np.append(polygons, len(rings)), parts),
    )
    return ids, shapes


def check_labels(reader: RasterReader, where: str) -> None:
    """Refuse what is no raster of labels.

    Raises
    ------
    DataError
        If it has several bands, or no whole numbers.
    """
    if reader.n_bands != 1 or reader.dtype.kind not in "iu" or reader.dtype == np.uint64:
        raise DataError(
            f"{reader.n_bands} bands of {reader.dtype} are no labels of segments.",
            where=where,
            mend="Give a raster of one band of whole numbers of at most 32 bits, or of int64.",
        )


_GEOMETRY_FIELD = pyarrow.field(
    GEOMETRY, pyarrow.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"}
)

_Tile = tuple[npt.NDArray[Any], npt.NDArray[np.bool_], Window]


def _tiles(reader: RasterReader, tile_size: int) -> Iterator[_Tile]:
    for core in tiles(reader.grid.shape, tile_size):
        values, valid = reader.read(core.pad(1))
        yield values[0], valid, core


def _trace(
    labels: npt.NDArray[Any], valid: npt.NDArray[np.bool_], core: Window, image_width: int
) -> Chains:
    known = np.where(valid, labels, 0).astype(np.int64, copy=False)
    return Chains(*trace_chains(known, (core.row_off, core.col_off), image_width)).sorted()


def _spans(ids: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    for begin in range(0, len(ids), BATCH_SEGMENTS):
        part = ids[begin : begin + BATCH_SEGMENTS]
        yield int(part[0]), int(part[-1])


def _batch(
    spool: Spool, span: tuple[int, int], grid: Grid, columns: SegmentColumns
) -> pyarrow.RecordBatch:
    ids, shapes = assemble(spool.take(*span), grid)
    geometries = pyarrow.array(shapely.to_wkb(shapes, flavor="iso"), pyarrow.binary())
    fields = [("id", pyarrow.int64()), *columns.schema, _GEOMETRY_FIELD]
    return pyarrow.record_batch(
        [pyarrow.array(ids), *columns.take(ids), geometries], schema=pyarrow.schema(fields)
    )


def _following(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the index of the chain that begins where each chain ends; its own for a ring."""
    following = np.arange(len(table))
    is_open = np.flatnonzero(table[:, START] != CLOSED)
    starts = table[is_open, START]
    order = np.argsort(starts)
    found = np.searchsorted(starts, table[is_open, END], sorter=order)
    following[is_open] = is_open[order[found]]
    return following
