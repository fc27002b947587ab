"""Sides of pixels that turn out, at the seam of two tiles, not to be an edge of a segment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from swath.grid.window import Window
from swath.segmentation.statistics.partial import Edges, Ids
from swath.segmentation.statistics.recipe import Rows

SEAM_DTYPE = np.dtype([("id", "u4"), ("sides_x", "i8"), ("sides_y", "i8")])
"""Sides that a tile counted and that are none, of one segment."""

_Line = tuple[bool, int]  # whether it runs along a row, and the first row or column after it


@dataclass
class _Side:
    """Labels of one side of a tile, and how many of them have not been compared."""

    begin: int
    ids: Ids
    n_left: int


class Seams:
    """Labels along the sides of tiles that wait for the tile beyond; tiles of any cut."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[_Line, bool], list[_Side]] = {}

    def add(self, window: Window, edges: Edges) -> Rows:
        """Return what becomes known by one more tile; fields of `SEAM_DTYPE`, ascending by id."""
        found: list[Rows] = []
        for line, is_after, begin, ids in _sides(window, edges):
            one = _Side(begin, ids, ids.size)
            beyond = self._waiting.get((line, not is_after), [])
            for other in beyond:
                low = max(begin, other.begin)
                high = min(begin + ids.size, other.begin + other.ids.size)
                if low < high:
                    ours = ids[low - begin : high - begin]
                    same = ours[ours == other.ids[low - other.begin : high - other.begin]]
                    found.append(_count(same[same > 0], is_row=line[0]))
                    one.n_left -= high - low
                    other.n_left -= high - low
            beyond[:] = [other for other in beyond if other.n_left > 0]
            if one.n_left > 0:
                self._waiting.setdefault((line, is_after), []).append(one)
        together = np.concatenate([np.empty(0, SEAM_DTYPE), *found])
        return together[np.argsort(together["id"], kind="stable")]


def _sides(window: Window, edges: Edges) -> Iterator[tuple[_Line, bool, int, Ids]]:
    """Yield the line of each side, whether the tile lies after it, where it begins, its labels."""
    yield (True, window.row_off), True, window.col_off, edges.top
    yield (True, window.row_end), False, window.col_off, edges.bottom
    yield (False, window.col_off), True, window.row_off, edges.left
    yield (False, window.col_end), False, window.row_off, edges.right


def _count(ids: Ids, *, is_row: bool) -> Rows:
    """Count both sides of each pixel edge between equal labels."""
    distinct, counts = np.unique(ids, return_counts=True)
    rows = np.zeros(distinct.size, SEAM_DTYPE)
    rows["id"] = distinct
    rows["sides_x" if is_row else "sides_y"] = 2 * counts
    return rows
