"""Cluster centres of a sample, and how far apart they are.

For `swath.segmentation.clusters`. One idea: one thread, one start, a fixed seed, so that the same
sample has the same centres however many threads there are.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from swath.optional import require

Floats = npt.NDArray[np.float64]

_MOST_COMPARED = 4096  # centres whose distances are all held: 67 MB


def fit_centres(points: Floats, k: int, seed: int) -> Floats:
    """Return `k` centres of points: k-means after Lloyd, from one k-means++ start.

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

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    distinct = _few_distinct(points, k)
    if distinct is not None:
        return distinct
    library = require("sklearn.cluster", extra="segment", purpose="to fit cluster centres")
    exceptions = require("sklearn.exceptions", extra="segment", purpose="to fit cluster centres")
    pools = require("threadpoolctl", extra="segment", purpose="to fit cluster centres")
    start = np.random.RandomState(np.random.MT19937(seed))
    with pools.threadpool_limits(limits=1), warnings.catch_warnings():
        # Points closer than rounding may leave clusters empty: their centres are dropped below.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model = library.KMeans(k, n_init=1, random_state=start, copy_x=True).fit(points)
    centres: Floats = np.unique(model.cluster_centers_, axis=0)
    return centres


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
