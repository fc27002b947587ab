"""Open a scene: pixels, class ids and the area's mask of any window, on one grid.

Not here: choosing windows (`swath.scene.sampling`) and finding all mistakes of a scene at once
(`swath.scene.check`).

The one idea: whatever a scene is made of, a window of it is three arrays of one shape.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.reader import Pixels, RasterReader, open_raster
from swath.scene.classes import IGNORE
from swath.scene.mask import area_mask, area_rectangles
from swath.scene.spec import ClassConfig, Scene
from swath.scene.truth import Truth, open_truth


class SceneReader:
    """An opened scene, for one thread; a context manager. Made by `open_scene`.

    Parameters
    ----------
    scene
        Its declaration.
    image
        The opened imagery.
    truth
        The opened labels, if there are any.
    """

    def __init__(self, scene: Scene, image: RasterReader, truth: Truth | None) -> None:
        self.scene = scene
        self._image = image
        self._truth = truth

    @property
    def grid(self) -> Grid:
        """Grid of the image, and so of labels and area."""
        return self._image.grid

    @property
    def n_bands(self) -> int:
        """Number of bands of the image."""
        return self._image.n_bands

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the image's values."""
        return self._image.dtype

    @property
    def block_shape(self) -> tuple[int, int]:
        """Height and width in pixels of what the image decodes at once."""
        return self._image.block_shape

    @property
    def has_labels(self) -> bool:
        """Whether the scene has labels."""
        return self._truth is not None

    def read(self, window: Window) -> Pixels:
        """Return the pixels of a window.

        Parameters
        ----------
        window
            Pixels of the image; may reach past its edges.

        Returns
        -------
        Pixels
            Values (band, y, x) and validity (y, x); past the edges nothing is valid.
        """
        return self._image.read(window)

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """Return class ids of a window, shape (y, x).

        `IGNORE` stands where the labels have no data, where they were left out, outside the area
        and past the edges of the image. Where only the image has no data, labels stay.

        Raises
        ------
        DataError
            If the scene has no labels, or a label inside or outside the area has no class.
        """
        if self._truth is None:
            raise DataError(
                "The scene has no labels.",
                where=f"scene {self.scene.id}",
                mend="Set `labels`, or use the scene for prediction only.",
            )
        ids = self._truth.read(window)
        if self.scene.area is not None:
            ids[~self.area(window)] = IGNORE
        return ids

    def area(self, window: Window) -> NDArray[np.bool_]:
        """Return which pixels of a window lie in the image and in the area, shape (y, x)."""
        return area_mask(self.scene.area, self.grid, window)

    def rectangles(self) -> tuple[Window, ...]:
        """Return rectangles of the image that together hold the area, to lay windows on."""
        return area_rectangles(self.scene.area, self.grid)

    def close(self) -> None:
        """Close the files."""
        self._image.close()
        if self._truth is not None:
            self._truth.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_scene(scene: Scene, classes: ClassConfig) -> SceneReader:
    """Open the files of a scene.

    Parameters
    ----------
    scene
        What to open.
    classes
        The classes that labels become.

    Raises
    ------
    DataError
        If a file is missing or unreadable, or image and labels do not fit together.
    """
    image = open_raster(scene.image)
    try:
        truth = None if scene.labels is None else open_truth(scene.labels, classes, image)
    except BaseException:
        image.close()
        raise
    return SceneReader(scene, image, truth)
