"""The command ``clump``: a tile of an image, segmented as far as its inside decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.image_tiles import TiledImage, image_from_json, memory_of, merge_params
from swath.grid.window import Window
from swath.plan.command import Command, Unit
from swath.segmentation.budget import LIBRARIES_BYTES, cache_bytes, tile_bytes
from swath.segmentation.spec import HALO, SegmentOptions

if TYPE_CHECKING:
    from swath.run.work import Work

FILE_BYTES = 2
"""Bytes on disk per pixel, both files together."""


def declare(root: str, tiled: TiledImage, options: SegmentOptions, fitted: Command) -> Command:
    """Declare one unit per tile, with the outputs ``part`` (what joins it) and ``runs`` (labels).

    Parameters
    ----------
    root
        URI under which results go.
    tiled
        The image.
    options
        Of the segmentation; only those that say how segments merge are parameters.
    fitted
        What `swath.commands.fit_clusters.declare` returned.
    """
    image = tiled.image.to_json()
    units = tuple(
        Unit(
            name=f"{tiled.name}/{name}",
            inputs={
                "image": tiled.image.source_uris(),
                "clusters": fitted.ref(tiled.name, "clusters"),
            },
            outputs={"part": "part.npz", "runs": "runs.npz"},
            params={"image": image, "tile": core.to_json()},
            work=core.pixels,
            output_bytes=core.pixels * FILE_BYTES,
            scene=tiled.name,
        )
        for name, core in tiled.tiles.items()
    )
    shape, n_bands, value_bytes = tiled.grid.shape, tiled.n_bands, tiled.value_bytes
    memory = tile_bytes(shape, n_bands, value_bytes, tiled.tile_size)
    memory += cache_bytes(shape, n_bands, value_bytes, tiled.tile_size)
    return Command(
        "clump",
        "swath.commands.clump:run",
        root,
        units,
        params={"options": merge_params(options)},
        resources=memory_of(LIBRARIES_BYTES + memory, cpus=1),
    )


def run(work: Work) -> None:
    """Segment one tile."""
    from swath.raster.reader import open_raster
    from swath.segmentation.steps import clump_to_files, read_clusters

    core = Window.from_json(work.unit_params["tile"])
    image = image_from_json(work.unit_params["image"])
    reader = work.once(
        f"image:{image.model_dump_json()}",
        lambda: open_raster(
            image, n_threads=work.options["threads"], cache_rows=core.height + 2 * HALO
        ),
    )
    path = Path(work.input("clusters"))
    clump_to_files(
        reader,
        core,
        work.once(f"clusters:{path}", lambda: read_clusters(path)),
        SegmentOptions.from_json(work.params["options"]),
        work.output("part"),
        work.output("runs"),
    )
