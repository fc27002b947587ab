"""Cut windows out of a raster so that every row of blocks is decoded once.

For chips and for prediction, which both want many overlapping windows of one block. Not for
reading: the caller gives a function that reads a window. One idea: walk down the windows row by
row, hold only the strips that the current one touches, and read below them in large strips.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.grid.window import Window
from swath.learn.ahead import read_ahead

Arrays = tuple[NDArray[Any], ...]
"""Arrays whose last two axes are (y, x), all of one window."""

STRIP_PIXELS = 2**21
"""Pixels read at once, about; a strip is never lower than one row of the file's blocks."""


def cut_windows(
    read: Callable[[Window], Arrays],
    windows: Sequence[Window],
    block_rows: int = 1,
    strip_pixels: int = STRIP_PIXELS,
    *,
    ahead: bool = False,
) -> Generator[tuple[Window, Arrays]]:
    """Yield each window with its arrays, reading every pixel at most once.

    Parameters
    ----------
    read
        Returns the arrays of a window; it may reach past the image.
    windows
        Sorted by `row_off`.
    block_rows
        Height of the blocks of the file, in pixels; strips end where rows of blocks end.
    strip_pixels
        Pixels per strip, about.
    ahead
        True to read the next strip in a thread while windows of this one are used. Close the
        generator (``contextlib.closing``) if it may be left early.

    Yields
    ------
    window, arrays
        Views into a strip, which stay valid, and hold its memory, as long as they are kept; copies
        where a window lies in several strips.

    Notes
    -----
    Memory: the strips that one window touches, mostly two, and two more with `ahead`, over the
    columns of all windows.
    """
    each = ((strip, read(strip)) for strip in strips_of(windows, block_rows, strip_pixels))
    with closing(read_ahead(each, depth=1) if ahead else each) as strips:
        touched: deque[tuple[Window, Arrays]] = deque()
        for window in windows:
            while touched and touched[0][0].row_end <= window.row_off:
                touched.popleft()
            while not touched or touched[-1][0].row_end < window.row_end:
                touched.append(next(strips))
            yield window, _cut(window, touched)


def strips_of(
    windows: Sequence[Window], block_rows: int = 1, strip_pixels: int = STRIP_PIXELS
) -> list[Window]:
    """Return the strips that hold windows sorted by `row_off`, top to bottom, none twice."""
    if not windows:
        return []
    left = min(window.col_off for window in windows)
    right = max(window.col_end for window in windows)
    bottom = max(window.row_end for window in windows)
    strip_rows = max(1, strip_pixels // (right - left))
    strips: list[Window] = []
    end = windows[0].row_off
    for window in windows:
        if window.row_end > end:
            start = max(end, window.row_off)
            last = (start + strip_rows) // block_rows * block_rows
            if last < window.row_end:
                last = -(-window.row_end // block_rows) * block_rows
            end = min(bottom, last)
            strips.append(Window(start, left, end - start, right - left))
    return strips


def _cut(window: Window, strips: Sequence[tuple[Window, Arrays]]) -> Arrays:
    """Take a window out of the strips that it touches, which lie one below the other."""
    parts = []
    for strip, arrays in strips:
        common = window.intersect(strip)
        if common is not None:
            rows, cols = common.shift(-strip.row_off, -strip.col_off).slices
            parts.append(tuple(array[..., rows, cols] for array in arrays))
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(pieces, axis=-2) for pieces in zip(*parts, strict=True))
