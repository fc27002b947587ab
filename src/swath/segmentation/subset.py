"""Segments of a part of an image: cut out, and numbered anew.

For any raster of labels. One idea: strips of full width are read from top to bottom, so a segment
that is new in a strip gets the next number, and numbers are in the raster order of first pixels
with a single pass and a table of the segments that were met.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from swath.errors import ConfigError, DataError, StoreError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.cog import write_cog
from swath.raster.rasterize import rasterize
from swath.raster.reader import RasterReader, open_raster
from swath.raster.spec import Raster
from swath.segmentation.kernels.renumber import EMPTY, grow, renumber
from swath.segmentation.polygons import check_labels
from swath.store.local import temporary_beside
from swath.vector.reader import Features, read_vector

STRIP_PIXELS = 2**22
"""Most pixels that are read at once, unless one row has more."""
STRIP_ROWS = 512
MAP_SUFFIXES = (".parquet", ".csv")
_FIRST_PLACES = 2**12


@dataclass(frozen=True, slots=True)
class Subset:
    """A part of a segmentation that was written.

    Parameters
    ----------
    window
        Its pixels in the image that it is from.
    n_segments
        Number of segments in it.
    """

    window: Window
    n_segments: int


def write_subset(
    labels: str | PathLike[str],
    out: str | PathLike[str],
    *,
    window: Window | None = None,
    polygons: str | PathLike[str] | None = None,
    layer: str | None = None,
    map_to: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Subset:
    """Write the segments of a window or of polygons, numbered by the order of their first pixels.

    Parameters
    ----------
    labels
        Path or URI of a raster of whole numbers; 0 and pixels without data are no segment.
    out
        Cloud-optimised GeoTIFF of uint32 to write; 0 is no segment.
    window
        Pixels to keep, within the image.
    polygons
        Instead of `window`: a vector file, in any CRS. The box around its features is kept, within
        the image, and pixels whose centre is in none of them become 0.
    layer
        Layer of that file, if it has several.
    map_to
        Table to write, ``.parquet`` or ``.csv``: columns `id` (in `out`) and `old_id`.
    overwrite
        Whether to replace files that exist.

    Raises
    ------
    ConfigError
        If neither or both of `window` and `polygons` are given, a file exists, or the suffix of
        `map_to` is unknown.
    DataError
        If the window is not within the image, the polygons are outside of it, or `labels` is no
        raster of labels.
    StoreError
        If a file cannot be written.

    Notes
    -----
    A segment that is cut into parts keeps one number. Memory is that of a strip of `STRIP_PIXELS`
    pixels and about 40 bytes for each segment that is kept.

    Examples
    --------
    >>> write_subset("labels.tif", "part.tif", window=Window(0, 0, 512, 512))  # doctest: +SKIP
    Subset(window=Window(row_off=0, col_off=0, height=512, width=512), n_segments=812)
    """
    if (window is None) == (polygons is None):
        raise ConfigError(
            "A window or a file of polygons is needed, not both.",
            where=str(labels),
            mend="Give one of them.",
        )
    _check_targets(out, map_to, overwrite)
    with open_raster(Raster(uris=str(labels))) as reader:
        check_labels(reader, str(labels))
        shapes = None
        if polygons is not None:
            shapes = read_vector(str(polygons), layer, reader.grid.crs)
            window = _window_of(shapes, reader.grid)
        assert window is not None
        if window.intersect(reader.grid.window) != window:
            height, width = reader.grid.shape
            raise DataError(
                f"The window {window.to_json()} (row, column, height, width) is not within the "
                f"image of {height} x {width} px (rows x columns).",
                where=str(labels),
                mend="Correct the window; rows and columns are counted from 0.",
            )
        numbering = Numbering()
        write_cog(
            out,
            reader.grid.crop(window),
            _strips(reader, window, shapes, numbering),
            dtype=np.uint32,
            nodata=0,
        )
    if map_to is not None:
        _write_map(Path(map_to), numbering.old_ids())
    return Subset(window, numbering.n_segments)


class Numbering:
    """Numbers of labels, given in the order in which these come.

    Examples
    --------
    >>> numbering = Numbering()
    >>> numbering.number(np.array([[0, 70], [9, 70]])).tolist()
    [[0, 1], [2, 1]]
    >>> numbering.old_ids().tolist()
    [70, 9]
    """

    def __init__(self) -> None:
        self._keys = np.full(_FIRST_PLACES, EMPTY, np.int64)
        self._numbers = np.zeros(_FIRST_PLACES, np.uint32)
        self.n_segments = 0

    def number(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
        """Return the numbers, array `(y, x)` of uint32, of labels `(y, x)`; 0 stays 0."""
        flat = labels.astype(np.int64, copy=False).reshape(-1)
        numbers = np.empty(flat.size, np.uint32)
        done = 0
        while True:
            done, self.n_segments = renumber(
                flat, self._keys, self._numbers, numbers, done, self.n_segments
            )
            if done == flat.size:
                return numbers.reshape(labels.shape)
            self._keys, self._numbers = grow(self._keys, self._numbers)

    def old_ids(self) -> npt.NDArray[np.int64]:
        """Return the label of each number, array `(segment,)` of int64, from number 1."""
        used = np.flatnonzero(self._keys != EMPTY)
        ids = np.empty(used.size, np.int64)
        ids[self._numbers[used] - 1] = self._keys[used]
        return ids


def _strips(
    reader: RasterReader, window: Window, shapes: Features | None, numbering: Numbering
) -> Iterator[tuple[Window, npt.NDArray[np.uint32]]]:
    n_rows = max(1, min(STRIP_ROWS, STRIP_PIXELS // window.width))
    for row in range(0, window.height, n_rows):
        strip = Window(row, 0, min(n_rows, window.height - row), window.width)
        in_image = strip.shift(window.row_off, window.col_off)
        values, valid = reader.read(in_image)
        if shapes is not None:
            valid &= _inside(shapes, reader.grid, in_image)
        yield strip, numbering.number(np.where(valid, values[0], 0))


def _inside(shapes: Features, grid: Grid, window: Window) -> npt.NDArray[np.bool_]:
    met = shapes.query(grid.window_bounds(window))
    burnt = rasterize([(shapes.geometries[i], 1) for i in met], grid, window, 0, np.uint8)
    return burnt.astype(bool)


def _window_of(shapes: Features, grid: Grid) -> Window:
    """Return the pixels of the image in the box around all shapes."""
    bounds = shapes.bounds
    window = None
    if bounds is not None:
        window = grid.bounds_window(bounds).intersect(grid.window)
    if window is None:
        raise DataError(
            "No feature lies on the image." if len(shapes) else "The file has no feature.",
            where=shapes.uri,
            mend="Give polygons that overlap the segmentation; check their CRS.",
        )
    return window


def _check_targets(
    out: str | PathLike[str], map_to: str | PathLike[str] | None, overwrite: bool
) -> None:
    if map_to is not None and Path(map_to).suffix.lower() not in MAP_SUFFIXES:
        raise ConfigError(
            f"The suffix {Path(map_to).suffix!r} names no format for a table.",
            where=str(map_to),
            mend=f"Use one of {', '.join(MAP_SUFFIXES)}.",
        )
    for path in (out, map_to):
        if path is not None and Path(path).exists() and not overwrite:
            raise ConfigError(
                f"{path} exists.",
                where=str(path),
                mend="Allow to overwrite it, or name another file.",
            )


def _write_map(path: Path, old_ids: npt.NDArray[np.int64]) -> None:
    ids = np.arange(1, len(old_ids) + 1, dtype=np.uint32)
    table = pyarrow.table({"id": ids, "old_id": old_ids})
    temporary = temporary_beside(path)
    try:
        if path.suffix.lower() == ".csv":
            pyarrow.csv.write_csv(table, temporary)
        else:
            pyarrow.parquet.write_table(table, temporary)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"Writing failed ({' '.join(str(error).split())}).",
            where=str(path),
            mend="Check that the folder exists, may be written to, and has space.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
