"""Kernels that sort short lists of keys, or find what stands at a rank.

Partitions move every element the same way, without a branch that the processor could guess wrong:
lists are short, and most of their keys are equal or nearly so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled

_SHORT = 16

Keys = npt.NDArray[Any]
"""Integers of 32 or 64 bits."""
Counts = npt.NDArray[np.int64]


@compiled
def select(keys: Keys, begin: int, end: int, rank: int) -> int:
    """Return what would stand at `rank` if the keys in ``[begin, end)`` were sorted.

    They are moved so that those before `rank` are not larger, and those after it not smaller.
    """
    while end - begin > _SHORT:
        pivot = _middle(keys[begin], keys[(begin + end) // 2], keys[end - 1])
        below = begin
        for i in range(begin, end):
            key = keys[i]
            keys[i] = keys[below]
            keys[below] = key
            below += key < pivot
        if rank < below:
            end = below
            continue
        if below > begin:
            begin = below
            continue
        equal = begin  # the pivot is the least
        for i in range(begin, end):
            key = keys[i]
            keys[i] = keys[equal]
            keys[equal] = key
            equal += key == pivot
        if rank < equal:
            return int(pivot)
        begin = equal
    for i in range(begin + 1, end):
        key = keys[i]
        j = i
        while j > begin and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key
    return int(keys[rank])


@compiled
def sort_keys(keys: Keys, begin: int, end: int) -> None:
    """Sort the keys in ``[begin, end)``."""
    waiting = np.empty((64, 2), np.int64)
    n = 0
    while True:
        while end - begin > _SHORT:
            pivot = _middle(keys[begin], keys[(begin + end) // 2], keys[end - 1])
            below = begin
            for i in range(begin, end):
                key = keys[i]
                keys[i] = keys[below]
                keys[below] = key
                below += key < pivot
            equal = below
            for i in range(below, end):
                key = keys[i]
                keys[i] = keys[equal]
                keys[equal] = key
                equal += key == pivot
            if below - begin > end - equal:  # the longer side waits: few lists wait at a time
                waiting[n, 0], waiting[n, 1] = begin, below
                begin = equal
            else:
                waiting[n, 0], waiting[n, 1] = equal, end
                end = below
            n += 1
        for i in range(begin + 1, end):
            key = keys[i]
            j = i
            while j > begin and keys[j - 1] > key:
                keys[j] = keys[j - 1]
                j -= 1
            keys[j] = key
        if n == 0:
            return
        n -= 1
        begin, end = waiting[n, 0], waiting[n, 1]


@compiled
def count_sorted(keys: Keys, counts: Counts, begin: int, end: int) -> int:
    """Keep each of the sorted keys in ``[begin, end)`` once, and count it; return the new end."""
    last = begin - 1
    for i in range(begin, end):
        if i > begin and keys[i] == keys[last]:
            counts[last] += 1
        else:
            last += 1
            keys[last], counts[last] = keys[i], 1
    return last + 1


@compiled
def sort_pairs(keys: Keys, counts: Counts, begin: int, end: int) -> None:
    """Sort the keys in ``[begin, end)``, and their counts with them."""
    waiting = np.empty((64, 2), np.int64)
    n = 0
    while True:
        while end - begin > _SHORT:
            pivot = _middle(keys[begin], keys[(begin + end) // 2], keys[end - 1])
            below = begin
            for i in range(begin, end):
                key, count = keys[i], counts[i]
                keys[i], counts[i] = keys[below], counts[below]
                keys[below], counts[below] = key, count
                below += key < pivot
            equal = below
            for i in range(below, end):
                key, count = keys[i], counts[i]
                keys[i], counts[i] = keys[equal], counts[equal]
                keys[equal], counts[equal] = key, count
                equal += key == pivot
            if below - begin > end - equal:  # the longer side waits: few lists wait at a time
                waiting[n, 0], waiting[n, 1] = begin, below
                begin = equal
            else:
                waiting[n, 0], waiting[n, 1] = equal, end
                end = below
            n += 1
        for i in range(begin + 1, end):
            key, count = keys[i], counts[i]
            j = i
            while j > begin and keys[j - 1] > key:
                keys[j], counts[j] = keys[j - 1], counts[j - 1]
                j -= 1
            keys[j], counts[j] = key, count
        if n == 0:
            return
        n -= 1
        begin, end = waiting[n, 0], waiting[n, 1]


@compiled
def _middle(one: int, two: int, three: int) -> int:
    return max(min(one, two), min(max(one, two), three))


@compiled
def combine_equal(keys: Keys, counts: Counts, begin: int, end: int) -> int:
    """Put equal neighbours among sorted pairs together; return where the pairs now end."""
    if begin == end:
        return end
    last = begin
    for i in range(begin + 1, end):
        if keys[i] == keys[last]:
            counts[last] += counts[i]
        else:
            last += 1
            keys[last], counts[last] = keys[i], counts[i]
    return last + 1


@compiled
def coarsen(keys: Keys, begin: int, end: int, n_bits: int) -> None:
    """Round the keys in ``[begin, end)`` to a multiple of ``2**n_bits``, halves away from 0."""
    half = np.int64(1) << (n_bits - 1)
    for i in range(begin, end):
        key = np.int64(keys[i])
        size = (abs(key) + half) >> n_bits << n_bits
        keys[i] = size if key >= 0 else -size
