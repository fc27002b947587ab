"""The command ``predict``: a map of classes, block by block of a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.scenes import (
    GIB,
    LIBRARIES_GIB,
    blocks,
    grid_of,
    scene_inputs,
    scene_params,
    with_memory,
)
from swath.commands.train import UNIT as MODEL_UNIT
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.learn.spec import PredictOptions
from swath.learn.tasks import Task, task_room
from swath.plan.command import Command, Resources, Unit
from swath.scene.spec import Scene

if TYPE_CHECKING:
    from swath.run.work import Work

N_BATCHES = 2
"""Batches that are in memory at once: one computed, others read ahead."""

FORWARD_BYTES = 700
"""Bytes per pixel of a batch in a forward pass: 500 with a U-Net over resnet18, 690 over
resnet50 (resident memory on a CPU with 8 windows of 256 px and 4 bands)."""


def declare(
    root: str,
    scenes: Sequence[Scene],
    task: Task,
    grids: Mapping[str, Grid],
    train: Command,
    *,
    resources: Resources | None = None,
) -> Command:
    """Declare one unit per block of a scene, with the output ``labels``, and ``scores`` if asked.

    Parameters
    ----------
    root
        URI under which results go.
    scenes
        Scenes to map; their labels and areas are not read.
    task
        What was learned; its prediction options are read.
    grids
        Grid of each scene's image, by scene id. Blocks and windows are fixed by it, so the map
        does not depend on how units are cut into splits.
    train
        What `swath.commands.train.declare` returned.
    resources
        What one split needs, for example a GPU; without `Resources.memory_gib`, `memory_gib`
        estimates it. The worker says where torch computes (``device``) and with how many
        ``threads``.
    """
    outputs = {"labels": "labels.tif"}
    if task.predict.scores:
        outputs["scores"] = "scores.tif"
    bytes_each = 1 + (task.classes.n_classes if task.predict.scores else 0)
    units = tuple(
        Unit(
            name=name,
            inputs={
                **scene_inputs(scene, ("image",)),
                "model": train.ref(MODEL_UNIT, "model"),
                "description": train.ref(MODEL_UNIT, "description"),
            },
            outputs=outputs,
            params={"scene": scene_params(scene, ("image",)), "block": block.to_json()},
            work=block.pixels,
            output_bytes=block.pixels * bytes_each,
            scene=scene.id,
        )
        for scene in scenes
        for name, block in blocks(scene, grid_of(scene, grids), task.predict.block_size)
    )
    settings = task.predict.replace(window=task.window, stride=task.stride).to_json()
    del settings["block_size"]  # the blocks themselves are parameters of the units
    return Command(
        "predict",
        "swath.commands.predict:run",
        root,
        units,
        params={"task": task.kind, "predict": settings},
        resources=with_memory(
            resources or Resources(),
            memory_gib(task, max((unit.work for unit in units), default=0)),
        ),
    )


def memory_gib(task: Task, block_pixels: int) -> float:
    """Estimate the memory of a prediction in GiB.

    `LIBRARIES_GIB` for libraries and model, plus ``4 * (n_classes + 1)`` bytes per pixel of a block
    for the sums, plus `N_BATCHES` of ``batch_size * window ** 2 * FORWARD_BYTES``. Further threads
    compute further batches at once, and other networks take more or less.

    Parameters
    ----------
    task
        What was learned, and how it predicts.
    block_pixels
        Pixels of the largest block.
    """
    sums = 4 * (task.classes.n_classes + 1) * block_pixels
    batches = N_BATCHES * task.predict.batch_size * task.window**2 * FORWARD_BYTES
    return round(LIBRARIES_GIB + (sums + batches) / GIB, 2)


def run(work: Work) -> None:
    """Predict one block."""
    room = task_room(work.params["task"])
    model, description = Path(work.input("model")), Path(work.input("description"))
    predictor = work.once(
        f"predictor:{model}",
        lambda: room.load_predictor(
            model, description, PredictOptions.from_json(work.params["predict"]), work.options
        ),
    )
    scores = work.output("scores") if work.params["predict"]["scores"] else None
    room.predict_block(
        predictor,
        Scene.from_json(work.unit_params["scene"]).image,
        Window.from_json(work.unit_params["block"]),
        work.output("labels"),
        scores,
        progress=work.progress,
    )
