"""Evaluation of a predicted map against a label file.

Measured: seconds in which `swath.evaluate` counts two files of class ids against each other, from
disk to confusion matrix, and the peak memory of fresh processes that do so for a raster and for one
of four times its area. Against: both files read whole with `rasterio` and scikit-learn's
`confusion_matrix` over the two arrays. How: in turn, the best of 7 rounds of each, since whatever
else the machine does only adds time; both matrices are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.data import write_image, write_labels
from benchmarks.measure import in_child, in_turn
from benchmarks.table import Row, Target
from swath import ClassConfig, Scene
from swath.evaluate.counts import count_scene

CLASSES = ClassConfig(names=("water", "forest", "field", "town", "rock", "snow", "ice", "sand"))


@dataclass(frozen=True)
class Setup:
    """Edges in pixels, and rounds."""

    size: int
    large: int
    n_rounds: int


SETUPS = {"small": Setup(512, 1536, 1), "full": Setup(6000, 12_000, 7)}


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    setup = SETUPS[size]
    for edge in (setup.size, setup.large):
        _write(folder, edge)
    results: dict[str, NDArray[np.int64]] = {}
    place = str(folder)
    seconds = in_turn(
        {
            "ours": lambda: results.update(ours=count(place, setup.size)),
            "theirs": lambda: results.update(theirs=confusion_matrix(place, setup.size)),
        },
        setup.n_rounds,
    )
    assert np.array_equal(results["ours"], results["theirs"]), "the two count alike"
    pixels = setup.size**2 / 1e6
    rate = {name: pixels / min(values) for name, values in seconds.items()}
    yield Row(
        f"evaluation, {setup.size} x {setup.size}",
        rate["ours"],
        "Mpx/s",
        "scikit-learn, whole arrays",
        rate["theirs"],
        Target(10, "least", "ratio"),
    )
    peak = {
        (name, edge): in_child(f"benchmarks.evaluation:{name}_only", folder=place, edge=edge)
        for name, edge in (
            ("count", setup.size),
            ("count", setup.large),
            ("confusion_matrix", setup.size),
        )
    }
    small = peak["count", setup.size].peak_mib
    yield Row(
        f"evaluation, {setup.large} x {setup.large}, memory",
        peak["count", setup.large].peak_mib,
        "MiB",
        f"the same, {setup.size} x {setup.size}",
        small,
        Target(1.1, "most", "ratio"),
    )
    theirs = peak["confusion_matrix", setup.size].peak_mib
    label = f"evaluation, {setup.size} x {setup.size}, memory"
    yield Row(label, small, "MiB", "scikit-learn, whole arrays", theirs)


def count(folder: str, edge: int) -> NDArray[np.int64]:
    """Count with Swath, strip by strip; return the confusion matrix (truth, predicted)."""
    place = Path(folder)
    image, truth = place / f"image-{edge}.tif", place / f"truth-{edge}.tif"
    scene = Scene(id="scene", image=str(image), labels=str(truth))
    return count_scene(scene, CLASSES, place / f"map-{edge}.tif").confusion.counts


def confusion_matrix(folder: str, edge: int) -> NDArray[np.int64]:
    """Count with scikit-learn; return the confusion matrix (truth, predicted)."""
    from sklearn import metrics

    arrays = []
    for name in ("truth", "map"):
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
    write_labels(folder / f"map-{edge}.tif", size=edge, n_classes=n_classes, flipped=0.2)
