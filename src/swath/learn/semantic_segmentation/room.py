"""What the commands call for semantic segmentation; the heavy half of the task, in one list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swath.grid.window import Window
from swath.learn.chip_set import ChipFiles
from swath.learn.description import ModelDescription
from swath.learn.semantic_segmentation.chips import write_chips
from swath.learn.semantic_segmentation.maps import write_block, write_map, write_scores
from swath.learn.semantic_segmentation.prediction import Predictor, Progress
from swath.learn.semantic_segmentation.training import TrainedFiles, train
from swath.learn.spec import PredictOptions
from swath.raster.reader import open_raster
from swath.raster.spec import Raster, Stack

__all__ = [
    "ChipFiles",
    "TrainedFiles",
    "load_predictor",
    "predict_block",
    "train",
    "write_chips",
    "write_map",
    "write_scores",
]


def load_predictor(
    model: Path, description: Path, options: PredictOptions, device_options: Mapping[str, Any]
) -> Predictor:
    """Build the model of a training, ready to predict.

    Parameters
    ----------
    model, description
        The files `train` wrote.
    options
        How to predict.
    device_options
        ``device`` and ``threads``.
    """
    return Predictor(model, ModelDescription.read(description), options, device_options)


def predict_block(
    predictor: Predictor,
    image: Raster | Stack,
    block: Window,
    labels: Path,
    scores: Path | None,
    *,
    progress: Progress | None = None,
) -> None:
    """Predict one block of an image and write its files; see `Predictor.predict`."""
    with open_raster(image) as reader:
        prediction = predictor.predict(reader, block, progress)
        write_block(prediction, reader.grid, block, labels, scores)
