"""Absorbing pixels that are alone in their clump."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.kernels.directions import COLS, IS_STRAIGHT, N_DIRECTIONS, ROWS


@compiled
def absorb_single_pixels(
    values: npt.NDArray[np.int32],
    scale: npt.NDArray[np.float64],
    clusters: npt.NDArray[np.int16],
    is_eight: bool,
    n_passes: int,
) -> npt.NDArray[np.uint8]:
    """Let each pixel that is alone join the neighbour pixel that is most like it.

    In each pass a pixel that is alone looks at its neighbours that are not, and takes the nearest
    one, the first in raster order on a tie. All decisions of a pass are taken before any counts.

    Parameters
    ----------
    values
        Array `(band, y, x)` of int32.
    scale
        Array `(band,)` of float64: spectral units in one step of a band.
    clusters
        Array `(y, x)` of int16 from `nearest_centres`.
    is_eight
        True if diagonal neighbours count.
    n_passes
        Most passes. What a pixel does depends on pixels at most ``n_passes + 1`` away.

    Returns
    -------
    numpy.ndarray
        Links, array `(y, x)` of uint8: 0, or 1 + the direction of the neighbour that a pixel joins.
    """
    height, width = clusters.shape
    links = np.zeros((height, width), np.uint8)
    is_alone = np.zeros((height, width), np.bool_)
    alone = np.empty(height * width, np.int64)  # memory that is not written to is not taken
    n_alone = 0
    for row in range(height):
        for col in range(width):
            if clusters[row, col] >= 0 and not _has_like(clusters, row, col, is_eight):
                is_alone[row, col] = True
                alone[n_alone] = row * width + col
                n_alone += 1
    chosen = np.empty(n_alone, np.uint8)
    for _ in range(n_passes):
        for i in range(n_alone):
            row, col = alone[i] // width, alone[i] % width
            chosen[i] = _most_like(values, scale, clusters, is_alone, row, col, is_eight)
        n_left = 0
        for i in range(n_alone):
            row, col = alone[i] // width, alone[i] % width
            if chosen[i] > 0:
                links[row, col] = chosen[i]
                is_alone[row, col] = False
            else:
                alone[n_left] = alone[i]
                n_left += 1
        if n_left == n_alone:
            break
        n_alone = n_left
    return links


@compiled
def _has_like(clusters: npt.NDArray[np.int16], row: int, col: int, is_eight: bool) -> bool:
    """Return whether a neighbour has the cluster of a pixel."""
    height, width = clusters.shape
    own = clusters[row, col]
    if col + 1 < width and clusters[row, col + 1] == own:
        return True
    if col > 0 and clusters[row, col - 1] == own:
        return True
    if row > 0 and clusters[row - 1, col] == own:
        return True
    if row + 1 < height and clusters[row + 1, col] == own:
        return True
    if is_eight:
        for direction in range(N_DIRECTIONS):
            r, c = row + ROWS[direction], col + COLS[direction]
            if 0 <= r < height and 0 <= c < width and clusters[r, c] == own:
                return True
    return False


@compiled
def _most_like(
    values: npt.NDArray[np.int32],
    scale: npt.NDArray[np.float64],
    clusters: npt.NDArray[np.int16],
    is_alone: npt.NDArray[np.bool_],
    row: int,
    col: int,
    is_eight: bool,
) -> int:
    """Return 1 + the direction of the nearest neighbour that is not alone; 0 if there is none."""
    n_bands, height, width = values.shape
    nearest, chosen = np.inf, 0
    for direction in range(N_DIRECTIONS):
        if not (is_eight or IS_STRAIGHT[direction]):
            continue
        r, c = row + ROWS[direction], col + COLS[direction]
        if r < 0 or r >= height or c < 0 or c >= width:
            continue
        if clusters[r, c] < 0 or is_alone[r, c]:
            continue
        distance = 0.0
        for band in range(n_bands):
            steps = np.int64(values[band, row, col]) - np.int64(values[band, r, c])
            difference = scale[band] * steps
            distance += difference * difference
        if distance < nearest:
            nearest, chosen = distance, direction + 1
    return chosen
