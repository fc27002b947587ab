"""Read labels as class ids, window by window, whatever file they come from.

Not here: how values are declared to be classes (`swath.scene.labels`), and the area outside which
labels do not count (`swath.scene.reader` puts both together).

The one idea: a pixel gets a class only if the declaration says which; all others are `IGNORE`, and
a value that nobody declared stops the work.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.rasterize import rasterize
from swath.raster.reader import RasterReader
from swath.scene.classes import IGNORE, ClassConfig
from swath.scene.labels import RasterLabels, VectorLabels
from swath.scene.mask import inside
from swath.scene.raster_truth import NAMED_VALUES, RasterTruth, open_label_raster
from swath.vector.reader import Features, read_vector


class Truth(Protocol):
    """Labels of one scene, on the grid of its image."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return class ids, shape (y, x), with `IGNORE` where there is no class."""

    def close(self) -> None:
        """Close the files."""


def open_truth(
    labels: RasterLabels | VectorLabels, classes: ClassConfig, image: RasterReader
) -> RasterTruth | VectorTruth:
    """Open the labels of a scene.

    Parameters
    ----------
    labels
        Their declaration.
    classes
        The classes they are to become.
    image
        The opened imagery, whose grid they are on.

    Raises
    ------
    DataError
        If a file is missing or unreadable, or labels, classes and image do not fit together.
    """
    if isinstance(labels, VectorLabels):
        return VectorTruth(labels, classes, image.grid)
    reader, first_band = open_label_raster(labels, image.spec)
    try:
        return RasterTruth(labels, classes, image.grid, reader, first_band)
    except BaseException:
        reader.close()
        raise


class VectorTruth:
    """Labels from features, burnt into each window in the order of the file.

    Parameters
    ----------
    labels
        Their declaration.
    classes
        The classes they are to become.
    grid
        Grid of the image.

    Attributes
    ----------
    features : Features
        The features, widened by the buffer, in the CRS of the image.

    Raises
    ------
    DataError
        If the file is unreadable, or a feature has no class.
    """

    def __init__(self, labels: VectorLabels, classes: ClassConfig, grid: Grid) -> None:
        features = read_vector(labels.uri, labels.layer, grid.crs)
        self._ids = feature_ids(labels, classes, features)
        self.features = features.widened(labels.buffer)
        self._background = labels.background_id(classes)
        self._grid = grid

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return class ids, shape (y, x), with the background's id outside features.

        Past the edges of the image is `IGNORE`.
        """
        # One pixel more, so that a line along the edge of the window is asked for too.
        near = self.features.query(self._grid.window_bounds(window.pad(1)))
        shapes = [(self.features.geometries[i], int(self._ids[i])) for i in near]
        ids: NDArray[np.uint8] = rasterize(
            shapes, self._grid, window, fill=self._background, dtype="uint8"
        )
        ids[~inside(self._grid.window, window)] = IGNORE
        return ids

    def close(self) -> None:
        """Do nothing: the features stay cached for the next scene."""


def feature_ids(
    labels: VectorLabels, classes: ClassConfig, features: Features
) -> NDArray[np.uint8]:
    """Return the class id, or `IGNORE`, of each feature, shape (n,).

    Raises
    ------
    DataError
        If a feature's property names no class; all such values are named.
    """
    fixed = labels.fixed_id(classes)
    if fixed is not None or labels.class_property is None:
        return np.full(len(features), fixed, dtype=np.uint8)
    ids = labels.class_ids(classes)
    values = [property_text(value) for value in features.values(labels.class_property)]
    wrong = sorted({value for value in values if value not in ids})
    if wrong:
        more = f" and {len(wrong) - NAMED_VALUES} more" if len(wrong) > NAMED_VALUES else ""
        raise DataError(
            f"Features have {labels.class_property} = "
            f"{', '.join(repr(value) for value in wrong[:NAMED_VALUES])}{more}, which is no class "
            f"({', '.join(classes.names)}).",
            where=labels.uri,
            mend=f"Name a class for each in the labels' `mapping` (None leaves it out: "
            f"{{{wrong[0]!r}: None}}), or add classes.",
        )
    return np.array([ids[value] for value in values], dtype=np.uint8)


def property_text(value: object) -> str:
    """Return a property's value as the text that `mapping` is keyed by; 3.0 reads '3'."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
