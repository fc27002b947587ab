"""The command ``evaluate``: a predicted map against the labels, counted scene by scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.scenes import grid_of, scene_inputs, scene_params
from swath.errors import ConfigError
from swath.grid.grid import Grid
from swath.plan.command import Command, Unit
from swath.scene.spec import ClassConfig, Scene

if TYPE_CHECKING:
    from swath.run.work import Work

ROLES = ("image", "labels", "area")
PREVIEW_PX = 512
"""Longest edge of one panel of the preview, in pixels."""


def declare(
    root: str,
    scenes: Sequence[Scene],
    classes: ClassConfig,
    grids: Mapping[str, Grid],
    mosaic: Command,
    *,
    preview_px: int = PREVIEW_PX,
    preview_bands: tuple[int, int, int] = (0, 1, 2),
) -> Command:
    """Declare one unit per scene, named by its id, with the outputs ``counts`` and ``preview``.

    Parameters
    ----------
    root
        URI under which results go.
    scenes
        Scenes with labels that `mosaic` covers.
    classes
        Names and colours of the classes; the colours are for the preview.
    grids
        Grid of each scene's image, by scene id.
    mosaic
        What `swath.commands.mosaic.declare` returned.
    preview_px
        Longest edge of one panel of the preview, in pixels.
    preview_bands
        Bands shown as red, green and blue, from 0.

    Raises
    ------
    ConfigError
        If a scene has no labels: there would be nothing to compare with.
    """
    for scene in scenes:
        if scene.labels is None:
            raise ConfigError(
                "it has no labels to evaluate the map against.",
                where=f"scene {scene.id!r}",
                mend="Give it labels, or predict it without evaluating it.",
            )
    units = tuple(
        Unit(
            name=scene.id,
            inputs={
                "prediction": mosaic.ref(scene.id, "map"),
                **scene_inputs(scene, ROLES),
            },
            outputs={"counts": "counts.json", "preview": "preview.png"},
            params={"scene": scene_params(scene, ROLES)},
            work=grid_of(scene, grids).window.pixels,
            output_bytes=6 * preview_px**2,
            scene=scene.id,
        )
        for scene in scenes
    )
    return Command(
        "evaluate",
        "swath.commands.evaluate:run",
        root,
        units,
        params={
            "classes": classes.to_json(),
            "preview_px": preview_px,
            "preview_bands": list(preview_bands),
        },
    )


def run(work: Work) -> None:
    """Count one scene and draw its preview."""
    from swath.evaluate.counts import count_scene
    from swath.evaluate.preview import write_preview

    scene = Scene.from_json(work.unit_params["scene"])
    classes = ClassConfig.from_json(work.params["classes"])
    prediction = Path(work.input("prediction"))
    counted = count_scene(scene, classes, prediction, progress=work.progress)
    counted.write(work.output("counts"))
    write_preview(
        work.output("preview"),
        scene,
        classes,
        prediction,
        panel_px=work.params["preview_px"],
        bands=work.params["preview_bands"],
    )
