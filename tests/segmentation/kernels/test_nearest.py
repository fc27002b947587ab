"""The nearest centre of each pixel."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from swath.segmentation.kernels.nearest import NO_CLUSTER, nearest_centres, nearest_of_points


def _nearest(values: list[int], centres: list[float], valid: list[bool] | None = None) -> list[int]:
    found = nearest_centres(
        np.array([[values]], np.int32),
        np.array([[True] * len(values) if valid is None else valid]),
        np.ones(1, np.float32),
        np.array(centres, np.float32)[:, None],
    )
    assert found.dtype == np.int16
    return list(found[0].tolist())


def test_a_pixel_goes_to_its_nearest_centre() -> None:
    assert _nearest([0, 4, 6, 90], [0, 10]) == [0, 0, 1, 1]


def test_the_lowest_index_wins_a_tie() -> None:
    assert _nearest([5], [10, 0]) == [0]
    assert _nearest([5], [0, 10]) == [0]
    assert _nearest([7], [0, 7, 7]) == [1]


def test_a_pixel_that_is_not_valid_has_no_cluster() -> None:
    assert _nearest([0, 10], [0, 10], [False, True]) == [NO_CLUSTER, 1]


def test_bands_are_scaled() -> None:
    values = np.array([[[4]], [[4]]], np.int32)  # from (0, 8): 16 + 16 unscaled
    centres = np.array([[0, 4], [4, 1]], np.float32)
    valid = np.ones((1, 1), bool)
    assert nearest_centres(values, valid, np.array([1, 1], np.float32), centres)[0, 0] == 1
    assert nearest_centres(values, valid, np.array([0.25, 1], np.float32), centres)[0, 0] == 0


@pytest.mark.parametrize("n_bands", [1, 3, 13])
def test_clusters_equal_those_of_numpy(reference: ModuleType, n_bands: int) -> None:
    """Rows longer than the runs of pixels that the kernel takes together; ties on purpose."""
    rng = np.random.default_rng(n_bands)
    values = rng.integers(-40, 40, (n_bands, 5, 600)).astype(np.int32)
    valid = rng.random((5, 600)) < 0.9
    scale = rng.choice([0.25, 1.0, 1.7], n_bands)
    centres = rng.integers(-40, 40, (60, n_bands)).astype(np.float32)
    found = nearest_centres(values, valid, scale.astype(np.float32), centres)
    assert (found == reference.nearest(values, valid, centres, scale)).all()


def test_a_cluster_does_not_depend_on_where_in_a_row_a_pixel_falls() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 60_000, (4, 3, 700)).astype(np.int32)
    valid = np.ones((3, 700), bool)
    scale = np.array([0.3, 1.1, 0.7, 2.3], np.float32)
    centres = rng.uniform(0, 60_000, (60, 4)).astype(np.float32)
    whole = nearest_centres(values, valid, scale, centres)
    for begin in (1, 7, 255, 256, 300):
        part = nearest_centres(values[:, :, begin:].copy(), valid[:, begin:], scale, centres)
        assert (part == whole[:, begin:]).all()


def test_points_are_compared_as_pixels_are() -> None:
    rng = np.random.default_rng(1)
    points = rng.integers(-20, 20, (3, 700)).astype(np.int32)
    centres = rng.integers(-20, 20, (12, 3)).astype(np.float32)
    ones, valid = np.ones(3, np.float32), np.ones((1, 700), bool)
    pixels = nearest_centres(points[:, None], valid, ones, centres)
    assert (nearest_of_points(points.astype(np.float32), centres) == pixels[0]).all()
    line, two = np.array([[4, 5, 6]], np.float32), np.array([[0], [10]], np.float32)
    by_hand = nearest_of_points(line, two)
    assert by_hand.tolist() == [0, 0, 1]
