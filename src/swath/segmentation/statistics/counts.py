"""Kernels of counted values: how often each occurs in segments of which tiles know a part."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.statistics.keys import EXACT_PIXELS
from swath.segmentation.statistics.measure import gather, most_frequent
from swath.segmentation.statistics.sorting import (
    coarsen,
    combine_equal,
    count_sorted,
    sort_keys,
    sort_pairs,
)

Keys = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]
Sizes = npt.NDArray[np.int64]


@compiled
def count_tile(
    keys: Keys,
    known: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int32],
    offsets: Sizes,
    segments: Sizes,
    n_bits: int,
    found: Keys,
    counts: Counts,
) -> Sizes:
    """Count the values of one band in some segments of a tile.

    Parameters
    ----------
    keys, known
        Arrays `(pixel,)`; `known` is empty if all are valid.
    order, offsets
        Pixels of each segment, see `order_pixels`.
    segments
        Numbers of the segments, in the order that is wanted.
    n_bits
        Binary digits to round away in large segments.
    found, counts
        Arrays as long as these segments together, that are written: keys, ascending in each
        segment, and how often they occur.

    Returns
    -------
    numpy.ndarray
        Number of keys of each segment.
    """
    lengths = np.zeros(segments.size, np.int64)
    begin = 0
    for i in range(segments.size):
        segment = segments[i]
        n = gather(keys, known, order, offsets[segment], offsets[segment + 1], found[begin:])
        if n_bits > 0 and n > EXACT_PIXELS:
            coarsen(found, begin, begin + n, n_bits)
        sort_keys(found, begin, begin + n)
        end = count_sorted(found, counts, begin, begin + n)
        lengths[i] = end - begin
        begin = end
    return lengths


@compiled
def group_counts(
    groups: npt.NDArray[np.int32], keys: Keys, counts: Counts, n: int
) -> tuple[Sizes, Keys, Counts]:
    """Bring counts of values together by segment, ascending, each value once.

    Parameters
    ----------
    groups
        Number of the segment of each count.
    keys, counts
        What was counted, and how often it occurs.
    n
        Number of segments.

    Returns
    -------
    offsets
        Array `(n + 1,)`: where the counts of each segment begin and end.
    keys, counts
        Arrays in that order.
    """
    offsets = np.zeros(n + 1, np.int64)
    for i in range(groups.size):
        offsets[groups[i] + 1] += 1
    for group in range(n):
        offsets[group + 1] += offsets[group]
    at = offsets[:n].copy()
    grouped, times = np.empty(keys.size, keys.dtype), np.empty(keys.size, np.int64)
    for i in range(groups.size):
        place = at[groups[i]]
        grouped[place], times[place] = keys[i], counts[i]
        at[groups[i]] += 1
    end = 0
    for group in range(n):
        begin, until = offsets[group], offsets[group + 1]
        sort_pairs(grouped, times, begin, until)
        until = combine_equal(grouped, times, begin, until)
        offsets[group] = end
        for i in range(begin, until):
            grouped[end], times[end] = grouped[i], times[i]
            end += 1
    offsets[n] = end
    return offsets, grouped[:end].copy(), times[:end].copy()


@compiled
def rank_counts(
    offsets: Sizes,
    keys: Keys,
    counts: Counts,
    quantiles: npt.NDArray[np.float64],
    wants_mode: bool,
    n_bits: int,
    ranked: Sizes,
) -> None:
    """Find the keys at quantiles, and the most frequent one, of counted values of one band.

    Parameters
    ----------
    offsets, keys, counts
        See `group_counts`; the keys of large segments are rounded in place.
    quantiles, wants_mode, n_bits
        See `swath.segmentation.statistics.measure.Wanted`.
    ranked
        Array `(segment, 2 * quantile + 1)`, zeros, that is written.
    """
    for segment in range(offsets.size - 1):
        begin, end = offsets[segment], offsets[segment + 1]
        if begin == end:
            continue
        n = 0
        for i in range(begin, end):
            n += counts[i]
        if n_bits > 0 and n > EXACT_PIXELS:
            coarsen(keys, begin, end, n_bits)
            end = combine_equal(keys, counts, begin, end)
        at, passed = begin, counts[begin]
        for i in range(quantiles.size):
            place = quantiles[i] * (n - 1)
            rank = int(place)
            while passed <= rank:
                at += 1
                passed += counts[at]
            ranked[segment, 2 * i] = keys[at]
            is_next = place > rank and passed == rank + 1
            ranked[segment, 2 * i + 1] = keys[at + 1] if is_next else keys[at]
        if wants_mode:
            ranked[segment, 2 * quantiles.size] = most_frequent(
                keys[begin:end], counts[begin:end], end - begin
            )
