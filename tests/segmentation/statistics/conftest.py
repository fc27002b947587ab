"""A slow, plain way to the statistics of segments, and a short way to run the real one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet
import pytest

from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.segmentation.statistics.accumulator import StatisticsAccumulator
from swath.segmentation.statistics.recipe import Recipe, dtypes_of
from swath.segmentation.statistics.spec import StatisticsOptions, quantile_of

Array = npt.NDArray[Any]
ALL = (
    "area", "bbox", "first_pixel", "centroid", "perimeter", "compactness",
    "count", "sum", "mean", "std", "min", "max", "median", "mode", "p0", "p10", "p90", "p100",
)  # fmt: skip


def grid_of(shape: tuple[int, int]) -> Grid:
    """Return a grid with pixels of 20 x 10 m."""
    return Grid("EPSG:32633", (20.0, 0, 500_000.0, 0, -10.0, 5_000_000.0), *shape)


def expected(
    labels: Array, images: Sequence[Array], valid: Sequence[Array], names: Sequence[str] = ALL
) -> dict[int, dict[str, Any]]:
    """Return the statistics of each segment by definition, one pixel after the other."""
    grid = grid_of(labels.shape)
    found = {}
    around = np.pad(labels.astype(np.int64), 1)
    for segment in np.unique(labels[labels > 0]).tolist():
        rows, cols = np.nonzero(labels == segment)
        n = rows.size
        sides_x = sum(int((around[rows + 1 + step, cols + 1] != segment).sum()) for step in (-1, 1))
        sides_y = sum(int((around[rows + 1, cols + 1 + step] != segment).sum()) for step in (-1, 1))
        perimeter = 20.0 * sides_x + 10.0 * sides_y
        x, y = grid.pixel_to_map(rows.sum() / n + 0.5, cols.sum() / n + 0.5)
        row = {
            "n_pixels": n,
            "area": 200.0 * n,
            "row_off": rows.min(), "col_off": cols.min(),
            "height": np.ptp(rows) + 1, "width": np.ptp(cols) + 1,
            "first_row": rows[0], "first_col": cols[0],
            "centroid_x": x, "centroid_y": y,
            "perimeter": perimeter,
            "compactness": 4 * math.pi * (200.0 * n) / perimeter**2,
        }  # fmt: skip
        band = 0
        for image, known in zip(images, valid, strict=True):
            for values in image:
                band += 1
                inside = values[(labels == segment) & known & np.isfinite(values)]
                for name in names:
                    if name not in ("area", "bbox", "first_pixel", "centroid", "perimeter",
                                    "compactness"):  # fmt: skip
                        row[f"b{band}_{name}"] = one_statistic(name, inside)
        found[segment] = row
    return found


def one_statistic(name: str, values: Array) -> Any:
    """Return one statistic of some values."""
    n = values.size
    if name == "count":
        return n
    is_float = values.dtype.kind == "f"
    exact = [v.item() for v in values]
    if name == "sum":
        return math.fsum(exact) if is_float else sum(exact)
    if n == 0:
        return None
    if name == "mean":
        return float(sum(map(Fraction, exact)) / n) if is_float else sum(exact) / n
    if name == "std":
        if is_float:
            mean = math.fsum(exact) / n
            return math.sqrt(math.fsum((v - mean) ** 2 for v in exact) / n)
        return math.sqrt(float(n * sum(v * v for v in exact) - sum(exact) ** 2) / float(n * n))
    if name in ("min", "max"):
        return (min if name == "min" else max)(exact)
    if name == "mode":
        distinct, counts = np.unique(values, return_counts=True)
        return distinct[np.argmax(counts)].item()
    if name == "median":
        return float(np.median(values.astype(np.float64)))
    quantile = quantile_of(name)
    assert quantile is not None
    ordered = np.sort(values.astype(np.float64))
    place = quantile * (n - 1)
    low = int(place)
    high = min(low + 1, n - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (place % 1))


def rows_of(table: pyarrow.Table) -> dict[int, dict[str, Any]]:
    """Return a table as rows by id."""
    return {row.pop("id"): row for row in table.to_pylist()}


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., pyarrow.Table]:
    """Return a function that takes statistics of arrays, cut into windows, as a table."""

    def run(
        labels: Array,
        images: Sequence[Array],
        valid: Sequence[Array],
        names: Sequence[str] = ALL,
        *,
        windows: Sequence[Window] | int | None = None,
        seed: int | None = None,
        workers: int = 1,
        **options: Any,
    ) -> pyarrow.Table:
        recipe = Recipe(
            StatisticsOptions(statistics=tuple(names)), grid_of(labels.shape), dtypes_of(images)
        )
        if windows is None or isinstance(windows, int):
            windows = tiles(labels.shape, windows or max(labels.shape))
        order = np.arange(len(windows))
        if seed is not None:
            np.random.default_rng(seed).shuffle(order)
        with StatisticsAccumulator(recipe, tmp_path, **options) as statistics:

            def add(tile: int, only: Array | None = None) -> None:
                at = windows[tile].slices
                statistics.add_tile(
                    windows[tile],
                    labels[at].astype(np.uint32),
                    [image[:, *at] for image in images],
                    [known[at] for known in valid],
                    tile=tile,
                    only=only,
                )

            for tile in order.tolist():
                add(tile)
            for tile, only in statistics.repeated().items():
                add(tile, only)
            path = tmp_path / "table.parquet"
            statistics.finish(path, workers=workers)
        assert list(tmp_path.iterdir()) == [path], "temporary files are left"
        return pyarrow.parquet.read_table(path)

    return run
