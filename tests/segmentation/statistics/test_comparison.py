"""Statistics of segments against those of pandas, scipy and numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import rasterio
from rasterio.windows import Window as RasterioWindow
from scipy import ndimage

Measure = Callable[..., pyarrow.Table]
NAMES = ("count", "sum", "mean", "std", "min", "max", "median", "mode", "p5", "p33.3", "p90")


@pytest.fixture(scope="module")
def scene(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a part of the Parana scene, and blobs of about 80 pixels as segments."""
    path = shared_data / "parana_landsat8" / "landsat8_b234.tif"
    with rasterio.open(path) as file:
        values = file.read(window=RasterioWindow(700, 700, 301, 257))
    smooth = ndimage.gaussian_filter(values[0].astype(float), 2)
    labels, _ = ndimage.label(ndimage.grey_opening(smooth, 3) // 60 % 2 == 0)
    others, _ = ndimage.label(labels == 0)
    labels = np.where(labels > 0, labels, others + labels.max())
    labels[100:120, 30:60] = 0
    return labels, values


@pytest.mark.parametrize("tile_size", [None, 64, 100])
def test_integers_equal_pandas_and_scipy_to_the_last_bit(
    measure: Measure, scene: tuple[np.ndarray, np.ndarray], tile_size: int | None
) -> None:
    labels, values = scene
    valid = np.ones(labels.shape, bool)
    table = measure(labels, [values], [valid], NAMES, windows=tile_size).to_pandas()
    ids = np.unique(labels[labels > 0])
    assert 100 < ids.size < 5000
    assert (table["id"] == ids).all()
    for band in range(3):
        inside = labels > 0
        groups = pd.Series(values[band][inside]).groupby(labels[inside])
        found = {name: table[f"b{band + 1}_{name}"].to_numpy() for name in NAMES}
        wanted = {name: getattr(groups, name)() for name in ("count", "sum", "mean", "min", "max")}
        wanted["median"] = groups.median()
        wanted["mode"] = groups.agg(lambda each: each.mode().iloc[0])
        for name, share in (("p5", 0.05), ("p33.3", 0.333), ("p90", 0.9)):
            wanted[name] = groups.quantile(share)
        for name, each in wanted.items():
            assert (found[name] == each.to_numpy()).all(), name
        for name in ("sum", "mean", "median"):
            theirs = getattr(ndimage, name)(values[band], labels, ids)
            assert (found[name] == theirs).all(), name
        assert (found["min"] == ndimage.minimum(values[band], labels, ids)).all()
        # Neither rounds the standard deviation once; the definition by whole numbers does.
        assert found["std"] == pytest.approx(groups.std(ddof=0).to_numpy(), rel=1e-12)
        with np.errstate(invalid="ignore"):  # of ids that do not occur
            theirs = ndimage.standard_deviation(values[band].astype(float), labels, ids)
        assert found["std"] == pytest.approx(theirs, rel=1e-12)


def test_floats_of_large_segments_are_within_the_stated_error(measure: Measure) -> None:
    rng = np.random.default_rng(0)
    values = (rng.gamma(2, 3, (1, 300, 320)) - 4).astype(np.float32)
    labels = np.ones((300, 320), np.uint32)
    labels[:, 250:] = 2  # 21,000 pixels: exact
    valid = np.ones(labels.shape, bool)
    names = ("median", "p1", "p99", "mode", "p0", "p100", "min", "max")
    table = measure(labels, [values], [valid], names)
    assert measure(labels, [values], [valid], names, windows=97, seed=1) == table
    assert measure(labels, [values], [valid], names, windows=70, memory_bytes=10_000) == table
    large, small = table.to_pylist()
    for name, percentile in (("median", 50), ("p1", 1), ("p99", 99)):
        each = np.percentile(values[0][labels == 2].astype(float), percentile)
        assert small[f"b1_{name}"] == pytest.approx(each, rel=1e-15)
        each = np.percentile(values[0][labels == 1].astype(float), percentile)
        assert large[f"b1_{name}"] == pytest.approx(each, rel=2**-18)
        assert large[f"b1_{name}"] != each
    assert large["b1_p0"] == pytest.approx(large["b1_min"], rel=2**-18)
    assert large["b1_min"] == values[0][labels == 1].min()


def test_a_constant_stays_what_it_is_however_large(measure: Measure) -> None:
    values = np.full((1, 300, 300), 0.1, np.float32)
    labels = np.ones((300, 300), np.uint32)
    names = ("mean", "std", "median", "mode", "p3")
    (row,) = measure(labels, [values], [labels > 0], names, windows=128).to_pylist()
    assert {row[f"b1_{name}"] for name in names if name != "std"} == {np.float32(0.1).item()}
    assert row["b1_std"] == 0


def test_images_of_several_types_each_have_their_own_gaps(measure: Measure) -> None:
    labels = np.array([[1, 1, 2], [1, 2, 2]])
    first = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    second = np.array([[[0.5, np.nan, 1], [1, 2, np.inf]]], np.float64)
    known = np.array([[True, True, False], [True, False, False]])
    table = measure(
        labels, [first, second], [known, np.ones((2, 3), bool)], ("count", "sum", "min")
    )
    assert table.to_pylist() == [
        {"id": 1, "n_pixels": 3, "b1_count": 3, "b1_sum": 7, "b1_min": 1,
         "b2_count": 2, "b2_sum": 1.5, "b2_min": 0.5},
        {"id": 2, "n_pixels": 3, "b1_count": 0, "b1_sum": 0, "b1_min": None,
         "b2_count": 2, "b2_sum": 3.0, "b2_min": 1.0},
    ]  # fmt: skip
    assert table.schema.field("b1_min").type == pyarrow.uint8()


def test_a_band_of_zeros_has_numbers_and_no_nulls(measure: Measure) -> None:
    zeros = np.zeros((1, 4, 4), np.uint8)
    (row,) = measure(np.ones((4, 4)), [zeros], [zeros[0] == 0], NAMES, windows=3).to_pylist()
    assert {name: row[f"b1_{name}"] for name in NAMES} == dict.fromkeys(NAMES, 0) | {"count": 16}
