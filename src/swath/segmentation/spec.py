"""What a segmentation is to be: the options that change its labels.

For declarations and everything that plans; it loads no heavy library.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from swath.errors import DataError
from swath.raster.spec import Raster, Stack
from swath.spec import Spec

ABSORB_PASSES = 16
"""Most passes in which pixels that are alone join a neighbour."""

HALO = ABSORB_PASSES + 2
"""Pixels around a tile that are read with it, so that its own pixels are decided exactly."""

MOST_TILE = 16_384
"""Largest side of a tile in pixels: positions in it are held in 32 bits, with room."""

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")
"""Types of pixels that are segmented."""

Image = str | PathLike[str] | Raster | Stack
"""An image: a path, a URI, or a declaration."""


class SegmentOptions(Spec):
    """Options of a segmentation; all of them change the labels.

    Examples
    --------
    >>> SegmentOptions(min_size=100).clusters
    60
    """

    clusters: int = Field(default=60, ge=1, le=32_000)
    """Number of cluster centres that are fitted."""
    sample_percent: float = Field(default=1.0, gt=0, le=100)
    """Share of the pixels from which centres are fitted, in percent; at least 100 pixels for each
    cluster where there are so many, at most 100,000 pixels."""
    centres: tuple[Annotated[tuple[float, ...], Field(min_length=1)], ...] | None = Field(
        default=None, min_length=1
    )
    """Centres that are taken instead of fitted ones, one row for each cluster, in the units of the
    image."""
    min_size: int = Field(default=50, ge=1, le=1_000_000)
    """Segments of fewer pixels are merged into a neighbour, if one is near enough."""
    max_distance: Annotated[float, Field(ge=0)] | Literal["auto"] | None = "auto"
    """Largest distance between the mean spectra of two segments that are merged, in (weighted)
    units of the image; ``"auto"``: a percentile of the distances between centres; None: none."""
    distance_percentile: float = Field(default=50.0, ge=0, le=100)
    """The percentile that ``"auto"`` takes."""
    connectivity: Literal[4, 8] = 4
    """Whether pixels that touch at a corner only are neighbours."""
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(default=None, min_length=1)
    """Factor of each band in every distance; by default 1."""
    offsets: tuple[float, ...] | None = Field(default=None, min_length=1)
    """Of each band, with `steps`: values of floating point are held as
    ``round((value - offset) / step)``. By default found in the sample; with both, `centres` and
    `max_distance` of a fit, another image is segmented as the first one was."""
    steps: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(default=None, min_length=1)
    """See `offsets`; neither changes how integers are held."""
    standardise: bool = False
    """Divide each band by its standard deviation in the sample, before `weights`."""
    seed: int = Field(default=0, ge=0)
    """Seed of the first centres and of nothing else."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        lengths = {len(row) for row in self.centres or ()}
        lengths |= {len(each) for each in (self.weights, self.offsets, self.steps) if each}
        if len(lengths) > 1:
            raise ValueError(
                f"Centres, weights, offsets and steps are for {sorted(lengths)} bands. Give one "
                f"number for each band of the image."
            )
        if (self.offsets is None) != (self.steps is None):
            raise ValueError("There are offsets or steps, and not both. Give both, or neither.")
        return self


def image_of(
    images: Image | Sequence[Image],
    *,
    bands: Sequence[int] | None = None,
    nodata: float | Literal["nan"] | None = None,
) -> Raster | Stack:
    """Return one image of several: their bands, one after the other, on one grid.

    Parameters
    ----------
    images
        Paths, URIs or declarations.
    bands
        Bands to read of each path, 0-based; default: all.
    nodata
        Value that marks missing pixels in each path, instead of the one that the file names.
    """
    many = [images] if isinstance(images, str | PathLike | Raster | Stack) else list(images)
    sources: list[Raster] = []
    for image in many:
        if isinstance(image, Stack):
            sources.extend(image.sources)
        elif isinstance(image, Raster):
            sources.append(image)
        else:
            chosen = None if bands is None else tuple(bands)
            sources.append(Raster(uris=(fspath(image),), bands=chosen, nodata=nodata))
    if len(many) == 1 and isinstance(many[0], Stack):
        return many[0]
    return sources[0] if len(sources) == 1 else Stack(sources=tuple(sources))


def check_type(name: str, where: str) -> None:
    """Refuse types of pixels that cannot be segmented exactly.

    Parameters
    ----------
    name
        Of the type of the values, or of that in a file, such as ``"complex_int16"``.
    where
        What to name in the error.

    Raises
    ------
    DataError
        If the type is complex, or of 64 bits.
    """
    if name.startswith("complex"):
        raise DataError(
            f"The pixels are {name}: complex numbers have no order and no clusters.",
            where=where,
            mend="Segment their amplitude: write it to a raster of float32 first.",
        )
    if name not in TYPES:
        raise DataError(
            f"The pixels are {name} (of one file, or of files of several types together); "
            f"segmentation takes integers of up to 32 bits and float32.",
            where=where,
            mend="Convert them, as with gdal_translate -ot Float32, or by a transform of the "
            "raster, such as Cast(dtype='int32').",
        )


def check_bands(options: SegmentOptions, n_bands: int, where: str) -> None:
    """Refuse weights and centres for another number of bands than the image has.

    Raises
    ------
    DataError
        With both numbers.
    """
    for name, numbers in (
        ("weights", options.weights),
        ("centres", (options.centres or (None,))[0]),
        ("offsets", options.offsets),
    ):
        if numbers is not None and len(numbers) != n_bands:
            raise DataError(
                f"The image has {n_bands} band{'s' if n_bands > 1 else ''}, and the {name} are for "
                f"{len(numbers)}.",
                where=where,
                mend=f"Give {name} with one number for each band, or choose other bands.",
            )
