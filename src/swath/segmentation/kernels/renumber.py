"""Renumbering labels by the raster order of their first pixels, block of rows by block of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled

EMPTY = 0
"""Key of a free place in the table: 0 is no segment."""


@compiled
def renumber(
    labels: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.uint32],
    renumbered: npt.NDArray[np.uint32],
    begin: int,
    n_known: int,
) -> tuple[int, int]:
    """Give each label its number, and new ones the next; stop before the table is half full.

    Parameters
    ----------
    labels
        Array `(pixel,)` of int64 in raster order; 0 is no segment, and stays 0.
    keys, numbers
        Table of labels and their numbers, with a power of two of places; it is changed.
    renumbered
        Array `(pixel,)` of uint32 that is filled.
    begin
        First pixel to look at.
    n_known
        Labels in the table.

    Returns
    -------
    end
        Pixel before which it stopped: the number of pixels if it is done, else the table must grow.
    n_known
        Labels in the table by then.
    """
    mask = keys.size - 1
    last_label, last_number = np.int64(EMPTY), np.uint32(0)
    for pixel in range(begin, labels.size):
        label = labels[pixel]
        if label != last_label:
            place = place_of(keys, label)
            if label != EMPTY and keys[place] == EMPTY:
                if 2 * (n_known + 1) > mask:
                    return pixel, n_known
                n_known += 1
                keys[place] = label
                numbers[place] = n_known
            last_label = label
            last_number = np.uint32(0) if label == EMPTY else numbers[place]
        renumbered[pixel] = last_number
    return labels.size, n_known


@compiled
def place_of(keys: npt.NDArray[np.int64], label: int) -> int:
    """Return the place of a label in a table, or the free place where it belongs."""
    mask = keys.size - 1
    # Labels of neighbours are near each other: the upper bits of a product spread them.
    place = (((label ^ (label >> 31)) & 0x7FFFFFFF) * 0x9E3779B1 >> 7) & mask
    while keys[place] not in (EMPTY, label):
        place = (place + 1) & mask
    return place


@compiled
def grow(
    keys: npt.NDArray[np.int64], numbers: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Return a table of twice as many places with the same content."""
    more_keys = np.zeros(2 * keys.size, np.int64)
    more_numbers = np.zeros(2 * keys.size, np.uint32)
    for i in range(keys.size):
        if keys[i] != EMPTY:
            place = place_of(more_keys, keys[i])
            more_keys[place] = keys[i]
            more_numbers[place] = numbers[i]
    return more_keys, more_numbers
