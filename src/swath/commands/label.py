"""The command ``label``: the labels of a tile, numbered for the whole image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.image_tiles import TiledImage, memory_of
from swath.grid.grid import Grid
from swath.plan.command import Command, Unit
from swath.segmentation.budget import LIBRARIES_BYTES

if TYPE_CHECKING:
    from swath.run.work import Work

PIXEL_BYTES = 16
"""Memory per pixel of a tile: runs, labels, and GDAL's cache."""

FILE_BYTES = 1
"""Bytes on disk per pixel."""


def declare(root: str, tiled: TiledImage, clumped: Command, eliminated: Command) -> Command:
    """Declare one unit per tile, with the output ``labels``, a GeoTIFF.

    Parameters
    ----------
    root
        URI under which results go.
    tiled
        The image.
    clumped, eliminated
        What the ``declare`` of ``clump`` and ``eliminate`` returned.
    """
    units = tuple(
        Unit(
            name=f"{tiled.name}/{name}",
            inputs={
                "runs": clumped.ref(f"{tiled.name}/{name}", "runs"),
                "ids": eliminated.ref(tiled.name, name),
            },
            outputs={"labels": "labels.tif"},
            params={"grid": tiled.grid.crop(core).to_json()},
            work=core.pixels,
            output_bytes=core.pixels * FILE_BYTES,
            scene=tiled.name,
        )
        for name, core in tiled.tiles.items()
    )
    return Command(
        "label",
        "swath.commands.label:run",
        root,
        units,
        resources=memory_of(LIBRARIES_BYTES + PIXEL_BYTES * tiled.largest_tile, cpus=1),
    )


def run(work: Work) -> None:
    """Label one tile."""
    from swath.segmentation.steps import label_to_file

    label_to_file(
        Path(work.input("runs")),
        Path(work.input("ids")),
        Grid.from_json(work.unit_params["grid"]),
        work.output("labels"),
    )
