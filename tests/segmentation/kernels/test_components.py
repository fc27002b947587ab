"""Components, their table, and who is beside whom."""

from __future__ import annotations

import itertools
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from swath.segmentation.kernels.components import (
    describe_components,
    find_neighbours,
    is_joined,
    keep_distinct,
    label_components,
    root_of,
)

CLUSTERS = np.array(
    [
        [0, 0, 1, 1],
        [2, 0, 1, 0],
        [2, 2, 0, 0],
    ],
    np.int16,
)
NO_LINKS = np.zeros_like(CLUSTERS, np.uint8)
WHOLE = (0, 0, 3, 4)


def test_the_root_is_found_and_the_path_halved() -> None:
    parents = np.array([0, 0, 1, 2, 3], np.int32)
    assert root_of(parents, 4) == 0
    assert parents[4] == 2, "half as far from the root"
    assert root_of(parents, 0) == 0


def test_neighbours_belong_together_by_cluster_or_by_either_link() -> None:
    right = 4
    assert is_joined(5, 0, 5, 0, right)
    assert not is_joined(5, 0, 6, 0, right)
    assert is_joined(5, right + 1, 6, 0, right)
    assert is_joined(5, 0, 6, (7 - right) + 1, right), "the other one joined this one"
    assert not is_joined(5, (7 - right) + 1, 6, 0, right), "it joined another"


def test_components_are_numbered_by_their_first_pixels() -> None:
    labels, n = label_components(CLUSTERS, NO_LINKS, WHOLE, False)
    assert n == 4
    assert labels.tolist() == [[1, 1, 2, 2], [3, 1, 2, 4], [3, 3, 4, 4]]


def test_corners_join_with_eight_neighbours() -> None:
    labels, n = label_components(CLUSTERS, NO_LINKS, WHOLE, True)
    assert n == 3
    assert labels.tolist() == [[1, 1, 2, 2], [3, 1, 2, 1], [3, 3, 1, 1]]


def test_links_join_and_missing_pixels_are_zero() -> None:
    clusters = np.array([[0, 0, 1, -1, 2]], np.int16)
    links = np.array([[0, 0, 4, 0, 0]], np.uint8)  # the third to its left
    labels, n = label_components(clusters, links, (0, 0, 1, 5), False)
    assert (labels.tolist(), n) == ([[1, 1, 1, 0, 2]], 2)


def test_a_core_is_labelled_as_if_nothing_lay_around_it() -> None:
    around = np.pad(CLUSTERS, 2, constant_values=0)
    links = np.zeros_like(around, np.uint8)
    labels, n = label_components(around, links, (2, 2, 3, 4), False)
    assert n == 4
    assert (labels == label_components(CLUSTERS, NO_LINKS, WHOLE, False)[0]).all()


@pytest.mark.parametrize("is_eight", [False, True])
@pytest.mark.parametrize("n_clusters", [1, 2, 3, 9])
def test_components_equal_those_of_a_flood(
    reference: ModuleType, n_clusters: int, is_eight: bool
) -> None:
    rng = np.random.default_rng(n_clusters)
    clusters = rng.integers(-1, n_clusters, (60, 45)).astype(np.int16)
    labels, n = label_components(clusters, np.zeros((60, 45), np.uint8), (0, 0, 60, 45), is_eight)
    expected = reference.clump(clusters, 8 if is_eight else 4)
    assert (labels == expected).all()
    assert n == expected.max()


def test_a_component_is_described_by_pixels_first_pixel_and_sums() -> None:
    labels = np.array([[1, 1], [2, 0]], np.int32)
    values = np.array([[[1, 2], [3, 4]], [[-5, 5], [2**31 - 1, 0]]], np.int32)
    nodes = describe_components(labels, values, (0, 0, 2, 2), (10, 20), 100, 2)
    assert nodes.dtype == np.int64
    assert nodes.tolist() == [[2, 10 * 100 + 20, 3, 0], [1, 11 * 100 + 20, 3, 2**31 - 1]]


def test_the_table_equals_that_of_numpy() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 30, (25, 35)).astype(np.int32)
    n = 40  # the last ten are not there
    values = rng.integers(-(2**31), 2**31, (3, 27, 40)).astype(np.int32)
    nodes = describe_components(labels, values, (1, 4, 25, 35), (7, 9), 1000, n)
    inside = values[:, 1:26, 4:39]
    for label in range(1, 30):
        mask = labels == label
        row, col = np.argwhere(mask)[0]
        sums = inside[:, mask].astype(np.int64).sum(axis=1)
        expected = [mask.sum(), (7 + row) * 1000 + 9 + col, *sums]
        assert nodes[label - 1].tolist() == expected
    assert not nodes[30:].any()


def test_each_neighbour_is_listed_once_for_small_components() -> None:
    labels = np.array([[1, 1, 2], [3, 1, 2], [3, 0, 4]], np.int32)
    sizes = np.array([3, 2, 2, 1], np.int64)
    assert _lists(labels, sizes, 99, False) == [{1, 2}, {0, 3}, {0}, {1}]
    assert _lists(labels, sizes, 3, False) == [set(), {0, 3}, {0}, {1}]
    assert _lists(labels, sizes, 2, True) == [set(), set(), set(), {0, 1}]


@pytest.mark.parametrize("is_eight", [False, True])
def test_lists_equal_those_of_a_scan(reference: ModuleType, is_eight: bool) -> None:
    rng = np.random.default_rng(8)
    clusters = rng.integers(-1, 4, (50, 40)).astype(np.int16)
    labels, n = label_components(clusters, np.zeros((50, 40), np.uint8), (0, 0, 50, 40), is_eight)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    expected: list[set[int]] = [set() for _ in range(n)]
    for pixel in np.ndindex(labels.shape):
        for other in reference._neighbours(pixel, labels.shape, 8 if is_eight else 4):
            a, b = int(labels[pixel]), int(labels[other])
            if a and b and a != b and sizes[a - 1] < 6:
                expected[a - 1].add(b - 1)
    assert _lists(labels, sizes, 6, is_eight) == expected


def test_distinct_members_are_kept_in_the_order_of_their_first_mention() -> None:
    ends = np.array([3, 3, 7, 0], np.int64)
    lists = np.array([2, 1, 2, 0, 1, 1, 0], np.int32)
    offsets, kept = keep_distinct(ends, lists, 3)
    assert offsets.tolist() == [0, 2, 2, 4]
    assert kept.tolist() == [2, 1, 0, 1]


def _lists(
    labels: npt.NDArray[np.int32], sizes: npt.NDArray[np.int64], min_size: int, is_eight: bool
) -> list[set[int]]:
    offsets, neighbours = find_neighbours(labels, sizes, min_size, is_eight)
    lists = [neighbours[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert all(len(each) == len(set(each)) for each in lists)
    return [set(each) for each in lists]
