"""The segmentation of an image: what a user declares, and the graph that it compiles into.

Compiling is a pure function of the declaration and the headers of the image, as for experiments.
"""

from __future__ import annotations

from os import PathLike
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from swath.commands import (
    clump,
    eliminate,
    fit_clusters,
    label,
    merge_stats,
    mosaic_labels,
    segment_stats,
)
from swath.commands.image_tiles import TiledImage
from swath.experiment.declaration import Declaration, absolute
from swath.experiment.experiment import Headers
from swath.experiment.headers import known_headers
from swath.plan.command import DECLARATION_SCHEMA, Command, Pipeline, Ref
from swath.raster.header import Header
from swath.raster.layout import raster_bands, rasters_of
from swath.raster.spec import ImageSpec, Raster, Stack
from swath.segmentation.spec import MOST_TILE, SegmentOptions, check_bands, check_type, image_of
from swath.segmentation.statistics.spec import StatisticsOptions, options_of

TABLE = "segments.parquet"
"""Name of the result with a row for each segment."""


def _image(value: Any) -> Any:
    """Take paths for rasters, and several for one image."""
    several = isinstance(value, list | tuple) and value
    if isinstance(value, str | PathLike) or (
        several and all(isinstance(each, str | PathLike | Raster | Stack) for each in value)
    ):
        return image_of(value)
    return value


class Segmentation(Declaration):
    """Segments of an image of any size; the labels are those of `swath.segment`.

    Examples
    --------
    >>> fields = Segmentation(
    ...     id="fields",
    ...     root_uri="/data/work",
    ...     image=["/data/optical.tif", "/data/radar.tif"],
    ...     options=SegmentOptions(min_size=100),
    ... )
    >>> len(fields.image.source_uris())
    2
    """

    image: Annotated[ImageSpec, BeforeValidator(_image)]
    """What is segmented. A path is short for a `Raster`, a list for a `Stack` of all its bands."""

    options: SegmentOptions = SegmentOptions()
    """What changes the labels."""

    statistics: tuple[str, ...] = ()
    """Statistics of the segments, see `swath.segmentation.statistics.spec`; a text with commas is
    taken apart. By default no table is made."""

    statistics_images: tuple[ImageSpec, ...] = ()
    """What statistics are taken of, on the grid of `image`; by default `image` itself."""

    colours: bool = False
    """Whether to make a raster attribute table of the labels, with the statistics and random
    colours, which GDAL and QGIS show; left out if there are more than a million segments."""

    tile_size: int | None = Field(default=None, ge=16, le=MOST_TILE)
    """Side of tiles in pixels, at most 16,384; by default 512 to 1024, by the size of the image. It
    changes no label, but another size makes other units: nothing of an earlier run is taken over.
    """

    @field_validator("image")
    @classmethod
    def _absolute_image(cls, image: Raster | Stack) -> Raster | Stack:
        found: Raster | Stack = absolute(image)
        return found

    @field_validator("statistics", mode="before")
    @classmethod
    def _known_statistics(cls, names: Any) -> tuple[str, ...]:
        return options_of(names).statistics

    @field_validator("statistics_images")
    @classmethod
    def _absolute_images(cls, images: tuple[ImageSpec, ...]) -> tuple[ImageSpec, ...]:
        return tuple(absolute(images))

    @model_validator(mode="after")
    def _no_option_without_effect(self) -> Self:
        if self.statistics_images and not self.statistics:
            raise ValueError("statistics_images are given, and no statistics. Name some.")
        return self

    def compile(self) -> Pipeline:
        """Return the commands of this segmentation; headers that are not known are read.

        Raises
        ------
        DataError
            If a file is missing, unreadable, or not on the grid of the others.
        """
        headers = known_headers(self.root_uri, self.image.header_keys())
        return compile_segmentation(self, headers)


def compile_segmentation(segmentation: Segmentation, headers: Headers) -> Pipeline:
    """Derive the commands of a segmentation.

    Parameters
    ----------
    segmentation
        The declaration.
    headers
        Of its image, see `swath.raster.header`.

    Raises
    ------
    DataError
        If a file has no header, files are not on one grid, a band does not exist or has a type
        that cannot be segmented, or centres or weights are for other numbers of bands.
    """
    root, options = segmentation.root_uri, segmentation.options
    tiled = TiledImage.of(segmentation.image, headers, segmentation.tile_size)
    check_bands(options, tiled.n_bands, ", ".join(segmentation.image.source_uris()))
    _check_types(segmentation.image, headers)
    fitted = fit_clusters.declare(root, tiled, options)
    clumped = clump.declare(root, tiled, options, fitted)
    eliminated = eliminate.declare(root, tiled, options, fitted, clumped)
    labelled = label.declare(root, tiled, clumped, eliminated)
    mosaic = mosaic_labels.declare(root, tiled, options, fitted, eliminated, labelled)
    labels = mosaic.ref(tiled.name, "labels")
    table = _table(segmentation, tiled, labels)
    results = {
        f"{segmentation.id}.tif": labels,
        f"{segmentation.id}.json": mosaic.ref(tiled.name, "description"),
    }
    if table:
        results[TABLE] = table[-1].ref(tiled.name, "table")
    if segmentation.colours:
        results[f"{segmentation.id}.tif.aux.xml"] = table[-1].ref(tiled.name, "attributes")
    return Pipeline(
        id=segmentation.id,
        root=root,
        commands=(fitted, clumped, eliminated, labelled, mosaic, *table),
        declaration={"schema": DECLARATION_SCHEMA, "segmentation": segmentation.to_json()},
        results=results,
    )


def _check_types(image: Raster | Stack, headers: Headers) -> None:
    """Refuse what no transform changes; what it may become is seen when clusters are fitted."""
    for raster in rasters_of(image):
        if raster.transforms:
            continue
        for key in raster.header_keys():
            header = headers[key]
            assert isinstance(header, Header)  # of others there is no grid
            for band in raster_bands(raster, headers):
                check_type(header.dtypes[band], header.uri)


def _table(segmentation: Segmentation, tiled: TiledImage, labels: Ref) -> tuple[Command, ...]:
    """Return the commands that make the table of segments, if one is asked for."""
    if not (segmentation.statistics or segmentation.colours):
        return ()
    root = segmentation.root_uri
    images = segmentation.statistics_images or (segmentation.image,)
    options = StatisticsOptions(statistics=segmentation.statistics)
    summarised = segment_stats.declare(root, tiled, images, options, labels=labels)
    merged = merge_stats.declare(
        root,
        tiled,
        images,
        options,
        summarised,
        labels=labels,
        attribute_table=segmentation.colours,
    )
    return summarised, merged
