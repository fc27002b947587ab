"""Pixels of a declared image, window by window.

For everything that needs pixels. Not for labels or areas of interest (`swath.scene.reader`).

One idea: a window is clipped to each file that it touches, read in one call, and laid into an array
of its own shape. Outside the files nothing is valid. `boundless=True` of rasterio is never used: it
is slow, and shifts or loses masks at the edges.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.file import RasterFile
from swath.raster.gdal import block_rows_bytes, gdal_env, release_cache, reserve_cache
from swath.raster.header import Header, read_header
from swath.raster.layout import Layout, image_layouts, raster_bands, rasters_of
from swath.raster.spec import Raster, Stack
from swath.raster.transforms import Valid, Values, transform_values, transformed_dtype

N_FILES_OPEN = 64  # of one mosaic; the least recently used one is closed


class Pixels(NamedTuple):
    """What a window holds.

    Parameters
    ----------
    values
        Array `(band, y, x)`, 0 where not valid.
    valid
        Array of bool `(y, x)`: True where every band has a value.
    """

    values: Values
    valid: Valid


class RasterReader:
    """An image, open for reading; one per thread. Use it in a `with` statement, or `close` it.

    Parameters
    ----------
    spec
        The image.
    n_threads, cache_rows, headers
        As for `open_raster`.

    Attributes
    ----------
    grid : Grid
        Grid of the image.
    n_bands : int
        Number of bands.
    dtype : numpy.dtype
        Type of the values, after transforms.
    block_shape : tuple of int
        `(height, width)` in pixels of the blocks that are decoded as a whole, in the first file.
    """

    def __init__(
        self,
        spec: Raster | Stack,
        *,
        n_threads: int = 1,
        cache_rows: int = 0,
        headers: Mapping[str, Header | DataError] | None = None,
    ) -> None:
        self.spec = spec
        self._n_threads = n_threads
        self._mosaics: list[_Mosaic] = []
        if headers is None:
            headers = {key: read_header(key) for key in dict.fromkeys(spec.header_keys())}
        layouts = image_layouts(spec, headers)
        for raster, layout in zip(rasters_of(spec), layouts, strict=True):
            self._mosaics.append(_Mosaic(raster, raster_bands(raster, headers), layout, headers))
        self.grid: Grid = layouts[0].grid
        self.n_bands = sum(mosaic.n_bands for mosaic in self._mosaics)
        self.dtype: np.dtype[Any] = np.result_type(*(mosaic.dtype for mosaic in self._mosaics))
        self.block_shape = self._mosaics[0].block_shape
        self._cache_bytes = sum(each.cache_bytes(cache_rows) for each in self._mosaics)
        self._ticket: int | None = None

    def read(self, window: Window) -> Pixels:
        """Read a window, which may reach past the image; pixels outside are not valid.

        Every block that the window touches is decoded once, in `n_threads` threads. Reading strips
        of full width from top to bottom decodes every block of the image once.

        Parameters
        ----------
        window
            Pixels of `grid`.

        Raises
        ------
        DataError
            If a block is damaged, or a value does not fit a transform.
        """
        if self._ticket is None:  # now, since many an image is opened for its grid alone
            self._ticket = reserve_cache(self._cache_bytes)
        with gdal_env(self._n_threads):
            parts = [mosaic.read(window) for mosaic in self._mosaics]
        valid = parts[0][1]
        for _, part_valid in parts[1:]:
            valid &= part_valid
        if len(parts) == 1:
            values = parts[0][0]
        else:
            values = np.concatenate([part for part, _ in parts], axis=0, dtype=self.dtype)
        if not valid.all():
            values[:, ~valid] = 0
        return Pixels(values, valid)

    def close(self) -> None:
        """Close all files; a second call does nothing."""
        if self._ticket is not None:
            release_cache(self._ticket)
            self._ticket = None
        for mosaic in self._mosaics:
            mosaic.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_raster(
    spec: Raster | Stack,
    *,
    n_threads: int = 1,
    cache_rows: int = 0,
    headers: Mapping[str, Header | DataError] | None = None,
) -> RasterReader:
    """Open an image for reading.

    Parameters
    ----------
    spec
        The image.
    n_threads
        Threads that decode the compressed blocks of one read. 1 where several workers share the
        machine; more where one process has it for itself and reads large windows.
    cache_rows
        Height in pixels of windows that will be read side by side, row by row; room is then made in
        the block cache so that these, too, decode every block once. 0 for strips of full width.
    headers
        Headers by `spec.header_keys()`, if they are known; else they are read now.

    Raises
    ------
    DataError
        If a file is missing or unreadable, files or sources are not on one grid, or a band does not
        exist.

    Examples
    --------
    >>> with open_raster(Raster(uris="scene.tif")) as reader:  # doctest: +SKIP
    ...     values, valid = reader.read(Window(0, 0, 256, reader.grid.width))
    """
    return RasterReader(spec, n_threads=n_threads, cache_rows=cache_rows, headers=headers)


class _Mosaic:
    """The files of one raster; where they overlap, the first valid pixel wins."""

    def __init__(
        self,
        raster: Raster,
        bands: tuple[int, ...],
        layout: Layout,
        headers: Mapping[str, Header | DataError],
    ) -> None:
        self._raster = raster
        self._bands = bands
        self._layout = layout
        self._open: OrderedDict[int, RasterFile] = OrderedDict()
        self.n_bands = len(bands)
        found = [h for key in raster.header_keys() if isinstance(h := headers[key], Header)]
        self._headers = found
        self._raw_dtype: np.dtype[Any] = np.result_type(
            *(header.dtypes[band] for header in found for band in bands)
        )
        self.dtype = transformed_dtype(self._raw_dtype, raster.transforms)
        self.block_shape = found[0].block_shape

    def read(self, window: Window) -> tuple[Values, Valid]:
        values, valid = self._read_raw(window)
        return transform_values(values, valid, self._raster.transforms, self._raster.uris[0])

    def cache_bytes(self, n_rows: int) -> int:
        grid = self._layout.grid
        return max(_cache_bytes(header, grid, n_rows) for header in self._headers)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def _read_raw(self, window: Window) -> tuple[Values, Valid]:
        inside = window.intersect(self._layout.grid.window)
        touched = [
            (index, part)
            for index, placed in enumerate(self._layout.placed)
            if inside is not None and (part := inside.intersect(placed)) is not None
        ]
        if len(touched) == 1 and touched[0][1] == window:  # the common case, without a copy
            values, valid = self._read_file(*touched[0])
            return values.astype(self._raw_dtype, copy=False), valid
        values = np.zeros((self.n_bands, *window.shape), self._raw_dtype)
        valid = np.zeros(window.shape, bool)
        for index, part in touched:
            at = part.shift(-window.row_off, -window.col_off).slices
            if valid[at].all():
                continue
            part_values, part_valid = self._read_file(index, part)
            part_valid &= ~valid[at]
            np.copyto(values[:, *at], part_values, where=part_valid, casting="same_kind")
            valid[at] |= part_valid
        return values, valid

    def _read_file(self, index: int, part: Window) -> tuple[Values, Valid]:
        placed = self._layout.placed[index]
        return self._file(index).read(part.shift(-placed.row_off, -placed.col_off))

    def _file(self, index: int) -> RasterFile:
        if index not in self._open:
            if len(self._open) >= N_FILES_OPEN:
                self._open.popitem(last=False)[1].close()
            grid = self._layout.grid
            if self._raster.warp is not None:
                grid = grid.crop(self._layout.placed[index])
            uri = self._raster.uris[index]
            self._open[index] = RasterFile(uri, self._raster, self._bands, grid)
        self._open.move_to_end(index)
        return self._open[index]


def _cache_bytes(header: Header, grid: Grid, n_rows: int) -> int:
    value_bytes = sum(np.dtype(dtype).itemsize for dtype in header.dtypes)
    return block_rows_bytes(grid.width, header.block_shape, value_bytes, n_rows)
