"""Pixels that are alone join a neighbour."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from swath.segmentation.kernels.absorb import absorb_single_pixels
from swath.segmentation.kernels.components import label_components
from swath.segmentation.kernels.directions import COLS, IS_STRAIGHT, ROWS

UP, LEFT, RIGHT, DOWN, DOWN_RIGHT = 2, 4, 5, 7, 8  # links: 1 + direction


def _links(
    clusters: list[list[int]],
    values: list[list[int]],
    *,
    is_eight: bool = False,
    n_passes: int = 16,
) -> list[list[int]]:
    links = absorb_single_pixels(
        np.array([values], np.int32), np.ones(1), np.array(clusters, np.int16), is_eight, n_passes
    )
    assert links.dtype == np.uint8
    return list(links.tolist())


def test_directions_go_in_raster_order_and_back_again() -> None:
    steps = list(zip(ROWS.tolist(), COLS.tolist(), strict=True))
    assert steps == sorted(steps)
    assert [(-row, -col) for row, col in reversed(steps)] == steps
    straight = [step for step, is_one in zip(steps, IS_STRAIGHT, strict=True) if is_one]
    assert straight == [(-1, 0), (0, -1), (0, 1), (1, 0)]


def test_a_pixel_joins_the_neighbour_most_like_it() -> None:
    assert _links([[0, 0, 1, 2, 2]], [[10, 10, 13, 15, 15]]) == [[0, 0, RIGHT, 0, 0]]
    assert _links([[0, 0, 1, 2, 2]], [[11, 12, 13, 15, 15]]) == [[0, 0, LEFT, 0, 0]]


def test_the_first_in_raster_order_wins_a_tie() -> None:
    assert _links([[0, 0, 1, 2, 2]], [[10, 10, 13, 16, 16]]) == [[0, 0, LEFT, 0, 0]]
    clusters = [[0, 0, 0], [1, 2, 3], [1, 1, 3]]
    assert _links(clusters, [[5, 5, 5], [5, 5, 5], [5, 5, 5]])[1][1] == UP


def test_a_corner_counts_with_eight_neighbours_only() -> None:
    clusters = [[0, 1, 1], [2, 3, 3], [2, 2, 1]]
    values = [[5, 9, 9], [8, 5, 5], [8, 8, 9]]
    assert _links(clusters, values)[0][0] == DOWN
    assert _links(clusters, values, is_eight=True)[0][0] == DOWN_RIGHT


def test_all_decide_before_anyone_joins() -> None:
    """The second lone pixel may join the first only when that one is not alone any more."""
    clusters, values = [[0, 0, 1, 2]], [[10, 10, 10, 10]]
    assert _links(clusters, values, n_passes=1) == [[0, 0, LEFT, 0]]
    assert _links(clusters, values, n_passes=2) == [[0, 0, LEFT, LEFT]]


def test_pixels_without_data_never_take_part() -> None:
    assert _links([[0, 0, -1, 1, -1]], [[10, 10, 10, 10, 10]]) == [[0, 0, 0, 0, 0]]


def test_wide_differences_of_values_do_not_wrap() -> None:
    """2**31 + 2**30 apart is further than 2**31 - 1, though not in 32 bits."""
    far, near = -(2**31), 2**30
    values = [[far, far, 2**30 + 2**29, near, near]]
    assert _links([[0, 0, 1, 2, 2]], values) == [[0, 0, RIGHT, 0, 0]]


@pytest.mark.parametrize("is_eight", [False, True])
@pytest.mark.parametrize("n_clusters", [3, 10, 60])
def test_segments_equal_those_of_the_definition(
    reference: ModuleType, n_clusters: int, is_eight: bool
) -> None:
    rng = np.random.default_rng(n_clusters)
    clusters = rng.integers(-1, n_clusters, (40, 50)).astype(np.int16)
    values = rng.integers(0, 12, (3, 40, 50)).astype(np.int32)
    scale = np.array([0.5, 1.0, 3.1])
    links = absorb_single_pixels(values, scale, clusters, is_eight, reference.ABSORB_PASSES)
    labels, n = label_components(clusters, links, (0, 0, 40, 50), is_eight)
    expected = _absorbed(reference, clusters, values, scale, 8 if is_eight else 4)
    assert (labels == expected).all()
    assert n == expected.max()


def _absorbed(
    reference: ModuleType,
    clusters: npt.NDArray[np.int16],
    values: npt.NDArray[np.int32],
    scale: npt.NDArray[np.float64],
    connectivity: int,
) -> npt.NDArray[np.uint32]:
    labels = reference.clump(clusters, connectivity)
    reference.absorb(labels, values, scale, connectivity)
    numbered: npt.NDArray[np.uint32] = reference.number(labels)
    return numbered
