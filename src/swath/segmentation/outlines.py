"""Pictures of segment outlines over an image, to be looked at. Not for measuring.

One idea: an outline is drawn on the first row and column of picture pixels of the image pixel below
or to the right of it, so that lines are one picture pixel wide at every zoom.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from swath.errors import DataError
from swath.grid.window import Window
from swath.raster.reader import open_raster
from swath.raster.spec import Raster, Stack
from swath.stats.stretch import stretched

Colour = tuple[int, int, int]
Picture = npt.NDArray[np.uint8]

YELLOW: Colour = (255, 230, 0)


def outline_picture(
    values: npt.NDArray[Any],
    valid: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.integer[Any]],
    *,
    bands: Sequence[int] = (0, 1, 2),
    colour: Colour = YELLOW,
    zoom: int = 1,
) -> Picture:
    """Draw the outlines of segments over an image.

    Parameters
    ----------
    values
        Image, array `(band, y, x)`.
    valid
        Array `(y, x)` of bool; other pixels are grey.
    labels
        Array `(y, x)` of whole numbers; where neighbours differ is an outline.
    bands
        Bands shown as red, green and blue, 0-based, each stretched from its 2nd to its 98th
        percentile; where the image lacks one of them, its first band is shown in grey.
    colour
        Red, green, blue of the outlines, 0 to 255.
    zoom
        Picture pixels on one side of an image pixel.

    Returns
    -------
    numpy.ndarray
        Array `(y * zoom, x * zoom, 3)` of uint8.
    """
    shown = list(bands) if max(bands) < len(values) else [0]
    picture = stretched(values[shown], valid).repeat(zoom, axis=0).repeat(zoom, axis=1)
    picture[_lines(labels, zoom)] = colour
    return picture


def write_outlines(
    path: str | PathLike[str],
    image: Raster | Stack,
    labels: str | PathLike[str],
    *,
    window: Window | None = None,
    bands: Sequence[int] = (0, 1, 2),
    colour: Colour = YELLOW,
    zoom: int = 1,
) -> None:
    """Draw the outlines of segments in a window over an image, as PNG.

    Parameters
    ----------
    path
        File to write.
    image
        The image.
    labels
        Path or URI of a raster of segments on the grid of the image.
    window
        Pixels to show, held in memory; default: all.
    bands, colour, zoom
        See `outline_picture`.

    Raises
    ------
    DataError
        If the labels are not on the grid of the image, or the window is not within it.
    """
    with open_raster(image) as pixels, open_raster(Raster(uris=str(labels))) as segments:
        difference = pixels.grid.difference(segments.grid)
        if difference is not None:
            raise DataError(
                f"Image and labels are not on one grid: {difference}.",
                where=str(labels),
                mend="Give the image that was segmented.",
            )
        shown = pixels.grid.window if window is None else window
        if not pixels.grid.window.contains(shown):
            raise DataError(
                f"The window {shown.to_json()} (row, column, height, width) is not within the "
                f"image of {pixels.grid.height} x {pixels.grid.width} px (rows x columns).",
                where=str(labels),
                mend="Correct the window; rows and columns are counted from 0.",
            )
        values, valid = pixels.read(shown)
        ids, _ = segments.read(shown)
    picture = outline_picture(values, valid, ids[0], bands=bands, colour=colour, zoom=zoom)
    Image.fromarray(picture).save(path, format="PNG", optimize=True)


def _lines(labels: npt.NDArray[np.integer[Any]], zoom: int) -> npt.NDArray[np.bool_]:
    """Return which picture pixels are on a line, array `(y * zoom, x * zoom)` of bool."""
    below = np.zeros(labels.shape, bool)  # a line above the pixel
    below[1:] = labels[1:] != labels[:-1]
    right = np.zeros(labels.shape, bool)  # a line to the left of it
    right[:, 1:] = labels[:, 1:] != labels[:, :-1]
    corner = below | right  # also where lines from above or from the left end
    corner[1:] |= right[:-1]
    corner[:, 1:] |= below[:, :-1]
    lines = np.zeros((labels.shape[0], zoom, labels.shape[1], zoom), bool)
    lines[:, 0] |= below[..., np.newaxis]
    lines[..., 0] |= right[:, np.newaxis]
    if zoom > 1:
        lines[:, 0, :, 0] |= corner
    return lines.reshape(labels.shape[0] * zoom, labels.shape[1] * zoom)
