"""How well segments fit an image, without any truth: alike inside, unlike their neighbours.

For comparing segmentations of one image with each other. Not an accuracy.

One idea: two numbers pull in opposite directions. The variance within segments falls when segments
become smaller; the likeness of neighbours, Moran's I of the segments' means, falls when segments
that belong together are one. The best compromise among some candidates has a low sum of both, each
scaled to 0 to 1 over these candidates [1]_ [2]_. Among other candidates the order of two may be
another, since the scales are [3]_: extreme ones that nobody wants are better left out.

References
----------
.. [1] G. M. Espindola, G. Camara, I. A. Reis, L. S. Bins, A. M. Monteiro, "Parameter selection for
   region-growing image segmentation algorithms using spatial autocorrelation", International
   Journal of Remote Sensing 27(14), 2006, 3035-3040: both numbers.
.. [2] B. Johnson, Z. Xie, "Unsupervised image segmentation evaluation and refinement using a
   multi-scale approach", ISPRS Journal of Photogrammetry and Remote Sensing 66(4), 2011, 473-483:
   means over bands, and the sum of both, each scaled from its least to its largest value.
.. [3] S. Böck, M. Immitzer, C. Atzberger, "On the objectivity of the objective function: problems
   with unsupervised segmentation evaluation based on global score and a possible remedy", Remote
   Sensing 9(8), 2017, 769.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Goodness:
    """What one segmentation of some windows is like.

    Parameters
    ----------
    n_segments
        Segments in all windows.
    n_pixels
        Pixels in segments.
    variance
        ``v = sum(a_i * v_i) / sum(a_i)`` with the area ``a_i`` and the variance ``v_i`` of segment
        ``i``, of each band, divided by the variance of all pixels; mean of the bands. 0 to 1.
    moran
        ``I = n * sum(w_ij * z_i * z_j) / (sum(w_ij) * sum(z_i ** 2))``, with the mean of segment
        ``i`` less the mean of all segments' means, ``z_i``, and ``w_ij``, which is 1 if segments
        ``i`` and ``j`` share a side of a pixel, else 0; mean of the bands. About -1 to 1; 0 where
        it is not defined: no neighbours, or all means are equal.
    """

    n_segments: int
    n_pixels: int
    variance: float
    moran: float


def goodness(
    windows: Sequence[tuple[npt.NDArray[Any], npt.NDArray[np.integer[Any]]]],
) -> Goodness:
    """Return what the segments of some windows are like.

    Parameters
    ----------
    windows
        Values `(band, y, x)` and labels `(y, x)` of each window, 1 to N in each; 0 is no segment.
        Segments of different windows are different ones, and no neighbours.

    Raises
    ------
    ValueError
        If no pixel is in a segment.

    Notes
    -----
    Bands are divided by their own variance so that bands of different units count alike; with one
    band, this changes no comparison.
    """
    counts: list[npt.NDArray[np.int64]] = []
    sums: list[Floats] = []
    pairs: list[npt.NDArray[np.int64]] = []
    squares, totals, n_segments = 0.0, 0.0, 0
    for values, labels in windows:
        inside = labels > 0
        index = labels[inside].astype(np.int64) - 1
        pixels = values[:, inside].astype(np.float64)
        n = int(index.max()) + 1 if index.size else 0
        counts.append(np.bincount(index, minlength=n))
        sums.append(np.array([np.bincount(index, band, minlength=n) for band in pixels]))
        squares = squares + (pixels * pixels).sum(axis=1)
        totals = totals + pixels.sum(axis=1)
        pairs.append(neighbours(labels) + n_segments)
        n_segments += n
    count = np.concatenate(counts)
    if count.sum() == 0:
        raise ValueError("no pixel is in a segment")
    is_used = count > 0
    sizes = np.maximum(count, 1)
    band_sums = np.concatenate(sums, axis=1)
    means = band_sums / sizes
    n_pixels = int(count.sum())
    spread = squares - totals * totals / n_pixels
    within = squares - (band_sums * means).sum(axis=1)
    share = np.divide(within, spread, out=np.zeros_like(spread), where=spread > 0)
    return Goodness(
        n_segments=int(is_used.sum()),
        n_pixels=n_pixels,
        variance=float(np.clip(share, 0.0, 1.0).mean()),
        moran=float(np.mean([_moran(band, is_used, np.concatenate(pairs)) for band in means])),
    )


def scores(found: Sequence[Goodness]) -> list[float]:
    """Return ``V + I`` of each candidate: both scaled from 0, the least, to 1, the largest of them.

    0 would be the best in both, 2 the worst. A number that all candidates share counts 0.
    """
    variances = _scaled(np.array([each.variance for each in found]))
    morans = _scaled(np.array([each.moran for each in found]))
    return [float(score) for score in variances + morans]


def neighbours(labels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """Return pairs of segments that share a side of a pixel, each pair once.

    Parameters
    ----------
    labels
        Array `(y, x)`, 1 to N; 0 is no segment.

    Returns
    -------
    numpy.ndarray
        Array `(pair, 2)` of int64: labels less 1, the lower one first.

    Examples
    --------
    >>> neighbours(np.array([[1, 2], [1, 3], [0, 3]])).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    found = []
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differ = (one != other) & (one > 0) & (other > 0)
        ends = np.stack((one[differ], other[differ]), axis=1).astype(np.int64) - 1
        found.append(np.sort(ends, axis=1))
    both = np.concatenate(found)
    packed = np.unique(both[:, 0] << 32 | both[:, 1])
    return np.stack((packed >> 32, packed & 0xFFFFFFFF), axis=1)


def _moran(means: Floats, is_used: npt.NDArray[np.bool_], pairs: npt.NDArray[np.int64]) -> float:
    deviations = means - means[is_used].mean()
    squares = float((deviations[is_used] ** 2).sum())
    if squares == 0 or len(pairs) == 0:
        return 0.0
    products = float((deviations[pairs[:, 0]] * deviations[pairs[:, 1]]).sum())
    return int(is_used.sum()) * products / (len(pairs) * squares)


def _scaled(values: Floats) -> Floats:
    low, high = float(values.min()), float(values.max())
    scaled: Floats = (values - low) / (high - low if high > low else 1.0)
    return scaled
