"""The command ``eliminate``: the tiles of an image joined, and its segments numbered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.image_tiles import TiledImage, memory_of, merge_params, tile_names
from swath.plan.command import Command, Unit
from swath.segmentation.budget import LIBRARIES_BYTES, whole_bytes
from swath.segmentation.spec import SegmentOptions

if TYPE_CHECKING:
    from swath.run.work import Work

SUMMARY = "summary"
"""Output with the number of segments."""

ID_BYTES = 0.2
"""Bytes on disk per pixel of the image."""

CPUS = 4
"""Cores for an image of many tiles; choices of a pass are made by all of them."""


def declare(
    root: str, tiled: TiledImage, options: SegmentOptions, fitted: Command, clumped: Command
) -> Command:
    """Declare one unit, named after the image, with the ids of each tile, and ``summary``.

    Parameters
    ----------
    root
        URI under which results go.
    tiled
        The image. An output is named after each of its tiles.
    options
        Of the segmentation; only those that say how segments merge are parameters.
    fitted, clumped
        What the ``declare`` of ``fit_clusters`` and ``clump`` returned.
    """
    pixels = tiled.grid.window.pixels
    unit = Unit(
        name=tiled.name,
        inputs={
            "clusters": fitted.ref(tiled.name, "clusters"),
            "parts": tuple(clumped.ref(f"{tiled.name}/{name}", "part") for name in tiled.tiles),
        },
        outputs={SUMMARY: "summary.json"} | {name: f"{name}.npy" for name in tiled.tiles},
        params={"tiles": list(tiled.shape)},
        work=pixels,
        output_bytes=round(pixels * ID_BYTES),
        scene=tiled.name,
    )
    return Command(
        "eliminate",
        "swath.commands.eliminate:run",
        root,
        (unit,),
        params={"options": merge_params(options)},
        resources=memory_of(
            LIBRARIES_BYTES + whole_bytes(pixels, tiled.tile_size), cpus=min(CPUS, len(tiled.tiles))
        ),
    )


def run(work: Work) -> None:
    """Join the tiles of one image."""
    from swath.segmentation.steps import eliminate_files, read_clusters

    n_rows, n_cols = work.unit_params["tiles"]
    n_segments = eliminate_files(
        [Path(part) for part in work.inputs("parts")],
        (n_rows, n_cols),
        read_clusters(Path(work.input("clusters"))),
        SegmentOptions.from_json(work.params["options"]),
        [work.output(name) for name in tile_names(n_rows, n_cols)],
        workers=work.options["threads"],
        progress=work.progress,
    )
    work.output(SUMMARY).write_text(json.dumps({"n_segments": n_segments}), "ascii")
