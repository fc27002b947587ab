"""The kernel that measures the segments of a tile: moments, quantiles, modes.

A quantile ``q`` of ``n`` values lies at the place ``q * (n - 1)`` among them, in order; found are
the keys at that place, rounded down and up. `swath.segmentation.statistics.recipe` interpolates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.statistics.keys import EXACT_PIXELS
from swath.segmentation.statistics.sorting import coarsen, count_sorted, select, sort_keys
from swath.segmentation.statistics.sums import add_integers

Keys = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]
Sizes = npt.NDArray[np.int64]

_N_BINS = 64


class Wanted(NamedTuple):
    """What is wanted of the bands of one image.

    Attributes
    ----------
    quantiles
        Ascending, 0 to 1.
    wants_mode
        True to find the most frequent key, too; the least on a tie.
    n_bits
        Binary digits of a key to round away in large segments.
    takes_moments
        True to write moments: of integers.
    shift
        What to add to a key to get the value of an integer.
    """

    quantiles: npt.NDArray[np.float64]
    wants_mode: bool
    n_bits: int
    takes_moments: bool
    shift: int


@compiled
def measure_tile(
    keys: Keys,
    valid: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int32],
    offsets: Sizes,
    is_open: npt.NDArray[np.bool_],
    wanted: Wanted,
    buffer: Keys,
    moments: Sizes,
    ranked: Sizes,
) -> None:
    """Write the moments of segments, and the keys at quantiles of those that are not open.

    Parameters
    ----------
    keys
        Array `(band, pixel)` of integers, see `swath.segmentation.statistics.keys`.
    valid
        Array `(1 or band, pixel)` of bool; `(1, 0)` if all are valid.
    order, offsets
        Pixels of each segment, see `order_pixels`.
    is_open
        Segments whose values are not ranked here.
    wanted
        What to write.
    buffer
        Any content, as long as the largest segment; of the type of `key_dtype`.
    moments
        Array `(segment, band, 13)`, zeros, see `swath.segmentation.statistics.sums`.
    ranked
        Array `(segment, band, 2 * quantile + 1)`, zeros: lower and upper key of each quantile, then
        the mode. They stay 0 where there is no value.
    """
    n_quantiles = wanted.quantiles.size
    spare, tally = np.empty_like(buffer), np.empty(_N_BINS, np.int64)
    counts = np.empty(buffer.size if wanted.wants_mode else 0, np.int64)
    for segment in range(offsets.size - 1):
        for band in range(keys.shape[0]):
            known = valid[min(band, valid.shape[0] - 1)]
            n = gather(keys[band], known, order, offsets[segment], offsets[segment + 1], buffer)
            if n == 0:
                continue
            if wanted.takes_moments:
                add_integers(buffer, n, wanted.shift, moments[segment, band])
            if is_open[segment] or (n_quantiles == 0 and not wanted.wants_mode):
                continue
            if wanted.n_bits > 0 and n > EXACT_PIXELS:
                coarsen(buffer, 0, n, wanted.n_bits)
            into = ranked[segment, band]
            if wanted.wants_mode:
                sort_keys(buffer, 0, n)
                _rank_sorted(buffer, n, wanted.quantiles, into)
                into[2 * n_quantiles] = most_frequent(
                    buffer, counts, count_sorted(buffer, counts, 0, n)
                )
            else:
                for i in range(n_quantiles):
                    place = wanted.quantiles[i] * (n - 1)
                    into[2 * i], into[2 * i + 1] = _keys_at(buffer, n, place, spare, tally)


@compiled
def gather(
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
def _keys_at(keys: Keys, n: int, place: float, spare: Keys, tally: Sizes) -> tuple[int, int]:
    """Return the keys at a place, rounded down and up.

    The keys are counted in a few bins between the least and the largest, and only those of the bin
    that the place is in are put in order, in `spare`.
    """
    rank = int(place)
    least, largest = keys[0], keys[0]
    for i in range(1, n):
        least, largest = min(least, keys[i]), max(largest, keys[i])
    low, high = int(least), int(largest)
    n_bits = 2 if keys.itemsize == 8 else 0  # so that a difference of two fits into 64 bits
    while (high >> n_bits) - (low >> n_bits) >= _N_BINS:
        n_bits += 1
    first = low >> n_bits
    tally[:] = 0
    for i in range(n):
        tally[(keys[i] >> n_bits) - first] += 1
    before, at = 0, 0
    while before + tally[at] <= rank:
        before += tally[at]
        at += 1
    inside = 0
    for i in range(n):
        spare[inside] = keys[i]
        inside += (keys[i] >> n_bits) - first == at
    lower = select(spare, 0, inside, rank - before)
    if place == rank:
        return lower, lower
    if rank + 1 < before + inside:
        return lower, _least(spare, rank - before + 1, inside)
    for i in range(n):
        if (keys[i] >> n_bits) - first > at:
            high = min(high, int(keys[i]))
    return lower, high


@compiled
def _least(keys: Keys, begin: int, end: int) -> int:
    least = keys[begin]
    for i in range(begin + 1, end):
        least = min(least, keys[i])
    return int(least)


@compiled
def _rank_sorted(keys: Keys, n: int, quantiles: npt.NDArray[np.float64], into: Sizes) -> None:
    for i in range(quantiles.size):
        place = quantiles[i] * (n - 1)
        rank = int(place)
        into[2 * i] = keys[rank]
        into[2 * i + 1] = keys[rank + 1] if place > rank else keys[rank]


@compiled
def most_frequent(keys: Keys, counts: Counts, n: int) -> int:
    """Return which of `n` keys occurs most often, the first on a tie."""
    best = 0
    for i in range(1, n):
        if counts[i] > counts[best]:
            best = i
    return int(keys[best])
