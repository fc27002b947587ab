"""Cut the chips of one block of a scene into memory-mappable shards.

Not for choosing windows (`swath.scene.sampling`). One idea: the block is walked down once in large
strips, windows are cut from them as views, and each chip goes to disk while the next strip is
decoded, so that time is that of decoding and memory that of a few strips.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.learn.chip_set import ChipFiles
from swath.learn.npy import NpyWriter
from swath.learn.strips import Arrays, cut_windows
from swath.scene.reader import SceneReader, open_scene
from swath.scene.sampling import WindowContent, describe, keep, windows_of_block
from swath.scene.spec import IGNORE, ChipSampling, ClassConfig, Scene

Progress = Callable[..., None]


class _Cut(NamedTuple):
    """One window cut out of a strip."""

    window: Window
    values: NDArray[Any]
    valid: NDArray[np.bool_]
    area: NDArray[np.bool_]
    labels: NDArray[np.uint8]

    def describe(self, grid: Grid, n_classes: int) -> WindowContent:
        """Count what the window holds."""
        return describe(self.window, grid, self.valid, self.area, self.labels, n_classes)

    def labels_with_data(self, content: WindowContent) -> NDArray[np.uint8]:
        """Return the labels, without those where the image has no data."""
        if content.n_valid == self.valid.size:
            return self.labels
        return np.where(self.valid, self.labels, np.uint8(IGNORE))


def write_chips(
    scene: Scene,
    classes: ClassConfig,
    sampling: ChipSampling,
    block: Window,
    files: ChipFiles,
    *,
    progress: Progress | None = None,
) -> int:
    """Write the chips whose first pixel lies in `block`, replacing what the files hold.

    Parameters
    ----------
    scene
        Scene with labels.
    classes
        Names of the classes.
    sampling
        Size of the chips and which windows to keep.
    block
        Part of the scene; the blocks that tile a scene give all of its chips, each once.
    files
        Where to write. Values keep the dtype of the image; pixels without data are 0 and have the
        label 255.
    progress
        Called with (done, total) candidates.

    Returns
    -------
    int
        Number of chips; none is legal.

    Raises
    ------
    DataError
        If the scene has no labels.

    Notes
    -----
    Memory: four strips (`swath.learn.strips`) over the columns of the block, whatever its height.
    """
    with open_scene(scene, classes) as reader:
        if not reader.has_labels:
            raise DataError(
                "it has no labels to learn from.", where=f"scene {scene.id!r}", mend="Set labels."
            )
        windows = windows_of_block(
            reader.grid, block, sampling, scene.id, within=reader.rectangles()
        )
        choose = partial(keep, sampling=sampling, classes=classes, block=block, seed_key=scene.id)
        n_passes = 1
        if sampling.negative_ratio > 0:  # which ones stay depends on all: look first, then cut
            n_passes = 2
            seen = [cut.describe(reader.grid, classes.n_classes) for cut in _cuts(reader, windows)]
            windows = [content.window for content in choose(seen)]
        kept = []
        shape = (sampling.size, sampling.size)
        with (
            NpyWriter(files.images, (reader.n_bands, *shape), reader.dtype) as images,
            NpyWriter(files.labels, shape, np.uint8) as labels,
            _ValidWriter(files, shape) as valid,
            closing(_cuts(reader, windows)) as cuts,
        ):
            for index, cut in enumerate(cuts):
                content = cut.describe(reader.grid, classes.n_classes)
                if n_passes == 2 or choose([content]):
                    kept.append(content)
                    images.append(cut.values)
                    labels.append(cut.labels_with_data(content))
                    valid.append(cut.valid)
                if progress is not None:
                    progress(index + 1, len(windows))
        write_index(files, scene.id, reader.grid, kept, classes)
    return len(kept)


def _cuts(reader: SceneReader, windows: Sequence[Window]) -> Generator[_Cut]:
    # Labels are decoded, or drawn, while the image is: each of the two by one thread only.
    with ThreadPoolExecutor(1, "labels") as beside:

        def read(window: Window) -> Arrays:
            labels = beside.submit(reader.labels, window)
            values, valid = reader.read(window)
            return values, valid, reader.area(window), labels.result()

        with closing(cut_windows(read, windows, reader.block_shape[0], ahead=True)) as cut:
            for window, arrays in cut:
                yield _Cut(window, *arrays)


class _ValidWriter(NpyWriter):
    """Writes nothing as long as every pixel is valid; then makes up for the chips before."""

    def __init__(self, files: ChipFiles, shape: tuple[int, int]) -> None:
        super().__init__(files.valid, shape, bool)
        self._n_whole = 0

    def append(self, item: NDArray[np.generic]) -> None:
        if self.n_items == 0 and item.all():
            self._n_whole += 1
            return
        for _ in range(self._n_whole):
            super().append(np.ones(self.shape, bool))
        self._n_whole = 0
        super().append(item)


def write_index(
    files: ChipFiles,
    scene_id: str,
    grid: Grid,
    contents: Sequence[WindowContent],
    classes: ClassConfig,
) -> None:
    """Write one row per chip: footprint, scene, window and pixels of each class, as GeoParquet."""
    windows = [content.window for content in contents]
    columns: dict[str, NDArray[np.generic] | list[str]] = {
        "chip": np.arange(len(windows), dtype=np.int64),
        "scene": [scene_id] * len(windows),
    }
    for name in ("row_off", "col_off", "height", "width"):
        columns[name] = np.array([getattr(w, name) for w in windows], np.int64)
    columns["n_valid"] = np.array([content.n_valid for content in contents], np.int64)
    for index, name in enumerate(classes.names):
        counts = [(content.class_pixels or ())[index] for content in contents]
        columns[f"pixels {name}"] = np.array(counts, np.int64)
    rings = np.array([grid.window_polygon(window) for window in windows], np.float64)
    frame = gpd.GeoDataFrame(
        columns,
        geometry=shapely.polygons(rings.reshape(-1, 5, 2)),
        crs=grid.crs,
    )
    frame.to_parquet(files.index, index=False)
