"""Segmentation from file to file, and statistics of the segments.

Measured: wall seconds of ``swath segment`` in a process of its own, imports, k-means and writing
included, with 60 clusters and segments of 50 pixels or more, for the Landsat scene of Parana (where
it lies beside the project) and a made-up mosaic of 8000 x 8000 x 4 uint16 (`benchmarks.mosaic`);
with one and two workers, and with statistics of all bands. A rate counts pixels with data only.
Then the scene of Olinda by a first process, which compiles, and by later ones; and the peak memory
of fresh processes with two workers, for mosaics of three sizes.

Against: SLIC of scikit-image, 10 iterations, as many segments for a megapixel, of a window of
2000 x 2000 pixels (or what there is) that lies in memory as float32. Its rate counts every pixel.
And `scipy.ndimage.labeled_comprehension`, once for each statistic, of one band of that window and
its labels in memory, against the time that statistics add, reading and writing included, for each
band.

How: in turn, medians of three rounds. Eliminating across tiles is done by all workers together,
after the tiles: its share is that of the wall time from its begin to its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage
from skimage.segmentation import slic

from benchmarks.measure import MIB, ROOT, in_child
from benchmarks.mosaic import N_BANDS, write_mosaic
from benchmarks.table import Row, Target

PARANA = ROOT.parent / "shared" / "data" / "parana_landsat8" / "landsat8_b234.tif"
OLINDA = ROOT / "examples" / "olinda" / "L7_ETMs.tif"
WORKERS = 2
STATISTICS = {"mean": np.mean, "std": np.std, "min": np.min, "max": np.max, "median": np.median}


@dataclass(frozen=True)
class Setup:
    """Edges in pixels: of the mosaic, of the window for the others, of mosaics for memory."""

    edge: int
    window: int
    edges: tuple[int, ...]
    limited: int
    scenes: tuple[Path, ...]
    n_rounds: int


SETUPS = {
    "small": Setup(1200, 128, (256, 512), 512, (), 1),
    "full": Setup(8000, 2000, (4000, 8000, 16_000), 8000, (PARANA,), 3),
}
MEMORY = Target(1.5e9 / MIB, "most", "figure")


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    setup = SETUPS[size]
    yield from _compilation(folder, setup.n_rounds)
    for scene in setup.scenes:
        if scene.exists():
            yield from _compared(scene, scene.parent.name, folder, setup)
    mosaic = folder / "mosaic.tif"
    write_mosaic(mosaic, size=setup.edge)
    yield from _compared(mosaic, f"mosaic {setup.edge} x {setup.edge}", folder, setup)
    yield from _memory(folder, setup)


@dataclass(frozen=True)
class Done:
    """What ``swath segment`` took, and what it told."""

    wall_s: float
    told: dict[str, Any]

    def busy_s(self, stage: str) -> float:
        """Return seconds of a stage, summed over workers."""
        return float(self.told["busy_s"].get(stage, 0.0))


def segment(image: Path, out: Path, *words: str, **environment: str) -> Done:
    """Run ``swath segment`` in a process of its own.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    command = [sys.executable, "-m", "swath", "segment", str(image), str(out), "--nodata", "0"]
    command += ["--overwrite", "--json", *words]
    started = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, check=False
    )
    wall_s = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return Done(wall_s, json.loads(done.stdout))


def _compilation(folder: Path, n_rounds: int) -> Iterator[Row]:
    """Measure the first process on a machine, and later ones."""
    cache = {"NUMBA_CACHE_DIR": str(folder / "kernels")}
    out = folder / "olinda.tif"
    first = segment(OLINDA, out, "--workers", str(WORKERS), **cache)
    runs = [segment(OLINDA, out, "--workers", str(WORKERS), **cache) for _ in range(n_rounds)]
    later = median(done.wall_s for done in runs)
    names = "the first process, which compiles", "a later process"
    for name, figure, other, other_s, limit_s in (
        (names[1], later, names[0], first.wall_s, 2.5),
        (names[0], first.wall_s, names[1], later, 30),
    ):
        target = Target(limit_s, "most", "figure")
        yield Row(f"segment, Olinda, {name}, wall", figure, "s", other, other_s, target)


def _compared(image: Path, name: str, folder: Path, setup: Setup) -> Iterator[Row]:
    """Compare rates with SLIC's, two workers with one, and statistics with none."""
    labels, table = folder / "labels.tif", folder / "labels.parquet"
    values, n_valid, n_bands = _window(image, setup.window)
    plain: dict[int, list[Done]] = {1: [], WORKERS: []}
    measured: list[Done] = []
    slic_s: list[float] = []
    by_scipy_s: list[float] = []
    for _ in range(setup.n_rounds):
        for workers, done in plain.items():
            done.append(segment(image, labels, "--workers", str(workers)))
        words = ("--stats", ",".join(STATISTICS), "--stats-out", str(table))
        measured.append(segment(image, labels, "--workers", str(WORKERS), *words))
        n_segments = measured[-1].told["n_segments"] * values[0].size // n_valid
        slic_s.append(_slic_s(values, n_segments))
        by_scipy_s.append(_labeled_comprehension_s(values[0], _labels_of(labels, setup.window)))
    wall = {key: median(each.wall_s for each in done) for key, done in plain.items()}
    rate = {workers: n_valid / 1e6 / seconds for workers, seconds in wall.items()}
    of_slic = values[0].size / 1e6 / median(slic_s)
    two, unit = f"segment, {name}, {WORKERS} workers", "Mpx/s"
    yield Row(two, rate[WORKERS], unit, "SLIC", of_slic, Target(6, "least", "ratio"))
    yield Row(two, rate[WORKERS], unit, "one worker", rate[1], Target(1.7, "least", "ratio"))
    share = {
        stage: 100 * median(done.busy_s(stage) / WORKERS / done.wall_s for done in plain[WORKERS])
        for stage in ("eliminate", "settle")
    }
    yield Row(
        f"{two}, eliminate, of the wall",
        share["eliminate"],
        "%",
        "eliminating inside tiles",
        share["settle"],
        Target(15, "most", "figure"),
    )
    yield Row(
        f"{two}, with statistics, wall",
        median(done.wall_s for done in measured),
        "s",
        "without",
        wall[WORKERS],
        Target(1.5, "most", "ratio"),
    )
    statistics_s = median(done.busy_s("statistics") for done in measured)
    yield Row(
        f"statistics, {name}, each band",
        n_bands * n_valid / 1e6 / statistics_s,
        unit,
        "labeled_comprehension",
        values[0].size / 1e6 / median(by_scipy_s),
        Target(50, "least", "ratio"),
    )


def _memory(folder: Path, setup: Setup) -> Iterator[Row]:
    """Measure peaks, of the size with a limit and of the others, in all and for each pixel."""
    peaks = {}
    for edge in setup.edges:
        image = folder / f"{edge}.tif"
        write_mosaic(image, size=edge)
        out = str(folder / "labels.tif")
        answer = in_child("benchmarks.segmentation:segment_here", image=str(image), out=out)
        peaks[edge] = answer.peak_mib
        image.unlink()
    limited, least = setup.limited, setup.edges[0]
    for edge, peak in peaks.items():
        name = f"segment, {edge} x {edge} x {N_BANDS}, {WORKERS} workers, memory"
        target = MEMORY if edge == limited else None
        yield Row(name, peak, "MiB", f"the same, {least} x {least}", peaks[least], target)
        each = {size: peaks[size] * MIB / size**2 for size in (edge, least)}
        yield Row(name, each[edge], "bytes/px", f"the same, {least} x {least}", each[least])


def segment_here(image: str, out: str) -> None:
    """Segment in this process, for its memory."""
    import swath

    swath.segment(image, out, nodata=0, workers=WORKERS, overwrite=True)


def _window(image: Path, edge: int) -> tuple[NDArray[np.uint16], int, int]:
    """Return the values of a window, the pixels with data of the whole image, and its bands."""
    with rasterio.open(image) as file:
        n_valid = sum(
            int((file.read(window=window) != 0).all(axis=0).sum())
            for window in _strips(file.width, file.height)
        )
        return file.read(window=Window(0, 0, edge, edge)), n_valid, file.count


def _labels_of(path: Path, edge: int) -> NDArray[np.uint32]:
    with rasterio.open(path) as file:
        labels: NDArray[np.uint32] = file.read(1, window=Window(0, 0, edge, edge))
    return labels


def _strips(width: int, height: int) -> Iterator[Window]:
    for row in range(0, height, 512):
        yield Window(0, row, width, min(512, height - row))


def _slic_s(values: NDArray[np.uint16], n_segments: int) -> float:
    pixels = np.ascontiguousarray(np.moveaxis(values, 0, -1), np.float32)
    pixels /= pixels.max()
    started = time.perf_counter()
    slic(pixels, n_segments=n_segments, max_num_iter=10, channel_axis=-1, start_label=1)
    return time.perf_counter() - started


def _labeled_comprehension_s(values: NDArray[np.uint16], labels: NDArray[np.uint32]) -> float:
    ids = np.unique(labels)
    ids = ids[ids > 0]
    started = time.perf_counter()
    for function in STATISTICS.values():
        ndimage.labeled_comprehension(values, labels, ids, function, float, np.nan)
    return time.perf_counter() - started
