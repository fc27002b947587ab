"""Grids: pixel corners, boxes, lattices, differences."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.grid.grid import Bounds, Grid
from swath.grid.window import Window

UTM = Grid("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), 3, 4)

angles = st.floats(0, 2 * math.pi)
sizes = st.floats(1e-4, 1e3)
origins = st.floats(-1e7, 1e7)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    angle, x_size, y_size = draw(angles), draw(sizes), draw(sizes)
    cos, sin = math.cos(angle), math.sin(angle)
    transform = (
        x_size * cos,
        y_size * sin,
        draw(origins),
        x_size * sin,
        -y_size * cos,
        draw(origins),
    )
    return Grid("EPSG:32633", transform, draw(st.integers(1, 500)), draw(st.integers(1, 500)))


def test_hazard_half_pixel_shift_corner_of_first_pixel_is_the_origin():
    assert UTM.pixel_to_map(0, 0) == (500_000, 5_000_000)
    assert UTM.pixel_to_map(3, 4) == (500_040, 4_999_970)
    assert UTM.map_to_pixel(500_005, 4_999_995) == (0.5, 0.5)  # a centre


def test_hazard_half_pixel_shift_polygon_of_a_window_follows_pixel_edges():
    ring = UTM.window_polygon(Window(1, 1, 1, 2))
    assert ring[0] == ring[-1]
    assert set(ring) == {
        (500_010, 4_999_990), (500_010, 4_999_980), (500_030, 4_999_980), (500_030, 4_999_990),
    }  # fmt: skip


@given(grids(), st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_pixel_to_map_to_pixel_is_the_identity(grid, row, col):
    found = grid.map_to_pixel(*grid.pixel_to_map(row, col))
    # Coordinates of 1e7 hold 1e-9; a pixel of 1e-4 units is then known to about 1e-4 px.
    assert found == pytest.approx((row, col), abs=1e-3)


def test_bounds_are_the_outer_edges():
    assert UTM.bounds == Bounds(500_000, 4_999_970, 500_040, 5_000_000)
    assert UTM.resolution == (10, 10)


@given(grids(), st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9), st.integers(1, 9))
def test_crop_keeps_the_place_of_pixels(grid, row, col, height, width):
    part = grid.crop(Window(row, col, height, width))
    assert part.shape == (height, width)
    assert part.pixel_to_map(1, 2) == pytest.approx(grid.pixel_to_map(row + 1, col + 2), rel=1e-12)


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9), st.integers(1, 9))
def test_window_of_the_bounds_of_a_window_is_that_window(row, col, height, width):
    window = Window(row, col, height, width)
    assert UTM.bounds_window(UTM.window_bounds(window)) == window


def test_window_of_a_box_holds_every_pixel_that_it_touches():
    assert UTM.bounds_window(Bounds(500_009, 4_999_989, 500_011, 4_999_991)) == Window(0, 0, 2, 2)


@given(grids(), st.integers(-9, 9), st.integers(-9, 9))
def test_offset_of_a_crop_is_its_window(grid, row, col):
    x_size, y_size = grid.resolution
    if min(x_size, y_size) > 1e-2:  # below, coordinates of 1e7 do not hold a thousandth of a pixel
        assert grid.offset(grid.crop(Window(row, col, 5, 5))) == (row, col)


def test_offset_of_a_shifted_lattice_is_none():
    shifted = Grid(UTM.crs, (10.0, 0.0, 500_005.0, 0.0, -10.0, 5_000_000.0), 3, 4)
    assert UTM.offset(shifted) is None


def test_grids_equal_within_a_thousandth_of_a_pixel_do_not_differ():
    rounded = Grid(UTM.crs, (10.0, 0.0, 500_000.009, 0.0, -10.0, 5_000_000.0), 3, 4)
    assert UTM.difference(UTM) is None
    assert UTM.difference(rounded) is None


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (
            Grid("EPSG:32634", UTM.transform, 3, 4),
            "EPSG:32633 10 m against EPSG:32634 10 m",
        ),
        (
            Grid("EPSG:32633", (20.0, 0.0, 5e5, 0.0, -20.0, 5e6), 3, 4),
            "EPSG:32633 10 m against EPSG:32633 20 m",
        ),
        (Grid(None, UTM.transform, 3, 4), "EPSG:32633 10 m against no CRS 10 px"),
        (
            Grid("EPSG:4326", (0.1, 0.0, 0.0, 0.0, -0.2, 0.0), 3, 4),
            "EPSG:32633 10 m against EPSG:4326 0.1 x 0.2 degrees",
        ),
        (Grid("EPSG:32633", UTM.transform, 5, 4), "3 x 4 px against 5 x 4 px (rows x columns)"),
        (
            Grid("EPSG:32633", (10.0, 0.0, 500_005.0, 0.0, -10.0, 5e6), 3, 4),
            (
                "upper left corner (500000, 5000000) against (500005, 5000000), "
                "0 rows and 0.5 columns apart"
            ),
        ),
    ],
)
def test_difference_prints_both_sides(other, difference):
    assert UTM.difference(other) == difference


def test_difference_names_a_crs_without_code():
    local = Grid('PROJCS["Village grid",GEOGCS["x"],UNIT["metre",1]]', UTM.transform, 3, 4)
    assert UTM.difference(local) == "EPSG:32633 10 m against CRS 'Village grid' 10 m"


@given(grids())
def test_grid_survives_json(grid):
    assert Grid.from_json(json.loads(json.dumps(grid.to_json()))) == grid


def test_importing_grids_loads_no_numpy():
    code = "import sys, swath.grid.grid, swath.grid.window; print('numpy' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"
