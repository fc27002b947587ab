"""Count how a predicted map agrees with the labels of its scene.

Not for scores, which are formulas over summed counts (`swath.evaluate.scores`). One idea: both
files are walked through once, side by side; what has no label, lies outside the area or has no data
is out of the count, never a correct background.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.window import Window
from swath.raster.reader import RasterReader, open_raster
from swath.raster.spec import Raster
from swath.scene.reader import SceneReader, open_scene
from swath.scene.spec import IGNORE, ClassConfig, Scene
from swath.stats.confusion import ConfusionCounts

Progress = Callable[..., None]

PART_PIXELS = 2**20
"""Pixels compared at once, about; at least one block of the map."""


@dataclass(frozen=True)
class SceneCounts:
    """What was counted in one scene.

    Attributes
    ----------
    scene
        Its id.
    confusion
        Pixels by class in truth and prediction.
    n_labelled
        Labelled pixels inside the area.
    n_not_predicted
        Of these, pixels where the map has no data; they are not in `confusion`.
    """

    scene: str
    confusion: ConfusionCounts
    n_labelled: int
    n_not_predicted: int

    def write(self, path: Path) -> None:
        """Write as JSON that `read` reads back unchanged."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n", "utf-8")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "scene": self.scene,
            "confusion": self.confusion.to_json(),
            "n_labelled": self.n_labelled,
            "n_not_predicted": self.n_not_predicted,
        }

    @classmethod
    def read(cls, path: Path) -> SceneCounts:
        """Read what `write` wrote."""
        data: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
        confusion = ConfusionCounts.from_json(data["confusion"])
        return cls(**{**data, "confusion": confusion})


def count_scene(
    scene: Scene, classes: ClassConfig, prediction: Path | str, *, progress: Progress | None = None
) -> SceneCounts:
    """Compare a map with the labels of its scene.

    Parameters
    ----------
    scene
        Scene with labels.
    classes
        The classes.
    prediction
        Map of class ids on the grid of the scene; nodata where nothing was predicted.
    progress
        Called with (done, total) rows.

    Raises
    ------
    DataError
        If the map lies on another grid, or no labelled pixel inside the area was predicted: an
        evaluation of nothing is no success.

    Notes
    -----
    Memory: two parts of a million pixels, whatever the size of the scene. A thread reads one part
    ahead of the counting.
    """
    confusion = ConfusionCounts(classes.n_classes)
    n_labelled = n_not_predicted = 0
    with (
        open_scene(scene, classes) as reader,
        open_raster(Raster(uris=(str(prediction),))) as predicted_reader,
    ):
        _check_grid(reader, predicted_reader, str(prediction))
        for window, truth, predicted in _parts_ahead(reader, predicted_reader):
            known = truth != IGNORE
            n_labelled += int(np.count_nonzero(known))
            n_not_predicted += int(np.count_nonzero(known & (predicted == IGNORE)))
            confusion.add(truth, predicted)
            if progress is not None and window.col_end == reader.grid.width:
                progress(window.row_end, reader.grid.height)
    if n_labelled == n_not_predicted:
        what = "no pixel has a label" if n_labelled == 0 else "no labelled pixel was predicted"
        raise DataError(
            f"{what}, so there is nothing to evaluate.",
            where=f"scene {scene.id!r}",
            mend="Look at its labels, its area and the nodata value of its image.",
        )
    return SceneCounts(scene.id, confusion, n_labelled, n_not_predicted)


def class_ids(reader: RasterReader, window: Window) -> NDArray[np.uint8]:
    """Return the class ids of a map in a window, ``(y, x)`` uint8, 255 where it has no data."""
    values, valid = reader.read(window)
    ids: NDArray[np.uint8] = values[0].astype(np.uint8, copy=False)
    if not valid.all():
        ids[~valid] = IGNORE
    return ids


def _parts_ahead(
    scene: SceneReader, prediction: RasterReader
) -> Iterator[tuple[Window, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield all parts with truth and prediction, read in a thread one ahead of the counting."""

    def read(window: Window) -> tuple[Window, NDArray[np.uint8], NDArray[np.uint8]]:
        return window, scene.labels(window), class_ids(prediction, window)

    parts = _parts(prediction)
    with ThreadPoolExecutor(1, "parts") as beside:
        coming = beside.submit(read, parts[0])
        for following in parts[1:]:
            part = coming.result()
            coming = beside.submit(read, following)
            yield part
        yield coming.result()


def _parts(reader: RasterReader) -> list[Window]:
    """Cut a map into parts along its blocks, row by row."""
    grid, (block_rows, block_cols) = reader.grid, reader.block_shape
    n_rows = max(1, PART_PIXELS // (grid.width * block_rows)) * block_rows
    n_cols = max(1, PART_PIXELS // (n_rows * block_cols)) * block_cols
    return [
        Window(row, col, min(n_rows, grid.height - row), min(n_cols, grid.width - col))
        for row in range(0, grid.height, n_rows)
        for col in range(0, grid.width, n_cols)
    ]


def _check_grid(scene: SceneReader, prediction: RasterReader, path: str) -> None:
    difference = scene.grid.difference(prediction.grid)
    if difference is not None:
        raise DataError(
            f"the map and scene {scene.scene.id!r} are not on one grid: {difference}.",
            where=path,
            mend="Predict the scene again.",
        )
