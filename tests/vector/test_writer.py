"""Many features in one file: every format, whole or not at all."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import geopandas
import pyarrow as pa
import pytest
import shapely

from swath.errors import ConfigError, DataError, StoreError
from swath.vector.writer import GEOMETRY, write_features

SUFFIXES = ["gpkg", "geojson", "fgb", "parquet"]
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("mean", pa.float64()),
        pa.field(GEOMETRY, pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"}),
    ]
)


def batches(n: int, n_rows: int = 500) -> Iterator[pa.RecordBatch]:
    for first in range(0, n, n_rows):
        ids = range(first, min(first + n_rows, n))
        shapes = [shapely.MultiPolygon([shapely.box(id, 0, id + 0.1, 1)]) for id in ids]
        columns = [list(ids), [id / 3 for id in ids], shapely.to_wkb(shapes)]
        yield pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)],
            schema=SCHEMA,
        )


def read(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)


@pytest.mark.parametrize("crs", ["EPSG:32633", None])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_batches_become_one_file(tmp_path: Path, suffix: str, crs: str | None) -> None:
    path = tmp_path / f"many.{suffix}"
    write_features(path, SCHEMA, batches(1200), geometry_type="MultiPolygon", crs=crs)
    frame = read(path).sort_values("id", ignore_index=True)
    assert frame["id"].tolist() == list(range(1200))
    assert (frame["mean"] == frame["id"] / 3).all()
    assert set(frame.geom_type) == {"MultiPolygon"}
    assert frame.geometry[7].bounds == (7.0, 0.0, 7.1, 1.0)  # each digit
    if crs is not None:
        assert frame.crs.to_epsg() == 32633
    elif suffix != "geojson":  # which is in WGS 84 if it names none
        assert frame.crs is None
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_error_while_features_are_made_is_raised_and_no_file_is_left(
    tmp_path: Path, suffix: str
) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(10)
        raise DataError("it is broken.")

    with pytest.raises(DataError, match="it is broken"):
        write_features(
            tmp_path / f"a.{suffix}", SCHEMA, broken(), geometry_type="MultiPolygon", crs=None
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_that_cannot_grow_is_an_error_and_the_old_one_stays(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
    try:
        with pytest.raises(StoreError, match="has space"):
            write_features(
                path, SCHEMA, batches(20_000), geometry_type="MultiPolygon", crs="EPSG:32633"
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_suffix_without_a_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'\.kml' names no format"):
        write_features(tmp_path / "a.kml", SCHEMA, [], geometry_type="MultiPolygon", crs=None)
