"""Windows, tile cores and sliding windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.grid.window import Window, sliding, tiles

lengths = st.integers(1, 40)
shapes = st.tuples(lengths, lengths)
windows = st.builds(Window, st.integers(-20, 20), st.integers(-20, 20), lengths, lengths)


def counted(shape: tuple[int, int], some: list[Window]) -> np.ndarray:
    """How many of the windows hold each pixel."""
    counts = np.zeros(shape, int)
    for window in some:
        counts[window.slices] += 1
    return counts


def test_window_is_half_open():
    window = Window(2, 3, 4, 5)
    assert (window.row_end, window.col_end) == (6, 8)
    assert window.slices == (slice(2, 6), slice(3, 8))
    assert window.shape == (4, 5)
    assert window.pixels == 20


def test_windows_side_by_side_share_no_pixel():
    assert Window(0, 0, 4, 4).intersect(Window(0, 4, 4, 4)) is None


def test_window_without_pixels_is_refused():
    with pytest.raises(ValueError, match="at least one pixel, not 0 x 3"):
        Window(0, 0, 0, 3)


def test_slices_of_a_window_before_the_image_are_refused():
    with pytest.raises(ValueError, match="begins outside the image"):
        _ = Window(-1, 0, 2, 2).slices


@given(windows, windows)
def test_intersection_is_in_both_and_commutes(one, other):
    both = one.intersect(other)
    assert both == other.intersect(one)
    if both is not None:
        assert one.contains(both)
        assert other.contains(both)


@given(windows, st.integers(0, 5), st.integers(-9, 9), st.integers(-9, 9))
def test_pad_shift_and_json_are_undone(window, n_pixels, rows, cols):
    assert window.pad(n_pixels).pad(-n_pixels) == window
    assert window.pad(n_pixels).contains(window)
    assert window.shift(rows, cols).shift(-rows, -cols) == window
    assert Window.from_json(window.to_json()) == window


@given(shapes, st.integers(1, 50))
def test_tile_cores_cover_raster_once(shape, size):
    cores = tiles(shape, size)
    assert (counted(shape, cores) == 1).all()
    assert all(core.height <= size and core.width <= size for core in cores)


@given(shapes, st.integers(1, 50))
def test_tile_cores_lie_on_a_regular_grid(shape, size):
    assert all(core.row_off % size == core.col_off % size == 0 for core in tiles(shape, size))


@given(shapes, st.integers(1, 20), st.integers(1, 20))
def test_hazard_last_row_and_column_are_always_sampled(shape, size, stride):
    found = sliding(shape, size, stride)
    counts = np.zeros((shape[0] + size, shape[1] + size), int)
    for window in found:
        counts[window.slices] += 1
    assert counts[shape[0] - 1, shape[1] - 1] > 0
    assert counts[0, 0] > 0
    if stride <= size:
        assert counts[: shape[0], : shape[1]].all()


@given(shapes, st.integers(1, 20), st.integers(1, 20))
def test_sliding_windows_have_one_size_and_are_distinct(shape, size, stride):
    found = sliding(shape, size, stride)
    assert {window.shape for window in found} == {(size, size)}
    assert len(set(found)) == len(found)
    assert found == sorted(found)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 30), st.integers(0, 30))
def test_sliding_windows_stay_within_an_image_that_is_large_enough(size, stride, more, wider):
    shape = (size + more, size + wider)
    assert all(Window(0, 0, *shape).contains(window) for window in sliding(shape, size, stride))


def test_last_sliding_window_is_moved_back_to_the_edge():
    assert [w.col_off for w in sliding((4, 10), 4, 4)] == [0, 4, 6]


def test_last_sliding_window_is_not_doubled_where_the_stride_fits():
    assert [w.col_off for w in sliding((4, 12), 4, 4)] == [0, 4, 8]


def test_image_smaller_than_a_window_gets_one_that_reaches_past_it():
    assert sliding((3, 5), 8, 4) == [Window(0, 0, 8, 8)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tiles((3, 3), 0), "size is 0"),
        (lambda: sliding((3, 3), 0, 1), "size is 0"),
        (lambda: sliding((3, 3), 2, 0), "stride is 0"),
    ],
)
def test_size_and_stride_below_one_pixel_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
