"""Count how a predicted map agrees with the labels of its scene.

Not for scores, which are formulas over summed counts (`swath.evaluate.scores`). One idea: both
files are walked down once in strips; what has no label, lies outside the area or has no data is
out of the count, never a correct background.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
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

STRIP_PIXELS = 2**22
"""Pixels compared at once, about; at least one row of blocks of the map."""


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
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")

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
        data: Mapping[str, Any] = json.loads(path.read_text())
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
    Memory: one strip of a few million pixels, whatever the size of the scene.
    """
    confusion = ConfusionCounts(classes.n_classes)
    n_labelled = n_not_predicted = 0
    with (
        open_scene(scene, classes) as reader,
        open_raster(Raster(uris=(str(prediction),))) as predicted_reader,
    ):
        _check_grid(reader, predicted_reader, str(prediction))
        for window in _strips(predicted_reader):
            truth = reader.labels(window)
            predicted = class_ids(predicted_reader, window)
            known = truth != IGNORE
            n_labelled += int(np.count_nonzero(known))
            n_not_predicted += int(np.count_nonzero(known & (predicted == IGNORE)))
            confusion.add(truth, predicted)
            if progress is not None:
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


def _strips(reader: RasterReader) -> Iterator[Window]:
    grid, block_rows = reader.grid, reader.block_shape[0]
    rows = max(1, STRIP_PIXELS // (grid.width * block_rows)) * block_rows
    for row in range(0, grid.height, rows):
        yield Window(row, 0, min(rows, grid.height - row), grid.width)


def _check_grid(scene: SceneReader, prediction: RasterReader, path: str) -> None:
    difference = scene.grid.difference(prediction.grid)
    if difference is not None:
        raise DataError(
            f"the map and scene {scene.scene.id!r} are not on one grid: {difference}.",
            where=path,
            mend="Predict the scene again.",
        )
