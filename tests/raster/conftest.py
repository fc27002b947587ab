"""Small GeoTIFFs, written with plain rasterio so that our own writer does not test our reader."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

WriteTif = Callable[..., str]


@pytest.fixture
def write_tif(tmp_path: Path) -> WriteTif:
    """Return a function that writes an array to a GeoTIFF of 10 m in EPSG:32633."""

    def write(
        name: str,
        values: np.ndarray,
        *,
        crs: str | None = "EPSG:32633",
        origin: tuple[float, float] = (500_000, 5_000_000),
        size: float = 10,
        mask: np.ndarray | None = None,
        **profile: Any,
    ) -> str:
        values = values if values.ndim == 3 else values[np.newaxis]
        path = tmp_path / name
        if crs is not None:
            profile["transform"] = Affine(size, 0, origin[0], 0, -size, origin[1])
        with (
            warnings.catch_warnings(),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        ):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(
                path,
                "w",
                driver="GTiff",
                count=len(values),
                height=values.shape[1],
                width=values.shape[2],
                dtype=values.dtype.name,
                crs=crs,
                **profile,
            ) as file:
                file.write(values)
                if mask is not None:
                    file.write_mask(mask)
        return str(path)

    return write
