"""Warping on the fly, and the grid of what GDAL has opened.

For `swath.raster.header` and `swath.raster.file`. Not for deciding whether to warp: specs do that.

One idea: GDAL is handed a virtual raster of just the bands that are read, without colour
interpretation, so that what it calls "alpha" cannot become a mask, and bands that nobody asked for
are not warped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import CRSError
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.raster.spec import Warp

_GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32",
    "int32": "Int32", "uint64": "UInt64", "int64": "Int64", "float32": "Float32",
    "float64": "Float64",
}  # fmt: skip


def grid_of(dataset: Any) -> Grid:
    """Return the grid of an open dataset."""
    return Grid(crs_name(dataset.crs), tuple(dataset.transform)[:6], dataset.height, dataset.width)


def crs_name(crs: CRS | None) -> str | None:
    """Return ``"EPSG:..."`` where the CRS has such a code, else WKT; None for no CRS."""
    if not crs:
        return None
    code = crs.to_epsg()
    return f"EPSG:{code}" if code is not None else str(crs.to_wkt())


def warped_grid(dataset: Any, warp: Warp) -> Grid:
    """Return the grid that an open dataset has after a warp.

    With a resolution, pixel corners lie at its multiples, so that several files warped alike share
    one lattice.
    """
    try:
        crs = CRS.from_user_input(warp.crs)
    except CRSError as error:
        raise DataError(
            f"{warp.crs!r} is not a CRS ({error}).",
            where=dataset.name,
            mend='Use a code such as warp = "EPSG:32633".',
        ) from None
    check_georeferenced(dataset)
    transform, width, height = calculate_default_transform(
        dataset.crs, crs, dataset.width, dataset.height, *dataset.bounds, resolution=warp.resolution
    )
    if warp.resolution is not None:
        step = warp.resolution
        left, top = math.floor(transform.c / step), math.ceil(transform.f / step)
        right = math.ceil((transform.c + width * step) / step)
        bottom = math.floor((transform.f - height * step) / step)
        transform = Affine(step, 0, left * step, 0, -step, top * step)
        width, height = right - left, top - bottom
    return Grid(crs_name(crs), tuple(transform)[:6], height, width)


def check_georeferenced(dataset: Any) -> None:
    """Raise if there is no CRS to warp from."""
    if not dataset.crs:
        raise DataError(
            "The image has no CRS, so it cannot be warped.",
            where=dataset.name,
            mend="Remove the warp, or give the file a CRS: gdal_edit.py -a_srs EPSG:CODE FILE.",
        )


def bands_only_vrt(dataset: Any, bands: Sequence[int], nodata: float | None, masked: bool) -> str:
    """Return the XML of a virtual raster with some bands of a file, and nothing else.

    Parameters
    ----------
    dataset
        An open dataset.
    bands
        Bands, 0-based, in their new order.
    nodata
        Nodata value of all of them, or None.
    masked
        Whether the file's mask (one for all bands) comes along.
    """
    name = escape(dataset.name)
    rows = [f'<VRTDataset rasterXSize="{dataset.width}" rasterYSize="{dataset.height}">']
    rows.append(f"<SRS>{escape(dataset.crs.to_wkt())}</SRS>")
    rows.append(f"<GeoTransform>{','.join(map(repr, dataset.transform.to_gdal()))}</GeoTransform>")
    for index, band in enumerate(bands, start=1):
        dtype = _GDAL_TYPES[dataset.dtypes[band]]
        rows.append(f'<VRTRasterBand dataType="{dtype}" band="{index}">')
        if nodata is not None:
            rows.append(f"<NoDataValue>{nodata!r}</NoDataValue>")
        rows.append(_source(name, str(band + 1)) + "</VRTRasterBand>")
    if masked:
        mask = _source(name, f"mask,{bands[0] + 1}")
        rows.append(f'<MaskBand><VRTRasterBand dataType="Byte">{mask}</VRTRasterBand></MaskBand>')
    return "".join(rows) + "</VRTDataset>"


def _source(name: str, band: str) -> str:
    return (
        f'<SimpleSource><SourceFilename relativeToVRT="0">{name}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource>"
    )


def warped_vrt(dataset: Any, grid: Grid, warp: Warp, nodata: float | None) -> WarpedVRT:
    """Return a dataset that shows another one on `grid`; pixels come when they are read.

    With `nodata`, bands are missing one by one and hold that value there. Without, the last band is
    an added mask that is 0 where the source has no pixel.

    Notes
    -----
    What is read does not depend on the windows it is read by: GDAL warps whole blocks.
    """
    missing: dict[str, Any]
    if nodata is None:
        missing = {"add_alpha": True}
    else:
        missing = {"src_nodata": nodata, "nodata": nodata, "UNIFIED_SRC_NODATA": "NO"}
    return WarpedVRT(
        dataset,
        crs=CRS.from_user_input(grid.crs),
        transform=Affine(*grid.transform),
        height=grid.height,
        width=grid.width,
        resampling=Resampling[warp.resampling],
        **missing,
    )
