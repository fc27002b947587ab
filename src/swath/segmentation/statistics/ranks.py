"""Kernels of order statistics: of segments that lie in one tile, and of counted values.

A quantile ``q`` of ``n`` values lies at the place ``q * (n - 1)`` among them, in order; found are
the keys at that place, rounded down and up. `swath.segmentation.statistics.recipe` interpolates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.statistics.keys import EXACT_PIXELS
from swath.segmentation.statistics.sorting import coarsen, combine_equal, select, sort_pairs

Keys = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]
Sizes = npt.NDArray[np.int64]


@compiled
def rank_tile(
    keys: Keys,
    valid: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int32],
    offsets: Sizes,
    is_open: npt.NDArray[np.bool_],
    quantiles: npt.NDArray[np.float64],
    wants_mode: bool,
    n_bits: int,
    buffer: Keys,
    ranked: Sizes,
) -> None:
    """Find the keys at quantiles, and the most frequent one, of the segments that are not open.

    Parameters
    ----------
    keys
        Array `(band, pixel)` of integers.
    valid, order, offsets
        See `swath.segmentation.statistics.sums.add_integers`.
    is_open
        Segments to pass over.
    quantiles
        Ascending, 0 to 1.
    wants_mode
        True to find the most frequent key, too; the least on a tie.
    n_bits
        Binary digits to round away in large segments.
    buffer
        Any content, as long as the largest segment; of the type of `key_dtype`.
    ranked
        Array `(segment, band, 2 * quantile + 1)` that is written: lower and upper key of each
        quantile, then the mode. 0 where there is no value.
    """
    ones = np.ones(buffer.size if wants_mode else 0, np.int64)
    for segment in range(offsets.size - 1):
        if is_open[segment]:
            continue
        for band in range(keys.shape[0]):
            known = valid[min(band, valid.shape[0] - 1)]
            n = _gather(keys[band], known, order, offsets[segment], offsets[segment + 1], buffer)
            if n == 0:
                continue
            if n_bits > 0 and n > EXACT_PIXELS:
                coarsen(buffer, 0, n, n_bits)
            into = ranked[segment, band]
            if wants_mode:
                ones[:n] = 1
                sort_pairs(buffer, ones, 0, n)
                _rank_sorted(buffer, n, quantiles, into)
                into[2 * quantiles.size] = _most_frequent(
                    buffer, ones, combine_equal(buffer, ones, 0, n)
                )
            else:
                _rank_any(buffer, n, quantiles, into)


@compiled
def _gather(
    keys: Keys,
    known: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int32],
    begin: int,
    end: int,
    buffer: Keys,
) -> int:
    """Copy the valid keys of one segment; return how many there are."""
    if known.size == 0:
        for i in range(end - begin):
            buffer[i] = keys[order[begin + i]]
        return end - begin
    n = 0
    for i in range(begin, end):
        pixel = order[i]
        if known[pixel]:
            buffer[n] = keys[pixel]
            n += 1
    return n


@compiled
def _rank_any(buffer: Keys, n: int, quantiles: npt.NDArray[np.float64], into: Sizes) -> None:
    begin = 0
    for i in range(quantiles.size):
        place = quantiles[i] * (n - 1)
        rank = int(place)
        into[2 * i] = select(buffer, begin, n, rank)
        begin = rank
        into[2 * i + 1] = into[2 * i] if place == rank else _least(buffer, rank + 1, n)


@compiled
def _least(keys: Keys, begin: int, end: int) -> int:
    least = keys[begin]
    for i in range(begin + 1, end):
        least = min(least, keys[i])
    return int(least)


@compiled
def _rank_sorted(buffer: Keys, n: int, quantiles: npt.NDArray[np.float64], into: Sizes) -> None:
    for i in range(quantiles.size):
        place = quantiles[i] * (n - 1)
        rank = int(place)
        into[2 * i] = buffer[rank]
        into[2 * i + 1] = buffer[rank + 1] if place > rank else buffer[rank]


@compiled
def _most_frequent(keys: Keys, counts: Counts, n: int) -> int:
    best = 0
    for i in range(1, n):
        if counts[i] > counts[best]:
            best = i
    return int(keys[best])


@compiled
def count_tile(
    keys: Keys,
    known: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int32],
    offsets: Sizes,
    is_open: npt.NDArray[np.bool_],
    n_bits: int,
    found: Keys,
    counts: Counts,
    ends: Sizes,
) -> None:
    """Count the values of one band in the open segments of a tile.

    Parameters
    ----------
    keys, known
        Arrays `(pixel,)`; `known` is empty if all are valid.
    order, offsets, is_open, n_bits
        See `rank_tile`.
    found, counts
        Arrays as long as all open segments together, that are written: keys, ascending in each
        segment, and how often they occur.
    ends
        Array `(segment,)` that is written: where the keys of each segment end.
    """
    end = 0
    for segment in range(offsets.size - 1):
        if is_open[segment]:
            begin = end
            n = _gather(keys, known, order, offsets[segment], offsets[segment + 1], found[begin:])
            if n_bits > 0 and n > EXACT_PIXELS:
                coarsen(found, begin, begin + n, n_bits)
            counts[begin : begin + n] = 1
            sort_pairs(found, counts, begin, begin + n)
            end = combine_equal(found, counts, begin, begin + n)
        ends[segment] = end


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
        See `rank_tile`.
    ranked
        Array `(segment, 2 * quantile + 1)` that is written.
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
            ranked[segment, 2 * quantiles.size] = _most_frequent(
                keys[begin:end], counts[begin:end], end - begin
            )
