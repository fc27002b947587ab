"""The command ``score``: counts of all scenes, summed per scene, per group and overall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.scenes import class_params
from swath.plan.command import Command, Unit
from swath.scene.spec import ClassConfig, Scene

if TYPE_CHECKING:
    from swath.run.work import Work

UNIT = "scores"


def declare(root: str, scenes: Sequence[Scene], classes: ClassConfig, evaluate: Command) -> Command:
    """Declare the one unit ``scores`` with the outputs ``scores`` (JSON) and ``table`` (CSV).

    Parameters
    ----------
    root
        URI under which results go.
    scenes
        Scenes that `evaluate` covers; their groups are read.
    classes
        Names of the classes.
    evaluate
        What `swath.commands.evaluate.declare` returned.
    """
    unit = Unit(
        name=UNIT,
        inputs={"counts": tuple(evaluate.ref(scene.id, "counts") for scene in scenes)},
        outputs={"scores": "scores.json", "table": "scores.csv"},
        params={"scenes": [{"id": scene.id, "group": scene.group} for scene in scenes]},
        work=len(scenes),
        output_bytes=20_000 + 2_000 * len(scenes) * classes.n_classes,
    )
    return Command(
        "score",
        "swath.commands.score:run",
        root,
        (unit,),
        params={"classes": class_params(classes)},
        phase="evaluate",
        splittable=False,
    )


def run(work: Work) -> None:
    """Merge the counts and write the scores."""
    from swath.evaluate.counts import SceneCounts
    from swath.evaluate.scores import score_scenes

    counts = [SceneCounts.read(Path(path)) for path in work.inputs("counts")]
    table = score_scenes(
        {item["id"]: counted for item, counted in zip(_scenes(work), counts, strict=True)},
        {item["id"]: item["group"] for item in _scenes(work)},
        ClassConfig.from_json(work.params["classes"]),
    )
    table.write_json(work.output("scores"))
    table.write_csv(work.output("table"))


def _scenes(work: Work) -> list[dict[str, str]]:
    return list(work.unit_params["scenes"])
