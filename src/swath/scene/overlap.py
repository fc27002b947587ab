"""Count the ground that two scenes share, so that a leak between training and test is seen.

Scenes on one lattice of pixels are compared exactly, area by area; others by their bounding boxes.
"""

from __future__ import annotations

import numpy as np

from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.scene.areas import Area
from swath.scene.mask import area_mask

TILE_PX = 1024


def shared_pixels(
    first: Area | None, first_grid: Grid, second: Area | None, second_grid: Grid
) -> int:
    """Return how many pixels of the first scene also belong to the second.

    Parameters
    ----------
    first, second
        Areas of the scenes; None stands for the whole image.
    first_grid, second_grid
        Grids of their images.

    Returns
    -------
    int
        Exact on one lattice. Otherwise 0 if a scene has an area or another CRS, and the pixels in
        both bounding boxes if not.

    Notes
    -----
    Memory is bounded by a tile.
    """
    offset = first_grid.offset(second_grid)
    if offset is None:
        return _shared_box(first, first_grid, second, second_grid)
    row_off, col_off = offset
    common = first_grid.window.intersect(Window(row_off, col_off, *second_grid.shape))
    if common is None:
        return 0
    if first is None and second is None:
        return common.pixels
    total = 0
    for tile in tiles(common.shape, TILE_PX):
        here = tile.shift(common.row_off, common.col_off)
        there = here.shift(-row_off, -col_off)
        both = area_mask(first, first_grid, here) & area_mask(second, second_grid, there)
        total += int(np.count_nonzero(both))
    return total


def _shared_box(
    first: Area | None, first_grid: Grid, second: Area | None, second_grid: Grid
) -> int:
    if first is not None or second is not None or first_grid.crs != second_grid.crs:
        return 0
    a, b = first_grid.bounds, second_grid.bounds
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.top, b.top) - max(a.bottom, b.bottom)
    if width <= 0 or height <= 0:
        return 0
    x_size, y_size = (abs(size) for size in first_grid.resolution)
    return round(width * height / (x_size * y_size))
