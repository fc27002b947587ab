"""How scenes become units: which part of a scene's declaration a unit reads, and its blocks.

For the commands beside this module; it reads no file. One idea: a unit names exactly what it reads,
no more, so that a changed label file or colour touches only the units that look at it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from swath.errors import ConfigError
from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.plan.command import Command, Ref, Resources
from swath.scene.spec import ClassConfig, Scene

PIXEL_BYTES = 8
"""Guess of the bytes of one pixel over all bands, where the planner knows no better."""

GIB = 2**30


def scene_params(scene: Scene, roles: Collection[str]) -> dict[str, Any]:
    """Return the declaration of a scene, without what a unit does not read.

    Parameters
    ----------
    scene
        The scene.
    roles
        Of ``image``, ``labels``, ``area``: what is read. The group is never part of it.
    """
    data = scene.to_json()
    return {
        name: data[name] for name in ("id", "image", "labels", "area") if name in ("id", *roles)
    }


def scene_inputs(scene: Scene, roles: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the source files of a scene by role, only of `roles`."""
    return {role: uris for role, uris in scene.source_uris().items() if role in roles}


def class_params(classes: ClassConfig) -> dict[str, Any]:
    """Return what defines class ids: names and the null class, not the colours."""
    return {"names": list(classes.names), "null": classes.null}


def grid_of(scene: Scene, grids: Mapping[str, Grid]) -> Grid:
    """Return the grid of a scene.

    Raises
    ------
    ConfigError
        If the planner did not read the scene's header.
    """
    try:
        return grids[scene.id]
    except KeyError:
        raise ConfigError(
            "the grid of the scene is not known.",
            where=f"scene {scene.id!r}",
            mend="Read the headers of its image before its commands are declared.",
        ) from None


def blocks(scene: Scene, grid: Grid, block_size: int) -> Iterator[tuple[str, Window]]:
    """Yield (name of the unit, window) for the blocks of a scene, row by row.

    A scene that is one block has the scene's id as the name, else ``<id>/r000-c000``.
    """
    windows = tiles(grid.shape, block_size)
    if len(windows) == 1:
        yield scene.id, windows[0]
        return
    for window in windows:
        row, col = window.row_off // block_size, window.col_off // block_size
        yield f"{scene.id}/r{row:03d}-c{col:03d}", window


def refs_of_scenes(command: Command, scene_ids: Sequence[str], output: str) -> tuple[Ref, ...]:
    """Point at an output of every unit that belongs to one of the scenes, scene by scene.

    Raises
    ------
    ConfigError
        If a scene has no unit.
    """
    by_scene: dict[str, list[Ref]] = {}
    for unit, ref in zip(command.units, command.refs(output), strict=True):
        by_scene.setdefault(unit.name.partition("/")[0], []).append(ref)
    missing = [scene_id for scene_id in scene_ids if scene_id not in by_scene]
    if missing:
        raise ConfigError(
            f"it does not cover the scenes {', '.join(missing)}.",
            where=command.kind,
            mend="Declare it over all scenes that a later command needs.",
        )
    return tuple(ref for scene_id in scene_ids for ref in by_scene[scene_id])


LIBRARIES_GIB = 2.0
"""PyTorch, the model libraries and a model of the size of ResNet-18, in GiB: resident memory of the
demo's training is 1.4, and a scheduler that kills for a byte too much wants some room."""


def with_memory(resources: Resources, memory_gib: float) -> Resources:
    """Return resources with an estimate of memory, unless they say how much."""
    if resources.memory_gib is not None:
        return resources
    return replace(resources, memory_gib=memory_gib)
