"""Pixel rectangles, and the two ways to cover an image with them.

For every module that says which pixels it means. Not for reading them (`swath.raster`) nor for
where on Earth they lie (`swath.grid.grid`).

One idea: a window is half-open and counted in whole pixels, `(row_off, col_off, height, width)`, so
that windows side by side share no pixel, and lose none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A rectangle of pixels: rows `[row_off, row_end)`, columns `[col_off, col_end)`.

    Offsets may be negative, and ends may lie past an image: `swath.raster.reader` then pads.

    Parameters
    ----------
    row_off, col_off
        First row and first column, 0-based, in pixels.
    height, width
        Number of rows and of columns, at least 1.

    Examples
    --------
    >>> Window(0, 0, 4, 4).intersect(Window(2, 3, 4, 4))
    Window(row_off=2, col_off=3, height=2, width=1)
    """

    row_off: int
    col_off: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a window has at least one pixel, not {self.height} x {self.width}")

    @property
    def row_end(self) -> int:
        """The row after the last one."""
        return self.row_off + self.height

    @property
    def col_end(self) -> int:
        """The column after the last one."""
        return self.col_off + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """`(height, width)`, in pixels."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an array `(y, x)` of the whole image.

        Raises
        ------
        ValueError
            If an offset is negative: numpy would count it from the far end.
        """
        if self.row_off < 0 or self.col_off < 0:
            raise ValueError(f"{self} begins outside the image; intersect it with the image first")
        return slice(self.row_off, self.row_end), slice(self.col_off, self.col_end)

    def intersect(self, other: Window) -> Window | None:
        """Return the pixels in both windows, or None if there are none."""
        row_off = max(self.row_off, other.row_off)
        col_off = max(self.col_off, other.col_off)
        height = min(self.row_end, other.row_end) - row_off
        width = min(self.col_end, other.col_end) - col_off
        return Window(row_off, col_off, height, width) if height > 0 and width > 0 else None

    def contains(self, other: Window) -> bool:
        """Return whether every pixel of `other` is in this window."""
        return self.intersect(other) == other

    def pad(self, n_pixels: int) -> Window:
        """Return the window grown by `n_pixels` on all four sides; it may reach past the image."""
        return Window(
            self.row_off - n_pixels,
            self.col_off - n_pixels,
            self.height + 2 * n_pixels,
            self.width + 2 * n_pixels,
        )

    def shift(self, rows: int, cols: int) -> Window:
        """Return the window moved down by `rows` and right by `cols`, in pixels."""
        return Window(self.row_off + rows, self.col_off + cols, self.height, self.width)

    def to_json(self) -> list[int]:
        """Return `[row_off, col_off, height, width]`."""
        return [self.row_off, self.col_off, self.height, self.width]

    @classmethod
    def from_json(cls, data: Sequence[int]) -> Window:
        """Build the window from what `to_json` returned."""
        row_off, col_off, height, width = data
        return cls(row_off, col_off, height, width)


def tiles(shape: tuple[int, int], size: int) -> list[Window]:
    """Cut an image into tile cores: every pixel in exactly one, smaller at the lower right edges.

    Parameters
    ----------
    shape
        `(height, width)` of the image, in pixels.
    size
        Side of a core, in pixels.

    Returns
    -------
    list of Window
        Row by row from the upper left.

    Examples
    --------
    >>> [w.to_json() for w in tiles((3, 5), 3)]
    [[0, 0, 3, 3], [0, 3, 3, 2]]
    """
    _check_positive(size=size)
    height, width = shape
    return [
        Window(row, col, min(size, height - row), min(size, width - col))
        for row in range(0, height, size)
        for col in range(0, width, size)
    ]


def sliding(shape: tuple[int, int], size: int, stride: int) -> list[Window]:
    """Lay windows of one size over an image so that its last row and column are always in one.

    Where the stride does not divide what is left, the last window is moved back to end at the edge.
    An image smaller than `size` gets one window at its upper left that reaches past the edge.

    Parameters
    ----------
    shape
        `(height, width)` of the image, in pixels.
    size
        Side of every window, in pixels.
    stride
        Step from one window to the next, in pixels. A stride above `size` leaves gaps.

    Returns
    -------
    list of Window
        Row by row from the upper left, without duplicates.

    Examples
    --------
    >>> [w.col_off for w in sliding((4, 10), size=4, stride=4)]
    [0, 4, 6]
    """
    _check_positive(size=size, stride=stride)
    height, width = shape
    return [
        Window(row, col, size, size)
        for row in sliding_offsets(height, size, stride)
        for col in sliding_offsets(width, size, stride)
    ]


def sliding_offsets(length: int, size: int, stride: int) -> list[int]:
    """Return the offsets of `sliding` along one axis of `length` pixels.

    Examples
    --------
    >>> sliding_offsets(10, size=4, stride=4)
    [0, 4, 6]
    """
    last = max(length - size, 0)
    return [*range(0, last, stride), last]


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it is counted in pixels and must be at least 1")
