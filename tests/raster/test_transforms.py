"""Changes to values: by hand, on arrays of a few pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import DataError
from swath.raster.spec import Cast, MinMax, NaNToValue, Reclass
from swath.raster.transforms import transform_values, transformed_dtype

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64")


def transformed(values, *transforms, valid=None):
    values = np.asarray(values)
    values = values.reshape(-1, 1, values.shape[-1])
    valid = np.ones(values.shape[1:], bool) if valid is None else np.array([valid])
    result, still_valid = transform_values(values.copy(), valid, transforms, "a.tif")
    assert result.dtype == transformed_dtype(values.dtype, transforms)
    return result.reshape(-1, values.shape[-1]).tolist(), still_valid[0].tolist()


def test_min_max_scales_and_clips():
    values = np.array([0, 10, 20, 30], np.uint16)
    assert transformed(values, MinMax(low=10, high=20))[0] == [[0, 0, 1, 1]]
    assert transformed(values, MinMax(low=10, high=20, clip=False))[0] == [[-1, 0, 1, 2]]


def test_min_max_takes_one_limit_per_band():
    values = np.array([[5, 10], [50, 100]], np.uint8)
    assert transformed(values, MinMax(low=0, high=(10, 100)))[0] == [[0.5, 1], [0.5, 1]]
    with pytest.raises(DataError, match=r"a\.tif: min_max has 3 limits, but 2 bands are read"):
        transformed(values, MinMax(low=0, high=(1, 2, 3)))


def test_hazard_uint16_cast_to_uint8_never_wraps_around():
    values = np.array([255, 256, 65_535], np.uint16)
    with pytest.raises(DataError, match=r"The value 256 does not fit uint8 \(0 to 255\)\. Scale"):
        transformed(values, Cast(dtype="uint8"))
    assert transformed(values, Cast(dtype="uint8", overflow="clip"))[0] == [[255, 255, 255]]
    assert transformed(values[:1], Cast(dtype="uint8"))[0] == [[255]]


def test_cast_does_not_ask_about_invalid_pixels():
    values = np.array([7, 65_535], np.uint16)
    assert transformed(values, Cast(dtype="uint8"), valid=[True, False])[0][0][0] == 7


def test_cast_rounds_floats_and_sets_nan_to_0():
    values = np.array([1.6, -0.4, np.nan], np.float32)
    assert transformed(values, Cast(dtype="int16")) == ([[2, 0, 0]], [True, True, False])


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("source", DTYPES)
def test_clipped_cast_gives_the_nearest_value(source, target):
    info = (np.finfo if source.startswith("f") else np.iinfo)(source)
    values = np.array([info.min, 0, 1, info.max], source)
    result, _ = transformed(values, Cast(dtype=target, overflow="clip"))
    if target.startswith("f"):
        held = np.finfo(target)
        expected = np.clip(values, held.min, held.max).astype(target).tolist()
    else:
        limits = np.iinfo(target)
        expected = [min(max(int(v), limits.min), limits.max) for v in values.tolist()]
    assert result == [expected]


@given(st.lists(st.integers(-300, 70_000), min_size=1, max_size=5), st.sampled_from(DTYPES[:7]))
def test_cast_is_exact_or_an_error(numbers, target):
    limits = np.iinfo(target)
    fits = all(limits.min <= number <= limits.max for number in numbers)
    if fits:
        assert transformed(np.array(numbers), Cast(dtype=target))[0] == [numbers]
    else:
        with pytest.raises(DataError, match="does not fit"):
            transformed(np.array(numbers), Cast(dtype=target))


def test_reclass_replaces_values_at_once():
    values = np.array([1, 2, 3], np.uint8)
    assert transformed(values, Reclass(mapping={1: 2, 2: 1}))[0] == [[2, 1, 3]]


def test_reclass_widens_the_type_where_a_new_value_needs_it():
    values = np.array([1, 2], np.uint8)
    assert transformed(values, Reclass(mapping={1: 1000}))[0] == [[1000, 2]]
    assert transformed(values, Reclass(mapping={1: -1}))[0] == [[-1, 2]]


def test_reclass_of_values_that_are_not_listed():
    values = np.array([1, 2, 3], np.uint8)
    mapping = {1: 10, 2: 20}
    assert transformed(values, Reclass(mapping=mapping, other="invalid"))[1] == [True, True, False]
    with pytest.raises(DataError, match="The value 3 is not in the mapping of reclass"):
        transformed(values, Reclass(mapping=mapping, other="error"))
    known = Reclass(mapping=mapping, other="error")
    assert transformed(values, known, valid=[True, True, False])[0][0][:2] == [10, 20]


def test_reclass_to_a_value_that_the_type_cannot_compare_is_exact():
    assert transformed(np.array([1, 2], np.uint8), Reclass(mapping={-5: 7}))[0] == [[1, 2]]


def test_nan_to_value_before_and_after_other_transforms():
    values = np.array([np.nan, 5.0], np.float32)
    first = transformed(values, NaNToValue(value=10), MinMax(low=0, high=10))
    assert first == ([[1, 0.5]], [True, True])
    _, valid = transformed(values, MinMax(low=0, high=10), NaNToValue(value=10))
    assert valid == [False, True]


def test_nan_in_one_band_makes_the_pixel_invalid():
    values = np.array([[np.nan, 1.0], [1.0, 1.0]], np.float32)
    assert transformed(values)[1] == [False, True]
