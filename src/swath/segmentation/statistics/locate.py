"""Kernels that find the segments of a tile: their numbers, their pixels, their extents.

One idea: a pixel mostly has the label of the one to its left or above it, so that ids, which may be
any numbers, are looked up only where segments begin.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled

Local = npt.NDArray[np.int32]
Order = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]

N_PIXELS, ROW_MIN, ROW_MAX, COL_MIN, COL_MAX, FIRST, ROW_SUM, COL_SUM, SIDES_X, SIDES_Y = range(10)
"""Columns of `describe_shapes`."""
N_SHAPE = 10

_FACTOR = 1_640_531_527  # 2**32 / golden ratio: neighbouring ids fall into far slots


@compiled
def number_segments(
    labels: npt.NDArray[np.uint32],
) -> tuple[Local, npt.NDArray[np.uint32]]:
    """Give the segments of a tile numbers from 0, by the raster order of their first pixels.

    Parameters
    ----------
    labels
        Array `(y, x)`; 0 is no data.

    Returns
    -------
    local
        Array `(y, x)` of int32; -1 for no data.
    ids
        Id of each number.
    """
    local = np.empty(labels.shape, np.int32)
    n_slots = 4096
    while n_slots < labels.size // 32:
        n_slots *= 2
    while True:
        ids = np.empty(n_slots // 2, np.uint32)
        n = _number(labels, local, ids, np.full(n_slots, -1, np.int32))
        if n >= 0:
            return local, ids[:n].copy()
        n_slots *= 4


@compiled
def _number(
    labels: npt.NDArray[np.uint32],
    local: Local,
    ids: npt.NDArray[np.uint32],
    slots: npt.NDArray[np.int32],
) -> int:
    """Write numbers and ids, and return how many there are; -1 if there is too little room."""
    height, width = labels.shape
    n = 0
    for row in range(height):
        for col in range(width):
            label = labels[row, col]
            if label == 0:
                local[row, col] = -1
            elif col > 0 and labels[row, col - 1] == label:
                local[row, col] = local[row, col - 1]
            elif row > 0 and labels[row - 1, col] == label:
                local[row, col] = local[row - 1, col]
            else:
                slot = _slot_of(slots, ids, label)
                if slots[slot] < 0:
                    if n == ids.size:
                        return -1
                    slots[slot] = n
                    ids[n] = label
                    n += 1
                local[row, col] = slots[slot]
    return n


@compiled
def _slot_of(slots: npt.NDArray[np.int32], ids: npt.NDArray[np.uint32], label: int) -> int:
    """Return the slot of a label, or the free one where it belongs; a power of two of slots."""
    mask = slots.size - 1
    slot = (np.int64(label) * _FACTOR >> 16) & mask
    while slots[slot] >= 0 and ids[slots[slot]] != label:
        slot = (slot + 1) & mask
    return int(slot)


@compiled
def order_pixels(local: Local, n: int) -> tuple[Offsets, Order]:
    """Sort the pixels of a tile by segment, in raster order within each.

    Parameters
    ----------
    local
        Array `(y, x)` from `number_segments`.
    n
        Number of segments.

    Returns
    -------
    offsets
        Array `(n + 1,)`: where the pixels of each segment begin and end.
    order
        Indices of pixels in raster order of the tile.
    """
    flat = local.ravel()
    offsets = np.zeros(n + 1, np.int64)
    for i in range(flat.size):
        if flat[i] >= 0:
            offsets[flat[i] + 1] += 1
    for segment in range(n):
        offsets[segment + 1] += offsets[segment]
    at = offsets[:n].copy()
    order = np.empty(offsets[n], np.int32)
    for i in range(flat.size):
        segment = flat[i]
        if segment >= 0:
            order[at[segment]] = i
            at[segment] += 1
    return offsets, order


@compiled
def describe_shapes(
    local: Local, n: int, origin: tuple[int, int], image_width: int, counts_sides: bool
) -> npt.NDArray[np.int64]:
    """Return size, extent, first pixel, sums of positions and sides of each segment of a tile.

    Parameters
    ----------
    local
        Array `(y, x)` from `number_segments`.
    n
        Number of segments.
    origin
        `(row, col)` in the image of the tile's first pixel.
    image_width
        Width of the image in pixels.
    counts_sides
        True to count sides of pixels beyond which another segment lies, no data or another tile.

    Returns
    -------
    numpy.ndarray
        Array `(n, 10)`; the names of its columns stand above. Rows and columns are those of the
        image, inclusive; ``FIRST`` is an index in raster order of the image; ``SIDES_X`` are sides
        along rows (above and below a pixel), ``SIDES_Y`` along columns (left and right of it).
    """
    height, width = local.shape
    row_off, col_off = origin
    shapes = np.zeros((n, N_SHAPE), np.int64)
    for row in range(height):
        begin = 0
        for col in range(1, width + 1):
            if col < width and local[row, col] == local[row, begin]:
                continue
            segment = local[row, begin]
            if segment >= 0:
                _add_run(shapes[segment], row_off + row, col_off + begin, col - begin, image_width)
            begin = col
        if counts_sides:
            for col in range(width):
                one = local[row, col]
                above = local[row - 1, col] if row > 0 else -1
                if one != above:
                    if one >= 0:
                        shapes[one, SIDES_X] += 1
                    if above >= 0:
                        shapes[above, SIDES_X] += 1
                if one >= 0 and row == height - 1:
                    shapes[one, SIDES_X] += 1
    return shapes


@compiled
def _add_run(
    shape: npt.NDArray[np.int64], row: int, col: int, length: int, image_width: int
) -> None:
    """Add pixels of one row, side by side."""
    if shape[N_PIXELS] == 0:
        shape[FIRST] = row * image_width + col
        shape[ROW_MIN] = row
        shape[COL_MIN], shape[COL_MAX] = col, col
    shape[N_PIXELS] += length
    shape[ROW_MAX] = row
    shape[COL_MIN] = min(shape[COL_MIN], col)
    shape[COL_MAX] = max(shape[COL_MAX], col + length - 1)
    shape[ROW_SUM] += row * length
    shape[COL_SUM] += col * length + length * (length - 1) // 2
    shape[SIDES_Y] += 2


@compiled
def merge_shapes(
    shapes: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], n: int
) -> npt.NDArray[np.int64]:
    """Merge rows of `describe_shapes` that belong to one segment.

    Parameters
    ----------
    shapes
        Array `(part, 10)`.
    groups
        Number of the segment that each part belongs to.
    n
        Number of segments.
    """
    merged = np.zeros((n, N_SHAPE), np.int64)
    for i in range(groups.size):
        one, other = merged[groups[i]], shapes[i]
        if one[N_PIXELS] == 0:
            one[:] = other
            continue
        for column in (ROW_MIN, COL_MIN, FIRST):
            one[column] = min(one[column], other[column])
        for column in (ROW_MAX, COL_MAX):
            one[column] = max(one[column], other[column])
        for column in (N_PIXELS, ROW_SUM, COL_SUM, SIDES_X, SIDES_Y):
            one[column] += other[column]
    return merged


@compiled
def mark_border(
    local: Local, sides: tuple[bool, bool, bool, bool], n: int
) -> npt.NDArray[np.bool_]:
    """Return which segments touch given sides of a tile: top, left, bottom, right."""
    height, width = local.shape
    touches = np.zeros(n, np.bool_)
    top, left, bottom, right = sides
    for col in range(width):
        if top and local[0, col] >= 0:
            touches[local[0, col]] = True
        if bottom and local[height - 1, col] >= 0:
            touches[local[height - 1, col]] = True
    for row in range(height):
        if left and local[row, 0] >= 0:
            touches[local[row, 0]] = True
        if right and local[row, width - 1] >= 0:
            touches[local[row, width - 1]] = True
    return touches
