"""The command ``train``: one model from all training chips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swath.commands.scenes import (
    GIB,
    LIBRARIES_GIB,
    class_params,
    refs_of_scenes,
    with_memory,
)
from swath.errors import ConfigError
from swath.learn.tasks import Task, task_from_json, task_room
from swath.plan.command import Command, Input, Resources, Unit

if TYPE_CHECKING:
    from swath.run.work import Work

UNIT = "model"
SHARD = ("images", "labels", "valid", "index")

STEP_BYTES = 3500
"""Bytes per pixel of a batch that a step of training takes: 1,900 with a U-Net over resnet18,
3,500 over resnet50 (resident memory of steps on a CPU with 8 chips of 256 px and 4 bands)."""


def declare(
    root: str,
    task: Task,
    chips: Command,
    analysis: Command,
    training: Sequence[str],
    validation: Sequence[str],
    *,
    resources: Resources | None = None,
) -> Command:
    """Declare the one unit ``model`` with the outputs ``model``, ``description`` and ``history``.

    Parameters
    ----------
    root
        URI under which results go.
    task
        What is learned. Of it, the classes' names, the model, the training options and the chips'
        size are parameters; how it predicts is not.
    chips
        What `swath.commands.chip.declare` returned, over all scenes.
    analysis
        What `swath.commands.analyze.declare` returned; statistics of the training scenes are read.
    training, validation
        Scene ids.
    resources
        What the training needs, for example a GPU; without `Resources.memory_gib`, `memory_gib`
        estimates it. The worker says where torch computes (``device``) and with how many
        ``threads``.

    Raises
    ------
    ConfigError
        If there is no scene to train or to validate on, or one is in both.
    """
    for name, ids in (("training", training), ("validation", validation)):
        if not ids:
            raise ConfigError(
                f"there is no {name} scene.", where=name, mend="Declare at least one."
            )
    both = sorted(set(training) & set(validation))
    if both:
        raise ConfigError(
            f"{', '.join(both)} would be trained and validated on.",
            where="validation",
            mend="Use other scenes, or two scenes of one image whose areas are apart (BlockArea).",
        )
    inputs: dict[str, Input | Sequence[Input]] = {
        "stats": refs_of_scenes(analysis, training, "stats"),
    }
    for prefix, ids in (("train", training), ("validation", validation)):
        for name in SHARD:
            inputs[f"{prefix}_{name}"] = refs_of_scenes(chips, ids, name)
    if task.model.weights_uri is not None:
        inputs["weights"] = task.model.weights_uri
    chip_work = {key: unit.work for key, unit in zip(chips.unit_keys, chips.units, strict=True)}
    trained_on = refs_of_scenes(chips, training, "images")
    unit = Unit(
        name=UNIT,
        inputs=inputs,
        outputs={
            "model": "model.safetensors",
            "description": "model.json",
            "history": "history.csv",
        },
        work=task.train.epochs * sum(chip_work[ref.key] for ref in trained_on),
        output_bytes=100_000_000,
    )
    params = {
        "kind": task.kind,
        "classes": class_params(task.classes),
        "model": task.model.to_json(),
        "chips": {"size": task.chips.size},
        "train": task.train.to_json(),
    }
    return Command(
        "train",
        "swath.commands.train:run",
        root,
        (unit,),
        params=params,
        resources=with_memory(resources or Resources(), memory_gib(task)),
        splittable=False,
    )


def memory_gib(task: Task) -> float:
    """Estimate the memory of a training in GiB; on a GPU, most of it is the GPU's.

    `LIBRARIES_GIB` for libraries, model and optimiser, plus ``batch_size * size ** 2 *
    STEP_BYTES``: what a step keeps of every layer for the way back. It was measured with a U-Net; a
    network of another depth takes half of it or several times as much.
    """
    n_pixels = task.train.batch_size * task.chips.size**2
    return round(LIBRARIES_GIB + n_pixels * STEP_BYTES / GIB, 2)


def run(work: Work) -> None:
    """Train, or go on from the state that an interrupted training left."""
    task = task_from_json(work.params)
    room = task_room(task.kind)
    shards = {
        prefix: [
            room.ChipFiles(*(Path(file) for file in files))
            for files in zip(*(work.inputs(f"{prefix}_{name}") for name in SHARD), strict=True)
        ]
        for prefix in ("train", "validation")
    }
    weights = work.input("weights") if task.model.weights_uri is not None else None
    room.train(
        task,
        shards["train"],
        shards["validation"],
        [Path(path) for path in work.inputs("stats")],
        room.TrainedFiles(*(work.output(name) for name in ("model", "description", "history"))),
        state_dir=work.state_dir,
        weights=None if weights is None else Path(weights),
        options=work.options,
        progress=work.progress,
        log=work.log,
    )
