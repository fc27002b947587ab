"""The command ``predict``: a map of classes, block by block of a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.commands.scenes import blocks, grid_of, scene_inputs, scene_params
from swath.commands.train import UNIT as MODEL_UNIT
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.learn.spec import PredictOptions
from swath.learn.tasks import Task, task_room
from swath.plan.command import Command, Resources, Unit
from swath.scene.spec import Scene

if TYPE_CHECKING:
    from swath.run.work import Work


def declare(
    root: str,
    scenes: Sequence[Scene],
    task: Task,
    grids: Mapping[str, Grid],
    train: Command,
    *,
    resources: Resources | None = None,
    options: Mapping[str, Any] | None = None,
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
        What one split needs, for example a GPU.
    options
        ``device`` (``auto``, ``cpu``, ``cuda``), ``n_threads``.
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
        options=dict(options or {}),
        resources=resources or Resources(),
    )


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
