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
from swath.raster.remote import READING_S, folders_of, patience_for
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
        self._raster = raster
        self._bands = bands
        self._grid = grid
        self._open()
        self._folders = folders_of(uri)

    def _open(self) -> None:
        raster, bands = self._raster, self._bands
        read = bands if raster.mask_band is None else (*bands, raster.mask_band)
        with ExitStack() as opened:
            dataset = opened.enter_context(open_dataset(self.uri))
            self.dtype: np.dtype[Any] = np.result_type(*(dataset.dtypes[band] for band in bands))
            self._read_dtype = np.result_type(*(dataset.dtypes[band] for band in read))
            self._n_values = len(bands)
            nodata = _nodata_values(dataset, raster, bands)
            masked = _has_own_mask(dataset, bands)
            if raster.warp is None:
                self._dataset = dataset
                self._indexes = [band + 1 for band in read]  # GDAL counts bands from 1
                # NaN is left to the transforms: `NaNToValue` may want it. After a warp it also
                # stands for what is outside the source, and stays missing.
                self._nodata = tuple(None if _is_nan(value) else value for value in nodata)
                self._masked = masked
            else:
                one_nodata = self._nodata_of_warp(nodata)
                check_georeferenced(dataset)
                vrt = bands_only_vrt(dataset, read, one_nodata, masked)
                plain = opened.enter_context(open_dataset(vrt, where=self.uri))
                self._dataset = opened.enter_context(
                    warped_vrt(plain, self._grid, raster.warp, one_nodata)
                )
                # Without nodata the warp adds a mask as last band; it is read as a mask band.
                self._indexes = list(self._dataset.indexes)
                self._nodata = (one_nodata,) * len(bands)
                self._masked = False
            self._closing = opened.pop_all()

    def read(self, window: Window) -> tuple[Values, Valid]:
        """Read a window that lies within the file.

        Returns
        -------
        values : array, shape (band, y, x)
        valid : array of bool, shape (y, x)
        """
        read, valid = self._read_held(window)
        for band, nodata in zip(read, self._nodata, strict=False):
            if nodata is not None:
                valid &= _differs(band, nodata)
        for mask in read[self._n_values :]:
            valid &= mask != 0
        return read[: self._n_values].astype(self.dtype, copy=False), valid

    def _read_held(self, window: Window) -> tuple[Values, Valid]:
        """Return what the file holds, all bands and its mask; open a remote one anew if need be."""
        part = RasterioWindow(window.col_off, window.row_off, window.width, window.height)
        patience = patience_for(self._folders, READING_S)
        while True:
            try:
                read = self._dataset.read(self._indexes, window=part, out_dtype=self._read_dtype)
                valid = np.ones(window.shape, bool)
                if self._masked:
                    # One mask for all bands, so that of the first one will do.
                    valid &= self._dataset.read_masks(self._indexes[0], window=part) != 0
            except RasterioError as error:
                if not patience.wait():
                    raise read_failure(error, self.uri) from error
                self.close()  # GDAL keeps answers that broke off until then
                self._open()
            else:
                return read, valid

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._closing.close()

    def _nodata_of_warp(self, nodata: tuple[float | None, ...]) -> float | None:
        """Return the one value that GDAL can warp with, as the bands hold it."""
        held = {str(_as_held(value, self.dtype)) for value in nodata} - {"None"}
        if len(held) > 1:
            raise DataError(
                f"The bands have several nodata values, {', '.join(sorted(held))}: "
                "GDAL warps with one.",
                where=self.uri,
                mend="Set `nodata` to the value that all bands use.",
            )
        return float(held.pop()) if held else None


def _nodata_values(
    dataset: Any, raster: Raster, bands: tuple[int, ...]
) -> tuple[float | None, ...]:
    if raster.nodata is not None:
        return (float(raster.nodata),) * len(bands)
    return tuple(dataset.nodatavals[band] for band in bands)


def _is_nan(nodata: float | None) -> bool:
    return nodata is not None and math.isnan(nodata)


def _has_own_mask(dataset: Any, bands: tuple[int, ...]) -> bool:
    flags = dataset.mask_flag_enums[bands[0]]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _as_held(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """Return a nodata value as the type holds it; None if it cannot, so that no pixel has it."""
    if nodata is None:
        return None
    if dtype.kind == "f":
        # Files hold float32 nodata as a rounded float64: it goes through the type of the band.
        with np.errstate(over="ignore"):
            return float(dtype.type(nodata))
    limits = np.iinfo(dtype)
    whole = math.isfinite(nodata) and float(nodata).is_integer()
    return float(nodata) if whole and limits.min <= nodata <= limits.max else None


def _differs(band: Values, nodata: float) -> Valid:
    """Return where a band is not nodata, compared in the type of the band."""
    held = _as_held(nodata, band.dtype)
    if held is None:
        return np.ones(band.shape, bool)
    if math.isnan(held):
        return np.asarray(~np.isnan(band))
    return np.asarray(band != band.dtype.type(held))
