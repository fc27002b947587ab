"""Declare a file of vector features: where it is and which layer of it is meant.

Not here: what the features mean (labels and areas are declared in `swath.scene.spec`) and reading
them (`swath.vector.reader`).

The one idea: a path and a layer are all that the geometry needs; its meaning is the scene's.
"""

from __future__ import annotations

import os

from pydantic import Field, field_validator

from swath.spec import Spec


class VectorFile(Spec):
    """Features in a GeoJSON, GeoPackage, shapefile or GeoParquet file."""

    uri: str = Field(min_length=1)
    """Path or URI of the file. GeoParquet is told by the suffix `.parquet` or `.geoparquet`; any
    other format is left to GDAL."""

    layer: str | None = None
    """Name of the layer, for formats that hold several. None: the only layer of the file; a file
    with several layers is then an error that lists them."""

    @field_validator("uri", mode="before")
    @classmethod
    def _path_as_text(cls, value: object) -> object:
        return os.fspath(value) if isinstance(value, os.PathLike) else value
