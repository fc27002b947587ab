"""Segments of a window or of polygons, numbered anew."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine

from swath.errors import ConfigError, DataError
from swath.grid.window import Window
from swath.segmentation import subset
from swath.segmentation.kernels.renumber import grow, place_of, renumber
from swath.segmentation.subset import Numbering, write_subset

LABELS = np.array(
    [
        [5, 5, 5, 5, 5, 5],
        [5, 9, 9, 2, 2, 5],
        [5, 0, 9, 2, 7, 7],
        [8, 8, 9, 2, 7, 7],
    ],
    np.uint32,
)


def write_labels(path: Path, labels: np.ndarray = LABELS) -> str:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=labels.shape[0],
        width=labels.shape[1],
        count=1,
        dtype=labels.dtype.name,
        crs="EPSG:32633",
        transform=Affine(10, 0, 500_000, 0, -10, 5_000_000),
        nodata=0,
    ) as file:
        file.write(labels, 1)
    return str(path)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        assert file.nodata == 0
        assert file.dtypes == ("uint32",)
        return file.read(1)


def pixel_box(row: int, col: int, height: int, width: int) -> shapely.Polygon:
    left, top = 500_000 + 10 * col, 5_000_000 - 10 * row
    return shapely.box(left, top - 10 * height, left + 10 * width, top)


@pytest.fixture
def labels(tmp_path: Path) -> str:
    return write_labels(tmp_path / "labels.tif")


def test_window_is_numbered_by_first_pixels(labels: str, tmp_path: Path) -> None:
    made = write_subset(
        labels,
        tmp_path / "part.tif",
        window=Window(1, 1, 3, 4),
        map_to=tmp_path / "ids.parquet",
    )
    assert read(tmp_path / "part.tif").tolist() == [[1, 1, 2, 2], [0, 1, 2, 3], [4, 1, 2, 3]]
    table = pq.read_table(tmp_path / "ids.parquet").to_pydict()
    assert table == {"id": [1, 2, 3, 4], "old_id": [9, 2, 7, 8]}
    assert made.n_segments == 4
    with rasterio.open(tmp_path / "part.tif") as file:
        assert file.transform == Affine(10, 0, 500_010, 0, -10, 4_999_990)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_segment_that_is_cut_into_parts_keeps_one_number(labels: str, tmp_path: Path) -> None:
    write_subset(labels, tmp_path / "part.tif", window=Window(1, 0, 1, 6))
    assert read(tmp_path / "part.tif").tolist() == [[1, 2, 2, 3, 3, 1]]


def test_whole_image_numbers_foreign_labels(labels: str, tmp_path: Path) -> None:
    write_subset(labels, tmp_path / "all.tif", window=Window(0, 0, 4, 6))
    found = read(tmp_path / "all.tif")
    assert np.unique(found[found > 0], return_index=True)[0].tolist() == [1, 2, 3, 4, 5]
    pairs = set(zip(LABELS.ravel().tolist(), found.ravel().tolist(), strict=True))
    assert pairs == {(0, 0), (5, 1), (9, 2), (2, 3), (7, 4), (8, 5)}


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
def test_pixels_outside_of_the_polygons_become_0(labels: str, tmp_path: Path, crs: str) -> None:
    shapes = [pixel_box(1, 2, 3, 1).buffer(-0.5), pixel_box(2, 4, 1, 2).buffer(-0.5)]
    frame = geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32633").to_crs(crs)
    frame.to_file(tmp_path / "area.gpkg")
    made = write_subset(
        labels, tmp_path / "part.tif", polygons=tmp_path / "area.gpkg", map_to=tmp_path / "m.csv"
    )
    assert made.window == Window(1, 2, 3, 4)
    assert read(tmp_path / "part.tif").tolist() == [[1, 0, 0, 0], [1, 0, 2, 2], [1, 0, 0, 0]]
    table = pyarrow.csv.read_csv(tmp_path / "m.csv").to_pydict()
    assert table == {"id": [1, 2], "old_id": [9, 7]}


def test_polygon_that_reaches_past_the_image_is_cut(labels: str, tmp_path: Path) -> None:
    area = geopandas.GeoDataFrame(geometry=[pixel_box(3, -5, 10, 7)], crs="EPSG:32633")
    area.to_file(tmp_path / "area.geojson")
    made = write_subset(labels, tmp_path / "part.tif", polygons=tmp_path / "area.geojson")
    assert made.window == Window(3, 0, 1, 2)
    assert read(tmp_path / "part.tif").tolist() == [[1, 1]]


def test_strips_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = np.random.default_rng(0).integers(0, 2**32, (60, 50), np.uint32)
    many[20:40] = many[:20]
    source = write_labels(tmp_path / "many.tif", many)
    frame = geopandas.GeoDataFrame(
        geometry=[shapely.Point(500_250, 4_999_700).buffer(220)], crs="EPSG:32633"
    )
    frame.to_file(tmp_path / "area.gpkg")
    found = []
    for n_pixels in (2**22, 50 * 7, 1):
        monkeypatch.setattr(subset, "STRIP_PIXELS", n_pixels)
        out = tmp_path / f"{n_pixels}.tif"
        write_subset(
            source, out, polygons=tmp_path / "area.gpkg", map_to=out.with_suffix(".parquet")
        )
        found.append((read(out), pq.read_table(out.with_suffix(".parquet"))))
    for numbers, table in found[1:]:
        np.testing.assert_array_equal(numbers, found[0][0])
        assert table.equals(found[0][1])
    numbers, table = found[0]
    first = [int(np.flatnonzero(numbers == id)[0]) for id in table["id"].to_pylist()[:200]]
    assert first == sorted(first)


def test_table_grows_and_forgets_nothing() -> None:
    labels = np.random.default_rng(1).permutation(20_000)[:, np.newaxis] - 10_000
    numbering = Numbering()
    twice = [numbering.number(labels), numbering.number(labels)]
    np.testing.assert_array_equal(twice[0], twice[1])
    assert numbering.n_segments == 19_999
    expected = labels[labels != 0]
    np.testing.assert_array_equal(numbering.old_ids(), expected)


def test_renumber_stops_before_its_table_is_half_full() -> None:
    keys, numbers = np.zeros(4, np.int64), np.zeros(4, np.uint32)
    labels, renumbered = np.array([7, 7, 0, 8]), np.empty(4, np.uint32)
    assert renumber(labels, keys, numbers, renumbered, 0, 0) == (3, 1)
    keys, numbers = grow(keys, numbers)
    assert renumber(labels, keys, numbers, renumbered, 3, 1) == (4, 2)
    assert renumbered.tolist() == [1, 1, 0, 2]
    assert numbers[place_of(keys, 7)] == 1


def test_what_does_not_fit_is_refused(labels: str, tmp_path: Path) -> None:
    out = tmp_path / "part.tif"
    with pytest.raises(DataError, match=r"\[2, 0, 3, 6\].*not within the image of 4 x 6 px"):
        write_subset(labels, out, window=Window(2, 0, 3, 6))
    with pytest.raises(ConfigError, match="not both"):
        write_subset(labels, out)
    with pytest.raises(ConfigError, match=r"'\.txt' names no format for a table"):
        write_subset(labels, out, window=Window(0, 0, 1, 1), map_to=tmp_path / "ids.txt")
    far = geopandas.GeoDataFrame(geometry=[pixel_box(99, 99, 2, 2)], crs="EPSG:32633")
    far.to_file(tmp_path / "far.gpkg")
    with pytest.raises(DataError, match="No feature lies on the image"):
        write_subset(labels, out, polygons=tmp_path / "far.gpkg")
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        write_subset(labels, out, window=Window(0, 0, 1, 1))
    write_subset(labels, out, window=Window(0, 0, 1, 1), overwrite=True)
    assert read(out).tolist() == [[1]]
