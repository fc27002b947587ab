"""Variance within segments and Moran's I of neighbours, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from swath.segmentation.goodness import Goodness, goodness, neighbours, scores


def test_moran_of_a_row_of_four_segments() -> None:
    # Means 1 2 3 4, less 2.5: products 0.75 - 0.25 + 0.75, squares 5, three pairs: 4 * 1.25 / 15.
    found = goodness([(np.array([[[1, 2, 3, 4]]], np.uint8), np.array([[1, 2, 3, 4]]))])
    assert found.moran == pytest.approx(1 / 3)
    assert found.variance == 0
    assert (found.n_segments, found.n_pixels) == (4, 4)


def test_moran_of_a_checkerboard_is_minus_1() -> None:
    values = np.array([[[0, 9], [9, 0]]], np.uint16)
    assert goodness([(values, np.array([[1, 2], [3, 4]]))]).moran == pytest.approx(-1)


def test_variance_is_weighted_by_area_and_by_that_of_all_pixels() -> None:
    # Segment 1: 0 0 3, mean 1, squares 6. Segment 2: 5. All: mean 2, squares 4 + 4 + 1 + 9 = 18.
    found = goodness([(np.array([[[0, 0, 3, 5]]], np.int16), np.array([[1, 1, 1, 2]]))])
    assert found.variance == pytest.approx(6 / 18)


def test_bands_count_alike_whatever_their_units() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((2, 12, 12))
    labels = np.repeat(np.repeat(np.arange(1, 17).reshape(4, 4), 3, axis=0), 3, axis=1)
    plain = goodness([(values, labels)])
    scaled = goodness([(values * [[[1.0]], [[1000.0]]] + 7, labels)])
    assert scaled.variance == pytest.approx(plain.variance)
    assert scaled.moran == pytest.approx(plain.moran)


def test_pixels_of_no_segment_do_not_count() -> None:
    values, labels = np.array([[[1, 2, 250, 3, 4]]], np.uint8), np.array([[1, 2, 0, 3, 4]])
    # Without the pair in the middle: two pairs, products 0.75 + 0.75.
    assert goodness([(values, labels)]).moran == pytest.approx(4 * 1.5 / (2 * 5))
    with pytest.raises(ValueError, match="no pixel is in a segment"):
        goodness([(values, np.zeros_like(labels))])


def test_windows_have_segments_of_their_own() -> None:
    one = (np.array([[[1, 2]]], np.uint8), np.array([[1, 2]]))
    other = (np.array([[[3, 4]]], np.uint8), np.array([[1, 2]]))
    found = goodness([one, other])
    assert found.n_segments == 4
    assert found.moran == pytest.approx(4 * 1.5 / (2 * 5))


@pytest.mark.parametrize("labels", [[[1, 1, 1]], [[1, 0, 2]], [[1, 2, 3]]])
def test_moran_is_0_where_it_is_not_defined(labels: list[list[int]]) -> None:
    values = np.array([[[5, 5, 5]]], np.uint8)
    assert goodness([(values, np.array(labels))]).moran == 0


def test_neighbours_share_a_side_not_a_corner() -> None:
    assert neighbours(np.array([[1, 2], [3, 1]])).tolist() == [[0, 1], [0, 2]]
    assert neighbours(np.array([[1, 0], [0, 1]])).tolist() == []


def test_score_is_the_sum_of_both_scaled_over_the_candidates() -> None:
    found = [Goodness(1, 1, 0.2, 0.5), Goodness(1, 1, 0.3, 0.3), Goodness(1, 1, 0.4, 0.1)]
    assert scores(found) == pytest.approx([1, 1, 1])
    assert scores([*found, Goodness(1, 1, 0.2, 0.1)]) == pytest.approx([1, 1, 1, 0])
    assert scores(found[:1]) == [0]
