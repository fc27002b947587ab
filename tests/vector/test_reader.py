"""Vector files: brought into the CRS of the image, asked by window, read once per process."""

from __future__ import annotations

import os
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import Transformer

from swath.errors import DataError
from swath.grid.grid import Bounds
from swath.store import open_store
from swath.vector.reader import read_vector

POINTS = [(15.0, 45.0), (15.1, 45.1)]
"""Longitude, latitude."""


def frame(n: int = 2, crs: str | None = "EPSG:4326") -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(
        {"name": [f"p{index}" for index in range(n)]},
        geometry=[shapely.Point(*POINTS[index % 2]).buffer(0.01) for index in range(n)],
        crs=crs,
    )


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp", "parquet"])
def test_every_format_gives_the_same_features(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"points.{suffix}"
    if suffix == "parquet":
        frame().to_parquet(path)
    else:
        frame().to_file(path)
    features = read_vector(str(path), crs="EPSG:32633")
    assert features.values("name").tolist() == ["p0", "p1"]
    centre = shapely.centroid(features.geometries[0])
    assert (centre.x, centre.y) == pytest.approx((500_000, 4_982_950), abs=1)


def test_coordinates_are_x_y_whatever_the_axis_order_of_the_crs(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    frame().to_crs("EPSG:32633").to_file(path)
    features = read_vector(str(path), crs="EPSG:4326")  # latitude first, by its authority
    centre = shapely.centroid(features.geometries[1])
    expected = Transformer.from_crs(4326, 4326, always_xy=True).transform(*POINTS[1])
    assert (centre.x, centre.y) == pytest.approx(expected, abs=1e-6)


def test_query_returns_the_features_of_a_box_in_file_order(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    frame(200).to_file(path)
    features = read_vector(str(path), crs="EPSG:4326")
    assert features.query(Bounds(14.9, 44.9, 15.05, 45.05)).tolist() == list(range(0, 200, 2))
    assert features.query(Bounds(0, 0, 1, 1)).tolist() == []
    assert features.bounds == pytest.approx((14.99, 44.99, 15.11, 45.11))


def test_query_asks_for_the_shape_not_its_box(tmp_path: Path) -> None:
    path = tmp_path / "triangle.gpkg"
    triangle = shapely.Polygon([(0, 0), (1, 0), (0, 1)])
    geopandas.GeoDataFrame(geometry=[triangle], crs=4326).to_file(path)
    features = read_vector(str(path), crs="EPSG:4326")
    assert features.query(Bounds(0.9, 0.9, 1, 1)).tolist() == []


def test_features_without_geometry_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    table = frame(3)
    table.loc[1, "geometry"] = None
    table.to_file(path)
    assert read_vector(str(path), crs="EPSG:4326").values("name").tolist() == ["p0", "p2"]


def test_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    frame(1).to_file(path)
    first = read_vector(str(path), crs="EPSG:4326")
    assert read_vector(str(path), crs="EPSG:4326") is first
    assert read_vector(str(path), crs="EPSG:32633") is not first
    path.unlink()
    frame(2).to_file(path)
    os.utime(path, ns=(1, 1))
    assert len(read_vector(str(path), crs="EPSG:4326")) == 2


def test_widened_features_are_found_where_they_reach(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    frame(1).to_file(path)
    features = read_vector(str(path), crs="EPSG:4326")
    assert features.widened(0) is features
    box = Bounds(15.02, 45.0, 15.03, 45.01)
    assert len(features.query(box)) == 0
    assert features.widened(0.05).query(box).tolist() == [0]


def test_chosen_features_keep_their_properties(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    frame(3).to_file(path)
    chosen = read_vector(str(path), crs="EPSG:4326").where(np.array([False, True, True]))
    assert chosen.values("name").tolist() == ["p1", "p2"]
    assert chosen.query(Bounds(14, 44, 16, 46)).tolist() == [0, 1]


def test_layer_is_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    frame(1).to_file(path, layer="one")
    frame(2).to_file(path, layer="two")
    assert len(read_vector(str(path), "two", "EPSG:4326")) == 2
    with pytest.raises(DataError, match=r"2 layers, and none is named.*`layer`.*one, two"):
        read_vector(str(path), None, "EPSG:4326")
    with pytest.raises(DataError, match=r"no layer 'three'.*one, two"):
        read_vector(str(path), "three", "EPSG:4326")


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.gpkg: .*there is no .*Check the path"):
        read_vector(str(tmp_path / "no.gpkg"), crs="EPSG:4326")
    for name in ("broken.gpkg", "broken.geojson", "broken.parquet"):
        (tmp_path / name).write_text("not a vector file")
        with pytest.raises(DataError, match=rf"{name}: .*cannot be read"):
            read_vector(str(tmp_path / name), crs="EPSG:4326")


def test_table_without_geometry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,area\na,1\n")
    with pytest.raises(DataError, match="no geometry"):
        read_vector(str(path), crs="EPSG:4326")


def test_features_and_image_need_a_crs_both_or_neither(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    frame(1).to_file(path)
    with pytest.raises(DataError, match=r"The image has no CRS.*gdal_edit"):
        read_vector(str(path), crs=None)
    plain = tmp_path / "plain.shp"
    with pytest.warns(UserWarning, match="crs"):
        frame(1, crs=None).to_file(plain)
    with pytest.raises(DataError, match=r"The features have no CRS.*ogr2ogr"):
        read_vector(str(plain), crs="EPSG:4326")
    assert len(read_vector(str(plain), crs=None)) == 1


def test_coordinates_that_cannot_be_projected_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    swapped = geopandas.GeoDataFrame(geometry=[shapely.Point(45, 1500)], crs="EPSG:4326")
    swapped.to_file(path)
    with pytest.raises(DataError, match=r"cannot be brought from EPSG:4326 to EPSG:32633"):
        read_vector(str(path), crs="EPSG:32633")


def test_unknown_property_lists_the_others(tmp_path: Path) -> None:
    path = tmp_path / "points.gpkg"
    frame(1).to_file(path)
    with pytest.raises(DataError, match=r"no property 'sort'.*Choose one of: name"):
        read_vector(str(path), crs="EPSG:4326").values("sort")


@pytest.mark.parametrize("suffix", ["geojson", "shp", "parquet"])
def test_features_on_a_store_are_those_of_the_file(
    tmp_path: Path, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("SWATH_STORE_CACHE_FOLDER", str(tmp_path / "cache"))
    files = tmp_path / "files"
    files.mkdir()
    uri = f"s3://{s3_bucket}/labels/points.{suffix}"
    store = open_store(uri)
    for n in (2, 3):
        path = files / f"points.{suffix}"
        if suffix == "parquet":
            frame(n).to_parquet(path)
        else:
            frame(n).to_file(path)
        for file in files.iterdir():
            store.write(f"s3://{s3_bucket}/labels/{file.name}", file.read_bytes())
        features = read_vector(uri, crs="EPSG:32633")
        assert read_vector(uri, crs="EPSG:32633") is features, "read once per process"
        assert features.values("name").tolist() == [f"p{i}" for i in range(n)]
        assert features.uri == uri


def test_what_a_store_has_not_or_forbids_is_told(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{s3_bucket}/labels/a.gpkg"
    with pytest.raises(DataError, match=r"cannot be opened: there is no s3://.*/a\.gpkg"):
        read_vector(uri, crs="EPSG:4326")
    open_store(uri).write(uri, b"private")
    monkeypatch.setenv("SWATH_STORE_ANONYMOUS", "yes")
    with pytest.raises(DataError, match="access is denied"):
        read_vector(uri, crs="EPSG:4326")
