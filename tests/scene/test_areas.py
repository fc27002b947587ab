"""Areas as declared: blocks cover an image once, and areas of other blocks stay apart."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from swath.errors import ConfigError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.scene.areas import Area, BlockArea, VectorArea, WindowArea, block_split
from swath.scene.mask import area_mask, area_rectangles


def plain_grid(height: int, width: int) -> Grid:
    return Grid("EPSG:32633", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), height, width)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6), st.integers(1, 6))
def test_blocks_cover_image_once(height: int, width: int, rows: int, cols: int) -> None:
    area = BlockArea(rows=rows, cols=cols, take=((0, 0),))
    hits = np.zeros((height, width), dtype=int)
    for row in range(rows):
        for col in range(cols):
            window = area.block_window((row, col), (height, width))
            if window is not None:
                hits[window.slices] += 1
    assert (hits == 1).all()


def test_block_keeps_the_buffer_to_neighbours_not_taken_but_not_to_the_edge() -> None:
    grid = plain_grid(4, 8)
    area = BlockArea(rows=1, cols=2, take=((0, 0),), buffer_px=1)
    mask = area_mask(area, grid, grid.window)
    assert mask.tolist() == [[True, True, True, False, False, False, False, False]] * 4


def test_block_keeps_the_buffer_to_a_diagonal_neighbour() -> None:
    grid = plain_grid(4, 4)
    area = BlockArea(rows=2, cols=2, take=((0, 0), (0, 1), (1, 0)), buffer_px=1)
    mask = area_mask(area, grid, grid.window).astype(int)
    assert mask.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


@given(
    st.integers(6, 40), st.integers(6, 40), st.integers(1, 4), st.integers(2, 4),
    st.integers(0, 3), st.integers(0, 99),
)  # fmt: skip
def test_hazard_training_and_validation_blocks_never_touch(
    height: int, width: int, rows: int, cols: int, buffer_px: int, seed: int
) -> None:
    grid = plain_grid(height, width)
    training, validation = block_split(rows, cols, 0.4, seed)
    left, right = (
        np.argwhere(
            area_mask(
                BlockArea(rows=rows, cols=cols, take=take, buffer_px=buffer_px), grid, grid.window
            )
        )
        for take in (training, validation)
    )
    if len(left) and len(right):
        apart = np.abs(left[:, None] - right[None]).max(axis=2).min()
        assert apart > 2 * buffer_px


def test_mask_of_a_part_equals_part_of_the_mask() -> None:
    grid = plain_grid(9, 9)
    area = BlockArea(rows=3, cols=3, take=((0, 0), (1, 1), (1, 2)), buffer_px=1)
    whole = area_mask(area, grid, grid.window)
    window = Window(2, 3, 5, 4)
    assert (area_mask(area, grid, window) == whole[window.slices]).all()


def test_area_ends_at_the_edge_of_the_image() -> None:
    grid = plain_grid(2, 2)
    for area in (None, WindowArea(windows=[[-1, -1, 9, 9]])):
        mask = area_mask(area, grid, Window(1, 1, 2, 2))
        assert mask.tolist() == [[True, False], [False, False]]
        assert area_rectangles(area, grid) == (grid.window,)


def test_window_area_is_the_union_of_its_windows() -> None:
    grid = plain_grid(1, 5)
    area = WindowArea(windows=((0, 0, 1, 2), Window(0, 1, 1, 2)))
    assert area_mask(area, grid, grid.window).tolist() == [[True, True, True, False, False]]


def test_rectangles_of_blocks_end_where_the_buffer_begins() -> None:
    area = BlockArea(rows=1, cols=2, take=((0, 1),), buffer_px=1)
    assert area_rectangles(area, plain_grid(4, 8)) == (Window(0, 5, 4, 3),)


def test_block_that_its_buffers_use_up_has_no_rectangle() -> None:
    area = BlockArea(rows=1, cols=3, take=((0, 1),), buffer_px=2)
    assert area_rectangles(area, plain_grid(4, 9)) == ()


def test_areas_survive_json_and_are_told_apart_by_kind() -> None:
    adapter: TypeAdapter[Area] = TypeAdapter(Area)
    for area in (
        VectorArea(uri="park.gpkg", layer="park"),
        WindowArea(windows=((0, 1, 2, 3),)),
        BlockArea(rows=2, cols=2, take=((0, 1),), buffer_px=8),
    ):
        assert adapter.validate_python(area.to_json()) == area


def test_hazard_every_element_of_a_list_is_validated() -> None:
    with pytest.raises(ValidationError, match=r"windows\.2"):
        WindowArea(windows=((0, 0, 1, 1), (0, 0, 2, 2), (0, 0, 0, 1)))
    with pytest.raises(ValidationError, match=re.escape("take[2] is (2, 0)")):
        BlockArea(rows=2, cols=2, take=((0, 0), (1, 1), (2, 0)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 2, "cols": 2, "take": ()}, "at least 1 item"),
        ({"rows": 2, "cols": 2, "take": ((0, 2),)}, "take[0] is (0, 2)"),
        ({"rows": 2, "cols": 2, "take": ((0, 1), (0, 1))}, "take[1] names block (0, 1) again"),
        ({"rows": 0, "cols": 2, "take": ((0, 0),)}, "rows"),
        ({"rows": 1, "cols": 2, "take": ((0, 0),), "buffer_px": -1}, "buffer_px"),
    ],
)
def test_wrong_blocks_are_refused_with_the_offending_value(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        BlockArea.from_json(fields)


@pytest.mark.parametrize("window", [(0, 0, 1), (0.5, 0, 1, 1), "0 0 1 1"])
def test_window_must_be_four_integers(window: object) -> None:
    with pytest.raises(ValidationError, match="window"):
        WindowArea.from_json({"windows": [window]})


def test_block_split_deals_every_block_once_and_the_asked_share() -> None:
    training, validation = block_split(4, 5, 0.25, seed=7)
    assert sorted(training + validation) == [(row, col) for row in range(4) for col in range(5)]
    assert len(validation) == 5


def test_block_split_is_the_same_on_every_machine() -> None:
    assert block_split(2, 3, 0.3, seed=1) == block_split(2, 3, 0.3, seed=1)
    assert len({block_split(3, 3, 0.3, seed=seed) for seed in range(20)}) > 1


def test_block_split_leaves_no_side_empty() -> None:
    for fraction in (0.01, 0.99):
        training, validation = block_split(1, 2, fraction)
        assert len(training) == len(validation) == 1


@pytest.mark.parametrize(("rows", "cols", "fraction"), [(1, 1, 0.5), (2, 2, 0), (2, 2, 1.0)])
def test_block_split_that_leaves_one_side_empty_is_refused(
    rows: int, cols: int, fraction: float
) -> None:
    with pytest.raises(ConfigError, match=r"block_split: .*(Use at least two|Choose it between)"):
        block_split(rows, cols, fraction)
