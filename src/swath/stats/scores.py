"""Scores of a classification, as formulas over its confusion counts.

For `swath.stats.confusion`. Not for counting.

One idea: a score whose denominator is zero is undefined, and says so (None), instead of posing as 0
or 1. Averages are taken over the classes that occur.

References
----------
J. Cohen, "A coefficient of agreement for nominal scales", 1960 (kappa).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of one class against all others; None where undefined.

    Parameters
    ----------
    name
        The class.
    precision
        Share of the pixels predicted as the class that are of it; None if none was predicted.
    recall
        Share of the pixels of the class that were predicted as it (sensitivity); None without any.
    specificity
        Share of the pixels of other classes that were not predicted as the class.
    f1, iou
        `2 tp / (2 tp + fp + fn)` and `tp / (tp + fp + fn)`; None if the class occurs in neither.
    support, predicted
        Pixels of the class in the truth and in the prediction.
    """

    name: str
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    iou: float | None
    support: int
    predicted: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a classification.

    Parameters
    ----------
    classes
        Scores per class, in the order of class ids.
    overall_accuracy
        Share of the pixels that are right.
    kappa
        Agreement beyond what the class frequencies give by chance; None if they leave no room.
    macro_f1, mean_iou
        Mean over the classes that occur in truth or prediction.
    balanced_accuracy
        Mean recall over the classes that occur in the truth.
    weighted_f1
        Mean F1, weighted by support.
    n_pixels
        Pixels counted.
    """

    classes: tuple[ClassScores, ...]
    overall_accuracy: float
    kappa: float | None
    macro_f1: float
    balanced_accuracy: float
    mean_iou: float
    weighted_f1: float
    n_pixels: int

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged."""
        return {**asdict(self), "classes": [asdict(each) for each in self.classes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build the scores from what `to_json` returned."""
        classes = tuple(ClassScores(**each) for each in data["classes"])
        return cls(**{**data, "classes": classes})


def scores_from_counts(counts: npt.NDArray[np.int64], class_names: Sequence[str]) -> Scores:
    """Compute all scores.

    Parameters
    ----------
    counts
        Array of int64 `(truth, predicted)`, in pixels, not all zero.
    class_names
        One name per class id.
    """
    # Python's integers: products of two counts of billions of pixels do not fit int64.
    right = [int(n) for n in np.diagonal(counts)]
    support = [int(n) for n in counts.sum(axis=1)]
    predicted = [int(n) for n in counts.sum(axis=0)]
    total = sum(support)
    classes = tuple(
        _class_scores(*each, total)
        for each in zip(class_names, right, support, predicted, strict=True)
    )
    by_chance = sum(s * p for s, p in zip(support, predicted, strict=True))
    return Scores(
        classes=classes,
        overall_accuracy=sum(right) / total,
        kappa=_share(total * sum(right) - by_chance, total * total - by_chance),
        macro_f1=_mean([each.f1 for each in classes]),
        balanced_accuracy=_mean([each.recall for each in classes]),
        mean_iou=_mean([each.iou for each in classes]),
        weighted_f1=sum((each.f1 or 0.0) * each.support for each in classes) / total,
        n_pixels=total,
    )


def _class_scores(name: str, right: int, support: int, predicted: int, total: int) -> ClassScores:
    either = support + predicted - right
    return ClassScores(
        name=name,
        precision=_share(right, predicted),
        recall=_share(right, support),
        specificity=_share(total - either, total - support),
        f1=_share(2 * right, support + predicted),
        iou=_share(right, either),
        support=support,
        predicted=predicted,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: list[float | None]) -> float:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined)
