"""Write a bundle: model, descriptions, statistics, and a golden chip with its expected output.

One idea: the expected output is computed from the very files that go into the bundle, by the code
that will check it.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.learn.analysis import merge_analyses
from swath.learn.bundle.members import write_zip
from swath.learn.bundle.onnx_export import export_onnx
from swath.learn.bundle.stac import stac_item
from swath.learn.description import ModelDescription
from swath.learn.tasks import Task, task_room

SCHEMA = 1


@dataclass(frozen=True)
class BundleSources:
    """Files that go into a bundle.

    Attributes
    ----------
    model, description, history
        What a training left.
    stats
        Analyses of the training scenes.
    images, valid
        Shards of chips, in one order; the first chip becomes the golden one.
    scores
        Scores of the evaluation, if there was one.
    """

    model: Path
    description: Path
    history: Path
    stats: tuple[Path, ...]
    images: tuple[Path, ...]
    valid: tuple[Path, ...]
    scores: Path | None = None


def write_bundle(
    path: Path,
    sources: BundleSources,
    task: Task,
    *,
    experiment: Mapping[str, Any],
    grids: Sequence[Grid],
) -> None:
    """Write a bundle; the same sources give the same bytes.

    Parameters
    ----------
    path
        Zip to write.
    sources
        What goes into it.
    task
        What was learned.
    experiment
        The experiment as JSON values; its ``id`` names the model.
    grids
        Where the training scenes lie.

    Raises
    ------
    DataError
        If there is no chip to prove the model by.
    """
    description = ModelDescription.read(sources.description)
    room = task_room(task.kind)
    network = room.load_model(sources.model, description)
    n_parameters = sum(each.numel() for each in network.parameters())
    name = str(experiment.get("id", "model"))
    item = stac_item(name, task, description, grids, n_parameters=n_parameters)
    about = {
        "schema": SCHEMA,
        "name": name,
        "swath": importlib.metadata.version("swath"),
        "task": task.to_json(),
    }
    with TemporaryDirectory(dir=path.parent, prefix=".bundle-") as temporary:
        folder = Path(temporary)
        (folder / "golden").mkdir()
        _write_json(folder / "bundle.json", about)
        _write_json(folder / "item.json", item)
        _write_json(folder / "experiment.json", experiment)
        _write_json(folder / "stats.json", merge_analyses(sources.stats).result().to_json())
        for source, member in (
            (sources.model, "model.safetensors"),
            (sources.description, "model.json"),
            (sources.history, "history.csv"),
            (sources.scores, "scores.json"),
        ):
            if source is not None:
                shutil.copyfile(source, folder / member)
        image, valid = golden_chip(sources.images, sources.valid)
        np.save(folder / "golden/image.npy", image)
        np.save(folder / "golden/valid.npy", valid)
        expected = room.chip_output(sources.model, description, image, valid)
        np.save(folder / "golden/expected.npy", expected)
        export_onnx(network, description.n_bands, description.chip_size, folder / "model.onnx")
        files = [file for file in folder.rglob("*") if file.is_file()]
        write_zip(path, {file.relative_to(folder).as_posix(): file for file in files})


def golden_chip(
    images: Sequence[Path], valid: Sequence[Path]
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the first chip of the first shard that has one: (band, y, x) and (y, x)."""
    for images_file, valid_file in zip(images, valid, strict=True):
        chips = np.load(images_file, mmap_mode="r")
        if len(chips):
            masks = np.load(valid_file, mmap_mode="r")
            mask = masks[0] if len(masks) else np.ones(chips.shape[2:], bool)
            return np.array(chips[0]), np.array(mask)
    raise DataError(
        "no validation chip to prove the model by.",
        where="bundle",
        mend="Look at the area and the labels of the validation scenes.",
    )


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
