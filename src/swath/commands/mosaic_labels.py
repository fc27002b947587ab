"""The command ``mosaic_labels``: the labels of an image as one cloud-optimised GeoTIFF.

A kind of its own: ``mosaic`` puts maps of classes together, and a kind has one function.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.eliminate import SUMMARY
from swath.commands.image_tiles import TiledImage, image_from_json, memory_of
from swath.grid.grid import Grid
from swath.plan.command import Command, Unit
from swath.segmentation.budget import LIBRARIES_BYTES, OUTPUT_BYTES
from swath.segmentation.spec import SegmentOptions

if TYPE_CHECKING:
    from swath.run.work import Work

AHEAD = 6
"""Tiles that are in memory at once, with up to four threads."""


def declare(
    root: str,
    tiled: TiledImage,
    options: SegmentOptions,
    fitted: Command,
    eliminated: Command,
    labelled: Command,
) -> Command:
    """Declare one unit, named after the image, with the outputs ``labels`` and ``description``.

    Parameters
    ----------
    root
        URI under which results go.
    tiled
        The image.
    options
        Of the segmentation; they go into the description.
    fitted, eliminated, labelled
        What the ``declare`` of ``fit_clusters``, ``eliminate`` and ``label`` returned.
    """
    pixels = tiled.grid.window.pixels
    unit = Unit(
        name=tiled.name,
        inputs={
            "labels": tuple(labelled.ref(f"{tiled.name}/{name}", "labels") for name in tiled.tiles),
            "clusters": fitted.ref(tiled.name, "clusters"),
            "summary": eliminated.ref(tiled.name, SUMMARY),
        },
        outputs={"labels": "labels.tif", "description": "labels.json"},
        params={
            "image": tiled.image.to_json(),
            "grid": tiled.grid.to_json(),
            "tile_size": tiled.tile_size,
        },
        work=pixels,
        output_bytes=pixels * OUTPUT_BYTES,  # with what lies beside it while it is written
        scene=tiled.name,
    )
    return Command(
        "mosaic_labels",
        "swath.commands.mosaic_labels:run",
        root,
        (unit,),
        params={"options": options.to_json()},
        resources=memory_of(LIBRARIES_BYTES + 6 * AHEAD * tiled.largest_tile),
        phase="mosaic",
    )


def run(work: Work) -> None:
    """Write the labels of one image."""
    from swath.segmentation.label_file import description
    from swath.segmentation.steps import mosaic_files, read_clusters

    grid = Grid.from_json(work.unit_params["grid"])
    mosaic_files(
        [Path(path) for path in work.inputs("labels")],
        grid,
        work.unit_params["tile_size"],
        work.output("labels"),
        n_threads=work.options["threads"],
        progress=work.progress,
    )
    text = description(
        image_from_json(work.unit_params["image"]),
        SegmentOptions.from_json(work.params["options"]),
        read_clusters(Path(work.input("clusters"))),
        grid,
        json.loads(Path(work.input("summary")).read_bytes())["n_segments"],
    )
    work.output("description").write_text(text, "utf-8")
