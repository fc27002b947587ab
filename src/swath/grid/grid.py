"""Where pixels lie on Earth: a coordinate reference system, an affine transform, a size.

For comparing images before their pixels are read, and for turning windows into geometry. Not for
reprojecting (that takes PROJ: `swath.raster`, `swath.vector`).

One idea: pixel CORNERS carry geometry. `(row, col) = (0, 0)` is the upper left corner of the upper
left pixel, so a window's rectangle is exact and pixel -> map -> pixel is the identity. Half pixels
never appear.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from swath.grid.window import Window

Transform = tuple[float, float, float, float, float, float]

ALIGNED_PX = 1e-3  # corners closer than this, in pixels, are one: writers round coordinates


class Bounds(NamedTuple):
    """A box in map units of some CRS, x before y."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True, slots=True)
class Grid:
    """A raster without its values.

    Parameters
    ----------
    crs
        ``"EPSG:32633"`` where the CRS has such a code, else WKT; None without georeference.
    transform
        `(a, b, c, d, e, f)` with `x = a*col + b*row + c` and `y = d*col + e*row + f`, in map units
        per pixel, at pixel corners (the order of the `affine` library).
    height, width
        Size in pixels.
    """

    crs: str | None
    transform: Transform
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """`(height, width)`, in pixels."""
        return self.height, self.width

    @property
    def window(self) -> Window:
        """All pixels."""
        return Window(0, 0, self.height, self.width)

    @property
    def resolution(self) -> tuple[float, float]:
        """Size of a pixel along x (one column) and along y (one row), in map units, positive."""
        a, b, _, d, e, _ = self.transform
        return math.hypot(a, d), math.hypot(b, e)

    @property
    def bounds(self) -> Bounds:
        """The smallest map box around all pixels."""
        return self.window_bounds(self.window)

    def pixel_to_map(self, row: float, col: float) -> tuple[float, float]:
        """Return `(x, y)` of a pixel corner; `(row + 0.5, col + 0.5)` gives a centre."""
        a, b, c, d, e, f = self.transform
        return a * col + b * row + c, d * col + e * row + f

    def map_to_pixel(self, x: float, y: float) -> tuple[float, float]:
        """Return fractional `(row, col)` of a map position, counted from the upper left corner."""
        a, b, c, d, e, f = self.transform
        determinant = a * e - b * d
        dx, dy = x - c, y - f
        return (a * dy - d * dx) / determinant, (e * dx - b * dy) / determinant

    def window_polygon(self, window: Window) -> tuple[tuple[float, float], ...]:
        """Return the closed ring of a window's corners, five `(x, y)`, on rotated grids too."""
        corners = (
            (window.row_off, window.col_off),
            (window.row_end, window.col_off),
            (window.row_end, window.col_end),
            (window.row_off, window.col_end),
            (window.row_off, window.col_off),
        )
        return tuple(self.pixel_to_map(row, col) for row, col in corners)

    def window_bounds(self, window: Window) -> Bounds:
        """Return the smallest map box around a window."""
        xs, ys = zip(*self.window_polygon(window), strict=True)
        return Bounds(min(xs), min(ys), max(xs), max(ys))

    def bounds_window(self, bounds: Bounds) -> Window:
        """Return the smallest window around a map box; it may reach past the image."""
        left, bottom, right, top = bounds
        corners = [self.map_to_pixel(x, y) for x in (left, right) for y in (bottom, top)]
        rows, cols = zip(*corners, strict=True)
        row_off, col_off = (math.floor(min(v) + ALIGNED_PX) for v in (rows, cols))
        row_end, col_end = (math.ceil(max(v) - ALIGNED_PX) for v in (rows, cols))
        return Window(row_off, col_off, max(row_end - row_off, 1), max(col_end - col_off, 1))

    def crop(self, window: Window) -> Grid:
        """Return the grid of a window, which may reach past this one."""
        a, b, _, d, e, _ = self.transform
        x, y = self.pixel_to_map(window.row_off, window.col_off)
        return Grid(self.crs, (a, b, x, d, e, y), window.height, window.width)

    def offset(self, other: Grid) -> tuple[int, int] | None:
        """Return the pixel of this grid where `other` begins, if they share one lattice of pixels.

        Returns
        -------
        (row, col) or None
            None if CRS, size or direction of pixels differ, or they are shifted by a part of one.
        """
        if self.crs != other.crs:
            return None
        corners = [(0, 0), (0, other.width), (other.height, 0)]
        found = [self.map_to_pixel(*other.pixel_to_map(row, col)) for row, col in corners]
        row_off, col_off = round(found[0][0]), round(found[0][1])
        for (row, col), (found_row, found_col) in zip(corners, found, strict=True):
            off_by = max(abs(found_row - row - row_off), abs(found_col - col - col_off))
            if off_by > ALIGNED_PX:
                return None
        return row_off, col_off

    def difference(self, other: Grid) -> str | None:
        """Say how two grids differ, as the part of a sentence; None if they are one grid.

        Examples
        --------
        >>> utm33 = Grid("EPSG:32633", (10, 0, 0, 0, -10, 0), 3, 3)
        >>> utm34 = Grid("EPSG:32634", (10, 0, 0, 0, -10, 0), 3, 3)
        >>> utm33.difference(utm34)
        'EPSG:32633 10 m against EPSG:32634 10 m'
        """
        offset = self.offset(other)
        if offset == (0, 0) and self.shape == other.shape:
            return None
        ours, theirs = self._described(), other._described()
        if ours != theirs:
            return f"{ours} against {theirs}"
        if self.shape != other.shape:
            ours, theirs = (f"{g.height} x {g.width} px" for g in (self, other))
            return f"{ours} against {theirs} (rows x columns)"
        row, col = (abs(v) for v in self.map_to_pixel(*other.pixel_to_map(0, 0)))
        ours, theirs = (f"({g.transform[2]:.10g}, {g.transform[5]:.10g})" for g in (self, other))
        return (
            f"upper left corner {ours} against {theirs}, {row:.4g} rows and {col:.4g} columns apart"
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged."""
        return {
            "crs": self.crs,
            "transform": list(self.transform),
            "height": self.height,
            "width": self.width,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Grid:
        """Build the grid from what `to_json` returned."""
        a, b, c, d, e, f = (float(value) for value in data["transform"])
        return cls(data["crs"], (a, b, c, d, e, f), data["height"], data["width"])

    def _described(self) -> str:
        x, y = self.resolution
        size = f"{x:.9g}" if math.isclose(x, y, rel_tol=1e-6) else f"{x:.9g} x {y:.9g}"
        name = self.crs or "no CRS"
        if len(name) > 40:  # WKT: its name says most
            quoted = re.search(r'"([^"]*)"', name)
            name = f"CRS {quoted[1]!r}" if quoted else name[:40]
        return f"{name} {size} {_unit(self.crs)}"


def _unit(crs: str | None) -> str:
    """Return the name of the map unit where it can be told without PROJ."""
    if crs is None:
        return "px"
    if crs == "EPSG:4326" or crs.startswith("GEOG"):
        return "degrees"
    if re.fullmatch(r"EPSG:(32[67]\d\d|3857|258\d\d|3035)", crs) or 'UNIT["metre"' in crs:
        return "m"
    return "map units"
