"""A sample of an image's pixels, spread over all of it, from few windows.

For fitting clusters. Not for statistics of an image. One idea: a small image is read whole and
every k-th pixel taken; of a large one a regular grid of small windows is read, and a finer grid
only if these hold too few pixels with data. What is taken depends on the size of the image and on
where it has data, never on the file's blocks or on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from swath.grid.window import Window
from swath.raster.spec import Raster, Stack
from swath.segmentation.ahead import in_threads
from swath.segmentation.readers import Readers

WHOLE_PIXELS = 16 * 1024 * 1024
"""Images of up to that many pixels are read whole."""

WINDOW_PIXELS = 128
"""Height and width of the windows that are read of larger images."""

N_WINDOWS = 100
"""Windows of the first grid, about; each next one has four times as many."""

_STRIP_PIXELS = 512 * 1024  # of a window of full width
_STRIP_ROWS = 256  # strips are multiples of it where they can be: most blocks end there
_HELD_PIXELS = 500_000  # of which a sample is thinned out

Points = npt.NDArray[Any]


class Round(NamedTuple):
    """One way through an image.

    Parameters
    ----------
    rows
        Windows, those of a row that lie side by side together.
    stride
        Every so many rows and columns of the image are taken.
    start
        `(row, col)` of the first pixel taken.
    covers_all
        Whether every pixel of the image is taken.
    """

    rows: list[list[Window]]
    stride: int
    start: tuple[int, int]
    covers_all: bool


_BLOCK = 512  # side of the blocks of most large files, or a multiple of it


def sample_pixels(
    image: Raster | Stack, n_pixels: int, *, at_least: int = 1, n_threads: int = 1
) -> Points:
    """Return pixels with data from all over an image.

    Parameters
    ----------
    image
        The image.
    n_pixels
        Most pixels to return; fewer if those that are read hold fewer with data.
    at_least
        Pixels that are returned if the image has so many, even if all of it must be read.
    n_threads
        Windows that are read at once.

    Returns
    -------
    numpy.ndarray
        Array `(pixel, band)` of the image's type, in the order of the windows; finite values only.

    Notes
    -----
    Memory: the pixels with data of ``100 * (n_threads + 2)`` windows, and half a million more.
    """
    with Readers(image, n_readers=n_threads, n_threads=1, window_height=WINDOW_PIXELS) as readers:
        found = _Held(readers.n_bands, readers.dtype)
        for way in sample_rounds(readers.grid.height, readers.grid.width, n_pixels):
            found = _take(readers, way, n_threads)
            if found.n_seen >= at_least or way.covers_all:
                break
    return found.thinned(n_pixels)


def sample_rounds(height: int, width: int, n_pixels: int) -> Iterator[Round]:
    """Yield ways through an image, each finer than the one before; the last takes every pixel.

    Parameters
    ----------
    height, width
        Size of the image in pixels.
    n_pixels
        Pixels that are wanted of an image that has data everywhere.
    """
    if height * width <= WHOLE_PIXELS:
        stride = max(1, math.isqrt(height * width // n_pixels))
        while stride > 1 and _n_taken(height, stride) * _n_taken(width, stride) < n_pixels:
            stride -= 1
        strips = [[strip] for strip in _strips(height, width)]
        while True:
            start = _first_taken(height, stride), _first_taken(width, stride)
            yield Round(strips, stride, start, covers_all=stride == 1)
            stride = max(1, stride // 2)
    most_rows, most_cols = -(-height // WINDOW_PIXELS), -(-width // WINDOW_PIXELS)
    n_windows = N_WINDOWS
    while True:
        n_rows = min(max(1, round(math.sqrt(n_windows * height / width))), n_windows, most_rows)
        n_cols = min(-(-n_windows // n_rows), most_cols)
        rows = [
            [Window(row, col, rows_high, cols_wide) for col, cols_wide in _spread(width, n_cols)]
            for row, rows_high in _spread(height, n_rows)
        ]
        yield Round(rows, 1, (0, 0), covers_all=(n_rows, n_cols) == (most_rows, most_cols))
        n_windows *= 4


def _first_taken(length: int, stride: int) -> int:
    """Return the middle of the first `stride` pixels, or of an image that is narrower."""
    return (min(stride, length) - 1) // 2


def _n_taken(length: int, stride: int) -> int:
    return len(range(_first_taken(length, stride), length, stride))


def _strips(height: int, width: int) -> list[Window]:
    n_rows = max(1, _STRIP_PIXELS // width)
    if n_rows > _STRIP_ROWS:
        n_rows -= n_rows % _STRIP_ROWS
    return [Window(row, 0, min(n_rows, height - row), width) for row in range(0, height, n_rows)]


def _spread(length: int, n: int) -> list[tuple[int, int]]:
    """Return offset and length of `n` stretches, each about the middle of one of `n` equal cells.

    They keep within multiples of `_BLOCK` where they can, so that few blocks are decoded.
    """
    ends = [length * i // n for i in range(n + 1)]
    stretches = []
    for begin, end in pairwise(ends):
        size = min(WINDOW_PIXELS, end - begin)
        offset = begin + (end - begin - size) // 2
        over = offset % _BLOCK + size - _BLOCK
        stretches.append((max(begin, offset - max(0, over)), size))
    return stretches


def _take(readers: Readers, way: Round, n_threads: int) -> _Held:
    """Return the pixels with data that a way through an image meets."""

    def take(windows: list[Window]) -> Points:
        return np.concatenate([_pixels_of(readers, window, way) for window in windows])

    held = _Held(readers.n_bands, readers.dtype)
    parts = (
        windows[begin : begin + N_WINDOWS]
        for windows in way.rows
        for begin in range(0, len(windows), N_WINDOWS)
    )
    for points in in_threads(take, parts, n_threads):
        held.add(points)
    return held


def _pixels_of(readers: Readers, window: Window, way: Round) -> Points:
    values, valid = readers.read(window)
    row, col = (
        (start - offset) % way.stride
        for start, offset in zip(way.start, (window.row_off, window.col_off), strict=True)
    )
    values, valid = (
        values[:, row :: way.stride, col :: way.stride],
        valid[row :: way.stride, col :: way.stride],
    )
    points = values[:, valid].T
    if points.dtype.kind == "f":
        points = points[np.isfinite(points).all(axis=1)]
    return points


class _Held:
    """Pixels in the order in which they come, thinned out evenly where they are too many."""

    def __init__(self, n_bands: int, dtype: np.dtype[Any]) -> None:
        self.n_seen = 0
        self._every = 1
        self._held = [np.empty((0, n_bands), dtype)]
        self._n_held = 0

    def add(self, points: Points) -> None:
        kept = points[-self.n_seen % self._every :: self._every]
        self.n_seen += len(points)
        self._held.append(kept)
        self._n_held += len(kept)
        while self._n_held > _HELD_PIXELS:
            self._held = [np.concatenate(self._held)[::2].copy()]
            self._n_held = len(self._held[0])
            self._every *= 2

    def thinned(self, n_pixels: int) -> Points:
        points = np.concatenate(self._held)
        if len(points) <= n_pixels:
            return points
        return points[np.arange(n_pixels) * len(points) // n_pixels]
