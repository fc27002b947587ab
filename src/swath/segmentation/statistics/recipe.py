"""From what was counted of segments to the columns of their statistics.

One idea: a row is computed from counts alone, by one function, whether they come from one tile or
were merged from many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.grid.grid import Grid
from swath.segmentation.statistics import locate, sums
from swath.segmentation.statistics.keys import check_dtype, values_of
from swath.segmentation.statistics.spec import (
    SHAPE_STATISTICS,
    StatisticsOptions,
    quantile_of,
)

Rows = npt.NDArray[np.void]
"""Structured arrays, one row a segment, ascending by the field ``id``."""

Integers = npt.NDArray[np.int64]
Field = tuple[str, npt.DTypeLike]

_SHAPE_FIELDS: dict[str, tuple[Field, ...]] = {
    "area": (("area", "f8"),),
    "bbox": (("row_off", "i8"), ("col_off", "i8"), ("height", "i8"), ("width", "i8")),
    "first_pixel": (("first_row", "i8"), ("first_col", "i8")),
    "centroid": (("centroid_x", "f8"), ("centroid_y", "f8")),
    "perimeter": (("perimeter", "f8"),),
    "compactness": (("compactness", "f8"),),
}


@dataclass(frozen=True)
class Recipe:
    """What is to be computed, and how it is laid out.

    Parameters
    ----------
    options
        The statistics.
    grid
        Grid of the labels.
    dtypes
        Type of the values of each band.
    """

    options: StatisticsOptions
    grid: Grid
    dtypes: tuple[np.dtype[Any], ...]

    def __post_init__(self) -> None:
        for dtype in self.dtypes:
            check_dtype(dtype)

    @cached_property
    def band_statistics(self) -> tuple[str, ...]:
        """Names of the statistics of each band."""
        return self.options.band_statistics

    @cached_property
    def quantiles(self) -> npt.NDArray[np.float64]:
        """Quantiles to find, 0 to 1, ascending."""
        wanted = {quantile_of(name) for name in self.band_statistics} - {None}
        return np.array(sorted(q for q in wanted if q is not None), np.float64)

    @property
    def wants_mode(self) -> bool:
        """Whether the most frequent value is asked for."""
        return "mode" in self.band_statistics

    @property
    def wants_ranks(self) -> bool:
        """Whether values must be counted."""
        return self.wants_mode or self.quantiles.size > 0

    @cached_property
    def wants_shapes(self) -> bool:
        """Whether more is asked of shapes than the number of pixels."""
        return any(name in SHAPE_STATISTICS and name != "area" for name in self.options.statistics)

    @property
    def wants_sides(self) -> bool:
        """Whether the sides of pixels at edges of segments must be counted."""
        return not {"perimeter", "compactness"}.isdisjoint(self.options.statistics)

    @property
    def n_bands(self) -> int:
        """Number of bands; 0 if nothing is asked of them."""
        return len(self.dtypes) if self.band_statistics else 0

    @cached_property
    def columns(self) -> tuple[Field, ...]:
        """Name and type of each column, in order."""
        found: list[Field] = [("id", "u4"), ("n_pixels", "i8")]
        for name in self.options.statistics:
            found += _SHAPE_FIELDS.get(name, ())
        for band in range(self.n_bands):
            dtype = self.dtypes[band]
            for name in self.band_statistics:
                found.append((f"b{band + 1}_{name}", _type_of(name, dtype)))
        return tuple(found)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(name for name, _ in self.columns)

    @cached_property
    def row_dtype(self) -> np.dtype[np.void]:
        """Type of a row: the columns, the tile it was finished in, and which bands are empty."""
        empty = [(f"b{band + 1}_empty", "?") for band in range(self.n_bands)]
        return np.dtype([*self.columns, ("tile", "i4"), *empty])

    def conclude(
        self,
        ids: npt.NDArray[np.uint32],
        shapes: Integers,
        moments: Integers,
        ranked: Integers,
        tile: int = -1,
    ) -> Rows:
        """Return the rows of segments, in their order.

        Parameters
        ----------
        ids
            Of the segments, in any order.
        shapes
            Array `(segment, 10)`, see `swath.segmentation.statistics.locate.describe_shapes`.
        moments
            Array `(segment, band, 13)`, see `swath.segmentation.statistics.sums`.
        ranked
            Array `(segment, band, 2 * quantile + 1)`, see
            `swath.segmentation.statistics.measure.measure_tile`.
        tile
            Number of the tile that they lie in.
        """
        rows = np.zeros(ids.size, self.row_dtype)
        rows["id"], rows["tile"] = ids, tile
        rows["n_pixels"] = shapes[:, locate.N_PIXELS]
        for name in self.options.statistics:
            if name in _SHAPE_FIELDS:
                self._conclude_shape(name, shapes, rows)
        for band in range(self.n_bands):
            self._conclude_band(band, moments[:, band], ranked[:, band], rows)
        return rows

    def _conclude_shape(self, name: str, shapes: Integers, rows: Rows) -> None:
        step_x, step_y = self.grid.resolution
        n_pixels = shapes[:, locate.N_PIXELS]
        a, b, c, d, e, f = self.grid.transform
        area = n_pixels * abs(a * e - b * d)
        if name == "area":
            rows["area"] = area
        elif name == "bbox":
            rows["row_off"] = shapes[:, locate.ROW_MIN]
            rows["col_off"] = shapes[:, locate.COL_MIN]
            rows["height"] = shapes[:, locate.ROW_MAX] - shapes[:, locate.ROW_MIN] + 1
            rows["width"] = shapes[:, locate.COL_MAX] - shapes[:, locate.COL_MIN] + 1
        elif name == "first_pixel":
            rows["first_row"], rows["first_col"] = np.divmod(
                shapes[:, locate.FIRST], self.grid.width
            )
        elif name == "centroid":
            row = shapes[:, locate.ROW_SUM] / n_pixels + 0.5
            col = shapes[:, locate.COL_SUM] / n_pixels + 0.5
            rows["centroid_x"], rows["centroid_y"] = a * col + b * row + c, d * col + e * row + f
        else:
            perimeter = shapes[:, locate.SIDES_X] * step_x + shapes[:, locate.SIDES_Y] * step_y
            compactness = 4 * math.pi * area / perimeter**2
            rows[name] = perimeter if name == "perimeter" else compactness

    def _conclude_band(self, band: int, moments: Integers, ranked: Integers, rows: Rows) -> None:
        dtype = self.dtypes[band]
        count = moments[:, sums.COUNT]
        low = values_of(moments[:, sums.LOW], dtype)
        high = values_of(moments[:, sums.HIGH], dtype)
        rows[f"b{band + 1}_empty"] = count == 0
        concluded = sums.conclude_moments(moments, dtype.kind == "f")
        for name in self.band_statistics:
            values: npt.NDArray[Any]
            if name == "count":
                values = count
            elif name == "sum":
                values = moments[:, sums.SUM] if dtype.kind != "f" else concluded[:, 0]
            elif name in ("mean", "std"):
                values = concluded[:, 1 if name == "mean" else 2]
            elif name in ("min", "max"):
                values = low if name == "min" else high
            elif name == "mode":
                values = np.clip(values_of(ranked[:, -1], dtype), low, high)
            else:
                ends = (values_of(ranked[:, at], dtype) for at in self._places_of(name))
                lower, upper = (np.clip(end, low, high).astype(np.float64) for end in ends)
                values = _interpolate(name, count, lower, upper)
            rows[f"b{band + 1}_{name}"] = values

    def _places_of(self, name: str) -> tuple[int, int]:
        """Return where the lower and the upper key of a quantile stand."""
        quantile = quantile_of(name)
        assert quantile is not None
        at = 2 * int(np.searchsorted(self.quantiles, quantile))
        return at, at + 1


def dtypes_of(layers: Sequence[npt.NDArray[Any]]) -> tuple[np.dtype[Any], ...]:
    """Return the type of each band of arrays `(band, y, x)`, one after the other."""
    return tuple(values.dtype for values in layers for _ in range(len(values)))


def _interpolate(
    name: str, count: Integers, lower: npt.NDArray[np.float64], upper: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return a quantile as numpy and pandas define it: linear between two values."""
    if name == "median":
        return np.asarray((lower + upper) / 2)
    quantile = quantile_of(name)
    assert quantile is not None
    return np.asarray(lower + (upper - lower) * (quantile * (count - 1) % 1))


def _type_of(name: str, dtype: np.dtype[Any]) -> npt.DTypeLike:
    if name == "count":
        return "i8"
    if name == "sum":
        return "f8" if dtype.kind == "f" else "i8"
    return dtype if name in ("min", "max", "mode") else "f8"
