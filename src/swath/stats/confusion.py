"""Confusion counts of two label images, and the scores that follow from them.

For `evaluate` and for validation while training. Not for objects (matched by overlap) nor for
area-adjusted accuracy.

One idea: only counts are collected, so blocks, scenes and splits merge exactly; every score is a
formula over the final counts. Pixels to ignore are never counted, not even as correct background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from swath.errors import DataError
from swath.stats.scores import Scores, scores_from_counts

IGNORE = 255  # in truth or prediction: nodata, outside the area, or a class that is not scored
N_PACKED = 15  # classes up to which the ranks of truth and prediction fit into one byte
BLOCK_PIXELS = 1 << 18  # counted at a time: codes and their int64 copy stay in a core's cache


class ConfusionCounts:
    """How often each class was predicted where each class is true.

    Parameters
    ----------
    n_classes
        Number of classes, at most 255; class ids are 0 to `n_classes - 1`.

    Attributes
    ----------
    counts : array of int64, shape (truth, predicted)
        Number of pixels.

    Examples
    --------
    >>> counts = ConfusionCounts(2)
    >>> counts.add(np.array([0, 1, 255], np.uint8), np.array([0, 0, 1], np.uint8))
    >>> counts.counts.tolist()
    [[1, 0], [1, 0]]
    """

    def __init__(self, n_classes: int) -> None:
        if not 1 <= n_classes <= IGNORE:
            raise ValueError(f"n_classes is {n_classes}; it must be 1 to {IGNORE}")
        self.counts: npt.NDArray[np.int64] = np.zeros((n_classes, n_classes), np.int64)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.counts)

    def add(self, truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> None:
        """Count pixels.

        Parameters
        ----------
        truth, predicted
            Class ids, integers, of one shape; pixels where either is `IGNORE` are left out.

        Raises
        ------
        DataError
            If a class id is neither a class nor `IGNORE`.

        Notes
        -----
        Both ids of a pixel are fused into one code, counted block by block, so that no temporary
        array is as large as the image. Up to 15 classes a code takes one byte, and two neighbouring
        pixels are counted at once as one uint16, which halves the work.
        """
        if truth.shape != predicted.shape:
            raise ValueError(f"truth {truth.shape} and predicted {predicted.shape} differ in shape")
        truth, predicted = (_as_uint8(ids).reshape(-1) for ids in (truth, predicted))
        packed = self.n_classes <= N_PACKED
        table = np.zeros(1 << 16, np.int64)
        for start in range(0, truth.size, BLOCK_PIXELS):
            part = slice(start, start + BLOCK_PIXELS)
            rows, columns = (
                self._ranks("truth", truth[part]),
                self._ranks("prediction", predicted[part]),
            )
            table += np.bincount(_fused(rows, columns, packed=packed), minlength=table.size)
        pairs = table.reshape(256, 256)
        if packed:  # each code was the low or the high byte of a pair
            pairs = (pairs.sum(axis=0) + pairs.sum(axis=1)).reshape(16, 16)
        self.counts += pairs[1 : self.n_classes + 1, 1 : self.n_classes + 1]

    def merge(self, other: ConfusionCounts) -> None:
        """Count everything that `other` has counted."""
        if other.n_classes != self.n_classes:
            raise ValueError(f"{self.n_classes} classes do not merge with {other.n_classes}")
        self.counts += other.counts

    def scores(self, class_names: Sequence[str]) -> Scores:
        """Return the scores of all that was counted.

        Raises
        ------
        DataError
            If nothing was counted: scores of nothing would look like success.
        """
        if len(class_names) != self.n_classes:
            raise ValueError(f"{len(class_names)} names for {self.n_classes} classes")
        if not self.counts.any():
            raise DataError(
                "No pixel could be scored: nowhere are truth and prediction both present.",
                mend="Check the labels, the area of interest and nodata: swath check CONFIG.",
            )
        return scores_from_counts(self.counts, class_names)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged."""
        return {"counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build the counts from what `to_json` returned."""
        result = cls(len(data["counts"]))
        result.counts += np.asarray(data["counts"], np.int64)
        return result

    def _ranks(self, name: str, ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return ids plus one, so that `IGNORE` wraps around to 0, the rank that is not counted."""
        ranks = ids + np.uint8(1)
        highest = int(ranks.max())
        if highest > self.n_classes:
            raise DataError(
                f"The {name} holds class id {highest - 1}, but there are {self.n_classes} classes "
                f"(0 to {self.n_classes - 1}).",
                mend="Add the class, or map the id to a class or to the null class.",
            )
        return ranks


def _fused(
    rows: npt.NDArray[np.uint8], columns: npt.NDArray[np.uint8], *, packed: bool
) -> npt.NDArray[np.uint16]:
    """Return one uint16 code per pixel, or, packed, per two pixels (a rank takes 4 bits)."""
    if not packed:
        return (rows.astype(np.uint16) << np.uint16(8)) | columns
    if rows.size % 2:  # a pixel too many is ignored: rank 0
        rows, columns = np.append(rows, np.uint8(0)), np.append(columns, np.uint8(0))
    # Ranks take 4 bits, so that shifting two at once carries nothing from one into the other.
    return (rows.view(np.uint16) << np.uint16(4)) | columns.view(np.uint16)


def _as_uint8(ids: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if ids.dtype == np.uint8:
        return ids
    if ids.dtype.kind not in "iub":
        raise TypeError(f"class ids are integers, not {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() > IGNORE):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise DataError(
            f"Class id {wrong} is not in 0 to {IGNORE}.",
            mend="Map the ids of the file to those of the classes.",
        )
    return ids.astype(np.uint8)
