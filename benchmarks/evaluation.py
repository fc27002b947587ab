"""Evaluation of a predicted map against a label file.

Measured: seconds in which `swath.evaluate` counts two files of class ids against each other, from
disk to confusion matrix, and the peak memory of fresh processes that do so for a raster and for one
of four times its area. Against: both files read whole with `rasterio` and scikit-learn's
`confusion_matrix` over the two arrays. How: in turn, the best of 7 rounds of each, since whatever
else the machine does only adds time, and medians beside it; both matrices are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.data import write_image, write_labels
from benchmarks.measure import in_child, in_turn
from benchmarks.table import Row, Target
from swath import ClassConfig, Scene
from swath.evaluate.counts import count_scene

CLASSES = ClassConfig(names=("water", "forest", "field", "town", "rock", "snow", "ice", "sand"))


ERRORS = {"specks": 4, "noise": 1}
"""How a fifth of the map is wrong: in squares of so many pixels. Noise is the harder to decode."""


@dataclass(frozen=True)
class Setup:
    """Edges in pixels, and rounds."""

    sizes: tuple[int, ...]
    large: int
    n_rounds: int


SETUPS = {"small": Setup((512,), 1536, 1), "full": Setup((4000, 6000), 12_000, 7)}


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    setup = SETUPS[size]
    for edge in (*setup.sizes, setup.large):
        _write(folder, edge)
    for edge in setup.sizes:
        for errors in ERRORS:
            yield from _compared(str(folder), edge, errors, setup.n_rounds)
    size_px, place = setup.sizes[-1], str(folder)
    peak = {
        (name, edge): in_child(f"benchmarks.evaluation:{name}_only", folder=place, edge=edge)
        for name, edge in (
            ("count", size_px),
            ("count", setup.large),
            ("confusion_matrix", size_px),
        )
    }
    small = peak["count", size_px].peak_mib
    yield Row(
        f"evaluation, {setup.large} x {setup.large}, memory",
        peak["count", setup.large].peak_mib,
        "MiB",
        f"the same, {size_px} x {size_px}",
        small,
        Target(1.1, "most", "ratio"),
    )
    theirs = peak["confusion_matrix", size_px].peak_mib
    label = f"evaluation, {size_px} x {size_px}, memory"
    yield Row(label, small, "MiB", "scikit-learn, whole arrays", theirs)


def _compared(folder: str, edge: int, errors: str, n_rounds: int) -> Iterator[Row]:
    results: dict[str, NDArray[np.int64]] = {}
    seconds = in_turn(
        {
            "ours": lambda: results.update(ours=count(folder, edge, errors)),
            "theirs": lambda: results.update(theirs=confusion_matrix(folder, edge, errors)),
        },
        n_rounds,
    )
    assert np.array_equal(results["ours"], results["theirs"]), "the two count alike"
    name, other = f"evaluation, {edge} x {edge}, errors as {errors}", "scikit-learn, whole arrays"
    for title, choose, target in (
        (name, min, Target(10, "least", "ratio")),
        (f"{name}, medians", median, None),
    ):
        rate = {key: edge**2 / 1e6 / choose(values) for key, values in seconds.items()}
        yield Row(title, rate["ours"], "Mpx/s", other, rate["theirs"], target)


def count(folder: str, edge: int, errors: str = "specks") -> NDArray[np.int64]:
    """Count with Swath, strip by strip; return the confusion matrix (truth, predicted)."""
    place = Path(folder)
    image, truth = place / f"image-{edge}.tif", place / f"truth-{edge}.tif"
    scene = Scene(id="scene", image=str(image), labels=str(truth))
    return count_scene(scene, CLASSES, place / f"{errors}-{edge}.tif").confusion.counts


def confusion_matrix(folder: str, edge: int, errors: str = "specks") -> NDArray[np.int64]:
    """Count with scikit-learn; return the confusion matrix (truth, predicted)."""
    from sklearn import metrics

    arrays = []
    for name in ("truth", errors):
        with rasterio.open(Path(folder) / f"{name}-{edge}.tif") as file:
            arrays.append(file.read(1).ravel())
    labels = np.arange(len(CLASSES.names))
    matrix: NDArray[np.int64] = metrics.confusion_matrix(*arrays, labels=labels)
    return matrix


def count_only(folder: str, edge: int) -> None:
    """Count, for its memory."""
    count(folder, edge)


def confusion_matrix_only(folder: str, edge: int) -> None:
    """Count with scikit-learn, for its memory."""
    confusion_matrix(folder, edge)


def _write(folder: Path, edge: int) -> None:
    n_classes = len(CLASSES.names)
    write_image(folder / f"image-{edge}.tif", size=edge, n_bands=1, block=512)
    write_labels(folder / f"truth-{edge}.tif", size=edge, n_classes=n_classes)
    for errors, speck in ERRORS.items():
        path = folder / f"{errors}-{edge}.tif"
        write_labels(path, size=edge, n_classes=n_classes, flipped=0.2, speck=speck)
