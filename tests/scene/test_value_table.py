"""Tables of values: every type of number finds its class, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.scene.value_table import ValueTable, fuse_colours

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


@given(
    st.sampled_from(INTEGERS),
    st.dictionaries(st.integers(-70_000, 70_000), st.integers(0, 255), min_size=1, max_size=9),
    st.data(),
)
def test_table_answers_as_the_declaration_does(
    dtype: str, ids: dict[int, int], data: st.DataObject
) -> None:
    limits = np.iinfo(dtype)
    held = [value for value in ids if limits.min <= value <= limits.max]
    anything = st.integers(max(int(limits.min), -(2**52)), min(int(limits.max), 2**52))
    value = st.one_of(anything, st.sampled_from(held)) if held else anything
    values = data.draw(st.lists(value, min_size=1, max_size=9))
    found, known = ValueTable(ids).decode(np.array([values], dtype=dtype))
    assert known.tolist() == [[value in ids for value in values]]
    assert found[known].tolist() == [ids[value] for value in values if value in ids]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fractions_and_nan_are_no_class(dtype: str) -> None:
    values = np.array([1.0, 1.5, np.nan, np.inf], dtype=dtype)
    found, known = ValueTable({1: 7}).decode(values)
    assert known.tolist() == [True, False, False, False]
    assert found[0] == 7


@pytest.mark.parametrize("ids", [{0: 0, 1: 1, 2: 2}, {0: 0, 1: 2, 2: 1}, {1: 1}])
@pytest.mark.parametrize("values", [[0, 1], [1, 2], [2, 3]])
def test_class_ids_that_stay_as_they_are_answer_like_any_others(
    ids: dict[int, int], values: list[int]
) -> None:
    found, known = ValueTable(ids).decode(np.array(values, np.uint8))
    assert known.tolist() == [value in ids for value in values]
    assert found[known].tolist() == [ids[value] for value in values if value in ids]
    found[:] = 255  # whoever asked may write to it


def test_colours_fuse_to_one_number() -> None:
    assert fuse_colours(np.array([[[1]], [[2]], [[255]]], dtype=np.uint8)).tolist() == [[0x0102FF]]
