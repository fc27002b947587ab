"""Train a segmentation model from shards of chips.

Not the loop itself (`swath.learn.trainer`). One idea: a thread takes chips out of the maps,
augments and normalises whole batches with numpy, while torch computes the step before.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from logging import Logger
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swath.errors import DataError
from swath.learn.ahead import read_ahead
from swath.learn.analysis import merge_analyses, normalisation_of
from swath.learn.augment import augment_batch
from swath.learn.chip_set import ChipFiles, ChipSet, epoch_batches
from swath.learn.description import ModelDescription, package_versions
from swath.learn.device import device_of, threads_of, torch_settings
from swath.learn.normalisation import Normalisation
from swath.learn.semantic_segmentation.losses import segmentation_loss
from swath.learn.semantic_segmentation.model import build_model, load_weights
from swath.learn.semantic_segmentation.spec import SemanticSegmentation
from swath.learn.trainer import Progress, Trained, Trainer, arithmetic
from swath.scene.spec import ClassConfig
from swath.stats.confusion import ConfusionCounts

CHECKPOINT_SECONDS = 60.0
LARGEST_WEIGHT = 10.0  # of a balanced class: a handful of pixels must not drown all others

Batch = tuple[Tensor, Tensor]


class TrainedFiles(NamedTuple):
    """What a training leaves: weights, their description, and a row of numbers per epoch."""

    model: Path
    description: Path
    history: Path


class SegmentationLearner:
    """What the loop needs to know about semantic segmentation (`swath.learn.trainer.Learner`)."""

    def __init__(
        self,
        task: SemanticSegmentation,
        training: ChipSet,
        validation: ChipSet,
        normalisation: Normalisation,
        weights: NDArray[np.float32],
        device: torch.device,
        first_weights: Path | None,
    ) -> None:
        self.task, self.device = task, device
        self._training, self._validation = training, validation
        self._normalisation = normalisation
        self._weights = torch.from_numpy(weights).to(device)
        n_classes = task.classes.n_classes
        self.model = build_model(task.model, training.n_bands, n_classes, task.train.seed)
        if first_weights is not None:
            load_weights(self.model, first_weights)
        # Channels last: twice as fast on CPU and on tensor cores, for the same numbers.
        self.model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def n_batches(self, epoch: int) -> int:
        """Return the number of steps of an epoch."""
        options = self.task.train
        return len(epoch_batches(len(self._training), options.batch_size, options.seed, epoch))

    def batches(self, epoch: int, first: int) -> Generator[Batch]:
        """Yield the batches of an epoch from the step `first` on, prepared in a thread."""
        yield from self._ahead(self._augmented(epoch, first))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch; `targets` is (n, y, x) int64."""
        return segmentation_loss(outputs, targets, self.task.train.loss, self._weights)

    def validate(self) -> dict[str, float]:
        """Return loss, overall accuracy, macro F1 and mean IoU over the validation chips."""
        self.model.eval()
        counts = ConfusionCounts(self.task.classes.n_classes)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        with torch.inference_mode(), closing(self._ahead(self._plain())) as batches:
            for images, targets in batches:
                with arithmetic(self.device, self.task.train.precision):
                    outputs = self.model(images)
                loss_sum += self.loss(outputs, targets).double() * len(images)
                predicted = outputs.argmax(1).to(torch.uint8)
                counts.add(targets.to(torch.uint8).cpu().numpy(), predicted.cpu().numpy())
        scores = counts.scores(self.task.classes.names)
        return {
            "loss": float(loss_sum) / len(self._validation),
            "overall_accuracy": scores.overall_accuracy,
            "macro_f1": scores.macro_f1,
            "mean_iou": scores.mean_iou,
        }

    def _augmented(self, epoch: int, first: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        options = self.task.train
        chosen = epoch_batches(len(self._training), options.batch_size, options.seed, epoch)
        for index, indices in enumerate(chosen[first:], start=first):
            chips = self._training.take(indices)
            images = self._normalisation.apply(chips.images, chips.valid)
            rng = np.random.default_rng([options.seed, epoch, index])
            yield augment_batch(images, chips.labels, options.augment, rng)

    def _plain(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        size = self.task.train.batch_size
        for start in range(0, len(self._validation), size):
            end = min(start + size, len(self._validation))
            chips = self._validation.take(np.arange(start, end))
            yield self._normalisation.apply(chips.images, chips.valid), chips.labels

    def _ahead(self, arrays: Iterator[tuple[NDArray[Any], NDArray[Any]]]) -> Generator[Batch]:
        with closing(read_ahead(arrays)) as prepared:
            for images, labels in prepared:
                tensor = torch.from_numpy(images).to(self.device, non_blocking=True)
                yield (
                    tensor.contiguous(memory_format=torch.channels_last),
                    torch.from_numpy(labels).to(self.device).long(),
                )


def train(
    task: SemanticSegmentation,
    training: Sequence[ChipFiles],
    validation: Sequence[ChipFiles],
    stats: Sequence[Path],
    outputs: TrainedFiles,
    *,
    state_dir: Path,
    weights: Path | None,
    options: Mapping[str, Any],
    progress: Progress,
    log: Logger,
) -> Trained:
    """Train a model, or go on with one that was interrupted, and write its files.

    Parameters
    ----------
    task
        What to learn; how it samples and predicts is not read.
    training, validation
        Shards of chips.
    stats
        Analyses of the training scenes; their merged statistics normalise the bands.
    outputs
        Where to write.
    state_dir
        Folder that survives a kill.
    weights
        Weights to start from; None: as `task.model` says.
    options
        ``device``, ``threads``, ``checkpoint_seconds``.
    progress
        Called with (done, total) steps and numbers.
    log
        One line per epoch.

    Raises
    ------
    DataError
        If there are no chips, or chips, statistics and task do not fit together.

    Notes
    -----
    On CPU and with one number of threads the same inputs give the same bits, however often the
    training was interrupted. With another number of threads, sums are taken in another order; so a
    training that goes on keeps the number that it began with, and ``threads`` is for a new one.
    """
    training_set = ChipSet(training, task.chips.size, "training")
    validation_set = ChipSet(validation, task.chips.size, "validation")
    normalisation = normalisation_of(merge_analyses(stats))
    for name, n_bands in (
        ("validation chips", validation_set.n_bands),
        ("statistics", normalisation.n_bands),
    ):
        if n_bands != training_set.n_bands:
            raise DataError(
                f"they have {n_bands} bands, the training chips {training_set.n_bands}.",
                where=name,
                mend="Select the same bands in every scene (image.bands).",
            )
    device = device_of(options)
    with torch_settings(device, threads_of(options)):
        learner = SegmentationLearner(
            task,
            training_set,
            validation_set,
            normalisation,
            class_weights(task, training),
            device,
            weights,
        )
        seconds = float(options.get("checkpoint_seconds", CHECKPOINT_SECONDS))
        trained = Trainer(learner, task.train, device, state_dir, seconds, progress, log).fit()
    shutil.copyfile(trained.best, outputs.model)
    _describe(task, training_set, normalisation, trained).write(outputs.description)
    _write_history(outputs.history, trained.history)
    return trained


def class_weights(task: SemanticSegmentation, shards: Sequence[ChipFiles]) -> NDArray[np.float32]:
    """Return the weight of each class in the loss, ``(class,)`` float32.

    Balanced weights are read off the class counts in the shards' indices; a class that does not
    occur has weight 1.
    """
    names, weights = task.classes.names, task.train.class_weights
    if weights is None:
        return np.ones(len(names), np.float32)
    if weights != "balanced":
        return np.asarray(weights, np.float32)
    columns = [f"pixels {name}" for name in names]
    pixels = np.zeros(len(names))
    for shard in shards:
        pixels += gpd.read_parquet(shard.index)[columns].sum().to_numpy(np.float64)
    balanced = np.ones(len(names))
    seen = pixels > 0
    balanced[seen] = np.minimum(pixels.sum() / (len(names) * pixels[seen]), LARGEST_WEIGHT)
    return balanced.astype(np.float32)


def _describe(
    task: SemanticSegmentation, chips: ChipSet, normalisation: Normalisation, trained: Trained
) -> ModelDescription:
    return ModelDescription(
        task=task.kind,
        model=task.model.to_json(),
        n_bands=chips.n_bands,
        dtype=chips.dtype.name,
        classes=ClassConfig(names=task.classes.names, null=task.classes.null).to_json(),
        chip_size=chips.size,
        normalisation=normalisation,
        training={
            "options": task.train.to_json(),
            "best": trained.history[trained.best_epoch - 1],
            "n_epochs": len(trained.history),
            "n_chips": len(chips),
        },
        packages=package_versions(),
    )


def _write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
