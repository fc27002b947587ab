"""Merging what tiles know of open segments: all of one range of ids at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from swath.segmentation.statistics.counts import group_counts, rank_counts
from swath.segmentation.statistics.function import SegmentFunction
from swath.segmentation.statistics.keys import dropped_bits
from swath.segmentation.statistics.locate import SIDES_X, SIDES_Y, merge_shapes
from swath.segmentation.statistics.partial import Ids, called_dtype, counts_dtype
from swath.segmentation.statistics.recipe import Recipe, Rows
from swath.segmentation.statistics.sums import N_MOMENTS, merge_moments

Integers = npt.NDArray[np.int64]


def merge_open(
    open_rows: Rows, seams: Rows | None, counts: list[Iterable[Rows]], recipe: Recipe
) -> Rows:
    """Return the rows of segments that several tiles know a part of.

    Parameters
    ----------
    open_rows
        Fields of `open_dtype`, in any order.
    seams
        Fields of `SEAM_DTYPE`: sides of pixels that are no edges.
    counts
        For each band, pieces with the fields of `counts_dtype`; none if no order is asked for.
    recipe
        What to compute.
    """
    ids, groups = np.unique(open_rows["id"], return_inverse=True)
    groups = groups.reshape(-1).astype(np.int64)
    shapes = merge_shapes(open_rows["shape"].copy(), groups, ids.size)
    if seams is not None:
        inside = seams[np.isin(seams["id"], ids)]
        at = np.searchsorted(ids, inside["id"])
        np.subtract.at(shapes[:, SIDES_X], at, inside["sides_x"])
        np.subtract.at(shapes[:, SIDES_Y], at, inside["sides_y"])
    moments = np.zeros((ids.size, recipe.n_bands, N_MOMENTS), np.int64)
    ranked = np.zeros((ids.size, recipe.n_bands, 2 * recipe.quantiles.size + 1), np.int64)
    for band in range(recipe.n_bands):
        dtype = recipe.dtypes[band]
        parts = np.ascontiguousarray(open_rows["moments"][:, band])
        moments[:, band] = merge_moments(parts, groups, ids.size, dtype.kind == "f")
        if recipe.wants_ranks:
            offsets, keys, times = _gather(counts[band], ids)
            into = np.zeros(ranked[:, band].shape, np.int64)
            rank_counts(
                offsets, keys, times, recipe.quantiles, recipe.wants_mode, dropped_bits(dtype), into
            )
            ranked[:, band] = into
    return recipe.conclude(ids, shapes, moments, ranked)


def reduce_counts(counts: Rows) -> Rows:
    """Put equal values of one segment together; the result is ascending by id and key."""
    ids = np.unique(counts["id"])
    offsets, keys, times = _grouped(counts, ids)
    return _as_rows(ids, offsets, keys, times)


def call_open(pixels: Rows, function: SegmentFunction) -> Rows:
    """Call a user's function for segments whose pixels came from several tiles.

    Parameters
    ----------
    pixels
        Fields of `pixels_dtype`, in any order; all pixels of each segment.
    function
        The function.
    """
    pixels = pixels[np.lexsort((pixels["col"], pixels["row"], pixels["id"]))]
    ids, begins = np.unique(pixels["id"], return_index=True)
    answers = []
    for segment, part in zip(ids.tolist(), np.split(pixels, begins[1:]), strict=True):
        rows, cols = part["row"].astype(np.int64), part["col"].astype(np.int64)
        answers.append(function(segment, np.ascontiguousarray(part["values"].T), rows, cols))
    called = np.empty(ids.size, called_dtype(len(function.names)))
    called["id"] = ids
    if answers:
        called["numbers"] = answers
    return called


def _gather(pieces: Iterable[Rows], ids: Ids) -> tuple[Integers, npt.NDArray[np.int32], Integers]:
    """Return the counts of one band by segment; pieces are put together as they come."""
    together: Rows | None = None
    for piece in pieces:
        if together is not None:
            piece = np.concatenate([_as_rows(ids, *_grouped(together, ids)), piece])
        together = piece
    if together is None:
        together = np.empty(0, counts_dtype(np.dtype(np.int32)))
    return _grouped(together, ids)


def _grouped(counts: Rows, ids: Ids) -> tuple[Integers, npt.NDArray[np.int32], Integers]:
    groups = np.searchsorted(ids, counts["id"]).astype(np.int32)
    keys, times = np.ascontiguousarray(counts["key"]), np.ascontiguousarray(counts["count"])
    return group_counts(groups, keys, times, ids.size)


def _as_rows(ids: Ids, offsets: Integers, keys: npt.NDArray[np.int32], times: Integers) -> Rows:
    rows = np.empty(keys.size, counts_dtype(keys.dtype))
    rows["id"] = np.repeat(ids, np.diff(offsets))
    rows["key"], rows["count"] = keys, times
    return rows
