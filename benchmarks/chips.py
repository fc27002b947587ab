"""Chips per second, cut from a large compressed image.

Measured: wall seconds in which `swath.learn` writes all chips of a 4000 x 4000 image with 4 bands
of uint16 (tiled, 512 px, deflate) and its label raster to shards with index, by one decoding
thread: 256 windows of 256 px side by side, 256 at random places, and 961 that overlap by half.
Against: a loop that reads the same windows of the image alone with `rasterio`, one by one in random
order, without GDAL's block cache (``GDAL_CACHEMAX=0``), and writes nothing; and the decode floor,
each block of the image read once, nothing else. Side by side, most windows lie within one block, so
that the loop itself decodes a block only four times: there, the floor is four times the loop.

How: in turn, into fresh folders, the best of 9 rounds of each, since whatever else the machine does
only adds time, and medians beside it. The loop over the 961 windows reads every fourth of them. A
line shows the same with two threads that decode, as a worker has them on two free cores.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import rasterio
from rasterio.windows import Window as RasterioWindow

from benchmarks.data import write_image, write_labels
from benchmarks.measure import in_turn
from benchmarks.table import Row, Target
from swath import ChipSampling, ClassConfig, Scene, Window
from swath.learn.chip_set import ChipFiles
from swath.learn.semantic_segmentation.chips import write_chips

CLASSES = ClassConfig(names=("water", "forest", "field", "town", "rock"))
FILES = ("images.npy", "labels.npy", "valid.npy", "index.parquet")


@dataclass(frozen=True)
class Setup:
    """Sizes in pixels, and rounds."""

    size: int
    block: int
    chip: int
    n_rounds: int


SETUPS = {"small": Setup(512, 128, 64, 1), "full": Setup(4000, 512, 256, 9)}


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    setup = SETUPS[size]
    image, labels = folder / "image.tif", folder / "labels.tif"
    write_image(image, size=setup.size, n_bands=4, block=setup.block)
    write_labels(labels, size=setup.size, n_classes=len(CLASSES.names), block=setup.block)
    scene = Scene(id="scene", image=str(image), labels=str(labels))
    beside = ChipSampling(size=setup.chip, stride=setup.chip)
    yield from _rows(setup, scene, folder, beside, "side by side", part=1)
    n_random = round(setup.size / setup.chip) ** 2
    random = ChipSampling(size=setup.chip, method="random", n_random=n_random)
    yield from _rows(setup, scene, folder, random, "random places", part=1)
    half = ChipSampling(size=setup.chip, stride=setup.chip // 2)
    yield from _rows(setup, scene, folder, half, "overlap of half", part=4)


def _rows(
    setup: Setup, scene: Scene, folder: Path, sampling: ChipSampling, name: str, *, part: int
) -> Iterator[Row]:
    from swath.scene.reader import open_scene
    from swath.scene.sampling import windows_of_block

    block = Window(0, 0, setup.size, setup.size)
    with open_scene(scene, CLASSES) as reader:
        windows = windows_of_block(reader.grid, block, sampling, scene.id)
    order = np.random.default_rng(0).permutation(len(windows))[::part]
    serial = count()

    def ours() -> None:
        place = folder / f"chips-{next(serial)}"
        place.mkdir()
        files = ChipFiles(*(place / name for name in FILES))
        n_chips = write_chips(scene, CLASSES, sampling, block, files)
        assert n_chips == len(windows), f"{n_chips} chips of {len(windows)} windows"

    image = Path(scene.source_uris()["image"][0])
    seconds: dict[str, list[float]] = {}
    for _ in range(setup.n_rounds):
        found = in_turn(
            {
                "ours": ours,
                "two": lambda: _with_threads(2, ours),
                "floor": lambda: _decode_once(image),
                "loop": lambda: _read_each(image, [windows[i] for i in order]),
            },
            1,
        )
        for key, value in found.items():
            seconds.setdefault(key, []).extend(value)
        for used in folder.glob("chips-*"):
            shutil.rmtree(used)  # here, so that nobody pays for the disk's tidying
    n_read = {"loop": len(order)}
    best, middle = (
        {key: n_read.get(key, len(windows)) / choose(value) for key, value in seconds.items()}
        for choose in (min, median)
    )
    unit, title = "chips/s", f"{len(windows)} chips, {name}"
    loop, floor = "rasterio, window by window", "decode floor"
    yield Row(title, best["ours"], unit, loop, best["loop"], Target(5, "least", "ratio"))
    yield Row(title, best["ours"], unit, floor, best["floor"], Target(0.8, "least", "ratio"))
    yield Row(f"{title}, medians", middle["ours"], unit, loop, middle["loop"])
    yield Row(f"{title}, medians", middle["ours"], unit, floor, middle["floor"])
    yield Row(f"{title}, 2 threads decode", best["two"], unit, floor, best["floor"])


def _with_threads(n_threads: int, function: Callable[[], None]) -> None:
    """Call a function as a worker does that has several cores: it sets this variable."""
    before = os.environ.get("GDAL_NUM_THREADS")
    os.environ["GDAL_NUM_THREADS"] = str(n_threads)
    try:
        function()
    finally:
        del os.environ["GDAL_NUM_THREADS"]
        if before is not None:
            os.environ["GDAL_NUM_THREADS"] = before


def _decode_once(path: Path) -> None:
    with rasterio.Env(GDAL_CACHEMAX=0, GDAL_NUM_THREADS=1), rasterio.open(path) as file:
        for _, window in file.block_windows(1):
            file.read(window=window)


def _read_each(path: Path, windows: Sequence[Window]) -> None:
    with rasterio.Env(GDAL_CACHEMAX=0, GDAL_NUM_THREADS=1), rasterio.open(path) as file:
        for w in windows:
            file.read(window=RasterioWindow(w.col_off, w.row_off, w.width, w.height))
