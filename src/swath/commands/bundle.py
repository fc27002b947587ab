"""The command ``bundle``: everything that is needed to use the model elsewhere, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.commands.scenes import LIBRARIES_GIB, grid_of, refs_of_scenes
from swath.commands.score import UNIT as SCORE_UNIT
from swath.commands.train import UNIT as MODEL_UNIT
from swath.grid.grid import Grid
from swath.learn.tasks import Task, task_from_json
from swath.plan.command import Command, Input, Resources, Unit
from swath.scene.spec import Scene

if TYPE_CHECKING:
    from swath.run.work import Work

UNIT = "bundle"


def declare(
    root: str,
    experiment: Mapping[str, Any],
    task: Task,
    scenes: Sequence[Scene],
    grids: Mapping[str, Grid],
    *,
    chips: Command,
    analysis: Command,
    train: Command,
    validation: Sequence[str],
    score: Command | None = None,
) -> Command:
    """Declare the one unit ``bundle`` with the output ``bundle`` (a zip).

    Parameters
    ----------
    root
        URI under which results go.
    experiment
        The experiment as JSON values; it must hold an ``id``, which names the model.
    task
        What was learned, whole.
    scenes
        Training scenes; their place on Earth becomes the geometry of the STAC item.
    grids
        Grid of each scene's image, by scene id.
    chips, analysis, train
        What the ``declare`` of these kinds returned.
    validation
        Ids of the validation scenes; the golden chip is the first chip of the first that has any.
    score
        What `swath.commands.score.declare` returned; None leaves the scores out.
    """
    inputs: dict[str, Input | Sequence[Input]] = {
        "model": train.ref(MODEL_UNIT, "model"),
        "description": train.ref(MODEL_UNIT, "description"),
        "history": train.ref(MODEL_UNIT, "history"),
        "stats": refs_of_scenes(analysis, [scene.id for scene in scenes], "stats"),
        "images": refs_of_scenes(chips, validation, "images"),
        "valid": refs_of_scenes(chips, validation, "valid"),
    }
    if score is not None:
        inputs["scores"] = score.ref(SCORE_UNIT, "scores")
    unit = Unit(
        name=UNIT,
        inputs=inputs,
        outputs={"bundle": "bundle.zip"},
        params={"grids": [grid_of(scene, grids).to_json() for scene in scenes]},
        work=task.chips.size**2,
        output_bytes=200_000_000,
    )
    return Command(
        "bundle",
        "swath.commands.bundle:run",
        root,
        (unit,),
        params={
            "experiment": dict(experiment),
            "task": task.to_json(),
            "scores": score is not None,
        },
        # Exporting to ONNX holds the model several times over.
        resources=Resources(memory_gib=LIBRARIES_GIB + 1),
        splittable=False,
    )


def run(work: Work) -> None:
    """Write the bundle."""
    from swath.learn.bundle.write import BundleSources, write_bundle

    sources = BundleSources(
        model=Path(work.input("model")),
        description=Path(work.input("description")),
        history=Path(work.input("history")),
        stats=tuple(Path(path) for path in work.inputs("stats")),
        images=tuple(Path(path) for path in work.inputs("images")),
        valid=tuple(Path(path) for path in work.inputs("valid")),
        scores=Path(work.input("scores")) if work.params["scores"] else None,
    )
    write_bundle(
        work.output("bundle"),
        sources,
        task_from_json(work.params["task"]),
        experiment=work.params["experiment"],
        grids=[Grid.from_json(grid) for grid in work.unit_params["grids"]],
    )
