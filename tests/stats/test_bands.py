"""Statistics of bands: by hand, against numpy, and merged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from swath.stats.bands import BandStats, BandSummary

values_of_bands = hnp.arrays(
    np.int32, st.tuples(st.just(2), st.integers(1, 30)), elements=st.integers(-40_000, 40_000)
)


def summary(*parts: np.ndarray) -> BandSummary:
    stats = BandStats(len(parts[0]))
    for part in parts:
        stats.add(part)
    return stats.result()


def test_statistics_of_three_numbers():
    result = summary(np.array([[1, 2, 6]], np.uint8))
    assert result.count == (3,)
    assert result.mean == (3.0,)
    assert result.std[0] == pytest.approx(((4 + 1 + 9) / 3) ** 0.5)
    assert (result.min, result.max) == ((1.0,), (6.0,))


def test_pixels_that_are_not_valid_are_left_out():
    stats = BandStats(1)
    stats.add(np.array([[[1, 99], [3, 99]]]), np.array([[True, False], [True, False]]))
    assert stats.result().mean == (2.0,)
    assert stats.result().max == (3.0,)


def test_hazard_band_of_zeros_gives_no_nan():
    result = summary(np.array([[0, 0, 0], [1, 2, 3]], np.uint16))
    assert result.std[0] == 0.0
    assert result.scale[0] == 1.0
    assert np.isfinite(result.std).all()
    assert result.std[1] == pytest.approx(np.std([1, 2, 3]))


def test_hazard_band_without_valid_value_leaves_other_bands_alone():
    values = np.array([[np.nan, np.nan, np.nan], [1.0, 2.0, 3.0]], np.float32)
    result = summary(values)
    assert result.count == (0, 3)
    assert (result.mean[0], result.std[0], result.min[0], result.max[0]) == (0, 0, 0, 0)
    assert result.mean[1] == 2.0
    merged = BandStats(2)
    merged.merge(BandStats(2))
    merged.add(values)
    assert merged.result() == result


def test_infinity_is_not_counted():
    assert summary(np.array([[1.0, np.inf, 3.0, -np.inf]])).mean == (2.0,)


@given(values_of_bands)
def test_result_is_that_of_numpy(values):
    result = summary(values)
    assert result.mean == pytest.approx(values.mean(axis=1), abs=1e-6)
    assert result.std == pytest.approx(values.std(axis=1), abs=1e-6)
    assert result.min == tuple(values.min(axis=1))
    assert result.max == tuple(values.max(axis=1))


@given(values_of_bands, st.data())
def test_merged_parts_are_the_whole(values, data):
    cut = data.draw(st.integers(0, values.shape[1]))
    left, right = BandStats(2), BandStats(2)
    left.add(values[:, :cut])
    right.add(values[:, cut:])
    left.merge(right)
    merged, whole = left.result(), summary(values)
    assert (merged.count, merged.min, merged.max) == (whole.count, whole.min, whole.max)
    assert merged.mean == pytest.approx(whole.mean, abs=1e-6)
    assert merged.std == pytest.approx(whole.std, abs=1e-6)


def test_small_deviations_around_large_numbers_survive_merging():
    rng = np.random.default_rng(1)
    values = 1e9 + rng.normal(0, 1e-2, (1, 4000))
    stats = BandStats(1)
    for part in np.array_split(values, 40, axis=1):
        other = BandStats(1)
        other.add(part)
        stats.merge(other)
    assert stats.result().std[0] == pytest.approx(values.std(), rel=1e-4)


def test_uint16_sums_do_not_overflow():
    values = np.full((1, 3_000_000), 65_535, np.uint16)
    assert summary(values).mean == (65_535.0,)
    assert summary(values).std == (0.0,)


@given(values_of_bands)
def test_statistics_survive_json(values):
    stats = BandStats(2)
    stats.add(values)
    again = BandStats.from_json(json.loads(json.dumps(stats.to_json())))
    assert again.result() == stats.result()
    result = stats.result()
    assert BandSummary.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"2 bands, values \(3, 4\)"):
        BandStats(2).add(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"valid \(5,\)"):
        BandStats(2).add(np.zeros((2, 4)), np.ones(5, bool))
    with pytest.raises(ValueError, match="2 bands do not merge with 3"):
        BandStats(2).merge(BandStats(3))
