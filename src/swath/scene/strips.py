"""Cut rectangles of pixels into strips that fit in memory, or into some that stand for all.

Not for tiles of work (`swath.grid.window.tiles`).

The one idea: strips as wide as the image decode every block of a file about once, whether it is
stored in tiles or in rows.
"""

from __future__ import annotations

from swath.grid.window import Window

STRIP_PIXELS = 4_000_000
"""Size of a strip: tens of MB with a few bands, and more rows than blocks mostly have."""

MAX_PIXELS_READ = 100_000_000
"""A check looks at every pixel up to this size, and at evenly spread strips of larger scenes."""


def cut_strips(whole: Window, strip_pixels: int = STRIP_PIXELS) -> list[Window]:
    """Cut a window into strips of its width, from top to bottom.

    Parameters
    ----------
    whole
        What to cut.
    strip_pixels
        Size of a strip in pixels; a strip has at least one row.

    Examples
    --------
    >>> [strip.to_json() for strip in cut_strips(Window(1, 0, 3, 5), strip_pixels=10)]
    [[1, 0, 2, 5], [3, 0, 1, 5]]
    """
    rows = min(max(strip_pixels // whole.width, 1), whole.height)
    return [
        Window(row, whole.col_off, min(rows, whole.row_end - row), whole.width)
        for row in range(whole.row_off, whole.row_end, rows)
    ]


def spread_strips(
    whole: Window, max_pixels: int = MAX_PIXELS_READ, strip_pixels: int = STRIP_PIXELS
) -> tuple[list[Window], str]:
    """Cut a window into strips, and keep evenly spread ones of a window above `max_pixels`.

    Parameters
    ----------
    whole
        What to cut.
    max_pixels
        Size in pixels that the kept strips add up to at most; one is always kept.
    strip_pixels
        Size of a strip in pixels.

    Returns
    -------
    strips
        From top to bottom.
    note
        Empty if the strips hold every pixel; else the words to add to a finding.
    """
    strips = cut_strips(whole, strip_pixels)
    if whole.pixels <= max_pixels:
        return strips, ""
    n_kept = max(max_pixels // strips[0].pixels, 1)
    kept = [strips[index * len(strips) // n_kept] for index in range(n_kept)]
    return kept, f" (looked at {n_kept} of {len(strips)} strips)"
