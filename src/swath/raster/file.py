"""One raster file, opened: windows of values and validity, on its own grid or warped.

For `swath.raster.reader`, which puts files together. Not for mosaics, padding or transforms.

One idea: what is missing is decided here, once. A pixel is valid if every band that is read has a
value: by nodata value (declared, else the file's), by the file's own mask, by a declared mask band.
Colour interpretation decides nothing: an "alpha" band is data unless it is declared as a mask.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.gdal import open_dataset, read_failure
from swath.raster.spec import Raster
from swath.raster.transforms import Valid, Values
from swath.raster.warp import bands_only_vrt, check_georeferenced, warped_vrt


class RasterFile:
    """A file of a raster, open for reading; make and use it inside `gdal_env`.

    Parameters
    ----------
    uri
        The file.
    raster
        The spec that names it: nodata, mask band, warp.
    bands
        Bands to read, 0-based.
    grid
        The grid to read it on, if it is warped.
    """

    def __init__(self, uri: str, raster: Raster, bands: tuple[int, ...], grid: Grid) -> None:
        self.uri = uri
        self._closing = ExitStack()
        dataset = self._closing.enter_context(open_dataset(uri))
        self.dtype = np.dtype(np.result_type(*(dataset.dtypes[band] for band in bands)))
        self.nodata = _nodata_values(dataset, raster, bands)
        self._masked = _has_own_mask(dataset, bands)
        self._n_values = len(bands)
        self._mask_index: int | None = None
        read = list(bands)
        if raster.mask_band is not None:
            read.append(raster.mask_band)
            self._mask_index = len(bands)
        self._read_dtype = np.result_type(*(dataset.dtypes[band] for band in read))
        self._indexes = [band + 1 for band in read]  # GDAL counts bands from 1
        self._dataset = dataset
        if raster.warp is not None:
            self._warp(raster, read, grid)

    def read(self, window: Window) -> tuple[Values, Valid]:
        """Read a window that lies within the file.

        Returns
        -------
        values : array, shape (band, y, x)
        valid : array of bool, shape (y, x)
        """
        part = RasterioWindow(window.col_off, window.row_off, window.width, window.height)
        try:
            read = self._dataset.read(self._indexes, window=part, out_dtype=self._read_dtype)
            valid = np.ones(window.shape, bool)
            if self._masked:
                # One mask for all bands, so that of the first one will do.
                valid &= self._dataset.read_masks(self._indexes[0], window=part) != 0
        except RasterioError as error:
            raise read_failure(error, self.uri) from error
        for band, nodata in zip(read, self.nodata, strict=False):
            if nodata is not None:
                valid &= _differs(band, nodata)
        for mask in read[self._n_values :]:
            valid &= mask != 0
        return read[: self._n_values].astype(self.dtype, copy=False), valid

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._closing.close()

    def _warp(self, raster: Raster, read: list[int], grid: Grid) -> None:
        assert raster.warp is not None
        check_georeferenced(self._dataset)
        named = sorted({value for value in map(str, self.nodata) if value != "None"})
        if len(named) > 1:
            raise DataError(
                f"The bands have several nodata values, {', '.join(named)}: GDAL warps with one.",
                where=self.uri,
                mend="Set `nodata` to the value that all bands use.",
            )
        nodata = float(named[0]) if named else None
        vrt = bands_only_vrt(self._dataset, read, nodata, self._masked)
        plain = self._closing.enter_context(open_dataset(vrt, where=self.uri))
        self._dataset = self._closing.enter_context(warped_vrt(plain, grid, raster.warp, nodata))
        self._indexes = list(range(1, len(read) + 1))
        self._masked = False
        if nodata is None:
            self._indexes.append(len(read) + 1)  # the added mask; read() treats it as a mask band


def _nodata_values(
    dataset: Any, raster: Raster, bands: tuple[int, ...]
) -> tuple[float | None, ...]:
    if raster.nodata is not None:
        return (float(raster.nodata),) * len(bands)
    return tuple(dataset.nodatavals[band] for band in bands)


def _has_own_mask(dataset: Any, bands: tuple[int, ...]) -> bool:
    flags = dataset.mask_flag_enums[bands[0]]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _differs(band: Values, nodata: float) -> Valid:
    """Return where a band is not nodata, compared in the type of the band."""
    if band.dtype.kind == "f":
        if math.isnan(nodata):
            return np.asarray(~np.isnan(band))
        # Files hold float32 nodata as a rounded float64: both go through the type of the band.
        with np.errstate(over="ignore"):
            return np.asarray(band != band.dtype.type(nodata))
    limits = np.iinfo(band.dtype)
    if not (math.isfinite(nodata) and nodata.is_integer() and limits.min <= nodata <= limits.max):
        return np.ones(band.shape, bool)  # the type cannot hold it, so no pixel has it
    return np.asarray(band != band.dtype.type(int(nodata)))
