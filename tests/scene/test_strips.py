"""Strips cover a window once, or stand for it evenly and say so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swath.grid.window import Window
from swath.scene.strips import cut_strips, spread_strips


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 400))
def test_strips_cover_a_window_once(height: int, width: int, strip_pixels: int) -> None:
    whole = Window(3, 4, height, width)
    strips = cut_strips(whole, strip_pixels)
    rows = [row for strip in strips for row in range(strip.row_off, strip.row_end)]
    assert rows == list(range(3, 3 + height))
    assert all((strip.col_off, strip.width) == (4, width) for strip in strips)


def test_strips_of_a_large_window_are_spread_and_say_so() -> None:
    strips, note = spread_strips(Window(0, 0, 100, 10), max_pixels=300, strip_pixels=100)
    assert [strip.row_off for strip in strips] == [0, 30, 60]
    assert note == " (looked at 3 of 10 strips)"


def test_strips_of_a_small_window_hold_every_pixel() -> None:
    strips, note = spread_strips(Window(0, 0, 30, 10), max_pixels=300, strip_pixels=70)
    assert sum(strip.pixels for strip in strips) == 300
    assert note == ""
