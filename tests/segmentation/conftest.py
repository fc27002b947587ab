"""Fixtures of the segmentation room."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
from affine import Affine


@pytest.fixture
def write_tif(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes an array `(band, y, x)` to a GeoTIFF of 10 m."""

    def write(name: str, values: np.ndarray, **profile: object) -> str:
        path = tmp_path / name
        n_bands, height, width = values.shape
        with rasterio.open(
            path, "w", driver="GTiff", count=n_bands, height=height, width=width,
            dtype=values.dtype.name, crs="EPSG:32633",
            transform=Affine(10, 0, 500_000, 0, -10, 5_000_000), **profile,
        ) as file:  # fmt: skip
            file.write(values)
        return str(path)

    return write


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """Return the slow transcription of the definition, `reference.py` beside this file."""
    path = Path(__file__).with_name("reference.py")
    spec = importlib.util.spec_from_file_location("segmentation_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
