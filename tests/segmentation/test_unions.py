"""The order in which tiles are read to be joined, and what happens when one cannot be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.segmentation.graph import MergeRule
from swath.segmentation.part import Part, join_steps
from swath.segmentation.unions import join_tiles, nearest_order

SIDES = st.integers(1, 12)


@given(n_rows=SIDES, n_cols=SIDES)
def test_every_tile_comes_once(n_rows: int, n_cols: int) -> None:
    assert sorted(nearest_order(n_rows, n_cols)) == list(range(n_rows * n_cols))


def most_waiting(n_rows: int, n_cols: int, order: list[int]) -> int:
    """Return how many parts wait at once, if each is joined as soon as it can be."""
    steps = join_steps(n_rows, n_cols)
    step_of = {part: i for i, step in enumerate(steps) for part in (step.one, step.other)}
    there: set[int] = set()
    most = 0
    for part in order:
        there.add(part)
        most = max(most, len(there))
        while (i := step_of.get(part)) is not None and {steps[i].one, steps[i].other} <= there:
            there -= {steps[i].one, steps[i].other}
            part = n_rows * n_cols + i
            there.add(part)
    assert len(there) == 1
    return most


def test_few_parts_wait_where_tiles_come_square_by_square() -> None:
    assert most_waiting(16, 16, list(range(256))) > 16
    assert most_waiting(16, 16, nearest_order(16, 16)) == 9


def test_a_tile_that_fails_ends_the_rest() -> None:
    begun = []

    def tile(number: int) -> Part:
        begun.append(number)
        raise ValueError(f"tile {number}")

    rule = MergeRule(np.ones(1), np.inf, 2, is_eight=False)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="tile 0"):
        join_tiles(tile, 10, 10, rule, pool, 1)
    assert len(begun) <= 3
