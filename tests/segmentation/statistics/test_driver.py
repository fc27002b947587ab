"""Statistics of segments from files to files."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import rasterio

from swath.errors import ConfigError, DataError, StoreError
from swath.grid.grid import Grid
from swath.raster.cog import write_geotiff
from swath.raster.spec import Raster
from swath.segmentation.statistics import attribute_table
from swath.segmentation.statistics.attribute_table import (
    LEFT_OUT,
    colours_of,
    place_beside,
    write_attribute_table,
)
from swath.segmentation.statistics.driver import segment_statistics

from .conftest import expected, grid_of, rows_of

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes an array `(band, y, x)` to a file."""

    def call(name: str, values: np.ndarray, grid: Grid | None = None, **options: Any) -> Path:
        values = values.reshape(-1, *values.shape[-2:])
        path = tmp_path / name
        grid = grid or grid_of(values.shape[1:])
        blocks = [(grid.window, values)]
        write_geotiff(path, grid, blocks, dtype=values.dtype, n_bands=len(values), **options)
        return path

    return call


@pytest.fixture
def scene(write: Write) -> tuple[Path, list[Path], dict[int, dict[str, Any]]]:
    """Return files of labels of several parts, two images, and their statistics."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 40, (9, 10)).repeat(5, 0).repeat(7, 1).astype(np.int32)
    one = rng.integers(0, 30, (2, 45, 70)).astype(np.uint16)
    two = rng.normal(size=(1, 45, 70)).astype(np.float32)
    two[rng.random(two.shape) < 0.1] = -9999
    images = [write("one.tif", one), write("two.tif", two, nodata=-9999)]
    rows = expected(labels, [one, two], [np.ones((45, 70), bool), two[0] != -9999], ("sum", "p90"))
    return write("labels.tif", labels), images, rows


@pytest.mark.parametrize("options", [{}, {"tile_size": 16, "workers": 3, "max_reads": 2}])
def test_statistics_of_files_are_those_of_their_arrays(
    scene: tuple[Any, ...], tmp_path: Path, options: dict[str, int]
) -> None:
    labels, images, rows = scene
    told: list[tuple[Any, ...]] = []
    names = "bbox, first_pixel, sum, p90"
    summary = segment_statistics(
        labels, images, tmp_path / "out.parquet", statistics=names,
        advance=lambda *numbers: told.append(numbers), **options,
    )  # fmt: skip
    table = pyarrow.parquet.read_table(summary.path)
    assert summary.columns == tuple(table.column_names)
    found = rows_of(table)
    assert summary.n_segments == len(found) == len(rows)
    assert summary.n_pixels == sum(row["n_pixels"] for row in rows.values())
    assert summary.n_repeated > 0 or not options
    for segment, row in rows.items():
        assert found[segment] == {name: row[name] for name in found[segment]}
    stage, done, total, pixels = told[-1]
    assert (stage, done, pixels) == ("statistics", total, 45 * 70)


def test_bands_and_nodata_are_chosen(scene: tuple[Any, ...], tmp_path: Path) -> None:
    labels, (one, _), rows = scene
    out = tmp_path / "out.parquet"
    segment_statistics(labels, one, out, statistics="sum,count", bands=[1], nodata=0)
    found = pyarrow.parquet.read_table(out).to_pylist()
    for row in found:
        assert row["b1_sum"] == rows[row["id"]]["b2_sum"]
    with rasterio.open(labels) as file, rasterio.open(one) as image:
        n_known = ((file.read(1) > 0) & (image.read(2) != 0)).sum()
    assert sum(row["b1_count"] for row in found) == n_known


def test_no_statistic_at_all_needs_no_pixel_of_the_image(
    scene: tuple[Any, ...], tmp_path: Path
) -> None:
    labels, _, rows = scene
    out = tmp_path / "out.parquet"
    segment_statistics(labels, "not-there.tif", out, statistics=())
    found = pyarrow.parquet.read_table(out).to_pylist()
    assert found == [{"id": i, "n_pixels": row["n_pixels"]} for i, row in rows.items()]


def test_labels_of_no_segment_give_an_empty_table(write: Write, tmp_path: Path) -> None:
    labels = write("labels.tif", np.full((4, 4), 5, np.uint8), nodata=5)
    summary = segment_statistics(labels, labels, tmp_path / "out.parquet")
    assert summary.n_segments == 0
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["id", "n_pixels", "b1_mean", "b1_std", "b1_min", "b1_max"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.array([[-1, 2]], np.int16), "The labels go from -1 to 2"),
        (np.array([[1, 2**32]], np.int64), "The labels go from 1 to 4294967296"),
        (np.array([[1, 2]], np.float32), "1 band(s) of float32"),
        (np.ones((2, 1, 2), np.uint8), "2 band(s) of uint8"),
    ],
)
def test_what_are_no_labels(write: Write, tmp_path: Path, labels: np.ndarray, told: str) -> None:
    path, image = write("labels.tif", labels), write("image.tif", np.ones((1, 2), np.uint8))
    _refused(told, path, image, tmp_path / "out.parquet")


def test_images_that_do_not_fit(write: Write, tmp_path: Path) -> None:
    labels, out = write("labels.tif", np.ones((2, 2), np.uint8)), tmp_path / "out.parquet"
    other = Grid("EPSG:32633", (20.0, 0, 500_040.0, 0, -10.0, 5_000_000.0), 2, 2)
    _refused("not on one grid", labels, write("a.tif", np.ones((2, 2), np.uint8), other), out)
    _refused("not on one grid: 2 x 2 px", labels, write("b.tif", np.ones((2, 3), np.uint8)), out)
    _refused("complex64", labels, write("c.tif", np.ones((2, 2), np.complex64)), out)
    _refused("uint64", labels, write("d.tif", np.ones((2, 2), np.uint64)), out)


def _refused(told: str, labels: Path, image: Path, out: Path) -> None:
    with pytest.raises(DataError) as error:
        segment_statistics(labels, image, out)
    assert told in str(error.value)
    assert error.value.mend
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"statistics": "mean,avg"}, "there is no statistic 'avg'"),
        ({"statistics": "p101"}, "there is no statistic 'p101'"),
        ({"statistics": ["p50", "p50"]}, "more than once: p50"),
        ({"tile_size": 0}, "tile_size is 0"),
        ({"workers": 0}, "workers 0"),
    ],
)
def test_options_that_are_wrong(
    write: Write, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    labels = write("labels.tif", np.ones((2, 2), np.uint8))
    with pytest.raises(ConfigError) as error:
        segment_statistics(labels, labels, tmp_path / "out.parquet", **options)
    assert told in str(error.value)


def test_what_exists_is_kept_unless_it_may_be_replaced(write: Write, tmp_path: Path) -> None:
    labels, out = write("labels.tif", np.ones((2, 2), np.uint8)), tmp_path / "out.parquet"
    out.write_text("old")
    with pytest.raises(ConfigError, match="exists"):
        segment_statistics(labels, labels, out)
    assert out.read_text() == "old"
    segment_statistics(labels, labels, out, overwrite=True, attribute_table=True)
    assert pyarrow.parquet.read_table(out).num_rows == 1
    out.unlink()
    with pytest.raises(ConfigError, match="have a raster attribute table"):
        segment_statistics(labels, labels, out, attribute_table=True)
    assert not out.exists()


def test_a_folder_that_is_not_there(write: Write, tmp_path: Path) -> None:
    labels = write("labels.tif", np.ones((2, 2), np.uint8))
    with pytest.raises(StoreError, match="the table cannot be written"):
        segment_statistics(labels, labels, tmp_path / "none" / "out.parquet")


def test_labels_may_be_a_declaration(write: Write, tmp_path: Path) -> None:
    labels = write("labels.tif", np.array([[1, 2]], np.uint8))
    raster = Raster(uris=str(labels), nodata=2)
    summary = segment_statistics(raster, labels, tmp_path / "out.parquet")
    assert summary.n_segments == 1


class Gdal:
    """The attribute table of a file, as GDAL reads it."""

    def __init__(self, path: Path) -> None:
        places = Path(rasterio.__file__).parents[1] / "rasterio.libs"
        found = sorted(places.glob("libgdal*"))
        if not found:
            pytest.skip("rasterio does not bring a GDAL of its own")
        self._lib = ctypes.CDLL(str(found[0]))
        self._lib.GDALAllRegister()
        self._dataset = self._call("GDALOpen", ctypes.c_void_p, str(path).encode(), 0)
        band = self._call("GDALGetRasterBand", ctypes.c_void_p, self._dataset, 1)
        table = self._call("GDALGetDefaultRAT", ctypes.c_void_p, band)
        n_rows = self._call("GDALRATGetRowCount", ctypes.c_int, table)
        n_cols = self._call("GDALRATGetColumnCount", ctypes.c_int, table)
        self.columns = [
            self._call("GDALRATGetNameOfCol", ctypes.c_char_p, table, col).decode()
            for col in range(n_cols)
        ]
        self.usages = [
            self._call("GDALRATGetUsageOfCol", ctypes.c_int, table, col) for col in range(n_cols)
        ]
        self.rows = [
            [
                self._call("GDALRATGetValueAsDouble", ctypes.c_double, table, row, col)
                for col in range(n_cols)
            ]
            for row in range(n_rows)
        ]
        self._call("GDALClose", None, self._dataset)

    def _call(self, name: str, returns: Any, *given: Any) -> Any:
        function = getattr(self._lib, name)
        function.restype = returns
        kinds = {int: ctypes.c_int, bytes: ctypes.c_char_p}
        function.argtypes = [
            ctypes.c_void_p if i == 0 and not isinstance(value, bytes) else kinds[type(value)]
            for i, value in enumerate(given)
        ]
        return function(*given)


def test_gdal_reads_the_attribute_table(write: Write, tmp_path: Path) -> None:
    ids = np.array([[1, 3], [3, 4_000_000_000]], np.uint32)
    labels = write("labels.tif", ids)
    image = write("image.tif", np.array([[5, 6], [7, 255]], np.uint8), nodata=255)
    beside = Path(f"{labels}.aux.xml")
    beside.write_text(
        "<PAMDataset><Metadata><MDI key='a'>b</MDI></Metadata>"
        "<PAMRasterBand band='1'><Description>segments</Description></PAMRasterBand></PAMDataset>"
    )
    segment_statistics(
        labels, image, tmp_path / "t.parquet", statistics="mean,area", attribute_table=True
    )
    table = Gdal(labels)
    assert table.columns == [
        "Value", "Histogram", "Red", "Green", "Blue", "Alpha", "area", "b1_mean"
    ]  # fmt: skip
    assert table.usages == [5, 1, 6, 7, 8, 9, 0, 0]
    at = {name: [row[i] for row in table.rows] for i, name in enumerate(table.columns)}
    assert at["Value"] == [1, 3, 4_000_000_000]
    assert at["Histogram"] == [1, 2, 1]
    assert at["area"] == [200, 400, 200]
    assert at["b1_mean"] == [5, 6.5, 0]  # what is empty reads as 0
    colours = np.array([at["Red"], at["Green"], at["Blue"]]).T
    assert (colours == colours_of(np.array([1, 3, 4_000_000_000], np.uint32))).all()
    with rasterio.open(labels) as file:
        assert file.descriptions == ("segments",)
        assert file.tags()["a"] == "b"


def test_neighbouring_ids_have_colours_apart() -> None:
    colours = colours_of(np.arange(1, 2001, dtype=np.uint32)).astype(int)
    assert colours.min() >= 64
    steps = np.abs(np.diff(colours, axis=0)).sum(axis=1)
    assert np.median(steps) > 150


def test_what_has_no_attribute_table(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="not on this machine"):
        place_beside("s3://bucket/labels.tif")
    labels, out = write("labels.tif", np.array([[1, 2, 3]], np.uint8)), tmp_path / "t.parquet"
    monkeypatch.setattr(attribute_table, "MOST_ROWS", 2)
    with pytest.raises(DataError, match="There are 3 segments"):
        segment_statistics(labels, labels, out, attribute_table=True)
    write_attribute_table(out, tmp_path / "left", leave_out=True)
    assert (tmp_path / "left").read_text() == LEFT_OUT
    for text in ("<a", "<!DOCTYPE a><a/>"):
        Path(f"{labels}.aux.xml").write_text(text)
        with pytest.raises(ConfigError, match="not one of GDAL's"):
            segment_statistics(labels, labels, out, attribute_table=True, overwrite=True)
