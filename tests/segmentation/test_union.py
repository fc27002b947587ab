"""Tiles put together: what happens when one cannot be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from swath.segmentation.graph import MergeRule
from swath.segmentation.part import Part
from swath.segmentation.union import join_tiles


def test_a_tile_that_fails_ends_the_rest() -> None:
    begun = []

    def tile(number: int) -> Part:
        begun.append(number)
        raise ValueError(f"tile {number}")

    rule = MergeRule(np.ones(1), np.inf, 2, is_eight=False)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="tile 0"):
        join_tiles(tile, 10, 10, rule, pool, 1)
    assert len(begun) <= 3
