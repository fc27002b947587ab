"""Scenes and maps of a few pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swath.grid.grid import Grid
from swath.raster.cog import write_geotiff
from swath.scene.spec import Scene

WriteImage = Callable[..., str]


@pytest.fixture
def write_image(tmp_path: Path) -> WriteImage:
    """Return a function that writes (y, x) or (band, y, x) values on a grid of 10 m pixels."""

    def write(
        name: str,
        values: Any,
        *,
        dtype: str = "uint8",
        nodata: float | None = None,
        left: float = 0,
    ) -> str:
        bands = np.asarray(values, dtype)
        bands = bands if bands.ndim == 3 else bands[None]
        grid = Grid("EPSG:32633", (10.0, 0, left, 0, -10.0, 0), *bands.shape[1:])
        path = tmp_path / name
        blocks = [(grid.window, bands)]
        write_geotiff(path, grid, blocks, dtype=dtype, n_bands=len(bands), nodata=nodata)
        return str(path)

    return write


@pytest.fixture
def make_scene(write_image: WriteImage) -> Callable[..., Scene]:
    """Return a function that declares a scene with these labels and an image to go with them."""

    def make(labels: Any, *, image: Any = None, **fields: Any) -> Scene:
        labels = np.asarray(labels, np.uint8)
        values = np.ones_like(labels) if image is None else image
        return Scene(
            id=fields.pop("id", "a"),
            image=write_image("image.tif", values, nodata=0),
            labels=write_image("labels.tif", labels, nodata=255),
            **fields,
        )

    return make
