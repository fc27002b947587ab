"""A scene of a few thousand pixels with a class that can be seen, its chips, and a tiny model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.learn.analysis import analyze_scene
from swath.learn.chip_set import ChipFiles
from swath.learn.semantic_segmentation.chips import write_chips
from swath.learn.semantic_segmentation.spec import SemanticSegmentation
from swath.learn.semantic_segmentation.training import TrainedFiles, train
from swath.learn.spec import Augmentation, SegmentationModel, TrainOptions
from swath.raster.cog import write_geotiff
from swath.scene.spec import ChipSampling, ClassConfig, Scene

CLASSES = ClassConfig(names=("dark", "bright"))
SIZE = 32

# Of half a million numbers: training and its states take moments.
MODEL = SegmentationModel(architecture="linknet", encoder="tu-test_resnet")
LOG = logging.getLogger("test")


def write_image(path: Path, values: NDArray[Any], *, nodata: float | None = None) -> str:
    """Write ``(band, y, x)`` or ``(y, x)`` values on a grid of 10 m pixels, blocks of 256 px."""
    bands = values if values.ndim == 3 else values[None]
    grid = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), *bands.shape[1:])
    blocks = [(grid.window, bands)]
    write_geotiff(path, grid, blocks, dtype=bands.dtype, n_bands=len(bands), nodata=nodata)
    return str(path)


def scene_values(
    height: int, width: int, n_bands: int = 3, seed: int = 0
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return an image (band, y, x) whose bright squares are class 1 of the labels (y, x)."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    labels = ((rows // 16 + cols // 16) % 2).astype(np.uint8)
    noise = rng.integers(0, 500, (n_bands, height, width))
    return (noise + 1000 + 20_000 * labels.astype(np.int64)).astype(np.uint16), labels


@dataclass(frozen=True)
class Tiny:
    """A scene, its chips, its analysis, and how to train on them."""

    folder: Path
    scene: Scene
    chips: ChipFiles
    stats: Path
    image: NDArray[np.uint16]
    labels: NDArray[np.uint8]

    def task(self, **train_options: Any) -> SemanticSegmentation:
        defaults: dict[str, Any] = {"epochs": 1, "batch_size": 4, "augment": Augmentation()}
        return SemanticSegmentation(
            classes=CLASSES,
            model=MODEL,
            chips=ChipSampling(size=SIZE),
            train=TrainOptions(**{**defaults, **train_options}),
        )

    def train(self, name: str, task: SemanticSegmentation, **options: Any) -> TrainedFiles:
        folder = self.folder / name
        (folder / "state").mkdir(parents=True, exist_ok=True)
        outputs = TrainedFiles(
            folder / "model.safetensors", folder / "model.json", folder / "history.csv"
        )
        progress = options.pop("progress", lambda *_, **__: None)
        train(
            task,
            [self.chips],
            [self.chips],
            [self.stats],
            outputs,
            state_dir=folder / "state",
            weights=options.pop("weights", None),
            options={"device": "cpu", "threads": 1, **options},
            progress=progress,
            log=LOG,
        )
        return outputs


def chip_files(folder: Path) -> ChipFiles:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("images.npy", "labels.npy", "valid.npy", "index.parquet")
    return ChipFiles(*(folder / name for name in names))


@pytest.fixture
def make_scene(tmp_path: Path) -> Callable[..., Scene]:
    """Return a function that writes image and labels and declares them as a scene."""

    def make(
        values: NDArray[Any],
        labels: NDArray[Any] | None,
        *,
        nodata: float | None = None,
        **fields: Any,
    ) -> Scene:
        name = fields.pop("id", "a")
        image = write_image(tmp_path / f"{name}.tif", values, nodata=nodata)
        if labels is not None:
            fields["labels"] = write_image(tmp_path / f"{name}-labels.tif", labels, nodata=255)
        return Scene(id=name, image=image, **fields)

    return make


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A scene of 96 x 96 px with 9 chips."""
    folder = tmp_path_factory.mktemp("tiny")
    image, labels = scene_values(96, 96)
    scene = Scene(
        id="tiny",
        image=write_image(folder / "image.tif", image),
        labels=write_image(folder / "labels.tif", labels),
    )
    files = chip_files(folder)
    n_chips = write_chips(scene, CLASSES, ChipSampling(size=SIZE), Window(0, 0, 96, 96), files)
    assert n_chips == 9
    analyze_scene(scene, CLASSES, max_pixels=10**6).write(folder / "stats.json")
    return Tiny(folder, scene, files, folder / "stats.json", image, labels)


@pytest.fixture(scope="session")
def trained(tiny: Tiny) -> TrainedFiles:
    """A model after two epochs on the tiny scene."""
    return tiny.train("trained", tiny.task(epochs=2, learning_rate=3e-3))
