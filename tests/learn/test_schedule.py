"""Learning rates by hand."""

from __future__ import annotations

import pytest

from swath.learn.schedule import learning_rate_at
from swath.learn.spec import TrainOptions


def test_cosine_starts_at_the_full_rate_and_is_half_in_the_middle() -> None:
    options = TrainOptions(schedule="cosine", learning_rate=0.2)
    assert learning_rate_at(0, 10, options) == pytest.approx(0.2)
    assert learning_rate_at(5, 10, options) == pytest.approx(0.1)


def test_one_cycle_rises_for_three_tenths_then_falls() -> None:
    options = TrainOptions(schedule="one_cycle", learning_rate=1.0)
    rates = [learning_rate_at(step, 100, options) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[30] == pytest.approx(1.0)
    assert rates.index(max(rates)) == 30
    assert rates[65] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.01


def test_a_single_step_has_a_rate_above_zero() -> None:
    for schedule in ("constant", "cosine", "one_cycle"):
        assert learning_rate_at(0, 1, TrainOptions(schedule=schedule)) > 0
