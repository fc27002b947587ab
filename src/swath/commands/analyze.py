"""The command ``analyze``: band statistics, class counts and warnings, scene by scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from swath.commands.scenes import class_params, grid_of, scene_inputs, scene_params
from swath.grid.grid import Grid
from swath.plan.command import Command, Unit
from swath.scene.spec import ClassConfig, Scene

if TYPE_CHECKING:
    from swath.run.work import Work

ROLES = ("image", "labels", "area")

MAX_PIXELS = 4_000_000
"""A larger scene is sampled by strips down to about this many pixels."""


def declare(
    root: str,
    scenes: Sequence[Scene],
    classes: ClassConfig,
    grids: Mapping[str, Grid],
    *,
    max_pixels: int = MAX_PIXELS,
) -> Command:
    """Declare one unit per scene, named by its id, with the output ``stats``.

    Parameters
    ----------
    root
        URI under which results go.
    scenes
        All scenes, training and validation.
    classes
        Names of the classes.
    grids
        Grid of each scene's image, by scene id.
    max_pixels
        Pixels that are read of one scene, about.
    """
    units = tuple(
        Unit(
            name=scene.id,
            inputs=scene_inputs(scene, ROLES),
            outputs={"stats": "stats.json"},
            params={"scene": scene_params(scene, ROLES)},
            work=min(grid_of(scene, grids).window.pixels, max_pixels),
            output_bytes=4096,
            scene=scene.id,
        )
        for scene in scenes
    )
    params: dict[str, Any] = {"classes": class_params(classes), "max_pixels": max_pixels}
    return Command("analyze", "swath.commands.analyze:run", root, units, params=params)


def run(work: Work) -> None:
    """Analyse one scene."""
    from swath.learn.analysis import analyze_scene

    analysis = analyze_scene(
        Scene.from_json(work.unit_params["scene"]),
        ClassConfig.from_json(work.params["classes"]),
        max_pixels=work.params["max_pixels"],
        progress=work.progress,
    )
    for warning in analysis.warnings:
        work.log.warning("%s: %s", work.unit, warning)
    analysis.write(work.output("stats"))
