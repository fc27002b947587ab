"""Cluster centres of a sample, and how far apart they are.

For `swath.segmentation.fit`. One idea: one start with a fixed seed, and sums in the order of the
points, so that the same sample has the same centres however many threads there are.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.nearest import nearest_of_points

Floats = npt.NDArray[np.float64]

_MOST_COMPARED = 4096  # centres whose distances are all held: 67 MB
_MOST_ROUNDS = 100
_SEEDED = 20_000  # points among which first centres are chosen
_STILL = 1e-4  # centres that move less, in units of the variance, have arrived


def fit_centres(points: Floats, k: int, seed: int) -> Floats:
    """Return `k` centres of points: k-means after Lloyd, from one greedy k-means++ start.

    Parameters
    ----------
    points
        Array `(pixel, band)` of float64, of at least `k` pixels.
    k
        Number of centres.
    seed
        Seed of the start.

    Returns
    -------
    numpy.ndarray
        Array `(cluster, band)` of float64, sorted by the first band, then by the next ones. Points
        of fewer than `k` distinct values have these for centres, and so fewer than `k`.

    Notes
    -----
    Points are compared with centres in float32, by the kernel that does so with pixels.

    References
    ----------
    Arthur, Vassilvitskii (2007): k-means++: the advantages of careful seeding. SODA, section 2.2,
    and the greedy variant of its last section.
    """
    distinct = _few_distinct(points, k)
    if distinct is not None:
        return distinct
    columns = np.ascontiguousarray(points.T)
    middle = points.mean(axis=0)
    compared = (columns - middle[:, None]).astype(np.float32)  # it has the fewest digits far from 0
    few = columns[:, :: max(1, len(points) // max(_SEEDED, 20 * k))]
    centres = _spread(few, k, np.random.default_rng(seed))
    still = _STILL * float(columns.var(axis=1).mean())
    for _ in range(_MOST_ROUNDS):
        nearest = nearest_of_points(compared, (centres - middle).astype(np.float32))
        counts = np.bincount(nearest, minlength=k)
        sums = np.stack([np.bincount(nearest, column, k) for column in columns], axis=1)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        shift = float(np.square(moved - centres).sum())
        centres = moved
        if shift <= still:
            break
    fitted: Floats = np.unique(centres, axis=0)
    return fitted


def _spread(columns: Floats, k: int, random: np.random.Generator) -> Floats:
    """Choose first centres: each the best of a few points that are likely to lie far from others.

    Parameters
    ----------
    columns
        Array `(band, point)`.
    k
        Number of centres.
    random
        Chooses.
    """
    n_trials = 2 + int(math.log(k))
    chosen = [int(random.integers(columns.shape[1]))]
    distances = _distances(columns, chosen[0])
    while len(chosen) < k:
        summed = np.cumsum(distances)
        drawn = np.searchsorted(summed, random.random(n_trials) * summed[-1])
        trials = [
            (np.minimum(distances, _distances(columns, point)), point)
            for point in np.minimum(drawn, len(summed) - 1).tolist()
        ]
        distances, point = min(trials, key=lambda trial: (trial[0].sum(), trial[1]))
        chosen.append(point)
    return columns[:, chosen].T.copy()


def _distances(columns: Floats, point: int) -> Floats:
    """Return the squared distance of each point to one of them."""
    total = np.zeros(columns.shape[1])
    for column in columns:
        total += np.square(column - column[point])
    return total


def distance_percentile(centres: Floats, percentile: float) -> float:
    """Return a percentile of the distances between centres; 0 for a single one.

    Parameters
    ----------
    centres
        Array `(cluster, band)` of float64.
    percentile
        From 0 to 100; between two distances the line that joins them is taken.

    Notes
    -----
    Of more than 4096 centres, every second, third, ... one is compared.
    """
    compared = centres[:: -(-len(centres) // _MOST_COMPARED)]
    if len(compared) == 1:
        return 0.0
    distances = [
        np.sqrt(np.square(compared[i + 1 :] - compared[i]).sum(axis=1))
        for i in range(len(compared) - 1)
    ]
    return float(np.percentile(np.concatenate(distances), percentile))


def _few_distinct(points: Floats, k: int) -> Floats | None:
    """Return the distinct points, sorted, if they are at most `k`."""
    some = points[:: max(1, len(points) // (20 * k))]
    if len(np.unique(some, axis=0)) > k:
        return None
    distinct: Floats = np.unique(points, axis=0)
    return distinct if len(distinct) <= k else None
