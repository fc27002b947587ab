"""The nearest cluster centre of each pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled

NO_CLUSTER = -1
"""Cluster of a pixel that is not valid."""

_RUN = 256  # pixels of a row that are compared with one centre before the next: they stay in L1


@compiled
def nearest_centres(
    values: npt.NDArray[np.int32],
    valid: npt.NDArray[np.bool_],
    scale: npt.NDArray[np.float32],
    centres: npt.NDArray[np.float32],
) -> npt.NDArray[np.int16]:
    """Return the index of the nearest centre of each pixel.

    Parameters
    ----------
    values
        Array `(band, y, x)` of int32, see `swath.segmentation.scale`.
    valid
        Array `(y, x)` of bool.
    scale
        Array `(band,)` of float32: spectral units in one step of a band.
    centres
        Array `(cluster, band)` of float32, in spectral units.

    Returns
    -------
    numpy.ndarray
        Array `(y, x)` of int16; the lowest index on a tie, `NO_CLUSTER` where not valid.

    Notes
    -----
    Squared Euclidean distance, in float32, summed over bands in their order.
    """
    n_bands, height, width = values.shape
    clusters = np.empty((height, width), np.int16)
    at = np.empty((n_bands, _RUN), np.float32)
    distance = np.empty(_RUN, np.float32)
    best = np.empty(_RUN, np.float32)
    nearest = np.empty(_RUN, np.int16)
    for row in range(height):
        for begin in range(0, width, _RUN):
            n = min(_RUN, width - begin)
            for band in range(n_bands):
                factor = scale[band]
                for i in range(n):
                    at[band, i] = np.float32(values[band, row, begin + i]) * factor
            _compare(at, n, centres, distance, best, nearest)
            for i in range(n):
                clusters[row, begin + i] = nearest[i] if valid[row, begin + i] else NO_CLUSTER
    return clusters


@compiled
def nearest_of_points(
    points: npt.NDArray[np.float32], centres: npt.NDArray[np.float32]
) -> npt.NDArray[np.int16]:
    """Return the index of the nearest centre of each point, as `nearest_centres` does.

    Parameters
    ----------
    points
        Array `(band, point)` of float32.
    centres
        Array `(cluster, band)` of float32.
    """
    n_bands, n_points = points.shape
    clusters = np.empty(n_points, np.int16)
    at = np.empty((n_bands, _RUN), np.float32)
    distance = np.empty(_RUN, np.float32)
    best = np.empty(_RUN, np.float32)
    nearest = np.empty(_RUN, np.int16)
    for begin in range(0, n_points, _RUN):
        n = min(_RUN, n_points - begin)
        at[:, :n] = points[:, begin : begin + n]
        _compare(at, n, centres, distance, best, nearest)
        clusters[begin : begin + n] = nearest[:n]
    return clusters


@compiled
def _compare(
    at: npt.NDArray[np.float32],
    n: int,
    centres: npt.NDArray[np.float32],
    distance: npt.NDArray[np.float32],
    best: npt.NDArray[np.float32],
    nearest: npt.NDArray[np.int16],
) -> None:
    """Find the nearest centre of the first `n` pixels of a run `(band, pixel)`."""
    for i in range(n):
        best[i] = np.float32(np.inf)
        nearest[i] = 0
    for k in range(centres.shape[0]):
        centre = centres[k, 0]
        for i in range(n):
            difference = at[0, i] - centre
            distance[i] = difference * difference
        for band in range(1, centres.shape[1]):
            centre = centres[k, band]
            for i in range(n):
                difference = at[band, i] - centre
                distance[i] += difference * difference
        for i in range(n):
            is_nearer = distance[i] < best[i]
            best[i] = distance[i] if is_nearer else best[i]
            nearest[i] = k if is_nearer else nearest[i]
