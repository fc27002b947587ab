"""Imagery as a user declares it: which files, which bands, which changes to their values.

For experiment files and everything that plans. Not for opening files: `swath.raster.header` and
`swath.raster.reader` do that with what is declared here.

One idea: what is read is written here in full. Nothing is warped, cast or masked unless a field
says so.
"""

from __future__ import annotations

import json
from os import PathLike
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from swath.spec import Spec

DTypeName = Literal[
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"
]
ResamplingName = Literal[
    "nearest",
    "bilinear",
    "cubic",
    "cubic_spline",
    "lanczos",
    "average",
    "mode",
    "max",
    "min",
    "med",
]


class NaNToValue(Spec):
    """Replace NaN by a number; these pixels then count as valid."""

    kind: Literal["nan_to_value"] = "nan_to_value"
    value: float = 0.0
    """What NaN becomes, in the units of the band."""


class MinMax(Spec):
    """Scale values so that `low` becomes 0 and `high` becomes 1, as float32."""

    kind: Literal["min_max"] = "min_max"
    low: float | Annotated[tuple[float, ...], Field(min_length=1)]
    """Value that becomes 0, in the units of the band; one for all bands or one per band."""
    high: float | Annotated[tuple[float, ...], Field(min_length=1)]
    """Value that becomes 1, in the units of the band; one for all bands or one per band."""
    clip: bool = True
    """Whether values outside are set to 0 and 1."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        lows = self.low if isinstance(self.low, tuple) else (self.low,)
        highs = self.high if isinstance(self.high, tuple) else (self.high,)
        if len(lows) != len(highs) and 1 not in (len(lows), len(highs)):
            raise ValueError(f"low has {len(lows)} values and high {len(highs)}; give one per band")
        n_bands = max(len(lows), len(highs))
        lows, highs = (side * n_bands if len(side) == 1 else side for side in (lows, highs))
        if not all(low < high for low, high in zip(lows, highs, strict=True)):
            raise ValueError(f"low {self.low} must be below high {self.high} in every band")
        return self


class Cast(Spec):
    """Convert to another type of number, rounding floats to the nearest integer."""

    kind: Literal["cast"] = "cast"
    dtype: DTypeName
    """Type of the result."""
    overflow: Literal["error", "clip"] = "error"
    """What happens to a valid value that the type cannot hold: an error, or the nearest value that
    it can hold. It never wraps around."""


class Reclass(Spec):
    """Replace some values by others, exactly as listed."""

    kind: Literal["reclass"] = "reclass"
    mapping: dict[int, int] = Field(min_length=1)
    """Old value -> new value."""
    other: Literal["keep", "invalid", "error"] = "keep"
    """What happens to values that are not listed: kept, marked as missing, or an error."""


TransformSpec = Annotated[NaNToValue | MinMax | Cast | Reclass, Field(discriminator="kind")]


class Warp(Spec):
    """Reproject or resample on the fly."""

    crs: str
    """Target CRS, as ``"EPSG:32633"`` or WKT; ``"primary"`` in a `Stack` for its primary's grid."""
    resolution: float | None = Field(default=None, gt=0)
    """Target pixel size in units of the target CRS; pixel corners then lie at its multiples. By
    default about the size of the source's pixels, from the source's corner."""
    resampling: ResamplingName = "nearest"
    """How pixels are resampled. ``"nearest"`` keeps class ids and invents no value."""

    @property
    def onto_primary(self) -> bool:
        """Whether the grid is that of a stack's primary source."""
        return self.crs == "primary"

    @model_validator(mode="after")
    def _one_grid(self) -> Self:
        if self.onto_primary and self.resolution is not None:
            raise ValueError("the primary source gives the resolution: remove it from this warp")
        return self


class PixelCrop(Spec):
    """Keep a rectangle of pixels."""

    kind: Literal["pixels"] = "pixels"
    row_off: int = Field(ge=0)
    """First row, 0-based."""
    col_off: int = Field(ge=0)
    """First column, 0-based."""
    height: int = Field(ge=1)
    """Number of rows."""
    width: int = Field(ge=1)
    """Number of columns."""


class MapCrop(Spec):
    """Keep the pixels that touch a map box."""

    kind: Literal["map"] = "map"
    left: float
    """Smallest x, in units of the image's CRS (after `warp`)."""
    bottom: float
    """Smallest y."""
    right: float
    """Largest x."""
    top: float
    """Largest y."""


class Raster(Spec):
    """One image: a file, or several files of one grid read as a mosaic.

    Examples
    --------
    >>> Raster(uris="scene.tif", bands=(0, 1, 2), nodata=0).uris
    ('scene.tif',)
    """

    kind: Literal["raster"] = "raster"
    uris: tuple[str, ...] = Field(min_length=1)
    """Paths or URIs of anything that GDAL reads. Several are a mosaic: they share CRS, pixel size
    and lattice, and where they overlap the first valid pixel wins."""
    bands: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """Bands to read, 0-based, in this order; by default all."""
    nodata: float | Literal["nan"] | None = None
    """Value that marks missing pixels, instead of the one that the file names."""
    mask_band: int | None = Field(default=None, ge=0)
    """A band, 0-based, that is 0 where pixels are missing, such as the alpha band of an orthophoto.
    An alpha band is a mask only if it is named here."""
    warp: Warp | None = None
    """Explicit reprojection; a string is short for ``Warp(crs=...)``. ``"primary"`` is for a source
    of a `Stack`: onto the grid of its primary source."""
    crop: Annotated[PixelCrop | MapCrop, Field(discriminator="kind")] | None = None
    """Part of the image (mosaicked and warped) to use; by default all."""
    transforms: tuple[TransformSpec, ...] = ()
    """Changes to the values, in this order."""

    @field_validator("uris", mode="before")
    @classmethod
    def _one_or_several(cls, uris: Any) -> Any:
        if isinstance(uris, str | PathLike):
            return (str(uris),)
        if not isinstance(uris, list | tuple):
            return uris  # pydantic says what is wrong with it
        return tuple(str(u) if isinstance(u, PathLike) else u for u in uris)

    @field_validator("warp", mode="before")
    @classmethod
    def _crs_alone(cls, warp: Any) -> Any:
        return {"crs": warp} if isinstance(warp, str) else warp

    def source_uris(self) -> tuple[str, ...]:
        """Return every file that this image reads, in order."""
        return self.uris

    def header_keys(self) -> tuple[str, ...]:
        """Return what `swath.raster.header.headers_in_child` is to be asked about this image."""
        return tuple(header_key(uri, self.warp) for uri in self.uris)


class Stack(Spec):
    """Several images on one grid, their bands one after another.

    Examples
    --------
    >>> optical = Raster(uris="optical.tif")
    >>> Stack(sources=(optical, Raster(uris="height.tif", warp="primary"))).source_uris()
    ('optical.tif', 'height.tif')
    """

    kind: Literal["stack"] = "stack"
    sources: tuple[Raster, ...] = Field(min_length=1)
    """Images; all on the grid of the primary one, or with ``warp="primary"``."""
    primary: int = Field(default=0, ge=0)
    """Which source, 0-based, gives the grid."""

    @model_validator(mode="after")
    def _primary_has_own_grid(self) -> Self:
        if self.primary >= len(self.sources):
            raise ValueError(
                f"primary is {self.primary}: the {len(self.sources)} sources are counted from 0"
            )
        if _onto_primary(self.sources[self.primary]):
            raise ValueError(f"sources[{self.primary}] is the primary source: remove its warp")
        for index, source in enumerate(self.sources):
            if _onto_primary(source) and source.crop is not None:
                raise ValueError(
                    f"sources[{index}] takes its grid from the primary: remove its crop"
                )
        return self

    def source_uris(self) -> tuple[str, ...]:
        """Return every file that this stack reads, in order."""
        return tuple(uri for source in self.sources for uri in source.source_uris())

    def header_keys(self) -> tuple[str, ...]:
        """Return what `swath.raster.header.headers_in_child` is to be asked about this stack."""
        return tuple(key for source in self.sources for key in source.header_keys())


ImageSpec = Annotated[Raster | Stack, Field(discriminator="kind")]

_WARPED = "#warp="


def header_key(uri: str, warp: Warp | None) -> str:
    """Return the URI, followed by the warp if the header depends on one."""
    if warp is None or warp.onto_primary:
        return uri
    return uri + _WARPED + json.dumps({"crs": warp.crs, "resolution": warp.resolution})


def split_header_key(key: str) -> tuple[str, Warp | None]:
    """Return the URI and the warp of a `header_key`."""
    uri, found, warp = key.partition(_WARPED)
    return (uri, Warp.from_json(json.loads(warp))) if found else (key, None)


def _onto_primary(raster: Raster) -> bool:
    return raster.warp is not None and raster.warp.onto_primary
