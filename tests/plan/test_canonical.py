"""Canonical JSON: one text for one declaration, and no guesses."""

from __future__ import annotations

import json
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.plan.canonical import HEX_DIGITS, canonical_json, fingerprint_of

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def tagged(value: object) -> object:
    """The same value with the type of every scalar written beside it: an independent reading."""
    if isinstance(value, dict):
        return {"dict": sorted((key, repr(tagged(item))) for key, item in value.items())}
    if isinstance(value, list):
        return {"list": [tagged(item) for item in value]}
    return [type(value).__name__, repr(value)]


@given(values, values)
def test_two_values_have_one_text_exactly_if_they_are_the_same(one, other):
    assert (canonical_json(one) == canonical_json(other)) == (tagged(one) == tagged(other))


@given(values)
def test_text_is_json_of_the_value(value):
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), values, min_size=2))
def test_order_of_keys_does_not_count(value):
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_types_of_numbers_count():
    texts = {canonical_json(value) for value in (1, 1.0, "1", True, None, "true")}
    assert len(texts) == 6


def test_tuples_are_lists_and_other_mappings_are_objects():
    assert canonical_json((1, (2,))) == canonical_json([1, [2]])
    assert canonical_json(MappingProxyType({"a": range(2)})) == '{"a":[0,1]}'


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        b"bytes",
        {1, 2},
        {1: "a"},
        [{"a": {None: 1}}],
        MappingProxyType({1: 2}),
        np.float32(0.5),
        np.arange(2),
        object(),
    ],
)
def test_what_json_has_no_type_for_is_refused(value):
    with pytest.raises(TypeError, match="fingerprint"):
        canonical_json(value)


def test_fingerprint_is_the_start_of_a_sha256():
    # printf '{"a":1}' | sha256sum
    assert HEX_DIGITS == 20
    assert fingerprint_of({"a": 1}) == "015abd7f5cc57a2dd94b"
