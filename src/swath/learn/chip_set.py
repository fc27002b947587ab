"""Many shards of chips as one array-like set, mapped into memory and never loaded whole.

Not here: how chips are cut (each task's folder). One idea: a chip is found by a number that runs
over all shards; a batch copies its chips out of the maps and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from swath.errors import DataError


@dataclass(frozen=True, slots=True)
class ChipFiles:
    """The files of one shard.

    Attributes
    ----------
    images
        ``(n, band, y, x)`` in the image's own dtype.
    labels
        ``(n, y, x)`` uint8 class ids, 255 where there is none.
    valid
        ``(n, y, x)`` bool; ``(0, y, x)`` if every pixel of every chip is valid.
    index
        GeoParquet: one row per chip with its footprint and class counts.
    """

    images: Path
    labels: Path
    valid: Path
    index: Path


class ChipBatch(NamedTuple):
    """Chips taken out of a set.

    Attributes
    ----------
    images
        ``(n, band, y, x)`` in the image's own dtype.
    labels
        ``(n, y, x)`` uint8.
    valid
        ``(n, y, x)`` bool.
    """

    images: NDArray[np.generic]
    labels: NDArray[np.uint8]
    valid: NDArray[np.bool_]


class ChipSet:
    """All chips of some shards.

    Parameters
    ----------
    shards
        Their files; shards without chips are legal.
    size
        Edge of a chip in pixels that the model was declared with.
    name
        What the chips are for, in messages.

    Raises
    ------
    DataError
        If there is no chip at all, or a shard differs from the others in size, bands or dtype.
    """

    def __init__(self, shards: Sequence[ChipFiles], size: int, name: str) -> None:
        self._shards = []
        for files in shards:
            images = np.load(files.images, mmap_mode="r")
            _check_size(images, size, files.images)
            if len(images):
                labels = np.load(files.labels, mmap_mode="r")
                valid = np.load(files.valid, mmap_mode="r")
                self._shards.append(ChipBatch(images, labels, valid))
        if not self._shards:
            raise DataError(
                f"no window of the {name} scenes became a chip.",
                where=f"{name} chips",
                mend="Look at the areas, the labels, and nodata_limit, min_area_share and "
                "target_classes of the chips.",
            )
        first = self._shards[0].images
        for shard in self._shards[1:]:
            _check_like(first, shard.images, name)
        self.n_bands: int = first.shape[1]
        self.dtype = first.dtype
        self.size = size
        self._ends = np.cumsum([len(shard.images) for shard in self._shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, indices: NDArray[np.int64]) -> ChipBatch:
        """Copy chips out of the set, in the given order."""
        n_chips, size = len(indices), self.size
        images = np.empty((n_chips, self.n_bands, size, size), self.dtype)
        labels = np.empty((n_chips, size, size), np.uint8)
        valid = np.ones((n_chips, size, size), bool)
        shard_of = np.searchsorted(self._ends, indices, side="right")
        for place, (shard_index, index) in enumerate(zip(shard_of, indices, strict=True)):
            shard = self._shards[shard_index]
            row = int(index - self._ends[shard_index]) + len(shard.images)
            images[place] = shard.images[row]
            labels[place] = shard.labels[row]
            if len(shard.valid):
                valid[place] = shard.valid[row]
        return ChipBatch(images, labels, valid)


def _check_size(images: NDArray[np.generic], size: int, path: Path) -> None:
    if images.shape[2:] != (size, size):
        raise DataError(
            f"its chips have {images.shape[2]} x {images.shape[3]} px, the task says {size} px.",
            where=str(path),
            mend="Cut the chips again with this task; they are never resized.",
        )


def _check_like(first: NDArray[np.generic], other: NDArray[np.generic], name: str) -> None:
    if (first.shape[1], first.dtype) != (other.shape[1], other.dtype):
        raise DataError(
            f"scenes differ: {first.shape[1]} bands of {first.dtype} against {other.shape[1]} "
            f"bands of {other.dtype}.",
            where=f"{name} chips",
            mend="Select the same bands, or bring them to one type with a Cast transform.",
        )


def epoch_batches(n_chips: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Return the chips of each batch of an epoch, shuffled by seed and epoch alone.

    The last batch may be smaller; a single chip is joined to the batch before it, because batch
    normalisation cannot learn from one value.
    """
    order = np.random.default_rng([seed, epoch]).permutation(n_chips)
    batches = [order[start : start + batch_size] for start in range(0, n_chips, batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches
