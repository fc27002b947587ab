"""Read class ids from a label raster.

Not here: how values are declared to be classes (`swath.scene.labels`).

The one idea: nodata becomes `IGNORE`, never class 0, and a value that nobody declared stops the
work with its name.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.reader import RasterReader, open_raster
from swath.raster.spec import ImageSpec, Stack
from swath.scene.classes import IGNORE, ClassConfig
from swath.scene.labels import RasterLabels
from swath.scene.value_table import ValueTable, fuse_colours

NAMED_VALUES = 10
"""An error names this many values; more say nothing new."""


def open_label_raster(labels: RasterLabels, image: ImageSpec) -> tuple[RasterReader, int]:
    """Open the raster of labels, on its own grid, or on the image's with ``warp="primary"``.

    Returns
    -------
    reader
        The opened raster.
    first_band
        Its first band that holds labels.

    Notes
    -----
    Only a stack can bring one source onto the grid of another. So warped labels are read beside one
    band of the image, and where that band has no data they have none either.
    """
    if labels.raster.warp is None or not labels.raster.warp.onto_primary:
        return open_raster(labels.raster), 0
    primary = image.sources[image.primary] if isinstance(image, Stack) else image
    beside = primary.replace(bands=(primary.bands or (0,))[:1], transforms=())
    return open_raster(Stack(sources=(beside, labels.raster))), 1


class RasterTruth:
    """Labels from a raster.

    Parameters
    ----------
    labels
        Their declaration.
    classes
        The classes they are to become.
    grid
        Grid of the image.
    reader, first_band
        The opened raster, closed by `close`, and its first band that holds labels.

    Raises
    ------
    DataError
        If the raster is not on the grid of the image, has another number of bands than needed, or
        `labels` names an unknown class.
    """

    def __init__(
        self,
        labels: RasterLabels,
        classes: ClassConfig,
        grid: Grid,
        reader: RasterReader,
        first_band: int = 0,
    ) -> None:
        check_label_raster(labels, grid, reader.grid, reader.n_bands - first_band)
        self._labels = labels
        self._reader = reader
        self._first_band = first_band
        self._table = ValueTable(labels.class_ids(classes))
        self._classes = classes

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return class ids, shape (y, x), with `IGNORE` at nodata and past the edges.

        Raises
        ------
        DataError
            If a valid pixel holds a value without a class.
        """
        ids, undeclared = self.decode(window)
        if undeclared:
            raise self.undeclared_error(undeclared)
        return ids

    def decode(self, window: Window) -> tuple[NDArray[np.uint8], list[int | float]]:
        """Return class ids, and the values without a class that the window holds, ascending."""
        pixels = self._reader.read(window)
        bands = pixels.values[self._first_band :]
        values = bands[0] if self._labels.rgb is None else fuse_colours(bands)
        ids, known = self._table.decode(values)
        if not pixels.valid.all():
            ids[~pixels.valid] = IGNORE
        if known.all():
            return ids, []
        wrong = pixels.valid & ~known
        return ids, [value.item() for value in np.unique(values[wrong])]

    def undeclared_error(self, values: Iterable[int | float], note: str = "") -> DataError:
        """Return the error that names values without a class, the file and the way out."""
        found = sorted(values)
        if self._labels.rgb is not None:
            names = [f"#{int(value):06x}" for value in found]
            field, example = "rgb", f"{{'{names[0]}': None}}"
        else:
            names = [f"{value:g}" for value in found]
            field, example = "mapping", f"{{{names[0]}: None}}"
        what = "colour" if field == "rgb" else "value"
        more = f" and {len(names) - NAMED_VALUES} more" if len(names) > NAMED_VALUES else ""
        return DataError(
            f"The label raster holds the {what}{'s' if len(names) > 1 else ''} "
            f"{', '.join(names[:NAMED_VALUES])}{more}, which no class has; ids run from 0 to "
            f"{self._classes.n_classes - 1} ({', '.join(self._classes.names)}){note}.",
            where=self._labels.uri,
            mend=f"Name a class for each in the labels' `{field}` (None leaves it out: {example}), "
            f"add classes, or set the raster's `nodata`.",
        )

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


def check_label_raster(labels: RasterLabels, grid: Grid, label_grid: Grid, n_bands: int) -> None:
    """Raise DataError unless a label raster fits the image's grid and its own declaration."""
    difference = grid.difference(label_grid)
    if difference is not None:
        raise DataError(
            f"Image and labels are not on one grid: {difference} (image against labels).",
            where=labels.uri,
            mend='Bring the labels onto the image with `labels.raster.warp = "primary"`, or warp '
            "the image.",
        )
    needed = 1 if labels.rgb is None else 3
    if n_bands != needed:
        raise DataError(
            f"The label raster has {n_bands} bands, but {needed} are needed"
            f"{' for labels by colour' if needed == 3 else ''}.",
            where=labels.uri,
            mend=f"Choose them with `labels.raster.bands = {(0,) if needed == 1 else (0, 1, 2)}`.",
        )
