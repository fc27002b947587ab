"""The command ``chip``: windows with labels, cut from blocks of scenes into shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from swath.commands.scenes import (
    PIXEL_BYTES,
    blocks,
    class_params,
    grid_of,
    scene_inputs,
    scene_params,
)
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.learn.tasks import Task, task_room
from swath.plan.command import Command, Unit
from swath.scene.spec import ChipSampling, ClassConfig, Scene

if TYPE_CHECKING:
    from swath.run.work import Work

ROLES = ("image", "labels", "area")
BLOCK_SIZE = 4096
"""Edge of a block in pixels: a larger scene is cut into several units."""


def declare(
    root: str,
    scenes: Sequence[Scene],
    task: Task,
    grids: Mapping[str, Grid],
    *,
    block_size: int = BLOCK_SIZE,
    pixel_bytes: Mapping[str, int] | None = None,
) -> Command:
    """Declare one unit per block of a scene, with images, labels, validity and index as outputs.

    A unit is named by the scene's id if the scene is one block, else ``<id>/r000-c000``.

    Parameters
    ----------
    root
        URI under which results go.
    scenes
        Scenes with labels, training and validation.
    task
        What is learned; its classes and sampling are read.
    grids
        Grid of each scene's image, by scene id.
    block_size
        Edge of a block in pixels.
    pixel_bytes
        Bytes of one pixel over all bands by scene id, for the estimate of disk space.
    """
    step = task.chips.step if task.chips.method == "sliding" else task.chips.size
    overlap = (task.chips.size / step) ** 2
    units = []
    for scene in scenes:
        bytes_each = (pixel_bytes or {}).get(scene.id, PIXEL_BYTES) + 1
        for name, window in blocks(scene, grid_of(scene, grids), block_size):
            units.append(
                Unit(
                    name=name,
                    inputs=scene_inputs(scene, ROLES),
                    outputs={
                        "images": "images.npy",
                        "labels": "labels.npy",
                        "valid": "valid.npy",
                        "index": "index.parquet",
                    },
                    params={
                        "scene": scene_params(scene, ROLES),
                        "block": window.to_json(),
                    },
                    work=window.pixels,
                    output_bytes=int(window.pixels * bytes_each * overlap),
                    scene=scene.id,
                )
            )
    params: dict[str, Any] = {
        "task": task.kind,
        "classes": class_params(task.classes),
        "sampling": task.chips.to_json(),
    }
    return Command("chip", "swath.commands.chip:run", root, tuple(units), params=params)


def run(work: Work) -> None:
    """Write the chips of one block."""
    room = task_room(work.params["task"])
    room.write_chips(
        Scene.from_json(work.unit_params["scene"]),
        ClassConfig.from_json(work.params["classes"]),
        ChipSampling.from_json(work.params["sampling"]),
        Window.from_json(work.unit_params["block"]),
        room.ChipFiles(*(work.output(name) for name in ("images", "labels", "valid", "index"))),
        progress=work.progress,
    )
