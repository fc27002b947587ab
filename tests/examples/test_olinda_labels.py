"""The labels of the Olinda example are what its script derives from the image."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio


@pytest.fixture(scope="module")
def script(olinda: Path) -> dict[str, Any]:
    return runpy.run_path(str(olinda / "make_labels.py"))


def test_threshold_parts_two_groups_between_their_values(script: dict[str, Any]) -> None:
    values = np.array([-0.505, -0.505, -0.505, 0.505])
    # Every edge between the two values parts them equally well; the first one is taken.
    assert script["otsu_threshold"](values) == pytest.approx(-0.5)


def test_normalised_difference_does_not_wrap_around_in_uint8(script: dict[str, Any]) -> None:
    low, high = np.array([[50]], np.uint8), np.array([[250]], np.uint8)
    assert script["normalised_difference"](low, high)[0, 0] == pytest.approx(-200 / 300)


def test_labels_in_the_repository_are_what_the_script_makes(
    script: dict[str, Any], olinda: Path
) -> None:
    with rasterio.open(olinda / "L7_ETMs.tif") as image:
        expected = script["label"](image.read())
    with rasterio.open(olinda / "labels.tif") as labels:
        np.testing.assert_array_equal(labels.read(1), expected)


def test_labels_lie_on_the_grid_of_the_image(olinda: Path) -> None:
    with (
        rasterio.open(olinda / "L7_ETMs.tif") as image,
        rasterio.open(olinda / "labels.tif") as labels,
    ):
        assert (labels.crs, labels.transform, labels.shape) == (
            image.crs,
            image.transform,
            image.shape,
        )
        assert labels.nodata == 255
        assert set(np.unique(labels.read(1))) == {0, 1, 2, 255}
