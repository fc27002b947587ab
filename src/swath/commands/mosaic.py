"""The command ``mosaic``: the predicted blocks of a scene as one cloud-optimised GeoTIFF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.commands.scenes import grid_of, refs_of_scenes
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.learn.tasks import Task, task_room
from swath.plan.command import Command, Input, Unit
from swath.scene.spec import ClassConfig, Scene

if TYPE_CHECKING:
    from swath.run.work import Work


def declare(
    root: str,
    scenes: Sequence[Scene],
    task: Task,
    grids: Mapping[str, Grid],
    predict: Command,
) -> Command:
    """Declare one unit per scene, named by its id, with the output ``map``, and ``scores`` if any.

    Parameters
    ----------
    root
        URI under which results go.
    scenes
        Scenes that `predict` covers.
    task
        What was learned; names and colours of the classes go into the file.
    grids
        Grid of each scene's image, by scene id.
    predict
        What `swath.commands.predict.declare` returned.
    """
    names = ("labels", "scores") if task.predict.scores else ("labels",)
    outputs = {"map": "map.tif"} | ({"scores": "scores.tif"} if task.predict.scores else {})
    units = []
    for scene in scenes:
        grid = grid_of(scene, grids)
        inputs: dict[str, Input | Sequence[Input]] = {
            name: refs_of_scenes(predict, [scene.id], name) for name in names
        }
        own = [unit for unit in predict.units if unit.name.partition("/")[0] == scene.id]
        params = {"grid": grid.to_json(), "blocks": [unit.params["block"] for unit in own]}
        size = sum(unit.output_bytes for unit in own) * 4 // 3  # overviews add a third
        units.append(Unit(scene.id, inputs, outputs, params, grid.window.pixels, size, scene.id))
    settings: dict[str, Any] = {
        "task": task.kind,
        "classes": task.classes.to_json(),
        "scores": task.predict.scores,
    }
    return Command(
        "mosaic",
        "swath.commands.mosaic:run",
        root,
        tuple(units),
        params=settings,
        phase="predict",
    )


def run(work: Work) -> None:
    """Write the map of one scene."""
    room = task_room(work.params["task"])
    grid = Grid.from_json(work.unit_params["grid"])
    windows = [Window.from_json(block) for block in work.unit_params["blocks"]]
    classes = ClassConfig.from_json(work.params["classes"])
    labels = [Path(path) for path in work.inputs("labels")]
    room.write_map(work.output("map"), grid, windows, labels, classes)
    if work.params["scores"]:
        scores = [Path(path) for path in work.inputs("scores")]
        room.write_scores(work.output("scores"), grid, windows, scores, classes)
