"""Rasters and vectors of a few pixels, which a person can check by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

WriteRaster = Callable[..., str]
WriteVector = Callable[..., str]

LEFT, TOP = 500_000.0, 5_000_000.0
"""Upper left corner of every test raster in EPSG:32633, with pixels of 1 m."""


@pytest.fixture
def write_raster(tmp_path: Path) -> WriteRaster:
    """Return a function that writes (y, x) or (band, y, x) values and returns the path."""

    def write(
        name: str,
        values: Any,
        *,
        dtype: str = "uint8",
        nodata: float | None = None,
        crs: str | None = "EPSG:32633",
        pixel: float = 1.0,
        left: float = LEFT,
    ) -> str:
        array = np.asarray(values, dtype=dtype)
        array = array[None] if array.ndim == 2 else array
        path = tmp_path / name
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=array.shape[0],
            height=array.shape[1],
            width=array.shape[2],
            dtype=dtype,
            nodata=nodata,
            crs=crs,
            transform=Affine(pixel, 0, left, 0, -pixel, TOP),
        ) as dataset:
            dataset.write(array)
        return str(path)

    return write


@pytest.fixture
def write_boxes(tmp_path: Path) -> WriteVector:
    """Return a function that writes pixel boxes as polygons and returns the path.

    A box is (row, col, row_end, col_end) and a dict of properties.
    """

    def write(
        name: str,
        boxes: Sequence[tuple[tuple[float, float, float, float], dict[str, Any]]],
        *,
        crs: int = 32633,
    ) -> str:
        features = []
        for (row, col, row_end, col_end), properties in boxes:
            left, right, top, bottom = LEFT + col, LEFT + col_end, TOP - row, TOP - row_end
            ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
            geometry = {"type": "Polygon", "coordinates": [ring]}
            features.append({"type": "Feature", "properties": properties, "geometry": geometry})
        reference = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs}"}}
        collection = {"type": "FeatureCollection", "crs": reference, "features": features}
        path = tmp_path / name
        path.write_text(json.dumps(collection))
        return str(path)

    return write
