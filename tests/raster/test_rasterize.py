"""Shapes burnt into pixels, against what a person counts on squared paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon, box

from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.rasterize import rasterize

GRID = Grid("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), 5, 6)
SOME = st.builds(Window, st.integers(0, 4), st.integers(0, 5), st.integers(1, 5), st.integers(1, 6))


@given(SOME)
def test_hazard_half_pixel_shift_polygon_of_a_window_burns_that_window(window):
    burnt = rasterize([(Polygon(GRID.window_polygon(window)), 1)], GRID, GRID.window, 0, "uint8")
    expected = np.zeros(GRID.shape, np.uint8)
    expected[window.slices] = 1
    assert np.array_equal(burnt, expected)


@given(SOME, st.integers(-3, 3), st.integers(-3, 3))
def test_windows_show_parts_of_the_whole(window, row, col):
    shape = Polygon([GRID.pixel_to_map(*rc) for rc in ((0.2, 0.1), (4.7, 1.3), (2.6, 5.9))])
    whole = rasterize([(shape, 7)], GRID, Window(-20, -20, 50, 50), 0, "uint8")
    moved = window.shift(row, col)
    part = rasterize([(shape, 7)], GRID, moved, 0, "uint8")
    assert np.array_equal(part, whole[moved.shift(20, 20).slices])


def test_pixel_belongs_to_a_shape_if_its_centre_does():
    shape = box(500_000, 4_999_990, 500_024, 5_000_000)  # 2.4 pixels wide
    assert rasterize([(shape, 1)], GRID, Window(0, 0, 1, 4), 0, "uint8").tolist() == [[1, 1, 0, 0]]
    touched = rasterize([(shape, 1)], GRID, Window(0, 0, 1, 4), 0, "uint8", all_touched=True)
    assert touched[0, 2] == 1


def test_later_shapes_are_burnt_over_earlier_ones():
    lower, upper = box(500_000, 4_999_990, 500_020, 5_000_000), Point(500_015, 4_999_995).buffer(6)
    assert rasterize([(lower, 1), (upper, 2)], GRID, Window(0, 0, 1, 3), 9, "uint8").tolist() == [
        [1, 2, 9]
    ]


def test_no_shape_and_empty_shapes_leave_the_fill():
    for shapes in ([], [(Polygon(), 1)]):
        assert (rasterize(shapes, GRID, Window(0, 0, 2, 2), 255, "uint8") == 255).all()


def test_value_that_the_type_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="uint8 cannot hold the value 256"):
        rasterize([(Point(0, 0), 256)], GRID, GRID.window, 0, "uint8")
    with pytest.raises(ValueError, match="uint8 cannot hold the value -1"):
        rasterize([], GRID, GRID.window, -1, "uint8")
