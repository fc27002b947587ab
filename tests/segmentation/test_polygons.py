"""Polygons of segments: exact to the pixel, valid, and without a trace of the tiles."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.errors import ConfigError, DataError, StoreError
from swath.grid.grid import Grid
from swath.grid.window import tiles
from swath.raster.rasterize import rasterize
from swath.segmentation import polygons
from swath.segmentation.kernels.chains import trace_chains
from swath.segmentation.polygons import assemble, polygons_of, write_polygons
from swath.segmentation.spool import Chains, Spool

ORIGIN = (500_000.0, 7_000_000.0)


def grid_of(labels: np.ndarray) -> Grid:
    return Grid("EPSG:32633", (30.0, 0.0, ORIGIN[0], 0.0, -30.0, ORIGIN[1]), *labels.shape)


def pixel_grid(labels: np.ndarray) -> Grid:
    """A grid whose coordinates are columns and negative rows, so that north is up."""
    return Grid(None, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), *labels.shape)


def write_labels(path: Path, labels: np.ndarray, nodata: float | None = 0) -> str:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=labels.shape[0],
        width=labels.shape[1],
        count=1,
        dtype=labels.dtype.name,
        crs="EPSG:32633",
        transform=Affine(*grid_of(labels).transform),
        nodata=nodata,
    ) as file:
        file.write(labels, 1)
    return str(path)


def read(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)


def assert_clean(shapes: dict[int, shapely.MultiPolygon], labels: np.ndarray, grid: Grid) -> None:
    """Assert that polygons are valid, have corners only, and give the labels back."""
    found = np.array(list(shapes.values()), dtype=object)
    assert shapely.is_valid(found).all(), shapely.is_valid_reason(found)
    for shape in found:
        for polygon in shape.geoms:
            assert polygon.exterior.is_ccw
            for ring in (polygon.exterior, *polygon.interiors):
                steps = np.diff(shapely.get_coordinates(ring), axis=0)
                turns = steps[:, 0] * np.roll(steps[:, 1], -1) - steps[:, 1] * np.roll(
                    steps[:, 0], -1
                )
                assert (turns != 0).all()  # a straight vertex would be a trace of a tile
    burnt = rasterize(
        [(shape, id) for id, shape in shapes.items()], grid, grid.window, 0, labels.dtype
    )
    np.testing.assert_array_equal(burnt, labels)


def of_tiles(labels: np.ndarray, tile_size: int, folder: Path) -> dict[int, shapely.MultiPolygon]:
    """Return the polygons from tiles through files, without a raster file."""
    padded = np.pad(labels.astype(np.int64), 1)
    with Spool(folder) as spool:
        for core in tiles(labels.shape, tile_size):
            rows, cols = core.pad(1).shift(1, 1).slices
            origin = (core.row_off, core.col_off)
            spool.add(Chains(*trace_chains(padded[rows, cols], origin, labels.shape[1])).sorted())
        ids = spool.labels()
        if len(ids) == 0:
            return {}
        found = assemble(spool.take(int(ids[0]), int(ids[-1])), pixel_grid(labels))
    return dict(zip(found[0].tolist(), found[1], strict=True))


def wkt(labels: list[list[int]]) -> dict[int, str]:
    array = np.array(labels)
    shapes = polygons_of(array, pixel_grid(array))
    return {id: shapely.to_wkt(shape, trim=True) for id, shape in shapes.items()}


def test_outline_of_one_pixel_begins_at_its_upper_left_and_goes_anticlockwise() -> None:
    assert wkt([[0, 0], [0, 7]]) == {7: "MULTIPOLYGON (((1 -1, 1 -2, 2 -2, 2 -1, 1 -1)))"}


def test_vertices_are_only_where_the_outline_turns() -> None:
    found = wkt([[3, 3, 0], [3, 0, 0]])
    assert found == {3: "MULTIPOLYGON (((0 0, 0 -2, 1 -2, 1 -1, 2 -1, 2 0, 0 0)))"}


def test_hole_belongs_to_its_shell_and_goes_the_other_way() -> None:
    found = wkt([[1, 1, 1], [1, 2, 1], [1, 1, 1]])
    hole = "(1 -1, 2 -1, 2 -2, 1 -2, 1 -1)"
    assert found[1] == f"MULTIPOLYGON (((0 0, 0 -3, 3 -3, 3 0, 0 0), {hole}))"


def test_pixels_that_meet_at_a_corner_are_parts_of_a_multipolygon() -> None:
    assert wkt([[5, 0], [0, 5]]) == {
        5: "MULTIPOLYGON (((0 0, 0 -1, 1 -1, 1 0, 0 0)), ((1 -1, 1 -2, 2 -2, 2 -1, 1 -1)))"
    }


def test_hole_that_touches_the_outside_at_a_corner_is_a_hole() -> None:
    # The 2 is closed in but for its lower right corner, where the outside is.
    found = wkt([[1, 1, 1], [1, 2, 1], [1, 1, 0]])
    assert found[1] == (
        "MULTIPOLYGON (((0 0, 0 -3, 2 -3, 2 -2, 3 -2, 3 0, 0 0), (1 -1, 2 -1, 2 -2, 1 -2, 1 -1)))"
    )


def test_holes_that_touch_each_other_are_two() -> None:
    labels = np.ones((4, 4), int)
    labels[1, 1] = labels[2, 2] = 2
    shape = polygons_of(labels, pixel_grid(labels))[1]
    assert len(shape.geoms) == 1
    assert len(shape.geoms[0].interiors) == 2
    assert shape.is_valid


def test_island_of_a_segment_in_its_own_hole_has_the_right_holes() -> None:
    labels = np.array(
        [
            [1, 1, 1, 1, 1, 1, 1],
            [1, 0, 0, 0, 0, 0, 1],
            [1, 0, 1, 1, 1, 0, 1],
            [1, 0, 1, 0, 1, 0, 1],
            [1, 0, 1, 1, 1, 0, 1],
            [1, 0, 0, 0, 0, 0, 1],
            [1, 1, 1, 1, 1, 1, 1],
        ]
    )
    shape = polygons_of(labels, pixel_grid(labels))[1]
    assert [polygon.area for polygon in shape.geoms] == [24, 8]
    assert shape.is_valid


def test_segment_in_distant_parts_is_one_multipolygon() -> None:
    labels = np.zeros((5, 40), int)
    labels[0, 0] = labels[4, 39] = 9
    assert len(polygons_of(labels, pixel_grid(labels))[9].geoms) == 2


def test_no_segment_no_polygon() -> None:
    labels = np.zeros((3, 3), int)
    assert polygons_of(labels, pixel_grid(labels)) == {}


@st.composite
def rasters(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    n_labels = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, n_labels + 1, shape)
    if draw(st.booleans()):  # patches instead of noise
        labels = np.repeat(np.repeat(labels, 3, axis=0), 2, axis=1)[: shape[0], : shape[1]]
    return labels


@settings(max_examples=150)
@given(labels=rasters(), tile_size=st.integers(1, 30))
def test_polygons_are_exact_valid_and_the_same_for_every_tiling(
    labels: np.ndarray, tile_size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    grid = pixel_grid(labels)
    whole = polygons_of(labels, grid)
    assert sorted(whole) == sorted(set(labels[labels > 0].tolist()))
    assert_clean(whole, labels, grid)
    tiled = of_tiles(labels, tile_size, tmp_path_factory.mktemp("spool"))
    assert {id: shape.wkb for id, shape in tiled.items()} == {
        id: shape.wkb for id, shape in whole.items()
    }


@settings(max_examples=30)
@given(labels=rasters())
def test_polygons_are_the_union_of_their_pixels(labels: np.ndarray) -> None:
    for id, shape in polygons_of(labels, pixel_grid(labels)).items():
        pixels = [shapely.box(c, -r - 1, c + 1, -r) for r, c in np.argwhere(labels == id)]
        assert shape.equals(shapely.union_all(pixels))


@pytest.fixture(scope="module")
def mosaic() -> np.ndarray:
    """Labels of 150 x 131 pixels: patches, a segment through all tiles, holes, no data."""
    rng = np.random.default_rng(4)
    labels = np.repeat(np.repeat(rng.integers(2, 900, (30, 27)), 5, axis=0), 5, axis=1)[:150, :131]
    noisy = rng.random(labels.shape) < 0.05
    labels[noisy] = rng.integers(900, 2000, int(noisy.sum()))
    labels[:, 60:63] = labels[70:73] = 1
    labels[100:110, 10:40] = 0
    return labels.astype(np.uint32)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "parquet"])
def test_every_format_gives_the_labels_back(
    tmp_path: Path, mosaic: np.ndarray, suffix: str
) -> None:
    source = write_labels(tmp_path / "labels.tif", mosaic)
    out = tmp_path / f"segments.{suffix}"
    n = write_polygons(source, out, tile_size=64, workers=2)
    frame = read(out).sort_values("id")
    assert frame["id"].tolist() == np.unique(mosaic[mosaic > 0]).tolist()
    assert n == len(frame)
    assert frame.crs.to_epsg() == 32633
    assert_clean(dict(zip(frame["id"], frame.geometry, strict=True)), mosaic, grid_of(mosaic))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_file_is_the_same_for_every_tile_size_and_number_of_threads(
    tmp_path: Path, mosaic: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polygons, "BATCH_SEGMENTS", 50)
    source = write_labels(tmp_path / "labels.tif", mosaic)
    written = set()
    for tile_size, workers in [(16, 3), (37, 1), (200, 2)]:
        out = tmp_path / f"{tile_size}.parquet"
        write_polygons(source, out, tile_size=tile_size, workers=workers)
        written.add(out.read_bytes())
    assert len(written) == 1


def test_columns_of_statistics_are_joined_by_id(tmp_path: Path, mosaic: np.ndarray) -> None:
    source = write_labels(tmp_path / "labels.tif", mosaic)
    ids = np.random.default_rng(0).permutation(2001)  # in no order, and some are no segment
    table = pa.table({"id": ids, "mean": ids / 2, "name": [f"s{id}" for id in ids]})
    pq.write_table(table, tmp_path / "stats.parquet")
    out = tmp_path / "segments.gpkg"
    write_polygons(source, out, statistics=tmp_path / "stats.parquet", tile_size=64)
    frame = read(out)
    assert list(frame.columns) == ["id", "mean", "name", "geometry"]
    assert (frame["mean"] == frame["id"] / 2).all()
    assert (frame["name"] == "s" + frame["id"].astype(str)).all()


def test_statistics_of_other_labels_are_refused(tmp_path: Path) -> None:
    source = write_labels(tmp_path / "labels.tif", np.array([[1, 2, 9]], np.uint8))
    pq.write_table(pa.table({"id": [1, 2, 3]}), tmp_path / "stats.parquet")
    with pytest.raises(DataError, match=r"no row of 1 of the 3 segments, the first of which is 9"):
        write_polygons(source, tmp_path / "a.gpkg", statistics=tmp_path / "stats.parquet")
    pq.write_table(pa.table({"id": [1, 2, 9, 2]}), tmp_path / "stats.parquet")
    with pytest.raises(DataError, match=r"several rows of segment 2"):
        write_polygons(source, tmp_path / "a.gpkg", statistics=tmp_path / "stats.parquet")
    pq.write_table(pa.table({"label": [1, 2, 9]}), tmp_path / "stats.parquet")
    with pytest.raises(DataError, match=r"in a column 'id', only: label"):
        write_polygons(source, tmp_path / "a.gpkg", statistics=tmp_path / "stats.parquet")
    with pytest.raises(DataError, match=r"cannot be read"):
        write_polygons(source, tmp_path / "a.gpkg", statistics=tmp_path / "none.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.tif", "stats.parquet"]


def test_pixels_without_data_are_no_segment(tmp_path: Path) -> None:
    source = write_labels(tmp_path / "labels.tif", np.array([[0, 3, 255]], np.uint8), nodata=255)
    assert write_polygons(source, tmp_path / "segments.parquet") == 1


def test_raster_without_a_segment_gives_a_file_without_a_polygon(tmp_path: Path) -> None:
    source = write_labels(tmp_path / "labels.tif", np.zeros((4, 5), np.uint8))
    for suffix in ("gpkg", "parquet", "geojson"):
        assert write_polygons(source, tmp_path / f"segments.{suffix}") == 0
        assert len(read(tmp_path / f"segments.{suffix}")) == 0


def test_geoparquet_names_crs_type_and_bounds(tmp_path: Path) -> None:
    source = write_labels(tmp_path / "labels.tif", np.ones((2, 3), np.uint8))
    write_polygons(source, tmp_path / "segments.parquet")
    frame = geopandas.read_parquet(tmp_path / "segments.parquet")
    assert frame.crs.to_epsg() == 32633
    left, top = ORIGIN
    assert frame.total_bounds.tolist() == [left, top - 60, left + 90, top]


def test_file_that_exists_is_replaced_only_if_asked(tmp_path: Path) -> None:
    source = write_labels(tmp_path / "labels.tif", np.ones((2, 3), np.uint8))
    out = tmp_path / "segments.gpkg"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        write_polygons(source, out)
    assert out.read_text() == "mine"
    write_polygons(source, out, overwrite=True)
    assert len(read(out)) == 1


def test_suffix_without_a_format_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'\.shp' names no format.*\.gpkg"):
        write_polygons("missing.tif", tmp_path / "segments.shp")


def test_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    source = write_labels(tmp_path / "labels.tif", np.ones((2, 3), np.uint8))
    with pytest.raises(StoreError, match="folder exists"):
        write_polygons(source, tmp_path / "none" / "segments.gpkg")


def test_what_is_no_label_raster_is_refused(tmp_path: Path) -> None:
    source = write_labels(tmp_path / "labels.tif", np.ones((2, 3), np.float32))
    with pytest.raises(DataError, match="1 bands of float32 are no labels"):
        write_polygons(source, tmp_path / "segments.gpkg")
