"""The command ``merge_stats``: the table of statistics of all segments, from what tiles know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.image_tiles import TiledImage, memory_of
from swath.commands.segment_stats import function_of, images_of, inputs_of, params_of
from swath.plan.command import Command, Ref, Unit
from swath.raster.spec import Raster, Stack
from swath.segmentation.budget import LIBRARIES_BYTES
from swath.segmentation.statistics.spec import StatisticsOptions

if TYPE_CHECKING:
    from swath.run.work import Work

MERGE_BYTES = 2**30
"""Memory for what is known of segments, a part of which waits in files."""

FILE_BYTES = 1
"""Bytes on disk per pixel."""


def declare(
    root: str,
    tiled: TiledImage,
    images: Sequence[Raster | Stack],
    options: StatisticsOptions,
    summarised: Command,
    *,
    labels: Ref | None = None,
    function: str | None = None,
    attribute_table: bool = False,
) -> Command:
    """Declare one unit, named after the labels, with the output ``table``, a Parquet file.

    Parameters
    ----------
    root
        URI under which results go.
    tiled, images, options, labels, function
        As for `swath.commands.segment_stats.declare`; tiles that hold a part of a segment of
        several parts are read again.
    summarised
        What that returned.
    attribute_table
        True for one more output, ``attributes``: the raster attribute table of the labels.
    """
    pixels = tiled.grid.window.pixels
    outputs = {"table": "segments.parquet"}
    if attribute_table:
        outputs["attributes"] = "labels.tif.aux.xml"
    unit = Unit(
        name=tiled.name,
        inputs={**inputs_of(tiled, images, labels), "partials": summarised.refs("partial")},
        outputs=outputs,
        work=max(1, pixels // 10),
        output_bytes=pixels * FILE_BYTES,
        scene=tiled.name,
    )
    return Command(
        "merge_stats",
        "swath.commands.merge_stats:run",
        root,
        (unit,),
        params={
            **params_of(tiled, images, options, labels, function),
            "attribute_table": attribute_table,
        },
        resources=memory_of(LIBRARIES_BYTES + MERGE_BYTES),
        phase="segment_stats",
        splittable=False,
    )


def run(work: Work) -> None:
    """Write the table."""
    from swath.segmentation.statistics.attribute_table import write_attribute_table
    from swath.segmentation.statistics.steps import merge_files

    table = work.output("table")
    merge_files(
        images_of(work, 0),
        [Path(path) for path in work.inputs("partials")],
        StatisticsOptions.from_json(work.params["options"]),
        table,
        function=function_of(work),
        workers=work.options["threads"],
        progress=work.progress,
    )
    if work.params["attribute_table"]:
        write_attribute_table(table, work.output("attributes"), leave_out=True)
