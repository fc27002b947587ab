"""Write many features to one file, a batch at a time.

For polygons of segments. Not for small tables, which `geopandas` writes at once.

One idea: features come as Arrow record batches with geometries as WKB, so that every format is
written from the same stream and memory holds a few batches, not the file. The file gets its name
when it is whole.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pyogrio
import pyproj

from swath.errors import ConfigError, StoreError
from swath.grid.grid import Bounds
from swath.store.local import flush_to_disk, temporary_beside

GEOMETRY = "geometry"
"""Name of the column with geometries."""
DRIVERS = {
    ".gpkg": "GPKG",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".fgb": "FlatGeobuf",
    ".parquet": "GeoParquet",
    ".geoparquet": "GeoParquet",
}
"""Format of a file by its suffix."""
ROW_GROUP = 32_768
"""Rows that are together in GeoParquet, or a few more."""


def driver_of(path: Path) -> str:
    """Return the format of a file to write, by its suffix.

    Raises
    ------
    ConfigError
        If no format has this suffix.
    """
    driver = DRIVERS.get(path.suffix.lower())
    if driver is None:
        raise ConfigError(
            f"The suffix {path.suffix!r} names no format for polygons.",
            where=str(path),
            mend=f"Use one of {', '.join(DRIVERS)}.",
        )
    return driver


def write_features(
    path: Path,
    schema: pyarrow.Schema,
    batches: Iterable[pyarrow.RecordBatch],
    *,
    geometry_type: str,
    crs: str | None,
    bounds: Bounds | None = None,
) -> None:
    """Write features to a GeoPackage, GeoJSON, FlatGeobuf or GeoParquet file, by its suffix.

    Parameters
    ----------
    path
        File to write; one that exists is replaced.
    schema
        Columns of the batches; `GEOMETRY` is binary, WKB of one type.
    batches
        The features.
    geometry_type
        Type of all geometries, for example ``"MultiPolygon"``.
    crs
        CRS of the coordinates, as authority code or WKT; None if they have none.
    bounds
        A box around all of them, told in GeoParquet.

    Raises
    ------
    ConfigError
        If no format has the suffix.
    StoreError
        If the file cannot be written, for example because the disk is full.
    """
    driver = driver_of(path)
    told: list[BaseException] = []
    with _written_beside(path) as temporary:
        kept = _keeping_error(batches, told)
        try:
            if driver == "GeoParquet":
                _write_parquet(temporary, schema, kept, geometry_type, crs, bounds)
            else:
                _write_with_gdal(temporary, schema, kept, driver, geometry_type, crs)
        except (RuntimeError, OSError, pyarrow.ArrowException) as error:  # pyogrio's are the first
            if told:  # the stream hides what it raised
                raise told[0] from None
            raise StoreError(
                f"Writing failed ({' '.join(str(error).split())}).",
                where=str(path),
                mend="Check that the folder exists, may be written to, and has space.",
            ) from error


@contextmanager
def _written_beside(path: Path) -> Iterator[Path]:
    """Give a file of the same name in a folder of its own; rename it into place."""
    folder = temporary_beside(path)  # GDAL takes format and layer from the name
    try:
        folder.mkdir()
        yield folder / path.name
        flush_to_disk(folder / path.name)
        (folder / path.name).replace(path)
    except OSError as error:
        raise StoreError(
            f"Writing failed ({error.strerror or error}).",
            where=str(path),
            mend="Check that the folder exists, may be written to, and has space.",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keeping_error(
    batches: Iterable[pyarrow.RecordBatch], told: list[BaseException]
) -> Iterator[pyarrow.RecordBatch]:
    try:
        yield from batches
    except BaseException as error:
        told.append(error)
        raise


def _write_with_gdal(
    path: Path,
    schema: pyarrow.Schema,
    batches: Iterator[pyarrow.RecordBatch],
    driver: str,
    geometry_type: str,
    crs: str | None,
) -> None:
    options: dict[str, Any] = {}
    if driver == "GeoJSON":
        # Corners of pixels as they are: by default digits are cut off.
        options["layer_options"] = {"COORDINATE_PRECISION": "15"}
    reader = pyarrow.RecordBatchReader.from_batches(schema, batches)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_arrow(
            reader,
            path,
            layer=path.stem,
            driver=driver,
            geometry_name=GEOMETRY,
            geometry_type=geometry_type,
            crs=crs,
            **options,
        )


def _write_parquet(
    path: Path,
    schema: pyarrow.Schema,
    batches: Iterator[pyarrow.RecordBatch],
    geometry_type: str,
    crs: str | None,
    bounds: Bounds | None,
) -> None:
    described = {
        "version": "1.0.0",
        "primary_column": GEOMETRY,
        "columns": {
            GEOMETRY: {
                "encoding": "WKB",
                "geometry_types": [geometry_type],
                "crs": None if crs is None else pyproj.CRS.from_user_input(crs).to_json_dict(),
                **({} if bounds is None else {"bbox": list(bounds)}),
            }
        },
    }
    schema = schema.with_metadata({**(schema.metadata or {}), "geo": json.dumps(described)})
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        held: list[pyarrow.RecordBatch] = []
        for batch in batches:
            held.append(batch.cast(schema))
            if sum(part.num_rows for part in held) >= ROW_GROUP:
                writer.write_table(pyarrow.Table.from_batches(held, schema))
                held.clear()
        if held:
            writer.write_table(pyarrow.Table.from_batches(held, schema))
