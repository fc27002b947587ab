"""A tiny experiment, declared command by command, and a way to run it without the engine."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swath.commands import analyze, bundle, chip, evaluate, mosaic, predict, score, train
from swath.grid.grid import Grid
from swath.learn import PredictOptions, SegmentationModel, SemanticSegmentation, TrainOptions
from swath.plan.command import Command, Ref
from swath.raster.cog import write_geotiff
from swath.run.state import StateFolder
from swath.run.work import SplitValues, Work
from swath.scene.spec import ChipSampling, ClassConfig, Scene

CLASSES = ClassConfig(names=("dark", "bright"))
GRID = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), 64, 96)
TASK = SemanticSegmentation(
    classes=CLASSES,
    model=SegmentationModel(architecture="linknet", encoder="tu-test_resnet"),
    chips=ChipSampling(size=32),
    train=TrainOptions(epochs=1, batch_size=4),
    predict=PredictOptions(block_size=50, scores=True),
)


@dataclass(frozen=True)
class Experiment:
    """All commands of a tiny experiment."""

    analyze: Command
    chip: Command
    train: Command
    predict: Command
    mosaic: Command
    evaluate: Command
    score: Command
    bundle: Command

    @property
    def commands(self) -> tuple[Command, ...]:
        return tuple(vars(self).values())


def declare(
    scenes: Sequence[Scene],
    task: SemanticSegmentation = TASK,
    *,
    n_training: int = 1,
    block_size: int = chip.BLOCK_SIZE,
    grid: Grid = GRID,
) -> Experiment:
    """Declare an experiment that trains on the first scenes and validates on the others."""
    grids = {scene.id: grid for scene in scenes}
    training, validation = scenes[:n_training], scenes[n_training:]
    ids, others = [s.id for s in training], [s.id for s in validation]
    analysis = analyze.declare("root", scenes, task.classes, grids)
    chips = chip.declare("root", scenes, task, grids, block_size=block_size)
    model = train.declare("root", task, chips, analysis, ids, others)
    blocks = predict.declare("root", validation, task, grids, model)
    maps = mosaic.declare("root", validation, task, grids, blocks)
    counts = evaluate.declare("root", validation, task.classes, grids, maps)
    scores = score.declare("root", validation, task.classes, counts)
    package = bundle.declare(
        "root", {"id": "tiny"}, task, training, grids,
        chips=chips, analysis=analysis, train=model, validation=others, score=scores,
    )  # fmt: skip
    return Experiment(analysis, chips, model, blocks, maps, counts, scores, package)


@dataclass
class Chain:
    """Runs units one after another as the engine does, without its records and splits."""

    root: Path
    outputs: dict[str, dict[str, Path]] = field(default_factory=dict)

    def run(self, command: Command, **options: Any) -> None:
        """Run the units of a command; the `Work` that they see is the real one."""
        module, _, name = command.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        values = SplitValues()
        try:
            for unit, key in zip(command.units, command.unit_keys, strict=True):
                folder = self.root / command.kind / key
                folder.mkdir(parents=True, exist_ok=True)
                outputs = {name: folder / file for name, file in unit.outputs.items()}
                work = Work(
                    unit=unit.name,
                    params=command.params,
                    unit_params=unit.params,
                    options={"threads": 1, "device": "cpu", **command.options, **options},
                    inputs={name: self._paths(value) for name, value in unit.inputs.items()},
                    outputs=outputs,
                    state=StateFolder(folder / "state", folder / "private", start_over=False),
                    fetch=list,  # every input is a local path
                    progress=_check_progress,
                    values=values,
                )
                function(work)
                assert all(path.is_file() for path in outputs.values()), unit.name
                self.outputs[key] = outputs
        finally:
            values.close()

    def path(self, command: Command, unit: str, output: str) -> Path:
        """Return where an output lies."""
        return self.outputs[command.ref(unit, output).key][output]

    def _paths(self, value: str | Ref | Sequence[str | Ref]) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, Ref):
            return [str(self.outputs[value.key][value.output])]
        return [path for item in value for path in self._paths(item)]


def _check_progress(done: float, total: float, **numbers: float) -> None:
    assert 0 < done <= total


def declared_scenes(n_scenes: int) -> list[Scene]:
    """Return scenes whose files need not exist."""
    return [
        Scene(id=f"s{i}", image=f"i{i}.tif", labels=f"l{i}.tif", group="g") for i in range(n_scenes)
    ]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Two scenes of 64 x 96 px whose bright squares are class 1."""
    folder = tmp_path_factory.mktemp("scenes")
    found = []
    for index in range(2):
        labels = (np.indices(GRID.shape) // 16).sum(0) % 2
        noise = np.random.default_rng(index).integers(0, 500, (3, *GRID.shape))
        image = (noise + 1000 + 20_000 * labels).astype(np.uint16)
        for name, values in (("image", image), ("labels", labels.astype(np.uint8)[None])):
            write_geotiff(
                folder / f"{name}{index}.tif",
                GRID,
                [(GRID.window, values)],
                dtype=values.dtype,
                n_bands=len(values),
            )
        found.append(
            Scene(
                id=f"s{index}",
                image=str(folder / f"image{index}.tif"),
                labels=str(folder / f"labels{index}.tif"),
            )
        )
    return found


@pytest.fixture(scope="session")
def chain(scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The tiny experiment, run from analyze to bundle."""
    ran = Chain(tmp_path_factory.mktemp("root"))
    for command in declare(scenes).commands:
        ran.run(command)
    return ran


@pytest.fixture
def chain_of() -> Callable[[Path], Chain]:
    """Return `Chain`."""
    return Chain


@pytest.fixture
def make_experiment() -> Callable[..., Experiment]:
    """Return `declare`."""
    return declare


@pytest.fixture
def make_scenes() -> Callable[[int], list[Scene]]:
    """Return `declared_scenes`."""
    return declared_scenes


@pytest.fixture
def task() -> SemanticSegmentation:
    """The task of the tiny experiment."""
    return TASK
