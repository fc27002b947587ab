"""Turn an area of interest into masks of windows, and into rectangles to lay windows on.

Not here: declaring areas (`swath.scene.areas`).

The one idea: a mask is made for the window that is asked for, so no mask of a whole scene exists,
and a pixel's answer does not depend on the window that it was asked in.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.rasterize import rasterize
from swath.scene.areas import Area, BlockArea, VectorArea, WindowArea
from swath.vector.reader import Features, read_vector


def area_mask(area: Area | None, grid: Grid, window: Window) -> NDArray[np.bool_]:
    """Return which pixels of a window lie in the image and in the area, shape (y, x).

    Parameters
    ----------
    area
        The area; None stands for the whole image.
    grid
        Grid of the image.
    window
        Pixels of the image; may reach past its edges.

    Raises
    ------
    DataError
        If the file of a `VectorArea` cannot be read into the CRS of the image.
    """
    mask = inside(grid.window, window)
    if isinstance(area, WindowArea):
        mask &= np.logical_or.reduce([inside(part, window) for part in area.windows])
    elif isinstance(area, BlockArea):
        mask &= _in_blocks(area, grid, window)
    elif isinstance(area, VectorArea):
        mask &= _in_polygons(area_polygons(area, grid), grid, window)
    return mask


def area_rectangles(area: Area | None, grid: Grid) -> tuple[Window, ...]:
    """Return rectangles of the image that together hold the area, to lay windows on.

    Windows that are laid on them end where the area ends: its last row and column are sampled even
    if the image goes on.

    Parameters
    ----------
    area
        The area; None stands for the whole image.
    grid
        Grid of the image.

    Returns
    -------
    tuple of Window
        Inside the image; empty if the area is.
    """
    if area is None:
        return (grid.window,)
    if isinstance(area, WindowArea):
        parts = list(area.windows)
    elif isinstance(area, BlockArea):
        parts = area.shrunk_windows(grid.shape)
    else:
        bounds = area_polygons(area, grid).bounds
        parts = [] if bounds is None else [grid.bounds_window(bounds)]
    cut = (part.intersect(grid.window) for part in parts)
    return tuple(part for part in cut if part is not None)


def area_polygons(area: VectorArea, grid: Grid) -> Features:
    """Return the polygons of an area in the CRS of the image; points and lines are left out."""
    features = read_vector(area.uri, area.layer, grid.crs)
    return features.where(shapely.get_dimensions(features.geometries) == 2)


def inside(part: Window, window: Window) -> NDArray[np.bool_]:
    """Return which pixels of `window` lie in `part`, shape (y, x) of `window`."""
    mask = np.zeros(window.shape, dtype=bool)
    common = part.intersect(window)
    if common is not None:
        mask[common.shift(-window.row_off, -window.col_off).slices] = True
    return mask


def _in_blocks(area: BlockArea, grid: Grid, window: Window) -> NDArray[np.bool_]:
    mask = np.ones(window.shape, dtype=bool)
    for block in area.blocks_not_taken():
        part = area.block_window(block, grid.shape)
        if part is not None:
            mask &= ~inside(part.pad(area.buffer_px), window)
    return mask


def _in_polygons(polygons: Features, grid: Grid, window: Window) -> NDArray[np.bool_]:
    near = polygons.query(grid.window_bounds(window))
    shapes = [(polygons.geometries[index], 1) for index in near]
    burnt = rasterize(shapes, grid, window, fill=0, dtype="uint8")
    return np.asarray(burnt == 1)
