"""The command ``fit_clusters``: the clusters of an image, from a sample of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swath.commands.image_tiles import MERGE_OPTIONS, TiledImage, image_from_json, memory_of
from swath.plan.command import Command, Unit
from swath.segmentation.budget import LIBRARIES_BYTES, MIB
from swath.segmentation.spec import SegmentOptions

if TYPE_CHECKING:
    from swath.run.work import Work

SAMPLED_PIXELS = 4 * 2**20
"""Pixels that are read at most, where an image has data everywhere."""

BAND_BYTES = 20 * MIB
"""Memory for each band: what is read at a time, and the sample several times over."""


def declare(root: str, tiled: TiledImage, options: SegmentOptions) -> Command:
    """Declare one unit, named after the image, with the output ``clusters``.

    Parameters
    ----------
    root
        URI under which results go.
    tiled
        The image.
    options
        Of the segmentation. Those that say how segments merge are no parameters.
    """
    unit = Unit(
        name=tiled.name,
        inputs={"image": tiled.image.source_uris()},
        outputs={"clusters": "clusters.json"},
        params={"image": tiled.image.to_json()},
        work=min(tiled.grid.window.pixels, SAMPLED_PIXELS),
        output_bytes=4096,
        scene=tiled.name,
    )
    read = {name: value for name, value in options.to_json().items() if name not in MERGE_OPTIONS}
    return Command(
        "fit_clusters",
        "swath.commands.fit_clusters:run",
        root,
        (unit,),
        params={"options": read},
        resources=memory_of(LIBRARIES_BYTES + tiled.n_bands * BAND_BYTES),
    )


def run(work: Work) -> None:
    """Fit the clusters of one image."""
    from swath.segmentation.fit import fit_clusters

    image = image_from_json(work.unit_params["image"])
    options = SegmentOptions.from_json(work.params["options"])
    clusters = fit_clusters(image, options, n_threads=work.options["threads"])
    clusters.write_centres(work.output("clusters"))
