"""Shepherd's algorithm as the definition on the whole image states it: slow, and plain to see.

A second implementation that shares nothing with `swath.segmentation`, for tests that compare the
two. It works on pixels: no graph of segments, no tiles, no union-find; before each pass everything
is counted anew from the label of every pixel. A 300 x 300 image takes seconds.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

ABSORB_PASSES = 16
ELIMINATE_PASSES = 10

Values = npt.NDArray[np.int32]
Valid = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]
Pixel = tuple[int, int]

FOUR = ((-1, 0), (0, -1), (0, 1), (1, 0))
EIGHT = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
# In raster order, both: the first of several equals is the first pixel in raster order.


def segment(
    values: Values,
    valid: Valid,
    centres: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float64],
    *,
    min_size: int,
    max_distance: float | None,
    connectivity: int,
) -> npt.NDArray[np.uint32]:
    """Return the segment of each pixel: 1..N in raster order of the first pixel, 0 if not valid.

    Parameters
    ----------
    values
        Array `(band, y, x)` of int32, in steps.
    valid
        Array `(y, x)` of bool.
    centres
        Array `(cluster, band)` of float32, in spectral units.
    scale
        Array `(band,)` of float64: spectral units in one step of a band.
    min_size
        Segments of fewer pixels are merged away (the M of the paper).
    max_distance
        Largest spectral distance of a merge; None: no limit.
    connectivity
        4 or 8.
    """
    clusters = nearest(values, valid, centres, scale)
    labels = clump(clusters, connectivity)
    absorb(labels, values, scale, connectivity)
    eliminate(labels, values, scale, min_size, max_distance, connectivity)
    return number(labels)


def nearest(
    values: Values,
    valid: Valid,
    centres: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """Step 1: index of the nearest centre, the lowest on a tie; -1 where not valid."""
    scale32 = scale.astype(np.float32)
    best = np.full(valid.shape, np.inf, np.float32)
    clusters = np.where(valid, 0, -1)
    for cluster, centre in enumerate(centres.astype(np.float32)):
        distance = np.zeros(valid.shape, np.float32)
        for band in range(len(values)):
            difference = values[band].astype(np.float32) * scale32[band] - centre[band]
            distance += difference * difference
        nearer = valid & (distance < best)
        best[nearer] = distance[nearer]
        clusters[nearer] = cluster
    return clusters


def clump(clusters: npt.NDArray[np.integer], connectivity: int) -> Labels:
    """Step 2: a label from 1 for each connected component of one cluster; 0 where not valid."""
    labels = np.zeros(clusters.shape, np.int64)
    n_labels = 0
    for seed in np.ndindex(clusters.shape):
        if clusters[seed] < 0 or labels[seed]:
            continue
        n_labels += 1
        labels[seed] = n_labels
        queue = deque([seed])
        while queue:
            pixel = queue.popleft()
            for other in _neighbours(pixel, clusters.shape, connectivity):
                if clusters[other] == clusters[pixel] and not labels[other]:
                    labels[other] = n_labels
                    queue.append(other)
    return labels


def absorb(
    labels: Labels, values: Values, scale: npt.NDArray[np.float64], connectivity: int
) -> None:
    """Step 3, in place: pixels that are alone join the nearest neighbour that is not."""
    for _ in range(ABSORB_PASSES):
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        decisions: list[tuple[Pixel, int]] = []
        for row, col in np.argwhere(sizes[labels] == 1).tolist():
            chosen = _nearest_pixel((row, col), labels, sizes, values, scale, connectivity)
            if chosen is not None:
                decisions.append(((row, col), int(labels[chosen])))
        for pixel, label in decisions:
            labels[pixel] = label
        if not decisions:
            return


def _nearest_pixel(
    pixel: Pixel,
    labels: Labels,
    sizes: npt.NDArray[np.int64],
    values: Values,
    scale: npt.NDArray[np.float64],
    connectivity: int,
) -> Pixel | None:
    least = np.inf
    chosen = None
    for other in _neighbours(pixel, labels.shape, connectivity):
        if labels[other] == 0 or sizes[labels[other]] == 1:
            continue
        distance = 0.0
        for band in range(len(values)):
            steps = int(values[band][other]) - int(values[band][pixel])
            difference = float(steps) * float(scale[band])
            distance += difference * difference
        if distance < least:
            least = distance
            chosen = other
    return chosen


def eliminate(
    labels: Labels,
    values: Values,
    scale: npt.NDArray[np.float64],
    min_size: int,
    max_distance: float | None,
    connectivity: int,
) -> None:
    """Step 4, in place: segments of each size in turn join the nearest larger neighbour."""
    limit = np.inf if max_distance is None else max_distance * max_distance
    for size in range(1, min_size):
        for _ in range(ELIMINATE_PASSES):
            decisions = _decide(labels, values, scale, size, limit, connectivity)
            if not decisions:
                break
            into = np.arange(labels.max() + 1)
            for label, target in decisions.items():
                into[label] = target
            labels[:] = into[labels]


def _decide(
    labels: Labels,
    values: Values,
    scale: npt.NDArray[np.float64],
    size: int,
    limit: float,
    connectivity: int,
) -> dict[int, int]:
    """Return which segment of one size joins which, from the state before the pass."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # not valid: no segment, and nobody's neighbour
    if not (sizes == size).any():
        return {}
    pixels = np.arange(labels.size)
    first = np.full(sizes.shape, labels.size)
    np.minimum.at(first, labels.ravel(), pixels)
    sums = np.zeros((len(values), len(sizes)), np.int64)
    for band in range(len(values)):
        np.add.at(sums[band], labels.ravel(), values[band].ravel().astype(np.int64))
    decisions = {}
    for label, others in _larger_neighbours(labels, sizes, size, connectivity).items():
        ranked = []
        for other in others:
            distance = np.float64(0.0)
            for band in range(len(values)):
                mean = np.float64(sums[band, other]) / np.float64(sizes[other])
                own = np.float64(sums[band, label]) / np.float64(size)
                difference = scale[band] * (mean - own)
                distance += difference * difference
            ranked.append((float(distance), int(first[other]), other))
        distance, _, chosen = min(ranked)
        if distance <= limit:
            decisions[label] = chosen
    return decisions


def _larger_neighbours(
    labels: Labels, sizes: npt.NDArray[np.int64], size: int, connectivity: int
) -> dict[int, set[int]]:
    """Return, for each segment of one size, the neighbour segments that are larger."""
    found: dict[int, set[int]] = {}
    for row, col in np.argwhere(sizes[labels] == size).tolist():
        for other in _neighbours((row, col), labels.shape, connectivity):
            if sizes[labels[other]] > size:
                found.setdefault(int(labels[row, col]), set()).add(int(labels[other]))
    return found


def number(labels: Labels) -> npt.NDArray[np.uint32]:
    """Step 5: number segments from 1 in the order in which raster order meets them."""
    numbers = {0: 0}
    for label in labels.ravel().tolist():
        numbers.setdefault(label, len(numbers))
    flat = [numbers[label] for label in labels.ravel().tolist()]
    return np.array(flat, np.uint32).reshape(labels.shape)


def _neighbours(pixel: Pixel, shape: tuple[int, ...], connectivity: int) -> list[Pixel]:
    row, col = pixel
    steps = FOUR if connectivity == 4 else EIGHT
    return [
        (row + down, col + right)
        for down, right in steps
        if 0 <= row + down < shape[0] and 0 <= col + right < shape[1]
    ]
