"""Cut windows out of a raster so that every row of blocks is decoded once.

For chips and for prediction, which both want many overlapping windows of one block. Not for
reading: the caller gives a function that reads a window. One idea: walk down the windows row by
row, hold only the rows that the current one needs, and read below them in large strips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.grid.window import Window

Arrays = tuple[NDArray[Any], ...]
"""Arrays whose last two axes are (y, x), all of one window."""

STRIP_PIXELS = 2**21
"""Pixels read at once, about; a strip is never lower than one row of the file's blocks."""


def cut_windows(
    read: Callable[[Window], Arrays],
    windows: Sequence[Window],
    block_rows: int = 1,
    strip_pixels: int = STRIP_PIXELS,
) -> Iterator[tuple[Window, Arrays]]:
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

    Yields
    ------
    window, arrays
        Views into the strip; they stay valid, and hold its memory, as long as they are kept.

    Notes
    -----
    Memory: one strip and the rows that windows share with it, over the columns of all windows.
    """
    if not windows:
        return
    left = min(window.col_off for window in windows)
    right = max(window.col_end for window in windows)
    bottom = max(window.row_end for window in windows)
    strip_rows = max(1, strip_pixels // (right - left))
    held: Arrays | None = None
    top = end = windows[0].row_off
    for window in windows:
        if window.row_end > end:
            start = max(end, window.row_off)
            last = max(window.row_end, start + strip_rows)
            last = min(bottom, -(-last // block_rows) * block_rows)
            strip = read(Window(start, left, last - start, right - left))
            held = _below(held, window.row_off - top, strip) if window.row_off < end else strip
            top, end = window.row_off, last
        assert held is not None
        rows = slice(window.row_off - top, window.row_end - top)
        cols = slice(window.col_off - left, window.col_end - left)
        yield window, tuple(array[..., rows, cols] for array in held)


def _below(held: Arrays | None, first_row: int, strip: Arrays) -> Arrays:
    """Join the held rows from `first_row` on with the strip below them."""
    assert held is not None
    return tuple(
        np.concatenate([above[..., first_row:, :], below], axis=-2)
        for above, below in zip(held, strip, strict=True)
    )
