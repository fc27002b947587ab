"""Kernels, by hand and against numpy."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.segmentation.statistics import locate, sums
from swath.segmentation.statistics.counts import group_counts, rank_counts
from swath.segmentation.statistics.doubles import divide, two_product
from swath.segmentation.statistics.keys import dropped_bits, keys_of, values_of
from swath.segmentation.statistics.measure import Wanted, measure_tile
from swath.segmentation.statistics.sorting import coarsen, select, sort_keys, sort_pairs

LABELS = np.array([[7, 7, 0], [9, 7, 7], [9, 9, 2**32 - 1]], np.uint32)
NONE = np.ones((1, 0), np.bool_)


def test_segments_are_numbered_by_their_first_pixels() -> None:
    local, ids = locate.number_segments(LABELS)
    assert ids.tolist() == [7, 9, 2**32 - 1]
    assert local.tolist() == [[0, 0, -1], [1, 0, 0], [1, 1, 2]]


def test_segments_find_room_however_many_there_are() -> None:
    labels = (np.arange(1, 200 * 200 + 1, dtype=np.uint32) * np.uint32(65_536)).reshape(200, 200)
    labels |= np.arange(200, dtype=np.uint32)
    local, ids = locate.number_segments(labels)
    assert (ids[local] == labels).all()
    assert len(set(ids.tolist())) == ids.size == 40_000


def test_pixels_are_sorted_by_segment() -> None:
    offsets, order = locate.order_pixels(locate.number_segments(LABELS)[0], 3)
    assert offsets.tolist() == [0, 4, 7, 8]
    assert order.tolist() == [0, 1, 4, 5, 3, 6, 7, 8]


def test_shapes_by_hand() -> None:
    local, _ = locate.number_segments(LABELS)
    shapes = locate.describe_shapes(local, 3, (10, 20), 100, True)
    #        pixels, rows, columns, first pixel, sums of rows and columns, sides above/below, beside
    assert shapes.tolist() == [
        [4, 10, 11, 20, 22, 1020, 42, 84, 6, 4],
        [3, 11, 12, 20, 21, 1120, 35, 61, 4, 4],
        [1, 12, 12, 22, 22, 1222, 12, 22, 2, 2],
    ]


@pytest.mark.parametrize(
    ("side", "touching"), [(0, [0]), (1, [0, 1]), (2, [1, 2]), (3, [0, 2])], ids="TLBR"
)
def test_segments_touch_the_sides_that_are_asked_for(side: int, touching: list[int]) -> None:
    local, _ = locate.number_segments(LABELS)
    sides = tuple(i == side for i in range(4))
    assert np.flatnonzero(locate.mark_border(local, sides, 3)).tolist() == touching


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=200), st.data())
def test_selection_leaves_smaller_keys_before_and_larger_ones_after(
    values: list[int], data: st.DataObject
) -> None:
    keys = np.array(values, np.int32)
    rank = data.draw(st.integers(0, keys.size - 1))
    assert select(keys, 0, keys.size, rank) == sorted(values)[rank]
    assert keys[:rank].max(initial=-10) <= keys[rank] <= keys[rank:].min()
    assert sorted(keys.tolist()) == sorted(values)


@given(st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3), max_size=300))
def test_sorting(values: list[int]) -> None:
    keys, pairs = np.array(values, np.int32), np.array(values, np.int32)
    counts = np.arange(keys.size)
    sort_keys(keys, 0, keys.size)
    sort_pairs(pairs, counts, 0, pairs.size)
    assert keys.tolist() == pairs.tolist() == sorted(values)
    assert [values[i] for i in counts] == sorted(values)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int32", "float32", "float64"])
def test_keys_keep_order_and_value(dtype: str) -> None:
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        values = (rng.normal(size=500) * 10.0 ** rng.integers(-30, 30, 500)).astype(dtype)
        values[:3] = 0.0, -0.0, np.finfo(dtype).max
    else:
        info = np.iinfo(dtype)
        values = rng.integers(info.min, info.max, 500, dtype, endpoint=True)
        values[:2] = info.min, info.max
    keys = keys_of(values).astype(np.int64)
    assert (values_of(keys, values.dtype) == values).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(keys[order]) >= 0).all()
    assert ((np.diff(keys[order]) == 0) == (np.diff(values[order]) == 0)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounded_keys_are_off_by_one_part_in_a_quarter_of_a_million(dtype: type) -> None:
    rng = np.random.default_rng(1)
    values = (rng.normal(size=1000) * 10.0 ** rng.integers(-20, 20, 1000)).astype(dtype)
    keys = keys_of(values).astype(np.int64)
    coarsen(keys, 0, keys.size, dropped_bits(np.dtype(dtype)))
    rounded = values_of(keys, np.dtype(dtype)).astype(np.float64)
    error = np.abs(rounded / values.astype(np.float64) - 1)
    assert 2**-20 < error.max() <= 2**-18
    exact = np.array([1.0, -1.0, 0.0, 0.375, -131_073], dtype)
    keys = keys_of(exact).astype(np.int64)
    coarsen(keys, 0, keys.size, dropped_bits(np.dtype(dtype)))
    assert values_of(keys, np.dtype(dtype)).tolist() == exact.tolist()


def test_numbers_of_twice_the_digits() -> None:
    one, other = 1 + 2.0**-40, 1 - 2.0**-41
    product, rest = two_product(one, other)
    assert Fraction(product) + Fraction(rest) == Fraction(one) * Fraction(other)
    third = divide((1.0, 2.0**-60), 3.0)
    assert third == float((1 + Fraction(1, 2**60)) / 3)


def _moments(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the moments of one segment with these values of one band."""
    moments = np.zeros((1, 1, sums.N_MOMENTS), np.int64)
    offsets, order = np.array([0, values.size]), np.arange(values.size, dtype=np.int32)
    keys, flat = keys_of(values)[None], values[None]
    if values.dtype.kind == "f":
        sums.add_floats(flat, keys, NONE, order, offsets, moments)
    else:
        shift = 2**31 if values.dtype == np.uint32 else 0
        sums.add_integers(keys[0].astype(np.int32), values.size, shift, moments[0, 0])
    return moments[:, 0]


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "uint32"])
def test_sums_of_integers_are_exact_at_the_ends_of_their_range(dtype: str) -> None:
    info = np.iinfo(dtype)
    values = np.repeat(np.array([info.min, info.max, info.max - 1], dtype), [50, 1000, 7])
    moments = _moments(values)
    exact = values.astype(object)
    assert moments[0, sums.SUM] == exact.sum()
    squares = int(moments[0, sums.SQUARES]) * 2**32 + int(moments[0, sums.SQUARES_LOW])
    assert squares == (exact**2).sum()
    n = values.size
    variance = Fraction(n * int((exact**2).sum()) - int(exact.sum()) ** 2, n * n)
    found = sums.conclude_moments(moments, False)[0]
    assert found[1] == float(Fraction(int(exact.sum()), n))
    assert found[2] == pytest.approx(math.sqrt(variance), rel=1e-15)


@given(
    st.lists(
        st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-1.0, 1.0, width=32),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 59),
    st.randoms(use_true_random=False),
)
def test_sums_of_floats_do_not_depend_on_order_or_cut(
    numbers: list[float], cut: int, random: Any
) -> None:
    whole = _moments(np.array(numbers, np.float32))
    shuffled = list(numbers)
    random.shuffle(shuffled)
    parts = [shuffled[:cut], shuffled[cut:]]
    rows = np.concatenate([_moments(np.array(part, np.float32)) for part in parts if part])
    groups = np.zeros(len(rows), np.int64)
    assert (sums.merge_moments(rows, groups, 1, True) == whole).all()


def test_sums_of_floats_do_not_lose_what_cancels() -> None:
    values = np.array([1e20, 3.0, -1e20, 2.0**-20], np.float64)
    assert sums.conclude_moments(_moments(values), True)[0, 0] == 3 + 2.0**-20
    near = 20_000 + np.array([0.25, 0.5, 0.75]) * 1e-6
    exact = [Fraction(v) for v in near.tolist()]
    mean = sum(exact) / 3
    variance = sum((v - mean) ** 2 for v in exact) / 3
    assert sums.conclude_moments(_moments(near), True)[0, 2] == pytest.approx(
        math.sqrt(variance), rel=1e-10
    )
    assert sums.conclude_moments(_moments(np.full(9, 0.1)), True)[0].tolist() == [0.9, 0.1, 0.0]


def test_standard_deviation_beyond_the_range_of_squares_is_infinite() -> None:
    found = sums.conclude_moments(_moments(np.array([1e200, 3e200])), True)[0]
    assert found.tolist() == [4e200, 2e200, math.inf]


@given(
    st.lists(st.integers(-(2**62), 2**62) | st.integers(-5, 5), min_size=1, max_size=200),
    st.lists(st.integers(0, 1000), min_size=1, max_size=4, unique=True),
)
def test_quantiles_of_keys_and_of_counts_are_those_of_the_sorted_list(
    values: list[int], thousandths: list[int]
) -> None:
    quantiles = np.array(sorted(thousandths)) / 1000
    ordered = sorted(values)
    wanted = []
    for place in quantiles * (len(values) - 1):
        wanted += [ordered[math.floor(place)], ordered[math.ceil(place)]]
    keys = np.array(values, np.int64)
    offsets, order = np.array([0, keys.size]), np.arange(keys.size, dtype=np.int32)
    for has_mode in (False, True):
        ranked = np.zeros((1, 1, 2 * quantiles.size + 1), np.int64)
        measure_tile(
            keys[None], NONE, order, offsets, np.zeros(1, np.bool_),
            Wanted(quantiles, has_mode, 0, False, 0), np.empty_like(keys),
            np.zeros((1, 1, sums.N_MOMENTS), np.int64), ranked,
        )  # fmt: skip
        assert ranked[0, 0, :-1].tolist() == wanted
    mode = ranked[0, 0, -1]
    assert values.count(mode) == max(map(values.count, values))
    groups, times = np.zeros(keys.size, np.int32), np.ones(keys.size, np.int64)
    counted = group_counts(groups, keys, times, 1)
    assert counted[1].tolist() == sorted(set(values))
    ranked = np.zeros((1, 2 * quantiles.size + 1), np.int64)
    rank_counts(*counted, quantiles, True, 0, ranked)
    assert ranked[0].tolist() == [*wanted, mode]
