"""The command ``segment_stats``: what each tile knows of the statistics of its segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from swath.commands.image_tiles import TiledImage, image_from_json, memory_of
from swath.grid.window import Window
from swath.plan.command import Command, Input, Ref, Unit
from swath.raster.spec import Raster, Stack
from swath.segmentation.budget import LIBRARIES_BYTES
from swath.segmentation.statistics.spec import StatisticsOptions

if TYPE_CHECKING:
    from swath.run.work import Work
    from swath.segmentation.statistics.driver import SegmentImages
    from swath.segmentation.statistics.function import UserFunction

PIXEL_BYTES = 60
"""Memory per pixel of a tile: labels, order, values and keys of some bands, GDAL's cache."""

FILE_BYTES = 4
"""Bytes on disk per pixel: segments of 100 pixels, 4 bands with their medians."""


def declare(
    root: str,
    tiled: TiledImage,
    images: Sequence[Raster | Stack],
    options: StatisticsOptions,
    *,
    labels: Ref | None = None,
    function: str | None = None,
) -> Command:
    """Declare one unit per tile, with the output ``partial``.

    Parameters
    ----------
    root
        URI under which results go.
    tiled
        The raster of labels, cut into tiles; or with `labels` the image that was segmented.
    images
        What statistics are taken of, on the same grid.
    options
        The statistics.
    labels
        The labels, where another command makes them.
    function
        A user's function of one segment, ``module:name`` or ``/path/file.py:name``.
    """
    inputs = inputs_of(tiled, images, labels)
    units = tuple(
        Unit(
            name=f"{tiled.name}/{name}",
            inputs=inputs,
            outputs={"partial": "partial.npz"},
            params={"window": window.to_json(), "tile": tile},
            work=window.pixels,
            output_bytes=window.pixels * FILE_BYTES,
            scene=tiled.name,
        )
        for tile, (name, window) in enumerate(tiled.tiles.items())
    )
    return Command(
        "segment_stats",
        "swath.commands.segment_stats:run",
        root,
        units,
        params=params_of(tiled, images, options, labels, function),
        resources=memory_of(LIBRARIES_BYTES + PIXEL_BYTES * tiled.largest_tile, cpus=1),
    )


def inputs_of(
    tiled: TiledImage, images: Sequence[Raster | Stack], labels: Ref | None
) -> dict[str, Input | Sequence[Input]]:
    """Return what a unit reads: labels and images."""
    return {
        "labels": tiled.image.source_uris() if labels is None else labels,
        "images": tuple(uri for image in images for uri in image.source_uris()),
    }


def params_of(
    tiled: TiledImage,
    images: Sequence[Raster | Stack],
    options: StatisticsOptions,
    labels: Ref | None,
    function: str | None,
) -> dict[str, Any]:
    """Return what changes the statistics."""
    return {
        "labels": tiled.image.to_json() if labels is None else None,
        "images": [image.to_json() for image in images],
        "options": options.to_json(),
        "function": function,
    }


def run(work: Work) -> None:
    """Summarise one tile."""
    from swath.segmentation.statistics.steps import summarise_to_file

    window = Window.from_json(work.unit_params["window"])
    summarise_to_file(
        images_of(work, max(window.shape)),
        window,
        work.unit_params["tile"],
        StatisticsOptions.from_json(work.params["options"]),
        work.output("partial"),
        function=function_of(work),
    )


def images_of(work: Work, window_height: int) -> SegmentImages:
    """Open labels and images, once for all units of a split."""
    from swath.segmentation.statistics.driver import SegmentImages

    declared = work.params["labels"]
    labels = Raster(uris=(work.input("labels"),)) if declared is None else image_from_json(declared)
    images = [image_from_json(image) for image in work.params["images"]]
    return work.once("images", lambda: SegmentImages(labels, images, window_height=window_height))


def function_of(work: Work) -> UserFunction | None:
    """Return the user's function, if there is one."""
    from swath.run.load import load_function

    name = work.params["function"]
    return None if name is None else cast("UserFunction", load_function(name))
