"""One picture per scene: image, truth and prediction side by side, with a legend.

Not for measuring: pixels are sampled, not averaged. One idea: only as many rows are read as the
picture shows, so memory is bounded by the picture and a strip, not by the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from swath.evaluate.counts import class_ids
from swath.grid.window import Window
from swath.raster.reader import open_raster
from swath.raster.spec import Raster
from swath.scene.reader import open_scene
from swath.scene.spec import IGNORE, ClassConfig, Scene
from swath.stats.stretch import NOTHING, stretched

BACKGROUND = (255, 255, 255)
INK = (40, 40, 40)
UNKNOWN = "no label or data"
GAP = 12
FONT_PX = 15
LARGEST_STRIP = 2**22  # pixels


def write_preview(
    path: Path,
    scene: Scene,
    classes: ClassConfig,
    prediction: Path | str,
    *,
    panel_px: int,
    bands: Sequence[int] = (0, 1, 2),
) -> None:
    """Draw image, truth and prediction of a scene side by side, as PNG.

    Parameters
    ----------
    path
        File to write.
    scene
        Scene with labels.
    classes
        Names and colours.
    prediction
        Map of class ids on the grid of the scene.
    panel_px
        Longest edge of a panel in pixels; smaller scenes are drawn larger by a whole factor.
    bands
        Bands shown as red, green and blue, of those that the scene's image has, from 0.

    Notes
    -----
    Bands are stretched from the 2nd to the 98th percentile each; an image without one of `bands`
    is shown by its first band in grey. Plain grey areas have no data or no label.
    """
    colours = _palette(classes)
    with (
        open_scene(scene, classes) as reader,
        open_raster(Raster(uris=(str(prediction),))) as map_reader,
    ):
        shown = list(bands) if max(bands) < reader.n_bands else [0]
        rows = _sampled(reader.grid.height, panel_px, reader.grid.shape)
        cols = _sampled(reader.grid.width, panel_px, reader.grid.shape)
        values: list[NDArray[Any]] = []
        valid: list[NDArray[np.bool_]] = []
        truth: list[NDArray[np.uint8]] = []
        predicted: list[NDArray[np.uint8]] = []
        for window, picked in _strips(rows, reader.grid.width, reader.block_shape[0]):
            pixels = reader.read(window)
            at = np.ix_(picked, cols)
            values.append(pixels.values[shown][:, picked][..., cols])
            valid.append(pixels.valid[at])
            truth.append(reader.labels(window)[at])
            predicted.append(class_ids(map_reader, window)[at])
    panels = [
        stretched(np.concatenate(values, axis=1), np.concatenate(valid)),
        colours[np.concatenate(truth)],
        colours[np.concatenate(predicted)],
    ]
    factor = max(1, panel_px // max(panels[0].shape[:2]))
    panels = [panel.repeat(factor, axis=0).repeat(factor, axis=1) for panel in panels]
    titles = (f"image: {scene.id}", "truth", "prediction")
    compose(panels, titles, classes, colours).save(path, format="PNG", optimize=True)


def compose(
    panels: Sequence[NDArray[np.uint8]],
    titles: Sequence[str],
    classes: ClassConfig,
    colours: NDArray[np.uint8],
) -> Image.Image:
    """Put panels ``(y, x, 3)`` of one size side by side, titles above and a legend below."""
    font = ImageFont.load_default(FONT_PX)
    height, width = panels[0].shape[:2]
    total = len(panels) * width + (len(panels) + 1) * GAP
    entries = _legend_places([*classes.names, UNKNOWN], total, font)
    top = GAP + FONT_PX + GAP // 2
    line = FONT_PX + GAP // 2
    bottom = top + height + GAP + (entries[-1][1] + 1) * line + GAP
    sheet = Image.new("RGB", (total, bottom), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for index, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = GAP + index * (width + GAP)
        draw.text((left, GAP), _fitted(title, width, font), fill=INK, font=font, anchor="lt")
        sheet.paste(Image.fromarray(panel), (left, top))
    swatches = [*colours[: classes.n_classes], colours[IGNORE]]
    for (left, row), name, colour in zip(entries, [*classes.names, UNKNOWN], swatches, strict=True):
        y = top + height + GAP + row * line
        box = (left, y, left + FONT_PX, y + FONT_PX)
        draw.rectangle(box, fill=tuple(int(part) for part in colour), outline=INK)
        text = (left + FONT_PX + GAP // 2, y + FONT_PX // 2)
        draw.text(text, name, fill=INK, font=font, anchor="lm")
    return sheet


def _palette(classes: ClassConfig) -> NDArray[np.uint8]:
    palette = np.full((IGNORE + 1, 3), NOTHING, np.uint8)
    for index, rgb in classes.colour_table().items():
        palette[index] = rgb
    return palette


def _sampled(length: int, panel_px: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the rows or columns that are shown: the middles of equal steps, one scale for both."""
    scale = max(1.0, max(shape) / panel_px)
    n_shown = max(1, round(length / scale))
    return ((np.arange(n_shown) + 0.5) * length / n_shown).astype(np.int64)


def _strips(
    rows: NDArray[np.int64], width: int, block_rows: int
) -> list[tuple[Window, NDArray[np.int64]]]:
    """Group the rows by the rows of blocks that hold them; each block is decoded once."""
    step = block_rows if block_rows * width <= LARGEST_STRIP else 1
    groups = np.split(rows, np.flatnonzero(np.diff(rows // step)) + 1)
    strips = []
    for group in groups:
        first, last = int(group[0]), int(group[-1])
        strips.append((Window(first, 0, last - first + 1, width), group - first))
    return strips


def _legend_places(
    names: Sequence[str], total: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[tuple[int, int]]:
    """Return (left edge in pixels, line) of each entry, wrapped at the width of the sheet."""
    places, left, line = [], GAP, 0
    for name in names:
        width = FONT_PX + GAP // 2 + int(font.getlength(name)) + 2 * GAP
        if left > GAP and left + width > total:
            left, line = GAP, line + 1
        places.append((left, line))
        left += width
    return places


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
