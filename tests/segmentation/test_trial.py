"""Trying parameters on windows: which windows, which order, which table and sheet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from swath.errors import ConfigError, DataError
from swath.raster.reader import open_raster
from swath.raster.spec import Raster
from swath.segmentation.clusters import Clusters
from swath.segmentation.spec import SegmentOptions
from swath.segmentation.trial import (
    options_grid,
    sample_windows,
    table,
    try_parameters,
    write_contact_sheet,
    write_table,
)


def write(path: Path, values: np.ndarray, nodata: float | None = 0) -> Raster:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[1],
        width=values.shape[2],
        count=len(values),
        dtype=values.dtype.name,
        crs="EPSG:32633",
        transform=Affine(10, 0, 500_000, 0, -10, 5_000_000),
        nodata=nodata,
    ) as file:
        file.write(values)
    return Raster(uris=str(path))


@pytest.fixture
def fields(tmp_path: Path) -> Raster:
    """96 x 120 pixels: fields of 12 pixels in four colours with noise."""
    rng = np.random.default_rng(2)
    plan = rng.integers(0, 4, (8, 10))
    colours = rng.integers(20, 220, (3, 4))
    values = colours[:, np.repeat(np.repeat(plan, 12, axis=0), 12, axis=1)]
    return write(
        tmp_path / "fields.tif", (values + rng.normal(0, 6, values.shape)).astype(np.uint8)
    )


def test_grid_is_every_combination(fields: Raster) -> None:
    found = options_grid(
        SegmentOptions(seed=3), {"min_size": [2, 9], "max_distance": ["auto", None]}
    )
    assert [(each.min_size, each.max_distance, each.seed) for each in found] == [
        (2, "auto", 3),
        (2, None, 3),
        (9, "auto", 3),
        (9, None, 3),
    ]
    with pytest.raises(ConfigError, match="no option 'size'"):
        options_grid(SegmentOptions(), {"size": [2]})
    with pytest.raises(ConfigError, match=r"min_size 0 cannot be tried: .*greater than"):
        options_grid(SegmentOptions(), {"min_size": [5, 0]})


def test_best_candidate_is_the_one_that_follows_the_fields(fields: Raster) -> None:
    def fit(image: Any, options: SegmentOptions) -> Clusters:
        ones = np.ones(3)
        return Clusters(np.zeros((1, 3)), 0 * ones, ones, ones, max_distance=7.0)

    def segment(values: Any, valid: Any, clusters: Clusters, options: SegmentOptions) -> Any:
        rows, cols = np.indices(valid.shape) // options.min_size
        return (1 + rows * (cols.max() + 1) + cols).astype(np.uint32)

    grid = options_grid(SegmentOptions(), {"min_size": [3, 12, 20], "max_distance": ["auto", 5.0]})
    found = try_parameters(fields, grid, workers=2, fit=fit, segment=segment)
    assert [each.options.min_size for each in found[:2]] == [12, 12]
    assert [each.max_distance for each in found[:2]] == [7.0, 5.0]  # as in the grid: a tie
    assert [each.score for each in found] == sorted(each.score for each in found)
    assert found[0].goodness.n_segments == 80


def test_candidates_that_differ_in_merging_share_a_fit(fields: Raster) -> None:
    asked = []

    def fit(image: Any, options: SegmentOptions) -> Clusters:
        asked.append(options.clusters)
        ones = np.ones(3)
        return Clusters(np.zeros((1, 3)), 0 * ones, ones, ones, max_distance=7.0)

    def segment(values: Any, valid: Any, clusters: Clusters, options: SegmentOptions) -> Any:
        return valid.astype(np.uint32)

    values = {"clusters": [4, 8], "min_size": [2, 9], "max_distance": ["auto", None, 3.0]}
    found = try_parameters(fields, options_grid(SegmentOptions(), values), fit=fit, segment=segment)
    assert asked == [4, 8]
    assert {each.max_distance for each in found} == {7.0, None, 3.0}


def test_real_segmentation_is_the_same_for_every_number_of_workers(fields: Raster) -> None:
    grid = options_grid(SegmentOptions(clusters=8), {"min_size": [2, 30, 400]})
    one, two = (
        try_parameters(fields, grid, n_windows=2, window_size=48, workers=workers)
        for workers in (1, 2)
    )
    assert table(one) == table(two)
    assert all((a.picture == b.picture).all() for a, b in zip(one, two, strict=True))
    counts = {each.options.min_size: each.goodness.n_segments for each in one}
    assert counts[2] > counts[30] > counts[400]
    assert one[0].options.min_size == 30


def test_windows_are_spread_and_do_not_overlap(tmp_path: Path) -> None:
    values = np.arange(1, 1 + 200 * 300, dtype=np.uint32).reshape(1, 200, 300)
    with open_raster(write(tmp_path / "i.tif", values)) as reader:
        found = sample_windows(reader, 4, 64, seed=0)
        again = sample_windows(reader, 4, 64, seed=0)
        other = sample_windows(reader, 4, 64, seed=1)
        whole = sample_windows(reader, 4, 150, seed=0)
    pixels = np.concatenate([each.values.ravel() for each in found])
    assert len(found) == 4
    assert np.unique(pixels).size == 4 * 64 * 64
    assert [each.values[0, 0, 0] for each in found] == [each.values[0, 0, 0] for each in again]
    assert [each.values[0, 0, 0] for each in found] != [each.values[0, 0, 0] for each in other]
    assert [each.valid.shape for each in whole] == [(200, 300)]
    corners = np.array([divmod(int(each.values[0, 0, 0]) - 1, 300) for each in found])
    assert (np.ptp(corners, axis=0) > (60, 100)).all()


def test_windows_without_data_are_passed_over(tmp_path: Path) -> None:
    values = np.zeros((1, 200, 300), np.uint8)
    values[:, :, 200:] = 1
    with open_raster(write(tmp_path / "i.tif", values)) as reader:
        found = sample_windows(reader, 3, 32, seed=0)
    assert len(found) == 3
    assert all(each.valid.mean() >= 0.5 for each in found)
    with pytest.raises(DataError, match="No window of the image has data"):
        try_parameters(write(tmp_path / "0.tif", 0 * values), [SegmentOptions()], window_size=8)


def test_table_has_what_differs_and_is_written_as_csv_or_json(
    fields: Raster, tmp_path: Path
) -> None:
    grid = options_grid(SegmentOptions(clusters=8, min_size=20), {"connectivity": [4, 8]})
    found = try_parameters(fields, grid)
    rows = table(found)
    assert list(rows[0]) == [
        "rank",
        "clusters",
        "min_size",
        "max_distance",
        "connectivity",
        "distance",
        "segments",
        "mean_size",
        "variance",
        "moran",
        "score",
    ]
    assert [row["rank"] for row in rows] == [1, 2]
    write_table(found, tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == rows
    write_table(found, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [float(row["score"]) for row in read] == [row["score"] for row in rows]
    with pytest.raises(ConfigError, match=r"'\.txt' names no format"):
        write_table(found, tmp_path / "t.txt")


def test_contact_sheet_shows_every_candidate_with_its_caption(
    fields: Raster, tmp_path: Path
) -> None:
    grid = options_grid(SegmentOptions(clusters=8), {"min_size": [2, 10, 60]})
    found = try_parameters(fields, grid, picture_px=40, zoom=3)
    assert {each.picture.shape for each in found} == {(120, 120, 3)}
    write_contact_sheet(found, tmp_path / "sheet.png", columns=2)
    with Image.open(tmp_path / "sheet.png") as opened:
        sheet = np.asarray(opened)
    width = (sheet.shape[1] - 10) // 2
    height = (sheet.shape[0] - 10) // 2
    places = [(10, 10), (10, 10 + width), (10 + height, 10)]
    for candidate, (top, left) in zip(found, places, strict=True):
        shown = sheet[top : top + 120, left : left + 120]
        np.testing.assert_array_equal(shown, candidate.picture)
        below = sheet[top + 122 : top + height, left : left + width - 10]
        assert (below < 100).any()  # the caption
    empty = sheet[10 + height :, 10 + width :]
    assert (empty == 255).all()


def test_nothing_to_try_is_an_error(fields: Raster) -> None:
    with pytest.raises(ConfigError, match="nothing to try"):
        try_parameters(fields, [])
