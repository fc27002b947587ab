"""Which epoch is the best."""

from __future__ import annotations

from math import nan

import pytest

from swath.learn.trainer import is_better


@pytest.mark.parametrize("lower", [True, False])
def test_any_number_beats_nan_and_nan_beats_nothing(lower: bool) -> None:
    assert is_better(0.5, nan, lower=lower)
    assert not is_better(nan, 0.5, lower=lower)
    assert not is_better(nan, nan, lower=lower)
    assert is_better(nan, None, lower=lower), "some epoch is the result"


def test_better_is_less_or_more_and_the_first_of_equals_stays() -> None:
    assert is_better(0.4, 0.5, lower=True)
    assert is_better(0.6, 0.5, lower=False)
    assert not is_better(0.5, 0.5, lower=True)
    assert not is_better(0.5, 0.5, lower=False)
