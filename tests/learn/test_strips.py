"""Windows cut from strips equal windows read one by one, and no row is read twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swath.grid.window import Window, sliding
from swath.learn.strips import Arrays, cut_windows

IMAGE = np.arange(40 * 30).reshape(40, 30)


@given(
    size=st.integers(1, 12),
    stride=st.integers(1, 14),
    block_rows=st.integers(1, 16),
    strip_pixels=st.integers(1, 400),
    ahead=st.booleans(),
)
def test_windows_equal_those_read_one_by_one(
    size: int, stride: int, block_rows: int, strip_pixels: int, ahead: bool
) -> None:
    rows_read = np.zeros(60, int)

    def read(window: Window) -> Arrays:
        rows_read[window.row_off : window.row_end] += 1
        return IMAGE[window.slices], IMAGE[window.slices][None] * 2

    windows = sliding(IMAGE.shape, size, stride)
    cut = list(cut_windows(read, windows, block_rows, strip_pixels, ahead=ahead))
    assert [window for window, _ in cut] == windows
    for window, (one, two) in cut:
        np.testing.assert_array_equal(one, IMAGE[window.slices])
        np.testing.assert_array_equal(two[0], 2 * IMAGE[window.slices])
    assert rows_read.max() == 1


def test_a_strip_is_no_larger_than_asked_for() -> None:
    heights = []

    def read(window: Window) -> Arrays:
        heights.append(window.height)
        return (IMAGE[window.slices],)

    list(cut_windows(read, sliding(IMAGE.shape, 4, 4), block_rows=4, strip_pixels=8 * 30))
    assert max(heights) == 8
    assert sum(heights) == 40


def test_no_window_reads_nothing() -> None:
    def read(window: Window) -> Arrays:
        raise AssertionError(window)

    assert list(cut_windows(read, [])) == []
