"""Shapes burnt into pixels of a grid.

For vector labels and areas of interest. Not for reading or reprojecting vectors (`swath.vector`).

One idea: a pixel belongs to a shape if its centre lies in it, with the grid's corners as geometry,
so that polygons drawn around pixels come back as exactly these pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio.features
from affine import Affine

from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.gdal import gdal_env, plain_images_allowed


def rasterize(
    shapes: Iterable[tuple[Any, int | float]],
    grid: Grid,
    window: Window,
    fill: int | float,
    dtype: npt.DTypeLike,
    *,
    all_touched: bool = False,
) -> npt.NDArray[Any]:
    """Burn shapes into a window.

    Parameters
    ----------
    shapes
        `(geometry, value)`: shapely geometries or GeoJSON mappings in the CRS of the grid. Later
        ones are burnt over earlier ones; empty ones burn nothing.
    grid
        The grid of the image.
    window
        Pixels of the grid; it may reach past the image.
    fill
        Value of pixels in no shape.
    dtype
        Type of the result; it must hold `fill` and every value.
    all_touched
        Whether to burn every pixel that a shape touches, instead of those whose centre is inside.

    Returns
    -------
    array, shape (y, x)

    Raises
    ------
    ValueError
        If the type cannot hold a value.
    """
    kind = np.dtype(dtype)
    burnt = [(shape, value) for shape, value in shapes if not getattr(shape, "is_empty", False)]
    for value in {fill, *(value for _, value in burnt)}:
        if kind.kind != "f" and not np.iinfo(kind).min <= value <= np.iinfo(kind).max:
            raise ValueError(f"{kind} cannot hold the value {value}")
    if not burnt:
        return np.full(window.shape, fill, kind)
    # rasterio changes the filters of warnings meanwhile, which another thread that opens a file
    # would undo under its feet: so both share one change.
    with gdal_env(), plain_images_allowed():
        result: npt.NDArray[Any] = rasterio.features.rasterize(
            burnt,
            out_shape=window.shape,
            fill=fill,
            transform=Affine(*grid.crop(window).transform),
            all_touched=all_touched,
            dtype=kind.name,
        )
    return result
