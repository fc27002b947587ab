"""Write predicted blocks, and join those of a scene into cloud-optimised GeoTIFFs.

One idea: a block file is read back once, block by block, so a map of any size is joined in the
memory of one block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.cog import write_cog, write_geotiff
from swath.raster.reader import open_raster
from swath.raster.spec import Raster
from swath.scene.spec import IGNORE, ClassConfig

FULL_SCORE = 255
"""A probability of 1 in a file of scores; 0 is 0, and values between are rounded."""


class BlockPrediction(NamedTuple):
    """What is predicted for a block.

    Attributes
    ----------
    labels
        ``(y, x)`` uint8 class ids, 255 where the image has no data.
    scores
        ``(class, y, x)`` uint8, probability * 255, 0 where the image has no data; None if not asked
        for.
    """

    labels: NDArray[np.uint8]
    scores: NDArray[np.uint8] | None


def write_block(
    prediction: BlockPrediction, grid: Grid, block: Window, labels: Path, scores: Path | None
) -> None:
    """Write the labels of a block, and its scores if there is a place for them.

    Parameters
    ----------
    prediction
        What was predicted.
    grid
        Grid of the scene.
    block
        Where the block lies in it.
    labels, scores
        Files to write.
    """
    own, whole = grid.crop(block), Window(0, 0, *block.shape)
    write_geotiff(labels, own, [(whole, prediction.labels)], dtype="uint8", nodata=IGNORE)
    if scores is not None:
        assert prediction.scores is not None
        values = prediction.scores
        write_geotiff(scores, own, [(whole, values)], dtype="uint8", n_bands=len(values))


def write_map(
    path: Path, grid: Grid, blocks: Sequence[Window], files: Sequence[Path], classes: ClassConfig
) -> None:
    """Join label blocks into one map with the colours of the classes.

    Parameters
    ----------
    path
        Cloud-optimised GeoTIFF to write: uint8 class ids, 255 is nodata.
    grid
        Grid of the scene.
    blocks, files
        Windows of the blocks and their files, in one order.
    classes
        Names and colours.
    """
    tags = {f"CLASS_{index}": name for index, name in enumerate(classes.names)}
    write_cog(
        path,
        grid,
        _read_blocks(blocks, files),
        dtype="uint8",
        nodata=IGNORE,
        colours=classes.colour_table(),
        resampling="mode",
        tags=tags,
    )


def write_scores(
    path: Path, grid: Grid, blocks: Sequence[Window], files: Sequence[Path], classes: ClassConfig
) -> None:
    """Join score blocks into one file with a band per class, probability * 255 as uint8."""
    write_cog(
        path,
        grid,
        _read_blocks(blocks, files),
        dtype="uint8",
        n_bands=classes.n_classes,
        resampling="average",
        tags={"SCALE": f"probability = value / {FULL_SCORE}"},
        band_names=classes.names,
    )


def _read_blocks(
    blocks: Sequence[Window], files: Sequence[Path]
) -> Iterator[tuple[Window, NDArray[Any]]]:
    for block, file in zip(blocks, files, strict=True):
        with open_raster(Raster(uris=(str(file),))) as reader:
            values, valid = reader.read(Window(0, 0, *block.shape))
            if len(values) == 1:
                values = np.where(valid, values, np.uint8(IGNORE))
            yield block, values
